//! What tasks tell, into the trace and the [`crate::watch`].

use super::World;
use rollcall_driver::ports::{Advance, FlushOutcome, LaneMeter, TaskMeter, TaskStatus, Telemetry};
use rollcall_driver::sink::Flushed;
use rollcall_engine::task::{CommitOutcome, LostReason};
use rollcall_stages::Stage;

impl Telemetry for World {
    type Meter = Meter;
    type LaneMeter = Lane;

    fn joined(&self, _stage: &'static str) {}

    fn left(&self, _stage: &'static str) {}

    fn stopping(&self) {}

    fn status(&self, stage: &'static str, partition: i32, status: TaskStatus) {
        let why = status.why().unwrap_or_default();
        let text = format!("{stage}[{partition}] is {} {why}", status.as_str());
        self.note(&text);
        if let TaskStatus::Halted(why) = status {
            let fault = format!("{stage}[{partition}] halted: {why}");
            self.shared.watch.borrow_mut().fail(fault);
        }
    }

    fn ended(&self, stage: &'static str, partition: i32) {
        self.note(&format!("{stage}[{partition}] has ended"));
    }

    fn lost(&self, stage: &'static str, partition: i32, reason: LostReason) {
        self.note(&format!("{stage}[{partition}] lost its state: {reason:?}"));
        self.shared.watch.borrow_mut().lost(reason);
    }

    fn meter(&self, stage: &'static str, partition: i32) -> Meter {
        Meter {
            world: self.clone(),
            stage,
            partition,
        }
    }

    fn lane_meter(&self, _lane: &'static str) -> Lane {
        Lane {
            world: self.clone(),
        }
    }
}

impl World {
    /// A line of the trace.
    pub(crate) fn note(&self, text: &str) {
        let mut watch = self.shared.watch.borrow_mut();
        watch.note(self.now_us(), self.process, text);
    }
}

/// Looks at what a task says of itself.
pub(crate) struct Meter {
    world: World,
    stage: &'static str,
    partition: i32,
}

impl TaskMeter for Meter {
    type Sealed = i64;

    fn restored_record(&mut self) {}

    fn runs(&mut self, stage: Option<&impl Stage>, _topic: &str, next_offset: i64) {
        let Some(stage) = stage else { return };
        let state = stage.task_state();
        let text = format!(
            "{}[{}] runs from {next_offset}, after transaction {}",
            self.stage, self.partition, state.sequence
        );
        self.world.note(&text);
    }

    fn received(&mut self, _timestamp_us: i64) {}

    fn sealed(
        &self,
        stage: Option<&impl Stage>,
        _next_offset: i64,
        _topics: impl Iterator<Item = usize>,
    ) -> Option<i64> {
        Some(stage?.task_state().sequence)
    }

    fn committed(&mut self, sequence: i64, _took_us: i64) {
        let (stage, partition) = (self.stage, self.partition);
        let now_us = self.world.now_us();
        let mut watch = self.world.shared.watch.borrow_mut();
        watch.committed(now_us, self.world.process, stage, partition, sequence);
    }

    fn counted(&mut self, _stage: Option<&impl Stage>) {}

    fn not_committed(&self, outcome: CommitOutcome) {
        self.world.shared.watch.borrow_mut().outcome(outcome);
    }
}

/// Looks at what a lane says of itself.
pub(crate) struct Lane {
    world: World,
}

impl LaneMeter for Lane {
    fn claimed(&self, (label, partition): (&'static str, i32), _topic: &str, next_offset: i64) {
        self.world
            .note(&format!("{label}[{partition}] claimed, from {next_offset}"));
        self.world.shared.watch.borrow_mut().count("places claimed");
    }

    fn advanced(&self, _place: (&'static str, i32), _advance: Advance) {}

    fn flushed(&self, _flushed: &Flushed, _took_us: i64) {
        self.world.shared.watch.borrow_mut().count("flushes stored");
    }

    fn flush_failed(&self, outcome: FlushOutcome) {
        self.world.shared.watch.borrow_mut().count(match outcome {
            FlushOutcome::Fenced => "flushes fenced",
            FlushOutcome::Failed => "flushes failed",
            FlushOutcome::Unknown => "flushes of unknown outcome",
        });
    }

    fn fenced(&self, (label, partition): (&'static str, i32)) {
        self.world.note(&format!("{label}[{partition}] is fenced"));
    }
}
