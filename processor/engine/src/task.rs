//! The lifecycle of one consume-transform-produce task: one stage on one input partition.
//!
//! ```text
//!                       claim        handle_claimed       poll_restored
//!            Created ──────────► Claiming ─────► Restoring ─────► Running ◄──────────────┐
//!                                   ▲  │             │            │  │ │  seal           │ committed
//!                             claim │  └──────┬──────┘            │  │ └────► Committing ┘
//!                                   │         │ lost              │  │           │    │
//!                                  Lost ◄─────┴───────────────────┘  │           │    │ revoked
//!                                   ▲                                │ revoked,  │    │
//!                                   └── aborted, fenced, unknown ────┼───────────┘    │
//!                                                                    │ with work      │
//!            Halted ◄── a person is needed, before the task leaves   ▼         seal   ▼   any outcome
//!                                                                 Draining ──────► Closing ────► Closed
//! ```
//!
//! | in state                                           | input                                  | then       |
//! |----------------------------------------------------|----------------------------------------|------------|
//! | Created, Lost                                      | `claim`                                | Claiming   |
//! | Claiming                                           | `handle_claimed`                       | Restoring  |
//! | Restoring                                          | `handle_restore_record`, `…_position`  | Restoring  |
//! | Restoring                                          | `poll_restored`, all at their ends     | Running    |
//! | Running                                            | `handle_record`, `…_input_position`    | Running    |
//! | Running, Committing, Draining, Closing             | `handle_append_time`, `…_end_offset`   | the same   |
//! | Running                                            | `seal`                                 | Committing |
//! | Draining                                           | `seal`                                 | Closing    |
//! | Committing                                         | `handle_commit`: committed             | Running    |
//! | Committing                                         | `handle_commit`: anything else         | Lost       |
//! | Closing                                            | `handle_commit`: anything              | Closed     |
//! | Claiming, Restoring, Running, Committing, Lost     | `handle_lost`, an error that passes    | Lost       |
//! | Created, Claiming, Restoring, Running, Committing, Lost | `handle_halt`, an error that needs a person | Halted |
//! | Draining, Closing                                  | any of these losses, halts and errors  | Closed     |
//! | Running, with uncommitted input                    | `handle_revoked`                       | Draining   |
//! | Committing                                         | `handle_revoked`                       | Closing    |
//! | Draining, Closing                                  | `handle_revoked`                       | the same   |
//! | every other, Running without uncommitted input too | `handle_revoked`                       | Closed     |
//! | every                                              | `handle_abandoned`                     | Closed     |
//!
//! Whatever is not in the table is refused with [`TaskError::Refused`] and changes nothing. Leaving the states
//! with a processor (to Lost, Halted, Closed) drops it with all its state, the batch and what was known of the
//! input: a new claim brings a new processor. So nothing of an unknown outcome can survive.
//!
//! Order of calls by the shell while Running: [`Task::poll_action`] says what to do next; after each
//! `handle_…` it is asked again. `now_us` is elapsed time on a clock that never goes back.
//!
//! It must not know how a claim is made, what a transaction is to the log, or how long to wait before the
//! next claim: backoff needs randomness, which is the shell's.

mod level;
mod restore;
mod state;
mod step;

use crate::batch::Batch;
use crate::limits::{
    DEFAULT_BATCH_BYTES, DEFAULT_BATCH_RECORDS, DEFAULT_COMMIT_INTERVAL_US,
    DEFAULT_IDLE_COMMIT_INTERVAL_US, DEFAULT_RESTORE_NO_PROGRESS_US,
};
use crate::processor::Processor;
use crate::record::{InputRecord, TopicIndex};
use core::fmt::{Debug, Display};
use level::Level;
use restore::Restore;
pub use restore::{BadTargets, RestoreStalled, RestoreTarget};
use rollcall_defects::{Defect, is_on};
pub use state::{Input, State};

/// The settings of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskConfig {
    /// The longest time that input waits for its commit, in microseconds.
    pub commit_interval_us: i64,
    /// How often an idle task commits, in microseconds.
    pub idle_commit_interval_us: i64,
    /// At how many bytes to write a transaction is full. The record that fills it may go beyond.
    pub max_batch_bytes: usize,
    /// At how many records, read or to be written, a transaction is full.
    pub max_batch_records: usize,
    /// How long a restore may stand still, in microseconds.
    pub restore_no_progress_us: i64,
}

impl Default for TaskConfig {
    fn default() -> Self {
        TaskConfig {
            commit_interval_us: DEFAULT_COMMIT_INTERVAL_US,
            idle_commit_interval_us: DEFAULT_IDLE_COMMIT_INTERVAL_US,
            max_batch_bytes: DEFAULT_BATCH_BYTES,
            max_batch_records: DEFAULT_BATCH_RECORDS,
            restore_no_progress_us: DEFAULT_RESTORE_NO_PROGRESS_US,
        }
    }
}

/// What the shell does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing until then (`i64::MAX`: until something else happens), and no input.
    Wait {
        /// Elapsed time, in microseconds.
        until_us: i64,
    },
    /// Fetch input, and come back when there is some, or then.
    Fetch {
        /// Elapsed time, in microseconds.
        until_us: i64,
    },
    /// Ask for the input's end offset *now*, and hand the answer to [`Task::handle_end_offset`]. Meanwhile go
    /// on.
    QueryEndOffset,
    /// Call [`Task::seal`], write and commit the batch, then call [`Task::handle_commit`].
    Commit,
}

/// How a commit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommitOutcome {
    /// It is known to be committed.
    Committed,
    /// It is known to be aborted.
    Aborted,
    /// Another owner has claimed the task.
    Fenced,
    /// It may or may not be committed.
    Unknown,
}

/// Why a task lost its state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LostReason {
    /// The claim failed.
    ClaimFailed,
    /// The restore stood still or failed.
    RestoreFailed,
    /// The transaction was aborted.
    Aborted,
    /// Another owner has claimed the task.
    Fenced,
    /// The outcome of a commit is unknown.
    UnknownOutcome,
    /// The processor failed in a way that may pass.
    Processor,
}

/// How far a restore is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestoreStatus {
    /// Not at the end; without progress until then it is given up.
    Restoring {
        /// Elapsed time, in microseconds.
        until_us: i64,
    },
    /// The task runs. Read the input from this offset, or from its beginning.
    Restored {
        /// The offset of the record to read first; `None` is the beginning.
        next_offset: Option<i64>,
    },
    /// It stood still, and the task is Lost.
    Stalled(RestoreStalled),
}

/// Why a call had no effect, or dropped the task's state.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TaskError<E: Debug + Display> {
    /// The state has no such transition. Nothing changed.
    #[error("a task that is {state:?} refuses {input:?}")]
    Refused {
        /// The state.
        state: State,
        /// What was refused.
        input: Input,
    },
    /// The transaction is full: commit it first. The record was not taken.
    #[error("the transaction is full")]
    Full,
    /// The record was read before. It was not taken.
    #[error("offset {offset} was read before: the next one is {next_offset}")]
    OutOfOrder {
        /// The next offset.
        next_offset: i64,
        /// The record's.
        offset: i64,
    },
    /// No such topic is being restored. Nothing changed.
    #[error("topic {} is not being restored", .0.0)]
    NotRestored(TopicIndex),
    /// The targets can't be taken. Nothing changed.
    #[error("bad restore targets")]
    BadTargets(#[from] BadTargets),
    /// An end offset that was not asked for. Nothing changed.
    #[error("no end offset was asked for")]
    NotAsked,
    /// The processor failed: the task is Halted or Lost (or Closed, if it was leaving).
    #[error("{0}")]
    Processor(E),
}

/// What a running task knows of its input and its transaction.
#[derive(Debug)]
struct Run {
    next_offset: i64,
    /// Records read since the last commit.
    records: usize,
    /// When the first of them came.
    since_us: Option<i64>,
    /// `None` until the first commit.
    last_commit_us: Option<i64>,
    level: Level,
    /// Found while a commit was under way: told to the processor after it.
    idle_append_us: Option<i64>,
}

/// A task: see the [module](self) for its lifecycle.
#[derive(Debug)]
pub struct Task<P: Processor> {
    config: TaskConfig,
    state: State,
    /// There iff [`State::has_processor`].
    processor: Option<P>,
    batch: Batch,
    restore: Restore,
    run: Run,
    lost_reason: Option<LostReason>,
    halt_reason: Option<String>,
}

type Outcome<P, T = ()> = Result<T, TaskError<<P as Processor>::Error>>;

impl Run {
    fn new(next_offset: i64) -> Self {
        Run {
            next_offset,
            records: 0,
            since_us: None,
            last_commit_us: None,
            level: Level::default(),
            idle_append_us: None,
        }
    }
}

impl<P: Processor> Task<P> {
    /// A task that holds nothing yet.
    ///
    /// # Panics
    /// If an interval or a bound is not positive: they come from settings that the caller checked.
    #[must_use]
    pub fn new(config: TaskConfig) -> Self {
        assert!(
            config.commit_interval_us > 0 && config.idle_commit_interval_us > 0,
            "{config:?}"
        );
        assert!(
            config.max_batch_bytes > 0 && config.max_batch_records > 0,
            "{config:?}"
        );
        assert!(config.restore_no_progress_us > 0, "{config:?}");
        Task {
            config,
            state: State::Created,
            processor: None,
            batch: Batch::new(),
            restore: Restore::default(),
            run: Run::new(-1),
            lost_reason: None,
            halt_reason: None,
        }
    }

    /// The claim begins, for a processor without state.
    ///
    /// # Errors
    /// [`TaskError::Refused`].
    pub fn claim(&mut self, processor: P) -> Outcome<P> {
        self.step(Input::Claim)?;
        self.processor = Some(processor);
        self.lost_reason = None;
        Ok(())
    }

    /// The previous owner is fenced, and the ends of the state topics were asked for after that.
    ///
    /// # Errors
    /// [`TaskError::Refused`], [`TaskError::BadTargets`].
    pub fn handle_claimed(&mut self, now_us: i64, targets: Vec<RestoreTarget>) -> Outcome<P> {
        self.check(Input::Claimed)?;
        self.restore = Restore::new(targets, now_us)?;
        self.step(Input::Claimed)
    }

    /// A record of a state topic, in its order.
    ///
    /// What stands at or beyond the end that was taken after the claim is a newer owner's, and passed over: with half of it
    /// the state would contradict itself, where the next commit only says that the task is fenced.
    ///
    /// # Errors
    /// [`TaskError::Refused`], [`TaskError::NotRestored`]; [`TaskError::Processor`] drops the state.
    pub fn handle_restore_record(
        &mut self,
        topic: TopicIndex,
        offset: i64,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Outcome<P> {
        self.check(Input::RestoreRecord)?;
        let end_offset = self.restore.end_of(topic);
        let end_offset = end_offset.ok_or(TaskError::NotRestored(topic))?;
        if offset >= end_offset {
            return Ok(());
        }
        let restored = self
            .processor_mut(Input::RestoreRecord)?
            .restore(topic, key, value);
        self.dropping_on_error(LostReason::RestoreFailed, restored)
    }

    /// Where the reader of a state topic is, once all records before that were handed in. Before anything
    /// was delivered it is the offset at which the reader was started.
    ///
    /// # Errors
    /// [`TaskError::Refused`], [`TaskError::NotRestored`].
    pub fn handle_restore_position(
        &mut self,
        now_us: i64,
        topic: TopicIndex,
        position: i64,
    ) -> Outcome<P> {
        self.check(Input::RestorePosition)?;
        let known = self.restore.advance(now_us, topic, position);
        if known {
            Ok(())
        } else {
            Err(TaskError::NotRestored(topic))
        }
    }

    /// Whether the state is whole; then the task runs.
    ///
    /// # Errors
    /// [`TaskError::Refused`]; [`TaskError::Processor`] drops the state.
    pub fn poll_restored(&mut self, now_us: i64) -> Outcome<P, RestoreStatus> {
        self.check(Input::Restored)?;
        if let Some((target, position)) = self.restore.behind() {
            let until_us = self
                .restore
                .progress_us()
                .saturating_add(self.config.restore_no_progress_us);
            if now_us < until_us {
                return Ok(RestoreStatus::Restoring { until_us });
            }
            let idle_us = now_us.saturating_sub(self.restore.progress_us());
            self.lose(LostReason::RestoreFailed)?;
            return Ok(RestoreStatus::Stalled(RestoreStalled {
                target,
                position,
                idle_us,
            }));
        }
        let restored = self.processor_mut(Input::Restored)?.restored();
        let next_offset = self
            .dropping_on_error(LostReason::RestoreFailed, restored)?
            .max(-1);
        self.step(Input::Restored)?;
        self.run = Run::new(next_offset);
        Ok(RestoreStatus::Restored {
            next_offset: (next_offset >= 0).then_some(next_offset),
        })
    }

    /// The next input record.
    ///
    /// # Errors
    /// [`TaskError::Refused`], [`TaskError::Full`], [`TaskError::OutOfOrder`]; [`TaskError::Processor`] drops
    /// the state.
    pub fn handle_record(&mut self, record: &InputRecord<'_>, now_us: i64) -> Outcome<P> {
        self.check(Input::Record)?;
        let next_offset = self.run.next_offset;
        if record.offset < next_offset {
            return Err(TaskError::OutOfOrder {
                next_offset,
                offset: record.offset,
            });
        }
        if self.is_full() {
            return Err(TaskError::Full);
        }
        let Some(processor) = self.processor.as_mut() else {
            return Err(self.refused(Input::Record));
        };
        let processed = processor.process(record, &mut self.batch);
        self.dropping_on_error(LostReason::Processor, processed)?;
        let step = i64::from(!is_on(Defect::OffsetPlusOneMissing));
        self.run.next_offset = record.offset.saturating_add(step);
        self.run.records += 1;
        self.run.since_us.get_or_insert(now_us);
        Ok(())
    }

    /// Where the reader of the input is, once all records before that were handed in: it also counts what
    /// is no record. Never goes back. To be called once after the restore too: the beginning of the input
    /// may be at any offset.
    ///
    /// # Errors
    /// [`TaskError::Refused`].
    pub fn handle_input_position(&mut self, position: i64) -> Outcome<P> {
        self.check(Input::InputPosition)?;
        self.run.next_offset = self.run.next_offset.max(position);
        Ok(())
    }

    /// The delivery report of the last batch: the log's time of its append, the earliest if it has several, for
    /// the clocks of the brokers that gave them may differ.
    ///
    /// # Errors
    /// [`TaskError::Refused`].
    pub fn handle_append_time(&mut self, append_time_us: i64) -> Outcome<P> {
        self.check(Input::AppendTime)?;
        self.run.level.handle_append_time(append_time_us);
        Ok(())
    }

    /// The answer to [`Action::QueryEndOffset`], or `None` if there was none.
    ///
    /// # Errors
    /// [`TaskError::Refused`], [`TaskError::NotAsked`].
    pub fn handle_end_offset(&mut self, end_offset: Option<i64>) -> Outcome<P> {
        self.check(Input::EndOffset)?;
        let append_time_us = self.run.level.take_asked().ok_or(TaskError::NotAsked)?;
        let position = self.run.next_offset.max(0);
        let is_level = end_offset.is_some_and(|end_offset| position >= end_offset);
        if is_level || is_on(Defect::IdleTimeWhileLagging) {
            self.run.idle_append_us = Some(append_time_us);
        }
        if self.state == State::Running {
            self.tell_idle_append();
        }
        Ok(())
    }

    /// What to do next.
    pub fn poll_action(&mut self, now_us: i64) -> Action {
        match self.state {
            State::Running => self.poll_running(now_us),
            State::Draining => Action::Commit,
            State::Restoring => Action::Wait {
                until_us: self
                    .restore
                    .progress_us()
                    .saturating_add(self.config.restore_no_progress_us),
            },
            _ => Action::Wait { until_us: i64::MAX },
        }
    }

    /// Ends the transaction and returns what it is to hold.
    ///
    /// # Errors
    /// [`TaskError::Refused`]; [`TaskError::Processor`] drops the state.
    pub fn seal(&mut self) -> Outcome<P, &Batch> {
        self.check(Input::Seal)?;
        let next_offset = self.run.next_offset;
        let Some(processor) = self.processor.as_mut() else {
            return Err(self.refused(Input::Seal));
        };
        let sealed = processor.seal(next_offset, &mut self.batch);
        self.dropping_on_error(LostReason::Processor, sealed)?;
        self.step(Input::Seal)?;
        Ok(&self.batch)
    }

    /// How the commit of the sealed batch ended.
    ///
    /// # Errors
    /// [`TaskError::Refused`].
    pub fn handle_commit(&mut self, outcome: CommitOutcome, now_us: i64) -> Outcome<P> {
        let reason = match outcome {
            CommitOutcome::Committed => return self.committed(now_us),
            CommitOutcome::Aborted if is_on(Defect::AbortTakenForSuccess) => {
                return self.committed(now_us);
            }
            CommitOutcome::Unknown if is_on(Defect::UnknownTakenForSuccess) => {
                return self.committed(now_us);
            }
            CommitOutcome::Aborted => LostReason::Aborted,
            CommitOutcome::Fenced => LostReason::Fenced,
            CommitOutcome::Unknown => LostReason::UnknownOutcome,
        };
        self.step(Input::NotCommitted)?;
        self.lost_reason = Some(reason);
        Ok(())
    }

    /// The claim or the transaction was lost outside a commit.
    ///
    /// # Errors
    /// [`TaskError::Refused`].
    pub fn handle_lost(&mut self, reason: LostReason) -> Outcome<P> {
        self.lose(reason)
    }

    /// The shell found what only a person can mend, for example that the input no longer has the next
    /// offset.
    ///
    /// # Errors
    /// [`TaskError::Refused`].
    pub fn handle_halt(&mut self, reason: impl Into<String>) -> Outcome<P> {
        self.step(Input::Halt)?;
        self.halt_reason = Some(reason.into());
        Ok(())
    }

    /// The partition goes to another owner, once this one is done: go on with [`Task::poll_action`] until
    /// the state is Closed.
    ///
    /// # Errors
    /// None: every state may leave.
    pub fn handle_revoked(&mut self) -> Outcome<P> {
        let dirty =
            self.state == State::Running && (self.run.records > 0 || !self.batch.is_empty());
        self.step(if dirty {
            Input::RevokeDirty
        } else {
            Input::RevokeClean
        })
    }

    /// The partition is another owner's already, or there is no time left: drops everything.
    ///
    /// # Errors
    /// None: every state may leave.
    pub fn handle_abandoned(&mut self) -> Outcome<P> {
        self.step(Input::Abandon)
    }

    /// Where the task is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The processor, while there is one.
    #[must_use]
    pub fn processor(&self) -> Option<&P> {
        self.processor.as_ref()
    }

    /// The processor, for what the shell tells it beside records: schemas that it looked up, tables that
    /// other threads keep up to date. Never for input: that goes through `handle_…`.
    pub fn processor_mut_for_shell(&mut self) -> Option<&mut P> {
        self.processor.as_mut()
    }

    /// The open or sealed batch.
    #[must_use]
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The offset of the input record to read next; −1 while the input was never read.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.run.next_offset
    }

    /// Why the state was lost last, until the next claim.
    #[must_use]
    pub fn lost_reason(&self) -> Option<LostReason> {
        self.lost_reason
    }

    /// What a person has to mend, if the task is Halted.
    #[must_use]
    pub fn halt_reason(&self) -> Option<&str> {
        self.halt_reason.as_deref()
    }
}

#[cfg(test)]
mod tests;
