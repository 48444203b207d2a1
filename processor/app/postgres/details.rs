//! Details: snapshots and their processes, by COPY, in one transaction with the offsets and the books.
//!
//! Invariants: a snapshot's number is drawn by this connection alone and grows in the order of insertion; what the
//! retention horizon has passed is counted, not stored; the books are compared in every flush.

use super::connect::{Session, SinkConnection};
use super::copy::{CopyBuffer, CopyStream};
use super::dimensions::{Resolved, resolve};
use super::error::{Doing, PostgresError};
use super::ledger::{LedgerDifference, write_ledger};
use super::offsets::{FlushError, OffsetAdvance, begin_flush, commit_flush};
use super::partitions::{TimeTable, ensure_partitions, lock_horizons};
use super::text::{stored_name, stored_text, stored_time};
use rollcall_domain::snapshot::CommandOutput;
use rollcall_domain::{Observation, SnapshotObservations, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Numbers in a block; the sequence's increment.
const BLOCK: i64 = 1_024;
/// Bits of a snapshot number below the day.
const SEQUENCE_BITS: u32 = 40;

const COPY_SNAPSHOTS: &str = "COPY rollcall.process_snapshots (snapshot_number, source_offset, observed_at, event_at, \
    ingested_at, rules_digest, lines_rejected, snapshot_id, machine_key, source_partition, process_count, \
    utc_offset_seconds, user_name, faculty, command, attributes, command_output, command_output_encoding) \
    FROM STDIN (FORMAT binary)";
const SNAPSHOT_FIELDS: i16 = 18;
const COPY_OBSERVATIONS: &str = "COPY rollcall.process_observations (snapshot_number, created_at, cpu_time_us, \
    cpu_delta_us, memory_usage_bytes, memory_virtual_bytes, memory_usage_kib, memory_virtual_kib, pid, parent_pid, \
    command_line_key, owner_key, thread_count, state, created_precision) FROM STDIN (FORMAT binary)";
const OBSERVATION_FIELDS: i16 = 15;

/// What a flush holds of one partition of the topic of observations; perhaps no snapshot at all.
#[derive(Clone, Copy, Debug)]
pub struct DetailsBatch<'a> {
    /// The partition, and from where to where.
    pub advance: OffsetAdvance<'a>,
    /// Its snapshots, in the partition's order.
    pub snapshots: &'a [SnapshotObservations<'a>],
}

/// What a flush of details did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DetailsFlushed {
    /// Snapshots stored.
    pub snapshots: u64,
    /// Processes stored.
    pub observations: u64,
    /// Snapshots that are older than what is kept.
    pub snapshots_expired: u64,
    /// Bytes sent to the server by COPY.
    pub copied_bytes: u64,
    /// Machines that were seen on another raw partition than before.
    pub machines_moved: u64,
    /// Partitions whose books do not balance: an alert.
    pub differences: Vec<LedgerDifference>,
}

/// Stores a batch per partition, all of them or none.
///
/// Dimension rows and partitions are made before the transaction begins, and stay if it fails.
///
/// # Errors
/// See [`FlushError`].
pub async fn flush_details(
    sink: &mut SinkConnection,
    batches: &[DetailsBatch<'_>],
) -> Result<DetailsFlushed, FlushError> {
    let snapshots: Vec<&SnapshotObservations<'_>> =
        batches.iter().flat_map(|batch| batch.snapshots).collect();
    for table in [TimeTable::Snapshots, TimeTable::Observations] {
        let times = snapshots.iter().map(|s| stored_time(s.ingested_at));
        ensure_partitions(sink, table, times).await?;
    }
    let resolved = resolve(&mut sink.session, &mut sink.dimensions, &snapshots).await?;
    let numbers = sink.numbers.draw(&mut sink.session, &snapshots).await?;
    let advances: Vec<OffsetAdvance<'_>> = batches.iter().map(|batch| batch.advance).collect();
    begin_flush(&mut sink.session, &advances).await?;
    let flushed =
        write_details(&mut sink.session, batches, &snapshots, &resolved, &numbers).await?;
    commit_flush(&mut sink.session).await?;
    Ok(flushed)
}

async fn write_details(
    session: &mut Session,
    batches: &[DetailsBatch<'_>],
    snapshots: &[&SnapshotObservations<'_>],
    resolved: &Resolved,
    numbers: &[i64],
) -> Result<DetailsFlushed, PostgresError> {
    let horizon = lock_horizons(session, TimeTable::Snapshots.name())
        .await?
        .first()
        .map_or(Timestamp::MIN, |(_, horizon)| *horizon);
    let kept = |snapshot: &SnapshotObservations<'_>| stored_time(snapshot.ingested_at) >= horizon;
    let mut flushed = DetailsFlushed {
        machines_moved: resolved.machines_moved,
        ..DetailsFlushed::default()
    };
    flushed.snapshots_expired = snapshots.iter().filter(|s| !kept(s)).count() as u64;
    if flushed.snapshots_expired < snapshots.len() as u64 {
        let mut copy =
            CopyStream::begin(&mut session.connection, COPY_SNAPSHOTS, "store snapshots").await?;
        for (at, snapshot) in snapshots.iter().enumerate().filter(|(_, s)| kept(s)) {
            write_snapshot(copy.rows(), numbers[at], resolved.machines[at], snapshot);
            copy.send_full().await?;
        }
        let (rows, bytes) = copy.finish().await?;
        flushed.snapshots = rows;
        let mut keys = resolved.observations.as_slice();
        let mut copy = CopyStream::begin(
            &mut session.connection,
            COPY_OBSERVATIONS,
            "store observations",
        )
        .await?;
        for (at, snapshot) in snapshots.iter().enumerate() {
            let (own, rest) = keys.split_at(snapshot.observations.len());
            keys = rest;
            if !kept(snapshot) {
                continue;
            }
            for (observation, &keys) in snapshot.observations.iter().zip(own) {
                write_observation(copy.rows(), numbers[at], keys, observation);
            }
            copy.send_full().await?;
        }
        let (rows, observation_bytes) = copy.finish().await?;
        flushed.observations = rows;
        flushed.copied_bytes = bytes + observation_bytes;
    }
    flushed.differences = write_ledger(session, batches, kept).await?;
    Ok(flushed)
}

fn write_snapshot(
    rows: &mut CopyBuffer,
    number: i64,
    machine_key: i32,
    snapshot: &SnapshotObservations<'_>,
) {
    let only_user = match snapshot.users.as_slice() {
        [user] => Some(user),
        _ => None,
    };
    let output = snapshot.command_output.as_ref();
    rows.row(SNAPSHOT_FIELDS);
    rows.int8(number);
    rows.int8(snapshot.source.offset);
    rows.time(stored_time(snapshot.observed_at));
    rows.time(stored_time(snapshot.event_at));
    rows.time(stored_time(snapshot.ingested_at));
    rows.int8(snapshot.rules_digest.cast_signed());
    rows.int8(snapshot.lines_rejected);
    rows.uuid(snapshot.snapshot_id.0);
    rows.int4(machine_key);
    rows.int4(snapshot.source.partition);
    rows.int4(snapshot.observations.len() as i32);
    rows.optional(snapshot.utc_offset_seconds, CopyBuffer::int4);
    rows.optional(only_user, |rows, user| rows.text(&stored_name(&user.user)));
    rows.optional(only_user, |rows, user| {
        rows.text(&stored_name(&user.faculty))
    });
    rows.optional(snapshot.command.as_deref(), |rows, text| {
        rows.text(&stored_text(text))
    });
    rows.optional(attributes_json(&snapshot.attributes), |rows, json| {
        rows.jsonb(&json)
    });
    rows.optional(output, |rows, output| rows.text(&output_text(output)));
    rows.optional(
        output.and_then(|output| output.encoding.as_deref()),
        |rows, text| rows.text(&stored_text(text)),
    );
}

fn write_observation(
    rows: &mut CopyBuffer,
    number: i64,
    (command_line_key, owner_key): (i32, i32),
    observation: &Observation<'_>,
) {
    let process = &observation.process;
    let created = process.created_at;
    let (usage_bytes, usage_kib) = split_kib(process.memory_usage_bytes);
    let (virtual_bytes, virtual_kib) = split_kib(process.memory_virtual_bytes);
    rows.row(OBSERVATION_FIELDS);
    rows.int8(number);
    rows.optional(created, |rows, created| rows.time(stored_time(created.at)));
    rows.optional(process.cpu_time_us, CopyBuffer::int8);
    rows.optional(observation.cpu_delta_us, CopyBuffer::int8);
    rows.optional(usage_bytes, CopyBuffer::int8);
    rows.optional(virtual_bytes, CopyBuffer::int8);
    rows.optional(usage_kib, CopyBuffer::int4);
    rows.optional(virtual_kib, CopyBuffer::int4);
    rows.int4(process.pid);
    rows.optional(process.parent_pid, CopyBuffer::int4);
    rows.int4(command_line_key);
    rows.int4(owner_key);
    rows.optional(process.thread_count, CopyBuffer::int4);
    rows.optional(process.state.map(|state| state.code()), CopyBuffer::char);
    rows.optional(
        created.map(|created| created.precision.code()),
        CopyBuffer::char,
    );
}

/// A number of bytes, as whole KiB where an `integer` can hold them: (bytes, KiB).
fn split_kib(bytes: Option<i64>) -> (Option<i64>, Option<i32>) {
    match bytes {
        Some(bytes) if bytes % 1024 == 0 => match i32::try_from(bytes / 1024) {
            Ok(kib) => (None, Some(kib)),
            Err(_) => (Some(bytes), None),
        },
        bytes => (bytes, None),
    }
}

fn attributes_json(attributes: &BTreeMap<Cow<'_, str>, Cow<'_, str>>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let stored: BTreeMap<_, _> = attributes
        .iter()
        .map(|(name, value)| (stored_text(name), stored_text(value)))
        .collect();
    Some(serde_json::to_string(&stored).unwrap_or_else(|_| unreachable!("a map of texts is JSON")))
}

/// The output as text. NORMALIZE has read it already; should that have been by other rules, broken characters are replaced.
fn output_text<'a>(output: &'a CommandOutput<'_>) -> Cow<'a, str> {
    let text = rollcall_normalize::decode_text(&output.text, output.encoding.as_deref())
        .unwrap_or_else(|_| String::from_utf8_lossy(&output.text));
    if text.contains('\0') {
        Cow::Owned(stored_text(&text).into_owned())
    } else {
        text
    }
}

/// The smallest number of a snapshot of this time's day.
pub(crate) fn first_snapshot_number(ingested_at: Timestamp) -> i64 {
    stored_time(ingested_at).day() << SEQUENCE_BITS
}

/// The rest of the block of sequence numbers that this connection has drawn.
#[derive(Debug, Default)]
pub struct SnapshotNumbers {
    next: i64,
    end: i64,
}

impl SnapshotNumbers {
    /// A number for each snapshot, growing. Numbers of a flush that fails are lost, which does no harm.
    async fn draw(
        &mut self,
        session: &mut Session,
        snapshots: &[&SnapshotObservations<'_>],
    ) -> Result<Vec<i64>, PostgresError> {
        let wanted = snapshots.len() as i64;
        let lacking = wanted - (self.end - self.next);
        let blocks: Vec<i64> = if lacking > 0 {
            sqlx::query_scalar(
                "SELECT nextval('rollcall.snapshot_numbers') FROM generate_series(1, $1)",
            )
            .bind((lacking + BLOCK - 1) / BLOCK)
            .fetch_all(&mut session.connection)
            .await
            .doing("draw snapshot numbers")?
        } else {
            Vec::new()
        };
        let mut blocks = blocks.into_iter();
        let mut sequence = || {
            if self.next == self.end {
                self.next = blocks.next().unwrap_or(self.end);
                self.end = self.next + BLOCK;
            }
            self.next += 1;
            self.next - 1
        };
        Ok(snapshots
            .iter()
            .map(|snapshot| first_snapshot_number(snapshot.ingested_at) | sequence())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_split_without_loss() {
        let check = |bytes: i64, expect| assert_eq!(split_kib(Some(bytes)), expect);
        check(0, (None, Some(0)));
        check(2_048, (None, Some(2)));
        check(2_049, (Some(2_049), None));
        check(i64::from(i32::MAX) * 1024, (None, Some(i32::MAX)));
        check((i64::from(i32::MAX) + 1) * 1024, (Some(1 << 41), None));
        assert_eq!(split_kib(None), (None, None));
    }

    #[test]
    fn attributes_lose_their_nuls() {
        let attributes = BTreeMap::from([("a\0".into(), "b\0\"".into())]);
        assert_eq!(
            attributes_json(&attributes).as_deref(),
            Some("{\"a\u{FFFD}\":\"b\u{FFFD}\\\"\"}")
        );
        assert_eq!(attributes_json(&BTreeMap::new()), None);
    }
}
