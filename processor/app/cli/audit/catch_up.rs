//! Waiting until the tables hold everything up to given raw offsets, and naming what lags where they don't.

use super::go_on;
use super::topics::{Decoding, From, first_record, watermarks};
use crate::clock::elapsed_us;
use crate::driver::{Control, Shared};
use crate::postgres::audit::AuditReader;
use crate::postgres::{PostgresError, PostgresSettings};
use rollcall_codec::messages;
use rollcall_domain::GroupingSet;
use rollcall_stages::layout::{self, TopicLayout, updates_topic};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How often the tables are looked at.
const AGAIN: Duration = Duration::from_millis(250);
/// Places that lag that a message names.
const NAMED: usize = 5;

/// What the tables must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CatchUp {
    /// Per raw partition: everything below this offset.
    pub raw_ends: Vec<i64>,
    /// How long to wait.
    pub timeout: Duration,
}

/// Waits.
pub(super) fn catch_up(
    runtime: &Runtime,
    shared: &Shared,
    database: &PostgresSettings,
    wanted: &CatchUp,
    stop: &Control,
) -> anyhow::Result<()> {
    let deadline_us = elapsed_us() + wanted.timeout.as_micros() as i64;
    loop {
        let lagging = lagging(runtime, shared, database, &wanted.raw_ends)?;
        if lagging.is_empty() {
            return Ok(());
        }
        if elapsed_us() >= deadline_us {
            let named = lagging[..lagging.len().min(NAMED)].join("; ");
            anyhow::bail!(
                "the tables have not caught up within {:?}: {named}{}; is `rollcall run` at work with all stages?",
                wanted.timeout,
                if lagging.len() > NAMED { "; …" } else { "" },
            );
        }
        go_on(stop)?;
        std::thread::sleep(AGAIN);
    }
}

/// What lags, for a person.
fn lagging(
    runtime: &Runtime,
    shared: &Shared,
    database: &PostgresSettings,
    raw_ends: &[i64],
) -> anyhow::Result<Vec<String>> {
    let (offsets, progress) = runtime.block_on(async {
        let mut reader = AuditReader::begin(database).await?;
        let read = (reader.offsets().await?, reader.progress().await?);
        reader.close().await;
        Ok::<_, PostgresError>(read)
    })?;
    let mut lagging = Vec::new();
    for set in GroupingSet::ALL {
        let topic = shared.kafka.topic(updates_topic(set).name);
        for partition in 0..shared.partitions.rollups {
            let row = progress
                .iter()
                .find(|row| row.topic == topic && row.partition == partition);
            for (raw, &end) in (0..).zip(raw_ends) {
                let folded = row.into_iter().flat_map(|row| &row.progress.folded);
                let folded = folded
                    .filter(|at| at.partition == raw)
                    .map(|at| at.offset)
                    .max();
                if end > 0 && folded.unwrap_or(-1) < end {
                    let set = set.as_str();
                    let folded = folded.unwrap_or(-1).max(0);
                    lagging.push(format!(
                        "{set} rollups {partition} hold {folded} of {end} records of raw partition {raw}"
                    ));
                }
            }
        }
    }
    // NORMALIZE has read everything only once the rollups say so; before, its topics may not be whole.
    if lagging.is_empty() {
        lagging.extend(unstored(shared, &offsets, layout::OBSERVATIONS, raw_ends)?);
        lagging.extend(unstored(shared, &offsets, layout::DEAD_LETTERS, raw_ends)?);
    }
    Ok(lagging)
}

/// Partitions of a topic whose first message that is not stored comes from one of the wanted records.
fn unstored(
    shared: &Shared,
    offsets: &BTreeMap<(String, i32), i64>,
    topic: TopicLayout,
    raw_ends: &[i64],
) -> anyhow::Result<Vec<String>> {
    let mut observations =
        Decoding::<messages::SnapshotObservations>::new(&shared.registry, layout::OBSERVATIONS);
    let mut letters = Decoding::<messages::DeadLetter>::new(&shared.registry, layout::DEAD_LETTERS);
    let name = shared.kafka.topic(topic.name);
    let mut lagging = Vec::new();
    let marks = watermarks(shared, topic, shared.partitions.snapshots)?;
    for ((partition, (begin, end)), &raw_end) in (0..).zip(marks).zip(raw_ends) {
        let stored = offsets.get(&(name.clone(), partition)).copied();
        let from = From {
            topic,
            partition,
            offset: stored.unwrap_or(0).max(begin),
            end,
        };
        let waiting = if topic.index == layout::OBSERVATIONS.index {
            first_record(shared, &mut observations, &from, |_, message| {
                message.source.offset
            })?
        } else {
            first_record(shared, &mut letters, &from, |_, letter| {
                letter.source.offset
            })?
        };
        if let Some(offset) = waiting.filter(|offset| *offset < raw_end) {
            lagging.push(format!(
                "{name} partition {partition} waits to be stored from raw offset {offset} on, of {raw_end}"
            ));
        }
    }
    Ok(lagging)
}
