//! Claiming a topic partition: from then on, whoever had it before is fenced.
//!
//! Invariants: an epoch is given out once; before a claim is committed, the backend of the owner before is gone, so
//! that nothing which it has sent can still take effect and none of its locks is held; a claim that is not committed holds
//! its lock for some seconds at most, for its backend is not known to others; a database belongs to one deployment for ever.

use crate::ports::{Backend, BackendEnd, Claim, ClaimRequest, Connection, DatabaseError, Owner};
use rollcall_defects::{Defect, is_on};

/// How often claims of others may come between.
const ATTEMPTS_MAX: usize = 20;
/// How often the owner before is asked to end: with the connection's pauses, for about half a minute.
const ENDINGS_MAX: usize = 3_000;

/// Claims a partition for this connection, ending the connection that had it before.
///
/// # Errors
/// For a person where the database belongs to another deployment, or where the user may not end the connection before;
/// retriable where it may not even see it (all SINKs of a database need the same user). After any error the connection is
/// to be thrown away.
pub async fn claim(
    connection: &mut impl Connection,
    request: &ClaimRequest<'_>,
) -> Result<Claim, DatabaseError> {
    for _ in 0..ATTEMPTS_MAX {
        let claimed = match connection.owner(request).await? {
            None => claim_first(connection, request).await?,
            Some(owner) => take_over(connection, request, &owner).await?,
        };
        if let Some(claim) = claimed {
            return Ok(claim);
        }
    }
    Err(cannot(request, true, "others keep claiming it too"))
}

/// That a database is of another deployment, where something was to be done for this one.
#[must_use]
pub fn belongs_to_another(other: &str, deployment: &str, doing: &str) -> DatabaseError {
    DatabaseError {
        message: format!(
            "can't {doing}: this database belongs to the deployment {other}, and this is {deployment}; each deployment \
             needs a database of its own"
        ),
        is_retriable: false,
    }
}

fn cannot(request: &ClaimRequest<'_>, is_retriable: bool, why: &str) -> DatabaseError {
    DatabaseError {
        message: format!("can't claim {request}: {why}"),
        is_retriable,
    }
}

async fn claim_first(
    connection: &mut impl Connection,
    request: &ClaimRequest<'_>,
) -> Result<Option<Claim>, DatabaseError> {
    connection.begin_claim().await?;
    let claim = connection.claim_first(request).await?;
    connection.commit().await?;
    Ok(claim)
}

/// Ends the backend before, then claims: unless somebody else has come between.
async fn take_over(
    connection: &mut impl Connection,
    request: &ClaimRequest<'_>,
    owner: &Owner,
) -> Result<Option<Claim>, DatabaseError> {
    if owner.deployment != request.deployment {
        let doing = format!("claim {request}");
        return Err(belongs_to_another(
            &owner.deployment,
            request.deployment,
            &doing,
        ));
    }
    if let Some(backend) = owner.backend
        && !is_on(Defect::BackendLeftAlone)
    {
        end_backend(connection, request, backend).await?;
    }
    if is_on(Defect::ClaimWaitsForEver) {
        connection.begin().await?;
    } else {
        connection.begin_claim().await?;
    }
    let claim = connection.claim_next(request, owner.epoch).await?;
    if claim.is_some() {
        connection.commit().await?;
    } else {
        connection.rollback().await?;
    }
    Ok(claim)
}

/// Ends a backend and waits until it is gone.
async fn end_backend(
    connection: &mut impl Connection,
    request: &ClaimRequest<'_>,
    backend: Backend,
) -> Result<(), DatabaseError> {
    for _ in 0..ENDINGS_MAX {
        match connection.end_backend(backend).await? {
            BackendEnd::Gone => return Ok(()),
            BackendEnd::Ending => connection.await_backend().await,
            BackendEnd::Hidden { user } => {
                let why = format!(
                    "the connection of its owner before, server process {}, may be one of user {user}, which this user may \
                     not see: let all SINKs of a database be the same user, or end it",
                    backend.pid
                );
                return Err(cannot(request, true, &why));
            }
        }
    }
    let why = format!(
        "the connection of its owner before (server process {}, since {} µs) does not end",
        backend.pid,
        backend.started_at.as_micros()
    );
    Err(cannot(request, true, &why))
}
