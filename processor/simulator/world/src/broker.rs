//! A model of Kafka: logs, transactions with their markers, producer epochs, compaction, groups.
//!
//! It holds what brokers agree on; that requests and answers get lost on the way is the network's affair ([`crate::ports`]).
//!
//! ```text
//! transaction: open ─ end ─► ending (decided; markers are written one by one) ─► ended
//! ```
//!
//! - A claim raises the epoch; an open transaction is aborted then, and until all of a decided one's markers are written,
//!   the coordinator answers "concurrent transactions".
//! - The last stable offset of a partition is the first offset of a transaction whose marker is not there yet.
//! - Markers take offsets. Compaction leaves offsets as they are, and nothing above the last stable offset is compacted.

use rollcall_driver::ports::Place;
use rollcall_engine::record::TopicIndex;
use rollcall_simulator::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A transaction's number.
pub(crate) type TxnId = usize;
/// A record's key or value.
pub(crate) type Bytes = Option<Rc<[u8]>>;

/// What stands at an offset.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) offset: i64,
    pub(crate) timestamp_us: i64,
    pub(crate) txn: Option<TxnId>,
    /// `None`: a marker.
    pub(crate) record: Option<(Bytes, Bytes)>,
    /// Of a tombstone that was compacted once: until when it stays.
    stays_until_us: Option<i64>,
}

/// A partition.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Entry>,
    /// The first offset.
    pub(crate) begin: i64,
    /// The offset after the last.
    pub(crate) end: i64,
}

impl Log {
    fn append(&mut self, timestamp_us: i64, txn: Option<TxnId>, record: Option<(Bytes, Bytes)>) {
        let offset = self.end;
        self.entries.push(Entry {
            offset,
            timestamp_us,
            txn,
            record,
            stays_until_us: None,
        });
        self.end += 1;
    }

    /// The entries at and above an offset.
    pub(crate) fn from(&self, offset: i64) -> &[Entry] {
        let at = self.entries.partition_point(|entry| entry.offset < offset);
        &self.entries[at..]
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum TxnState {
    Open,
    Ending { commit: bool },
    Ended { commit: bool },
}

/// What a transaction has done in one partition.
#[derive(Clone, Copy, Debug)]
struct Part {
    first_offset: i64,
    is_marked: bool,
    /// The last batch that was appended: one that comes again is not.
    last_batch: u64,
    first_timestamp_us: i64,
}

#[derive(Debug)]
struct Txn {
    task: String,
    state: TxnState,
    begun_us: i64,
    parts: BTreeMap<Place, Part>,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: i64,
    txn: Option<TxnId>,
    /// How the last transaction of this epoch ended, for an end that is asked for again.
    last_end: Option<bool>,
}

/// What a coordinator or leader refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// A newer epoch is in force, or the transaction was ended by the coordinator.
    Fenced,
    /// A transaction is still being ended.
    Busy,
}

/// A cluster of one broker.
#[derive(Debug)]
pub(crate) struct Broker {
    logs: Vec<Vec<Log>>,
    producers: BTreeMap<String, Producer>,
    txns: Vec<Txn>,
    /// Those that are not ended.
    unended: BTreeSet<TxnId>,
    /// How long a transaction may stay open.
    txn_timeout_us: i64,
}

impl Broker {
    /// With so many partitions of each topic.
    pub(crate) fn new(partitions: &[i32], txn_timeout_us: i64) -> Self {
        let logs = |count: &i32| (0..*count).map(|_| Log::default()).collect();
        Self {
            logs: partitions.iter().map(logs).collect(),
            producers: BTreeMap::new(),
            txns: Vec::new(),
            unended: BTreeSet::new(),
            txn_timeout_us,
        }
    }

    pub(crate) fn log(&self, (topic, partition): Place) -> &Log {
        &self.logs[usize::from(topic.0)][partition as usize]
    }

    fn log_mut(&mut self, (topic, partition): Place) -> &mut Log {
        &mut self.logs[usize::from(topic.0)][partition as usize]
    }

    /// All partitions of a topic.
    pub(crate) fn partitions(&self, topic: TopicIndex) -> impl Iterator<Item = Place> + use<> {
        let count = self.logs[usize::from(topic.0)].len() as i32;
        (0..count).map(move |partition| (topic, partition))
    }

    /// Below this, all is decided and marked.
    pub(crate) fn last_stable_offset(&self, place: Place) -> i64 {
        let unmarked = |txn: &TxnId| {
            let part = self.txns[*txn].parts.get(&place)?;
            (!part.is_marked).then_some(part.first_offset)
        };
        let first = self.unended.iter().filter_map(unmarked).min();
        first.unwrap_or(self.log(place).end)
    }

    /// Whether who reads committed records sees this one.
    pub(crate) fn is_committed(&self, entry: &Entry) -> bool {
        entry.txn.is_none_or(|txn| {
            let state = self.txns[txn].state;
            matches!(
                state,
                TxnState::Ending { commit: true } | TxnState::Ended { commit: true }
            )
        })
    }

    /// Appends a record outside of transactions.
    pub(crate) fn append(&mut self, place: Place, now_us: i64, key: Bytes, value: Bytes) -> i64 {
        let log = self.log_mut(place);
        log.append(now_us, None, Some((key, value)));
        log.end - 1
    }

    /// A claim: gives out the next epoch, once nothing of the one before is left undecided or unmarked.
    pub(crate) fn claim(&mut self, task: &str) -> Result<i64, Refusal> {
        let producer = self.producers.entry(task.to_owned()).or_default();
        if let Some(txn) = producer.txn {
            // The abort fences already: who held the epoch before can't end its transaction any more.
            if self.txns[txn].state == TxnState::Open {
                producer.epoch += 1;
                self.txns[txn].state = TxnState::Ending { commit: false };
            }
            return Err(Refusal::Busy);
        }
        producer.epoch += 1;
        producer.last_end = None;
        Ok(producer.epoch)
    }

    /// Appends a batch to a partition in the producer's transaction, which begins with it if need be; the append time of
    /// the first batch there. A batch that was appended before is not appended again.
    pub(crate) fn produce(
        &mut self,
        task: &str,
        epoch: i64,
        (place, batch): (Place, u64),
        now_us: i64,
        records: &[(Bytes, Bytes)],
    ) -> Result<i64, Refusal> {
        let producer = self.producers.get_mut(task).ok_or(Refusal::Fenced)?;
        if producer.epoch != epoch {
            return Err(Refusal::Fenced);
        }
        let txn = match producer.txn {
            None => {
                let txn = self.txns.len();
                self.txns.push(Txn {
                    task: task.to_owned(),
                    state: TxnState::Open,
                    begun_us: now_us,
                    parts: BTreeMap::new(),
                });
                self.unended.insert(txn);
                producer.txn = Some(txn);
                txn
            }
            Some(txn) if self.txns[txn].state == TxnState::Open => txn,
            // The one before is still being marked.
            Some(_) => return Err(Refusal::Busy),
        };
        let log = &mut self.logs[usize::from(place.0.0)][place.1 as usize];
        let part = self.txns[txn].parts.entry(place).or_insert(Part {
            first_offset: log.end,
            is_marked: false,
            last_batch: 0,
            first_timestamp_us: now_us,
        });
        if batch > part.last_batch {
            part.last_batch = batch;
            for record in records {
                log.append(now_us, Some(txn), Some(record.clone()));
            }
        }
        Ok(part.first_timestamp_us)
    }

    /// Decides the producer's transaction. Asked again, it says the same.
    pub(crate) fn end(&mut self, task: &str, epoch: i64, commit: bool) -> Result<(), Refusal> {
        let producer = self.producers.get_mut(task).ok_or(Refusal::Fenced)?;
        if producer.epoch != epoch {
            return Err(Refusal::Fenced);
        }
        match producer.txn {
            Some(txn) if self.txns[txn].state == TxnState::Open => {
                self.txns[txn].state = TxnState::Ending { commit };
                producer.last_end = Some(commit);
                Ok(())
            }
            _ if producer.last_end == Some(commit) => Ok(()),
            _ => Err(Refusal::Fenced),
        }
    }

    /// Writes one marker that is due, if any is; aborts what has been open for too long.
    pub(crate) fn housekeep(&mut self, now_us: i64, random: &mut Random) {
        let open = |txn: &&TxnId| {
            let txn = &self.txns[**txn];
            txn.state == TxnState::Open && now_us - txn.begun_us > self.txn_timeout_us
        };
        if let Some(&txn) = self.unended.iter().find(open) {
            self.txns[txn].state = TxnState::Ending { commit: false };
            if let Some(producer) = self.producers.get_mut(&self.txns[txn].task) {
                producer.epoch += 1;
            }
        }
        let ending = |txn: &&TxnId| matches!(self.txns[**txn].state, TxnState::Ending { .. });
        let ending: Vec<TxnId> = self.unended.iter().filter(ending).copied().collect();
        if ending.is_empty() {
            return;
        }
        let txn = *random.pick(&ending);
        let unmarked = |(_, part): &(&Place, &Part)| !part.is_marked;
        let parts = self.txns[txn].parts.iter().filter(unmarked);
        let places: Vec<Place> = parts.map(|(place, _)| *place).collect();
        if !places.is_empty() {
            let place = *random.pick(&places);
            self.log_mut(place).append(now_us, Some(txn), None);
            if let Some(part) = self.txns[txn].parts.get_mut(&place) {
                part.is_marked = true;
            }
        }
        if places.len() <= 1 {
            let ended = &mut self.txns[txn];
            if let TxnState::Ending { commit } = ended.state {
                ended.state = TxnState::Ended { commit };
            }
            if let Some(producer) = self.producers.get_mut(&ended.task) {
                producer.txn = None;
            }
            self.unended.remove(&txn);
        }
    }

    /// Whether any transaction is not ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.unended.is_empty()
    }

    /// Whether any transaction that was decided lacks markers.
    pub(crate) fn is_ending(&self) -> bool {
        let state = |txn: &TxnId| self.txns[*txn].state;
        let mut states = self.unended.iter().map(state);
        states.any(|state| matches!(state, TxnState::Ending { .. }))
    }

    /// Removes what stands before an offset, as retention does.
    pub(crate) fn trim(&mut self, place: Place, before: i64) {
        let log = self.log_mut(place);
        log.begin = before.clamp(log.begin, log.end);
        let begin = log.begin;
        log.entries.retain(|entry| entry.offset >= begin);
    }

    /// Compacts a partition: of each key, what stands below the last stable offset keeps only its last committed record;
    /// a tombstone stays for `tombstones_us` after the first compaction that it saw, so that who has read the value before
    /// it has that long to read it too. The last entries are the active segment, which stays.
    pub(crate) fn compact(&mut self, place: Place, now_us: i64, active: usize, tombstones_us: i64) {
        let stable = self.last_stable_offset(place);
        let log = self.log(place);
        let head = log.entries.len().saturating_sub(active);
        let head = head.min(log.entries.partition_point(|entry| entry.offset < stable));
        let mut seen: BTreeSet<&Rc<[u8]>> = BTreeSet::new();
        let mut kept: Vec<bool> = Vec::with_capacity(head);
        for entry in log.entries[..head].iter().rev() {
            kept.push(match &entry.record {
                // Markers stay as long as anything of theirs may: for ever, here.
                None => true,
                Some((Some(key), value)) if self.is_committed(entry) => {
                    let is_over = entry
                        .stays_until_us
                        .is_some_and(|until_us| until_us < now_us);
                    seen.insert(key) && !(is_over && value.is_none())
                }
                Some(_) => false,
            });
        }
        kept.reverse();
        let mut kept = kept.into_iter();
        let log = self.log_mut(place);
        for entry in &mut log.entries[..head] {
            if matches!(entry.record, Some((_, None))) {
                entry.stays_until_us.get_or_insert(now_us + tombstones_us);
            }
        }
        log.entries.retain(|_| kept.next().unwrap_or(true));
    }
}
