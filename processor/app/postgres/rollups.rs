//! Rollups: one flush of one grouping set's pending rows, in one transaction with offsets and progress.
//!
//! Invariants: keys are unique and sorted; a key's updates all come through one topic partition, so the offset that the
//! flush has locked guards its row too, and a merge can read it, add and write it back; what the retention horizon has passed is counted, never written as a total; the stored progress
//! describes the stored rows exactly.

use super::connect::{Session, SinkConnection};
use super::copy::CopyStream;
use super::error::{Doing, ErrorClass, PostgresError};
use super::offsets::{FlushError, OffsetAdvance, begin_flush, commit_flush};
use super::partitions::{TimeTable, ensure_partitions, lock_horizons, rollup_table};
use super::progress::write_progress;
use super::rollup_rows as rows;
use super::types::Time;
use hashbrown::HashMap;
use rollcall_domain::{Accumulator, Grain, GroupingSet, Timestamp};
use rollcall_stages::sink::{Flush, PendingOp, PendingRollup};
use sqlx::{AssertSqlSafe, Row};

/// Rows that are read for merging by one statement.
const ROWS_PER_STATEMENT: usize = 2_000;

/// What a flush of rollups did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RollupsFlushed {
    /// Rows written.
    pub rows: u64,
    /// Of these, rows that were read and merged, because they are corrections of what is stored.
    pub merged: u64,
    /// Rows not written, because their windows are older than what is kept.
    pub expired: u64,
    /// Bytes sent to the server by COPY.
    pub copied_bytes: u64,
}

/// Stores a flush of one grouping set. `advances` names each of the flush's partitions once.
///
/// # Errors
/// See [`FlushError`].
pub async fn flush_rollups(
    sink: &mut SinkConnection,
    flush: &Flush<'_>,
    advances: &[OffsetAdvance<'_>],
) -> Result<RollupsFlushed, FlushError> {
    check(flush, advances)?;
    let set = flush.grouping_set;
    for grain in Grain::ALL {
        let times = flush
            .rollups
            .iter()
            .filter(|rollup| rollup.window.grain == grain)
            .map(|rollup| rollup.window.start);
        ensure_partitions(sink, TimeTable::Rollups(set, grain), times).await?;
    }
    if !sink.pending_tables.contains(&set) {
        sqlx::query(AssertSqlSafe(rows::create_pending_table(set)))
            .execute(&mut sink.session.connection)
            .await
            .doing("create a temporary table")?;
        sink.pending_tables.push(set);
    }
    begin_flush(&mut sink.session, advances).await?;
    let flushed = write_rollups(&mut sink.session, flush).await?;
    for advance in advances {
        let offset = flush
            .offsets
            .iter()
            .find(|o| o.partition == advance.partition);
        if let Some(offset) = offset {
            write_progress(&mut sink.session, advance, &offset.progress).await?;
        }
    }
    commit_flush(&mut sink.session).await?;
    Ok(flushed)
}

/// The caller's mistakes, which would otherwise be stored.
fn check(flush: &Flush<'_>, advances: &[OffsetAdvance<'_>]) -> Result<(), PostgresError> {
    let offsets_match = flush.offsets.len() == advances.len()
        && flush.offsets.iter().all(|offset| {
            advances.iter().any(|advance| {
                advance.partition == offset.partition && advance.to_offset == offset.next_offset
            })
        });
    let sorted = flush
        .rollups
        .is_sorted_by(|a, b| (a.window, a.key) < (b.window, b.key));
    let one_set = flush
        .rollups
        .iter()
        .all(|rollup| rollup.key.grouping_set() == flush.grouping_set);
    if offsets_match && sorted && one_set {
        return Ok(());
    }
    Err(PostgresError::own(
        ErrorClass::Fatal,
        "store rollups",
        "the flush contradicts itself: offsets, order or grouping set".to_owned(),
    ))
}

async fn write_rollups(
    session: &mut Session,
    flush: &Flush<'_>,
) -> Result<RollupsFlushed, PostgresError> {
    let set = flush.grouping_set;
    let horizons = lock_horizons(session, rollup_table(set)).await?;
    let horizon_of = |grain: Grain| {
        let known = horizons.iter().find(|(name, _)| name == grain.as_str());
        known.map_or(Timestamp::MIN, |(_, horizon)| *horizon)
    };
    let kept: Vec<&PendingRollup<'_>> = flush
        .rollups
        .iter()
        .filter(|rollup| rollup.window.start >= horizon_of(rollup.window.grain))
        .collect();
    let expired = (flush.rollups.len() - kept.len()) as u64;
    if kept.is_empty() {
        return Ok(RollupsFlushed {
            expired,
            ..RollupsFlushed::default()
        });
    }
    let merged = merge_existing(session, set, &kept).await?;
    let statement = rows::copy_pending(set);
    let mut copy = CopyStream::begin(&mut session.connection, &statement, "store rollups").await?;
    for (at, rollup) in kept.iter().enumerate() {
        let (value, closed) = match (rollup.op, merged.get(&at)) {
            (PendingOp::Merge(_), Some((sum, closed))) => (sum, *closed),
            // A correction of what is not there: its window was closed before.
            (PendingOp::Merge(value), None) => (value, true),
            (PendingOp::Replace { value, closed }, _) => (value, *closed),
        };
        rows::write_row(copy.rows(), rollup.key, rollup.window, value, closed);
        copy.send_full().await?;
    }
    let (_, copied_bytes) = copy.finish().await?;
    let written = sqlx::query(AssertSqlSafe(rows::upsert_pending(set)))
        .execute(&mut session.connection)
        .await
        .doing("store rollups")?;
    Ok(RollupsFlushed {
        rows: written.rows_affected(),
        merged: merged.len() as u64,
        expired,
        copied_bytes,
    })
}

/// For every correction whose row is stored: by its place, the row's value with the correction, and whether it is closed.
async fn merge_existing(
    session: &mut Session,
    set: GroupingSet,
    kept: &[&PendingRollup<'_>],
) -> Result<HashMap<usize, (Accumulator, bool)>, PostgresError> {
    let corrections: Vec<(usize, &PendingRollup<'_>, &Accumulator)> = kept
        .iter()
        .enumerate()
        .filter_map(|(at, rollup)| match rollup.op {
            PendingOp::Merge(value) => Some((at, *rollup, value)),
            PendingOp::Replace { .. } => None,
        })
        .collect();
    let mut merged = HashMap::with_capacity(corrections.len());
    for chunk in corrections.chunks(ROWS_PER_STATEMENT) {
        let keys: Vec<_> = chunk
            .iter()
            .map(|(_, rollup, _)| rows::key_values(rollup.key))
            .collect();
        let mut query = sqlx::query(AssertSqlSafe(rows::select_existing(set)));
        for column in 0..rows::key_columns(set).len() {
            query = query.bind(keys.iter().map(|key| &*key[column]).collect::<Vec<&str>>());
        }
        let grains: Vec<&str> = chunk
            .iter()
            .map(|(_, r, _)| r.window.grain.as_str())
            .collect();
        let starts: Vec<Time> = chunk.iter().map(|(_, r, _)| Time(r.window.start)).collect();
        let existing = query
            .bind(grains)
            .bind(starts)
            .fetch_all(&mut session.connection)
            .await
            .doing("read rollups to correct")?;
        for row in &existing {
            let (mut value, closed) = rows::read_row(set, row).doing("read a stored rollup")?;
            let place: i64 = row.try_get("place").doing("read a stored rollup")?;
            let (at, _, correction) = chunk[(place - 1) as usize];
            value.merge(correction);
            merged.insert(at, (value, closed));
        }
    }
    Ok(merged)
}
