//! `tasklist`'s CPU time: `H:MM:SS` with unbounded hours, separated by `:` or `.`; exact to the second, rounded down.

use super::without_padding;
use crate::number::{NumberError, unsigned};
use rollcall_domain::LineReason;
use rollcall_domain::time::SECOND_US;

/// Microseconds. Without any digit it is `N/A` in some language: no value.
///
/// # Errors
/// `bad_cpu_time` for another form, `overflow` for one that does not fit.
#[inline]
pub(super) fn micros(cell: &str) -> Result<Option<i64>, LineReason> {
    match *cell.as_bytes() {
        [h, b':', ref rest @ ..] if h.is_ascii_digit() && rest.len() == 5 => {
            let seconds = minutes_and_seconds(rest, b':').ok_or(LineReason::BadCpuTime)?;
            Ok(Some((i64::from(h - b'0') * 3600 + seconds) * SECOND_US))
        }
        _ => any(without_padding(cell)),
    }
}

fn any(cell: &str) -> Result<Option<i64>, LineReason> {
    let bytes = cell.as_bytes();
    if !bytes.iter().any(u8::is_ascii_digit) {
        return Ok(None);
    }
    let Some((hours, [separator @ (b':' | b'.'), rest @ ..])) = bytes.split_last_chunk::<6>()
    else {
        return Err(LineReason::BadCpuTime);
    };
    let seconds = minutes_and_seconds(rest, *separator).ok_or(LineReason::BadCpuTime)?;
    let hours = unsigned(hours).map_err(|error| match error {
        NumberError::Overflow => LineReason::Overflow,
        NumberError::NotANumber => LineReason::BadCpuTime,
    })?;
    i64::try_from(hours)
        .ok()
        .and_then(|hours| {
            hours
                .checked_mul(3600)?
                .checked_add(seconds)?
                .checked_mul(SECOND_US)
        })
        .ok_or(LineReason::Overflow)
        .map(Some)
}

/// `MM:SS` in seconds.
#[inline]
fn minutes_and_seconds(bytes: &[u8], separator: u8) -> Option<i64> {
    let [m, n, between, s, t] = *bytes else {
        return None;
    };
    let two = |tens: u8, ones: u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens < 6 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
    };
    Some(two(m, n)? * 60 + two(s, t)?).filter(|_| between == separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times() {
        assert_eq!(micros("0:00:05"), Ok(Some(5_000_000)));
        assert_eq!(micros("9:59:59"), Ok(Some(35_999_000_000)));
        assert_eq!(micros("1234:56:07"), Ok(Some(4_445_767_000_000)));
        assert_eq!(micros("0.01.05"), Ok(Some(65_000_000)));
        assert_eq!(micros(" \u{200f}0:01:05"), Ok(Some(65_000_000)));
        assert_eq!(micros("Nicht zutreffend"), Ok(None));
        assert_eq!(micros(""), Ok(None));
    }

    #[test]
    fn bad_cpu_times() {
        for cell in [
            "0:05", "0:61:00", "0:00:60", ":00:05", "0:00.05", "0:0:05", "x:00:05", "0:00:5x",
        ] {
            assert_eq!(micros(cell), Err(LineReason::BadCpuTime), "{cell}");
        }
        for cell in ["2562047789:00:00", "99999999999999999999:00:00"] {
            assert_eq!(micros(cell), Err(LineReason::Overflow), "{cell}");
        }
    }
}
