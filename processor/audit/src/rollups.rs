//! Rows of rollups against the fold.

use crate::facts::{Facts, Vectors};
use crate::fold::{Fold, RowKey, SetWindow, Total, window_us};
use crate::report::{Apart, AuditReport, Comparison, Subject, utc};
use crate::stored::StoredRollup;
use rollcall_domain::hash::partition_for;
use rollcall_domain::{GroupingSet, Os, RollupKey, Timestamp};

/// What decides whether a window can be compared.
pub(crate) struct Windows<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) vectors: &'a Vectors,
    /// Windows that start before may hold records that are gone.
    pub(crate) whole_from: Timestamp,
}

impl Windows<'_> {
    fn is_expired(&self, (set, grain, start): SetWindow) -> bool {
        start < self.facts.horizons.rollups[set as usize][grain as usize]
    }

    /// Why a window can't be compared.
    fn apart(&self, fold: &Fold, window: SetWindow) -> Option<Apart> {
        if window.2 < self.whole_from {
            Some(Apart::RollupsBeforeRaw)
        } else if fold.unknown.contains(&window) {
            Some(Apart::RollupsOfUnrecorded)
        } else {
            None
        }
    }
}

/// Compares one row, and takes it out of what is expected.
pub(crate) fn compare(
    report: &mut AuditReport,
    fold: &mut Fold,
    windows: &Windows<'_>,
    found: &StoredRollup,
) {
    let columns: Box<[Box<str>]> = found.key.iter().map(|column| (&**column).into()).collect();
    if !fold.share.holds(&columns) {
        return;
    }
    let key = RowKey {
        set: found.grouping_set,
        grain: found.grain,
        start: found.window_start,
        columns,
    };
    let window = (key.set, key.grain, key.start);
    let subject = Subject::Rollups(key.set, key.grain);
    let expected = fold.rows.remove(&key);
    if windows.is_expired(window) {
        report.one_sided(
            subject,
            false,
            || label(&key),
            "a row of what retention has dropped",
        );
    } else if let Some(apart) = windows.apart(fold, window) {
        report.set_apart(apart, 1);
    } else if let Some(total) = expected {
        compare_row(report, windows, &key, &total, found);
    } else if is_not_kept(windows, &key) {
        report.set_apart(Apart::RollupsNotKept, 1);
    } else {
        report.one_sided(subject, false, || label(&key), "a row");
    }
}

/// Expected rows that were not found.
pub(crate) fn missing(report: &mut AuditReport, fold: &mut Fold, windows: &Windows<'_>) {
    let mut left: Vec<RowKey> = std::mem::take(&mut fold.rows).into_keys().collect();
    left.sort_unstable();
    for key in left {
        let window = (key.set, key.grain, key.start);
        if windows.is_expired(window) {
            report.set_apart(Apart::RollupsExpired, 1);
        } else if let Some(apart) = windows.apart(fold, window) {
            report.set_apart(apart, 1);
        } else {
            report.one_sided(
                Subject::Rollups(key.set, key.grain),
                true,
                || label(&key),
                "a row",
            );
        }
    }
}

/// Whether a row is of a grain, or from before a time, that its partition does not count.
fn is_not_kept(windows: &Windows<'_>, key: &RowKey) -> bool {
    let Some(rollup_key) = key_of(key) else {
        return false;
    };
    let partition = partition_for(
        rollup_key.to_text().as_bytes(),
        windows.vectors.partitions(),
    );
    let Some(vector) = windows.vectors.of(key.set, partition) else {
        return false;
    };
    match vector.grain(key.grain) {
        Some(kept) => key.start < kept.counted_from,
        None => true,
    }
}

fn key_of(key: &RowKey) -> Option<RollupKey<'_>> {
    match (key.set, &*key.columns) {
        (GroupingSet::User, [user]) => Some(RollupKey::User((&**user).into())),
        (GroupingSet::Faculty, [faculty]) => Some(RollupKey::Faculty((&**faculty).into())),
        (GroupingSet::Application, [faculty, os, application]) => Some(RollupKey::Application {
            faculty: (&**faculty).into(),
            os: Os::parse(os)?,
            application: (&**application).into(),
        }),
        _ => None,
    }
}

fn compare_row(
    report: &mut AuditReport,
    windows: &Windows<'_>,
    key: &RowKey,
    total: &Total,
    found: &StoredRollup,
) {
    let mut row = Comparison::new(Subject::Rollups(key.set, key.grain), || label(key));
    let end = key.start.plus_micros(window_us(key.grain));
    let vector = windows.vectors.of(key.set, total.partition);
    let through = vector
        .and_then(|vector| vector.grain(key.grain))
        .map(|grain| grain.through);
    row.column(
        "closed",
        through.is_some_and(|through| end <= through),
        found.closed,
    );
    for (column, value) in &found.numbers {
        match number(total, column) {
            Some(expected) => row.column(column, expected, *value),
            None => row.differ(
                column,
                "a column that the audit knows",
                "one that it does not",
            ),
        }
    }
    for (column, bytes) in &found.sketches {
        let expected = match *column {
            "machines_hll" => total.machines.stored(),
            "users_hll" => total.users.stored(),
            "applications_hll" => total.applications.stored(),
            "machine_minutes_hll" => total.machine_minutes.stored(),
            _ => Vec::new(),
        };
        if expected != *bytes {
            row.differ(column, hex(&expected), hex(bytes));
        }
    }
    row.column(
        "memory_sketch_indexes",
        total.memory.bucket_indexes(),
        found.memory_sketch_indexes.clone(),
    );
    row.column(
        "memory_sketch_counts",
        total.memory.bucket_counts(),
        found.memory_sketch_counts.clone(),
    );
    report.compare(row);
}

/// The number that a column must hold; the outer `None`: no such column is known.
fn number(total: &Total, column: &str) -> Option<Option<i64>> {
    let memory = &total.memory;
    let micros = |time: Option<Timestamp>| time.map(Timestamp::as_micros);
    Some(match column {
        "snapshots" => Some(total.snapshots),
        "processes" => Some(total.processes),
        "cpu_time_us" => Some(total.cpu_time_us()),
        "machines" => Some(total.machines.count()),
        "users" => Some(total.users.count()),
        "applications" => Some(total.applications.count()),
        "machine_minutes" => Some(total.machine_minutes.count()),
        "memory_count" => Some(memory.count),
        "memory_sum_bytes" => Some(memory.sum()),
        "memory_min_bytes" => memory.min,
        "memory_max_bytes" => memory.max,
        "memory_p50_bytes" => memory.quantile(0.5),
        "memory_p95_bytes" => memory.quantile(0.95),
        "memory_p99_bytes" => memory.quantile(0.99),
        "first_event_at_us" => micros(total.first_event_at),
        "last_event_at_us" => micros(total.last_event_at),
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes
        .iter()
        .take(40)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{} bytes \\x{digits}", bytes.len())
}

fn label(key: &RowKey) -> String {
    format!(
        "{} {} window {}",
        key.columns.join(" / "),
        key.grain.as_str(),
        utc(key.start)
    )
}
