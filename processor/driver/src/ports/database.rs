//! The database, as far as SINK needs it: one statement, or a group of them that has no decision in it, per call.
//!
//! What makes a flush exactly once (the order of the statements, what is compared, what an answer means) is the
//! caller's: [`crate::sink`].

use rollcall_domain::pipeline::{DeadLetter, Progress};
use rollcall_domain::{
    Accumulator, Grain, GroupingSet, RollupKey, SnapshotObservations, TaskCounts, Timestamp, Window,
};
use rollcall_stages::sink::Flush;
use std::collections::BTreeMap;
use std::fmt;

/// A partition of a topic, by the topic's full name.
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

/// An error of the database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatabaseError {
    /// One sentence for a person.
    pub message: String,
    /// Whether it may go well the next time; else a person has to change something.
    pub is_retriable: bool,
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DatabaseError {}

/// Why a commit did not succeed, as far as is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommitError {
    /// The server has said that it did not commit.
    Refused(DatabaseError),
    /// It was sent and not answered.
    Unknown(DatabaseError),
}

impl From<CommitError> for DatabaseError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Refused(error) | CommitError::Unknown(error) => error,
        }
    }
}

/// What is claimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClaimRequest<'a> {
    /// The deployment's id.
    pub deployment: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// Where a partition starts that was never claimed before.
    pub initial_offset: i64,
}

impl fmt::Display for ClaimRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A partition that is ours until somebody claims it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// To be named in every flush.
    pub epoch: i64,
    /// Where to go on: everything below is stored.
    pub next_offset: i64,
}

/// A server process, for one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backend {
    /// Its id, which another may have after it.
    pub pid: i32,
    /// Since when it runs.
    pub started_at: Timestamp,
}

/// What is stored of who claimed a partition last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The claim's epoch.
    pub epoch: i64,
    /// The deployment that the partition belongs to.
    pub deployment: String,
    /// Its connection; `None` once it was released.
    pub backend: Option<Backend>,
}

/// What came of asking a backend to end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BackendEnd {
    /// It is gone, or is our own.
    Gone,
    /// It was asked, and is still there.
    Ending,
    /// A process with its id is there, of another user, and more we may not see.
    Hidden {
        /// The user.
        user: String,
    },
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

/// Tables that forget what is too old.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aging {
    /// Snapshots and their processes.
    Details,
    /// Rejected records.
    RejectedRecords,
    /// Rollups of a grouping set.
    Rollups(GroupingSet),
}

/// What is older than this is not kept any more; of rollups, per grain.
pub type Horizons = BTreeMap<Option<Grain>, Timestamp>;

/// A row of rollups.
#[derive(Clone, Copy, Debug)]
pub struct RollupRow<'a> {
    /// What it is of.
    pub key: &'a RollupKey<'static>,
    /// Its window.
    pub window: Window,
    /// What it holds.
    pub value: &'a Accumulator,
    /// Whether the window is closed.
    pub closed: bool,
}

/// What COPY has taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Copied {
    /// Snapshots, letters or rollups.
    pub rows: u64,
    /// Processes of the snapshots.
    pub observations: u64,
    /// Bytes sent to the server.
    pub bytes: u64,
}

/// One side of the books.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BookSum {
    /// Snapshots.
    pub snapshots: i64,
    /// Their processes.
    pub lines: i64,
    /// Lines of theirs that were rejected.
    pub lines_rejected: i64,
}

/// What a flush adds to the books of one raw partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BookEntry {
    /// What it stores.
    pub stored: BookSum,
    /// What is too old to be stored.
    pub expired: BookSum,
    /// NORMALIZE's own counts, as of the last of it.
    pub counts: TaskCounts,
    /// The largest of the snapshots' times.
    pub last_ingested_at: Timestamp,
}

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

/// A database server.
pub trait Database {
    /// See [`Connection`].
    type Connection: Connection;

    /// Connects for a lane, within a time of its own.
    ///
    /// # Errors
    /// If the server can't be reached, or the database lacks migrations.
    async fn connect(&self, lane: &'static str) -> Result<Self::Connection, DatabaseError>;

    /// What a new connection remembers: nothing.
    fn memory(&self) -> <Self::Connection as Connection>::Memory;
}

/// A connection. After any error it is dropped; so is what was remembered with it.
#[allow(
    clippy::missing_errors_doc,
    reason = "each call fails as the server or the network does"
)]
pub trait Connection {
    /// What is remembered of the database: keys of dimension rows, numbers drawn, partitions that exist.
    type Memory;
    /// The keys and numbers of a batch of snapshots.
    type Resolved;

    /// Says goodbye. Dropping a connection ends it too, less politely.
    async fn close(self);

    /// Fails if the server is not there any more.
    async fn ping(&mut self) -> Result<(), DatabaseError>;

    // Claims.

    /// Who claimed a partition last; `None`: nobody ever.
    async fn owner(&mut self, request: &ClaimRequest<'_>) -> Result<Option<Owner>, DatabaseError>;
    /// Asks a backend to end, unless it is our own.
    async fn end_backend(&mut self, backend: Backend) -> Result<BackendEnd, DatabaseError>;
    /// Waits a moment for a backend to end.
    async fn await_backend(&mut self);
    /// Begins the transaction of a claim: should we freeze or vanish in the middle of it, the server ends it after a while, for
    /// nobody knows yet whose it is.
    async fn begin_claim(&mut self) -> Result<(), DatabaseError>;
    /// Within a transaction: claims a partition that nobody claimed before, unless the database belongs to another
    /// deployment; `None`: somebody came between.
    async fn claim_first(
        &mut self,
        request: &ClaimRequest<'_>,
    ) -> Result<Option<Claim>, DatabaseError>;
    /// Within a transaction: claims a partition of this epoch; `None`: somebody came between.
    async fn claim_next(
        &mut self,
        request: &ClaimRequest<'_>,
        epoch: i64,
    ) -> Result<Option<Claim>, DatabaseError>;
    /// Notes that a partition of this epoch is ours no more, if it still is.
    async fn release(
        &mut self,
        topic: &str,
        partition: i32,
        epoch: i64,
    ) -> Result<(), DatabaseError>;

    // Transactions.

    /// Begins a transaction.
    async fn begin(&mut self) -> Result<(), DatabaseError>;
    /// Commits it.
    async fn commit(&mut self) -> Result<(), CommitError>;
    /// Rolls it back.
    async fn rollback(&mut self) -> Result<(), DatabaseError>;
    /// Moves, and locks, the offsets of those partitions whose epoch and offset are as said, and returns these.
    async fn move_offsets(
        &mut self,
        advances: &[OffsetAdvance<'_>],
    ) -> Result<Vec<TopicPartition>, DatabaseError>;
    /// The horizons of a table, which do not move until the transaction ends.
    async fn lock_horizons(&mut self, table: Aging) -> Result<Horizons, DatabaseError>;

    // Details.

    /// Outside of transactions: makes what is missing for these snapshots, and gives their keys and numbers.
    async fn resolve_details(
        &mut self,
        memory: &mut Self::Memory,
        snapshots: &[&SnapshotObservations<'_>],
    ) -> Result<Self::Resolved, DatabaseError>;
    /// How many of these snapshots' machines were on another raw partition before.
    fn machines_moved(resolved: &Self::Resolved) -> u64;
    /// Stores those snapshots that are kept.
    async fn copy_details(
        &mut self,
        snapshots: &[&SnapshotObservations<'_>],
        resolved: &Self::Resolved,
        kept: &[bool],
    ) -> Result<Copied, DatabaseError>;
    /// Adds to the books of a raw partition; what they lack, if anything.
    async fn add_to_books(
        &mut self,
        topic: &str,
        raw_partition: i32,
        entry: &BookEntry,
    ) -> Result<Option<LedgerDifference>, DatabaseError>;
    /// What the books of a raw partition lack; `None` where nothing was stored yet.
    async fn read_books(
        &mut self,
        topic: &str,
        raw_partition: i32,
    ) -> Result<Option<LedgerDifference>, DatabaseError>;

    // Dead letters.

    /// Outside of transactions: makes what is missing for these letters.
    async fn prepare_dead_letters(
        &mut self,
        memory: &mut Self::Memory,
        letters: &[&DeadLetter<'_>],
    ) -> Result<(), DatabaseError>;
    /// Stores them.
    async fn copy_dead_letters(
        &mut self,
        letters: &[&DeadLetter<'_>],
    ) -> Result<Copied, DatabaseError>;

    // Rollups.

    /// Outside of transactions: makes what is missing for this flush.
    async fn prepare_rollups(
        &mut self,
        memory: &mut Self::Memory,
        flush: &Flush<'_>,
    ) -> Result<(), DatabaseError>;
    /// The rows that stand there for these keys and windows, in their order, and whether they are closed.
    async fn read_rollups(
        &mut self,
        set: GroupingSet,
        rows: &[(&RollupKey<'static>, Window)],
    ) -> Result<Vec<Option<(Accumulator, bool)>>, DatabaseError>;
    /// Stores rows, each instead of what stands there.
    async fn write_rollups(
        &mut self,
        set: GroupingSet,
        rows: &[RollupRow<'_>],
    ) -> Result<Copied, DatabaseError>;
    /// What the rows of a partition contain from now on.
    async fn write_progress(
        &mut self,
        advance: &OffsetAdvance<'_>,
        progress: &Progress,
    ) -> Result<(), DatabaseError>;
}
