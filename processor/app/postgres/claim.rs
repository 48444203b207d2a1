//! The statements of a claim; their order, and what their answers mean, is the driver's (`rollcall_driver::sink`).

use super::connect::Session;
use super::error::{Doing, PostgresError};
use super::types::Time;
use rollcall_driver::ports::{Backend, BackendEnd, Claim, ClaimRequest, DatabaseError, Owner};
use rollcall_driver::sink::belongs_to_another;

const DOING: &str = "claim a partition";
/// Held while a partition is claimed for the first time, so that two deployments don't come in side by side.
const FIRST_CLAIM_LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('rollcall.first_claim', 0))";

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
type OwnerRow = (i64, String, Option<i32>, Option<Time>);

/// Gives a partition up in peace, so that the next owner need not end this connection. Nothing happens if it is not
/// ours any more.
pub(super) async fn release(
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

/// Who claimed a partition last.
pub(super) async fn read_owner(
    session: &mut Session,
    request: &ClaimRequest<'_>,
) -> Result<Option<Owner>, PostgresError> {
    let row: Option<OwnerRow> = sqlx::query_as(
        "SELECT epoch, deployment, backend_pid, backend_start FROM rollcall.sink_offsets \
         WHERE topic = $1 AND partition = $2",
    )
    .bind(request.topic)
    .bind(request.partition)
    .fetch_optional(&mut session.connection)
    .await
    .doing(DOING)?;
    Ok(row.map(|(epoch, deployment, pid, start)| Owner {
        epoch,
        deployment,
        backend: pid.zip(start).map(|(pid, start)| Backend {
            pid,
            started_at: start.0,
        }),
    }))
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
) -> Result<(), DatabaseError> {
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

/// Begins a claim. Should we freeze or vanish with its lock, the server lets others go on.
pub(super) async fn begin_claim(session: &mut Session) -> Result<(), PostgresError> {
    let begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'";
    sqlx::raw_sql(begin)
        .execute(&mut session.connection)
        .await
        .doing(DOING)?;
    Ok(())
}

/// Claims a partition that nobody claimed before.
pub(super) async fn insert_claim(
    session: &mut Session,
    request: &ClaimRequest<'_>,
) -> Result<Option<Claim>, DatabaseError> {
    sqlx::raw_sql(FIRST_CLAIM_LOCK)
        .execute(&mut session.connection)
        .await
        .doing(DOING)?;
    check_deployment(session, request.deployment, &format!("claim {request}")).await?;
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
    Ok(row.map(|(epoch, next_offset)| Claim { epoch, next_offset }))
}

/// Claims a partition of this epoch.
pub(super) async fn update_claim(
    session: &mut Session,
    request: &ClaimRequest<'_>,
    epoch: i64,
) -> Result<Option<Claim>, PostgresError> {
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
    Ok(row.map(|(epoch, next_offset)| Claim { epoch, next_offset }))
}

/// Terminates a backend, unless it is our own or its pid belongs to another by now.
pub(super) async fn end_backend(
    session: &mut Session,
    backend: Backend,
) -> Result<BackendEnd, PostgresError> {
    // Who may not see a session sees that there is one, but not since when.
    let alive: Option<(Option<String>, Option<bool>)> = sqlx::query_as(
        "SELECT usename::text, CASE WHEN backend_start = $2 THEN pg_terminate_backend(pid) END \
         FROM pg_catalog.pg_stat_activity \
         WHERE pid = $1 AND (backend_start = $2) IS NOT FALSE AND pid <> pg_backend_pid()",
    )
    .bind(backend.pid)
    .bind(Time(backend.started_at))
    .fetch_optional(&mut session.connection)
    .await
    .doing("end the connection of a partition's owner before")?;
    Ok(match alive {
        None => BackendEnd::Gone,
        Some((_, Some(_))) => BackendEnd::Ending,
        Some((user, None)) => BackendEnd::Hidden {
            user: user.unwrap_or_else(|| "unknown".to_owned()),
        },
    })
}
