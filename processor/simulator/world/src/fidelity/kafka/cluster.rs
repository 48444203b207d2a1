//! What a script asks of a cluster, and what that answers.

use super::script::{Claimant, Place, Write};
use core::fmt;
use rollcall_driver::ports::Rebalance;
use std::time::Duration;

/// What came of something that a producer did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// The transactional id is the producer's.
    Claimed,
    /// A record was written, at this offset.
    At(i64),
    /// The transaction is committed.
    Committed,
    /// The transaction is aborted.
    Aborted,
    /// A record was not written; the transaction's end says why.
    Refused,
    /// A newer owner has claimed the id, or the broker has ended the transaction.
    Fenced,
    /// What came of it can't be told.
    Unknown,
    /// There is no such producer, or none any more.
    Gone,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Claimed => f.write_str("claimed"),
            Said::At(offset) => write!(f, "at {offset}"),
            Said::Committed => f.write_str("committed"),
            Said::Aborted => f.write_str("aborted"),
            Said::Refused => f.write_str("refused"),
            Said::Fenced => f.write_str("fenced"),
            Said::Unknown => f.write_str("unknown"),
            Said::Gone => f.write_str("gone"),
        }
    }
}

/// The offsets that bound a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marks {
    /// The first offset.
    pub begin: i64,
    /// The end that a read_uncommitted client is told.
    pub high: i64,
    /// The end that a read_committed client is told: the last stable offset.
    pub stable: i64,
}

/// A record that a reader was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Its offset.
    pub offset: i64,
    /// The log's time, in microseconds.
    pub timestamp_us: i64,
    /// Its key.
    pub key: String,
    /// Its value; `None` is a tombstone.
    pub value: Option<String>,
}

/// Where a reader stands in the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Following {
    /// This offset comes next.
    Position(i64),
    /// Nothing was delivered, not even a marker.
    Unknown,
    /// The offset that was asked for is not in the log.
    OutOfRange,
    /// The end was not reached within the cluster's patience.
    NotReached,
}

/// What a committed reading gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The records.
    pub records: Vec<Seen>,
    /// The position after them.
    pub following: Following,
}

/// A cluster with the two topics of a script. What it does late, as to write the markers of a transaction that has ended, is
/// done before anything else is written or looked at.
pub trait Cluster {
    /// A new producer claims a transactional id; one of the same name is forgotten, as if its process had been killed.
    fn claim(&mut self, producer: &str, id: &str, claimant: Claimant) -> Said;

    /// A task's producer writes all this in one transaction; with the earliest append time in the second topic.
    fn transact(&mut self, producer: &str, writes: &[Write]) -> (Said, Option<i64>);

    /// A stepwise producer writes a record, in a transaction that it begins if need be.
    fn send(&mut self, producer: &str, write: &Write) -> Said;

    /// A stepwise producer ends its transaction.
    fn end(&mut self, producer: &str, commit: bool) -> Said;

    /// Waits until the broker has ended what the producer has left open for too long.
    fn expire(&mut self, producer: &str);

    /// The offsets that bound a partition.
    fn marks(&mut self, place: Place) -> Marks;

    /// Reads what is committed, from an offset or from the beginning, as far as that goes.
    fn read(&mut self, place: Place, from: Option<i64>) -> Reading;

    /// Removes what stands before an offset, as retention does.
    fn trim(&mut self, place: Place, before: i64);

    /// Compacts a partition; the script has seen to it that the last records of it are of no interest.
    fn compact(&mut self, place: Place);

    /// A member joins the script's group, for the first topic.
    fn join(&mut self, member: &str);

    /// A member leaves in order.
    fn leave(&mut self, member: &str);

    /// A member is heard no more, until [`Self::wake`].
    fn silence(&mut self, member: &str);

    /// A member that was silent goes on, unaware.
    fn wake(&mut self, member: &str);

    /// Serves the group for a moment; what it said, of partitions of the first topic.
    fn poll(&mut self, member: &str) -> Option<Rebalance<i32>>;

    /// The member accepts or releases, as the group said.
    fn obey(&mut self, member: &str, said: &Rebalance<i32>);

    /// Time that never goes back, on the cluster's clock.
    fn elapsed(&self) -> Duration;
}
