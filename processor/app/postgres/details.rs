//! Details: snapshots and their processes, by COPY.
//!
//! Invariant: a snapshot's number is drawn by this connection alone and grows in the order of insertion.

use super::connect::Session;
use super::copy::{CopyBuffer, CopyStream};
use super::dimensions::{Resolved, resolve};
use super::error::{Doing, PostgresError};
use super::memory::Memory;
use super::partitions::{TimeTable, ensure_partitions};
use super::text::{stored_name, stored_text, stored_time};
use rollcall_domain::snapshot::CommandOutput;
use rollcall_domain::{Observation, SnapshotObservations, Timestamp};
use rollcall_driver::ports::Copied;
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

/// The keys and numbers of a batch of snapshots.
#[derive(Debug)]
pub struct DetailKeys {
    resolved: Resolved,
    numbers: Vec<i64>,
}

impl DetailKeys {
    /// How many machines were seen on another raw partition than before.
    pub(super) fn machines_moved(&self) -> u64 {
        self.resolved.machines_moved
    }
}

/// Makes the partitions and dimension rows that these snapshots need, and draws their numbers.
pub(super) async fn prepare(
    session: &mut Session,
    memory: &mut Memory,
    snapshots: &[&SnapshotObservations<'_>],
) -> Result<DetailKeys, PostgresError> {
    for table in [TimeTable::Snapshots, TimeTable::Observations] {
        let times = snapshots.iter().map(|s| stored_time(s.ingested_at));
        ensure_partitions(session, &mut memory.partitions, table, times).await?;
    }
    Ok(DetailKeys {
        resolved: resolve(session, &mut memory.dimensions, snapshots).await?,
        numbers: memory.numbers.draw(session, snapshots).await?,
    })
}

/// Stores those snapshots that are kept, with their processes.
pub(super) async fn copy_details(
    session: &mut Session,
    snapshots: &[&SnapshotObservations<'_>],
    DetailKeys { resolved, numbers }: &DetailKeys,
    kept: &[bool],
) -> Result<Copied, PostgresError> {
    let mut copy =
        CopyStream::begin(&mut session.connection, COPY_SNAPSHOTS, "store snapshots").await?;
    for (at, snapshot) in snapshots.iter().enumerate().filter(|(at, _)| kept[*at]) {
        write_snapshot(copy.rows(), numbers[at], resolved.machines[at], snapshot);
        copy.send_full().await?;
    }
    let (rows, bytes) = copy.finish().await?;
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
        if !kept[at] {
            continue;
        }
        for (observation, &keys) in snapshot.observations.iter().zip(own) {
            write_observation(copy.rows(), numbers[at], keys, observation);
        }
        copy.send_full().await?;
    }
    let (observations, observation_bytes) = copy.finish().await?;
    Ok(Copied {
        rows,
        observations,
        bytes: bytes + observation_bytes,
    })
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
