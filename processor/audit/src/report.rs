//! What was compared, what differs, and what could not be compared.

use rollcall_domain::{Grain, GroupingSet, Timestamp};
use std::collections::BTreeMap;

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// Rows of `process_snapshots`.
    Snapshots,
    /// Rows of `process_observations`, with all that they point to.
    Processes,
    /// Rows of `rejected_records`.
    RejectedRecords,
    /// Rows of `ledger`.
    Ledger,
    /// Rows of `rollup_progress`.
    Progress,
    /// Rows of a table of rollups.
    Rollups(GroupingSet, Grain),
}

impl Subject {
    /// Everything that is compared.
    pub fn all() -> impl Iterator<Item = Subject> {
        let rollups = GroupingSet::ALL.into_iter().flat_map(|set| {
            let grains = set.default_grains().iter();
            grains.map(move |grain| Subject::Rollups(set, *grain))
        });
        let others = [
            Subject::Snapshots,
            Subject::Processes,
            Subject::RejectedRecords,
            Subject::Ledger,
            Subject::Progress,
        ];
        others.into_iter().chain(rollups)
    }

    /// Its name, for people and machines.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Subject::Snapshots => "process_snapshots".to_owned(),
            Subject::Processes => "process_observations".to_owned(),
            Subject::RejectedRecords => "rejected_records".to_owned(),
            Subject::Ledger => "ledger".to_owned(),
            Subject::Progress => "rollup_progress".to_owned(),
            Subject::Rollups(set, grain) => {
                format!("{}_rollups/{}", set.as_str(), grain.as_str())
            }
        }
    }
}

/// How many rows of one subject were compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Check {
    /// Rows that were expected or found.
    pub compared: u64,
    /// Of these, rows that are missing, too many, or not as expected.
    pub differences: u64,
}

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What differs.
    pub subject: Subject,
    /// Which row.
    pub row: String,
    /// Which column; empty where the whole row is missing or too many.
    pub column: String,
    /// What the raw topic gives.
    pub expected: String,
    /// What the table holds.
    pub found: String,
}

/// What is reported apart, for it can't be compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Apart {
    /// Snapshots whose raw records are gone.
    SnapshotsBeforeRaw,
    /// Rejected records whose raw records are gone.
    LettersBeforeRaw,
    /// Rollup rows whose windows may hold records that are gone from the raw topic.
    RollupsBeforeRaw,
    /// Snapshots that were made by other rules: rollups are compared with what is recorded of them.
    OtherRules,
    /// Raw records that were judged while other rules were or may have been in force.
    JudgedByOtherRules,
    /// Records rejected for a schema that the registry did not know then and knows now.
    SchemaRegisteredSince,
    /// Snapshots and letters that retention has dropped.
    Expired,
    /// Snapshots that are folded but whose users are not recorded, for their details are not stored (any more, or yet).
    Unrecorded,
    /// Rollup rows of the windows that such snapshots fall into.
    RollupsOfUnrecorded,
    /// Rollup rows that begin before their grain was counted, or of a grain that is no longer kept.
    RollupsNotKept,
    /// Rollup rows that retention has dropped.
    RollupsExpired,
    /// Records that may repeat one that is gone from the raw topic and from the details.
    PerhapsRepeated,
    /// Raw partitions whose ledger can't be counted again, for their first records are gone or other rules were in force.
    LedgerNotCounted,
}

impl Apart {
    /// Whether only retention can be the cause, and no fault of the pipeline.
    #[must_use]
    pub const fn is_retention(self) -> bool {
        matches!(
            self,
            Apart::Expired | Apart::RollupsExpired | Apart::RollupsNotKept
        )
    }

    /// A sentence's part, for people.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Apart::SnapshotsBeforeRaw => "snapshots older than the raw topic's first record",
            Apart::LettersBeforeRaw => "rejected records older than the raw topic's first record",
            Apart::RollupsBeforeRaw => {
                "rollups of windows that began before the raw topic's first record"
            }
            Apart::OtherRules => {
                "snapshots normalized by other rules (rollups are compared with what is recorded of them)"
            }
            Apart::JudgedByOtherRules => "records judged while other rules may have been in force",
            Apart::SchemaRegisteredSince => {
                "records rejected for a schema that was registered only later"
            }
            Apart::Expired => "snapshots and rejected records that retention has dropped",
            Apart::Unrecorded => {
                "snapshots that are rolled up, but whose users are not recorded in the details"
            }
            Apart::RollupsOfUnrecorded => "rollups of the windows that those snapshots fall into",
            Apart::RollupsNotKept => {
                "rollups from before their grain was counted, or of a grain no longer kept"
            }
            Apart::RollupsExpired => "rollups that retention has dropped",
            Apart::PerhapsRepeated => "records that may repeat one that is gone",
            Apart::LedgerNotCounted => {
                "ledger rows that can't be counted again, only checked for balance"
            }
        }
    }

    /// Its name, for machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Apart::SnapshotsBeforeRaw => "snapshots_before_raw",
            Apart::LettersBeforeRaw => "rejected_records_before_raw",
            Apart::RollupsBeforeRaw => "rollups_before_raw",
            Apart::OtherRules => "snapshots_of_other_rules",
            Apart::JudgedByOtherRules => "records_judged_by_other_rules",
            Apart::SchemaRegisteredSince => "schema_registered_since",
            Apart::Expired => "expired",
            Apart::Unrecorded => "snapshots_unrecorded",
            Apart::RollupsOfUnrecorded => "rollups_of_unrecorded",
            Apart::RollupsNotKept => "rollups_not_kept",
            Apart::RollupsExpired => "rollups_expired",
            Apart::PerhapsRepeated => "records_perhaps_repeated",
            Apart::LedgerNotCounted => "ledger_not_counted",
        }
    }
}

/// The result.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditReport {
    /// Per subject.
    pub checks: BTreeMap<Subject, Check>,
    /// Some of the differences.
    pub examples: Vec<Difference>,
    /// What could not be compared.
    pub apart: BTreeMap<Apart, u64>,
    /// Raw records that were read.
    pub records: u64,
    /// Raw records that came after where the tables stand.
    pub pending: u64,
    examples_max: usize,
}

impl AuditReport {
    pub(crate) fn new(examples_max: usize) -> Self {
        Self {
            examples_max,
            ..Self::default()
        }
    }

    /// Rows that differ, of all subjects.
    #[must_use]
    pub fn differences(&self) -> u64 {
        self.checks.values().map(|check| check.differences).sum()
    }

    /// Rows that were compared, of all subjects.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.checks.values().map(|check| check.compared).sum()
    }

    pub(crate) fn set_apart(&mut self, what: Apart, count: u64) {
        if count > 0 {
            *self.apart.entry(what).or_default() += count;
        }
    }

    /// Counts one row as compared; one with differences counts once, however many columns differ.
    pub(crate) fn compare<R: Fn() -> String>(&mut self, comparison: Comparison<R>) {
        let check = self.checks.entry(comparison.subject).or_default();
        check.compared += 1;
        check.differences += u64::from(!comparison.differences.is_empty());
        if !comparison.differences.is_empty() {
            self.show(comparison);
        }
    }

    /// A few examples per subject, so that one broken table does not hide another.
    fn show<R: Fn() -> String>(&mut self, comparison: Comparison<R>) {
        let Comparison {
            subject,
            row,
            differences,
        } = comparison;
        let known = self
            .examples
            .iter()
            .filter(|example| example.subject == subject);
        let room = self.examples_max.saturating_sub(known.count());
        let examples = differences
            .into_iter()
            .take(room)
            .map(|differs| Difference {
                subject,
                row: row(),
                column: differs.column,
                expected: differs.expected,
                found: differs.found,
            });
        self.examples.extend(examples);
    }

    /// Notes a row that only one side has.
    pub(crate) fn one_sided(
        &mut self,
        subject: Subject,
        is_expected: bool,
        row: impl Fn() -> String,
        what: impl Into<String>,
    ) {
        let mut comparison = Comparison::new(subject, row);
        let (here, absent) = (what.into(), "no row".to_owned());
        let (expected, found) = if is_expected {
            (here, absent)
        } else {
            (absent, here)
        };
        comparison.differ("", expected, found);
        self.compare(comparison);
    }

    /// Counts rows that are missing or too many, beside the one that tells it.
    pub(crate) fn compare_further(&mut self, subject: Subject, count: u64) {
        let check = self.checks.entry(subject).or_default();
        check.compared += count;
        check.differences += count;
    }

    /// So that a subject that has no row at all is listed, too.
    pub(crate) fn list(&mut self, subject: Subject) {
        self.checks.entry(subject).or_default();
    }
}

/// One row's comparison. The row's name is made only where something differs: there are millions.
#[derive(Debug)]
pub(crate) struct Comparison<R> {
    subject: Subject,
    row: R,
    differences: Vec<Differs>,
}

/// A column that differs.
#[derive(Debug)]
struct Differs {
    column: String,
    expected: String,
    found: String,
}

impl<R> Comparison<R> {
    pub(crate) fn new(subject: Subject, row: R) -> Self {
        Self {
            subject,
            row,
            differences: Vec::new(),
        }
    }

    /// Compares one column.
    pub(crate) fn column<E, F>(&mut self, column: &str, expected: E, found: F)
    where
        E: PartialEq<F> + std::fmt::Debug,
        F: std::fmt::Debug,
    {
        if expected != found {
            self.differ(
                column,
                plain(&format!("{expected:?}")),
                plain(&format!("{found:?}")),
            );
        }
    }

    /// Notes a difference.
    pub(crate) fn differ(
        &mut self,
        column: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.differences.push(Differs {
            column: column.to_owned(),
            expected: bounded(expected.into()),
            found: bounded(found.into()),
        });
    }
}

/// A value as a person reads it.
fn plain(debug: &str) -> String {
    if debug == "None" {
        return "NULL".to_owned();
    }
    let inner = |text: &str, name: &str| {
        let inside = text.strip_prefix(name)?.strip_prefix('(')?;
        inside.strip_suffix(')').map(str::to_owned)
    };
    let value = inner(debug, "Some").unwrap_or_else(|| debug.to_owned());
    let micros = inner(&value, "Timestamp").and_then(|micros| micros.parse().ok());
    match micros {
        Some(micros) => format!("{} ({micros} µs)", utc(Timestamp::from_micros(micros))),
        None => value,
    }
}

/// A time as `2026-01-31 12:00:00Z`, by the civil calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub(crate) fn utc(time: Timestamp) -> String {
    let seconds = time.as_micros().div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}Z",
        second % 60
    )
}

/// Bytes of each side that an example shows.
const SIDE_BYTES: usize = 300;

fn bounded(mut text: String) -> String {
    if text.len() > SIDE_BYTES {
        text.truncate(text.floor_char_boundary(SIDE_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_utc() {
        let check = |seconds: i64, expect| {
            assert_eq!(utc(Timestamp::from_micros(seconds * 1_000_000)), expect);
        };
        check(0, "1970-01-01 00:00:00Z");
        check(-1, "1969-12-31 23:59:59Z");
        check(951_782_399, "2000-02-28 23:59:59Z");
        check(951_782_400, "2000-02-29 00:00:00Z");
        check(1_785_588_672, "2026-08-01 12:51:12Z");
    }

    #[test]
    fn values_are_printed_for_people() {
        let check = |debug: &str, expect| assert_eq!(plain(debug), expect);
        check(&format!("{:?}", Some(5)), "5");
        check(&format!("{:?}", None::<i64>), "NULL");
        check(&format!("{:?}", Some("a")), "\"a\"");
        check(
            &format!("{:?}", Some(Timestamp::from_micros(1_000_001))),
            "1970-01-01 00:00:01Z (1000001 µs)",
        );
    }
}
