//! The one compare-and-set that makes a flush exactly-once, and what can become of a flush.
//!
//! Invariants: a flush's effects and its offsets are one transaction; the compare-and-set comes first and locks the
//! rows, so a fenced worker does no work, and a new owner ends our backend rather than wait for it.

use super::connect::Session;
use super::error::{Doing, ErrorClass, PostgresError, sqlstate_class};
use std::fmt;

/// A partition of a topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// How far a flush brings one claimed partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetAdvance<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The epoch of the claim.
    pub epoch: i64,
    /// What `next_offset` is now.
    pub from_offset: i64,
    /// What it becomes: the offset after the last one that the flush holds, or behind the markers that follow it.
    pub to_offset: i64,
}

/// Why a flush did not happen, or not for certain.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// Rolled back: these partitions have another owner or stand elsewhere. The connection may be used on, the
    /// partitions not, and whatever is buffered of them goes with them. The rest of the flush may be tried again.
    #[error("fenced: {} not ours any more", list(lost))]
    Fenced {
        /// The partitions.
        lost: Vec<TopicPartition>,
    },
    /// The commit was sent and not answered. Throw the connection away, connect, [`claim`](super::claim::claim)
    /// again: that ends the old backend, and the claim's `next_offset` says whether the flush is stored.
    #[error("whether the flush is stored is unknown")]
    Unknown(#[source] PostgresError),
    /// It is not stored. Throw the connection away.
    #[error(transparent)]
    Failed(#[from] PostgresError),
}

fn list(partitions: &[TopicPartition]) -> String {
    let names: Vec<String> = partitions.iter().map(TopicPartition::to_string).collect();
    names.join(", ")
}

/// Begins a flush: a transaction that has moved all offsets, or none.
pub(crate) async fn begin_flush(
    session: &mut Session,
    advances: &[OffsetAdvance<'_>],
) -> Result<(), FlushError> {
    begin(session).await?;
    let moved = compare_and_set(session, advances).await?;
    let lost: Vec<TopicPartition> = advances
        .iter()
        .filter(|advance| {
            !moved
                .iter()
                .any(|(topic, partition)| topic == advance.topic && *partition == advance.partition)
        })
        .map(|advance| TopicPartition {
            topic: advance.topic.to_owned(),
            partition: advance.partition,
        })
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    rollback(session).await?;
    Err(FlushError::Fenced { lost })
}

/// A flush that holds nothing: what is passed has no effects.
///
/// # Errors
/// See [`FlushError`].
pub async fn move_offsets(
    session: &mut Session,
    advances: &[OffsetAdvance<'_>],
) -> Result<(), FlushError> {
    begin_flush(session, advances).await?;
    commit_flush(session).await
}

/// Moves the offsets of those partitions that are where we left them, and returns these.
async fn compare_and_set(
    session: &mut Session,
    advances: &[OffsetAdvance<'_>],
) -> Result<Vec<(String, i32)>, PostgresError> {
    let mut advances = advances.to_vec();
    // In one order for everybody: fewer deadlocks between an old and a new owner.
    advances.sort_by_key(|advance| (advance.topic, advance.partition));
    sqlx::query_as(
        "UPDATE rollcall.sink_offsets AS s SET next_offset = a.to_offset \
         FROM unnest($1::text[], $2::int4[], $3::int8[], $4::int8[], $5::int8[]) \
             AS a(topic, partition, epoch, from_offset, to_offset) \
         WHERE s.topic = a.topic AND s.partition = a.partition \
             AND s.epoch = a.epoch AND s.next_offset = a.from_offset \
         RETURNING s.topic, s.partition",
    )
    .bind(advances.iter().map(|a| a.topic).collect::<Vec<_>>())
    .bind(advances.iter().map(|a| a.partition).collect::<Vec<_>>())
    .bind(advances.iter().map(|a| a.epoch).collect::<Vec<_>>())
    .bind(advances.iter().map(|a| a.from_offset).collect::<Vec<_>>())
    .bind(advances.iter().map(|a| a.to_offset).collect::<Vec<_>>())
    .fetch_all(&mut session.connection)
    .await
    .doing("move offsets")
}

pub(crate) async fn begin(session: &mut Session) -> Result<(), PostgresError> {
    sqlx::raw_sql("BEGIN")
        .execute(&mut session.connection)
        .await
        .doing("begin a transaction")?;
    Ok(())
}

pub(crate) async fn rollback(session: &mut Session) -> Result<(), PostgresError> {
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut session.connection)
        .await
        .doing("roll a transaction back")?;
    Ok(())
}

/// Commits a flush. Only a server that says that it refused has surely not committed.
pub(crate) async fn commit_flush(session: &mut Session) -> Result<(), FlushError> {
    let Err(error) = commit(session).await else {
        return Ok(());
    };
    let refused = error.sqlstate().is_some_and(|code| {
        let ended = code.starts_with("57P") || code.starts_with("08");
        !ended && (code.starts_with("40") || sqlstate_class(&code) == ErrorClass::Fatal)
    });
    Err(if refused {
        FlushError::Failed(error)
    } else {
        FlushError::Unknown(error)
    })
}

pub(crate) async fn commit(session: &mut Session) -> Result<(), PostgresError> {
    sqlx::raw_sql("COMMIT")
        .execute(&mut session.connection)
        .await
        .doing("commit")?;
    Ok(())
}
