//! The stream engine: what a consume-transform-produce task decides, and the state that it keeps.
//!
//! It decides, the shell executes: inputs come in through `handle_…`, what to do comes out of `poll_…`. The
//! shell owns every connection, thread, clock and random number; two engines that are handed the same inputs
//! do the same, byte for byte.
//!
//! Invariants:
//! - State changes become permanent only with a *known* commit; after anything else the state is dropped
//!   whole and restored from what is committed.
//! - Times that decide about results are the log's own; `now_us` is elapsed time and only decides when to
//!   commit, to ask or to give up.
//! - Nothing that is emitted depends on the order of a hash table.
//! - Everything has a bound; all bounds are in [`limits`].
//!
//! It must not know processes, rollups, Kafka, SQL or Avro: keys and values are bytes, topics are indexes.

pub mod batch;
mod hash;
pub mod limits;
pub mod overlay;
pub mod processor;
pub mod record;
pub mod stage_time;
pub mod task;
pub mod topology;
pub mod windows;

pub use batch::Batch;
pub use overlay::Overlay;
pub use processor::Processor;
pub use record::{InputRecord, OutputRecord, TopicIndex};
pub use stage_time::{StageTime, UnknownUpstream, UpstreamTimes};
pub use task::{
    Action, CommitOutcome, LostReason, RestoreStalled, RestoreStatus, RestoreTarget, State, Task,
    TaskConfig, TaskError,
};
pub use topology::{Cleanup, Partitions, SinkSpec, StageSpec, TopicSpec, Topology, TopologyError};
pub use windows::{
    Aggregate, Change, ChangeKind, GrainSpec, WindowCounters, WindowLimits, Windows,
};
