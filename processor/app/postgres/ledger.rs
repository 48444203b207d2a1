//! The books: what is stored per raw partition against what NORMALIZE says it accepted.
//!
//! Invariant: the counts in a partition's last stored message are those of everything stored before it and of itself,
//! so every difference but 0 means that something was lost or stored twice.

use super::connect::Session;
use super::details::DetailsBatch;
use super::error::{Doing, PostgresError};
use super::text::stored_time;
use super::types::Time;
use rollcall_domain::{SnapshotObservations, TaskCounts, Timestamp};
use std::collections::BTreeMap;

/// A raw partition whose books do not balance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerDifference {
    /// The topic of observations.
    pub topic: String,
    /// The raw partition.
    pub partition: i32,
    /// Records read that are neither accepted, duplicate nor rejected.
    pub snapshots_unaccounted: i64,
    /// Snapshots accepted and not stored; negative: stored twice.
    pub snapshots_missing: i64,
    /// Processes accepted and not stored; negative: stored twice.
    pub lines_missing: i64,
    /// Rejected lines that no stored snapshot tells of.
    pub lines_rejected_missing: i64,
}

/// Snapshots unaccounted for and missing, lines missing, rejected lines missing.
type DifferenceRow = (i64, i64, i64, i64);

impl LedgerDifference {
    fn of(topic: &str, partition: i32, row: DifferenceRow) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            snapshots_unaccounted: row.0,
            snapshots_missing: row.1,
            lines_missing: row.2,
            lines_rejected_missing: row.3,
        }
    }
}

/// What a partition's books lack; `None` where nothing was stored yet.
///
/// # Errors
/// If the database fails.
pub async fn read_books(
    session: &mut Session,
    topic: &str,
    partition: i32,
) -> Result<Option<LedgerDifference>, PostgresError> {
    let row: Option<DifferenceRow> = sqlx::query_as(
        "SELECT snapshots_unaccounted, snapshots_missing, lines_missing, lines_rejected_missing \
         FROM rollcall.ledger WHERE topic = $1 AND partition = $2",
    )
    .bind(topic)
    .bind(partition)
    .fetch_optional(&mut session.connection)
    .await
    .doing("read the ledger")?;
    Ok(row.map(|row| LedgerDifference::of(topic, partition, row)))
}

/// One side of the books.
#[derive(Default)]
struct Sum {
    snapshots: i64,
    lines: i64,
    lines_rejected: i64,
}

impl Sum {
    fn add(&mut self, snapshot: &SnapshotObservations<'_>) {
        self.snapshots += 1;
        self.lines += snapshot.observations.len() as i64;
        self.lines_rejected += snapshot.lines_rejected;
    }
}

struct Entry {
    stored: Sum,
    expired: Sum,
    counts: TaskCounts,
    last_ingested_at: Timestamp,
}

/// Adds a flush to the books, and returns those that do not balance.
pub(crate) async fn write_ledger(
    session: &mut Session,
    batches: &[DetailsBatch<'_>],
    kept: impl Fn(&SnapshotObservations<'_>) -> bool,
) -> Result<Vec<LedgerDifference>, PostgresError> {
    let mut entries: BTreeMap<(&str, i32), Entry> = BTreeMap::new();
    for batch in batches {
        for snapshot in batch.snapshots {
            let entry = entries
                .entry((batch.advance.topic, snapshot.source.partition))
                .or_insert_with(|| Entry {
                    stored: Sum::default(),
                    expired: Sum::default(),
                    counts: snapshot.counts,
                    last_ingested_at: snapshot.ingested_at,
                });
            if kept(snapshot) {
                entry.stored.add(snapshot);
            } else {
                entry.expired.add(snapshot);
            }
            entry.counts = snapshot.counts;
            entry.last_ingested_at = entry.last_ingested_at.max(snapshot.ingested_at);
        }
    }
    let mut differences = Vec::new();
    for ((topic, partition), entry) in entries {
        differences.extend(write_entry(session, topic, partition, &entry).await?);
    }
    Ok(differences)
}

async fn write_entry(
    session: &mut Session,
    topic: &str,
    partition: i32,
    entry: &Entry,
) -> Result<Option<LedgerDifference>, PostgresError> {
    let row: DifferenceRow = sqlx::query_as(
        "INSERT INTO rollcall.ledger AS l (topic, partition, last_ingested_at, stored_snapshots, stored_lines, \
             stored_lines_rejected, expired_snapshots, expired_lines, expired_lines_rejected, snapshots_read, \
             snapshots_accepted, snapshots_duplicate, snapshots_rejected, lines_accepted, lines_rejected) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (topic, partition) DO UPDATE SET \
             last_ingested_at = greatest(l.last_ingested_at, excluded.last_ingested_at), \
             stored_snapshots = l.stored_snapshots + excluded.stored_snapshots, \
             stored_lines = l.stored_lines + excluded.stored_lines, \
             stored_lines_rejected = l.stored_lines_rejected + excluded.stored_lines_rejected, \
             expired_snapshots = l.expired_snapshots + excluded.expired_snapshots, \
             expired_lines = l.expired_lines + excluded.expired_lines, \
             expired_lines_rejected = l.expired_lines_rejected + excluded.expired_lines_rejected, \
             snapshots_read = excluded.snapshots_read, snapshots_accepted = excluded.snapshots_accepted, \
             snapshots_duplicate = excluded.snapshots_duplicate, snapshots_rejected = excluded.snapshots_rejected, \
             lines_accepted = excluded.lines_accepted, lines_rejected = excluded.lines_rejected \
         RETURNING snapshots_unaccounted, snapshots_missing, lines_missing, lines_rejected_missing",
    )
    .bind(topic)
    .bind(partition)
    .bind(Time(stored_time(entry.last_ingested_at)))
    .bind(entry.stored.snapshots)
    .bind(entry.stored.lines)
    .bind(entry.stored.lines_rejected)
    .bind(entry.expired.snapshots)
    .bind(entry.expired.lines)
    .bind(entry.expired.lines_rejected)
    .bind(entry.counts.snapshots_read)
    .bind(entry.counts.snapshots_accepted)
    .bind(entry.counts.snapshots_duplicate)
    .bind(entry.counts.snapshots_rejected)
    .bind(entry.counts.lines_accepted)
    .bind(entry.counts.lines_rejected)
    .fetch_one(&mut session.connection)
    .await
    .doing("write the ledger")?;
    let balanced = row == (0, 0, 0, 0);
    Ok((!balanced).then(|| LedgerDifference::of(topic, partition, row)))
}
