//! The analysts' questions, for the command line and the API: typed rows from the schema `analytics`.
//!
//! Invariants: distinct counts over several windows are unions of sketches, never sums; quantiles over several windows
//! come from merged sketches; nothing outside `analytics` is read, so `rollcall_reader` suffices.

use super::connect::Session;
use super::error::{Doing, PostgresError};
use super::rollup_rows::read_sketch;
use super::text::stored_name;
use super::types::Time;
use futures::TryStreamExt;
use hashbrown::HashMap;
use rollcall_domain::ddsketch::DdSketch;
use rollcall_domain::hll::Hll;
use rollcall_domain::{Grain, Os, Timestamp};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;

/// By what applications are ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopBy {
    /// CPU time.
    CpuTime,
    /// Resident memory on a machine where the application runs.
    Memory,
    /// Distinct users.
    Users,
    /// Distinct pairs of machine and minute.
    MachineMinutes,
}

impl TopBy {
    /// Every order.
    pub const ALL: [TopBy; 4] = [
        TopBy::CpuTime,
        TopBy::Memory,
        TopBy::Users,
        TopBy::MachineMinutes,
    ];

    /// Its name, as on the command line and in `analytics.top_applications`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            TopBy::CpuTime => "cpu_time",
            TopBy::Memory => "memory",
            TopBy::Users => "users",
            TopBy::MachineMinutes => "machine_minutes",
        }
    }

    /// The inverse of [`TopBy::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<TopBy> {
        TopBy::ALL.into_iter().find(|by| by.as_str() == text)
    }
}

/// A half-open period, widened to whole hours where rollups are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Period {
    /// Its first instant.
    pub from: Timestamp,
    /// Its first instant that is no longer inside.
    pub to: Timestamp,
}

/// Which applications.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopApplicationsQuery<'a> {
    /// Of this faculty; `None`: of all.
    pub faculty: Option<&'a str>,
    /// On this operating system; `None`: on all.
    pub os: Option<Os>,
    /// When.
    pub period: Period,
    /// The order, largest first.
    pub by: TopBy,
    /// How many.
    pub limit: usize,
}

/// How an application was used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopApplication {
    /// The canonical name.
    pub application: String,
    /// CPU time in microseconds.
    pub cpu_time_us: i64,
    /// Resident memory of all its processes on a machine where it runs, in bytes, averaged over snapshots.
    pub memory_bytes_per_machine: Option<i64>,
    /// Largest resident memory of one process, in bytes.
    pub memory_max_bytes: Option<i64>,
    /// Distinct users.
    pub users: i64,
    /// Distinct machines.
    pub machines: i64,
    /// Distinct pairs of machine and minute.
    pub machine_minutes: i64,
    /// Snapshots that show it.
    pub snapshots: i64,
}

/// Everything that is summed up of one application.
#[derive(Default)]
struct Total {
    cpu_time_us: i64,
    memory_sum_bytes: i64,
    memory_max_bytes: Option<i64>,
    snapshots: i64,
    users: Hll,
    machines: Hll,
    machine_minutes: Hll,
}

impl Total {
    fn add(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        self.cpu_time_us = self.cpu_time_us.saturating_add(row.try_get("cpu_time_us")?);
        let sum: i64 = row.try_get("memory_sum_bytes")?;
        self.memory_sum_bytes = self.memory_sum_bytes.saturating_add(sum);
        self.memory_max_bytes = self.memory_max_bytes.max(row.try_get("memory_max_bytes")?);
        self.snapshots += row.try_get::<i64, _>("snapshots")?;
        self.users.merge(&read_sketch(row, "users_hll")?);
        self.machines.merge(&read_sketch(row, "machines_hll")?);
        self.machine_minutes
            .merge(&read_sketch(row, "machine_minutes_hll")?);
        Ok(())
    }

    fn finish(self, application: String) -> TopApplication {
        TopApplication {
            application,
            cpu_time_us: self.cpu_time_us,
            memory_bytes_per_machine: self.memory_sum_bytes.checked_div(self.snapshots),
            memory_max_bytes: self.memory_max_bytes,
            users: self.users.cardinality(),
            machines: self.machines.cardinality(),
            machine_minutes: self.machine_minutes.cardinality(),
            snapshots: self.snapshots,
        }
    }
}

const FILTER: &str = "FROM analytics.application_rollups_between($1, $2) \
    WHERE ($3::text IS NULL OR faculty = $3) AND ($4::text IS NULL OR os = $4)";

/// The applications used most by a faculty, on an operating system, in a period.
///
/// # Errors
/// If the database fails.
pub async fn top_applications(
    session: &mut Session,
    query: &TopApplicationsQuery<'_>,
) -> Result<Vec<TopApplication>, PostgresError> {
    let names = match query.by {
        // Sums can be ordered without reading a single sketch.
        TopBy::CpuTime => Some(leaders(session, query, "sum(cpu_time_us)").await?),
        TopBy::Memory => {
            let mean = "sum(memory_sum_bytes) / sum(snapshots)";
            Some(leaders(session, query, mean).await?)
        }
        TopBy::Users | TopBy::MachineMinutes => None,
    };
    let statement = format!(
        "SELECT application, cpu_time_us, memory_sum_bytes, memory_max_bytes, snapshots, users_hll, machines_hll, \
         machine_minutes_hll {FILTER} AND ($5::text[] IS NULL OR application = ANY ($5))"
    );
    let mut totals: HashMap<String, Total> = HashMap::new();
    let mut rows = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(Time(query.period.from))
        .bind(Time(query.period.to))
        .bind(query.faculty.map(stored_name).as_deref())
        .bind(query.os.map(Os::as_str))
        .bind(names)
        .fetch(&mut session.connection);
    while let Some(row) = rows.try_next().await.doing("read the top applications")? {
        let application: &str = row.try_get("application").doing("read an application")?;
        totals
            .entry_ref(application)
            .or_default()
            .add(&row)
            .doing("read an application's rollup")?;
    }
    let mut top: Vec<TopApplication> = totals
        .into_iter()
        .map(|(application, total)| total.finish(application))
        .collect();
    let figure = |row: &TopApplication| match query.by {
        TopBy::CpuTime => Some(row.cpu_time_us),
        TopBy::Memory => row.memory_bytes_per_machine,
        TopBy::Users => Some(row.users),
        TopBy::MachineMinutes => Some(row.machine_minutes),
    };
    top.sort_by(|a, b| (figure(b), &a.application).cmp(&(figure(a), &b.application)));
    top.truncate(query.limit);
    Ok(top)
}

/// The names of the applications with the largest `figure`.
async fn leaders(
    session: &mut Session,
    query: &TopApplicationsQuery<'_>,
    figure: &'static str,
) -> Result<Vec<String>, PostgresError> {
    let statement = format!(
        "SELECT application {FILTER} GROUP BY application ORDER BY {figure} DESC, application LIMIT $5"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
        .bind(Time(query.period.from))
        .bind(Time(query.period.to))
        .bind(query.faculty.map(stored_name).as_deref())
        .bind(query.os.map(Os::as_str))
        .bind(query.limit as i64)
        .fetch_all(&mut session.connection)
        .await
        .doing("read the top applications")
}

/// An application's memory on one operating system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApplicationMemory {
    /// The operating system.
    pub os: String,
    /// Processes whose memory is known.
    pub processes: i64,
    /// Median of their resident memory in bytes, within 1 %.
    pub memory_p50_bytes: Option<i64>,
    /// 95th percentile, within 1 %.
    pub memory_p95_bytes: Option<i64>,
    /// The largest.
    pub memory_max_bytes: Option<i64>,
    /// Of all its processes on a machine where it runs, averaged over snapshots.
    pub memory_bytes_per_machine: Option<i64>,
    /// Distinct machines.
    pub machines: i64,
}

#[derive(Default)]
struct MemoryTotal {
    count: i64,
    sum_bytes: i64,
    max_bytes: Option<i64>,
    snapshots: i64,
    machines: Hll,
    sketch: DdSketch,
}

impl MemoryTotal {
    fn add(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        let indexes: Vec<i32> = row.try_get("memory_sketch_indexes")?;
        let counts: Vec<i64> = row.try_get("memory_sketch_counts")?;
        let sketch = DdSketch::from_buckets(indexes.into_iter().zip(counts))
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        self.sketch.merge(&sketch);
        self.machines.merge(&read_sketch(row, "machines_hll")?);
        self.count += row.try_get::<i64, _>("memory_count")?;
        self.snapshots += row.try_get::<i64, _>("snapshots")?;
        let sum: i64 = row.try_get("memory_sum_bytes")?;
        self.sum_bytes = self.sum_bytes.saturating_add(sum);
        self.max_bytes = self.max_bytes.max(row.try_get("memory_max_bytes")?);
        Ok(())
    }

    fn finish(self, os: String) -> ApplicationMemory {
        let quantile = |q| self.sketch.quantile(q).map(|bytes| bytes.round() as i64);
        ApplicationMemory {
            os,
            processes: self.count,
            memory_p50_bytes: quantile(0.5),
            memory_p95_bytes: quantile(0.95),
            memory_max_bytes: self.max_bytes,
            memory_bytes_per_machine: self.sum_bytes.checked_div(self.snapshots),
            machines: self.machines.cardinality(),
        }
    }
}

/// How much memory an application takes, per operating system.
///
/// # Errors
/// If the database fails.
pub async fn application_memory(
    session: &mut Session,
    application: &str,
    faculty: Option<&str>,
    period: Period,
) -> Result<Vec<ApplicationMemory>, PostgresError> {
    let mut totals: BTreeMap<String, MemoryTotal> = BTreeMap::new();
    let mut rows = sqlx::query(
        "SELECT os, memory_count, memory_sum_bytes, memory_max_bytes, snapshots, machines_hll, \
             memory_sketch_indexes, memory_sketch_counts \
         FROM analytics.application_rollups_between($1, $2) \
         WHERE application = $3 AND ($4::text IS NULL OR faculty = $4)",
    )
    .bind(Time(period.from))
    .bind(Time(period.to))
    .bind(stored_name(application))
    .bind(faculty.map(stored_name).as_deref())
    .fetch(&mut session.connection);
    while let Some(row) = rows
        .try_next()
        .await
        .doing("read an application's memory")?
    {
        let os: String = row.try_get("os").doing("read an application's memory")?;
        totals
            .entry(os)
            .or_default()
            .add(&row)
            .doing("read an application's memory")?;
    }
    Ok(totals
        .into_iter()
        .map(|(os, total)| total.finish(os))
        .collect())
}

/// A process that ran on a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineProcess {
    /// The canonical application name.
    pub application: String,
    /// The file's name.
    pub executable_name: String,
    /// The command line, where the listing shows one.
    pub command_line: Option<String>,
    /// Whom it counts for.
    pub user: String,
    /// Its process id.
    pub pid: i32,
    /// Event time of the first snapshot in the period that shows it.
    pub first_seen: Timestamp,
    /// Event time of the last one.
    pub last_seen: Timestamp,
    /// Snapshots in the period that show it.
    pub snapshots: i64,
    /// CPU time used in the period, in microseconds, where it is known.
    pub cpu_time_us: Option<i64>,
    /// Its largest resident memory in bytes.
    pub memory_max_bytes: Option<i64>,
}

/// What ran on the machine with this id or name in a period, by CPU time and then memory.
///
/// # Errors
/// If the database fails.
pub async fn machine_processes(
    session: &mut Session,
    machine: &str,
    period: Period,
    limit: usize,
) -> Result<Vec<MachineProcess>, PostgresError> {
    let rows = sqlx::query("SELECT * FROM analytics.machine_processes($1, $2, $3, $4)")
        .bind(stored_name(machine))
        .bind(Time(period.from))
        .bind(Time(period.to))
        .bind(limit as i64)
        .fetch_all(&mut session.connection)
        .await
        .doing("read what ran on a machine")?;
    rows.iter()
        .map(machine_process)
        .collect::<Result<_, _>>()
        .doing("read what ran on a machine")
}

fn machine_process(row: &PgRow) -> Result<MachineProcess, sqlx::Error> {
    Ok(MachineProcess {
        application: row.try_get("application")?,
        executable_name: row.try_get("executable_name")?,
        command_line: row.try_get("command_line")?,
        user: row.try_get("user_name")?,
        pid: row.try_get("pid")?,
        first_seen: row.try_get::<Time, _>("first_seen")?.0,
        last_seen: row.try_get::<Time, _>("last_seen")?.0,
        snapshots: row.try_get("snapshots")?,
        cpu_time_us: row.try_get("cpu_time_us")?,
        memory_max_bytes: row.try_get("memory_max_bytes")?,
    })
}

/// One window of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserRollup {
    /// The window's first instant.
    pub window_start: Timestamp,
    /// Whether it is closed.
    pub closed: bool,
    /// Snapshots that contributed.
    pub snapshots: i64,
    /// Processes observed.
    pub processes: i64,
    /// Distinct machines.
    pub machines: i64,
    /// Distinct applications.
    pub applications: i64,
    /// Distinct pairs of machine and minute.
    pub machine_minutes: i64,
    /// CPU time in microseconds.
    pub cpu_time_us: i64,
    /// Median resident memory of the user's processes in bytes.
    pub memory_p50_bytes: Option<i64>,
    /// 95th percentile.
    pub memory_p95_bytes: Option<i64>,
    /// The largest.
    pub memory_max_bytes: Option<i64>,
}

/// A user's windows of one grain that start in a period, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn user_rollups(
    session: &mut Session,
    user: &str,
    grain: Grain,
    period: Period,
    limit: usize,
) -> Result<Vec<UserRollup>, PostgresError> {
    let rows = sqlx::query(
        "SELECT window_start, closed, snapshots, processes, machines, applications, machine_minutes, cpu_time_us, \
             memory_p50_bytes, memory_p95_bytes, memory_max_bytes \
         FROM analytics.user_rollups \
         WHERE user_name = $1 AND grain = $2 AND window_start >= $3 AND window_start < $4 \
         ORDER BY window_start LIMIT $5",
    )
    .bind(stored_name(user))
    .bind(grain.as_str())
    .bind(Time(period.from))
    .bind(Time(period.to))
    .bind(limit as i64)
    .fetch_all(&mut session.connection)
    .await
    .doing("read a user's rollups")?;
    rows.iter()
        .map(user_rollup)
        .collect::<Result<_, _>>()
        .doing("read a user's rollups")
}

fn user_rollup(row: &PgRow) -> Result<UserRollup, sqlx::Error> {
    Ok(UserRollup {
        window_start: row.try_get::<Time, _>("window_start")?.0,
        closed: row.try_get("closed")?,
        snapshots: row.try_get("snapshots")?,
        processes: row.try_get("processes")?,
        machines: row.try_get("machines")?,
        applications: row.try_get("applications")?,
        machine_minutes: row.try_get("machine_minutes")?,
        cpu_time_us: row.try_get("cpu_time_us")?,
        memory_p50_bytes: row.try_get("memory_p50_bytes")?,
        memory_p95_bytes: row.try_get("memory_p95_bytes")?,
        memory_max_bytes: row.try_get("memory_max_bytes")?,
    })
}
