//! Forgetting what is too old: by the largest stored `ingested_at`. The server's clock only bounds it, so that a broker
//! whose clock runs years ahead doesn't make us forget everything.
//!
//! Invariant: the horizon moves in the transaction that drops the partitions before it.

use super::connect::Session;
use super::error::{Doing, PostgresError};
use super::offsets::{begin, commit, rollback};
use super::partitions::TimeTable;
use super::types::Time;
use rollcall_domain::time::DAY_US;
use rollcall_domain::{Grain, Timestamp};

/// How many days of each are kept; at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetentionPolicy {
    /// Snapshots and observations.
    pub details_days: u32,
    /// Rejected records.
    pub rejected_days: u32,
    /// Rollups per minute.
    pub minute_days: u32,
    /// Rollups per hour.
    pub hour_days: u32,
    /// Rollups per day.
    pub day_days: u32,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            details_days: 30,
            rejected_days: 30,
            minute_days: 7,
            hour_days: 90,
            day_days: 5 * 365,
        }
    }
}

impl RetentionPolicy {
    fn kept_us(&self, table: TimeTable) -> i64 {
        let days = match table {
            TimeTable::Snapshots | TimeTable::Observations => self.details_days,
            TimeTable::RejectedRecords => self.rejected_days,
            TimeTable::Rollups(_, Grain::Minute) => self.minute_days,
            TimeTable::Rollups(_, Grain::Hour) => self.hour_days,
            TimeTable::Rollups(_, Grain::Day) => self.day_days,
        };
        i64::from(days.max(1)) * DAY_US
    }
}

/// What [`enforce_retention`] did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RetentionOutcome {
    /// Names of the partitions that were dropped.
    pub dropped: Vec<String>,
    /// Tables that somebody was reading for longer than we wait; for the next time.
    pub postponed: Vec<&'static str>,
}

/// Drops what the policy does not keep, counted from the largest `ingested_at` that is stored.
///
/// A drop waits for readers of its table, and writers wait behind it; so it waits a second at most.
///
/// # Errors
/// If the database fails.
pub async fn enforce_retention(
    session: &mut Session,
    policy: &RetentionPolicy,
) -> Result<RetentionOutcome, PostgresError> {
    let latest: Option<Time> =
        sqlx::query_scalar("SELECT least(max(last_ingested_at), now()) FROM rollcall.ledger")
            .fetch_one(&mut session.connection)
            .await
            .doing("read the latest ingestion time")?;
    let mut outcome = RetentionOutcome::default();
    let Some(Time(latest)) = latest else {
        return Ok(outcome);
    };
    for table in TimeTable::with_horizon() {
        let before = latest.plus_micros(-policy.kept_us(table));
        match drop_before(session, table, before).await {
            Ok(dropped) => outcome.dropped.extend(dropped),
            Err(error) if error.sqlstate().as_deref() == Some("55P03") => {
                rollback(session).await?;
                outcome.postponed.push(table.name());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(outcome)
}

async fn drop_before(
    session: &mut Session,
    table: TimeTable,
    before: Timestamp,
) -> Result<Vec<String>, PostgresError> {
    begin(session).await?;
    sqlx::raw_sql("SET LOCAL lock_timeout = '1s'")
        .execute(&mut session.connection)
        .await
        .doing("drop old partitions")?;
    let dropped = sqlx::query_scalar("SELECT rollcall.drop_partitions($1, $2, $3)")
        .bind(table.name())
        .bind(table.grain())
        .bind(Time(before))
        .fetch_all(&mut session.connection)
        .await
        .doing("drop old partitions")?;
    commit(session).await?;
    Ok(dropped)
}
