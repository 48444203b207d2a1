//! What a lane tells telemetry: once per flush, never per row.
//!
//! Invariant: counters move by what PostgreSQL has said it stored.

use crate::clock::wall_clock;
use crate::telemetry::Telemetry;
use crate::telemetry::places::{self, Place};
use rollcall_driver::ports::{Advance, FlushOutcome, LaneMeter};
use rollcall_driver::sink::Flushed;

/// One lane's figures.
pub(in crate::driver) struct Meter {
    telemetry: Telemetry,
    lane: &'static str,
}

impl Meter {
    /// Nothing was flushed yet.
    pub(in crate::driver) fn new(telemetry: &Telemetry, lane: &'static str) -> Self {
        Self {
            telemetry: telemetry.clone(),
            lane,
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
}

impl LaneMeter for Meter {
    fn claimed(&self, place: Place, topic: &str, next_offset: i64) {
        self.telemetry.places.begin(place, topic, next_offset);
    }

    fn advanced(&self, place: Place, advance: Advance) {
        let advance = places::Advance {
            next_offset: advance.next_offset,
            passed_offset: advance.passed_offset,
            reached_us: advance.reached_us,
            stage_time_us: advance.stage_time_us,
            state: None,
            books: advance.books,
        };
        self.telemetry.places.advance(place, advance);
    }

    fn flushed(&self, flushed: &Flushed, took_us: i64) {
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
    }

    fn flush_failed(&self, outcome: FlushOutcome) {
        let flushes = &self.telemetry.metrics.flushes;
        flushes
            .with_label_values(&[self.lane, outcome.as_str()])
            .inc();
    }

    fn fenced(&self, place: Place) {
        let fenced = &self.telemetry.metrics.sink_fenced;
        fenced.with_label_values(&[self.lane]).inc();
        self.telemetry.places.remove(place);
    }
}
