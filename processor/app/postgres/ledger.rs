//! The books: what is stored per raw partition against what NORMALIZE says it accepted.

use super::connect::Session;
use super::error::{Doing, PostgresError};
use super::text::stored_time;
use super::types::Time;
use rollcall_driver::ports::{BookEntry, LedgerDifference};

/// Snapshots unaccounted for and missing, lines missing, rejected lines missing.
type DifferenceRow = (i64, i64, i64, i64);

fn difference(topic: &str, partition: i32, row: DifferenceRow) -> LedgerDifference {
    LedgerDifference {
        topic: topic.to_owned(),
        partition,
        snapshots_unaccounted: row.0,
        snapshots_missing: row.1,
        lines_missing: row.2,
        lines_rejected_missing: row.3,
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
    Ok(row.map(|row| difference(topic, partition, row)))
}

/// Adds to the books of a raw partition, and returns what they lack, if anything.
pub(super) async fn add_to_books(
    session: &mut Session,
    topic: &str,
    partition: i32,
    entry: &BookEntry,
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
    Ok((!balanced).then(|| difference(topic, partition, row)))
}
