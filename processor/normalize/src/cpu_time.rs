//! CPU times as listings print them, exact up to the form's quantum (1 s on Linux, 10 ms on macOS),
//! rounded down.

use crate::number::{EightDigits, NumberError, last_eight, unsigned};
use rollcall_domain::LineReason;
use rollcall_domain::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};

/// CPU time of `ps` in microseconds, at a span of `line`: see [`ps_cpu_time`].
#[inline(always)]
pub fn ps_cpu_time_at(
    line: &[u8],
    (start, end): (usize, usize),
) -> Result<Option<i64>, LineReason> {
    // By far the most frequent forms, `M:SS` and `M:SS.cc`, are read as words.
    match usual(line, (start, end)) {
        Some(hundredths) => Ok(Some(hundredths as i64 * 10_000)),
        None => ps_cpu_time(line.get(start..end).unwrap_or(&[])),
    }
}

/// `M:SS` and `M:SS.cc` in hundredths of a second.
#[inline(always)]
fn usual(line: &[u8], (start, end): (usize, usize)) -> Option<u64> {
    let (end, hundredths) = match *line.get(start..end)?.last_chunk()? {
        [b':', _, _] => (end, 0),
        [b'.' | b',', t @ b'0'..=b'9', h @ b'0'..=b'9'] => {
            (end - 3, u64::from(t - b'0') * 10 + u64::from(h - b'0'))
        }
        _ => return None,
    };
    let digits = last_eight(line, (start, end))?;
    Some(minutes_and_seconds(digits, end - start)? * 100 + hundredths)
}

/// `M:SS`, of `length` bytes, with up to five digits of minutes.
#[inline(always)]
fn minutes_and_seconds(digits: EightDigits, length: usize) -> Option<u64> {
    let (b':', t @ b'0'..=b'5', s @ b'0'..=b'9') = (digits.byte(5), digits.byte(6), digits.byte(7))
    else {
        return None;
    };
    if length < 4 {
        return None;
    }
    let seconds = u64::from(t - b'0') * 10 + u64::from(s - b'0');
    Some(digits.before_last(3).number()? * 60 + seconds)
}

/// CPU time of `ps` in microseconds: `MMM:SS`, `MMM:SS.cc` (or a decimal comma), `HH:MM:SS`, `D-HH:MM:SS`; `-` is no
/// value.
pub fn ps_cpu_time(text: &[u8]) -> Result<Option<i64>, LineReason> {
    if text == b"-" {
        return Ok(None);
    }
    let (days, rest) = match text.iter().position(|&byte| byte == b'-') {
        Some(at) => (Some(number(&text[..at])?), &text[at + 1..]),
        None => (None, text),
    };
    let (whole, fraction_us) = split_fraction(rest)?;
    let mut parts = whole.rsplit(|&byte| byte == b':');
    let seconds = sexagesimal(parts.next())?;
    let middle = parts.next().ok_or(LineReason::BadCpuTime)?;
    let (hours, minutes) = match (parts.next(), parts.next()) {
        (None, _) if days.is_none() => (0, number(middle)?),
        (Some(hours), None) => (number(hours)?, sexagesimal(Some(middle))?),
        _ => return Err(LineReason::BadCpuTime),
    };
    total_us(days.unwrap_or(0), hours, minutes, seconds, fraction_us).map(Some)
}

fn number(digits: &[u8]) -> Result<u64, LineReason> {
    unsigned(digits).map_err(|error| match error {
        NumberError::Overflow => LineReason::Overflow,
        NumberError::NotANumber => LineReason::BadCpuTime,
    })
}

fn sexagesimal(digits: Option<&[u8]>) -> Result<u64, LineReason> {
    match digits {
        Some(&[t @ b'0'..=b'5', s @ b'0'..=b'9']) => {
            Ok(u64::from(t - b'0') * 10 + u64::from(s - b'0'))
        }
        _ => Err(LineReason::BadCpuTime),
    }
}

/// Splits `.cc` or `,cc` off and returns it in microseconds.
fn split_fraction(text: &[u8]) -> Result<(&[u8], u64), LineReason> {
    let Some(at) = text.iter().position(|&byte| byte == b'.' || byte == b',') else {
        return Ok((text, 0));
    };
    match text[at + 1..] {
        [t, h] if t.is_ascii_digit() && h.is_ascii_digit() => {
            let hundredths = u64::from(t - b'0') * 10 + u64::from(h - b'0');
            Ok((&text[..at], hundredths * 10_000))
        }
        _ => Err(LineReason::BadCpuTime),
    }
}

fn total_us(
    days: u64,
    hours: u64,
    minutes: u64,
    seconds: u64,
    fraction_us: u64,
) -> Result<i64, LineReason> {
    let total = u128::from(days) * DAY_US as u128
        + u128::from(hours) * HOUR_US as u128
        + u128::from(minutes) * MINUTE_US as u128
        + u128::from(seconds) * SECOND_US as u128
        + u128::from(fraction_us);
    i64::try_from(total).map_err(|_| LineReason::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_cpu(text: &str, expect_us: i64) {
        assert_eq!(ps_cpu_time(text.as_bytes()), Ok(Some(expect_us)), "{text}");
        let line = format!("9:59 {text} 9:59");
        let at = ps_cpu_time_at(line.as_bytes(), (5, 5 + text.len()));
        assert_eq!(at, Ok(Some(expect_us)), "{text}");
    }

    #[test]
    fn cpu_times_of_ps() {
        check_cpu("0:00", 0);
        check_cpu("0:03", 3_000_000);
        check_cpu("123:45", 7_425_000_000);
        check_cpu("00:00:06", 6_000_000);
        check_cpu("25:02:03", 90_123_000_000);
        check_cpu("1-02:03:04", 93_784_000_000);
        check_cpu("0:01.23", 1_230_000);
        check_cpu("436:58.08", 26_218_080_000);
        check_cpu("0:01,23", 1_230_000);
        assert_eq!(ps_cpu_time(b"-"), Ok(None));
    }

    #[test]
    fn bad_cpu_times() {
        for text in [
            "", "0", ":", "0:", ":05", "0:60", "0:5", "1:60:00", "1-02:03", "1:2:3:4", "0:01.2",
            "x:00", "0:01.234", "--",
        ] {
            for before in ["", "1:23:45 "] {
                let line = format!("{before}{text}");
                assert_eq!(
                    ps_cpu_time_at(line.as_bytes(), (before.len(), line.len())),
                    Err(LineReason::BadCpuTime),
                    "{text}"
                );
            }
        }
        assert_eq!(
            ps_cpu_time_at(b"999999999999999999:00", (0, 21)),
            Err(LineReason::Overflow)
        );
        assert_eq!(
            ps_cpu_time(b"99999999999999999999999:00"),
            Err(LineReason::Overflow)
        );
    }
}
