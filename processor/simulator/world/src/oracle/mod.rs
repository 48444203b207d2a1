//! What must have come of what was sent: a naive fold of the ledger, which shares no code with the stages, against what
//! the topics and the tables hold.
//!
//! It folds lists of numbers by hand, windows by division, duplicates by a set; of the domain it takes names only.

mod tables;

pub(crate) use tables::{check_commit, check_stored};

use crate::broker::{Broker, Entry};
use crate::database::Postgres;
use crate::load::{ACCEPTANCE_US, FUTURE_TOLERANCE_US, Ledger, Made, Sent};
use rollcall_codec::{Decoder, Message, messages, wire};
use rollcall_domain::pipeline::{Progress, Rejection, RollupUpdate, UpdateKind};
use rollcall_domain::{Accumulator, Grain, GroupingSet, RollupKey};
use rollcall_driver::ports::Place;
use rollcall_stages::layout::{self, updates_topic};
use std::collections::{BTreeMap, BTreeSet};

/// What is compared of a rollup.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Sum {
    snapshots: i64,
    processes: i64,
    memory_count: i64,
    memory_sum: i64,
    first_us: Option<i64>,
    last_us: Option<i64>,
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.snapshots += other.snapshots;
        self.processes += other.processes;
        self.memory_count += other.memory_count;
        self.memory_sum += other.memory_sum;
        self.first_us = [self.first_us, other.first_us].into_iter().flatten().min();
        self.last_us = self.last_us.max(other.last_us);
    }

    fn of(accumulator: &Accumulator) -> Self {
        Self {
            snapshots: accumulator.snapshots,
            processes: accumulator.processes,
            memory_count: accumulator.memory.count,
            memory_sum: accumulator.memory.sum_bytes,
            first_us: accumulator.first_event_at.map(|at| at.as_micros()),
            last_us: accumulator.last_event_at.map(|at| at.as_micros()),
        }
    }
}

/// Grouping set, key, length of the window, its beginning.
type Row = (&'static str, Vec<String>, i64, i64);
type Table = BTreeMap<Row, Sum>;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What must come of the raw records.
#[derive(Debug, Default)]
struct Expected {
    /// By raw partition: accepted offsets, with how many processes.
    accepted: BTreeMap<i32, Vec<(i64, usize)>>,
    /// By raw partition: rejected offsets with their reasons.
    rejected: BTreeMap<i32, Vec<(i64, &'static str)>>,
    duplicates: BTreeMap<i32, i64>,
    table: Table,
}

fn fold(broker: &Broker, ledger: &Ledger) -> Expected {
    let mut expected = Expected::default();
    for place in broker.partitions(layout::SNAPSHOTS.index) {
        let partition = place.1;
        let mut known: BTreeSet<(&str, u128)> = BTreeSet::new();
        for entry in &broker.log(place).entries {
            let ingested_us = entry.timestamp_us;
            let mut reject = |reason| {
                let of_partition = expected.rejected.entry(partition).or_default();
                of_partition.push((entry.offset, reason));
            };
            let sent = match &*ledger[&(partition, entry.offset)] {
                Made::Poison(reason) => {
                    reject(*reason);
                    continue;
                }
                Made::Snapshot(sent) => sent,
            };
            let event_us = if sent.observed_us > ingested_us + FUTURE_TOLERANCE_US {
                ingested_us
            } else {
                sent.observed_us
            };
            if event_us < ingested_us - ACCEPTANCE_US {
                reject("too_old");
            } else if known.insert((&sent.machine, sent.id)) {
                let accepted = expected.accepted.entry(partition).or_default();
                accepted.push((entry.offset, sent.processes.len()));
                contribute(&mut expected.table, sent, event_us);
            } else {
                *expected.duplicates.entry(partition).or_default() += 1;
            }
        }
    }
    expected
}

fn contribute(table: &mut Table, sent: &Sent, event_us: i64) {
    let sum = |processes: &[i64]| Sum {
        snapshots: 1,
        processes: processes.len() as i64,
        memory_count: processes.len() as i64,
        memory_sum: processes.iter().sum(),
        first_us: Some(event_us),
        last_us: Some(event_us),
    };
    let mut add = |set: &'static str, key: &[&str], length: i64, sum: &Sum| {
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        let start = event_us.div_euclid(length) * length;
        table.entry((set, key, length, start)).or_default().add(sum);
    };
    let all: Vec<i64> = sent.processes.iter().map(|(_, memory)| *memory).collect();
    for length in [MINUTE, HOUR, DAY] {
        add("user", &[&sent.user], length, &sum(&all));
        add("faculty", &[&sent.faculty], length, &sum(&all));
    }
    let applications: BTreeSet<&str> = sent.processes.iter().map(|(name, _)| *name).collect();
    for application in applications {
        let its = sent
            .processes
            .iter()
            .filter(|(name, _)| *name == application);
        let its: Vec<i64> = its.map(|(_, memory)| *memory).collect();
        for length in [HOUR, DAY] {
            let key = [&*sent.faculty, "linux", application];
            add("application", &key, length, &sum(&its));
        }
    }
}

/// The committed records of a partition.
fn committed(broker: &Broker, place: Place) -> impl Iterator<Item = (&Entry, &[u8])> {
    let entries = broker.log(place).entries.iter();
    entries.filter_map(|entry| {
        let value = entry.record.as_ref()?.1.as_deref()?;
        broker.is_committed(entry).then_some((entry, value))
    })
}

fn decode<M: Message>(value: &[u8]) -> M::Value<'_> {
    let (_, datum) = wire::split(value, None).expect("our own wire format");
    let decoded = Decoder::<M>::ours().decode(datum);
    decoded.unwrap_or_else(|error| panic!("a record of ours can't be decoded: {error}"))
}

/// How far the updates of a grouping set's partition contain the raw records, as its last PROGRESS says.
pub(crate) fn progress(broker: &Broker, place: Place) -> Option<Progress> {
    let entries = broker.log(place).entries.iter().rev();
    let value = entries
        .filter(|entry| broker.is_committed(entry))
        .find_map(|entry| entry.record.as_ref()?.1.as_deref())?;
    match decode::<messages::RollupUpdate>(value) {
        RollupUpdate::Progress(progress) => Some(progress),
        RollupUpdate::Value { .. } => None,
    }
}

/// Whether everything that was sent is folded into all rollups, and minutes are closed through that time; `Err`: what is not.
pub(crate) fn check_folded(broker: &Broker, closed_us: i64) -> Result<(), String> {
    if !broker.is_settled() {
        return Err("transactions are open".to_owned());
    }
    for set in GroupingSet::ALL {
        for place in broker.partitions(updates_topic(set).index) {
            let progress = progress(broker, place);
            if !(progress.as_ref()).is_some_and(|progress| is_folded(broker, progress, closed_us)) {
                let (set, partition) = (set.as_str(), place.1);
                return Err(format!(
                    "{set} rollups, partition {partition}: folded up to {progress:?}"
                ));
            }
        }
    }
    Ok(())
}

/// Whether that contains everything that was sent, with minutes closed through that time.
fn is_folded(broker: &Broker, progress: &Progress, closed_us: i64) -> bool {
    let raw = broker.partitions(layout::SNAPSHOTS.index);
    let ends = raw.map(|place| broker.log(place).end);
    let mut closed = progress.closed_through.iter();
    progress.folded.iter().map(|at| at.offset).eq(ends)
        && closed.all(|it| it.grain != Grain::Minute || it.through.as_micros() >= closed_us)
}

/// Compares what topics and tables hold with what must have come of the raw records; the first difference, in words.
pub(crate) fn compare(broker: &Broker, ledger: &Ledger, database: &Postgres) -> Result<(), String> {
    let expected = fold(broker, ledger);
    compare_details(broker, &expected)?;
    compare_letters(broker, &expected)?;
    compare_rollups(broker, &expected.table)?;
    check_times(broker)?;
    check_transactions(broker)?;
    tables::compare(broker, ledger, database, &expected)
}

/// No task's time is ahead of what it has read: what is still unread was appended at that time or later. ROLLUP's is no
/// later than the least that was reported to it.
fn check_times(broker: &Broker) -> Result<(), String> {
    for place in broker.partitions(layout::PARTIALS.index) {
        // By upstream: when it was appended, and what it reports.
        let mut reports: BTreeMap<i32, Vec<(i64, i64)>> = BTreeMap::new();
        for (entry, value) in committed(broker, place) {
            let partials = decode::<messages::RollupPartials>(value);
            let (upstream, time_us) = (partials.source_partition, partials.stage_time.as_micros());
            let report = (entry.timestamp_us, time_us);
            reports.entry(upstream).or_default().push(report);
            let raw = broker.log((layout::SNAPSHOTS.index, upstream));
            let unread = raw.from(partials.next_offset.max(0)).first();
            if let Some(unread) = unread.filter(|unread| unread.timestamp_us < time_us) {
                return Err(format!(
                    "normalize[{upstream}] says {time_us} before it has read what was appended at {}",
                    unread.timestamp_us
                ));
            }
        }
        let upstreams = broker.partitions(layout::SNAPSHOTS.index).count();
        for (at_us, progress) in progresses(broker, (layout::UPDATES_USER.index, place.1)) {
            let latest = |reports: &Vec<(i64, i64)>| {
                let before = reports.iter().filter(|(when, _)| *when <= at_us);
                before.map(|(_, time_us)| *time_us).max()
            };
            let latest: Vec<i64> = reports.values().filter_map(latest).collect();
            let least = latest
                .iter()
                .copied()
                .min()
                .filter(|_| latest.len() == upstreams);
            let time_us = progress.stage_time.as_micros();
            if time_us > least.unwrap_or(i64::MIN) {
                return Err(format!(
                    "rollup[{}] says {time_us}, but the least that was reported to it is {least:?}",
                    place.1
                ));
            }
        }
    }
    Ok(())
}

fn progresses(broker: &Broker, place: Place) -> impl Iterator<Item = (i64, Progress)> {
    committed(broker, place).filter_map(|(entry, value)| {
        match decode::<messages::RollupUpdate>(value) {
            RollupUpdate::Progress(progress) => Some((entry.timestamp_us, progress)),
            RollupUpdate::Value { .. } => None,
        }
    })
}

/// Each of ROLLUP's transactions ends with PROGRESS: SINK cuts its flushes there.
fn check_transactions(broker: &Broker) -> Result<(), String> {
    for set in GroupingSet::ALL {
        for place in broker.partitions(updates_topic(set).index) {
            let mut last = BTreeMap::new();
            for (entry, value) in committed(broker, place) {
                last.insert(entry.txn, (entry.offset, value));
            }
            for (offset, value) in last.into_values() {
                if let RollupUpdate::Value { .. } = decode::<messages::RollupUpdate>(value) {
                    return Err(format!(
                        "a transaction of {} rollups ends without PROGRESS, at offset {offset}",
                        set.as_str()
                    ));
                }
            }
        }
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}

fn compare_details(broker: &Broker, expected: &Expected) -> Result<(), String> {
    for place in broker.partitions(layout::OBSERVATIONS.index) {
        let partition = place.1;
        let mut found = Vec::new();
        let mut read = 0;
        for (_, value) in committed(broker, place) {
            let snapshot = decode::<messages::SnapshotObservations>(value);
            let (source, counts) = (snapshot.source, snapshot.counts);
            let what = format!("observations of raw offset {partition}/{}", source.offset);
            same(&format!("{what}, partition"), &source.partition, &partition)?;
            found.push((source.offset, snapshot.observations.len()));
            same(
                &format!("{what}, accepted"),
                &counts.snapshots_accepted,
                &(found.len() as i64),
            )?;
            same(
                &format!("{what}, read"),
                &counts.snapshots_read,
                &(source.offset + 1),
            )?;
            same(&format!("{what}, balanced"), &counts.balanced(), &true)?;
            read = read.max(counts.snapshots_read);
        }
        let none = Vec::new();
        let wanted = expected.accepted.get(&partition).unwrap_or(&none);
        same(
            &format!("accepted raw offsets of partition {partition}"),
            &found,
            wanted,
        )?;
    }
    Ok(())
}

fn compare_letters(broker: &Broker, expected: &Expected) -> Result<(), String> {
    for place in broker.partitions(layout::DEAD_LETTERS.index) {
        let partition = place.1;
        let mut found = Vec::new();
        for (_, value) in committed(broker, place) {
            let letter = decode::<messages::DeadLetter>(value);
            if let Rejection::Record(reason) = letter.rejection {
                found.push((letter.source.offset, reason.as_str()));
            }
        }
        let none = Vec::new();
        let wanted = expected.rejected.get(&partition).unwrap_or(&none);
        same(
            &format!("rejected raw offsets of partition {partition}"),
            &found,
            wanted,
        )?;
    }
    Ok(())
}

fn key_of(key: &RollupKey<'_>) -> Vec<String> {
    match key {
        RollupKey::User(name) | RollupKey::Faculty(name) => vec![name.to_string()],
        RollupKey::Application {
            faculty,
            os,
            application,
        } => vec![
            faculty.to_string(),
            os.as_str().to_owned(),
            application.to_string(),
        ],
    }
}

fn compare_rollups(broker: &Broker, expected: &Table) -> Result<(), String> {
    let mut found = Table::new();
    let mut closed: BTreeSet<Row> = BTreeSet::new();
    for set in GroupingSet::ALL {
        for place in broker.partitions(updates_topic(set).index) {
            for (entry, value) in committed(broker, place) {
                let RollupUpdate::Value {
                    kind,
                    key,
                    window,
                    accumulator,
                } = decode::<messages::RollupUpdate>(value)
                else {
                    continue;
                };
                let (length, start) = (window.grain.length_us(), window.start.as_micros());
                let row = (set.as_str(), key_of(&key), length, start);
                let sum = Sum::of(&accumulator);
                let is_closed = closed.contains(&row);
                match kind {
                    UpdateKind::Correction if is_closed => {
                        found.entry(row).or_default().add(&sum);
                    }
                    // A window that closes empty says nothing; what comes late for it is all there is.
                    UpdateKind::Correction => {
                        closed.insert(row.clone());
                        if found.contains_key(&row) {
                            return Err(format!(
                                "a correction of the open window {row:?} at offset {}",
                                entry.offset
                            ));
                        }
                        found.insert(row, sum);
                    }
                    UpdateKind::Update | UpdateKind::Closed if is_closed => {
                        return Err(format!(
                            "the closed window {row:?} was {kind:?}d at offset {}",
                            entry.offset
                        ));
                    }
                    UpdateKind::Update | UpdateKind::Closed => {
                        if kind == UpdateKind::Closed {
                            closed.insert(row.clone());
                        }
                        found.insert(row, sum);
                    }
                }
            }
        }
    }
    for row in found.keys().chain(expected.keys()) {
        same(
            &format!("rollup {row:?}"),
            &found.get(row),
            &expected.get(row),
        )?;
    }
    Ok(())
}
