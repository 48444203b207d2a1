//! The dimension of machines, the only one whose rows change.
//!
//! Invariants: a row is written when what it says has changed, and else at most every five minutes of `ingested_at`;
//! a machine that comes from another raw partition than before is counted as moved, once per move.

use super::connect::Session;
use super::dimensions::Dimensions;
use super::error::{Doing, ErrorClass, PostgresError};
use super::text::{stored_name, stored_text, stored_time};
use super::types::Time;
use hashbrown::HashMap;
use rollcall_domain::time::MINUTE_US;
use rollcall_domain::{SnapshotObservations, Timestamp};

/// How far `last_seen` may be behind.
const LAST_SEEN_BEHIND_US: i64 = 5 * MINUTE_US;

/// What a connection remembers of a machine's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownMachine {
    key: i32,
    source_partition: i32,
    last_seen: Timestamp,
    /// Of what the row says of the machine.
    digest: u128,
}

/// A machine's row as it is read.
#[derive(Hash)]
struct Description<'a> {
    os: &'a str,
    name: Option<&'a str>,
    os_version: Option<&'a str>,
    cpu_count: Option<i32>,
    memory_bytes: Option<i64>,
}

/// A machine of a batch, with its latest snapshot.
struct Present<'a> {
    hash: u128,
    id: String,
    latest: &'a SnapshotObservations<'a>,
    first_seen: Timestamp,
}

/// The machines' keys, per snapshot, and how many machines have moved.
pub(crate) async fn resolve_machines(
    session: &mut Session,
    dimensions: &mut Dimensions,
    snapshots: &[&SnapshotObservations<'_>],
) -> Result<(Vec<i32>, u64), PostgresError> {
    let mut present: Vec<Present<'_>> = Vec::new();
    let mut places: HashMap<u128, usize> = HashMap::new();
    let mut place_of = Vec::with_capacity(snapshots.len());
    for snapshot in snapshots {
        let hash = dimensions.hash(&snapshot.machine.id);
        let place = *places.entry(hash).or_insert(present.len());
        place_of.push(place);
        if let Some(before) = present.get_mut(place) {
            if snapshot.ingested_at >= before.latest.ingested_at {
                before.latest = snapshot;
            }
            before.first_seen = before.first_seen.min(snapshot.ingested_at);
        } else {
            present.push(Present {
                hash,
                id: stored_name(&snapshot.machine.id).into_owned(),
                latest: snapshot,
                first_seen: snapshot.ingested_at,
            });
        }
    }
    let known = known_machines(session, dimensions, &present).await?;
    let moved = update_machines(session, dimensions, &present, &known).await?;
    let keys = place_of.iter().map(|&place| known[place].key).collect();
    Ok((keys, moved))
}

/// Every machine's row, from memory or from the table, where the missing ones are inserted.
async fn known_machines(
    session: &mut Session,
    dimensions: &mut Dimensions,
    present: &[Present<'_>],
) -> Result<Vec<KnownMachine>, PostgresError> {
    let mut known: Vec<Option<KnownMachine>> = present
        .iter()
        .map(|machine| dimensions.machines.get(machine.hash))
        .collect();
    for attempt in 0..2 {
        let wanted: Vec<usize> = (0..present.len())
            .filter(|&place| known[place].is_none())
            .collect();
        if wanted.is_empty() {
            break;
        }
        if attempt > 0 {
            insert_machines(session, present, &wanted).await?;
        }
        for (place, machine) in look_up(session, dimensions, present, &wanted).await? {
            dimensions.machines.insert(present[place].hash, machine);
            known[place] = Some(machine);
        }
    }
    known
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            let sentence = "a machine is not there after its insertion".to_owned();
            PostgresError::own(ErrorClass::Retriable, "look up machines", sentence)
        })
}

type MachineRow = (
    i64,
    i32,
    i32,
    Time,
    String,
    Option<String>,
    Option<String>,
    Option<i32>,
    Option<i64>,
);

async fn look_up(
    session: &mut Session,
    dimensions: &Dimensions,
    present: &[Present<'_>],
    wanted: &[usize],
) -> Result<Vec<(usize, KnownMachine)>, PostgresError> {
    let ids: Vec<&str> = wanted.iter().map(|&place| &*present[place].id).collect();
    let rows: Vec<MachineRow> = sqlx::query_as(
        "SELECT u.place, m.machine_key, m.source_partition, m.last_seen, m.os, m.name, m.os_version, \
             m.cpu_count, m.memory_bytes \
         FROM unnest($1::text[]) WITH ORDINALITY AS u(id, place) \
         JOIN rollcall.machines AS m ON m.text_hash = rollcall.text_hash(u.id)",
    )
    .bind(ids)
    .fetch_all(&mut session.connection)
    .await
    .doing("look up machines")?;
    let machine = |row: &MachineRow| KnownMachine {
        key: row.1,
        source_partition: row.2,
        last_seen: row.3.0,
        digest: dimensions.hash(&Description {
            os: &row.4,
            name: row.5.as_deref(),
            os_version: row.6.as_deref(),
            cpu_count: row.7,
            memory_bytes: row.8,
        }),
    };
    Ok(rows
        .iter()
        .map(|row| (wanted[(row.0 - 1) as usize], machine(row)))
        .collect())
}

/// Columns of machines to be inserted or updated.
#[derive(Default)]
struct Columns {
    ids: Vec<String>,
    keys: Vec<i32>,
    partitions: Vec<i32>,
    first_seen: Vec<Time>,
    last_seen: Vec<Time>,
    os: Vec<&'static str>,
    names: Vec<Option<String>>,
    os_versions: Vec<Option<String>>,
    cpu_counts: Vec<Option<i32>>,
    memory_bytes: Vec<Option<i64>>,
}

impl Columns {
    fn push(&mut self, present: &Present<'_>, key: i32) {
        let machine = &present.latest.machine;
        self.ids.push(present.id.clone());
        self.keys.push(key);
        self.partitions.push(present.latest.source.partition);
        self.first_seen.push(Time(stored_time(present.first_seen)));
        let last_seen = stored_time(present.latest.ingested_at);
        self.last_seen.push(Time(last_seen));
        self.os.push(machine.os.as_str());
        let text = |text: &Option<std::borrow::Cow<'_, str>>| {
            text.as_deref().map(|text| stored_text(text).into_owned())
        };
        self.names.push(text(&machine.name));
        self.os_versions.push(text(&machine.os_version));
        self.cpu_counts.push(machine.cpu_count);
        self.memory_bytes.push(machine.memory_bytes);
    }
}

async fn insert_machines(
    session: &mut Session,
    present: &[Present<'_>],
    wanted: &[usize],
) -> Result<(), PostgresError> {
    let mut columns = Columns::default();
    wanted
        .iter()
        .for_each(|&place| columns.push(&present[place], 0));
    sqlx::query(
        "INSERT INTO rollcall.machines (machine_id, source_partition, first_seen, last_seen, os, name, os_version, \
             cpu_count, memory_bytes) \
         SELECT * FROM unnest($1::text[], $2::int4[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], \
             $7::text[], $8::int4[], $9::int8[]) AS u(id) \
         ORDER BY rollcall.text_hash(u.id) ON CONFLICT (text_hash) DO NOTHING",
    )
    .bind(columns.ids)
    .bind(columns.partitions)
    .bind(columns.first_seen)
    .bind(columns.last_seen)
    .bind(columns.os)
    .bind(columns.names)
    .bind(columns.os_versions)
    .bind(columns.cpu_counts)
    .bind(columns.memory_bytes)
    .execute(&mut session.connection)
    .await
    .doing("insert machines")?;
    Ok(())
}

/// Writes what has changed, and returns how many machines have moved.
async fn update_machines(
    session: &mut Session,
    dimensions: &mut Dimensions,
    present: &[Present<'_>],
    known: &[KnownMachine],
) -> Result<u64, PostgresError> {
    let mut columns = Columns::default();
    let mut moved = 0;
    for (present, known) in present.iter().zip(known) {
        let latest = present.latest;
        let machine = &latest.machine;
        let digest = dimensions.hash(&Description {
            os: machine.os.as_str(),
            name: machine.name.as_deref(),
            os_version: machine.os_version.as_deref(),
            cpu_count: machine.cpu_count,
            memory_bytes: machine.memory_bytes,
        });
        let has_moved = latest.source.partition != known.source_partition;
        let behind_us = latest.ingested_at.micros_since(known.last_seen);
        // What a partition that lags says of a machine is not news.
        let is_news = behind_us >= 0 && (has_moved || digest != known.digest);
        if !is_news && behind_us < LAST_SEEN_BEHIND_US {
            continue;
        }
        moved += u64::from(has_moved);
        columns.push(present, known.key);
        let updated = KnownMachine {
            key: known.key,
            source_partition: latest.source.partition,
            last_seen: known.last_seen.max(latest.ingested_at),
            digest,
        };
        dimensions.machines.insert(present.hash, updated);
    }
    if !columns.keys.is_empty() {
        write_updates(session, columns).await?;
    }
    Ok(moved)
}

async fn write_updates(session: &mut Session, columns: Columns) -> Result<(), PostgresError> {
    sqlx::query(
        "UPDATE rollcall.machines AS m SET \
             source_partition = u.source_partition, \
             moved = m.moved + (m.source_partition <> u.source_partition)::int4, \
             first_seen = least(m.first_seen, u.first_seen), last_seen = greatest(m.last_seen, u.last_seen), \
             os = u.os, name = u.name, os_version = u.os_version, cpu_count = u.cpu_count, \
             memory_bytes = u.memory_bytes \
         FROM unnest($1::int4[], $2::int4[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], \
             $8::int4[], $9::int8[]) \
             AS u(machine_key, source_partition, first_seen, last_seen, os, name, os_version, cpu_count, memory_bytes) \
         WHERE m.machine_key = u.machine_key",
    )
    .bind(columns.keys)
    .bind(columns.partitions)
    .bind(columns.first_seen)
    .bind(columns.last_seen)
    .bind(columns.os)
    .bind(columns.names)
    .bind(columns.os_versions)
    .bind(columns.cpu_counts)
    .bind(columns.memory_bytes)
    .execute(&mut session.connection)
    .await
    .doing("update machines")?;
    Ok(())
}
