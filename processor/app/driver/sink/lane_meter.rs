//! What a lane tells telemetry: once per flush, never per row.
//!
//! Invariant: counters move by what PostgreSQL has said it stored.

use super::lane::Flushed;
use crate::clock::wall_clock;
use crate::postgres::LedgerDifference;
use crate::telemetry::Telemetry;
use crate::telemetry::places::Place;
use rollcall_engine::record::TopicIndex;

/// A flush that is not known to be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FlushOutcome {
    /// Another sink has claimed some of its partitions.
    Fenced,
    /// It was rolled back.
    Failed,
    /// The next claim will tell.
    Unknown,
}

/// What books lack, as telemetry has it.
pub(super) fn books_of(lack: &LedgerDifference) -> [i64; 4] {
    [
        lack.snapshots_unaccounted,
        lack.snapshots_missing,
        lack.lines_missing,
        lack.lines_rejected_missing,
    ]
}

/// One lane's figures.
pub(super) struct LaneMeter {
    telemetry: Telemetry,
    lane: &'static str,
}

impl LaneMeter {
    /// Nothing was flushed yet.
    pub(super) fn new(telemetry: &Telemetry, lane: &'static str) -> Self {
        Self {
            telemetry: telemetry.clone(),
            lane,
        }
    }

    /// A flush was stored.
    pub(super) fn flushed(
        &self,
        flushed: &Flushed,
        took_us: i64,
        label: impl Fn(TopicIndex) -> &'static str,
    ) {
        let metrics = &self.telemetry.metrics;
        let lane = [self.lane];
        metrics
            .flushes
            .with_label_values(&[self.lane, "stored"])
            .inc();
        metrics
            .flush_seconds
            .with_label_values(&lane)
            .observe(took_us as f64 / 1e6);
        metrics
            .batch_rows
            .with_label_values(&lane)
            .observe(flushed.rows as f64);
        metrics
            .records_received
            .with_label_values(&lane)
            .inc_by(flushed.messages);
        if flushed.unreadable > 0 {
            let rejected = &metrics.records_rejected;
            rejected
                .with_label_values(&[self.lane, "unreadable"])
                .inc_by(flushed.unreadable);
        }
        metrics
            .expired
            .with_label_values(&lane)
            .inc_by(flushed.expired);
        metrics
            .corrected_rows
            .with_label_values::<&str>(&[])
            .inc_by(flushed.corrected);
        metrics
            .machines_moved
            .with_label_values::<&str>(&[])
            .inc_by(flushed.machines_moved);
        self.observe_event_times(&flushed.event_times_us);
        for &((topic, partition), advance) in &flushed.stored {
            self.telemetry
                .places
                .advance((label(topic), partition), advance);
        }
    }

    fn observe_event_times(&self, event_times_us: &[i64]) {
        if event_times_us.is_empty() {
            return;
        }
        let now_us = wall_clock().as_micros();
        let histogram = &self.telemetry.metrics.event_time_lag_seconds;
        // Summed here, and added to the shared histogram once, when it is dropped.
        let local = histogram.with_label_values::<&str>(&[]).local();
        for event_us in event_times_us {
            local.observe((now_us - event_us).max(0) as f64 / 1e6);
        }
    }

    /// A flush was not stored, as far as we know.
    pub(super) fn flush_failed(&self, outcome: FlushOutcome) {
        let outcome = match outcome {
            FlushOutcome::Fenced => "fenced",
            FlushOutcome::Failed => "failed",
            FlushOutcome::Unknown => "unknown",
        };
        let flushes = &self.telemetry.metrics.flushes;
        flushes.with_label_values(&[self.lane, outcome]).inc();
    }

    /// Another sink has claimed a place of ours.
    pub(super) fn fenced(&self, place: Place) {
        let fenced = &self.telemetry.metrics.sink_fenced;
        fenced.with_label_values(&[self.lane]).inc();
        self.telemetry.places.remove(place);
    }
}
