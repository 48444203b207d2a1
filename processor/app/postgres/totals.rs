//! How much is stored, for people who watch: a few small tables, so that it costs next to nothing to ask often.

use super::connect::Session;
use super::error::{Doing, PostgresError};
use super::types::Time;
use rollcall_domain::Timestamp;

/// What is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoredTotals {
    /// Snapshots.
    pub snapshots: i64,
    /// Processes.
    pub processes: i64,
    /// The largest `ingested_at` among them.
    pub latest_ingested_at: Option<Timestamp>,
}

/// Reads the totals.
///
/// # Errors
/// If the database fails.
pub async fn read_totals(session: &mut Session) -> Result<StoredTotals, PostgresError> {
    let (snapshots, processes, latest): (i64, i64, Option<Time>) =
        sqlx::query_as(
            "SELECT coalesce(sum(stored_snapshots), 0)::bigint, coalesce(sum(stored_lines), 0)::bigint, \
                 max(last_ingested_at) \
             FROM rollcall.ledger",
        )
        .fetch_one(&mut session.connection)
        .await
        .doing("read how much is stored")?;
    Ok(StoredTotals {
        snapshots,
        processes,
        latest_ingested_at: latest.map(|Time(at)| at),
    })
}
