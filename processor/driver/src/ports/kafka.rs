//! Kafka, as far as tasks need it: topics by the topology's index, never by name.

use rollcall_engine::record::{InputRecord, OutputRecord, TopicIndex};
use std::time::Duration;

/// A partition of a topic.
pub type Place = (TopicIndex, i32);

/// A cluster.
pub trait Kafka {
    /// See [`Transactions`].
    type Transactions: Transactions;
    /// See [`Fetcher`].
    type Fetcher: Fetcher;
    /// See [`Membership`].
    type Membership: Membership;

    /// The deployment, part of every transactional id.
    fn deployment(&self) -> &str;

    /// A topic's full name, for people.
    fn topic_name(&self, topic: TopicIndex) -> &str;

    /// Claims `transactional_id`: every older transaction of it is ended and every older owner fenced when this returns.
    /// `observed` is the topic whose append times are wanted, if any; `timeout` is for writing and committing one
    /// transaction.
    ///
    /// # Errors
    /// What the broker or the client said; the caller backs off and tries again.
    async fn claim(
        &self,
        transactional_id: &str,
        observed: Option<TopicIndex>,
        timeout: Duration,
    ) -> anyhow::Result<Self::Transactions>;

    /// First and end offset of a partition as a *read_uncommitted* client sees them.
    ///
    /// # Errors
    /// If the broker does not answer in time.
    async fn uncommitted_watermarks(
        &self,
        place: Place,
        timeout: Duration,
    ) -> anyhow::Result<(i64, i64)>;

    /// A consumer that sees committed records only.
    ///
    /// # Errors
    /// If a client property is wrong.
    fn fetcher(&self, role: &str) -> anyhow::Result<Self::Fetcher>;

    /// Joins a stage's group, for these topics.
    ///
    /// # Errors
    /// If a client property is wrong.
    fn join(&self, stage: &str, topics: &[TopicIndex]) -> anyhow::Result<Self::Membership>;
}

/// What came of a transaction.
#[derive(Debug)]
pub enum Outcome {
    /// It is committed.
    Committed {
        /// The earliest time that the broker gave to a record of the observed topic, in microseconds.
        append_time_us: Option<i64>,
    },
    /// It is aborted, or never began.
    Aborted(anyhow::Error),
    /// A newer owner has claimed the task.
    Fenced(anyhow::Error),
    /// Whether it is committed can't be told.
    Unknown(anyhow::Error),
}

/// The transactional producer of one claim. After anything but [`Outcome::Committed`] it is dropped.
pub trait Transactions {
    /// Writes `records` in one transaction.
    async fn commit(&self, records: &[OutputRecord]) -> Outcome;
}

/// What a poll gave.
#[derive(Debug)]
pub enum Polled<M> {
    /// A record.
    Record(M),
    /// Nothing within the time.
    Nothing,
    /// The offset that was asked for is not in the log.
    OutOfRange,
    /// The broker is away or the like; the client goes on trying.
    Trouble(anyhow::Error),
}

/// A record that the client holds for us.
pub trait Received {
    /// The topic that it came from.
    fn topic(&self) -> TopicIndex;
    /// Its parts.
    fn record(&self) -> InputRecord<'_>;
}

/// A consumer of explicitly assigned partitions. Offsets are ours: no group, nothing stored, nothing reset.
pub trait Fetcher {
    /// A record.
    type Record<'a>: Received
    where
        Self: 'a;

    /// Reads these partitions from these offsets on; −1 is a partition's beginning.
    ///
    /// # Errors
    /// If the client refuses.
    fn assign(&self, places: &[(Place, i64)]) -> anyhow::Result<()>;

    /// Waits for a record.
    async fn poll(&self, timeout: Duration) -> Polled<Self::Record<'_>>;

    /// The offset that comes next, control records counted; `None` before anything was delivered.
    fn position(&self, place: Place) -> Option<i64>;

    /// First and end offset, from the broker; the end is the last stable offset.
    ///
    /// # Errors
    /// If the broker does not answer in time.
    async fn watermarks(&self, place: Place, timeout: Duration) -> anyhow::Result<(i64, i64)>;
}

/// What the group said, of places as who is told names them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rebalance<P = Place> {
    /// These are ours from now on.
    Assigned(Vec<P>),
    /// These go to others once we let go: finish or abort, then [`Membership::release`].
    Revoked {
        /// The partitions.
        places: Vec<P>,
        /// Others may own them already: abort, commit nothing.
        lost: bool,
    },
}

/// One member of a group; dropping it leaves.
pub trait Membership {
    /// Serves the group for `timeout` at most; what it said, if anything.
    async fn poll(&self, timeout: Duration) -> Option<Rebalance>;

    /// Accepts what was assigned.
    ///
    /// # Errors
    /// If the client refuses.
    fn accept(&self, places: &[Place]) -> anyhow::Result<()>;

    /// Lets go of what was revoked, once its work is finished or aborted.
    ///
    /// # Errors
    /// If the client refuses.
    fn release(&self, places: &[Place]) -> anyhow::Result<()>;

    /// Does what the group said, without any work in between: for what came while leaving.
    fn obey(&self, rebalance: &Rebalance) {
        let obeyed = match rebalance {
            Rebalance::Assigned(places) => self.accept(places),
            Rebalance::Revoked { places, .. } => self.release(places),
        };
        if let Err(error) = obeyed {
            tracing::debug!(%error, "leaving the group");
        }
    }

    /// Tells the group how far tasks have come: only for lag displays, lost without harm.
    fn report(&self, offsets: &[(Place, i64)]);
}
