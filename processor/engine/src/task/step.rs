//! How a task takes a transition, and when it commits.

use super::{Action, Input, LostReason, Outcome, Run, Task, TaskError};
use crate::batch::Batch;
use crate::processor::Processor;

impl<P: Processor> Task<P> {
    /// Takes a transition. Where it leaves the states with a processor, everything is dropped here, and only
    /// here.
    pub(super) fn step(&mut self, input: Input) -> Outcome<P> {
        self.check(input)?;
        self.state = self.state.after(input).unwrap_or(self.state);
        if !self.state.has_processor() {
            self.processor = None;
            self.batch = Batch::new();
            self.run = Run::new(-1);
        }
        Ok(())
    }

    pub(super) fn check(&self, input: Input) -> Outcome<P> {
        self.state
            .after(input)
            .map(|_| ())
            .ok_or_else(|| self.refused(input))
    }

    pub(super) fn refused(&self, input: Input) -> TaskError<P::Error> {
        TaskError::Refused {
            state: self.state,
            input,
        }
    }

    pub(super) fn processor_mut(&mut self, input: Input) -> Outcome<P, &mut P> {
        let state = self.state;
        self.processor
            .as_mut()
            .ok_or(TaskError::Refused { state, input })
    }

    pub(super) fn lose(&mut self, reason: LostReason) -> Outcome<P> {
        self.step(Input::Lose)?;
        self.lost_reason = Some(reason);
        Ok(())
    }

    /// A processor that failed may be half changed: whatever the error, its state goes.
    pub(super) fn dropping_on_error<T>(
        &mut self,
        reason: LostReason,
        result: Result<T, P::Error>,
    ) -> Outcome<P, T> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if P::needs_person(&error) {
            self.step(Input::Halt)?;
            self.halt_reason = Some(error.to_string());
        } else {
            self.lose(reason)?;
        }
        Err(TaskError::Processor(error))
    }

    pub(super) fn committed(&mut self, now_us: i64) -> Outcome<P> {
        self.check(Input::Committed)?;
        self.processor_mut(Input::Committed)?.committed();
        self.batch.clear();
        self.run.records = 0;
        self.run.since_us = None;
        self.run.last_commit_us = Some(now_us);
        self.step(Input::Committed)?;
        self.tell_idle_append();
        Ok(())
    }

    /// Between transactions only: what the processor is told must be part of the next one.
    pub(super) fn tell_idle_append(&mut self) {
        if let (Some(processor), Some(append_time_us)) =
            (self.processor.as_mut(), self.run.idle_append_us.take())
        {
            processor.idle_append(append_time_us);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        let pending = self.processor.as_ref().map_or(0, P::pending_records);
        self.batch.bytes() >= self.config.max_batch_bytes
            || self.batch.records().len() + pending >= self.config.max_batch_records
            || self.run.records >= self.config.max_batch_records
    }

    pub(super) fn poll_running(&mut self, now_us: i64) -> Action {
        // The first commit is due at once: a reader of several tasks waits for the last to report.
        let Some(last_commit_us) = self.run.last_commit_us else {
            return Action::Commit;
        };
        let commit_us = match self.run.since_us {
            Some(since_us) => since_us.saturating_add(self.config.commit_interval_us),
            None => last_commit_us.saturating_add(self.config.idle_commit_interval_us),
        };
        if now_us >= commit_us || self.is_full() {
            return Action::Commit;
        }
        if self.run.records > 0 || !self.run.level.may_ask() {
            return Action::Fetch {
                until_us: commit_us,
            };
        }
        // Half an interval without input is worth a question; a busy task never asks.
        let ask_us = last_commit_us.saturating_add(self.config.idle_commit_interval_us / 2);
        if now_us < ask_us {
            return Action::Fetch { until_us: ask_us };
        }
        self.run.level.ask();
        Action::QueryEndOffset
    }
}
