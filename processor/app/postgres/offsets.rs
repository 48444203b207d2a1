//! The one compare-and-set that makes a flush exactly-once, and the statements around a transaction.

use super::connect::Session;
use super::error::{Doing, ErrorClass, PostgresError, sqlstate_class};
use rollcall_driver::ports::{CommitError, OffsetAdvance, TopicPartition};

/// Moves the offsets of those partitions that are where we left them, and returns these.
pub(super) async fn compare_and_set(
    session: &mut Session,
    advances: &[OffsetAdvance<'_>],
) -> Result<Vec<TopicPartition>, PostgresError> {
    let mut advances = advances.to_vec();
    // In one order for everybody: fewer deadlocks between an old and a new owner.
    advances.sort_by_key(|advance| (advance.topic, advance.partition));
    let moved: Vec<(String, i32)> = sqlx::query_as(
        "UPDATE rollcall.sink_offsets AS s SET next_offset = a.to_offset \
         FROM unnest($1::text[], $2::int4[], $3::int8[], $4::int8[], $5::int8[]) \
             AS a(topic, partition, epoch, from_offset, to_offset) \
         WHERE s.topic = a.topic AND s.partition = a.partition \
             AND s.epoch = a.epoch AND s.next_offset = a.from_offset \
         RETURNING s.topic, s.partition",
    )
    .bind(advances.iter().map(|a| a.topic).collect::<Vec<_>>())
    .bind(advances.iter().map(|a| a.partition).collect::<Vec<_>>())
    .bind(advances.iter().map(|a| a.epoch).collect::<Vec<_>>())
    .bind(advances.iter().map(|a| a.from_offset).collect::<Vec<_>>())
    .bind(advances.iter().map(|a| a.to_offset).collect::<Vec<_>>())
    .fetch_all(&mut session.connection)
    .await
    .doing("move offsets")?;
    let place = |(topic, partition)| TopicPartition { topic, partition };
    Ok(moved.into_iter().map(place).collect())
}

pub(crate) async fn begin(session: &mut Session) -> Result<(), PostgresError> {
    sqlx::raw_sql("BEGIN")
        .execute(&mut session.connection)
        .await
        .doing("begin a transaction")?;
    Ok(())
}

pub(crate) async fn rollback(session: &mut Session) -> Result<(), PostgresError> {
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut session.connection)
        .await
        .doing("roll a transaction back")?;
    Ok(())
}

/// Commits, and tells what surely is not committed from what may be: only a server that says that it refused has surely
/// not committed.
pub(super) async fn commit_or_tell(session: &mut Session) -> Result<(), CommitError> {
    let Err(error) = commit(session).await else {
        return Ok(());
    };
    let refused = error.sqlstate().is_some_and(|code| {
        let ended = code.starts_with("57P") || code.starts_with("08");
        !ended && (code.starts_with("40") || sqlstate_class(&code) == ErrorClass::Fatal)
    });
    Err(if refused {
        CommitError::Refused(error.into())
    } else {
        CommitError::Unknown(error.into())
    })
}

pub(crate) async fn commit(session: &mut Session) -> Result<(), PostgresError> {
    sqlx::raw_sql("COMMIT")
        .execute(&mut session.connection)
        .await
        .doing("commit")?;
    Ok(())
}
