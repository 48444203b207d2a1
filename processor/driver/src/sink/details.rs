//! A flush of details: snapshots and their processes, with the offsets and the books.
//!
//! Invariants: what the retention horizon has passed is counted, not stored; the books are compared in every flush; the
//! counts in a partition's last stored message are those of everything stored before it and of itself, so every
//! difference but 0 means that something was lost or stored twice.

use super::flush::{FlushError, Link, begin_flush, commit_flush};
use crate::ports::{
    Aging, BookEntry, BookSum, Connection, DatabaseError, LedgerDifference, OffsetAdvance,
};
use rollcall_defects::{Defect, is_on};
use rollcall_domain::{SnapshotObservations, Timestamp};
use std::collections::BTreeMap;

/// What a flush holds of one partition of the topic of observations; perhaps no snapshot at all.
#[derive(Clone, Copy, Debug)]
pub struct DetailsBatch<'a> {
    /// The partition, and from where to where.
    pub advance: OffsetAdvance<'a>,
    /// Its snapshots, in the partition's order.
    pub snapshots: &'a [SnapshotObservations<'a>],
}

/// What a flush of details did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DetailsFlushed {
    /// Snapshots stored.
    pub snapshots: u64,
    /// Processes stored.
    pub observations: u64,
    /// Snapshots that are older than what is kept.
    pub snapshots_expired: u64,
    /// Bytes sent to the server by COPY.
    pub copied_bytes: u64,
    /// Machines that were seen on another raw partition than before.
    pub machines_moved: u64,
    /// Partitions whose books do not balance: an alert.
    pub differences: Vec<LedgerDifference>,
}

/// Stores a batch per partition, all of them or none.
///
/// Dimension rows and the tables' partitions are made before the transaction begins, and stay if it fails.
///
/// # Errors
/// See [`FlushError`].
pub async fn flush_details<C: Connection>(
    link: &mut Link<C>,
    batches: &[DetailsBatch<'_>],
) -> Result<DetailsFlushed, FlushError> {
    let connection = &mut link.connection;
    let snapshots: Vec<&SnapshotObservations<'_>> =
        batches.iter().flat_map(|batch| batch.snapshots).collect();
    let resolved = connection
        .resolve_details(&mut link.memory, &snapshots)
        .await?;
    let advances: Vec<OffsetAdvance<'_>> = batches.iter().map(|batch| batch.advance).collect();
    begin_flush(connection, &advances).await?;
    if is_on(Defect::OffsetsCommittedFirst) {
        commit_flush(connection).await?;
        connection.begin().await?;
    }
    let flushed = write_details(connection, batches, &snapshots, &resolved).await?;
    commit_flush(connection).await?;
    Ok(flushed)
}

async fn write_details<C: Connection>(
    connection: &mut C,
    batches: &[DetailsBatch<'_>],
    snapshots: &[&SnapshotObservations<'_>],
    resolved: &C::Resolved,
) -> Result<DetailsFlushed, DatabaseError> {
    let horizons = connection.lock_horizons(Aging::Details).await?;
    let horizon = horizons.get(&None).copied().unwrap_or(Timestamp::MIN);
    let is_kept = |snapshot: &SnapshotObservations<'_>| snapshot.ingested_at >= horizon;
    let kept: Vec<bool> = snapshots.iter().map(|snapshot| is_kept(snapshot)).collect();
    let mut flushed = DetailsFlushed {
        machines_moved: C::machines_moved(resolved),
        snapshots_expired: kept.iter().filter(|kept| !**kept).count() as u64,
        ..DetailsFlushed::default()
    };
    if kept.contains(&true) {
        let copied = connection.copy_details(snapshots, resolved, &kept).await?;
        flushed.snapshots = copied.rows;
        flushed.observations = copied.observations;
        flushed.copied_bytes = copied.bytes;
    }
    for ((topic, partition), entry) in book_entries(batches, is_kept) {
        let difference = connection.add_to_books(topic, partition, &entry).await?;
        flushed.differences.extend(difference);
    }
    Ok(flushed)
}

fn add(sum: &mut BookSum, snapshot: &SnapshotObservations<'_>) {
    sum.snapshots += 1;
    sum.lines += snapshot.observations.len() as i64;
    sum.lines_rejected += snapshot.lines_rejected;
}

/// What a flush adds to the books, by topic and raw partition.
fn book_entries<'a>(
    batches: &[DetailsBatch<'a>],
    is_kept: impl Fn(&SnapshotObservations<'_>) -> bool,
) -> BTreeMap<(&'a str, i32), BookEntry> {
    let mut entries = BTreeMap::new();
    for batch in batches {
        for snapshot in batch.snapshots {
            let entry = entries
                .entry((batch.advance.topic, snapshot.source.partition))
                .or_insert_with(|| BookEntry {
                    stored: BookSum::default(),
                    expired: BookSum::default(),
                    counts: snapshot.counts,
                    last_ingested_at: snapshot.ingested_at,
                });
            if is_kept(snapshot) {
                add(&mut entry.stored, snapshot);
            } else {
                add(&mut entry.expired, snapshot);
            }
            entry.counts = snapshot.counts;
            entry.last_ingested_at = entry.last_ingested_at.max(snapshot.ingested_at);
        }
    }
    entries
}
