//! What differs between SINK's lanes: what they hold, when they flush it, and as what.

use super::flush::{FlushError, Link};
use super::places::Places;
use crate::ports::{Advance, Connection, LedgerDifference, Place, Received};
use rollcall_codec::{DecodeError, Message};
use rollcall_engine::record::TopicIndex;
use rollcall_stages::Reader;
use rollcall_stages::layout::TopicLayout;
use std::time::Duration;

/// A lane, which holds such records.
pub(crate) trait Lane<R: Received> {
    /// What its topics hold.
    type Message: Message;
    /// Its name: of its group, its client, its connection.
    const NAME: &'static str;

    /// The topics that it reads.
    fn topics(&self) -> Vec<TopicLayout>;
    /// What readiness calls its work on a topic.
    fn label(&self, topic: TopicIndex) -> &'static str;
    /// How long what it holds waits for the next flush.
    fn interval(&self) -> Duration;

    /// Reads messages, once it has learnt their schemas.
    fn reader(&mut self) -> &mut Reader<Self::Message>;

    /// Holds a message. `Err`: why its place has to halt before it.
    fn take(&mut self, message: R) -> Result<(), String>;
    /// Whether there is anything to flush.
    fn is_empty(&self) -> bool;
    /// Whether it holds anything of a place, be it the beginning of what a later flush stores.
    fn holds(&self, place: Place) -> bool;
    /// Whether it must be flushed before more is taken.
    fn is_full(&self) -> bool;
    /// Forgets what it holds of a place.
    fn forget(&mut self, place: Place);

    /// Writes what it holds and tells `places` what is stored then.
    async fn flush<C: Connection>(
        &mut self,
        link: &mut Link<C>,
        places: &mut Places,
    ) -> Result<Flushed, FlushError>;
}

/// What a flush did, for metrics and the log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Flushed {
    /// Messages that it held.
    pub messages: u64,
    /// Of these, how many could not be read and were left out.
    pub unreadable: u64,
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
    /// How far each place has come.
    pub stored: Vec<(Place, Advance)>,
    /// Places that have to halt, of which nothing was stored, and why.
    pub halted: Vec<(Place, String)>,
    /// The event times of the snapshots that it stored, in microseconds.
    pub event_times_us: Vec<i64>,
}

impl Flushed {
    /// Adds what another flush did.
    pub(crate) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.unreadable += other.unreadable;
        self.rows += other.rows;
        self.corrected += other.corrected;
        self.expired += other.expired;
        self.machines_moved += other.machines_moved;
        self.differences.extend(other.differences);
        self.stored.extend(other.stored);
        self.halted.extend(other.halted);
        self.event_times_us.extend(other.event_times_us);
    }
}

/// A message of one of our own topics that can't be read. One that is none of our records is left out, for somebody else
/// has written it. `Err`: it is ours, and says what only a newer version knows; without it the tables would be wrong.
pub(crate) fn leave_out(
    lane: &str,
    partition: i32,
    offset: i64,
    error: &DecodeError,
) -> Result<(), String> {
    match error {
        DecodeError::UnknownOs | DecodeError::InvalidField { .. } => Err(format!(
            "offset {offset} says what this version of rollcall does not know ({error}); upgrade it"
        )),
        _ => {
            tracing::error!(
                lane,
                partition,
                offset,
                %error,
                "a message of an internal topic can't be read and is left out: does somebody else write there?"
            );
            Ok(())
        }
    }
}
