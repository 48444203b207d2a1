//! What tasks and SINK's lanes ask of the world. The shell fills these ports with a Kafka client, the registry's HTTP and
//! PostgreSQL, the simulator with models that lose, delay and repeat.
//!
//! Times that may run out are the port's to keep; an error of a port ends the claim, never the task.
#![allow(
    async_fn_in_trait,
    reason = "each future stays on the thread that made it"
)]

mod database;
mod kafka;
mod telemetry;

pub use database::{
    Aging, Backend, BackendEnd, BookEntry, BookSum, Claim, ClaimRequest, CommitError, Connection,
    Copied, Database, DatabaseError, Horizons, LedgerDifference, OffsetAdvance, Owner, RollupRow,
    TopicPartition,
};
pub use kafka::{
    Fetcher, Kafka, Membership, Outcome, Place, Polled, Rebalance, Received, Transactions,
};
pub use telemetry::{Advance, FlushOutcome, LaneMeter, TaskMeter, TaskStatus, Telemetry};

use crate::{StageKind, TaskRunner};
use rollcall_codec::{SchemaIds, SchemaRef};
use rollcall_stages::SchemaLookup;
use rollcall_stages::layout::TopicLayout;
use std::time::Duration;

/// Time and chance.
pub trait Clock {
    /// Microseconds on a clock that never goes back.
    fn elapsed_us(&self) -> i64;
    /// Waits.
    async fn sleep(&self, time: Duration);
    /// Something between 0 and 1, another each time.
    fn jitter(&self) -> f64;
}

/// The schema registry.
pub trait Registry {
    /// The ids of our schemas.
    ///
    /// # Errors
    /// If it is away or lacks one.
    async fn schema_ids(&self) -> anyhow::Result<SchemaIds>;
    /// What it says of the schema with which a record of `topic` was written.
    ///
    /// # Errors
    /// If it can't be told: it is away, or has lost even our own schemas.
    async fn lookup(&self, topic: &TopicLayout, schema: SchemaRef) -> anyhow::Result<SchemaLookup>;
}

/// Runs tasks beside the stage that starts them.
pub trait Crew: Sized {
    /// A task that was started.
    type Job: Job;
    /// Starts a task.
    ///
    /// # Errors
    /// If nothing more can be started here.
    fn start<K: StageKind>(&self, task: TaskRunner<K, Self>) -> anyhow::Result<Self::Job>;
}

/// A task that was started.
pub trait Job {
    /// Whether it has ended.
    fn has_ended(&self) -> bool;
    /// Ends it, once it has ended; `false`: it panicked.
    fn join(self) -> bool;
}

/// All of it.
pub trait World: Clock + Kafka + Registry + Telemetry + Crew + Clone {}

impl<T: Clock + Kafka + Registry + Telemetry + Crew + Clone> World for T {}
