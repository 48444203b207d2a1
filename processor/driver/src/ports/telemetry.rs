//! What tasks tell those who watch them. Nothing is asked back.

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
