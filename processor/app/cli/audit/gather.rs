//! How far each lane has come, in raw offsets: before a stored offset stands a message, which says what it came from.

use super::topics::{Decoding, Until, last_record, raw_ends, watermarks};
use crate::driver::Shared;
use crate::postgres::audit::AuditReader;
use rollcall_audit::{DetailsReach, Facts, LettersReach, StoredLedger, StoredProgress};
use rollcall_codec::messages;
use rollcall_domain::GroupingSet;
use rollcall_domain::pipeline::{Progress, Rejection, RollupUpdate};
use rollcall_stages::layout::{self, TopicLayout, updates_topic};
use std::collections::BTreeMap;
use tokio::runtime::Runtime;

type Offsets = BTreeMap<(String, i32), i64>;

/// Everything that is known before the first record.
pub(super) fn gather(
    runtime: &Runtime,
    reader: &mut AuditReader,
    shared: &Shared,
) -> anyhow::Result<Facts> {
    let observations = shared.kafka.topic(layout::OBSERVATIONS.name);
    let (offsets, ledger, stored, horizons, orphans) = runtime.block_on(async {
        Ok::<_, crate::postgres::PostgresError>((
            reader.offsets().await?,
            reader.ledger(&observations).await?,
            reader.progress().await?,
            reader.horizons().await?,
            reader.orphans().await?,
        ))
    })?;
    let partitions = shared.partitions.snapshots;
    // The ends are asked for after the tables' moment, so that they hold what the tables came from.
    let raw_end = raw_ends(shared)?;
    let raw_begin: Vec<i64> = watermarks(shared, layout::SNAPSHOTS, partitions)?
        .into_iter()
        .map(|(begin, _)| begin)
        .collect();
    let mut progress = Vec::new();
    for row in stored {
        let is_of = |set: &GroupingSet| shared.kafka.topic(updates_topic(*set).name) == row.topic;
        if let Some(grouping_set) = GroupingSet::ALL.into_iter().find(is_of) {
            progress.push(StoredProgress {
                grouping_set,
                partition: row.partition,
                progress: row.progress,
            });
        }
    }
    Ok(Facts {
        details: details(shared, &offsets, &ledger, &raw_begin)?,
        letters: letters(shared, &offsets)?,
        ledger,
        progress,
        published: published(shared, &offsets)?,
        horizons,
        raw_begin,
        raw_end,
        settled: Vec::new(),
        orphans,
    })
}

/// The last stored message of a partition, if it is still there.
enum Last {
    /// Nothing is stored.
    None,
    /// It is the last before this.
    Before(Until),
    /// It is gone.
    Gone,
}

fn last_stored(
    shared: &Shared,
    offsets: &Offsets,
    (topic, partition): (TopicLayout, i32),
    (begin, end): (i64, i64),
) -> Last {
    let name = shared.kafka.topic(topic.name);
    match offsets.get(&(name, partition)) {
        None => Last::None,
        Some(next) if *next <= 0 => Last::None,
        Some(next) if *next <= begin => Last::Gone,
        // A flush ends with a message, or behind the marker of its transaction.
        Some(next) => Last::Before(Until {
            topic,
            partition,
            begin,
            next: *next.min(&end),
        }),
    }
}

fn details(
    shared: &Shared,
    offsets: &Offsets,
    ledger: &BTreeMap<i32, StoredLedger>,
    raw_begin: &[i64],
) -> anyhow::Result<Vec<DetailsReach>> {
    let topic = layout::OBSERVATIONS;
    let mut decoding =
        Decoding::<messages::SnapshotObservations>::new(&shared.registry, layout::OBSERVATIONS);
    let mut reaches = Vec::new();
    for (partition, marks) in (0..).zip(watermarks(shared, topic, shared.partitions.snapshots)?) {
        let gone = || match ledger.get(&partition) {
            None => DetailsReach::Nothing,
            Some(row) if raw_begin[partition as usize] == 0 => {
                DetailsReach::FirstRecords(row.counts.snapshots_read)
            }
            Some(_) => DetailsReach::LastRow,
        };
        reaches.push(
            match last_stored(shared, offsets, (topic, partition), marks) {
                Last::None => DetailsReach::Nothing,
                Last::Gone => gone(),
                Last::Before(until) => {
                    let read =
                        |message: rollcall_domain::SnapshotObservations<'_>| message.source.offset;
                    match last_record(shared, &mut decoding, &until, read)? {
                        Some(offset) => DetailsReach::Through(offset),
                        None => gone(),
                    }
                }
            },
        );
    }
    Ok(reaches)
}

fn letters(shared: &Shared, offsets: &Offsets) -> anyhow::Result<Vec<LettersReach>> {
    let topic = layout::DEAD_LETTERS;
    let mut decoding =
        Decoding::<messages::DeadLetter>::new(&shared.registry, layout::DEAD_LETTERS);
    let mut reaches = Vec::new();
    for (partition, marks) in (0..).zip(watermarks(shared, topic, shared.partitions.snapshots)?) {
        reaches.push(
            match last_stored(shared, offsets, (topic, partition), marks) {
                Last::None => LettersReach::Nothing,
                Last::Gone => LettersReach::LastRow,
                Last::Before(until) => {
                    let read = |letter: rollcall_domain::pipeline::DeadLetter<'_>| {
                        let line = match letter.rejection {
                            Rejection::Record(_) => None,
                            Rejection::Line(_, line) => Some(line),
                        };
                        LettersReach::Through {
                            offset: letter.source.offset,
                            line,
                        }
                    };
                    let read = last_record(shared, &mut decoding, &until, read)?;
                    read.unwrap_or(LettersReach::LastRow)
                }
            },
        );
    }
    Ok(reaches)
}

/// What the last flushed PROGRESS of each partition of rollups says.
fn published(shared: &Shared, offsets: &Offsets) -> anyhow::Result<Vec<StoredProgress>> {
    let mut published = Vec::new();
    for set in GroupingSet::ALL {
        let topic = updates_topic(set);
        let mut decoding = Decoding::<messages::RollupUpdate>::new(&shared.registry, topic);
        for (partition, marks) in (0..).zip(watermarks(shared, topic, shared.partitions.rollups)?) {
            let Last::Before(until) = last_stored(shared, offsets, (topic, partition), marks)
            else {
                continue;
            };
            let read = |update: RollupUpdate<'_>| -> Option<Progress> {
                match update {
                    RollupUpdate::Progress(progress) => Some(progress),
                    RollupUpdate::Value { .. } => None,
                }
            };
            if let Some(progress) = last_record(shared, &mut decoding, &until, read)?.flatten() {
                published.push(StoredProgress {
                    grouping_set: set,
                    partition,
                    progress,
                });
            }
        }
    }
    Ok(published)
}
