//! Everything that talks to PostgreSQL: migrations, the statements of SINK's claims and flushes ([`sink`]), retention, and the
//! analysts' questions. The only place that says `use sqlx`.
//!
//! Invariants:
//! - Connections are dedicated, outside any pool; no future of this module but connecting and pinging may be dropped before it is done
//!   (no `select!`, no timeout around it), and after any error the connection goes.
//! - Values are mapped to what PostgreSQL can hold (see [`text`]): no text, name or time can make a flush fail.
//!
//! Must not know: Kafka clients, stages beyond what a flush holds, clocks.

pub mod audit;
pub mod claim;
pub mod connect;
pub mod copy;
pub mod dead_letters;
pub mod details;
pub mod dimensions;
pub mod error;
pub mod ledger;
mod machines;
mod memory;
pub mod migrate;
pub mod offsets;
pub mod overview;
pub mod partitions;
pub mod progress;
pub mod queries;
pub mod redriven;
pub mod retention;
mod rollup_rows;
pub mod rollups;
pub mod sink;
mod sockets;
#[cfg(test)]
mod tests;
pub mod text;
mod totals;
mod types;

pub use claim::{StoredOffset, check_deployment, read_offset};
pub use connect::{PostgresSettings, Session, SynchronousCommit};
pub use dead_letters::{RejectedRecord, RejectedRecordsQuery, rejected_records};
pub use error::{ErrorClass, PostgresError};
pub use migrate::{migrate, pending_migrations};
pub use partitions::{create_partitions_ahead, summarize_details};
pub use progress::{StoredProgress, read_progress};
pub use retention::{RetentionOutcome, RetentionPolicy, enforce_retention};
pub use sink::SinkDatabase;
pub use totals::{StoredTotals, read_totals};
