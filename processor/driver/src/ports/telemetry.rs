//! What tasks tell those who watch them. Nothing is asked back.

use super::LedgerDifference;
use crate::sink::Flushed;
use rollcall_engine::task::{CommitOutcome, LostReason};
use rollcall_stages::Stage;

/// One task's condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TaskStatus {
    /// Claiming or restoring.
    Starting,
    /// At work.
    Running,
    /// Waiting to claim again, and why.
    Waiting(String),
    /// Stopped until a person helps, and why.
    Halted(String),
}

impl TaskStatus {
    /// The words of all conditions, for metrics.
    pub const ALL: [&'static str; 4] = ["starting", "running", "waiting", "halted"];

    /// Its word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            TaskStatus::Starting => "starting",
            TaskStatus::Running => "running",
            TaskStatus::Waiting(_) => "waiting",
            TaskStatus::Halted(_) => "halted",
        }
    }

    /// Why it is so, where that needs telling.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            TaskStatus::Starting | TaskStatus::Running => None,
            TaskStatus::Waiting(why) | TaskStatus::Halted(why) => Some(why),
        }
    }
}

/// Who is told.
pub trait Telemetry {
    /// See [`TaskMeter`].
    type Meter: TaskMeter;
    /// See [`LaneMeter`].
    type LaneMeter: LaneMeter;

    /// The group has taken this process in.
    fn joined(&self, stage: &'static str);
    /// The group has thrown it out.
    fn left(&self, stage: &'static str);
    /// It is ending.
    fn stopping(&self);
    /// A task's condition.
    fn status(&self, stage: &'static str, partition: i32, status: TaskStatus);
    /// A task is no longer here.
    fn ended(&self, stage: &'static str, partition: i32);
    /// A task has dropped its state.
    fn lost(&self, stage: &'static str, partition: i32, reason: LostReason);
    /// A claim begins.
    fn meter(&self, stage: &'static str, partition: i32) -> Self::Meter;
    /// A lane of SINK begins.
    fn lane_meter(&self, lane: &'static str) -> Self::LaneMeter;
}

/// What a task tells of one claim: once per claim and once per transaction, never per record.
pub trait TaskMeter {
    /// What a sealed transaction holds, taken before its commit: a task that closes drops its logic with it.
    type Sealed;

    /// A record of a state topic was read.
    fn restored_record(&mut self);
    /// The state is whole, and input is read from here on.
    fn runs(&mut self, stage: Option<&impl Stage>, topic: &str, next_offset: i64);
    /// A record was handed to the task.
    fn received(&mut self, timestamp_us: i64);
    /// What is to be committed now: the next input offset, and the topic of each record.
    fn sealed(
        &self,
        stage: Option<&impl Stage>,
        next_offset: i64,
        topics: impl Iterator<Item = usize>,
    ) -> Option<Self::Sealed>;
    /// It is committed.
    fn committed(&mut self, sealed: Self::Sealed, took_us: i64);
    /// After a commit: what the logic counts only then.
    fn counted(&mut self, stage: Option<&impl Stage>);
    /// It did not commit.
    fn not_committed(&self, outcome: CommitOutcome);
}

/// How far a lane of SINK has come in one partition; `None` leaves what was known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Advance {
    /// Everything below this offset is stored.
    pub next_offset: i64,
    /// Nothing waits below this offset: there are only markers of transactions since `next_offset`, if it is larger.
    pub passed_offset: i64,
    /// The log's time of the last record below it, or a time before that.
    pub reached_us: Option<i64>,
    /// The stage time of what is stored.
    pub stage_time_us: Option<i64>,
    /// What the books lack, in the order of [`LedgerDifference`]'s fields.
    pub books: Option<[i64; 4]>,
}

impl LedgerDifference {
    /// What is lacking, for [`Advance::books`].
    #[must_use]
    pub fn lacking(&self) -> [i64; 4] {
        [
            self.snapshots_unaccounted,
            self.snapshots_missing,
            self.lines_missing,
            self.lines_rejected_missing,
        ]
    }
}

/// A flush that is not known to be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlushOutcome {
    /// Another sink has claimed some of its partitions.
    Fenced,
    /// It was rolled back.
    Failed,
    /// The next claim will tell.
    Unknown,
}

impl FlushOutcome {
    /// Its word, for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            FlushOutcome::Fenced => "fenced",
            FlushOutcome::Failed => "failed",
            FlushOutcome::Unknown => "unknown",
        }
    }
}

/// What a lane of SINK tells: once per flush, never per row. A place is a part of SINK and a partition of its input.
pub trait LaneMeter {
    /// A place was claimed, and goes on from this offset of its topic.
    fn claimed(&self, place: (&'static str, i32), topic: &str, next_offset: i64);
    /// A place has come further.
    fn advanced(&self, place: (&'static str, i32), advance: Advance);
    /// A flush is stored.
    fn flushed(&self, flushed: &Flushed, took_us: i64);
    /// A flush is not stored, as far as is known.
    fn flush_failed(&self, outcome: FlushOutcome);
    /// Another sink has claimed a place.
    fn fenced(&self, place: (&'static str, i32));
}
