//! The rollups lane: updates, coalesced per row for some seconds, one transaction per grouping set.

use super::flush::{FlushError, Link};
use super::lane::{Flushed, Lane, leave_out};
use super::places::Places;
use super::rollups::flush_rollups;
use crate::ports::{Advance, Connection, Place, Received};
use rollcall_codec::messages;
use rollcall_domain::Timestamp;
use rollcall_domain::pipeline::RollupUpdate;
use rollcall_domain::rollup::GroupingSet;
use rollcall_engine::record::TopicIndex;
use rollcall_stages::Reader;
use rollcall_stages::layout::{self, TopicLayout, updates_topic};
use rollcall_stages::sink::{FlushOffset, PendingRollups};
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows that are enough for one flush; each may hold some KiB of sketches.
const FULL_ROWS: usize = 20_000;

/// See the module.
pub(crate) struct RollupsLane {
    interval: Duration,
    reader: Reader<messages::RollupUpdate>,
    pending: Vec<(GroupingSet, PendingRollups)>,
    /// Per place: messages that wait for their transaction's end, and such that a flush would store.
    messages: BTreeMap<Place, (u64, u64)>,
    /// What flushes have stored of which nobody was told, for a later one of the same round failed.
    untold: Flushed,
}

impl RollupsLane {
    /// The lane's name.
    pub(crate) const NAME: &'static str = "sink-rollups";

    /// Holds nothing yet.
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            reader: Reader::new(),
            pending: GroupingSet::ALL
                .into_iter()
                .map(|set| (set, PendingRollups::new(set)))
                .collect(),
            messages: BTreeMap::new(),
            untold: Flushed::default(),
        }
    }

    /// A message was read; with the last one of a transaction all of it can be flushed.
    fn count(&mut self, place: Place, is_end: bool) {
        let (open, whole) = self.messages.entry(place).or_default();
        *open += 1;
        if is_end {
            *whole += std::mem::take(open);
        }
    }

    fn pending(&mut self, topic: TopicIndex) -> Option<&mut PendingRollups> {
        let found = self
            .pending
            .iter_mut()
            .find(|(set, _)| updates_topic(*set).index == topic);
        found.map(|(_, pending)| pending)
    }
}

impl<R: Received> Lane<R> for RollupsLane {
    type Message = messages::RollupUpdate;
    const NAME: &'static str = RollupsLane::NAME;

    fn topics(&self) -> Vec<TopicLayout> {
        GroupingSet::ALL.map(updates_topic).to_vec()
    }

    fn label(&self, topic: TopicIndex) -> &'static str {
        label(topic)
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn reader(&mut self) -> &mut Reader<Self::Message> {
        &mut self.reader
    }

    fn take(&mut self, message: R) -> Result<(), String> {
        let (topic, incoming) = (message.topic(), message.record());
        match self.reader.read(incoming.value, incoming.schema_header) {
            Ok(update) => {
                let is_end = matches!(update, RollupUpdate::Progress(_));
                self.count((topic, incoming.partition), is_end);
                if let Some(pending) = self.pending(topic) {
                    pending.handle_update(incoming.partition, incoming.offset, update);
                }
            }
            Err(error) => {
                let label = label(topic);
                leave_out(label, incoming.partition, incoming.offset, &error)?;
                self.untold.unreadable += 1;
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.pending.iter().all(|(_, pending)| pending.is_empty())
    }

    fn holds(&self, place: Place) -> bool {
        let counted = self.messages.get(&place);
        counted.is_some_and(|(open, whole)| open + whole > 0)
    }

    fn is_full(&self) -> bool {
        let rows: usize = self.pending.iter().map(|(_, pending)| pending.rows()).sum();
        rows >= FULL_ROWS
    }

    fn forget(&mut self, (topic, partition): Place) {
        self.messages.remove(&(topic, partition));
        if let Some(pending) = self.pending(topic) {
            pending.forget(partition);
        }
    }

    async fn flush<C: Connection>(
        &mut self,
        link: &mut Link<C>,
        places: &mut Places,
    ) -> Result<Flushed, FlushError> {
        for (set, pending) in &mut self.pending {
            if pending.is_empty() {
                continue;
            }
            let topic = updates_topic(*set).index;
            let flush = pending.flush();
            let advances: Vec<_> = flush
                .offsets
                .iter()
                .filter_map(|offset| places.advance((topic, offset.partition), offset.next_offset))
                .collect();
            let flushed = flush_rollups(link, &flush, &advances).await?;
            let offsets = flush.offsets;
            pending.flushed();
            let mut stored = Vec::with_capacity(offsets.len());
            let mut messages = 0;
            for offset in &offsets {
                let place = (topic, offset.partition);
                places.stored(place, offset.next_offset);
                stored.push((place, advance_of(offset)));
                let counted = self.messages.get_mut(&place);
                messages += counted.map_or(0, |(_, whole)| std::mem::take(whole));
            }
            self.untold.add(Flushed {
                messages,
                rows: flushed.rows,
                corrected: flushed.merged,
                expired: flushed.expired,
                stored,
                ..Flushed::default()
            });
        }
        Ok(std::mem::take(&mut self.untold))
    }
}

/// What readiness and metrics call a topic's part of the lane.
fn label(topic: TopicIndex) -> &'static str {
    match topic {
        t if t == layout::UPDATES_USER.index => "sink-rollups-user",
        t if t == layout::UPDATES_FACULTY.index => "sink-rollups-faculty",
        _ => "sink-rollups-application",
    }
}

/// How far a partition has come: the stage time is when everything below was in ROLLUP's hands.
fn advance_of(offset: &FlushOffset) -> Advance {
    let stage_time = offset.progress.stage_time;
    let stage_time_us = (stage_time != Timestamp::MIN).then(|| stage_time.as_micros());
    Advance {
        next_offset: offset.next_offset,
        reached_us: stage_time_us,
        stage_time_us,
        ..Advance::default()
    }
}
