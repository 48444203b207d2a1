//! What the database must hold: after each commit what its offsets say, and at the end what was sent.

use super::{Expected, Row, Sum, Table, committed, decode, is_folded, key_of, same};
use crate::broker::Broker;
use crate::database::{Postgres, Txn, Write};
use crate::load::{Ledger, Made, command_line};
use rollcall_codec::messages;
use rollcall_domain::GroupingSet;
use rollcall_domain::pipeline::{RollupUpdate, UpdateKind};
use rollcall_driver::ports::{Backend, Place};
use rollcall_stages::layout::{self, updates_topic};
use std::collections::{BTreeMap, BTreeSet};

fn updates(broker: &Broker) -> impl Iterator<Item = Place> {
    let topics = GroupingSet::ALL.map(|set| updates_topic(set).index);
    topics
        .into_iter()
        .flat_map(|topic| broker.partitions(topic).collect::<Vec<_>>())
}

/// A commit holds exactly what the topics hold between the offsets that it moves; and who moves them has claimed them.
pub(crate) fn check_commit(broker: &Broker, backend: Backend, txn: &Txn) -> Result<(), String> {
    let mut stored: BTreeMap<Place, usize> = BTreeMap::new();
    let mut progress = BTreeMap::new();
    for write in &txn.writes {
        match write {
            Write::Snapshot(row) => {
                let place = (layout::OBSERVATIONS.index, row.partition);
                *stored.entry(place).or_default() += 1;
            }
            Write::Letter(row) => {
                let place = (layout::DEAD_LETTERS.index, row.partition);
                *stored.entry(place).or_default() += 1;
            }
            Write::Progress(place, told) => drop(progress.insert(*place, told)),
            _ => {}
        }
    }
    for &(place, from, to) in &txn.moved {
        let fault = |what: &str| {
            let (topic, partition) = (layout::TOPICS[usize::from(place.0.0)].name, place.1);
            Err(format!(
                "a commit that moves {topic}[{partition}] from {from} to {to} {what}"
            ))
        };
        let owned = txn.writes.iter().any(|write| {
            matches!(write, Write::Offset(at, row) if *at == place && row.backend == Some(backend))
        });
        if !owned {
            return fault("is not by who claimed it");
        }
        let between = broker.log(place).from(from).iter();
        let between = between.take_while(|entry| entry.offset < to);
        let records: Vec<&[u8]> = between
            .filter(|entry| broker.is_committed(entry))
            .filter_map(|entry| entry.record.as_ref()?.1.as_deref())
            .collect();
        if place.0 == layout::OBSERVATIONS.index || place.0 == layout::DEAD_LETTERS.index {
            if stored.remove(&place).unwrap_or(0) != records.len() {
                return fault("stores something else than the topic holds there");
            }
            continue;
        }
        let last = records
            .last()
            .map(|value| decode::<messages::RollupUpdate>(value));
        match (last, progress.remove(&place)) {
            (None, None) => {}
            (Some(RollupUpdate::Progress(told)), Some(stored)) if **stored == told => {}
            _ => return fault("does not store the PROGRESS that it ends with"),
        }
    }
    if stored.is_empty() && progress.is_empty() {
        Ok(())
    } else {
        Err("a commit stores rows whose offsets it does not move".to_owned())
    }
}

/// Whether everything that was sent is stored; `Err`: what is not.
pub(crate) fn check_stored(
    broker: &Broker,
    database: &Postgres,
    closed_us: i64,
) -> Result<(), String> {
    for topic in [layout::OBSERVATIONS, layout::DEAD_LETTERS] {
        for place in broker.partitions(topic.index) {
            let last = committed(broker, place).last();
            let end = last.map_or(0, |(entry, _)| entry.offset + 1);
            let stored = database.tables.offsets.get(&place);
            let stored = stored.map_or(0, |row| row.next_offset);
            if stored < end {
                let (name, partition) = (topic.name, place.1);
                return Err(format!(
                    "{name}[{partition}] is stored up to {stored} of {end}"
                ));
            }
        }
    }
    for place in updates(broker) {
        let progress = database.tables.progress.get(&place);
        if !progress.is_some_and(|progress| is_folded(broker, progress, closed_us)) {
            let topic = layout::TOPICS[usize::from(place.0.0)].name;
            let partition = place.1;
            return Err(format!("{topic}[{partition}] is stored up to {progress:?}"));
        }
    }
    Ok(())
}

/// Compares the tables with what must have come of the raw records; the first difference, in words.
pub(super) fn compare(
    broker: &Broker,
    ledger: &Ledger,
    database: &Postgres,
    expected: &Expected,
) -> Result<(), String> {
    compare_snapshots(ledger, database, expected)?;
    let mut letters: BTreeMap<i32, Vec<(i64, &'static str)>> = BTreeMap::new();
    for letter in &database.tables.letters {
        let of_partition = letters.entry(letter.partition).or_default();
        of_partition.push((letter.offset, letter.reason));
    }
    letters.values_mut().for_each(|rows| rows.sort_unstable());
    same("stored letters", &letters, &expected.rejected)?;
    for (partition, books) in &database.tables.books {
        let what = format!("what the books of raw partition {partition} lack");
        same(&what, &books.lacking(), &[0; 3])?;
    }
    compare_rollups(broker, database, &expected.table)
}

/// A process: command line, owner, memory.
type Process = (String, String, i64);

fn compare_snapshots(
    ledger: &Ledger,
    database: &Postgres,
    expected: &Expected,
) -> Result<(), String> {
    let text = |key: i32| database.text(key).unwrap_or("NOT THERE").to_owned();
    let mut found: Vec<((i32, i64), String, Vec<Process>)> = Vec::new();
    for row in &database.tables.snapshots {
        let processes = row.processes.iter();
        let processes = processes.map(|(line, owner, memory)| (text(*line), text(*owner), *memory));
        let place = (row.partition, row.offset);
        found.push((place, text(row.machine), processes.collect()));
    }
    found.sort();
    let mut wanted = Vec::new();
    for (&partition, accepted) in &expected.accepted {
        for (offset, _) in accepted {
            let place = (partition, *offset);
            let Made::Snapshot(sent) = &*ledger[&place] else {
                continue;
            };
            let owner = format!("{} of {}", sent.user, sent.faculty);
            let processes = sent.processes.iter();
            let processes = processes
                .map(|(name, memory)| (command_line(name, *memory), owner.clone(), *memory));
            wanted.push((place, sent.machine.clone(), processes.collect()));
        }
    }
    for (found, wanted) in found.iter().zip(&wanted) {
        same("a stored snapshot", found, wanted)?;
    }
    same("stored snapshots", &found.len(), &wanted.len())
}

fn compare_rollups(broker: &Broker, database: &Postgres, expected: &Table) -> Result<(), String> {
    let mut closed: BTreeSet<Row> = BTreeSet::new();
    for place in updates(broker) {
        let stored = database.tables.offsets.get(&place);
        let stored = stored.map_or(0, |row| row.next_offset);
        let below = committed(broker, place).take_while(|(entry, _)| entry.offset < stored);
        for (_, value) in below {
            if let RollupUpdate::Value {
                kind, key, window, ..
            } = decode::<messages::RollupUpdate>(value)
                && kind != UpdateKind::Update
            {
                let (length, start) = (window.grain.length_us(), window.start.as_micros());
                closed.insert((key.grouping_set().as_str(), key_of(&key), length, start));
            }
        }
    }
    let mut found = Table::new();
    for ((set, key, window), row) in &database.tables.rollups {
        let (length, start) = (window.grain.length_us(), window.start.as_micros());
        let id = (set.as_str(), key_of(key), length, start);
        let what = format!("whether the stored rollup {id:?} is closed");
        same(&what, &row.1, &closed.contains(&id))?;
        found.insert(id, Sum::of(&row.0));
    }
    for row in found.keys().chain(expected.keys()) {
        let what = format!("stored rollup {row:?}");
        same(&what, &found.get(row), &expected.get(row))?;
    }
    Ok(())
}
