//! Rollcall's vocabulary: what a process, a snapshot, a user, a window and a rollup are.
//!
//! Invariants: values here are already valid (a decoder or parser made them so); accumulators merge
//! with identity, commutatively and associatively, on integers only.
//!
//! Must not know: Kafka, Avro, SQL, serde, clocks, files. Everything else may depend on this crate.

pub mod ddsketch;
pub mod hash;
pub mod hll;
pub mod identity;
pub mod observation;
pub mod pipeline;
pub mod process;
pub mod rejection;
pub mod rollup;
pub mod snapshot;
pub mod time;
pub mod window;

pub use identity::{Directory, Owner, ResolvedUser};
pub use observation::{Observation, SnapshotObservations, TaskCounts};
pub use process::{CreationTime, Precision, Process, ProcessState};
pub use rejection::{LineReason, RejectionReason};
pub use rollup::{Accumulator, Contribution, GroupingSet, RollupKey};
pub use snapshot::{Machine, Os, Payload, Snapshot, SnapshotId};
pub use time::Timestamp;
pub use window::{Grain, Window};
