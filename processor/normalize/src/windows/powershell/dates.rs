//! When a process began, as .NET, WMI and PowerShell's csv and json print it.
//!
//! - DMTF (`Get-WmiObject`, `wmic`): `20261120090512.123456+060`, local time and its offset in minutes: exact.
//! - ISO 8601 (json of PowerShell 7): exact where it has an offset, else local.
//! - `/Date(1795181410000)/` (json of PowerShell 5.1): UTC, to the millisecond.
//! - A culture's own format (csv): local, to the second. The year shows where it stands; of day and month, the order is
//!   known where the year goes first, where points separate them (day first), or where some date of the listing has a
//!   number above 12 in one place, and none in the other.
//!
//! Local times need the machine's offset.

use crate::local_clock::{LocalClock, Start};
use crate::notes::NullReason;
use jiff::civil::DateTime;
use rollcall_domain::{CreationTime, Precision, Timestamp};

/// Years that are not of this calendar: of others, as the Buddhist and the Islamic one, or of broken clocks.
const YEARS: std::ops::RangeInclusive<i16> = 1990..=2200;

/// Whether day or month goes first in a listing's dates, as far as they show it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Order {
    first_above_12: bool,
    second_above_12: bool,
}

impl Order {
    /// Takes a date of the listing into account.
    pub(super) fn see(&mut self, text: &str) {
        if let Some(Written {
            date: [first, second, year],
            ..
        }) = Written::read(text)
            && year >= 1000
        {
            self.first_above_12 |= first > 12;
            self.second_above_12 |= second > 12;
        }
    }

    fn day_first(self) -> Option<bool> {
        match (self.first_above_12, self.second_above_12) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        }
    }
}

/// Reads `text` in whichever form it has.
pub(super) fn read(text: &str, order: Order, clock: &LocalClock) -> Start {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(at) = json_date(text).or_else(|| dmtf(text)).or_else(|| iso(text)) {
        return at.map(Some);
    }
    if let Ok(local) = text.parse::<DateTime>()
        && text.contains('T')
    {
        let precision = if text.contains('.') {
            Precision::Exact
        } else {
            Precision::Second
        };
        return local_time(local, precision, clock);
    }
    let written = Written::read(text).ok_or(NullReason::StartUnreadable)?;
    local_time(written.resolve(order)?, Precision::Second, clock)
}

/// Milliseconds since 1970.
pub(super) fn unix_millis(millis: i64) -> Start {
    let micros = millis
        .checked_mul(1000)
        .ok_or(NullReason::StartUnreadable)?;
    Ok(Some(CreationTime {
        at: Timestamp::from_micros(micros),
        precision: Precision::Second,
    }))
}

type Instant = Result<CreationTime, NullReason>;

/// `/Date(1795181410123)/`; an offset in it (`+0100`) says only where it was printed.
fn json_date(text: &str) -> Option<Instant> {
    let inner = text
        .trim_start_matches('\\')
        .strip_prefix("/Date(")?
        .split_once(')')?
        .0;
    let digits = match inner.get(1..).and_then(|rest| rest.find(['+', '-'])) {
        Some(at) => &inner[..=at],
        None => inner,
    };
    let millis = super::numbers::integer(digits);
    Some(
        millis
            .ok_or(NullReason::StartUnreadable)
            .and_then(unix_millis)
            .and_then(|start| start.ok_or(NullReason::StartUnreadable)),
    )
}

/// `yyyymmddHHMMSS.mmmmmm±UUU`.
fn dmtf(text: &str) -> Option<Instant> {
    let bytes = text.as_bytes();
    if bytes.len() != 25 || bytes[14] != b'.' || !matches!(bytes[21], b'+' | b'-') {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<i32> {
        let digits = text.get(range)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let local = || {
        let small = |range| number(range).and_then(|value| i8::try_from(value).ok());
        let year = i16::try_from(number(0..4)?).ok()?;
        let date = DateTime::new(
            year,
            small(4..6)?,
            small(6..8)?,
            small(8..10)?,
            small(10..12)?,
            small(12..14)?,
            number(15..21)? * 1000,
        );
        let minutes = number(22..25)? * if bytes[21] == b'-' { -1 } else { 1 };
        let offset = jiff::tz::Offset::from_seconds(minutes * 60).ok()?;
        offset.to_timestamp(date.ok()?).ok()
    };
    Some(local().map_or(Err(NullReason::StartUnreadable), exact))
}

/// `2026-11-20T09:05:12.1234567+01:00`.
fn iso(text: &str) -> Option<Instant> {
    text.parse::<jiff::Timestamp>().ok().map(exact)
}

fn exact(at: jiff::Timestamp) -> Instant {
    Ok(CreationTime {
        at: Timestamp::from_micros(at.as_nanosecond().div_euclid(1000) as i64),
        precision: Precision::Exact,
    })
}

fn local_time(local: DateTime, precision: Precision, clock: &LocalClock) -> Start {
    if !YEARS.contains(&local.year()) {
        return Err(NullReason::StartUnreadable);
    }
    let as_utc = jiff::tz::Offset::UTC
        .to_timestamp(local)
        .map_err(|_| NullReason::StartUnreadable)?;
    clock.local_time(as_utc.as_microsecond(), precision)
}

/// A date and time as a culture writes them: the date's three numbers in their order.
#[derive(Debug)]
struct Written {
    date: [i16; 3],
    points: bool,
    time: [i8; 3],
}

impl Written {
    fn read(text: &str) -> Option<Self> {
        let (mut date, mut time) = ([0_i16; 3], [0_i8; 3]);
        let mut rest = text.trim_matches(is_mark);
        let mut points = true;
        for (index, part) in date.iter_mut().enumerate() {
            let value;
            (value, rest) = digits(rest, 4)?;
            *part = value;
            let separator = rest.chars().next()?;
            if index < 2 && !matches!(separator, '/' | '.' | '-') {
                return None;
            }
            points &= index == 2 || separator == '.';
            // `20. 11. 2026`: blanks after points.
            rest = rest
                .trim_start_matches(['/', '.', '-'])
                .trim_start_matches(is_mark);
        }
        for (index, part) in time.iter_mut().enumerate() {
            let value;
            (value, rest) = digits(rest, 2)?;
            *part = i8::try_from(value).ok()?;
            if index < 2 {
                rest = rest.strip_prefix([':', '.'])?;
            }
        }
        time[0] = on_24_hours(time[0], rest.trim_matches(is_mark))?;
        Some(Self { date, points, time })
    }

    fn resolve(&self, order: Order) -> Result<DateTime, NullReason> {
        let [a, b, c] = self.date;
        let (year, month, day) = if a >= 1000 {
            (a, b, c)
        } else if c < 1000 {
            return Err(NullReason::StartUnreadable);
        } else {
            let day_first = if self.points {
                Some(true)
            } else {
                order.day_first()
            };
            match day_first {
                Some(true) => (c, b, a),
                Some(false) => (c, a, b),
                // The same day in both orders.
                None if a == b => (c, a, b),
                None => return Err(NullReason::StartAmbiguous),
            }
        };
        let small = |value: i16| i8::try_from(value).map_err(|_| NullReason::StartUnreadable);
        let [hour, minute, second] = self.time;
        DateTime::new(year, small(month)?, small(day)?, hour, minute, second, 0)
            .map_err(|_| NullReason::StartUnreadable)
    }
}

/// One to `most` digits at the start of `text`, and what follows.
fn digits(text: &str, most: usize) -> Option<(i16, &str)> {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    if end == 0 || end > most {
        return None;
    }
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// An hour with what stands behind the time: nothing, or a half of the day.
fn on_24_hours(hour: i8, half: &str) -> Option<i8> {
    let half: String = half
        .chars()
        .filter(|c| !is_mark(*c) && *c != '.')
        .collect::<String>()
        .to_lowercase();
    let afternoon = match half.as_str() {
        "" => return (0..24).contains(&hour).then_some(hour),
        "am" => 0,
        "pm" => 12,
        _ => return None,
    };
    (1..=12).contains(&hour).then_some(hour % 12 + afternoon)
}

/// Blanks, commas and the marks that right-to-left cultures print.
fn is_mark(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20 14:30:10 at UTC+1.
    fn clock() -> LocalClock {
        LocalClock::new(Timestamp::from_micros(1_795_181_410_000_000), Some(3600))
    }

    fn order(dates: &[&str]) -> Order {
        let mut order = Order::default();
        for date in dates {
            order.see(date);
        }
        order
    }

    #[track_caller]
    fn check(text: &str, order: Order, expect: Result<(&str, Precision), NullReason>) {
        let expect = expect.map(|(at, precision)| {
            let at: jiff::Timestamp = at.parse().expect("a timestamp");
            Some(CreationTime {
                at: Timestamp::from_micros(at.as_microsecond()),
                precision,
            })
        });
        assert_eq!(read(text, order, &clock()), expect, "{text}");
    }

    #[test]
    fn dates_that_say_all() {
        use Precision::{Exact, Second};
        let none = Order::default();
        let at = "2026-11-20T08:05:12.123456Z";
        check("20261120090512.123456+060", none, Ok((at, Exact)));
        check("20261120030512.123456-300", none, Ok((at, Exact)));
        check("2026-11-20T09:05:12.1234567+01:00", none, Ok((at, Exact)));
        check("2026-11-20T08:05:12.1234567Z", none, Ok((at, Exact)));
        check("2026-11-20T09:05:12.1234567", none, Ok((at, Exact)));
        check(
            "2026-11-20T09:05:12",
            none,
            Ok(("2026-11-20T08:05:12Z", Second)),
        );
        let to_the_millisecond = "2026-11-20T08:05:12.123Z";
        check(
            "/Date(1795161912123)/",
            none,
            Ok((to_the_millisecond, Second)),
        );
        check(
            "\\/Date(1795161912123+0100)\\/",
            none,
            Ok((to_the_millisecond, Second)),
        );
    }

    #[test]
    fn dates_of_cultures() {
        use Precision::Second;
        let none = Order::default();
        let at = Ok(("2026-11-05T08:05:12Z", Second));
        for text in [
            "05.11.2026 09:05:12",
            "5. 11. 2026 9:05:12",
            "5.11.2026 9.05.12",
            "2026/11/5 9:05:12",
            "2026-11-05 09:05:12",
            "2026. 11. 05. 9:05:12",
        ] {
            check(text, none, at);
        }
        let us = order(&["11/20/2026 1:00:00 PM"]);
        check("11/5/2026 9:05:12 AM", us, at);
        check("11/5/2026 9:05:12\u{202f}AM", us, at);
        check("11/5/2026, 9:05:12 a.m.", us, at);
        check(
            "11/5/2026 12:05:12 AM",
            us,
            Ok(("2026-11-04T23:05:12Z", Second)),
        );
        check(
            "11/5/2026 12:05:12 PM",
            us,
            Ok(("2026-11-05T11:05:12Z", Second)),
        );
        let gb = order(&["20/11/2026 13:00:00"]);
        check("05/11/2026 09:05:12", gb, at);
        check("05-11-2026 09:05:12", order(&["20-11-2026 13:00:00"]), at);
    }

    #[test]
    fn doubtful_dates() {
        use NullReason::{StartAmbiguous, StartInFuture, StartUnreadable};
        let none = Order::default();
        check("05/11/2026 09:05:12", none, Err(StartAmbiguous));
        let both = order(&["20/11/2026 13:00:00", "11/20/2026 13:00:00"]);
        check("05/11/2026 09:05:12", both, Err(StartAmbiguous));
        check(
            "11/11/2026 09:05:12",
            none,
            Ok(("2026-11-11T08:05:12Z", Precision::Second)),
        );
        check("31.12.2026 09:05:12", none, Err(StartInFuture));
        for text in [
            "20/11/2569 09:05:12",
            "1448-06-10 09:05:12",
            "20/11/26 09:05:12",
            "2026-11-20 오전 9:05:12",
            "Friday, 20 November 2026",
            "32.11.2026 09:05:12",
            "20.11.2026",
            "20.11.2026 9:05:12 XM",
            "13:05:12 PM",
            "00000000000000.000000+000",
            "/Date(x)/",
        ] {
            check(text, order(&["20/11/2026 13:00:00"]), Err(StartUnreadable));
        }
        let no_offset = LocalClock::new(Timestamp::from_micros(1_795_181_410_000_000), None);
        assert_eq!(
            read("05.11.2026 09:05:12", none, &no_offset),
            Err(NullReason::UtcOffsetMissing)
        );
    }
}
