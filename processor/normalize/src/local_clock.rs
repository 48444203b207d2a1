//! Start times as listings print them: when in the machine's local time, without a zone.
//!
//! [`LocalClock`] turns them into UTC with the offset that the snapshot gives; without an offset every one is `None`. The
//! offset is that of the observation: a process from before a change to or from summer time is off by that hour.

use crate::cpu_time::ps_cpu_time;
use crate::notes::NullReason;
use crate::number::unsigned;
use rollcall_domain::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use rollcall_domain::{CreationTime, Precision, Timestamp};

/// Local times are at most this far from UTC (UTC+14 is the farthest in use).
const MAX_OFFSET_SECONDS: u32 = 18 * 3600;
/// How far a listing's own clock may run ahead of the observation's, which is often taken just before the command.
const CLOCK_SLACK_US: i64 = MINUTE_US;

/// How long after midnight an observation may be of a listing that was taken before.
const MIDNIGHT_SLACK_US: i64 = 10 * MINUTE_US;

/// A start time, `Ok(None)` where the listing itself says that it has none.
pub(crate) type Start = Result<Option<CreationTime>, NullReason>;

/// The machine's local calendar at the observation, for start times that name only a part of it.
#[derive(Clone, Debug)]
pub struct LocalClock {
    observed_at: Timestamp,
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
            observed_at,
            local: utc_offset_seconds.and_then(|offset| Local::new(observed_at, offset)),
        }
    }

    /// procps' START or STIME: `HH:MM` for the same day, `MmmDD` for the same year, else `YYYY`.
    ///
    /// A time of day later than the observation is yesterday's if that was a few minutes ago, for the listing may have been
    /// taken before midnight, or if such times are printed for a whole day (`of_last_day`); so is a day of the year last
    /// year's. Else the machine's clock or its offset is wrong.
    #[inline(always)]
    pub(crate) fn linux_start(&self, text: &[u8], of_last_day: bool) -> Start {
        let Some(local) = &self.local else {
            return without_offset(text);
        };
        match *text {
            [a, b, b':', c, d] => {
                let digits = [a, b, c, d].map(|byte| byte.wrapping_sub(b'0'));
                let [hour, minute] = [[digits[0], digits[1]], [digits[2], digits[3]]]
                    .map(|[tens, ones]| tens.wrapping_mul(10).wrapping_add(ones));
                if digits.iter().any(|digit| *digit > 9) || hour >= 24 || minute >= 60 {
                    return Err(NullReason::StartUnreadable);
                }
                let minute = i64::from(hour) * 60 + i64::from(minute);
                let at = local.today * DAY_US + minute * MINUTE_US;
                if at > local.now_us + CLOCK_SLACK_US {
                    return local.yesterday(at, of_last_day);
                }
                Ok(Some(local.creation(at, Precision::Minute)))
            }
            _ => local.linux_day(text),
        }
    }

    /// A whole local date and time, in microseconds since the local epoch.
    pub(crate) fn local_time(&self, local_us: i64, precision: Precision) -> Start {
        let Some(local) = &self.local else {
            return Err(NullReason::UtcOffsetMissing);
        };
        if local_us > local.now_us + CLOCK_SLACK_US {
            return Err(NullReason::StartInFuture);
        }
        Ok(Some(local.creation(local_us, precision)))
    }

    /// macOS' STARTED or STIME: `9:05AM` or `9:05` below 24 hours of age, `Tue02PM` or `Tue14` below a week, else
    /// `20Nov26`. Other languages' weekdays, months and day halves are not read.
    #[inline]
    pub(crate) fn macos_start(&self, text: &[u8]) -> Start {
        let Some(local) = &self.local else {
            return without_offset(text);
        };
        let unreadable = NullReason::StartUnreadable;
        match *text {
            [h, b':', c, d, ref half @ ..] => local.time_of_day(one(h), two(c, d), half),
            [g, h, b':', c, d, ref half @ ..] => local.time_of_day(two(g, h), two(c, d), half),
            [w1, w2, w3, g, h, ref half @ ..] if w1.is_ascii_alphabetic() => {
                let weekday = weekday([w1, w2, w3]).ok_or(unreadable)?;
                let hour = two(g, h).and_then(|h| hour(h, half)).ok_or(unreadable)?;
                local.weekday_hour(weekday, hour)
            }
            [d, m1, m2, m3, y, e] => local.date(one(d), month([m1, m2, m3]), two(y, e)),
            [c, d, m1, m2, m3, y, e] => local.date(two(c, d), month([m1, m2, m3]), two(y, e)),
            _ => absent(text),
        }
    }
}

impl LocalClock {
    /// procps' `start` and `lstart`, and macOS' `lstart`: `09:05:11` below 24 hours of age, `Nov 20` above, or a whole
    /// date as `Thu Nov 20 09:05:11 2025` or `Thu 20 Nov 09:05:11 2025`.
    pub(crate) fn date(&self, text: &str) -> Start {
        let words: Vec<&str> = text.split_ascii_whitespace().take(6).collect();
        if words.is_empty() {
            return Ok(None);
        }
        let Some(local) = &self.local else {
            return without_offset(text.as_bytes());
        };
        match *words {
            [time] if time.contains(':') => local.recent(time),
            // Of which year is not said.
            [name, day] if month_of(name).is_some() && day.parse::<u8>().is_ok() => {
                Err(NullReason::StartAmbiguous)
            }
            [_, name, day, time, year] if month_of(name).is_some() => {
                local.full_date(day, name, time, year)
            }
            [_, day, name, time, year] => local.full_date(day, name, time, year),
            _ => absent(text.as_bytes()),
        }
    }

    /// `start`, unless it lies more than a day after the observation: clocks differ, and the observation's time may be
    /// the receiver's, but not by days.
    pub(crate) fn not_in_future(&self, start: Start) -> Start {
        match start {
            Ok(Some(created)) if created.at > self.observed_at.plus_micros(DAY_US) => {
                Err(NullReason::StartInFuture)
            }
            other => other,
        }
    }

    /// The time since the start, `[[D-]HH:]MM:SS` or seconds: it needs no offset. The listing was taken within a minute
    /// of the observation.
    pub(crate) fn elapsed(&self, text: &str) -> Start {
        let seconds = match unsigned(text.as_bytes()) {
            Ok(seconds) => seconds.checked_mul(SECOND_US as u64).map(|us| us as i64),
            Err(_) => match ps_cpu_time(text.as_bytes()) {
                Ok(None) => return Ok(None),
                Ok(us) => us,
                Err(_) => None,
            },
        };
        let elapsed_us = seconds
            .filter(|us| *us >= 0)
            .ok_or(NullReason::StartUnreadable)?;
        let at = self.observed_at.as_micros().checked_sub(elapsed_us);
        let at = at.and_then(|at| at.checked_sub(SECOND_US));
        let at = at.ok_or(NullReason::StartUnreadable)?;
        Ok(Some(CreationTime {
            at: Timestamp::from_micros(at),
            precision: Precision::Minute,
        }))
    }
}

/// What a listing prints for no start time, or else one that can't be read.
#[cold]
fn absent(text: &[u8]) -> Start {
    match text {
        b"-" | b"?" | b"" => Ok(None),
        _ => Err(NullReason::StartUnreadable),
    }
}

#[cold]
fn without_offset(text: &[u8]) -> Start {
    absent(text).map_err(|_| NullReason::UtcOffsetMissing)
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

    /// A time of day that lies ahead.
    #[cold]
    fn yesterday(&self, at: i64, of_last_day: bool) -> Start {
        if of_last_day || self.is_just_after(self.today) {
            Ok(Some(self.creation(at - DAY_US, Precision::Minute)))
        } else {
            Err(NullReason::StartInFuture)
        }
    }

    /// Whether the observation was made so shortly after midnight that the listing may be from before.
    fn is_just_after(&self, day: i64) -> bool {
        self.now_us - day * DAY_US < MIDNIGHT_SLACK_US
    }

    /// procps' `MmmDD` and `YYYY`.
    fn linux_day(&self, text: &[u8]) -> Start {
        let unreadable = NullReason::StartUnreadable;
        match *text {
            [y @ b'0'..=b'9', e, a, r] => {
                let (century, rest) = two(y, e).zip(two(a, r)).ok_or(unreadable)?;
                let year = i16::from(century) * 100 + i16::from(rest);
                if year > self.year {
                    return Err(NullReason::StartInFuture);
                }
                let day = day_number(year, 1, 1).ok_or(unreadable)?;
                Ok(Some(self.creation(day * DAY_US, Precision::Year)))
            }
            [m1, m2, m3, a, b] => {
                let month = month([m1, m2, m3]).ok_or(unreadable)?;
                let day = i64::from(two(a, b).ok_or(unreadable)?);
                let day = self.day_of_year(month, day)?;
                Ok(Some(self.creation(day * DAY_US, Precision::Day)))
            }
            _ => absent(text),
        }
    }

    /// The local day `day` of `month` (0 is January), this year or, just after New Year, last year.
    fn day_of_year(&self, month: usize, day: i64) -> Result<i64, NullReason> {
        let in_year = |first: usize| {
            let (start, end) = (
                self.month_starts[first + month],
                self.month_starts[first + month + 1],
            );
            (day >= 1 && start + day <= end).then_some(start + day - 1)
        };
        let this_year = in_year(12);
        match this_year.filter(|&day| day <= self.today) {
            Some(day) => Ok(day),
            None if self.is_just_after(self.month_starts[12]) => {
                in_year(0).ok_or(NullReason::StartUnreadable)
            }
            None => Err(match this_year {
                Some(_) => NullReason::StartInFuture,
                None => NullReason::StartUnreadable,
            }),
        }
    }

    /// `HH:MM:SS` below 24 hours of age.
    fn recent(&self, time: &str) -> Start {
        let seconds = clock_seconds(time).ok_or(NullReason::StartUnreadable)?;
        let at = self.today * DAY_US + seconds * SECOND_US;
        let ahead = at - self.now_us;
        if ahead <= 0 {
            Ok(Some(self.creation(at, Precision::Second)))
        } else if ahead > CLOCK_SLACK_US {
            Ok(Some(self.creation(at - DAY_US, Precision::Second)))
        } else {
            Err(NullReason::StartAmbiguous)
        }
    }

    /// A date with its year and a time.
    fn full_date(&self, day: &str, month: &str, time: &str, year: &str) -> Start {
        let number = || {
            let month = i8::try_from(month_of(month)? + 1).ok()?;
            let day = day_number(year.parse().ok()?, month, day.parse().ok()?)?;
            Some(day * DAY_US + clock_seconds(time)? * SECOND_US)
        };
        let at = number().ok_or(NullReason::StartUnreadable)?;
        if at > self.now_us + CLOCK_SLACK_US {
            return Err(NullReason::StartInFuture);
        }
        Ok(Some(self.creation(at, Precision::Second)))
    }

    /// Below 24 hours of age. A time that lies within the clocks' slack ahead may be now or yesterday.
    #[inline]
    fn time_of_day(&self, hours: Option<u8>, minutes: Option<u8>, half: &[u8]) -> Start {
        let minute = hours
            .and_then(|hours| hour(hours, half))
            .zip(minutes)
            .and_then(|(hour, minute)| clock_minutes(hour, minute))
            .ok_or(NullReason::StartUnreadable)?;
        let at = self.today * DAY_US + minute * MINUTE_US;
        let ahead = at - self.now_us;
        if ahead <= 0 {
            Ok(Some(self.creation(at, Precision::Minute)))
        } else if ahead > CLOCK_SLACK_US {
            Ok(Some(self.creation(at - DAY_US, Precision::Minute)))
        } else {
            Err(NullReason::StartAmbiguous)
        }
    }

    /// The latest such hour that is at least a day and at most a week old, as the form is used for these only.
    fn weekday_hour(&self, weekday: i64, hour: u8) -> Start {
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
            .map(|at| Some(self.creation(at, Precision::Hour)))
            .ok_or(NullReason::StartAmbiguous)
    }

    fn date(&self, day: Option<u8>, month: Option<usize>, year: Option<u8>) -> Start {
        let number = || {
            let month = i8::try_from(month? + 1).ok()?;
            day_number(2000 + i16::from(year?), month, i8::try_from(day?).ok()?)
        };
        let day = number().ok_or(NullReason::StartUnreadable)?;
        if day > self.today {
            return Err(NullReason::StartInFuture);
        }
        Ok(Some(self.creation(day * DAY_US, Precision::Day)))
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

/// `HH:MM:SS`.
fn clock_seconds(text: &str) -> Option<i64> {
    match *text.as_bytes() {
        [a, b, b':', c, d, b':', e, f] => {
            let minutes = clock_minutes(two(a, b)?, two(c, d)?)?;
            let seconds = two(e, f).filter(|seconds| *seconds < 60)?;
            Some(minutes * 60 + i64::from(seconds))
        }
        _ => None,
    }
}

/// 0 is January.
fn month_of(name: &str) -> Option<usize> {
    month(name.as_bytes().try_into().ok()?)
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
    fn check_start(got: Start, expect: Result<(&str, Precision), NullReason>) {
        let expect = expect.map(|(at, precision)| {
            Some(CreationTime {
                at: utc(at),
                precision,
            })
        });
        assert_eq!(got, expect);
    }

    #[test]
    fn starts_of_linux() {
        use NullReason::{StartInFuture, StartUnreadable};
        use Precision::{Day, Minute, Year};
        let check = |text: &str, expect| {
            check_start(clock().linux_start(text.as_bytes(), false), expect);
        };
        check("14:05", Ok(("2026-11-20T13:05:00Z", Minute)));
        check("00:10", Ok(("2026-11-19T23:10:00Z", Minute)));
        check("14:31", Ok(("2026-11-20T13:31:00Z", Minute)));
        check("14:32", Err(StartInFuture));
        check("23:59", Err(StartInFuture));
        let last_day = clock().linux_start(b"23:59", true);
        check_start(last_day, Ok(("2026-11-19T22:59:00Z", Minute)));
        check("Nov20", Ok(("2026-11-19T23:00:00Z", Day)));
        check("Nov21", Err(StartInFuture));
        check("Jan01", Ok(("2025-12-31T23:00:00Z", Day)));
        check("Dec31", Err(StartInFuture));
        check("2025", Ok(("2024-12-31T23:00:00Z", Year)));
        check("2027", Err(StartInFuture));
        for doubtful in [
            "24:00", "12:60", "Nov31", "Feb29", "Foo01", "nov.20", "Nov00", "Dez24",
        ] {
            check(doubtful, Err(StartUnreadable));
        }
        for absent in ["?", "-", ""] {
            assert_eq!(clock().linux_start(absent.as_bytes(), false), Ok(None));
        }
    }

    #[test]
    fn listings_from_before_midnight() {
        use NullReason::StartInFuture;
        use Precision::{Day, Minute};
        // At UTC+1.
        let check = |observed_at: &str, text: &str, expect| {
            let clock = LocalClock::new(utc(observed_at), Some(3600));
            check_start(clock.linux_start(text.as_bytes(), false), expect);
        };
        let new_year = "2025-12-31T23:09:59Z";
        check(new_year, "23:58", Ok(("2025-12-31T22:58:00Z", Minute)));
        check(new_year, "Dec30", Ok(("2025-12-29T23:00:00Z", Day)));
        check(new_year, "Jan01", Ok(("2025-12-31T23:00:00Z", Day)));
        let later = "2025-12-31T23:10:00Z";
        check(later, "23:58", Err(StartInFuture));
        check(later, "Dec30", Err(StartInFuture));
        let leap_day = "2024-12-31T23:00:00Z";
        check(leap_day, "Feb29", Ok(("2024-02-28T23:00:00Z", Day)));
    }

    #[test]
    fn starts_of_macos() {
        use NullReason::{StartAmbiguous, StartInFuture, StartUnreadable};
        use Precision::{Day, Hour, Minute};
        let check = |text: &str, expect| check_start(clock().macos_start(text.as_bytes()), expect);
        check("9:05AM", Ok(("2026-11-20T08:05:00Z", Minute)));
        check("12:30AM", Ok(("2026-11-19T23:30:00Z", Minute)));
        check("12:30pm", Ok(("2026-11-20T11:30:00Z", Minute)));
        check("11:05PM", Ok(("2026-11-19T22:05:00Z", Minute)));
        check("14:05", Ok(("2026-11-20T13:05:00Z", Minute)));
        check("9:24", Ok(("2026-11-20T08:24:00Z", Minute)));
        check("2:31PM", Err(StartAmbiguous)); // now, or yesterday
        check("Tue02PM", Ok(("2026-11-17T13:00:00Z", Hour)));
        check("Tue14", Ok(("2026-11-17T13:00:00Z", Hour)));
        check("Thu02PM", Ok(("2026-11-19T13:00:00Z", Hour)));
        check("Fri02PM", Ok(("2026-11-13T13:00:00Z", Hour))); // today's would stand as 2:05PM
        check("Fri11AM", Err(StartAmbiguous)); // today's too young, last week's too old
        check("20Nov26", Ok(("2026-11-19T23:00:00Z", Day)));
        check("9Mar23", Ok(("2023-03-08T23:00:00Z", Day)));
        check("21Nov26", Err(StartInFuture));
        for doubtful in [
            "30Feb24",
            "13:05PM",
            "0:05AM",
            "二03下午",
            "1:05上午",
            "Tue25",
        ] {
            check(doubtful, Err(StartUnreadable));
        }
        for absent in ["-", ""] {
            assert_eq!(clock().macos_start(absent.as_bytes()), Ok(None));
        }
    }

    #[test]
    fn whole_dates() {
        use NullReason::{StartAmbiguous, StartInFuture, StartUnreadable};
        let check = |text: &str, expect: Result<&str, NullReason>| {
            let expect = expect.map(|at| (at, Precision::Second));
            check_start(clock().date(text), expect);
        };
        check("09:05:11", Ok("2026-11-20T08:05:11Z"));
        check("14:30:10", Ok("2026-11-20T13:30:10Z"));
        check("14:30:11", Err(StartAmbiguous)); // the clock is a second ahead, or it was yesterday
        check("14:32:11", Ok("2026-11-19T13:32:11Z"));
        check("Nov 19", Err(StartAmbiguous)); // of any year
        check("Thu Nov  5 09:05:11 2025", Ok("2025-11-05T08:05:11Z"));
        check("Do 20 Nov 09:05:11 2025", Ok("2025-11-20T08:05:11Z"));
        check("Sat Nov 21 09:05:11 2026", Err(StartInFuture));
        for unreadable in [
            "Thu Nov 31 09:05:11 2025",
            "Thu Nov 20 09:65:11 2025",
            "Do 20 Dez 09:05:11 2025",
            "Nov 20 2025",
            "9:5",
            "x",
        ] {
            check(unreadable, Err(StartUnreadable));
        }
        assert_eq!(clock().date("-"), Ok(None));
        assert_eq!(clock().date(""), Ok(None));
    }

    #[test]
    fn elapsed_times() {
        let check = |text: &str, expect: Result<&str, NullReason>| {
            let clock = LocalClock::new(Timestamp::from_micros(OBSERVED_US), None);
            let expect = expect.map(|at| (at, Precision::Minute));
            check_start(clock.elapsed(text), expect);
        };
        check("00:00", Ok("2026-11-20T13:30:09Z"));
        check("01:00:09", Ok("2026-11-20T12:30:00Z"));
        check("2-01:00:09", Ok("2026-11-18T12:30:00Z"));
        check("3609", Ok("2026-11-20T12:30:00Z"));
        for unreadable in [
            "",
            "x",
            "1:2",
            "99999999999999999999",
            "18446744073709551615",
        ] {
            check(unreadable, Err(NullReason::StartUnreadable));
        }
        assert_eq!(clock().elapsed("-"), Ok(None));
    }

    #[test]
    fn without_an_offset_there_is_no_start() {
        let missing = || Err(NullReason::UtcOffsetMissing);
        let clock = LocalClock::new(Timestamp::from_micros(OBSERVED_US), None);
        check_start(clock.linux_start(b"14:05", false), missing());
        check_start(clock.macos_start(b"9:05AM"), missing());
        check_start(clock.date("09:05:11"), missing());
        assert_eq!(clock.linux_start(b"-", false), Ok(None));
        for (at, offset) in [
            (i64::MAX, 3600),
            (i64::MIN, -3600),
            (0, i32::MAX),
            (0, i32::MAX - 1),
        ] {
            let clock = LocalClock::new(Timestamp::from_micros(at), Some(offset));
            check_start(clock.linux_start(b"14:05", false), missing());
        }
    }
}
