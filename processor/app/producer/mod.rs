//! Producers of raw snapshots: a simulated fleet, this very machine, and the redrive of what was rejected.
//!
//! ```text
//! plan ─► link (waits for Kafka and registry) ─► directory users ─► snapshots ─► acknowledgements ─► summary
//! ```
//!
//! All run on the caller's thread until their plan is done or [`crate::driver::Control`] says otherwise, and call back
//! with their progress, so that the command line can draw a bar and the demo can run them in threads of its own.
//!
//! Invariants: the directory is acknowledged before the first snapshot is sent; what was handed over is waited for at
//! the end, and what was not acknowledged is counted, never passed over.
//!
//! Must not know: Kafka's client library, SQL, command-line flags.

mod agent;
mod fleet;
mod ledger_file;
mod link;
mod listing;
mod outbox;
mod redrive;
mod stall;
mod this_machine;

pub use agent::{AgentPlan, AgentSummary, run_agent};
pub use fleet::{FleetPlan, FleetProgress, FleetSummary, Pace, run_fleet};
pub use ledger_file::{LedgerLine, LedgerRecord, read_ledger};
pub use link::ProducerError;
pub use redrive::{LeftOut, RedriveError, RedrivePlan, RedriveSummary, parse_place, run_redrive};
