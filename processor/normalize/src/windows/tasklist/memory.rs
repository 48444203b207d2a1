//! `tasklist`'s memory column: grouped digits and a unit that begins with K in some script.
//!
//! Invariant: a size is right, or it is none with a reason; a separator that may be a decimal point is not taken for one
//! of groups.

use super::without_padding;
use crate::notes::NullReason;
use crate::number::{NumberError, kib_to_bytes, last_eight, unsigned};
use rollcall_domain::LineReason;

/// Bytes; none for `N/A` in any language, which has no digit; a reason for an unknown unit or odd groups. An error for a
/// size that does not fit.
pub(super) type Read = Result<Result<Option<i64>, NullReason>, LineReason>;

/// What a cell says.
pub(super) fn bytes(cell: &str) -> Read {
    bytes_at(cell, (0, cell.len()))
}

/// What the cell at a span of `line`, from its start to its end, says.
#[inline(always)]
pub(super) fn bytes_at(line: &str, (start, end): (usize, usize)) -> Read {
    match usual(line.as_bytes(), (start, end)) {
        Some(kib) => kib_to_bytes(kib).map(|bytes| Ok(Some(bytes))),
        None => any(line.get(start..end).unwrap_or("")),
    }
}

/// `243,404 K`: up to three groups of three digits between commas or points, as in most listings.
#[inline(always)]
fn usual(line: &[u8], (start, end): (usize, usize)) -> Option<u64> {
    let end = end.checked_sub(UNIT.len())?;
    let length = end.checked_sub(start)?;
    if line.get(end..end + UNIT.len())? != UNIT {
        return None;
    }
    if length <= 3 {
        return last_eight(line, (start, end))?.number();
    }
    // Two groups and what is between them.
    let groups = last_eight(line, (start.max(end.wrapping_sub(7)), end))?;
    let separator = groups.byte(4);
    if separator != b',' && separator != b'.' {
        return None;
    }
    let value = groups.without_middle().number()?;
    match length {
        5..=7 => Some(value),
        9..=11 if line[end - 8] == separator => {
            let first = last_eight(line, (start, end - 8))?.number()?;
            Some(first * 1_000_000 + value)
        }
        _ => None,
    }
}

/// What ends the cells of most languages.
const UNIT: &[u8] = b" K";

fn any(cell: &str) -> Read {
    let cell = without_padding(cell);
    let Some(last_digit) = cell.rfind(|c: char| c.is_ascii_digit()) else {
        return Ok(Ok(None));
    };
    let (number, unit) = cell.split_at(last_digit + 1);
    if !is_kib(without_padding(unit)) {
        return Ok(Err(NullReason::MemoryUnreadable));
    }
    match grouped(number) {
        Ok(kib) => kib_to_bytes(kib).map(|bytes| Ok(Some(bytes))),
        Err(NumberError::Overflow) => Err(LineReason::Overflow),
        Err(NumberError::NotANumber) => Ok(Err(NullReason::MemoryUnreadable)),
    }
}

/// `K`, `KB`, `Ko`, `КБ` and their like. `tasklist` knows no other unit, so an unknown word is not taken for one.
fn is_kib(unit: &str) -> bool {
    let mut chars = unit.chars();
    matches!(chars.next(), Some('K' | 'k' | 'К' | 'к')) && chars.count() <= 3
}

fn is_group_separator(c: char) -> bool {
    matches!(
        c,
        ',' | '.' | ' ' | '\'' | '\u{2019}' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\u{66c}'
    )
}

/// Digits in groups: the last group has three digits, those before it two (India) or three, the first at most three;
/// one separator throughout. Anything else may be a decimal point, and is no number.
fn grouped(text: &str) -> Result<u64, NumberError> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return unsigned(text.as_bytes());
    }
    let mut separator = None;
    let mut value: u64 = 0;
    let mut in_group = 0;
    let mut groups = 0;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            in_group += 1;
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(digit)))
                .ok_or(NumberError::Overflow)?;
            continue;
        }
        let same = *separator.get_or_insert(c) == c;
        let fits = if groups == 0 {
            (1..=3).contains(&in_group)
        } else {
            (2..=3).contains(&in_group)
        };
        if !is_group_separator(c) || !same || !fits {
            return Err(NumberError::NotANumber);
        }
        groups += 1;
        in_group = 0;
    }
    if in_group == 3 {
        Ok(value)
    } else {
        Err(NumberError::NotANumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cell: &str, expect: Read) {
        assert_eq!(bytes(cell), expect, "{cell:?}");
        // With digits around it, as in a line.
        let line = format!("1234567890 K{cell} 9,999 K");
        let span = (12, 12 + cell.len());
        assert_eq!(bytes_at(&line, span), expect, "{cell:?}");
    }

    #[test]
    fn memory_of_any_locale() {
        let kib = |n: i64| Ok(Ok(Some(n * 1024)));
        check("8 K", kib(8));
        check("532 K", kib(532));
        check("12,345 K", kib(12_345));
        check("1,43,404 K", kib(143_404));
        check("1.234.567 K", kib(1_234_567));
        check("12,345,678 K", kib(12_345_678));
        check("143 404 Ko", kib(143_404));
        check("143\u{a0}404 K", kib(143_404));
        check("143\u{202f}404 Ko", kib(143_404));
        check("143'404 K", kib(143_404));
        check("143\u{2019}404 K", kib(143_404));
        check("143\u{a0}404 КБ", kib(143_404));
        check("20.208 KB", kib(20_208));
        check("\u{200f}143,404 K\u{200f}", kib(143_404));
        check("143404 K", kib(143_404));
    }

    #[test]
    fn sizes_of_any_length() {
        for digits in 1..12 {
            let number: String = "98765432109".chars().take(digits).collect();
            let grouped: String = number
                .chars()
                .enumerate()
                .flat_map(|(at, digit)| {
                    let ends_group = at > 0 && (digits - at) % 3 == 0;
                    ends_group.then_some(',').into_iter().chain([digit])
                })
                .collect();
            let kib: i64 = number.parse().expect("digits");
            for text in [number, grouped.replace(',', "."), grouped] {
                check(&format!("{text} K"), Ok(Ok(Some(kib * 1024))));
            }
        }
    }

    #[test]
    fn what_stands_in_place_of_a_digit_or_a_separator() {
        for byte in (b' '..=b'~').filter(|byte| !byte.is_ascii_digit()) {
            for at in [0, 1, 2, 4, 5, 6] {
                let mut cell = *b"123,456 K";
                cell[at] = byte;
                let cell = std::str::from_utf8(&cell).expect("ASCII");
                let read = bytes(cell);
                // Of `1,2,456` and its like, and of a blank before the number, the digits may still be a number.
                let groups_of_two = at < 3 && matches!(byte, b',' | b' ');
                assert!(
                    groups_of_two || !matches!(read, Ok(Ok(Some(_)))),
                    "{cell:?}: {read:?}"
                );
            }
            let mut cell = *b"1,456 K";
            cell[1] = byte;
            let cell = std::str::from_utf8(&cell).expect("ASCII");
            let is_separator = matches!(byte, b',' | b'.' | b' ' | b'\'');
            assert_eq!(
                matches!(bytes(cell), Ok(Ok(Some(_)))),
                is_separator,
                "{cell:?}"
            );
        }
    }

    #[test]
    fn no_memory() {
        for cell in ["N/A", "Nicht zutreffend", ""] {
            check(cell, Ok(Ok(None)));
        }
    }

    #[test]
    fn doubtful_memory_is_null_with_a_reason() {
        for cell in [
            "12,3 K",
            "1,2345 K",
            "1.234,567 K",
            "1,234.567 K",
            "12 M",
            "1234",
            ",123 K",
            "1,,23 K",
        ] {
            check(cell, Ok(Err(NullReason::MemoryUnreadable)));
        }
    }

    #[test]
    fn memory_that_overflows_is_an_error() {
        check("99999999999999999999 K", Err(LineReason::Overflow));
        check("9,223,372,036,854,775,807 K", Err(LineReason::Overflow));
    }
}
