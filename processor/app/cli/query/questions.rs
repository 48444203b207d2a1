//! The questions: each reads typed rows and makes an [`Answer`] of them, also where there are none.
//!
//! Must not know: how an answer is printed, SQL.

use super::answer::{Answer, Cell, Column};
use super::empty;
use super::period::widened;
use crate::postgres::overview::Named;
use crate::postgres::queries::{
    self, ApplicationMemory, MachineProcess, Period, TopApplication, TopApplicationsQuery, TopBy,
    UserRollup,
};
use crate::postgres::{PostgresError, Session};
use rollcall_domain::time::HOUR_US;
use rollcall_domain::{Grain, Os};

/// What is said of estimates.
const ESTIMATES: &str = "Users, machines and machine-minutes are estimates (about 2 %).";

const TOP: &[Column] = &[
    Column("application", Some("application")),
    Column("cpu_time_us", Some("CPU time")),
    Column("memory_bytes_per_machine", Some("memory per machine")),
    Column("memory_max_bytes", Some("largest process")),
    Column("users", Some("users")),
    Column("machines", Some("machines")),
    Column("machine_minutes", Some("machine-minutes")),
    Column("snapshots", None),
];

/// The applications used most.
pub(super) async fn top(
    session: &mut Session,
    query: &TopApplicationsQuery<'_>,
) -> Result<Answer, PostgresError> {
    let period = widened(query.period, Grain::Hour);
    let rows = queries::top_applications(session, query).await?;
    let note = match (rows.is_empty(), query.faculty) {
        (false, _) => ESTIMATES.to_owned(),
        (true, Some(faculty)) => empty::named(session, Named::Faculty, faculty).await?,
        (true, None) => empty::period(session).await?,
    };
    let order = match query.by {
        TopBy::CpuTime => "CPU time",
        TopBy::Memory => "memory per machine",
        TopBy::Users => "users",
        TopBy::MachineMinutes => "machine-minutes",
    };
    let faculty = query.faculty.map(|name| format!(" of {name}"));
    let os = query.os.map(|os| format!(" on {}", os_name(os.as_str())));
    Ok(Answer {
        question: "top_applications",
        title: format!(
            "Applications{}{} by {order}",
            faculty.unwrap_or_default(),
            os.unwrap_or_default()
        ),
        period: Some(period),
        columns: TOP,
        rows: rows.into_iter().map(top_row).collect(),
        note: Some(note),
    })
}

fn top_row(row: TopApplication) -> Vec<Cell> {
    vec![
        Cell::Text(row.application),
        Cell::CpuTime(row.cpu_time_us),
        Cell::maybe(row.memory_bytes_per_machine, Cell::Bytes),
        Cell::maybe(row.memory_max_bytes, Cell::Bytes),
        Cell::Count(row.users),
        Cell::Count(row.machines),
        Cell::Count(row.machine_minutes),
        Cell::Count(row.snapshots),
    ]
}

/// An operating system as people write it.
fn os_name(os: &str) -> String {
    match Os::parse(os) {
        Some(Os::Linux) => "Linux".to_owned(),
        Some(Os::Macos) => "macOS".to_owned(),
        Some(Os::Windows) => "Windows".to_owned(),
        None => os.to_owned(),
    }
}

const MEMORY: &[Column] = &[
    Column("os", Some("system")),
    Column("memory_bytes_per_machine", Some("memory per machine")),
    Column("memory_p50_bytes", Some("median process")),
    Column("memory_p95_bytes", Some("95 % below")),
    Column("memory_max_bytes", Some("largest")),
    Column("machines", Some("machines")),
    Column("processes", Some("processes seen")),
];

/// How much memory an application takes, per operating system.
pub(super) async fn memory(
    session: &mut Session,
    application: &str,
    faculty: Option<&str>,
    period: Period,
) -> Result<Answer, PostgresError> {
    let rows = queries::application_memory(session, application, faculty, period).await?;
    let note = match rows.is_empty() {
        false => None,
        true => Some(empty::named(session, Named::Application, application).await?),
    };
    let faculty = faculty.map(|name| format!(" of {name}"));
    Ok(Answer {
        question: "application_memory",
        title: format!(
            "Resident memory of {application}{}",
            faculty.unwrap_or_default()
        ),
        period: Some(widened(period, Grain::Hour)),
        columns: MEMORY,
        rows: rows.into_iter().map(memory_row).collect(),
        note,
    })
}

fn memory_row(row: ApplicationMemory) -> Vec<Cell> {
    vec![
        Cell::Text(row.os),
        Cell::maybe(row.memory_bytes_per_machine, Cell::Bytes),
        Cell::maybe(row.memory_p50_bytes, Cell::Bytes),
        Cell::maybe(row.memory_p95_bytes, Cell::Bytes),
        Cell::maybe(row.memory_max_bytes, Cell::Bytes),
        Cell::Count(row.machines),
        Cell::Count(row.processes),
    ]
}

const MACHINE: &[Column] = &[
    Column("application", Some("application")),
    Column("pid", Some("pid")),
    Column("user", Some("user")),
    Column("cpu_time_us", Some("CPU time")),
    Column("memory_max_bytes", Some("memory")),
    Column("first_seen", Some("first seen")),
    Column("last_seen", Some("last seen")),
    Column("snapshots", None),
    Column("executable_name", None),
    Column("command_line", Some("command line")),
];

/// What ran on a machine.
pub(super) async fn machine(
    session: &mut Session,
    machine: &str,
    period: Period,
    limit: usize,
) -> Result<Answer, PostgresError> {
    let mut rows = queries::machine_processes(session, machine, period, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let note = match (rows.is_empty(), more) {
        (true, _) => Some(empty::machine(session, machine).await?),
        (false, true) => Some(format!(
            "These are the first {limit} by CPU time; --limit shows more."
        )),
        (false, false) => None,
    };
    Ok(Answer {
        question: "machine_processes",
        title: format!("What ran on {machine}"),
        period: Some(period),
        columns: MACHINE,
        rows: rows.into_iter().map(machine_row).collect(),
        note,
    })
}

fn machine_row(row: MachineProcess) -> Vec<Cell> {
    vec![
        Cell::Text(row.application),
        Cell::Number(row.pid.into()),
        Cell::Text(row.user),
        Cell::maybe(row.cpu_time_us, Cell::CpuTime),
        Cell::maybe(row.memory_max_bytes, Cell::Bytes),
        Cell::Time(row.first_seen),
        Cell::Time(row.last_seen),
        Cell::Count(row.snapshots),
        Cell::Text(row.executable_name),
        Cell::maybe(row.command_line, Cell::Text),
    ]
}

const USER: &[Column] = &[
    Column("window_start", Some("from")),
    Column("cpu_time_us", Some("CPU time")),
    Column("memory_p50_bytes", Some("median process")),
    Column("memory_p95_bytes", Some("95 % below")),
    Column("memory_max_bytes", Some("largest")),
    Column("machines", Some("machines")),
    Column("applications", Some("applications")),
    Column("machine_minutes", Some("machine-minutes")),
    Column("processes", Some("processes seen")),
    Column("snapshots", None),
    Column("closed", Some("closed")),
];

/// A grain that shows a period in some dozen windows.
pub(super) const fn fitting_grain(period: Period) -> Grain {
    match period.to.micros_since(period.from) / HOUR_US {
        0..=2 => Grain::Minute,
        3..=96 => Grain::Hour,
        _ => Grain::Day,
    }
}

/// A user's windows.
pub(super) async fn user(
    session: &mut Session,
    user: &str,
    grain: Grain,
    period: Period,
    limit: usize,
) -> Result<Answer, PostgresError> {
    let period = widened(period, grain);
    let mut rows = queries::user_rollups(session, user, grain, period, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let note = match (rows.is_empty(), more) {
        (true, _) => Some(empty::named(session, Named::User, user).await?),
        (false, true) => Some(format!(
            "These are the first {limit} windows; --limit shows more, --grain longer ones."
        )),
        (false, false) => None,
    };
    Ok(Answer {
        question: "user_rollups",
        title: format!("What {user} used per {}", grain.as_str()),
        period: Some(period),
        columns: USER,
        rows: rows.into_iter().map(user_row).collect(),
        note,
    })
}

fn user_row(row: UserRollup) -> Vec<Cell> {
    vec![
        Cell::Time(row.window_start),
        Cell::CpuTime(row.cpu_time_us),
        Cell::maybe(row.memory_p50_bytes, Cell::Bytes),
        Cell::maybe(row.memory_p95_bytes, Cell::Bytes),
        Cell::maybe(row.memory_max_bytes, Cell::Bytes),
        Cell::Count(row.machines),
        Cell::Count(row.applications),
        Cell::Count(row.machine_minutes),
        Cell::Count(row.processes),
        Cell::Count(row.snapshots),
        Cell::Flag(row.closed),
    ]
}
