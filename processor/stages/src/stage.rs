//! What the shell needs of a stage beyond [`Processor`]: schemas are looked up by the shell, for that is IO.

use crate::schemas::StageReaders;
use rollcall_codec::{Message, SchemaRef};
use rollcall_domain::RejectionReason;
use rollcall_domain::pipeline::TaskState;
use rollcall_engine::{Processor, TopicIndex};
use rollcall_normalize::NullReason;
use std::fmt::Display;

/// What the registry says of a schema id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SchemaLookup {
    /// The writer's schema, as JSON.
    Known(String),
    /// The registry is sound and has no such id.
    Unknown,
}

/// A consume-transform-produce stage.
pub trait Stage: Processor<Error = StageError> {
    /// What it reads.
    type Input: Message;
    /// What it keeps in its state topic.
    type State: Message;

    /// Its readers.
    fn readers(&self) -> &StageReaders<Self::Input, Self::State>;

    /// Its readers, to be taught.
    fn readers_mut(&mut self) -> &mut StageReaders<Self::Input, Self::State>;

    /// The schema that must be learnt before `value`, read from `topic`, can be handed over, if any.
    fn schema_needed(
        &self,
        topic: TopicIndex,
        value: Option<&[u8]>,
        schema_header: Option<&[u8]>,
    ) -> Option<SchemaRef> {
        self.readers().needed(topic, value, schema_header)
    }

    /// Learns what the registry says of a schema that `topic`'s values use.
    fn learn_schema(&mut self, topic: TopicIndex, schema: SchemaRef, lookup: &SchemaLookup) {
        self.readers_mut().learn(topic, schema, lookup);
    }

    /// Forgets which schemas of the input the registry did not know, so that it is asked again.
    fn forget_unknown_schemas(&mut self) {
        self.readers_mut().inputs.forget_unknown();
    }

    /// The task state as of the latest seal or restore.
    fn task_state(&self) -> &TaskState;

    /// Entries that the stage's state holds.
    fn state_entries(&self) -> usize;

    /// Bytes that the stage's state holds, as far as it counts them.
    fn state_bytes(&self) -> usize;

    /// Cumulative counts since this process restored the task, for metrics.
    fn counters(&self) -> Vec<(Counted, u64)>;
}

/// What a stage counts beside the books.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// Late contributions that went out as CORRECTION.
    Corrections,
    /// Windows closed before their grace ended, for want of room.
    EarlyClosings,
    /// Contributions older than their grouping set or grain.
    NotCounted,
    /// Records rejected whole for this reason.
    Rejected(RejectionReason),
    /// Rows that show a value which is null all the same for this reason.
    Null(NullReason),
}

/// Why a stage can't go on. Bad input is never one of these: it becomes a dead letter.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The state belongs to something else.
    #[error(
        "task state of {stage} partition {partition} says {what} {found:?}, but this process runs with {expected:?}; \
         a changed deployment or partition count needs a new deployment beside the old one"
    )]
    ForeignState {
        /// The stage.
        stage: String,
        /// Its partition.
        partition: i32,
        /// What differs.
        what: &'static str,
        /// The value found.
        found: String,
        /// The value expected.
        expected: String,
    },
    /// A state record can't be read.
    #[error(
        "state record {key:?} can't be read: {detail}; was it written by a newer version of rollcall?"
    )]
    UnreadableState {
        /// The record's key.
        key: String,
        /// What is wrong.
        detail: String,
    },
    /// An internal record can't be read.
    #[error(
        "record of the internal topic {topic} at offset {offset} can't be read: {detail}; only rollcall may write there"
    )]
    UnreadableInternal {
        /// The topic's name.
        topic: &'static str,
        /// The offset.
        offset: i64,
        /// What is wrong.
        detail: String,
    },
    /// A broken invariant of the program.
    #[error("broken invariant: {0}; please report it")]
    Invariant(String),
}

impl StageError {
    /// A state record under `key` that can't be read.
    pub(crate) fn unreadable(key: &str, error: impl Display) -> Self {
        Self::UnreadableState {
            key: key.to_owned(),
            detail: error.to_string(),
        }
    }

    /// A record of ours that can't be encoded: all that goes into one was checked before.
    pub(crate) fn unencodable(error: impl Display) -> Self {
        Self::Invariant(format!("an internal record can't be encoded: {error}"))
    }
}
