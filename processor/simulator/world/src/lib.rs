//! The deterministic simulator: the pipeline's own tasks, unchanged, in a world of models that is ruled by one seed.
//!
//! ```text
//! executor   one thread, a clock that jumps, processes that are killed and stopped
//! broker     logs, transactions, epochs, compaction           group    who should run what
//! database   tables, transactions with locks, a standby that lags
//! ports      the driver's ports over these, with a network that delays and loses
//! load       what machines send, and the ledger of it         oracle   what must have come of it
//! run        a world from its first moment to its judgement   watch    its trace
//! fidelity   scripts that the models and the real services play alike
//! ```
//!
//! A world runs `rollcall_driver`'s stages, tasks and lanes, with the stages' and the engine's logic, in several processes,
//! under faults of all kinds; then the faults stop, everything must become level within a bound, and what topics and tables
//! hold must be what the ledger says. Same seed, same trace.
//!
//! Must not know: real clocks, real services. Nothing of it is in the program.

mod broker;
mod database;
mod executor;
pub mod fidelity;
mod group;
mod load;
mod oracle;
mod ports;
mod run;
mod schemas;
mod watch;

pub use run::{Report, run};
