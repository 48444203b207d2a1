//! The lanes that copy messages into tables as they are: details and dead letters.
//!
//! What they hold stays in the consumer's memory until it is flushed; it is decoded in place then.

use super::dead_letters::{DeadLetterBatch, flush_dead_letters};
use super::details::{DetailsBatch, flush_details};
use super::flush::{FlushError, Link};
use super::lane::{Flushed, Lane, leave_out};
use super::places::Places;
use crate::ports::{Advance, Connection, LedgerDifference, OffsetAdvance, Place, Received};
use rollcall_codec::{Message, messages};
use rollcall_engine::record::TopicIndex;
use rollcall_stages::Reader;
use rollcall_stages::layout::{self, TopicLayout};
use std::collections::BTreeMap;
use std::time::Duration;

/// What such a lane copies.
pub(crate) trait CopyKind {
    /// The lane's name.
    const NAME: &'static str;
    /// The topic that it reads.
    const TOPIC: TopicLayout;
    /// Bytes of values that are enough for one flush.
    const FULL_BYTES: usize;
    /// Messages that are enough for one flush.
    const FULL_MESSAGES: usize;
    /// What the topic holds.
    type Message: Message;

    /// Writes a batch per partition, all of them or none.
    async fn flush<C: Connection>(
        link: &mut Link<C>,
        batches: &[Batch<'_, '_, Self::Message>],
    ) -> Result<Flushed, FlushError>;
}

/// What a flush holds of one partition.
pub(crate) struct Batch<'a, 'm, M: Message> {
    place: Place,
    advance: OffsetAdvance<'a>,
    values: Vec<M::Value<'m>>,
}

/// Observations.
pub(crate) enum Details {}

impl CopyKind for Details {
    const NAME: &'static str = "sink-details";
    const TOPIC: TopicLayout = layout::OBSERVATIONS;
    /// Some 100,000 processes.
    const FULL_BYTES: usize = 8 << 20;
    const FULL_MESSAGES: usize = 4_000;
    type Message = messages::SnapshotObservations;

    async fn flush<C: Connection>(
        link: &mut Link<C>,
        batches: &[Batch<'_, '_, Self::Message>],
    ) -> Result<Flushed, FlushError> {
        let batches: Vec<DetailsBatch<'_>> = batches
            .iter()
            .map(|batch| DetailsBatch {
                advance: batch.advance,
                snapshots: &batch.values,
            })
            .collect();
        let flushed = flush_details(link, &batches).await?;
        // What has expired is old beyond measure, and not stored.
        let event_times_us = match flushed.snapshots_expired {
            0 => event_times_us(&batches),
            _ => Vec::new(),
        };
        Ok(Flushed {
            rows: flushed.observations,
            expired: flushed.snapshots_expired,
            machines_moved: flushed.machines_moved,
            differences: flushed.differences,
            event_times_us,
            ..Flushed::default()
        })
    }
}

fn event_times_us(batches: &[DetailsBatch<'_>]) -> Vec<i64> {
    let snapshots = batches.iter().flat_map(|batch| batch.snapshots);
    snapshots.map(|s| s.event_at.as_micros()).collect()
}

/// What the books of a flushed place lack: nothing, unless the flush says otherwise.
fn books(flushed: &Flushed, partition: i32) -> [i64; 4] {
    let difference = flushed
        .differences
        .iter()
        .find(|d| d.partition == partition);
    difference.map_or([0; 4], LedgerDifference::lacking)
}

/// Dead letters.
pub(crate) enum DeadLetters {}

impl CopyKind for DeadLetters {
    const NAME: &'static str = "sink-dead-letters";
    const TOPIC: TopicLayout = layout::DEAD_LETTERS;
    const FULL_BYTES: usize = 4 << 20;
    const FULL_MESSAGES: usize = 10_000;
    type Message = messages::DeadLetter;

    async fn flush<C: Connection>(
        link: &mut Link<C>,
        batches: &[Batch<'_, '_, Self::Message>],
    ) -> Result<Flushed, FlushError> {
        let batches: Vec<DeadLetterBatch<'_>> = batches
            .iter()
            .map(|batch| DeadLetterBatch {
                advance: batch.advance,
                letters: &batch.values,
            })
            .collect();
        let flushed = flush_dead_letters(link, &batches).await?;
        Ok(Flushed {
            rows: flushed.rows,
            expired: flushed.expired,
            ..Flushed::default()
        })
    }
}

type Values<'m, K> = Vec<<<K as CopyKind>::Message as Message>::Value<'m>>;
type Batches<'a, 'm, K> = Vec<Batch<'a, 'm, <K as CopyKind>::Message>>;
type Halted = Vec<(Place, String)>;

/// See the module.
pub(crate) struct CopyLane<R, K: CopyKind> {
    interval: Duration,
    reader: Reader<K::Message>,
    held: BTreeMap<i32, Vec<R>>,
    messages: usize,
    bytes: usize,
}

impl<R: Received, K: CopyKind> CopyLane<R, K> {
    /// Holds nothing yet.
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            reader: Reader::new(),
            held: BTreeMap::new(),
            messages: 0,
            bytes: 0,
        }
    }

    fn clear(&mut self) {
        self.held.clear();
        self.messages = 0;
        self.bytes = 0;
    }

    /// What is held of the claimed places, decoded, and the places that have to halt.
    fn batches<'a, 'm>(&'m self, places: &'a Places) -> (Batches<'a, 'm, K>, Halted) {
        let mut batches = Vec::with_capacity(self.held.len());
        let mut halted = Vec::new();
        for (&partition, held) in &self.held {
            let place = (K::TOPIC.index, partition);
            let end = held.last().map(|message| message.record().offset + 1);
            let Some(advance) = end.and_then(|end| places.advance(place, end)) else {
                continue;
            };
            match self.decode(partition, held) {
                Ok(values) => batches.push(Batch {
                    place,
                    advance,
                    values,
                }),
                Err(why) => halted.push((place, why)),
            }
        }
        (batches, halted)
    }

    fn advance_of(&self, batch: &Batch<'_, '_, K::Message>, flushed: &Flushed) -> Advance {
        let (_, partition) = batch.place;
        let last = self.held.get(&partition).and_then(|held| held.last());
        let is_details = K::TOPIC.index == layout::OBSERVATIONS.index;
        Advance {
            next_offset: batch.advance.to_offset,
            reached_us: last.map(|message| message.record().timestamp_us),
            books: is_details.then(|| books(flushed, partition)),
            ..Advance::default()
        }
    }

    /// `Err`: why the partition has to halt.
    fn decode<'m>(&self, partition: i32, held: &'m [R]) -> Result<Values<'m, K>, String> {
        let mut values = Vec::with_capacity(held.len());
        for message in held {
            let incoming = message.record();
            match self.reader.read(incoming.value, incoming.schema_header) {
                Ok(value) => values.push(value),
                Err(error) => leave_out(K::NAME, partition, incoming.offset, &error)?,
            }
        }
        Ok(values)
    }
}

impl<R: Received, K: CopyKind> Lane<R> for CopyLane<R, K> {
    type Message = K::Message;
    const NAME: &'static str = K::NAME;

    fn topics(&self) -> Vec<TopicLayout> {
        vec![K::TOPIC]
    }

    fn label(&self, _topic: TopicIndex) -> &'static str {
        K::NAME
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn reader(&mut self) -> &mut Reader<Self::Message> {
        &mut self.reader
    }

    fn take(&mut self, message: R) -> Result<(), String> {
        let incoming = message.record();
        self.messages += 1;
        self.bytes += incoming.value.map_or(0, <[u8]>::len);
        let partition = incoming.partition;
        self.held.entry(partition).or_default().push(message);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.messages == 0
    }

    fn holds(&self, (_, partition): Place) -> bool {
        self.held.contains_key(&partition)
    }

    fn is_full(&self) -> bool {
        self.bytes >= K::FULL_BYTES || self.messages >= K::FULL_MESSAGES
    }

    fn forget(&mut self, (_, partition): Place) {
        for message in self.held.remove(&partition).unwrap_or_default() {
            self.messages -= 1;
            self.bytes -= message.record().value.map_or(0, <[u8]>::len);
        }
    }

    async fn flush<C: Connection>(
        &mut self,
        link: &mut Link<C>,
        places: &mut Places,
    ) -> Result<Flushed, FlushError> {
        let (batches, halted) = self.batches(places);
        let mut flushed = match &batches[..] {
            [] => Flushed::default(),
            batches => K::flush(link, batches).await?,
        };
        flushed.halted = halted;
        flushed.stored = batches
            .iter()
            .map(|batch| (batch.place, self.advance_of(batch, &flushed)))
            .collect();
        let read: usize = batches.iter().map(|batch| batch.values.len()).sum();
        let held = |batch: &Batch<'_, '_, _>| self.held.get(&batch.place.1).map_or(0, Vec::len);
        let messages: usize = batches.iter().map(held).sum();
        drop(batches);
        for (place, advance) in &flushed.stored {
            places.stored(*place, advance.next_offset);
        }
        flushed.messages = messages as u64;
        flushed.unreadable = (messages - read) as u64;
        self.clear();
        Ok(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_in_the_books_goes_to_its_partition() {
        let flushed = Flushed {
            differences: vec![LedgerDifference {
                topic: "process-observations".to_owned(),
                partition: 3,
                snapshots_unaccounted: 1,
                snapshots_missing: -2,
                lines_missing: 5,
                lines_rejected_missing: 7,
            }],
            ..Flushed::default()
        };
        assert_eq!(books(&flushed, 3), [1, -2, 5, 7]);
        assert_eq!(books(&flushed, 2), [0; 4]);
    }
}
