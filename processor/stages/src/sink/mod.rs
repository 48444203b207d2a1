//! SINK's decisions: which updates make up a flush, and what each key's row becomes.
//!
//! The rows themselves are written by the shell, in one transaction with the offsets.

mod pending;

pub use pending::{Flush, FlushOffset, PendingOp, PendingRollup, PendingRollups};
