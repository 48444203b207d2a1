//! A flush of one grouping set's pending rollups, with offsets and progress.
//!
//! Invariants: keys are unique and sorted; a key's updates all come through one topic partition, so the offset that the
//! flush has locked guards its row too, and a merge can read it, add and write it back; what the retention horizon has
//! passed is counted, never written as a total; the stored progress describes the stored rows exactly.

use super::flush::{FlushError, Link, begin_flush, commit_flush};
use crate::ports::{Aging, Connection, DatabaseError, OffsetAdvance, RollupRow};
use rollcall_defects::{Defect, is_on};
use rollcall_domain::{Accumulator, Timestamp};
use rollcall_stages::sink::{Flush, PendingOp, PendingRollup};

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
pub async fn flush_rollups<C: Connection>(
    link: &mut Link<C>,
    flush: &Flush<'_>,
    advances: &[OffsetAdvance<'_>],
) -> Result<RollupsFlushed, FlushError> {
    check(flush, advances)?;
    let connection = &mut link.connection;
    connection.prepare_rollups(&mut link.memory, flush).await?;
    begin_flush(connection, advances).await?;
    let flushed = write_rollups(connection, flush).await?;
    for advance in advances {
        let mut offsets = flush.offsets.iter();
        if let Some(offset) = offsets.find(|offset| offset.partition == advance.partition)
            && !is_on(Defect::ProgressNotStored)
        {
            connection.write_progress(advance, &offset.progress).await?;
        }
    }
    commit_flush(connection).await?;
    Ok(flushed)
}

/// The caller's mistakes, which would otherwise be stored.
fn check(flush: &Flush<'_>, advances: &[OffsetAdvance<'_>]) -> Result<(), DatabaseError> {
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
    Err(DatabaseError {
        message:
            "can't store rollups: the flush contradicts itself: offsets, order or grouping set"
                .to_owned(),
        is_retriable: false,
    })
}

async fn write_rollups(
    connection: &mut impl Connection,
    flush: &Flush<'_>,
) -> Result<RollupsFlushed, DatabaseError> {
    let set = flush.grouping_set;
    let horizons = connection.lock_horizons(Aging::Rollups(set)).await?;
    let is_kept = |rollup: &&PendingRollup<'_>| {
        let horizon = horizons.get(&Some(rollup.window.grain)).copied();
        rollup.window.start >= horizon.unwrap_or(Timestamp::MIN)
    };
    let kept: Vec<&PendingRollup<'_>> = flush.rollups.iter().filter(is_kept).collect();
    let mut flushed = RollupsFlushed {
        expired: (flush.rollups.len() - kept.len()) as u64,
        ..RollupsFlushed::default()
    };
    if kept.is_empty() {
        return Ok(flushed);
    }
    let sums = merge_existing(connection, flush, &kept).await?;
    flushed.merged = sums.iter().flatten().count() as u64;
    let mut sums = sums.iter();
    let rows: Vec<RollupRow<'_>> = kept
        .iter()
        .map(|rollup| {
            let (value, closed) = match rollup.op {
                PendingOp::Replace { value, closed } => (value, *closed),
                PendingOp::Merge(value) => match sums.next() {
                    Some(Some((sum, closed))) => (sum, *closed),
                    // A correction of what is not there: its window was closed before.
                    _ => (value, !is_on(Defect::CorrectionLeavesOpen)),
                },
            };
            RollupRow {
                key: rollup.key,
                window: rollup.window,
                value,
                closed,
            }
        })
        .collect();
    let copied = connection.write_rollups(set, &rows).await?;
    flushed.rows = copied.rows;
    flushed.copied_bytes = copied.bytes;
    Ok(flushed)
}

/// For every correction, in its order: the stored row's value with it, and whether it is closed; `None`: there is none.
async fn merge_existing(
    connection: &mut impl Connection,
    flush: &Flush<'_>,
    kept: &[&PendingRollup<'_>],
) -> Result<Vec<Option<(Accumulator, bool)>>, DatabaseError> {
    let corrections: Vec<(&PendingRollup<'_>, &Accumulator)> = kept
        .iter()
        .filter_map(|rollup| match rollup.op {
            PendingOp::Merge(value) => Some((*rollup, value)),
            PendingOp::Replace { .. } => None,
        })
        .collect();
    if corrections.is_empty() || is_on(Defect::CorrectionOverwritesRow) {
        return Ok(corrections.iter().map(|_| None).collect());
    }
    let rows: Vec<_> = corrections
        .iter()
        .map(|(rollup, _)| (rollup.key, rollup.window))
        .collect();
    let mut stored = connection.read_rollups(flush.grouping_set, &rows).await?;
    for (row, (_, correction)) in stored.iter_mut().zip(corrections) {
        if let Some((value, _)) = row {
            value.merge(correction);
        }
    }
    Ok(stored)
}
