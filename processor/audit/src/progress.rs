//! How far the rollups are, as stored and as published; and processes that belong to nothing.

use crate::facts::{Facts, StoredProgress};
use crate::names;
use crate::report::{AuditReport, Comparison, Subject};
use rollcall_domain::pipeline::Progress;
use rollcall_domain::{GroupingSet, Timestamp};

/// Compares what is stored of each partition with its last flushed PROGRESS.
pub(crate) fn compare(report: &mut AuditReport, facts: &Facts) {
    let label = |of: &StoredProgress| {
        format!(
            "{} rollups partition {}",
            of.grouping_set.as_str(),
            of.partition
        )
    };
    for published in &facts.published {
        let is_same = |stored: &&StoredProgress| {
            stored.grouping_set == published.grouping_set && stored.partition == published.partition
        };
        let Some(stored) = facts.progress.iter().find(is_same) else {
            report.one_sided(Subject::Progress, true, || label(published), "a row");
            continue;
        };
        let mut row = Comparison::new(Subject::Progress, || label(published));
        let (expected, found) = (&published.progress, &stored.progress);
        row.column("stage_time", bound(expected.stage_time), found.stage_time);
        row.column("folded_offsets", &expected.folded, &found.folded);
        row.column("closed_through", grains(expected), grains(found));
        report.compare(row);
    }
}

/// Tells of processes without their snapshot.
pub(crate) fn tell_orphans(report: &mut AuditReport, facts: &Facts) {
    for &(number, rows) in &facts.orphans {
        let label = || format!("snapshot number {number}");
        report.one_sided(
            Subject::Processes,
            false,
            label,
            format!("{rows} rows without their snapshot"),
        );
        report.compare_further(Subject::Processes, rows.max(1) as u64 - 1);
    }
}

/// Times as tables hold them, but "never" and "always" stay what they are.
fn bound(time: Timestamp) -> Timestamp {
    match time {
        Timestamp::MIN | Timestamp::MAX => time,
        time => names::time(time),
    }
}

fn grains(progress: &Progress) -> Vec<(GroupingSet, &'static str, Timestamp, Timestamp)> {
    let closed = progress.closed_through.iter().map(|closed| {
        let (through, from) = (bound(closed.through), bound(closed.counted_from));
        (closed.grouping_set, closed.grain.as_str(), through, from)
    });
    closed.collect()
}
