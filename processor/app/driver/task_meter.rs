//! What a task tells telemetry: once per claim and once per transaction, never per record.
//!
//! Invariant: counters move after a known commit only, by what that transaction holds, so that at rest they equal the
//! topics and tables (of one process' life).

use crate::clock::elapsed_us;
use crate::telemetry::Telemetry;
use crate::telemetry::places::Advance;
use rollcall_domain::TaskCounts;
use rollcall_driver::ports::TaskMeter;
use rollcall_engine::task::{CommitOutcome, LostReason};
use rollcall_stages::layout::TOPICS;
use rollcall_stages::{Counted, Stage};

/// One claim's figures.
pub(super) struct Meter {
    telemetry: Telemetry,
    stage: &'static str,
    partition: i32,
    begun_us: i64,
    /// Records of state topics that the restore has read.
    restored: u64,
    /// Since the last commit.
    received: u64,
    /// The largest log time among input records; `None` before the first.
    reached_us: Option<i64>,
    /// As of the last commit, or the restore.
    counts: TaskCounts,
    counters: Vec<(Counted, u64)>,
}

/// What a sealed transaction holds, taken before its commit: a task that closes drops its logic with it.
pub(super) struct Sealed {
    counts: TaskCounts,
    counters: Vec<(Counted, u64)>,
    advance: Advance,
    records: usize,
    emitted: [u64; TOPICS.len()],
}

impl Meter {
    /// The claim begins.
    pub(super) fn begin(telemetry: &Telemetry, stage: &'static str, partition: i32) -> Self {
        Self {
            telemetry: telemetry.clone(),
            stage,
            partition,
            begun_us: elapsed_us(),
            restored: 0,
            received: 0,
            reached_us: None,
            counts: TaskCounts::default(),
            counters: Vec::new(),
        }
    }

    /// Only NORMALIZE has such counts; elsewhere they stay at 0.
    fn count_outcomes(&mut self, counts: &TaskCounts) {
        let before = std::mem::replace(&mut self.counts, *counts);
        let metrics = &self.telemetry.metrics;
        for (vector, outcome, now, then) in [
            (
                &metrics.snapshots,
                "accepted",
                counts.snapshots_accepted,
                before.snapshots_accepted,
            ),
            (
                &metrics.snapshots,
                "duplicate",
                counts.snapshots_duplicate,
                before.snapshots_duplicate,
            ),
            (
                &metrics.snapshots,
                "rejected",
                counts.snapshots_rejected,
                before.snapshots_rejected,
            ),
            (
                &metrics.lines,
                "accepted",
                counts.lines_accepted,
                before.lines_accepted,
            ),
            (
                &metrics.lines,
                "rejected",
                counts.lines_rejected,
                before.lines_rejected,
            ),
        ] {
            if now > then {
                vector
                    .with_label_values(&[outcome])
                    .inc_by((now - then) as u64);
            }
        }
    }

    /// What a stage counts itself.
    fn count(&mut self, counters: &[(Counted, u64)]) {
        let metrics = &self.telemetry.metrics;
        for &(counted, now) in counters {
            let known = self.counters.iter().find(|(known, _)| *known == counted);
            let new = now.saturating_sub(known.map_or(0, |(_, then)| *then));
            if new == 0 {
                continue;
            }
            match counted {
                Counted::Corrections => metrics.corrections.with_label_values::<&str>(&[]),
                Counted::EarlyClosings => {
                    metrics.windows_closed_early.with_label_values::<&str>(&[])
                }
                Counted::NotCounted => metrics
                    .contributions_not_counted
                    .with_label_values::<&str>(&[]),
                Counted::Rejected(reason) => metrics
                    .records_rejected
                    .with_label_values(&[self.stage, reason.as_str()]),
                Counted::Null(reason) => metrics.values_null.with_label_values(&[reason.as_str()]),
            }
            .inc_by(new);
        }
        self.counters = counters.to_vec();
    }
}

impl TaskMeter for Meter {
    type Sealed = Sealed;

    fn restored_record(&mut self) {
        self.restored += 1;
    }

    fn runs(&mut self, stage: Option<&impl Stage>, topic: &str, next_offset: i64) {
        let metrics = &self.telemetry.metrics;
        let took = (elapsed_us() - self.begun_us) as f64 / 1e6;
        metrics
            .restore_seconds
            .with_label_values(&[self.stage])
            .observe(took);
        metrics
            .restored_records
            .with_label_values(&[self.stage])
            .inc_by(self.restored);
        let place = (self.stage, self.partition);
        self.telemetry.places.begin(place, topic, next_offset);
        if let Some(stage) = stage {
            self.counts = stage.task_state().counts;
            self.counters = stage.counters();
            self.telemetry
                .places
                .advance(place, advance_of(stage, next_offset, None));
        }
    }

    fn received(&mut self, timestamp_us: i64) {
        self.received += 1;
        self.reached_us = self.reached_us.max(Some(timestamp_us));
    }

    fn sealed(
        &self,
        stage: Option<&impl Stage>,
        next_offset: i64,
        topics: impl Iterator<Item = usize>,
    ) -> Option<Sealed> {
        let stage = stage?;
        let mut emitted = [0; TOPICS.len()];
        let mut records = 0;
        for topic in topics {
            records += 1;
            emitted[topic] += 1;
        }
        Some(Sealed {
            counts: stage.task_state().counts,
            counters: stage.counters(),
            advance: advance_of(stage, next_offset, self.reached_us),
            records,
            emitted,
        })
    }

    fn committed(&mut self, sealed: Sealed, took_us: i64) {
        let metrics = &self.telemetry.metrics;
        let stage = [self.stage];
        let received = std::mem::take(&mut self.received);
        metrics
            .records_received
            .with_label_values(&stage)
            .inc_by(received);
        metrics
            .transactions
            .with_label_values(&[self.stage, "committed"])
            .inc();
        metrics
            .commit_seconds
            .with_label_values(&stage)
            .observe(took_us as f64 / 1e6);
        metrics
            .batch_rows
            .with_label_values(&stage)
            .observe(sealed.records as f64);
        for (topic, count) in TOPICS.iter().zip(sealed.emitted) {
            if count > 0 {
                metrics
                    .records_emitted
                    .with_label_values(&[self.stage, topic.name])
                    .inc_by(count);
            }
        }
        self.count_outcomes(&sealed.counts);
        self.count(&sealed.counters);
        self.telemetry
            .places
            .advance((self.stage, self.partition), sealed.advance);
    }

    fn counted(&mut self, stage: Option<&impl Stage>) {
        if let Some(stage) = stage {
            self.count(&stage.counters());
        }
    }

    fn not_committed(&self, outcome: CommitOutcome) {
        let outcome = match outcome {
            CommitOutcome::Committed => "committed",
            CommitOutcome::Aborted => "aborted",
            CommitOutcome::Fenced => "fenced",
            CommitOutcome::Unknown => "unknown",
        };
        let transactions = &self.telemetry.metrics.transactions;
        transactions.with_label_values(&[self.stage, outcome]).inc();
    }
}

/// A task has dropped its state.
pub(super) fn lost(telemetry: &Telemetry, stage: &'static str, partition: i32, reason: LostReason) {
    let word = match reason {
        LostReason::ClaimFailed => "claim_failed",
        LostReason::RestoreFailed => "restore_failed",
        LostReason::Aborted => "aborted",
        LostReason::Fenced => "fenced",
        LostReason::UnknownOutcome => "unknown_outcome",
        LostReason::Processor => "processor",
    };
    let tasks_lost = &telemetry.metrics.tasks_lost;
    tasks_lost.with_label_values(&[stage, word]).inc();
    if reason == LostReason::Fenced {
        telemetry.places.remove((stage, partition));
    }
}

fn advance_of(stage: &impl Stage, next_offset: i64, reached_us: Option<i64>) -> Advance {
    let stage_time_us = stage.task_state().stage_time.as_micros();
    Advance {
        next_offset,
        reached_us,
        // Before 1970: no record was seen yet.
        stage_time_us: (stage_time_us > 0).then_some(stage_time_us),
        state: Some((stage.state_entries(), stage.state_bytes())),
        ..Advance::default()
    }
}
