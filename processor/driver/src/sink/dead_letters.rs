//! A flush of dead letters, with the offsets.

use super::flush::{FlushError, Link, begin_flush, commit_flush};
use crate::ports::{Aging, Connection, OffsetAdvance};
use rollcall_domain::Timestamp;
use rollcall_domain::pipeline::DeadLetter;

/// What a flush holds of one partition of the topic of dead letters.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetterBatch<'a> {
    /// The partition, and from where to where.
    pub advance: OffsetAdvance<'a>,
    /// Its letters, in the partition's order.
    pub letters: &'a [DeadLetter<'a>],
}

/// What a flush of dead letters did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeadLettersFlushed {
    /// Rows stored.
    pub rows: u64,
    /// Letters that are older than what is kept.
    pub expired: u64,
}

/// Stores a batch per partition, all of them or none.
///
/// # Errors
/// See [`FlushError`].
pub async fn flush_dead_letters<C: Connection>(
    link: &mut Link<C>,
    batches: &[DeadLetterBatch<'_>],
) -> Result<DeadLettersFlushed, FlushError> {
    let connection = &mut link.connection;
    let letters: Vec<&DeadLetter<'_>> = batches.iter().flat_map(|batch| batch.letters).collect();
    connection
        .prepare_dead_letters(&mut link.memory, &letters)
        .await?;
    let advances: Vec<OffsetAdvance<'_>> = batches.iter().map(|batch| batch.advance).collect();
    begin_flush(connection, &advances).await?;
    let horizons = connection.lock_horizons(Aging::RejectedRecords).await?;
    let horizon = horizons.get(&None).copied().unwrap_or(Timestamp::MIN);
    let total = letters.len();
    let kept: Vec<&DeadLetter<'_>> = letters
        .into_iter()
        .filter(|letter| letter.ingested_at >= horizon)
        .collect();
    let copied = connection.copy_dead_letters(&kept).await?;
    commit_flush(connection).await?;
    Ok(DeadLettersFlushed {
        rows: copied.rows,
        expired: (total - kept.len()) as u64,
    })
}
