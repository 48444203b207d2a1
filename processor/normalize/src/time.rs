//! CPU times and start times as listings print them.
//!
//! A CPU time says how long; it is exact up to the form's quantum (1 s on Linux and Windows, 10 ms on macOS), rounded
//! down. A start time says when in the machine's local time, without a zone: [`LocalClock`] turns it into UTC with the
//! offset that the snapshot gives, and without an offset every start time is `None`. The offset is that of the
//! observation: a process from before a change to or from summer time is off by that hour.

use crate::number::{NumberError, unsigned};
use rollcall_domain::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use rollcall_domain::{CreationTime, LineReason, Precision, Timestamp};

/// Local times are at most this far from UTC (UTC+14 is the farthest in use).
const MAX_OFFSET_SECONDS: u32 = 18 * 3600;
/// How far a listing's own clock may run ahead of the observation's, which is often taken just before the command.
const CLOCK_SLACK_US: i64 = MINUTE_US;

/// CPU time of `ps` in microseconds: `MMM:SS`, `MMM:SS.cc` (or a decimal comma), `HH:MM:SS`, `D-HH:MM:SS`; `-` is no
/// value.
#[inline]
pub fn ps_cpu_time(text: &[u8]) -> Result<Option<i64>, LineReason> {
    // By far the most frequent form, read without looking for separators: `M:SS`.
    if let [m, b':', t, s] = *text
        && m.is_ascii_digit()
        && (b'0'..b'6').contains(&t)
        && s.is_ascii_digit()
    {
        let seconds = i64::from(m - b'0') * 60 + i64::from(t - b'0') * 10 + i64::from(s - b'0');
        return Ok(Some(seconds * SECOND_US));
    }
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

/// CPU time of `tasklist /v` in microseconds: `H:MM:SS` with unbounded hours, separated by `:` or `.`. Without any
/// digit it is `N/A` in some language: no value.
pub fn tasklist_cpu_time(text: &str) -> Result<Option<i64>, LineReason> {
    let text = text.trim().as_bytes();
    if !text.iter().any(u8::is_ascii_digit) {
        return Ok(None);
    }
    let mut parts = text.split(|&byte| byte == b':' || byte == b'.');
    let (Some(hours), Some(minutes), Some(seconds), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(LineReason::BadCpuTime);
    };
    total_us(
        0,
        number(hours)?,
        sexagesimal(Some(minutes))?,
        sexagesimal(Some(seconds))?,
        0,
    )
    .map(Some)
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

/// The machine's local calendar at the observation, for start times that name only a part of it.
#[derive(Clone, Debug)]
pub struct LocalClock {
    local: Option<Local>,
}

#[derive(Clone, Debug)]
struct Local {
    offset_us: i64,
    /// The observation in local microseconds since the local epoch.
    now_us: i64,
    /// Its local day, counted from the local epoch.
    today: i64,
    year: i16,
    /// First days of the months of last year and this, and of the January after.
    month_starts: [i64; 25],
}

impl LocalClock {
    /// The calendar of an observation at `observed_at`, where local time is `utc_offset_seconds` ahead of UTC.
    #[must_use]
    pub fn new(observed_at: Timestamp, utc_offset_seconds: Option<i32>) -> Self {
        Self {
            local: utc_offset_seconds.and_then(|offset| Local::new(observed_at, offset)),
        }
    }

    /// procps' START or STIME: `HH:MM` for the same day, `MmmDD` for the same year, else `YYYY`.
    ///
    /// A time of day later than the observation is yesterday's, a day of the year later than it is last year's: the
    /// listing was taken just before midnight.
    #[inline]
    #[must_use]
    pub fn linux_start(&self, text: &[u8]) -> Option<CreationTime> {
        let local = self.local.as_ref()?;
        match *text {
            [a, b, b':', c, d] => {
                let minute = clock_minutes(two(a, b)?, two(c, d)?)?;
                let at = local.today * DAY_US + minute * MINUTE_US;
                let at = if at > local.now_us + CLOCK_SLACK_US {
                    at - DAY_US
                } else {
                    at
                };
                Some(local.creation(at, Precision::Minute))
            }
            [y @ b'0'..=b'9', e, a, r] => {
                let year = i16::from(two(y, e)?) * 100 + i16::from(two(a, r)?);
                if year > local.year {
                    return None;
                }
                Some(local.creation(day_number(year, 1, 1)? * DAY_US, Precision::Year))
            }
            [m1, m2, m3, a, b] => {
                let month = month([m1, m2, m3])?;
                let day = i64::from(two(a, b)?);
                local
                    .day_of_year(month, day)
                    .map(|day| local.creation(day * DAY_US, Precision::Day))
            }
            _ => None,
        }
    }

    /// macOS' STARTED or STIME: `9:05AM` or `9:05` below 24 hours of age, `Tue02PM` or `Tue14` below a week, else
    /// `20Nov26`. Other languages' weekdays, months and day halves are `None`.
    #[inline]
    #[must_use]
    pub fn macos_start(&self, text: &[u8]) -> Option<CreationTime> {
        let local = self.local.as_ref()?;
        match *text {
            [h, b':', c, d, ref half @ ..] => local.time_of_day(one(h)?, two(c, d)?, half),
            [g, h, b':', c, d, ref half @ ..] => local.time_of_day(two(g, h)?, two(c, d)?, half),
            [w1, w2, w3, g, h, ref half @ ..] if w1.is_ascii_alphabetic() => {
                local.weekday_hour(weekday([w1, w2, w3])?, hour(two(g, h)?, half)?)
            }
            [d, m1, m2, m3, y, e] => local.date(one(d)?, month([m1, m2, m3])?, two(y, e)?),
            [c, d, m1, m2, m3, y, e] => local.date(two(c, d)?, month([m1, m2, m3])?, two(y, e)?),
            _ => None,
        }
    }
}

impl Local {
    fn new(observed_at: Timestamp, utc_offset_seconds: i32) -> Option<Self> {
        if utc_offset_seconds.unsigned_abs() > MAX_OFFSET_SECONDS {
            return None;
        }
        let offset_us = i64::from(utc_offset_seconds) * SECOND_US;
        let now_us = observed_at.as_micros().checked_add(offset_us)?;
        let now = jiff::Timestamp::from_microsecond(now_us).ok()?;
        let year = jiff::tz::Offset::UTC.to_datetime(now).year();
        let mut month_starts = [0; 25];
        for (index, start) in (0_i16..).zip(&mut month_starts) {
            let month = i8::try_from(index % 12 + 1).ok()?;
            *start = day_number(year.checked_sub(1)?.checked_add(index / 12)?, month, 1)?;
        }
        Some(Self {
            offset_us,
            now_us,
            today: now_us.div_euclid(DAY_US),
            year,
            month_starts,
        })
    }

    fn creation(&self, local_us: i64, precision: Precision) -> CreationTime {
        CreationTime {
            at: Timestamp::from_micros(local_us).plus_micros(-self.offset_us),
            precision,
        }
    }

    /// The local day `day` of `month` (0 is January), this year or, where that lies ahead, last year.
    fn day_of_year(&self, month: usize, day: i64) -> Option<i64> {
        let in_year = |first: usize| {
            let (start, end) = (
                self.month_starts[first + month],
                self.month_starts[first + month + 1],
            );
            (day >= 1 && start + day <= end).then_some(start + day - 1)
        };
        in_year(12)
            .filter(|&day| day <= self.today)
            .or_else(|| in_year(0))
    }

    /// Below 24 hours of age. A time that lies within the clocks' slack ahead may be now or yesterday: `None`.
    fn time_of_day(&self, hours: u8, minutes: u8, half: &[u8]) -> Option<CreationTime> {
        let minute = clock_minutes(hour(hours, half)?, minutes)?;
        let at = self.today * DAY_US + minute * MINUTE_US;
        let ahead = at - self.now_us;
        if ahead <= 0 {
            Some(self.creation(at, Precision::Minute))
        } else if ahead > CLOCK_SLACK_US {
            Some(self.creation(at - DAY_US, Precision::Minute))
        } else {
            None
        }
    }

    /// The latest such hour that is at least a day and at most a week old, as the form is used for these only.
    fn weekday_hour(&self, weekday: i64, hour: u8) -> Option<CreationTime> {
        // 1970-01-01 was a Thursday, day 4 of a week that begins with Sunday.
        let today = (self.today + 4).rem_euclid(7);
        let days_ago = (today - weekday).rem_euclid(7);
        let at = |days_ago: i64| (self.today - days_ago) * DAY_US + i64::from(hour) * HOUR_US;
        [at(days_ago), at(days_ago + 7)]
            .into_iter()
            .find(|&at| {
                at <= self.now_us - DAY_US
                    && at + HOUR_US + CLOCK_SLACK_US > self.now_us - 7 * DAY_US
            })
            .map(|at| self.creation(at, Precision::Hour))
    }

    fn date(&self, day: u8, month: usize, year: u8) -> Option<CreationTime> {
        let month = i8::try_from(month + 1).ok()?;
        let day = day_number(2000 + i16::from(year), month, i8::try_from(day).ok()?)?;
        (day <= self.today).then(|| self.creation(day * DAY_US, Precision::Day))
    }
}

/// Days from 1970-01-01 to a date.
fn day_number(year: i16, month: i8, day: i8) -> Option<i64> {
    let midnight = jiff::civil::Date::new(year, month, day)
        .ok()?
        .to_datetime(jiff::civil::Time::midnight());
    let at = jiff::tz::Offset::UTC.to_timestamp(midnight).ok()?;
    Some(at.as_second().div_euclid(24 * 3600))
}

fn one(digit: u8) -> Option<u8> {
    digit.is_ascii_digit().then(|| digit - b'0')
}

/// Two digits; the first may be a blank.
fn two(tens: u8, ones: u8) -> Option<u8> {
    Some(one(tens)? * 10 + one(ones)?)
}

fn clock_minutes(hour: u8, minute: u8) -> Option<i64> {
    (hour < 24 && minute < 60).then(|| i64::from(hour) * 60 + i64::from(minute))
}

/// An hour of the day from a clock of 24 hours, or of 12 with `AM` or `PM` after it.
fn hour(hour: u8, half: &[u8]) -> Option<u8> {
    let afternoon = match half {
        [] => return (hour < 24).then_some(hour),
        [b'A' | b'a', b'M' | b'm'] => false,
        [b'P' | b'p', b'M' | b'm'] => true,
        _ => return None,
    };
    (1..=12)
        .contains(&hour)
        .then(|| hour % 12 + if afternoon { 12 } else { 0 })
}

fn weekday(name: [u8; 3]) -> Option<i64> {
    let names = [b"sun", b"mon", b"tue", b"wed", b"thu", b"fri", b"sat"];
    let name = name.map(|byte| byte.to_ascii_lowercase());
    (0..)
        .zip(names)
        .find(|&(_, candidate)| *candidate == name)
        .map(|(index, _)| index)
}

/// 0 is January.
fn month(name: [u8; 3]) -> Option<usize> {
    Some(match &name.map(|byte| byte.to_ascii_lowercase()) {
        b"jan" => 0,
        b"feb" => 1,
        b"mar" => 2,
        b"apr" => 3,
        b"may" => 4,
        b"jun" => 5,
        b"jul" => 6,
        b"aug" => 7,
        b"sep" => 8,
        b"oct" => 9,
        b"nov" => 10,
        b"dec" => 11,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_cpu(text: &str, expect_us: i64) {
        assert_eq!(ps_cpu_time(text.as_bytes()), Ok(Some(expect_us)), "{text}");
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
            assert_eq!(
                ps_cpu_time(text.as_bytes()),
                Err(LineReason::BadCpuTime),
                "{text}"
            );
        }
        assert_eq!(
            ps_cpu_time(b"999999999999999999:00"),
            Err(LineReason::Overflow)
        );
        assert_eq!(
            ps_cpu_time(b"99999999999999999999999:00"),
            Err(LineReason::Overflow)
        );
    }

    #[test]
    fn cpu_times_of_tasklist() {
        assert_eq!(tasklist_cpu_time("0:00:05"), Ok(Some(5_000_000)));
        assert_eq!(tasklist_cpu_time("1234:56:07"), Ok(Some(4_445_767_000_000)));
        assert_eq!(tasklist_cpu_time("0.01.05"), Ok(Some(65_000_000)));
        assert_eq!(tasklist_cpu_time("Nicht zutreffend"), Ok(None));
        assert_eq!(tasklist_cpu_time("0:05"), Err(LineReason::BadCpuTime));
        assert_eq!(tasklist_cpu_time("0:61:00"), Err(LineReason::BadCpuTime));
    }

    /// 2026-11-20 (a Friday) 14:30:10 at UTC+1.
    const OBSERVED_US: i64 = 1_795_181_410 * SECOND_US;

    fn utc(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().expect("a timestamp");
        Timestamp::from_micros(at.as_microsecond())
    }

    fn clock() -> LocalClock {
        assert_eq!(utc("2026-11-20T13:30:10Z").as_micros(), OBSERVED_US);
        LocalClock::new(Timestamp::from_micros(OBSERVED_US), Some(3600))
    }

    #[track_caller]
    fn check_start(got: Option<CreationTime>, expect: Option<(&str, Precision)>) {
        assert_eq!(
            got,
            expect.map(|(at, precision)| CreationTime {
                at: utc(at),
                precision
            })
        );
    }

    #[test]
    fn starts_of_linux() {
        use Precision::{Day, Minute, Year};
        let check = |text: &str, expect| check_start(clock().linux_start(text.as_bytes()), expect);
        check("14:05", Some(("2026-11-20T13:05:00Z", Minute)));
        check("00:10", Some(("2026-11-19T23:10:00Z", Minute)));
        check("14:31", Some(("2026-11-20T13:31:00Z", Minute)));
        check("23:59", Some(("2026-11-19T22:59:00Z", Minute)));
        check("Nov20", Some(("2026-11-19T23:00:00Z", Day)));
        check("Jan01", Some(("2025-12-31T23:00:00Z", Day)));
        check("Dec31", Some(("2025-12-30T23:00:00Z", Day)));
        check("2025", Some(("2024-12-31T23:00:00Z", Year)));
        for doubtful in [
            "24:00", "12:60", "Nov31", "Feb29", "Foo01", "2027", "?", "", "nov.20", "Nov00",
        ] {
            check(doubtful, None);
        }
    }

    #[test]
    fn starts_of_macos() {
        use Precision::{Day, Hour, Minute};
        let check = |text: &str, expect| check_start(clock().macos_start(text.as_bytes()), expect);
        check("9:05AM", Some(("2026-11-20T08:05:00Z", Minute)));
        check("12:30AM", Some(("2026-11-19T23:30:00Z", Minute)));
        check("12:30pm", Some(("2026-11-20T11:30:00Z", Minute)));
        check("11:05PM", Some(("2026-11-19T22:05:00Z", Minute)));
        check("14:05", Some(("2026-11-20T13:05:00Z", Minute)));
        check("9:24", Some(("2026-11-20T08:24:00Z", Minute)));
        check("2:31PM", None); // now, or yesterday
        check("Tue02PM", Some(("2026-11-17T13:00:00Z", Hour)));
        check("Tue14", Some(("2026-11-17T13:00:00Z", Hour)));
        check("Thu02PM", Some(("2026-11-19T13:00:00Z", Hour)));
        check("Fri02PM", Some(("2026-11-13T13:00:00Z", Hour))); // today's would stand as 2:05PM
        check("Fri11AM", None); // today's too young, last week's too old
        check("20Nov26", Some(("2026-11-19T23:00:00Z", Day)));
        check("9Mar23", Some(("2023-03-08T23:00:00Z", Day)));
        for doubtful in [
            "21Nov26",
            "30Feb24",
            "13:05PM",
            "0:05AM",
            "二03下午",
            "1:05上午",
            "Tue25",
            "",
            "-",
        ] {
            check(doubtful, None);
        }
    }

    #[test]
    fn without_an_offset_there_is_no_start() {
        let clock = LocalClock::new(Timestamp::from_micros(OBSERVED_US), None);
        check_start(clock.linux_start(b"14:05"), None);
        check_start(clock.macos_start(b"9:05AM"), None);
        for (at, offset) in [
            (i64::MAX, 3600),
            (i64::MIN, -3600),
            (0, i32::MAX),
            (0, i32::MAX - 1),
        ] {
            check_start(
                LocalClock::new(Timestamp::from_micros(at), Some(offset)).linux_start(b"14:05"),
                None,
            );
        }
    }
}
