//! Numbers and time spans as .NET prints them.
//!
//! Invariant: exact. A decimal number of seconds stands for a whole number of 100 ns ticks, which is what the clock counts.

/// Ticks of 100 ns in a second.
const TICKS: u64 = 10_000_000;
/// Below this, a double tells every tick from its neighbours.
const MAX_SECONDS: f64 = 900_000_000.0;

/// `-12`: an integer, as one that is too large for 64 bits is not.
pub(super) fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// `1234.5678` or `1234,5678`, perhaps with an exponent; .NET groups no digits here. In ticks.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | 'E' | 'e' | '+' | '-');
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') || !text.chars().all(is_part) {
        return None;
    }
    ticks(text.replacen(',', ".", 1).parse().ok()?)
}

/// Seconds, rounded to ticks.
#[allow(clippy::cast_possible_truncation, reason = "the range was checked")]
pub(super) fn ticks(seconds: f64) -> Option<i64> {
    (seconds.is_finite() && seconds.abs() <= MAX_SECONDS)
        .then(|| (seconds * TICKS as f64).round() as i64)
}

/// `[-][d.]hh:mm:ss[.fffffff]`, the same in every culture. In ticks.
pub(super) fn time_span(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let mut parts = rest.split(':');
    let (Some(hours), Some(minutes), Some(seconds), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let (days, hours) = match hours.split_once('.') {
        Some((days, hours)) => (number(days, 1..=8)?, hours),
        None => (0, hours),
    };
    let (seconds, fraction) = match seconds.split_once('.') {
        Some((seconds, fraction)) => (seconds, number(fraction, 7..=7)?),
        None => (seconds, 0),
    };
    let two = |digits: &str, limit: u64| number(digits, 2..=2).filter(|value| *value < limit);
    let (hours, minutes, seconds) = (two(hours, 24)?, two(minutes, 60)?, two(seconds, 60)?);
    let whole = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    i64::try_from(whole.checked_mul(TICKS)? + fraction)
        .ok()
        .map(|ticks| sign * ticks)
}

fn number(digits: &str, length: std::ops::RangeInclusive<usize>) -> Option<u64> {
    (length.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_in_any_culture() {
        assert_eq!(seconds("0.015625"), Some(156_250));
        assert_eq!(seconds("0,015625"), Some(156_250));
        assert_eq!(seconds("1234.5678901"), Some(12_345_678_901));
        assert_eq!(seconds("8388608.1234567"), Some(83_886_081_234_567));
        assert_eq!(seconds("12"), Some(120_000_000));
        assert_eq!(seconds("1E-07"), Some(1));
        assert_eq!(seconds("-1,5"), Some(-15_000_000));
        for text in ["", "1.234,5", "1 234", "NaN", "inf", "0x1", "1e300", "."] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn time_spans() {
        assert_eq!(time_span("00:00:01"), Some(10_000_000));
        assert_eq!(time_span("00:01:02.3456789"), Some(623_456_789));
        assert_eq!(time_span("1.02:03:04"), Some(937_840_000_000));
        assert_eq!(time_span("1.02:03:04.0000001"), Some(937_840_000_001));
        assert_eq!(time_span("-00:00:01"), Some(-10_000_000));
        for text in [
            "",
            "1:2:3",
            "00:00",
            "24:00:00",
            "00:60:00",
            "00:00:01.5",
            "x.00:00:01",
            "00:00:00:00",
        ] {
            assert_eq!(time_span(text), None, "{text}");
        }
    }

    #[test]
    fn integers() {
        assert_eq!(integer("9223372036854775807"), Some(i64::MAX));
        assert_eq!(integer("-5"), Some(-5));
        for text in ["", "-", "9223372036854775808", "1.0", "+1", " 1"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }
}
