//! What a stage gives the engine: the transformation of one input partition, with its state.
//!
//! Order of calls, which [`Task`](crate::task::Task) keeps: `restore` per state record, `restored` once, then
//! per transaction `process` per record or `idle_append`, `seal`, and `committed` after a *known* commit.
//! After anything else the processor is dropped; a new one is made and restored for the next claim.

use crate::batch::Batch;
use crate::record::{InputRecord, TopicIndex};

/// One task's transformation and state. Pure: no clock, no randomness, no input or output of its own.
pub trait Processor {
    /// What may go wrong. Bad input is no error: it becomes output (a dead letter).
    type Error: core::fmt::Debug + core::fmt::Display;

    /// A record of a state topic, in the topic's order; `None` is a tombstone.
    ///
    /// # Errors
    /// If the state can't be read.
    fn restore(
        &mut self,
        source: TopicIndex,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Self::Error>;

    /// The state is whole: checks the task state found, and returns the offset of the input to start at, or
    /// −1 for its beginning.
    ///
    /// # Errors
    /// If the state is not this task's.
    fn restored(&mut self) -> Result<i64, Self::Error>;

    /// One input record. What is written per record goes to the batch now.
    ///
    /// # Errors
    /// If the record can't be handled now. The task's state is then dropped, as it may be half changed.
    fn process(&mut self, record: &InputRecord<'_>, batch: &mut Batch) -> Result<(), Self::Error>;

    /// The end of a transaction: everything that is written once per transaction, the task state last.
    /// `next_offset` is that of the input record to read next, −1 while the input was never read.
    ///
    /// # Errors
    /// If something can't be written. The task's state is then dropped.
    fn seal(&mut self, next_offset: i64, batch: &mut Batch) -> Result<(), Self::Error>;

    /// The transaction is known to be committed.
    fn committed(&mut self);

    /// The append time of the task's previous batch, in microseconds since the epoch, once the input was
    /// seen to be level after it: the stage time may go up to it.
    fn idle_append(&mut self, append_time_us: i64);

    /// About how many records `seal` will add, so that a transaction is known to be full in time.
    fn pending_records(&self) -> usize {
        0
    }

    /// Whether only a person can mend it (another deployment's state): the task halts. Otherwise the state
    /// is dropped, and the task is claimed and restored again.
    fn needs_person(error: &Self::Error) -> bool {
        let _ = error;
        true
    }
}
