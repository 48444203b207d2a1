//! Claiming a topic partition: from then on, whoever had it before is fenced.
//!
//! Invariants: an epoch is given out once; before a claim is committed, the backend of the owner before is gone, so
//! that nothing which it has sent can still take effect and none of its locks is held; a database belongs to one
//! deployment for ever.

use super::connect::Session;
use super::error::{Doing, ErrorClass, PostgresError};
use super::offsets::{begin, commit, rollback};
use super::types::Time;
use rollcall_domain::Timestamp;
use std::time::Duration;

/// How long the owner before may take to end.
const TERMINATION_PATIENCE: Duration = Duration::from_secs(30);
const TERMINATION_POLL: Duration = Duration::from_millis(10);
/// How often claims of others may come between.
const ATTEMPTS_MAX: usize = 20;
const DOING: &str = "claim a partition";
/// Held while a partition is claimed for the first time, so that two deployments don't come in side by side.
const FIRST_CLAIM_LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('rollcall.first_claim', 0))";

/// What is claimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClaimRequest<'a> {
    /// The deployment's id.
    pub deployment: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// Where a partition starts that was never claimed before.
    pub initial_offset: i64,
}

/// A partition that is ours until somebody claims it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// To be named in every flush.
    pub epoch: i64,
    /// Where to go on: everything below is stored.
    pub next_offset: i64,
}

/// What `sink_offsets` says of a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredOffset {
    /// How often the partition was claimed.
    pub epoch: i64,
    /// Everything below is stored.
    pub next_offset: i64,
    /// The deployment that it belongs to.
    pub deployment: String,
}

/// A partition's row as a claim sees it: epoch, deployment, backend's pid and start.
type Owner = (i64, String, Option<i32>, Option<Time>);

/// Claims a partition for this connection, ending the connection that had it before.
///
/// # Errors
/// Fatal where the database belongs to another deployment, or where the user may not end the connection before;
/// retriable where it may not even see it (all SINKs of a database need the same user). After any error the connection is
/// to be thrown away.
pub async fn claim(
    session: &mut Session,
    request: &ClaimRequest<'_>,
) -> Result<Claim, PostgresError> {
    for _ in 0..ATTEMPTS_MAX {
        let claimed = match read_owner(session, request).await? {
            None => insert_claim(session, request).await?,
            Some(owner) => take_over(session, request, &owner).await?,
        };
        if let Some(claim) = claimed {
            return Ok(claim);
        }
    }
    Err(PostgresError::own(
        ErrorClass::Retriable,
        doing(request),
        "others keep claiming it too".to_owned(),
    ))
}

/// Gives a partition up in peace, so that the next owner need not end this connection. Nothing happens if it is not
/// ours any more.
///
/// # Errors
/// If the database fails.
pub async fn release(
    session: &mut Session,
    topic: &str,
    partition: i32,
    epoch: i64,
) -> Result<(), PostgresError> {
    sqlx::query(
        "UPDATE rollcall.sink_offsets SET backend_pid = NULL, backend_start = NULL \
         WHERE topic = $1 AND partition = $2 AND epoch = $3 AND backend_pid = pg_backend_pid()",
    )
    .bind(topic)
    .bind(partition)
    .bind(epoch)
    .execute(&mut session.connection)
    .await
    .doing("release a partition")?;
    Ok(())
}

/// What is stored of a partition; `None` if it was never claimed.
///
/// # Errors
/// If the database fails.
pub async fn read_offset(
    session: &mut Session,
    topic: &str,
    partition: i32,
) -> Result<Option<StoredOffset>, PostgresError> {
    let row: Option<(i64, i64, String)> = sqlx::query_as(
        "SELECT epoch, next_offset, deployment FROM rollcall.sink_offsets \
         WHERE topic = $1 AND partition = $2",
    )
    .bind(topic)
    .bind(partition)
    .fetch_optional(&mut session.connection)
    .await
    .doing("read a partition's offset")?;
    Ok(row.map(|(epoch, next_offset, deployment)| StoredOffset {
        epoch,
        next_offset,
        deployment,
    }))
}

async fn read_owner(
    session: &mut Session,
    request: &ClaimRequest<'_>,
) -> Result<Option<Owner>, PostgresError> {
    sqlx::query_as(
        "SELECT epoch, deployment, backend_pid, backend_start FROM rollcall.sink_offsets \
         WHERE topic = $1 AND partition = $2",
    )
    .bind(request.topic)
    .bind(request.partition)
    .fetch_optional(&mut session.connection)
    .await
    .doing(DOING)
}

/// Refuses a database that another deployment has claimed anything of: rows of rollups don't say whose they are. A
/// database that is not migrated yet belongs to nobody.
///
/// # Errors
/// Fatal if it belongs to another one, or as the database fails.
pub async fn check_deployment(
    session: &mut Session,
    deployment: &str,
    doing: &str,
) -> Result<(), PostgresError> {
    let known: bool = sqlx::query_scalar("SELECT to_regclass('rollcall.sink_offsets') IS NOT NULL")
        .fetch_one(&mut session.connection)
        .await
        .doing(doing)?;
    if !known {
        return Ok(());
    }
    let other: Option<String> = sqlx::query_scalar(
        "SELECT deployment FROM rollcall.sink_offsets WHERE deployment <> $1 LIMIT 1",
    )
    .bind(deployment)
    .fetch_optional(&mut session.connection)
    .await
    .doing(doing)?;
    other.map_or(Ok(()), |other| {
        Err(belongs_to_another(&other, deployment, doing))
    })
}

fn belongs_to_another(other: &str, deployment: &str, doing: &str) -> PostgresError {
    PostgresError::own(
        ErrorClass::Fatal,
        doing,
        format!(
            "this database belongs to the deployment {other}, and this is {deployment}; each deployment needs a database of its own"
        ),
    )
}

async fn insert_claim(
    session: &mut Session,
    request: &ClaimRequest<'_>,
) -> Result<Option<Claim>, PostgresError> {
    begin(session).await?;
    // Should we freeze with the lock, the server lets others go on.
    sqlx::raw_sql("SET LOCAL idle_in_transaction_session_timeout = '10s'")
        .execute(&mut session.connection)
        .await
        .doing(DOING)?;
    sqlx::raw_sql(FIRST_CLAIM_LOCK)
        .execute(&mut session.connection)
        .await
        .doing(DOING)?;
    check_deployment(session, request.deployment, &doing(request)).await?;
    let row: Option<(i64, i64)> = sqlx::query_as(
        "INSERT INTO rollcall.sink_offsets \
             (topic, partition, epoch, next_offset, deployment, backend_pid, backend_start) \
         SELECT $1, $2, 1, $3, $4, pid, backend_start FROM pg_catalog.pg_stat_activity \
         WHERE pid = pg_backend_pid() \
         ON CONFLICT (topic, partition) DO NOTHING RETURNING epoch, next_offset",
    )
    .bind(request.topic)
    .bind(request.partition)
    .bind(request.initial_offset)
    .bind(request.deployment)
    .fetch_optional(&mut session.connection)
    .await
    .doing(DOING)?;
    commit(session).await?;
    Ok(row.map(|(epoch, next_offset)| Claim { epoch, next_offset }))
}

/// Ends the backend before, then claims: unless somebody else has come between.
async fn take_over(
    session: &mut Session,
    request: &ClaimRequest<'_>,
    (epoch, deployment, pid, start): &Owner,
) -> Result<Option<Claim>, PostgresError> {
    if deployment != request.deployment {
        let doing = doing(request);
        return Err(belongs_to_another(deployment, request.deployment, &doing));
    }
    if let (Some(pid), Some(start)) = (*pid, *start) {
        end_backend(session, request, pid, start).await?;
    }
    begin(session).await?;
    let row: Option<(i64, i64)> = sqlx::query_as(
        "UPDATE rollcall.sink_offsets AS s SET epoch = s.epoch + 1, claimed_at = now(), \
             backend_pid = own.pid, backend_start = own.backend_start \
         FROM pg_catalog.pg_stat_activity AS own \
         WHERE own.pid = pg_backend_pid() AND s.topic = $1 AND s.partition = $2 AND s.epoch = $3 \
         RETURNING s.epoch, s.next_offset",
    )
    .bind(request.topic)
    .bind(request.partition)
    .bind(epoch)
    .fetch_optional(&mut session.connection)
    .await
    .doing(DOING)?;
    match row {
        Some((epoch, next_offset)) => {
            commit(session).await?;
            Ok(Some(Claim { epoch, next_offset }))
        }
        None => {
            rollback(session).await?;
            Ok(None)
        }
    }
}

/// Terminates a backend, unless it is our own or its pid belongs to another by now, and waits until it is gone.
async fn end_backend(
    session: &mut Session,
    request: &ClaimRequest<'_>,
    pid: i32,
    start: Time,
) -> Result<(), PostgresError> {
    let polls = TERMINATION_PATIENCE.as_millis() / TERMINATION_POLL.as_millis();
    let failed = |why: String| {
        Err(PostgresError::own(
            ErrorClass::Retriable,
            doing(request),
            why,
        ))
    };
    for _ in 0..polls {
        // Who may not see a session sees that there is one, but not since when.
        let alive: Option<(Option<String>, Option<bool>)> = sqlx::query_as(
            "SELECT usename::text, CASE WHEN backend_start = $2 THEN pg_terminate_backend(pid) END \
             FROM pg_catalog.pg_stat_activity \
             WHERE pid = $1 AND (backend_start = $2) IS NOT FALSE AND pid <> pg_backend_pid()",
        )
        .bind(pid)
        .bind(start)
        .fetch_optional(&mut session.connection)
        .await
        .doing("end the connection of a partition's owner before")?;
        match alive {
            None => return Ok(()),
            Some((user, None)) => {
                return failed(format!(
                    "the connection of its owner before, server process {pid}, may be one of user {}, which this user may \
                     not see: let all SINKs of a database be the same user, or end it",
                    user.as_deref().unwrap_or("unknown")
                ));
            }
            Some((_, Some(_))) => tokio::time::sleep(TERMINATION_POLL).await,
        }
    }
    failed(format!(
        "the connection of its owner before (server process {pid}, since {} µs) does not end",
        Timestamp::as_micros(start.0)
    ))
}

fn doing(request: &ClaimRequest<'_>) -> String {
    format!("claim {}/{}", request.topic, request.partition)
}
