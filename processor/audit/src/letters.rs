//! Rejected records and lines against what `rejected_records` holds.
//!
//! The detail, a sentence for a person, is not compared: it is the rejecting program's own wording.

use crate::facts::LettersReach;
use crate::judge::{Evidence, Rejected};
use crate::names;
use crate::report::{AuditReport, Comparison, Subject};
use crate::stored::StoredLetter;
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::{SnapshotId, Timestamp};
use rollcall_normalize::LineError;

/// Bytes of a rejected record or line that are kept.
const RAW_BYTES_KEPT: usize = 4096;
/// Rejected lines of one snapshot that are told; further ones are counted only.
const LINES_TOLD: usize = 1000;

/// A row that must be there.
pub(crate) struct ExpectedLetter<'a> {
    line: Option<i64>,
    reason: &'static str,
    machine_id: Option<String>,
    snapshot_id: Option<SnapshotId>,
    raw: &'a [u8],
}

/// The letter of a record that is rejected whole.
pub(crate) fn of_record<'a>(
    rejected: &Rejected,
    value: Option<&'a [u8]>,
) -> Vec<ExpectedLetter<'a>> {
    let (machine_id, snapshot_id) = rejected.origin.clone().unzip();
    vec![ExpectedLetter {
        line: None,
        reason: rejected.reason.as_str(),
        machine_id,
        snapshot_id,
        raw: value.unwrap_or_default(),
    }]
}

/// The letters of an accepted snapshot's rejected lines, in their order.
pub(crate) fn of_lines<'a>(
    machine: &str,
    id: SnapshotId,
    lines: &'a [LineError<'_>],
) -> Vec<ExpectedLetter<'a>> {
    let letter = |line: &'a LineError<'_>| ExpectedLetter {
        line: Some(i64::from(line.line)),
        reason: line.reason.as_str(),
        machine_id: Some(machine.to_owned()),
        snapshot_id: Some(id),
        raw: &line.raw,
    };
    lines.iter().take(LINES_TOLD).map(letter).collect()
}

/// How many of a record's letters must be stored, and whether further ones may be, by how far the lane has come.
pub(crate) fn stored_of(
    reach: LettersReach,
    offset: i64,
    expected: &[ExpectedLetter<'_>],
    more_follow: bool,
) -> usize {
    match reach {
        LettersReach::Nothing => 0,
        LettersReach::Through { offset: last, .. } if offset < last => expected.len(),
        LettersReach::Through { offset: last, line } if offset == last => {
            let at = expected.iter().position(|letter| letter.line == line);
            at.map_or(expected.len(), |at| at + 1)
        }
        LettersReach::Through { .. } => 0,
        LettersReach::LastRow if more_follow => expected.len(),
        LettersReach::LastRow => 0,
    }
}

/// Compares a record's letters. `found` are its rows.
pub(crate) fn compare(
    report: &mut AuditReport,
    evidence: &Evidence<'_>,
    topic: &str,
    expected: &[ExpectedLetter<'_>],
    mut found: Vec<StoredLetter>,
) {
    for letter in expected {
        let at = found.iter().position(|row| row.line == letter.line);
        match at {
            Some(at) => compare_one(report, evidence, topic, letter, &found.swap_remove(at)),
            None => report.one_sided(
                Subject::RejectedRecords,
                true,
                || label(evidence.source, letter.line),
                letter.reason,
            ),
        }
    }
    for row in &found {
        unexpected(report, row);
    }
}

/// A row that must not be there.
pub(crate) fn unexpected(report: &mut AuditReport, row: &StoredLetter) {
    let row_label = || label(row.source, row.line);
    report.one_sided(Subject::RejectedRecords, false, row_label, &*row.reason);
}

fn compare_one(
    report: &mut AuditReport,
    evidence: &Evidence<'_>,
    topic: &str,
    expected: &ExpectedLetter<'_>,
    found: &StoredLetter,
) {
    let mut row = Comparison::new(Subject::RejectedRecords, || {
        label(evidence.source, expected.line)
    });
    let machine = expected.machine_id.as_deref().map(names::name);
    let raw = &expected.raw[..expected.raw.len().min(RAW_BYTES_KEPT)];
    row.column("reason", expected.reason, &*found.reason);
    row.column("source_topic", &*names::text(topic), &*found.source_topic);
    row.column("whole_record", expected.line.is_none(), found.whole_record);
    row.column(
        "ingested_at",
        names::time(evidence.ingested_at),
        found.ingested_at,
    );
    row.column(
        "machine_id",
        machine.as_deref(),
        found.machine_id.as_deref(),
    );
    row.column("snapshot_id", expected.snapshot_id, found.snapshot_id);
    row.column("raw_length", expected.raw.len() as i64, found.raw_length);
    row.column("raw", raw, &*found.raw);
    report.compare(row);
}

pub(crate) fn label(source: SourceOffset, line: Option<i64>) -> String {
    let SourceOffset { partition, offset } = source;
    match line {
        None => format!("partition {partition} offset {offset}"),
        Some(line) => format!("partition {partition} offset {offset} line {line}"),
    }
}

/// Whether retention has dropped a letter.
pub(crate) fn is_expired(ingested_at: Timestamp, horizon: Timestamp) -> bool {
    names::time(ingested_at) < horizon
}
