//! What is stored at all: for people who asked for something that isn't, and for examples that do have an answer.
//!
//! Invariants: nothing outside `analytics` is read; only day and hour rollups are, which are few.

use super::connect::Session;
use super::error::{Doing, PostgresError};
use super::queries::Period;
use super::types::Time;
use rollcall_domain::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};

/// The first and the last event time that any day's rollup tells of; `None`: nothing is stored.
///
/// # Errors
/// If the database fails.
pub async fn stored_period(
    session: &mut Session,
) -> Result<Option<(Timestamp, Timestamp)>, PostgresError> {
    let doing = "read what is stored";
    let row = sqlx::query(
        "SELECT min(first_event_at) AS first, max(last_event_at) AS last FROM analytics.faculty_rollups \
         WHERE grain = 'day'",
    )
    .fetch_one(&mut session.connection)
    .await
    .doing(doing)?;
    first_and_last(&row).doing(doing)
}

/// What can be named in a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// Faculties, largest first.
    Faculty,
    /// Applications, most used first.
    Application,
    /// Users, busiest first.
    User,
    /// Ids of machines, last seen first.
    Machine,
}

impl Named {
    /// The plural, for a sentence.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Named::Faculty => "faculties",
            Named::Application => "applications",
            Named::User => "users",
            Named::Machine => "machines",
        }
    }

    const fn statement(self) -> &'static str {
        match self {
            Named::Faculty => {
                "SELECT faculty FROM analytics.faculty_rollups WHERE grain = 'day' \
                 GROUP BY faculty ORDER BY sum(snapshots) DESC, faculty LIMIT $1"
            }
            Named::Application => {
                "SELECT application FROM analytics.application_rollups WHERE grain = 'day' \
                 GROUP BY application ORDER BY sum(snapshots) DESC, application LIMIT $1"
            }
            Named::User => {
                "SELECT user_name FROM analytics.user_rollups WHERE grain = 'day' \
                 GROUP BY user_name ORDER BY sum(snapshots) DESC, user_name LIMIT $1"
            }
            Named::Machine => {
                "SELECT machine_id FROM analytics.machines ORDER BY last_seen DESC, machine_id LIMIT $1"
            }
        }
    }
}

/// Names that have answers.
///
/// # Errors
/// If the database fails.
pub async fn known_names(
    session: &mut Session,
    what: Named,
    limit: usize,
) -> Result<Vec<String>, PostgresError> {
    sqlx::query_scalar(what.statement())
        .bind(limit as i64)
        .fetch_all(&mut session.connection)
        .await
        .doing("read what is stored")
}

/// When the machine with this id or name was seen first and last; `None`: it never was.
///
/// # Errors
/// If the database fails.
pub async fn machine_seen(
    session: &mut Session,
    machine: &str,
) -> Result<Option<(Timestamp, Timestamp)>, PostgresError> {
    let doing = "look a machine up";
    let row = sqlx::query(
        "SELECT min(first_seen) AS first, max(last_seen) AS last FROM analytics.machines \
         WHERE machine_id = $1 OR name = $1",
    )
    .bind(super::text::stored_name(machine))
    .fetch_one(&mut session.connection)
    .await
    .doing(doing)?;
    first_and_last(&row).doing(doing)
}

fn first_and_last(row: &PgRow) -> Result<Option<(Timestamp, Timestamp)>, sqlx::Error> {
    let first: Option<Time> = row.try_get("first")?;
    let last: Option<Time> = row.try_get("last")?;
    Ok(first.zip(last).map(|(first, last)| (first.0, last.0)))
}

/// Names for questions that have an answer in a period; `None` where there is none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Examples {
    /// The faculty that uses most CPU time, and the operating system on which it does.
    pub faculty: Option<(String, String)>,
    /// The application on most operating systems, and of those the one used most.
    pub application: Option<String>,
    /// The machine seen last.
    pub machine: Option<String>,
    /// The user with most CPU time, one known beyond a single machine if there is any.
    pub user: Option<String>,
}

/// Finds such names.
///
/// # Errors
/// If the database fails.
pub async fn examples(session: &mut Session, period: Period) -> Result<Examples, PostgresError> {
    let faculty = example(
        session,
        period,
        // People's faculties and desktop systems first: the questions are asked of those.
        "SELECT faculty, os FROM analytics.application_rollups_between($1, $2) GROUP BY faculty, os \
         ORDER BY faculty = '(unknown)', os = 'linux', sum(cpu_time_us) DESC, faculty, os LIMIT 1",
    );
    let faculty = faculty.await?;
    let application = example(
        session,
        period,
        "SELECT application, '' FROM analytics.application_rollups_between($1, $2) GROUP BY application \
         ORDER BY count(DISTINCT os) DESC, sum(cpu_time_us) DESC, application LIMIT 1",
    );
    let application = application.await?;
    let machine = example(
        session,
        period,
        "SELECT machine_id, '' FROM analytics.machines WHERE last_seen >= $1 AND first_seen < $2 \
         ORDER BY last_seen DESC, machine_id LIMIT 1",
    );
    let machine = machine.await?;
    let user = example(
        session,
        period,
        "SELECT user_name, '' FROM analytics.user_rollups \
         WHERE grain = 'hour' AND window_start > $1 - interval '1 hour' AND window_start < $2 GROUP BY user_name \
         ORDER BY user_name = '(unknown)' OR user_name LIKE '%@%', sum(cpu_time_us) DESC, user_name LIMIT 1",
    );
    let user = user.await?;
    Ok(Examples {
        faculty,
        application: application.map(|(name, _)| name),
        machine: machine.map(|(name, _)| name),
        user: user.map(|(name, _)| name),
    })
}

async fn example(
    session: &mut Session,
    period: Period,
    statement: &'static str,
) -> Result<Option<(String, String)>, PostgresError> {
    sqlx::query_as(AssertSqlSafe(statement.to_owned()))
        .bind(Time(period.from))
        .bind(Time(period.to))
        .fetch_optional(&mut session.connection)
        .await
        .doing("find an example")
}
