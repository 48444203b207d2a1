//! Everything that talks to PostgreSQL: migrations, SINK's claims and flushes, retention, and the analysts' questions.
//! The only place that says `use sqlx`.
//!
//! ```text
//! claim ──► flush_details │ flush_rollups │ flush_dead_letters ──► release
//!              │ before the transaction: partitions, dimension rows, snapshot numbers
//!              │ BEGIN
//!              │   compare-and-set of all offsets (epoch, next_offset) ── not all ──► ROLLBACK, Fenced
//!              │   retention horizon FOR SHARE
//!              │   COPY, upserts, ledger or progress
//!              └ COMMIT ── no answer ──► Unknown: connect, claim, read where it stands
//! ```
//!
//! Invariants:
//! - A flush's effects and its offsets are one transaction, and a claim ends the backend that had the partition before.
//! - Connections are dedicated, outside any pool; no future of this module but connecting and pinging may be dropped before it is done
//!   (no `select!`, no timeout around it), and after any error but [`FlushError::Fenced`] the connection goes.
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
mod sockets;
#[cfg(test)]
mod tests;
pub mod text;
mod totals;
mod types;

pub use claim::{Claim, ClaimRequest, StoredOffset, check_deployment, claim, read_offset, release};
pub use connect::{PostgresSettings, Session, SinkConnection, SynchronousCommit};
pub use dead_letters::{
    DeadLetterBatch, DeadLettersFlushed, RejectedRecord, RejectedRecordsQuery, flush_dead_letters,
    rejected_records,
};
pub use details::{DetailsBatch, DetailsFlushed, flush_details};
pub use error::{ErrorClass, PostgresError};
pub use ledger::{LedgerDifference, read_books};
pub use migrate::{migrate, pending_migrations};
pub use offsets::{FlushError, OffsetAdvance, TopicPartition, move_offsets};
pub use partitions::{create_partitions_ahead, summarize_details};
pub use progress::{StoredProgress, read_progress};
pub use retention::{RetentionOutcome, RetentionPolicy, enforce_retention};
pub use rollups::{RollupsFlushed, flush_rollups};
pub use totals::{StoredTotals, read_totals};
