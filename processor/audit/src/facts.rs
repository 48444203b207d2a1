//! What is known before anything is folded: settings, and how far each lane has come.

use crate::stored::StoredLedger;
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::pipeline::{ClosedThrough, Progress};
use rollcall_domain::{Grain, GroupingSet, Timestamp};
use std::collections::BTreeMap;

/// The rules that records were accepted by, as the pipeline's settings have them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditConfig {
    /// Partitions of the raw topic.
    pub raw_partitions: i32,
    /// Partitions of the topics of rollup updates.
    pub rollup_partitions: i32,
    /// The raw topic's full name.
    pub source_topic: String,
    /// A clock may be this far ahead of the broker's.
    pub future_tolerance_us: i64,
    /// How old a snapshot may be when it arrives.
    pub acceptance_us: i64,
    /// The largest message of normalized snapshots.
    pub message_bytes_max: usize,
    /// Differences that are kept as examples.
    pub examples: usize,
}

/// How far the details of one raw partition are stored, in raw offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DetailsReach {
    /// Nothing is stored yet.
    Nothing,
    /// Everything accepted up to this raw offset, itself included: what the last stored message says of itself.
    Through(i64),
    /// Everything accepted among so many first records of the partition: that message is gone, and the ledger says
    /// how many records were read up to it.
    FirstRecords(i64),
    /// That message is gone, and so are the partition's first records: nothing is expected beyond the last row.
    LastRow,
}

/// How far the dead letters of one raw partition are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LettersReach {
    /// Nothing is stored yet.
    Nothing,
    /// Every letter up to and with this one.
    Through {
        /// The raw record's offset.
        offset: i64,
        /// The rejected line; `None`: the whole record.
        line: Option<i64>,
    },
    /// The last stored message is gone: nothing is expected beyond the last row.
    LastRow,
}

/// What a row of `rollup_progress` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredProgress {
    /// Whose updates.
    pub grouping_set: GroupingSet,
    /// The partition of its updates topic.
    pub partition: i32,
    /// What the stored rows contain.
    pub progress: Progress,
}

/// What retention has dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Horizons {
    /// Snapshots and processes with an earlier append time are gone.
    pub details: Timestamp,
    /// Rejected records with an earlier append time are gone.
    pub rejected: Timestamp,
    /// Rollups whose window starts earlier are gone, by grouping set and grain.
    pub rollups: [[Timestamp; 3]; 3],
}

impl Default for Horizons {
    fn default() -> Self {
        Self {
            details: Timestamp::MIN,
            rejected: Timestamp::MIN,
            rollups: [[Timestamp::MIN; 3]; 3],
        }
    }
}

/// All of it, as of one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Per raw partition.
    pub details: Vec<DetailsReach>,
    /// Per raw partition.
    pub letters: Vec<LettersReach>,
    /// Per raw partition, where there is a row.
    pub ledger: BTreeMap<i32, StoredLedger>,
    /// Every row of `rollup_progress`.
    pub progress: Vec<StoredProgress>,
    /// What the message that ends the last flush of each partition of rollups says, where it is still there.
    pub published: Vec<StoredProgress>,
    /// What retention has dropped.
    pub horizons: Horizons,
    /// Per raw partition: the first offset that is still there.
    pub raw_begin: Vec<i64>,
    /// Per raw partition: the end offset.
    pub raw_end: Vec<i64>,
    /// Per raw partition, where it is known from elsewhere: nothing that comes from below this offset waits to be stored, and
    /// what is not in the tables then will never be.
    pub settled: Vec<i64>,
    /// Rows of `process_observations` whose snapshot is not there: snapshot number and rows.
    pub orphans: Vec<(i64, i64)>,
}

impl Facts {
    /// What is settled of `partition`: what comes from below is stored, or lost.
    pub(crate) fn settled(&self, partition: i32) -> i64 {
        let settled = self.settled.get(partition as usize);
        settled.copied().unwrap_or(0)
    }

    /// Raw records from which nothing in the tables can come yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let of = |(partition, end): (i32, &i64)| end - self.raw_needed(partition);
        (0..).zip(&self.raw_end).map(of).sum::<i64>().unsigned_abs()
    }

    /// The first raw offset of `partition` that nothing in the tables can come from.
    #[must_use]
    pub fn raw_needed(&self, partition: i32) -> i64 {
        let place = partition as usize;
        let end = self.raw_end.get(place).copied().unwrap_or(0);
        let details = match self.details.get(place) {
            Some(DetailsReach::Through(offset)) => offset + 1,
            Some(DetailsReach::FirstRecords(_) | DetailsReach::LastRow) => end,
            Some(DetailsReach::Nothing) | None => 0,
        };
        let letters = match self.letters.get(place) {
            Some(LettersReach::Through { offset, .. }) => offset + 1,
            Some(LettersReach::LastRow) => end,
            Some(LettersReach::Nothing) | None => 0,
        };
        details
            .max(letters)
            .max(self.folded_max(partition))
            .max(self.settled(partition))
            .min(end)
    }

    /// The largest folded offset of a raw partition over all partitions of rollups.
    #[must_use]
    pub fn folded_max(&self, partition: i32) -> i64 {
        self.progress
            .iter()
            .flat_map(|stored| &stored.progress.folded)
            .filter(|folded| folded.partition == partition)
            .map(|folded| folded.offset)
            .max()
            .unwrap_or(-1)
    }
}

/// The vectors by grouping set and partition, for quick look-ups.
#[derive(Clone, Debug)]
pub(crate) struct Vectors {
    /// By grouping set, then partition; `None` where nothing was ever flushed.
    by_set: [Vec<Option<Vector>>; 3],
}

/// What one partition of rollups contains.
#[derive(Clone, Debug)]
pub(crate) struct Vector {
    /// Per raw partition: every offset below is folded.
    folded: Vec<i64>,
    /// Per grain that is kept.
    closed: [Option<ClosedThrough>; 3],
}

impl Vectors {
    pub(crate) fn new(config: &AuditConfig, facts: &Facts) -> Self {
        let none = vec![None; config.rollup_partitions.max(1) as usize];
        let mut by_set = [none.clone(), none.clone(), none];
        for stored in &facts.progress {
            let partitions = &mut by_set[stored.grouping_set as usize];
            if let Some(place) = partitions.get_mut(stored.partition as usize) {
                *place = Some(Vector::new(config, stored));
            }
        }
        Self { by_set }
    }

    pub(crate) fn of(&self, set: GroupingSet, partition: i32) -> Option<&Vector> {
        self.by_set[set as usize].get(partition as usize)?.as_ref()
    }

    /// Partitions of each updates topic.
    pub(crate) fn partitions(&self) -> i32 {
        self.by_set[0].len() as i32
    }

    /// Whether any partition of a grouping set has folded a raw record.
    pub(crate) fn any_holds(&self, set: GroupingSet, source: SourceOffset) -> bool {
        let mut vectors = self.by_set[set as usize].iter().flatten();
        vectors.any(|vector| vector.holds(source.partition, source.offset))
    }
}

impl Vector {
    fn new(config: &AuditConfig, stored: &StoredProgress) -> Self {
        let mut folded = vec![-1; config.raw_partitions.max(0) as usize];
        for at in &stored.progress.folded {
            if let Some(place) = folded.get_mut(at.partition as usize) {
                *place = at.offset;
            }
        }
        let mut closed = [None; 3];
        for grain in &stored.progress.closed_through {
            if grain.grouping_set == stored.grouping_set {
                closed[grain.grain as usize] = Some(*grain);
            }
        }
        Self { folded, closed }
    }

    pub(crate) fn holds(&self, partition: i32, offset: i64) -> bool {
        self.folded
            .get(partition as usize)
            .is_some_and(|folded| offset < *folded)
    }

    /// What is known of a grain; `None` where it is not kept.
    pub(crate) fn grain(&self, grain: Grain) -> Option<&ClosedThrough> {
        self.closed[grain as usize].as_ref()
    }
}
