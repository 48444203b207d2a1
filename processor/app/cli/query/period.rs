//! Periods as people type them: `--last 2h`, `--from 2026-03-10 --to 2026-03-11T12:00Z`. Times without an offset are UTC.

use crate::cli::settings::SettingsError;
use crate::postgres::queries::Period;
use rollcall_domain::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use rollcall_domain::{Grain, Timestamp};

/// What is looked at where nothing else is said.
const DEFAULT_US: i64 = DAY_US;
/// More than is kept of anything.
const LONGEST_US: i64 = 10 * 366 * DAY_US;

/// Which period.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct PeriodArgs {
    /// The last so many seconds, minutes, hours, days or weeks: 90s, 30m, 2h, 7d, 4w [default: 24h]
    #[arg(long, value_name = "LENGTH", value_parser = length)]
    last: Option<i64>,
    /// From this time on: 2026-03-10, 2026-03-10T14:30, 2026-03-10T14:30:00+01:00 (UTC where no offset is given)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Up to this time, itself not included [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
}

impl PeriodArgs {
    /// The last so many microseconds.
    pub(crate) const fn last(length_us: i64) -> Self {
        Self {
            last: Some(length_us),
            from: None,
            to: None,
        }
    }

    /// The period that is meant at this moment.
    pub(crate) fn resolve(self, now: Timestamp) -> Result<Period, SettingsError> {
        let length = self.last.unwrap_or(DEFAULT_US);
        let (from, to) = match (self.last, self.from, self.to) {
            (Some(_), Some(_), Some(_)) => {
                return Err(wrong(
                    "last",
                    "with --from and --to",
                    "with one of them only",
                ));
            }
            (Some(_), Some(from), None) => (from, from.plus_micros(length)),
            (None, Some(from), None) => (from, now),
            (None, Some(from), Some(to)) => (from, to),
            // Clocks differ a little: what came this minute is meant too.
            (_, None, None) => (now.plus_micros(-length), now.plus_micros(MINUTE_US)),
            (_, None, Some(to)) => (to.plus_micros(-length), to),
        };
        if from >= to {
            return Err(wrong(
                "from",
                &text(from),
                &format!("a time before the period's end, {}", text(to)),
            ));
        }
        Ok(Period { from, to })
    }
}

fn wrong(key: &'static str, value: &str, allowed: &str) -> SettingsError {
    SettingsError {
        key,
        value: value.to_owned(),
        allowed: allowed.to_owned(),
    }
}

fn length(text: &str) -> Result<i64, String> {
    let allowed = "allowed is a number with s, m, h, d or w, as 2h, of ten years at most";
    let (unit_at, unit) = text.char_indices().last().ok_or(allowed)?;
    let unit_us = match unit {
        's' => SECOND_US,
        'm' => MINUTE_US,
        'h' => HOUR_US,
        'd' => DAY_US,
        'w' => 7 * DAY_US,
        _ => return Err(allowed.to_owned()),
    };
    let count: i64 = text[..unit_at].parse().map_err(|_| allowed)?;
    match count.checked_mul(unit_us) {
        Some(length) if (1..=LONGEST_US).contains(&length) => Ok(length),
        _ => Err(allowed.to_owned()),
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    let with_offset = text.parse::<jiff::Timestamp>();
    let utc = || {
        let local: jiff::civil::DateTime = text.parse()?;
        local.to_zoned(jiff::tz::TimeZone::UTC)
    };
    let time = match with_offset {
        Ok(time) => time,
        Err(_) => utc()
            .map_err(|_| "allowed is a time as 2026-03-10, 2026-03-10T14:30 or 2026-03-10T14:30:00+01:00")?
            .timestamp(),
    };
    Ok(Timestamp::from_micros(time.as_microsecond()))
}

/// The period widened to whole windows of a grain.
pub(crate) fn widened(period: Period, grain: Grain) -> Period {
    let last = grain.window_of(period.to.plus_micros(-1));
    Period {
        from: grain.window_of(period.from).start,
        to: last.end(),
    }
}

/// A time to the second, in UTC; what jiff can't say is out of all calendars.
pub(crate) fn text(time: Timestamp) -> String {
    let Ok(time) = jiff::Timestamp::from_microsecond(time.as_micros()) else {
        return "beyond all calendars".to_owned();
    };
    let text = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    match text.strip_suffix(":00") {
        Some(minutes) => minutes.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        period: PeriodArgs,
    }

    #[track_caller]
    fn check(arguments: &str, expect: Result<(&str, &str), &str>) {
        let now = instant("2026-03-10T12:00:30Z").expect("a time");
        let arguments = std::iter::once("test").chain(arguments.split_whitespace());
        let period = Only::try_parse_from(arguments)
            .map_err(|error| error.to_string())
            .and_then(|only| {
                let period = only.period.resolve(now);
                period.map_err(|error| error.to_string())
            })
            .map(|period| (text(period.from), text(period.to)));
        match expect {
            Ok((from, to)) => assert_eq!(period, Ok((from.to_owned(), to.to_owned()))),
            Err(words) => {
                let error = period.expect_err("it is wrong");
                assert!(error.contains(words), "{error}");
            }
        }
    }

    #[test]
    fn what_people_type() {
        check("", Ok(("2026-03-09 12:00:30", "2026-03-10 12:01:30")));
        check(
            "--last 2h",
            Ok(("2026-03-10 10:00:30", "2026-03-10 12:01:30")),
        );
        check(
            "--last 1w --to 2026-03-08",
            Ok(("2026-03-01 00:00", "2026-03-08 00:00")),
        );
        check(
            "--last 90s --from 2026-03-08",
            Ok(("2026-03-08 00:00", "2026-03-08 00:01:30")),
        );
        check(
            "--from 2026-03-08T10:30",
            Ok(("2026-03-08 10:30", "2026-03-10 12:00:30")),
        );
        check(
            "--from 2026-03-08T10:30:00+01:00 --to 2026-03-08T10:30Z",
            Ok(("2026-03-08 09:30", "2026-03-08 10:30")),
        );
    }

    #[test]
    fn what_can_not_be_meant() {
        check("--last 2", Err("a number with s, m, h, d or w"));
        check("--last 0h", Err("a number with s, m, h, d or w"));
        check("--last -1h", Err("unexpected argument"));
        check("--last=-1h", Err("a number with s, m, h, d or w"));
        check("--last 99999999999999w", Err("of ten years at most"));
        check("--last 5€", Err("a number with s, m, h, d or w"));
        check("--from tuesday", Err("allowed is a time as 2026-03-10"));
        check(
            "--from 2026-03-09 --to 2026-03-09",
            Err(
                "setting from = \"2026-03-09 00:00\" is wrong; allowed is a time before the period's end, 2026-03-09 00:00",
            ),
        );
        check(
            "--last 1h --from 2026-03-01 --to 2026-03-02",
            Err("with one of them only"),
        );
    }

    #[test]
    fn whole_windows() {
        let period = |from, to| Period {
            from: instant(from).expect("a time"),
            to: instant(to).expect("a time"),
        };
        let hours = period("2026-03-08T10:00", "2026-03-08T12:00");
        assert_eq!(widened(hours, Grain::Hour), hours);
        let within = period("2026-03-08T10:59:59", "2026-03-08T11:00:01");
        assert_eq!(widened(within, Grain::Hour), hours);
    }
}
