//! Partitions by time: made on demand and ahead, forgotten with the horizon.
//!
//! Invariants: a partition is made in a statement of its own, before the flush's transaction begins, so that a flush
//! holds no lock that others wait for; what lies before the retention horizon is never made again; a flush reads the
//! horizon FOR SHARE before it writes, and retention takes it FOR UPDATE before it drops.

use super::connect::Session;
use super::error::{Doing, PostgresError};
use super::types::Time;
use hashbrown::HashMap;
use rollcall_domain::time::DAY_US;
use rollcall_domain::{Grain, GroupingSet, Timestamp};
use rollcall_driver::ports::Horizons;

/// Partitions that a connection remembers; over it, it forgets them all and asks again.
const KNOWN_MAX: usize = 4_096;

/// A table that is partitioned by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TimeTable {
    /// `process_snapshots`.
    Snapshots,
    /// `process_observations`, whose horizon is that of the snapshots.
    Observations,
    /// `rejected_records`.
    RejectedRecords,
    /// A table of rollups, one grain of it.
    Rollups(GroupingSet, Grain),
}

impl TimeTable {
    /// Tables that have a horizon of their own.
    pub fn with_horizon() -> impl Iterator<Item = TimeTable> {
        let rollups = GroupingSet::ALL.into_iter().flat_map(|set| {
            Grain::ALL
                .into_iter()
                .map(move |grain| TimeTable::Rollups(set, grain))
        });
        [TimeTable::Snapshots, TimeTable::RejectedRecords]
            .into_iter()
            .chain(rollups)
    }

    /// The table's name in the schema `rollcall`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            TimeTable::Snapshots => "process_snapshots",
            TimeTable::Observations => "process_observations",
            TimeTable::RejectedRecords => "rejected_records",
            TimeTable::Rollups(set, _) => rollup_table(set),
        }
    }

    /// The grain as `retention_horizon` has it.
    #[must_use]
    pub const fn grain(self) -> &'static str {
        match self {
            TimeTable::Rollups(_, grain) => grain.as_str(),
            _ => "none",
        }
    }

    /// How much the database keeps in one partition at most; a step in which partitions are made ahead.
    const fn partition_us(self) -> i64 {
        match self {
            TimeTable::Rollups(_, Grain::Hour) => 28 * DAY_US,
            TimeTable::Rollups(_, Grain::Day) => 365 * DAY_US,
            _ => DAY_US,
        }
    }
}

/// The table of a grouping set.
pub(crate) const fn rollup_table(set: GroupingSet) -> &'static str {
    match set {
        GroupingSet::User => "user_rollups",
        GroupingSet::Faculty => "faculty_rollups",
        GroupingSet::Application => "application_rollups",
    }
}

/// Days (for months and years: some days more than needed) of which this connection knows that they have partitions.
#[derive(Debug, Default)]
pub struct KnownPartitions {
    known: HashMap<(TimeTable, i64), ()>,
}

/// Makes the partitions that hold these times, where they are missing and not forgotten.
///
/// # Errors
/// If the database fails.
pub async fn ensure_partitions(
    session: &mut Session,
    partitions: &mut KnownPartitions,
    table: TimeTable,
    times: impl IntoIterator<Item = Timestamp>,
) -> Result<(), PostgresError> {
    let known = &mut partitions.known;
    if known.len() > KNOWN_MAX {
        known.clear();
    }
    let mut last = None;
    let mut days: Vec<i64> = times
        .into_iter()
        .map(Timestamp::day)
        .filter(|&day| last.replace(day) != Some(day) && !known.contains_key(&(table, day)))
        .collect();
    days.sort_unstable();
    days.dedup();
    for day in days {
        create_partition(session, table, Timestamp::from_micros(day * DAY_US)).await?;
        partitions.known.insert((table, day), ());
    }
    Ok(())
}

/// Makes the partitions of `now` and of one partition's time after it, for every table, so that midnight passes unnoticed.
///
/// # Errors
/// If the database fails.
pub async fn create_partitions_ahead(
    session: &mut Session,
    now: Timestamp,
) -> Result<(), PostgresError> {
    for table in TimeTable::with_horizon().chain([TimeTable::Observations]) {
        for at in [now, now.plus_micros(table.partition_us())] {
            create_partition(session, table, at).await?;
        }
    }
    Ok(())
}

/// Summarizes what was added to the details' BRIN indexes since the last time; to be called every minute or so. Until
/// then, look-ups by snapshot read all that was added. Returns how many page ranges were new.
///
/// # Errors
/// If the database fails.
pub async fn summarize_details(session: &mut Session) -> Result<i64, PostgresError> {
    sqlx::query_scalar("SELECT rollcall.summarize_details()")
        .fetch_one(&mut session.connection)
        .await
        .doing("summarize the details' indexes")
}

async fn create_partition(
    session: &mut Session,
    table: TimeTable,
    at: Timestamp,
) -> Result<bool, PostgresError> {
    sqlx::query_scalar("SELECT rollcall.create_partition($1, $2, $3)")
        .bind(table.name())
        .bind(table.grain())
        .bind(Time(at))
        .fetch_one(&mut session.connection)
        .await
        .doing("create a partition")
}

/// The horizons of one table per grain, locked against retention until the transaction ends.
pub(crate) async fn lock_horizons(
    session: &mut Session,
    table: &str,
) -> Result<Horizons, PostgresError> {
    let rows: Vec<(String, Time)> = sqlx::query_as(
        "SELECT grain, horizon FROM rollcall.retention_horizon WHERE table_name = $1 FOR SHARE",
    )
    .bind(table)
    .fetch_all(&mut session.connection)
    .await
    .doing("read the retention horizon")?;
    Ok(rows
        .into_iter()
        .map(|(grain, horizon)| (Grain::parse(&grain), horizon.0))
        .collect())
}
