//! Reading the raw topic again, and the last messages that SINK has stored.

use crate::driver::Shared;
use crate::kafka::fetch::{Fetcher, Incoming, Polled};
use crate::kafka::registry::Registry;
use anyhow::{Context as _, bail};
use rollcall_audit::RawRecord;
use rollcall_codec::{DecodeError, Message};
use rollcall_domain::Timestamp;
use rollcall_domain::observation::SourceOffset;
use rollcall_stages::Reader;
use rollcall_stages::layout::{self, TopicLayout};
use std::time::Duration;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);
/// So many polls without anything are taken for a broker that is away.
const SILENT_POLLS: u32 = 300;

/// Values of one topic, whose writers' schemas come from the registry.
pub(super) struct Decoding<'a, M: Message> {
    topic: TopicLayout,
    reader: Reader<M>,
    registry: &'a Registry,
}

impl<'a, M: Message> Decoding<'a, M> {
    pub(super) fn new(registry: &'a Registry, topic: TopicLayout) -> Self {
        Self {
            topic,
            reader: Reader::new(),
            registry,
        }
    }

    /// Decodes a value. The outer error: the registry does not answer.
    pub(super) fn decode<'v>(
        &mut self,
        value: Option<&'v [u8]>,
        header: Option<&[u8]>,
    ) -> anyhow::Result<Result<M::Value<'v>, DecodeError>> {
        if let Some(schema) = self.reader.needed(value, header) {
            let lookup = self.registry.lookup(&self.topic, schema)?;
            self.reader.learn(schema, &lookup);
        }
        Ok(self.reader.read(value, header))
    }
}

/// The end of each raw partition.
pub(in crate::cli) fn raw_ends(shared: &Shared) -> anyhow::Result<Vec<i64>> {
    let marks = watermarks(shared, layout::SNAPSHOTS, shared.partitions.snapshots)?;
    Ok(marks.into_iter().map(|(_, end)| end).collect())
}

/// First and end offset of each partition of a topic.
pub(super) fn watermarks(
    shared: &Shared,
    topic: TopicLayout,
    partitions: i32,
) -> anyhow::Result<Vec<(i64, i64)>> {
    let fetcher = Fetcher::new(&shared.kafka, "audit")?;
    let name = shared.kafka.topic(topic.name);
    (0..partitions)
        .map(|partition| {
            fetcher
                .watermarks(&name, partition, REQUEST)
                .with_context(|| format!("topic {name} partition {partition} has no offsets; is Kafka up, and was `rollcall bootstrap` run?"))
        })
        .collect()
}

/// Reads the raw topic, or another one, partition by partition.
pub(super) struct RawReader {
    fetcher: Fetcher,
    topic: String,
}

impl RawReader {
    pub(super) fn new(shared: &Shared) -> anyhow::Result<Self> {
        Ok(Self {
            fetcher: Fetcher::new(&shared.kafka, "audit")?,
            topic: shared.kafka.topic(layout::SNAPSHOTS.name),
        })
    }

    /// Hands every record of `begin..end` to `take`, in order.
    pub(super) fn each(
        &self,
        partition: i32,
        begin: i64,
        end: i64,
        mut take: impl FnMut(&Incoming<'_>, &RawRecord<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if begin >= end {
            return Ok(());
        }
        self.fetcher
            .assign(&[(self.topic.clone(), partition, begin)])?;
        let mut silent = 0;
        loop {
            match self.fetcher.poll(POLL) {
                Polled::Record(message) => {
                    silent = 0;
                    let incoming = Incoming::of(&message);
                    if incoming.offset >= end {
                        return Ok(());
                    }
                    let record = RawRecord {
                        source: SourceOffset {
                            partition,
                            offset: incoming.offset,
                        },
                        ingested_at: Timestamp::from_micros(incoming.timestamp_us),
                        key: incoming.key,
                        value: incoming.value,
                    };
                    take(&incoming, &record)?;
                    if incoming.offset + 1 >= end {
                        return Ok(());
                    }
                    continue;
                }
                Polled::OutOfRange => bail!("its first records went while it was read; try again"),
                Polled::Nothing => silent += 1,
                Polled::Trouble(error) => {
                    tracing::debug!(%error, "reading goes on");
                    silent += 1;
                }
            }
            // Control records at the end are passed over, and counted by the position only.
            let position = self.fetcher.position(&self.topic, partition);
            if position.is_some_and(|position| position >= end) {
                return Ok(());
            }
            if silent >= SILENT_POLLS {
                bail!("Kafka has given nothing for {:?}", POLL * SILENT_POLLS);
            }
        }
    }
}

/// How far back the last record before an offset is looked for first; each further look goes back so many times as far.
const LOOK_BACK: i64 = 4;

/// A partition up to an offset.
pub(super) struct Until {
    pub(super) topic: TopicLayout,
    pub(super) partition: i32,
    pub(super) begin: i64,
    /// The offset that comes next.
    pub(super) next: i64,
}

/// Reads the last record before an offset, and decodes it with `read`; `None`: it is gone, or can't be read.
pub(super) fn last_record<M: Message, T>(
    shared: &Shared,
    decoding: &mut Decoding<'_, M>,
    until: &Until,
    mut read: impl FnMut(M::Value<'_>) -> T,
) -> anyhow::Result<Option<T>> {
    let topic = shared.kafka.topic(until.topic.name);
    let reader = RawReader {
        fetcher: Fetcher::new(&shared.kafka, "audit")?,
        topic,
    };
    let mut back = LOOK_BACK;
    loop {
        let from = until.begin.max(until.next - back);
        let mut last = None;
        reader.each(until.partition, from, until.next, |incoming, _| {
            let decoded = decoding.decode(incoming.value, incoming.schema_header)?;
            last = Some(decoded.ok().map(&mut read));
            Ok(())
        })?;
        match last {
            Some(last) => return Ok(last),
            None if from <= until.begin => return Ok(None),
            // Markers of transactions, and transactions that were aborted.
            None => back = back.saturating_mul(LOOK_BACK),
        }
    }
}

/// A partition from an offset on.
pub(super) struct From {
    pub(super) topic: TopicLayout,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) end: i64,
}

/// Reads the first record at or after an offset, and decodes it with `read`; `None`: there is none before the end.
pub(super) fn first_record<M: Message, T>(
    shared: &Shared,
    decoding: &mut Decoding<'_, M>,
    from: &From,
    read: impl FnOnce(i64, M::Value<'_>) -> T,
) -> anyhow::Result<Option<T>> {
    if from.offset >= from.end {
        return Ok(None);
    }
    let topic = shared.kafka.topic(from.topic.name);
    let fetcher = Fetcher::new(&shared.kafka, "audit")?;
    fetcher.assign(&[(topic.clone(), from.partition, from.offset)])?;
    for _ in 0..SILENT_POLLS {
        match fetcher.poll(POLL) {
            Polled::Record(message) => {
                let incoming = Incoming::of(&message);
                let decoded = decoding.decode(incoming.value, incoming.schema_header)?;
                return Ok(decoded.ok().map(|value| read(incoming.offset, value)));
            }
            Polled::OutOfRange => return Ok(None),
            Polled::Nothing => {}
            Polled::Trouble(error) => tracing::debug!(%error, "reading goes on"),
        }
        let position = fetcher.position(&topic, from.partition);
        if position.is_some_and(|position| position >= from.end) {
            return Ok(None);
        }
    }
    bail!(
        "Kafka has given nothing of {topic} for {:?}",
        POLL * SILENT_POLLS
    )
}
