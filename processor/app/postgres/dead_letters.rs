//! Dead letters into `rejected_records`, in one transaction with their offsets.
//!
//! Invariant: nothing that a dead letter holds can make its own storing fail.

use super::connect::{Session, SinkConnection};
use super::copy::{CopyBuffer, CopyStream};
use super::error::PostgresError;
use super::offsets::{FlushError, OffsetAdvance, begin_flush, commit_flush};
use super::partitions::{TimeTable, ensure_partitions, lock_horizons};
use super::text::{stored_name, stored_text, stored_time};
use rollcall_domain::Timestamp;
use rollcall_domain::pipeline::{DeadLetter, Rejection};

const COPY: &str = "COPY rollcall.rejected_records (ingested_at, source_offset, line, raw_length, source_partition, \
    snapshot_id, whole_record, reason, source_topic, machine_id, detail, raw) FROM STDIN (FORMAT binary)";
const FIELDS: i16 = 12;

/// What a flush holds of one partition of the topic of dead letters.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetterBatch<'a> {
    /// The partition, and from where to where.
    pub advance: OffsetAdvance<'a>,
    /// Its letters, in the partition's order.
    pub letters: &'a [DeadLetter<'a>],
}

/// What a flush of dead letters did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeadLettersFlushed {
    /// Rows stored.
    pub rows: u64,
    /// Letters that are older than what is kept.
    pub expired: u64,
}

/// Stores a batch per partition, all of them or none.
///
/// # Errors
/// See [`FlushError`].
pub async fn flush_dead_letters(
    sink: &mut SinkConnection,
    batches: &[DeadLetterBatch<'_>],
) -> Result<DeadLettersFlushed, FlushError> {
    let letters: Vec<&DeadLetter<'_>> = batches.iter().flat_map(|batch| batch.letters).collect();
    let times = letters.iter().map(|letter| stored_time(letter.ingested_at));
    ensure_partitions(sink, TimeTable::RejectedRecords, times).await?;
    let advances: Vec<OffsetAdvance<'_>> = batches.iter().map(|batch| batch.advance).collect();
    begin_flush(&mut sink.session, &advances).await?;
    let flushed = write_letters(&mut sink.session, &letters).await?;
    commit_flush(&mut sink.session).await?;
    Ok(flushed)
}

async fn write_letters(
    session: &mut Session,
    letters: &[&DeadLetter<'_>],
) -> Result<DeadLettersFlushed, PostgresError> {
    let horizon = lock_horizons(session, TimeTable::RejectedRecords.name())
        .await?
        .first()
        .map_or(Timestamp::MIN, |(_, horizon)| *horizon);
    let mut copy =
        CopyStream::begin(&mut session.connection, COPY, "store rejected records").await?;
    let mut expired = 0;
    for letter in letters {
        if stored_time(letter.ingested_at) < horizon {
            expired += 1;
            continue;
        }
        write_letter(copy.rows(), letter);
        copy.send_full().await?;
    }
    let (rows, _) = copy.finish().await?;
    Ok(DeadLettersFlushed { rows, expired })
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
