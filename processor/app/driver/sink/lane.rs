//! What differs between SINK's lanes: what they hold, when they flush it, and as what.

use super::places::{Place, Places};
use crate::kafka::fetch::{Fetched, Incoming};
use crate::postgres::{FlushError, LedgerDifference, SinkConnection};
use rollcall_codec::{IncompatibleSchema, SchemaRef};
use rollcall_engine::record::TopicIndex;
use rollcall_stages::SchemaLookup;
use rollcall_stages::layout::TopicLayout;
use std::time::Duration;

/// A lane. `'f` is the life of the consumer whose messages it holds.
pub(super) trait Lane<'f> {
    /// Its name: of its group, its client, its connection.
    const NAME: &'static str;

    /// The topics that it reads.
    fn topics(&self) -> Vec<TopicLayout>;
    /// What readiness calls its work on a topic.
    fn label(&self, topic: TopicIndex) -> &'static str;
    /// How long what it holds waits for the next flush.
    fn interval(&self) -> Duration;

    /// The schema that must be learnt before a message can be read.
    fn schema_needed(&self, incoming: &Incoming<'_>) -> Option<SchemaRef>;
    /// Learns it.
    fn learn_schema(&mut self, schema: SchemaRef, lookup: &SchemaLookup);
    /// Why messages of this schema can't be read by this version.
    fn incompatible(&self, incoming: &Incoming<'_>) -> Option<&IncompatibleSchema>;

    /// Holds a message.
    fn take(&mut self, topic: TopicIndex, message: Fetched<'f>);
    /// Whether there is anything to flush.
    fn is_empty(&self) -> bool;
    /// Whether it must be flushed before more is taken.
    fn is_full(&self) -> bool;
    /// Forgets what it holds of a place.
    fn forget(&mut self, place: Place);

    /// Writes what it holds and tells `places` what is stored then.
    async fn flush(
        &mut self,
        connection: &mut SinkConnection,
        places: &mut Places,
    ) -> Result<Flushed, FlushError>;
}

/// What a flush did, for metrics and the log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Flushed {
    /// Messages that it held.
    pub messages: u64,
    /// Rows that it wrote: processes, rollups or dead letters.
    pub rows: u64,
    /// Of rollups, how many were read and merged.
    pub corrected: u64,
    /// What was older than what is kept.
    pub expired: u64,
    /// Machines that were seen on another raw partition than before.
    pub machines_moved: u64,
    /// Raw partitions whose books do not balance.
    pub differences: Vec<LedgerDifference>,
    /// The largest `ingested_at` among them (details, dead letters) or the stage time (rollups), in microseconds.
    pub reached_us: Option<i64>,
}

/// A message of one of our own topics that can't be read: somebody else has written there. It is left out; the ledger
/// shows if it was needed.
pub(super) fn report_unreadable(
    lane: &str,
    partition: i32,
    offset: i64,
    error: &dyn std::fmt::Display,
) {
    tracing::error!(
        lane,
        partition,
        offset,
        %error,
        "a message of an internal topic can't be read and is left out: does somebody else write there?"
    );
}
