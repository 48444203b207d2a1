//! Numbers as listings print them: plain digits, and digits grouped by whatever a locale groups them with.
//!
//! Invariant: a number is right or an error; nothing saturates or wraps.

use rollcall_domain::LineReason;

/// Bytes per KiB.
const KIB: u64 = 1024;

/// Why a number could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberError {
    /// It has something else than digits, or none.
    NotANumber,
    /// It does not fit.
    Overflow,
}

/// Plain decimal digits.
#[inline]
pub fn unsigned(bytes: &[u8]) -> Result<u64, NumberError> {
    if bytes.is_empty() {
        return Err(NumberError::NotANumber);
    }
    let mut value: u64 = 0;
    let mut overflowed = false;
    for &byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(NumberError::NotANumber);
        }
        if value > (u64::MAX - 9) / 10 {
            overflowed = true;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    if overflowed {
        return Err(NumberError::Overflow);
    }
    Ok(value)
}

/// A process id: 0 to `i32::MAX`.
#[inline]
pub fn pid(bytes: &[u8]) -> Option<i32> {
    let value = unsigned(bytes).ok()?;
    i32::try_from(value).ok()
}

/// KiB to bytes, as `domain` keeps them.
#[inline]
pub fn kib_to_bytes(kib: u64) -> Result<i64, LineReason> {
    kib.checked_mul(KIB)
        .and_then(|bytes| i64::try_from(bytes).ok())
        .ok_or(LineReason::Overflow)
}

/// A column of KiB in `ps`: digits, or `-` where there is no value.
#[inline]
pub fn ps_kib(bytes: &[u8]) -> Result<Option<i64>, LineReason> {
    match unsigned(bytes) {
        Ok(kib) => kib_to_bytes(kib).map(Some),
        Err(NumberError::Overflow) => Err(LineReason::Overflow),
        Err(NumberError::NotANumber) if bytes == b"-" => Ok(None),
        Err(NumberError::NotANumber) => Err(LineReason::BadMemory),
    }
}

/// `tasklist`'s memory column: grouped digits and a unit that begins with K in some script.
///
/// No digits (`N/A` in any language), an unknown unit or odd groups: doubtful, hence `None`.
pub fn tasklist_memory(text: &str) -> Result<Option<i64>, LineReason> {
    let text = without_padding(text);
    let Some(last_digit) = text.rfind(|c: char| c.is_ascii_digit()) else {
        return Ok(None);
    };
    let (number, unit) = text.split_at(last_digit + 1);
    if !is_kib_unit(without_padding(unit)) {
        return Ok(None);
    }
    match grouped(number) {
        Ok(kib) => kib_to_bytes(kib).map(Some),
        Err(NumberError::Overflow) => Err(LineReason::Overflow),
        Err(NumberError::NotANumber) => Ok(None),
    }
}

/// `K`, `KB`, `Ko`, `КБ` and their like. `tasklist` knows no other unit, so an unknown word is not taken for one.
fn is_kib_unit(unit: &str) -> bool {
    let mut chars = unit.chars();
    matches!(chars.next(), Some('K' | 'k' | 'К' | 'к')) && chars.count() <= 3
}

fn without_padding(text: &str) -> &str {
    if text.is_ascii() {
        text.trim_ascii()
    } else {
        text.trim_matches(is_padding)
    }
}

/// Blanks and the marks that right-to-left consoles put around numbers.
fn is_padding(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
}

fn is_group_separator(c: char) -> bool {
    matches!(
        c,
        ',' | '.' | ' ' | '\'' | '\u{2019}' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\u{66c}'
    )
}

/// Digits in groups: the last group has three digits, those before it two (India) or three, the first at most three;
/// one separator throughout. Anything else may be a decimal point, and is no number.
pub fn grouped(text: &str) -> Result<u64, NumberError> {
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
    fn check(text: &str, expect: Result<Option<i64>, LineReason>) {
        assert_eq!(tasklist_memory(text), expect, "{text:?}");
    }

    #[test]
    fn memory_of_any_locale() {
        let kib = |n: i64| Ok(Some(n * 1024));
        check("8 K", kib(8));
        check("12,345 K", kib(12_345));
        check("1,43,404 K", kib(143_404));
        check("1.234.567 K", kib(1_234_567));
        check("143 404 Ko", kib(143_404));
        check("143\u{a0}404 K", kib(143_404));
        check("143\u{202f}404 Ko", kib(143_404));
        check("143'404 K", kib(143_404));
        check("143\u{2019}404 K", kib(143_404));
        check("143 404 КБ", kib(143_404));
        check("\u{200f}143,404 K\u{200f}", kib(143_404));
        check("143404 K", kib(143_404));
    }

    #[test]
    fn doubtful_memory_is_null() {
        for text in [
            "N/A",
            "Nicht zutreffend",
            "",
            "12,3 K",
            "1,2345 K",
            "1.234,567 K",
            "12 M",
            "1234",
            ",123 K",
        ] {
            check(text, Ok(None));
        }
    }

    #[test]
    fn memory_that_overflows_is_an_error() {
        check("99999999999999999999 K", Err(LineReason::Overflow));
        check("9,223,372,036,854,775,807 K", Err(LineReason::Overflow));
        assert_eq!(ps_kib(b"18446744073709551615"), Err(LineReason::Overflow));
        assert_eq!(ps_kib(b"9007199254740992"), Err(LineReason::Overflow));
        assert_eq!(
            ps_kib(b"9007199254740991"),
            Ok(Some(9_007_199_254_740_991 * 1024))
        );
    }

    #[test]
    fn ps_columns() {
        assert_eq!(ps_kib(b"0"), Ok(Some(0)));
        assert_eq!(ps_kib(b"-"), Ok(None));
        assert_eq!(ps_kib(b"1x"), Err(LineReason::BadMemory));
        assert_eq!(pid(b"2147483647"), Some(i32::MAX));
        assert_eq!(pid(b"2147483648"), None);
        assert_eq!(pid(b"-1"), None);
        assert_eq!(pid(b""), None);
        assert_eq!(
            unsigned(b"18446744073709551615"),
            Err(NumberError::Overflow)
        );
        assert_eq!(
            unsigned(b"18446744073709551599"),
            Ok(18_446_744_073_709_551_599)
        );
    }
}
