//! Folds the raw topic again, on its own, and compares what the tables hold: *tables = fold of raw up to the vector*.
//!
//! ```text
//! raw records, in their order ──► judge ──► accepted │ repeated │ rejected ──► compare with details, dead letters
//!                                   ▲            │                                      │ users, faculties
//!                                 memory         └──────────► fold ◄────────────────────┘ as recorded
//!                                                               │
//! rows of rollups ─────────────────────────────────────────► compare
//! ```
//!
//! The shell reads everything in one REPEATABLE READ transaction, tells how far each lane has come ([`Facts`]), and
//! then calls, per [`Auditor::begin_pass`]: per raw partition, ascending, [`Auditor::begin_partition`],
//! [`Auditor::handle_record`] per record in the order of offsets, [`Auditor::end_partition`]; then
//! [`Auditor::end_records`], [`Auditor::handle_rollup`] per row, [`Auditor::end_pass`]. After the last pass,
//! [`Auditor::finish`] gives the report. Details and dead letters are pulled through [`Tables`], in the raw records' order.
//!
//! What it costs: one raw partition's memory of machines at a time (their latest 1,024 ids and one process list
//! each), and one row of expectations per row of the rollup tables; a pass expects only a share of the keys, so that more
//! passes bound what is held, at the price of reading all again. Measured on 2 busy cores (debug build): 9,000 raw records,
//! 783,000 rows: 5 s of CPU time and 170 MiB. PostgreSQL reads the processes once per raw partition, by their BRIN index.
//!
//! Invariants:
//! - It shares no code with the stages or the engine; its dependencies see to it. Of the domain it takes types, the fixed
//!   hashes and the boundaries of DDSketch's buckets; HyperLogLog, windows, dedupe and CPU deltas are its own, naive ones.
//! - Whom a process counts for is taken from the tables as recorded, where the raw record leaves it to the directory:
//!   the directory may have changed since. It must be one of what the raw record allows.
//! - What can't be known is reported apart, never as a difference, and never passed over in silence.
//!
//! Must not know: Kafka clients, SQL, HTTP, clocks, threads.

mod ahead;
mod auditor;
mod bench;
mod books;
mod cpu;
mod details;
mod distinct;
mod facts;
mod fold;
mod judge;
mod letters;
mod memory;
mod names;
mod progress;
mod recorded;
mod report;
mod rollups;
mod sizes;
mod stored;
#[cfg(test)]
mod tests;
mod users;

pub use auditor::{Auditor, Pass, RawRecord};
pub use facts::{AuditConfig, DetailsReach, Facts, Horizons, LettersReach, StoredProgress};
pub use report::{Apart, AuditReport, Check, Difference, Subject};
pub use stored::{
    StoredCommand, StoredLedger, StoredLetter, StoredOwner, StoredProcess, StoredRollup,
    StoredSnapshot, Tables,
};
