//! The transaction of a flush: the compare-and-set that makes it exactly once, and what can become of it.
//!
//! Invariants: a flush's effects and its offsets are one transaction; the compare-and-set comes first and locks the
//! rows, so a fenced worker does no work, and a new owner ends our backend rather than wait for it.

use crate::ports::{
    CommitError, Connection, Database, DatabaseError, OffsetAdvance, TopicPartition,
};
use rollcall_defects::{Defect, is_on};
use std::fmt;

/// A connection with what is remembered of its database. They come and go together: a standby that takes over may give
/// out the same keys to other texts.
#[derive(Debug)]
pub struct Link<C: Connection> {
    /// The connection.
    pub connection: C,
    /// What is remembered.
    pub memory: C::Memory,
}

impl<C: Connection> Link<C> {
    /// A new connection, which remembers nothing.
    ///
    /// # Errors
    /// As [`Database::connect`].
    pub async fn open<D>(database: &D, lane: &'static str) -> Result<Self, DatabaseError>
    where
        D: Database<Connection = C>,
    {
        Ok(Self {
            connection: database.connect(lane).await?,
            memory: database.memory(),
        })
    }
}

/// Why a flush did not happen, or not for certain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FlushError {
    /// Rolled back: these partitions have another owner or stand elsewhere. The connection may be used on, the
    /// partitions not, and whatever is buffered of them goes with them. The rest of the flush may be tried again.
    Fenced {
        /// The partitions.
        lost: Vec<TopicPartition>,
    },
    /// The commit was sent and not answered. Throw the connection away, connect, [claim](super::claim()) again: that ends
    /// the old backend, and the claim's `next_offset` says whether the flush is stored.
    Unknown(DatabaseError),
    /// It is not stored. Throw the connection away.
    Failed(DatabaseError),
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlushError::Fenced { lost } => {
                let names: Vec<String> = lost.iter().map(TopicPartition::to_string).collect();
                write!(f, "fenced: {} not ours any more", names.join(", "))
            }
            FlushError::Unknown(error) => {
                write!(f, "whether the flush is stored is unknown: {error}")
            }
            FlushError::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FlushError {}

impl From<DatabaseError> for FlushError {
    fn from(error: DatabaseError) -> Self {
        FlushError::Failed(error)
    }
}

/// Begins a flush: a transaction that has moved all offsets, or none.
///
/// # Errors
/// See [`FlushError`].
pub async fn begin_flush(
    connection: &mut impl Connection,
    advances: &[OffsetAdvance<'_>],
) -> Result<(), FlushError> {
    connection.begin().await?;
    let moved = connection.move_offsets(advances).await?;
    let is_moved = |advance: &&OffsetAdvance<'_>| {
        let mut moved = moved.iter();
        moved.any(|place| place.topic == advance.topic && place.partition == advance.partition)
    };
    let lost: Vec<TopicPartition> = advances
        .iter()
        .filter(|advance| !is_moved(advance))
        .map(|advance| TopicPartition {
            topic: advance.topic.to_owned(),
            partition: advance.partition,
        })
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    connection.rollback().await?;
    Err(FlushError::Fenced { lost })
}

/// Ends a flush.
///
/// # Errors
/// See [`FlushError`].
pub async fn commit_flush(connection: &mut impl Connection) -> Result<(), FlushError> {
    match connection.commit().await {
        Ok(()) => Ok(()),
        Err(CommitError::Unknown(_)) if is_on(Defect::UnknownCommitTakenForStored) => Ok(()),
        Err(CommitError::Unknown(error)) => Err(FlushError::Unknown(error)),
        Err(CommitError::Refused(error)) => Err(FlushError::Failed(error)),
    }
}

/// A flush that holds nothing: what is passed has no effects.
///
/// # Errors
/// See [`FlushError`].
pub async fn move_offsets(
    connection: &mut impl Connection,
    advances: &[OffsetAdvance<'_>],
) -> Result<(), FlushError> {
    begin_flush(connection, advances).await?;
    commit_flush(connection).await
}
