//! The three stages as pure logic over the engine: what NORMALIZE, ROLLUP and SINK decide.
//!
//! NORMALIZE and ROLLUP implement [`rollcall_engine::Processor`]; SINK's pending rollups and their cuts live
//! in [`sink`]. The shell feeds them records and carries out what they decide; so does the simulator, unchanged.
//!
//! Invariants: a stage's state depends on nothing but the records it was given; everything that it wants
//! written leaves through a batch.
//!
//! Must not know: Kafka clients, SQL, HTTP, clocks, threads.

pub mod layout;
pub mod normalize;
mod picture;
pub mod rollup;
mod schemas;
pub mod sink;
mod stage;
mod task_state;

pub use normalize::{NormalizeConfig, NormalizeStage};
pub use picture::topology;
pub use rollup::{RollupConfig, RollupStage};
pub use schemas::{Reader, StageReaders};
pub use stage::{Counted, SchemaLookup, Stage, StageError};
