//! How tasks and SINK's lanes live: who runs what comes from the group, what to do from the engine, how from the [`ports`].
//!
//! ```text
//! Stage   a member of its group, starts and ends ─► Task   claim, restore, fetch, commit, and again after a loss
//! Lane    a member of its group: claim in PostgreSQL, fetch, flush, and again after a loss ([`sink`])
//! ```
//!
//! Everything that waits is asynchronous, so that one body of code serves two worlds. The shell gives each stage and
//! each task a thread of its own, on which what is waited for simply blocks: the Kafka client's transaction calls do, and a
//! task that waits (for a broker, a registry, a restore) holds up no other. The simulator runs them all on one thread, step
//! by step as its seed says, and may end any of them wherever it waits.
//!
//! Invariants: claiming fences, the group only says who should run what; after anything but a known commit everything
//! is dropped. All that a task asks of the world goes through the ports: no clock, no randomness, no thread here.
//!
//! Must not know: Kafka's client library, SQL, what a record means, threads.

mod backoff;
mod control;
mod directory;
mod kinds;
pub mod ports;
pub mod sink;
mod stage;
mod task;

pub use backoff::Backoff;
pub use control::{Control, Signal};
pub use directory::{SharedDirectory, Users};
pub use kinds::{NormalizeKind, RollupKind, StageKind};
pub use stage::run_stage;
pub use task::TaskRunner;
