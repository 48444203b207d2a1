//! The books of `dlq redrive`: which rejected records were sent again, each once.
//!
//! ```text
//! candidates ──► claim ──► (the record is sent) ──► confirm
//!                  └ nobody knows whether it was sent ──► unconfirmed ──► confirm │ release
//! ```
//!
//! Invariant: a record is sent only by whoever inserted its row, and only while that holds the lock of [`lock`].
//!
//! Must not know: how a record is looked for in Kafka.

use super::connect::Session;
use super::error::{Doing, PostgresError};
use super::types::Time;
use hashbrown::HashMap;
use rollcall_domain::Timestamp;
use rollcall_domain::observation::SourceOffset;
use sqlx::Row;
use sqlx::postgres::PgRow;

const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('rollcall.redrive', 0))";

/// Takes the lock that one redrive at a time holds, until the session ends. `false`: another one has it.
///
/// # Errors
/// If the database fails.
pub async fn lock(session: &mut Session) -> Result<bool, PostgresError> {
    sqlx::query_scalar(LOCK)
        .fetch_one(&mut session.connection)
        .await
        .doing("take the lock of redrives")
}

/// Which rejected records may be sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CandidateQuery<'a> {
    /// The raw topic.
    pub topic: &'a str,
    /// Rejected for this reason; `None`: for any.
    pub reason: Option<&'a str>,
    /// At this place; `None`: at any.
    pub source: Option<SourceOffset>,
    /// Also records that were rejected again after an earlier redrive.
    pub again: bool,
}

/// A record that was rejected whole and not sent again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Where it stands.
    pub source: SourceOffset,
    /// Its append time.
    pub ingested_at: Timestamp,
    /// Why it was rejected.
    pub reason: String,
}

/// The next candidates after a place, in the order of places.
///
/// # Errors
/// If the database fails.
pub async fn candidates(
    session: &mut Session,
    query: &CandidateQuery<'_>,
    after: Option<SourceOffset>,
    limit: usize,
) -> Result<Vec<Candidate>, PostgresError> {
    let after = after.unwrap_or(SourceOffset {
        partition: -1,
        offset: -1,
    });
    let rows = sqlx::query(
        "SELECT r.source_partition, r.source_offset, r.ingested_at, r.reason \
         FROM analytics.rejected_records AS r \
         WHERE r.whole_record AND r.source_topic = $1 \
             AND (r.source_partition, r.source_offset) > ($2, $3) \
             AND ($4::text IS NULL OR r.reason = $4) \
             AND ($5::int4 IS NULL OR r.source_partition = $5) AND ($6::int8 IS NULL OR r.source_offset = $6) \
             AND NOT EXISTS (SELECT FROM analytics.redriven_records AS d WHERE d.topic = r.source_topic \
                 AND d.source_partition = r.source_partition AND d.source_offset = r.source_offset) \
             AND ($7 OR NOT EXISTS (SELECT FROM analytics.redriven_records AS d WHERE d.topic = r.source_topic \
                 AND d.target_partition = r.source_partition AND d.target_offset = r.source_offset)) \
         ORDER BY r.source_partition, r.source_offset LIMIT $8",
    )
    .bind(query.topic)
    .bind(after.partition)
    .bind(after.offset)
    .bind(query.reason)
    .bind(query.source.map(|source| source.partition))
    .bind(query.source.map(|source| source.offset))
    .bind(query.again)
    .bind(limit as i64)
    .fetch_all(&mut session.connection)
    .await
    .doing("read rejected records")?;
    rows.iter()
        .map(|row| {
            Ok(Candidate {
                source: source(row)?,
                ingested_at: row.try_get::<Time, _>("ingested_at")?.0,
                reason: row.try_get("reason")?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .doing("read rejected records")
}

fn source(row: &PgRow) -> Result<SourceOffset, sqlx::Error> {
    Ok(SourceOffset {
        partition: row.try_get("source_partition")?,
        offset: row.try_get("source_offset")?,
    })
}

/// A record that is about to be sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RedriveClaim {
    /// Where it stands.
    pub source: SourceOffset,
    /// Where it is sent.
    pub target_partition: i32,
    /// That partition's end before it is sent.
    pub scan_from: i64,
    /// Whether its key is a new one.
    pub rekeyed: bool,
}

/// Takes records on before they are sent.
///
/// # Errors
/// If the database fails, also if one of them is taken already: then none is.
pub async fn claim(
    session: &mut Session,
    topic: &str,
    claims: &[RedriveClaim],
) -> Result<(), PostgresError> {
    let of = |part: fn(&RedriveClaim) -> i32| claims.iter().map(part).collect::<Vec<_>>();
    let offsets = |part: fn(&RedriveClaim) -> i64| claims.iter().map(part).collect::<Vec<_>>();
    let rekeyed: Vec<bool> = claims.iter().map(|claim| claim.rekeyed).collect();
    sqlx::query(
        "INSERT INTO rollcall.redriven (topic, source_partition, source_offset, target_partition, scan_from, rekeyed) \
         SELECT $1, u.* FROM unnest($2::int4[], $3::int8[], $4::int4[], $5::int8[], $6::bool[]) AS u",
    )
    .bind(topic)
    .bind(of(|claim| claim.source.partition))
    .bind(offsets(|claim| claim.source.offset))
    .bind(of(|claim| claim.target_partition))
    .bind(offsets(|claim| claim.scan_from))
    .bind(rekeyed)
    .execute(&mut session.connection)
    .await
    .doing("write down what is sent again")?;
    Ok(())
}

/// Claims of which nobody knows whether their records were sent.
///
/// # Errors
/// If the database fails.
pub async fn unconfirmed(
    session: &mut Session,
    topic: &str,
) -> Result<Vec<RedriveClaim>, PostgresError> {
    let rows = sqlx::query(
        "SELECT source_partition, source_offset, target_partition, scan_from, rekeyed \
         FROM rollcall.redriven WHERE topic = $1 AND target_offset IS NULL \
         ORDER BY target_partition, scan_from, source_partition, source_offset",
    )
    .bind(topic)
    .fetch_all(&mut session.connection)
    .await
    .doing("read what an earlier redrive left open")?;
    rows.iter()
        .map(|row| {
            Ok(RedriveClaim {
                source: source(row)?,
                target_partition: row.try_get("target_partition")?,
                scan_from: row.try_get("scan_from")?,
                rekeyed: row.try_get("rekeyed")?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .doing("read what an earlier redrive left open")
}

/// Writes down where records were appended again.
///
/// # Errors
/// If the database fails.
pub async fn confirm(
    session: &mut Session,
    topic: &str,
    appended: &[(SourceOffset, i64)],
) -> Result<(), PostgresError> {
    let (partitions, offsets) = places(appended.iter().map(|(source, _)| source));
    let targets: Vec<i64> = appended.iter().map(|(_, target)| *target).collect();
    sqlx::query(
        "UPDATE rollcall.redriven AS d SET target_offset = u.target \
         FROM unnest($2::int4[], $3::int8[], $4::int8[]) AS u(partition, offs, target) \
         WHERE d.topic = $1 AND d.source_partition = u.partition AND d.source_offset = u.offs",
    )
    .bind(topic)
    .bind(partitions)
    .bind(offsets)
    .bind(targets)
    .execute(&mut session.connection)
    .await
    .doing("write down what was sent again")?;
    Ok(())
}

/// Gives up claims whose records were certainly not sent.
///
/// # Errors
/// If the database fails.
pub async fn release(
    session: &mut Session,
    topic: &str,
    sources: &[SourceOffset],
) -> Result<(), PostgresError> {
    let (partitions, offsets) = places(sources.iter());
    sqlx::query(
        "DELETE FROM rollcall.redriven AS d USING unnest($2::int4[], $3::int8[]) AS u(partition, offs) \
         WHERE d.topic = $1 AND d.source_partition = u.partition AND d.source_offset = u.offs \
             AND d.target_offset IS NULL",
    )
    .bind(topic)
    .bind(partitions)
    .bind(offsets)
    .execute(&mut session.connection)
    .await
    .doing("give up what was not sent")?;
    Ok(())
}

/// Where records were appended again: `None` as long as that is not known, no entry where they were not sent again.
///
/// # Errors
/// If the database fails.
pub async fn targets(
    session: &mut Session,
    sources: &[SourceOffset],
) -> Result<HashMap<SourceOffset, Option<SourceOffset>>, PostgresError> {
    let doing = "read what was sent again";
    let (partitions, offsets) = places(sources.iter());
    let rows = sqlx::query(
        "SELECT source_partition, source_offset, target_partition, target_offset \
         FROM analytics.redriven_records \
         WHERE (source_partition, source_offset) IN (SELECT * FROM unnest($1::int4[], $2::int8[]))",
    )
    .bind(partitions)
    .bind(offsets)
    .fetch_all(&mut session.connection)
    .await
    .doing(doing)?;
    rows.iter()
        .map(|row| {
            let offset: Option<i64> = row.try_get("target_offset")?;
            let partition = row.try_get("target_partition")?;
            let target = offset.map(|offset| SourceOffset { partition, offset });
            Ok((source(row)?, target))
        })
        .collect::<Result<_, sqlx::Error>>()
        .doing(doing)
}

fn places<'a>(sources: impl Iterator<Item = &'a SourceOffset>) -> (Vec<i32>, Vec<i64>) {
    sources
        .map(|source| (source.partition, source.offset))
        .unzip()
}

/// How many records and lines were rejected for each reason, most frequent first.
///
/// # Errors
/// If the database fails.
pub async fn rejections_by_reason(
    session: &mut Session,
) -> Result<Vec<(String, i64)>, PostgresError> {
    sqlx::query_as(
        "SELECT reason, count(*) FROM analytics.rejected_records GROUP BY reason ORDER BY count(*) DESC, reason",
    )
    .fetch_all(&mut session.connection)
    .await
    .doing("count rejected records")
}
