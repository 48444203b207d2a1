//! The rollups lane: updates, coalesced per row for some seconds, one transaction per grouping set.

use super::lane::{Flushed, Lane, report_unreadable};
use super::places::{Place, Places};
use crate::kafka::fetch::{Fetched, Incoming};
use crate::postgres::{FlushError, SinkConnection, flush_rollups};
use rollcall_codec::{IncompatibleSchema, SchemaRef, messages};
use rollcall_domain::Timestamp;
use rollcall_domain::rollup::GroupingSet;
use rollcall_engine::record::TopicIndex;
use rollcall_stages::layout::{self, TopicLayout, updates_topic};
use rollcall_stages::sink::{Flush, PendingRollups};
use rollcall_stages::{Reader, SchemaLookup};
use std::time::Duration;

/// Rows that are enough for one flush; each may hold some KiB of sketches.
const FULL_ROWS: usize = 20_000;

/// See the module.
pub(super) struct RollupsLane {
    interval: Duration,
    reader: Reader<messages::RollupUpdate>,
    pending: Vec<(GroupingSet, PendingRollups)>,
    messages: u64,
}

impl RollupsLane {
    /// Holds nothing yet.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            reader: Reader::new(),
            pending: GroupingSet::ALL
                .into_iter()
                .map(|set| (set, PendingRollups::new(set)))
                .collect(),
            messages: 0,
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

impl<'f> Lane<'f> for RollupsLane {
    const NAME: &'static str = "sink-rollups";

    fn topics(&self) -> Vec<TopicLayout> {
        GroupingSet::ALL.map(updates_topic).to_vec()
    }

    fn label(&self, topic: TopicIndex) -> &'static str {
        match topic {
            t if t == layout::UPDATES_USER.index => "sink-rollups-user",
            t if t == layout::UPDATES_FACULTY.index => "sink-rollups-faculty",
            _ => "sink-rollups-application",
        }
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn schema_needed(&self, incoming: &Incoming<'_>) -> Option<SchemaRef> {
        self.reader.needed(incoming.value, incoming.schema_header)
    }

    fn learn_schema(&mut self, schema: SchemaRef, lookup: &SchemaLookup) {
        self.reader.learn(schema, lookup);
    }

    fn incompatible(&self, incoming: &Incoming<'_>) -> Option<&IncompatibleSchema> {
        self.reader
            .incompatible(incoming.value, incoming.schema_header)
    }

    fn take(&mut self, topic: TopicIndex, message: Fetched<'f>) {
        let incoming = Incoming::of(&message);
        match self.reader.read(incoming.value, incoming.schema_header) {
            Ok(update) => {
                self.messages += 1;
                if let Some(pending) = self.pending(topic) {
                    pending.handle_update(incoming.partition, incoming.offset, update);
                }
            }
            Err(error) => {
                let label = Lane::label(self, topic);
                report_unreadable(label, incoming.partition, incoming.offset, &error);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.pending.iter().all(|(_, pending)| pending.is_empty())
    }

    fn is_full(&self) -> bool {
        let rows: usize = self.pending.iter().map(|(_, pending)| pending.rows()).sum();
        rows >= FULL_ROWS
    }

    fn forget(&mut self, (topic, partition): Place) {
        if let Some(pending) = self.pending(topic) {
            pending.forget(partition);
        }
    }

    async fn flush(
        &mut self,
        connection: &mut SinkConnection,
        places: &mut Places,
    ) -> Result<Flushed, FlushError> {
        let mut total = Flushed::default();
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
            let flushed = flush_rollups(connection, &flush, &advances).await?;
            pending.flushed();
            for offset in &flush.offsets {
                places.stored((topic, offset.partition), offset.next_offset);
            }
            total.rows += flushed.rows;
            total.corrected += flushed.merged;
            total.expired += flushed.expired;
            total.reached_us = total.reached_us.max(stage_time_us(&flush));
        }
        total.messages = std::mem::take(&mut self.messages);
        Ok(total)
    }
}

/// The earliest stage time of a flush's partitions: how far all of them have come.
fn stage_time_us(flush: &Flush) -> Option<i64> {
    let times = flush
        .offsets
        .iter()
        .map(|offset| offset.progress.stage_time);
    times
        .min()
        .filter(|time| *time != Timestamp::MIN)
        .map(Timestamp::as_micros)
}
