//! Dead letters into `rejected_records`, and out again for people.
//!
//! Invariant: nothing that a dead letter holds can make its own storing fail.

use super::connect::Session;
use super::copy::{CopyBuffer, CopyStream};
use super::error::{Doing, PostgresError};
use super::memory::Memory;
use super::partitions::{TimeTable, ensure_partitions};
use super::text::{stored_name, stored_text, stored_time};
use super::types::{Id, Time};
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::pipeline::{DeadLetter, Rejection};
use rollcall_domain::{SnapshotId, Timestamp};
use rollcall_driver::ports::Copied;
use sqlx::Row;
use sqlx::postgres::PgRow;

const COPY: &str = "COPY rollcall.rejected_records (ingested_at, source_offset, line, raw_length, source_partition, \
    snapshot_id, whole_record, reason, source_topic, machine_id, detail, raw) FROM STDIN (FORMAT binary)";
const FIELDS: i16 = 12;

/// Makes the partitions that these letters need.
pub(super) async fn prepare(
    session: &mut Session,
    memory: &mut Memory,
    letters: &[&DeadLetter<'_>],
) -> Result<(), PostgresError> {
    let times = letters.iter().map(|letter| stored_time(letter.ingested_at));
    ensure_partitions(
        session,
        &mut memory.partitions,
        TimeTable::RejectedRecords,
        times,
    )
    .await
}

/// Stores letters.
pub(super) async fn copy_letters(
    session: &mut Session,
    letters: &[&DeadLetter<'_>],
) -> Result<Copied, PostgresError> {
    let mut copy =
        CopyStream::begin(&mut session.connection, COPY, "store rejected records").await?;
    for letter in letters {
        write_letter(copy.rows(), letter);
        copy.send_full().await?;
    }
    let (rows, bytes) = copy.finish().await?;
    Ok(Copied {
        rows,
        bytes,
        ..Copied::default()
    })
}

fn write_letter(rows: &mut CopyBuffer, letter: &DeadLetter<'_>) {
    let line = match letter.rejection {
        Rejection::Record(_) => None,
        Rejection::Line(_, line) => Some(line),
    };
    rows.row(FIELDS);
    rows.time(stored_time(letter.ingested_at));
    rows.int8(letter.source.offset);
    rows.optional(line, CopyBuffer::int8);
    rows.int8(letter.raw_length);
    rows.int4(letter.source.partition);
    rows.optional(letter.snapshot_id, |rows, id| rows.uuid(id.0));
    rows.bool(line.is_none());
    rows.text(letter.rejection.as_str());
    rows.text(&stored_text(&letter.source_topic));
    rows.optional(letter.machine_id.as_deref(), |rows, id| {
        rows.text(&stored_name(id))
    });
    rows.text(&stored_text(&letter.detail));
    rows.bytea(&letter.raw);
}

/// A row of `rejected_records`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectedRecord {
    /// The raw topic.
    pub source_topic: String,
    /// The raw record's place in it.
    pub source: SourceOffset,
    /// The raw record's append time.
    pub ingested_at: Timestamp,
    /// The rejected line; `None` where the whole record was rejected.
    pub line: Option<i64>,
    /// The reason's word.
    pub reason: String,
    /// What exactly was wrong.
    pub detail: String,
    /// The machine, where it could be read.
    pub machine_id: Option<String>,
    /// The snapshot, where it could be read.
    pub snapshot_id: Option<SnapshotId>,
    /// The beginning of the rejected bytes.
    pub raw: Vec<u8>,
    /// How many bytes there were.
    pub raw_length: i64,
}

/// Which rejected records to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RejectedRecordsQuery<'a> {
    /// With this reason; `None`: with any.
    pub reason: Option<&'a str>,
    /// From this place; `None`: from any.
    pub source: Option<SourceOffset>,
    /// Only records that were rejected whole.
    pub whole_records_only: bool,
    /// How many.
    pub limit: usize,
}

/// Rejected records, latest first.
///
/// # Errors
/// If the database fails.
pub async fn rejected_records(
    session: &mut Session,
    query: &RejectedRecordsQuery<'_>,
) -> Result<Vec<RejectedRecord>, PostgresError> {
    let rows = sqlx::query(
        "SELECT source_topic, source_partition, source_offset, ingested_at, line, reason, detail, machine_id, \
             snapshot_id, raw, raw_length \
         FROM analytics.rejected_records \
         WHERE ($1::text IS NULL OR reason = $1) AND ($2::int4 IS NULL OR source_partition = $2) \
             AND ($3::int8 IS NULL OR source_offset = $3) AND (whole_record OR NOT $4) \
         ORDER BY ingested_at DESC, source_partition, source_offset DESC, line LIMIT $5",
    )
    .bind(query.reason)
    .bind(query.source.map(|source| source.partition))
    .bind(query.source.map(|source| source.offset))
    .bind(query.whole_records_only)
    .bind(query.limit as i64)
    .fetch_all(&mut session.connection)
    .await
    .doing("read rejected records")?;
    rows.iter()
        .map(rejected_record)
        .collect::<Result<_, _>>()
        .doing("read rejected records")
}

fn rejected_record(row: &PgRow) -> Result<RejectedRecord, sqlx::Error> {
    let snapshot_id: Option<Id> = row.try_get("snapshot_id")?;
    Ok(RejectedRecord {
        source_topic: row.try_get("source_topic")?,
        source: SourceOffset {
            partition: row.try_get("source_partition")?,
            offset: row.try_get("source_offset")?,
        },
        ingested_at: row.try_get::<Time, _>("ingested_at")?.0,
        line: row.try_get("line")?,
        reason: row.try_get("reason")?,
        detail: row.try_get("detail")?,
        machine_id: row.try_get("machine_id")?,
        snapshot_id: snapshot_id.map(|id| SnapshotId(id.0)),
        raw: row.try_get("raw")?,
        raw_length: row.try_get("raw_length")?,
    })
}
