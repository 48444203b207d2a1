//! What the stages say to each other and remember: partial rollups, updates, state and dead letters.

use crate::observation::{SourceOffset, TaskCounts};
use crate::process::CreationTime;
use crate::rejection::{LineReason, RejectionReason};
use crate::rollup::{Accumulator, GroupingSet, RollupKey};
use crate::snapshot::SnapshotId;
use crate::time::Timestamp;
use crate::window::{Grain, Window};
use std::borrow::Cow;

/// One key's contributions within one window of its grouping set's finest grain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partial<'a> {
    /// What it is of.
    pub key: RollupKey<'a>,
    /// A window of the grouping set's finest grain.
    pub window: Window,
    /// The contributions.
    pub accumulator: Accumulator,
}

/// A batch of partial rollups from one NORMALIZE task to one partition of `rollup-partials`; perhaps empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RollupPartials<'a> {
    /// The raw partition that the task reads.
    pub source_partition: i32,
    /// Every raw offset below this one is folded into this batch or one before it.
    pub next_offset: i64,
    /// The task's stage time.
    pub stage_time: Timestamp,
    /// Further batches of the same transaction follow in this partition: `next_offset` holds after the last.
    pub more: bool,
    /// The partials.
    pub partials: Vec<Partial<'a>>,
}

/// How a rollup's value is to be taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UpdateKind {
    /// The value so far of a window that is still open; replaces.
    Update,
    /// The value of a window that has just closed; replaces.
    Closed,
    /// Late contributions to a closed window; merges.
    Correction,
}

impl UpdateKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            UpdateKind::Update => "update",
            UpdateKind::Closed => "closed",
            UpdateKind::Correction => "correction",
        }
    }
}

/// A message of `rollup-updates-*`.
// Nearly every message is a value: boxing it would cost an allocation each to save moving the rare PROGRESS.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RollupUpdate<'a> {
    /// A rollup's value.
    Value {
        /// How to take it.
        kind: UpdateKind,
        /// What it is of.
        key: RollupKey<'a>,
        /// Its window.
        window: Window,
        /// The value.
        accumulator: Accumulator,
    },
    /// Ends each transaction: all messages before it hold what is folded up to these offsets, and nothing more.
    Progress(Progress),
}

/// How far a ROLLUP task has folded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The task's stage time; [`Timestamp::MIN`] until every upstream partition has reported.
    pub stage_time: Timestamp,
    /// Per raw partition, in ascending order: every offset below is folded.
    pub folded: Vec<SourceOffset>,
    /// Windows of these grains that end at or before these times are closed.
    pub closed_through: Vec<ClosedThrough>,
}

/// Through what time the windows of one grain are closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClosedThrough {
    /// The grouping set.
    pub grouping_set: GroupingSet,
    /// The grain.
    pub grain: Grain,
    /// Windows that end at or before this time are closed.
    pub through: Timestamp,
    /// Windows that start before this time are not counted in this grain, for it was configured later.
    /// [`Timestamp::MIN`] for a grain that was there from the beginning.
    pub counted_from: Timestamp,
}

/// A value of `state-normalize`, under the key `<machine id>` or `<machine id>/ids/<slot>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NormalizeState {
    /// The machine's latest snapshot, for CPU deltas.
    Cpu(MachineCpu),
    /// Some of its latest snapshot ids.
    RecentIds(RecentIds),
}

/// The CPU times of a machine's latest snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineCpu {
    /// That snapshot's event time.
    pub event_at: Timestamp,
    /// Its processes whose CPU time is known, by pid.
    pub processes: Vec<ProcessCpu>,
}

/// One process' CPU time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessCpu {
    /// Its pid.
    pub pid: i32,
    /// Fixed hash of its executable's name.
    pub name_hash: u64,
    /// When it began.
    pub created_at: Option<CreationTime>,
    /// Its cumulative CPU time in microseconds.
    pub cpu_time_us: i64,
}

/// A run of at most [`RecentIds::CAPACITY`] accepted snapshot ids of one machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecentIds {
    /// How many ids the machine had accepted before the first of these.
    pub first: i64,
    /// 64-bit hashes of the ids, oldest first.
    pub hashes: Vec<u64>,
}

impl RecentIds {
    /// Ids in a run.
    pub const CAPACITY: usize = 64;
    /// A repeated id is recognized within this many of its machine's latest accepted ids.
    pub const REMEMBERED: usize = 1024;
    /// Runs kept: one more than hold the remembered ids, for the oldest is left while the newest fills.
    pub const SLOTS: usize = Self::REMEMBERED / Self::CAPACITY + 1;
}

/// A value of `task-state`: the only word on where a task goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskState {
    /// Id of the deployment that it belongs to.
    pub deployment: String,
    /// The stage's name.
    pub stage: String,
    /// The task's input partition.
    pub partition: i32,
    /// How many partitions the input topic had.
    pub input_partitions: i32,
    /// How many transactions the task has committed, this one included.
    pub sequence: i64,
    /// The next input offset.
    pub next_offset: i64,
    /// The task's stage time; [`Timestamp::MIN`] where there is none yet.
    pub stage_time: Timestamp,
    /// ROLLUP: what each upstream partition has reported, in ascending order.
    pub upstream: Vec<Upstream>,
    /// ROLLUP: through what times windows are closed.
    pub closed_through: Vec<ClosedThrough>,
    /// NORMALIZE: cumulative counts.
    pub counts: TaskCounts,
}

/// What one upstream partition has reported to a ROLLUP task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upstream {
    /// The raw partition.
    pub partition: i32,
    /// Its stage time.
    pub stage_time: Timestamp,
    /// Every raw offset below is folded.
    pub next_offset: i64,
}

/// A value of `state-rollup`: one open window's value, under the key
/// `<grouping set>/<grain>/<window start in microseconds>/<rollup key>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RollupState<'a> {
    /// What it is of.
    pub key: RollupKey<'a>,
    /// Its window.
    pub window: Window,
    /// The value so far.
    pub accumulator: Accumulator,
}

/// Why something became a dead letter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rejection {
    /// A whole raw record.
    Record(RejectionReason),
    /// One line (1 is the first) of a record whose other lines were accepted.
    Line(LineReason, i64),
}

impl Rejection {
    /// The reason's word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Rejection::Record(reason) => reason.as_str(),
            Rejection::Line(reason, _) => reason.as_str(),
        }
    }
}

/// A message of `dead-letters`: what was rejected, why, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter<'a> {
    /// Why.
    pub rejection: Rejection,
    /// What exactly was wrong, for a person.
    pub detail: Cow<'a, str>,
    /// The raw topic.
    pub source_topic: Cow<'a, str>,
    /// The raw record's place in it.
    pub source: SourceOffset,
    /// The raw record's append time.
    pub ingested_at: Timestamp,
    /// The machine, where it could be read.
    pub machine_id: Option<Cow<'a, str>>,
    /// The snapshot, where it could be read.
    pub snapshot_id: Option<SnapshotId>,
    /// The beginning of the rejected bytes.
    pub raw: Cow<'a, [u8]>,
    /// How many bytes there were.
    pub raw_length: i64,
}

/// A value of `directory-users`, under the user's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectoryUser<'a> {
    /// The user's faculty.
    pub faculty: Option<Cow<'a, str>>,
}
