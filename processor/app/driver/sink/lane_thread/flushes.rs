//! Writing what is held, and what a flush that failed means.
//!
//! A transaction ends with a marker, which no message follows on a quiet day. What is stored is brought behind it too,
//! now and then: else retention would seem to have overtaken us once it takes messages and marker together.

use super::LaneThread;
use super::connection::describe;
use crate::clock::elapsed_us;
use crate::driver::next_wait_us;
use crate::driver::sink::lane::{Flushed, Lane};
use crate::driver::sink::lane_meter::FlushOutcome;
use crate::driver::sink::places::Place;
use crate::postgres::{FlushError, OffsetAdvance, move_offsets};
use crate::telemetry::health::TaskStatus;

/// How often what is stored is brought behind markers that nothing has followed.
const PASS_MARKERS_US: i64 = 60_000_000;

impl<'f, L: Lane<'f>> LaneThread<'f, '_, L> {
    pub(super) fn flush_if_due(&mut self) {
        if self.lane.is_empty() {
            return;
        }
        let interval_us = self.lane.interval().as_micros() as i64;
        if self.lane.is_full() || elapsed_us() - self.flushed_at_us >= interval_us {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        if self.lane.is_empty() {
            return;
        }
        let Some(connection) = self.connection.as_mut() else {
            return;
        };
        let begun_us = elapsed_us();
        let outcome = self
            .runtime
            .block_on(self.lane.flush(connection, &mut self.places));
        self.flushed_at_us = elapsed_us();
        match outcome {
            Ok(flushed) => {
                self.note(&flushed, self.flushed_at_us - begun_us);
                self.halt_all(&flushed.halted);
            }
            Err(error) => self.flush_failed(error),
        }
    }

    fn halt_all(&mut self, places: &[(Place, String)]) {
        for (place, why) in places {
            self.halt(*place, why);
        }
        if !places.is_empty() {
            self.assign_or_warn();
        }
    }

    pub(super) fn pass_markers_if_due(&mut self) {
        if elapsed_us() - self.passed_markers_at_us >= PASS_MARKERS_US {
            self.pass_markers();
        }
    }

    /// Brings what is stored behind the markers that follow it, where nothing is held.
    pub(super) fn pass_markers(&mut self) {
        self.passed_markers_at_us = elapsed_us();
        let behind: Vec<(Place, i64)> = self
            .behind_markers()
            .into_iter()
            .filter_map(|(place, stored, position)| {
                (stored < position).then_some((place, position))
            })
            .collect();
        let Some(connection) = self.connection.as_mut().filter(|_| !behind.is_empty()) else {
            return;
        };
        let advances: Vec<OffsetAdvance<'_>> = behind
            .iter()
            .filter_map(|(place, position)| self.places.advance(*place, *position))
            .collect();
        let moved = move_offsets(connection.session(), &advances);
        match self.runtime.block_on(moved) {
            Ok(()) => {
                for (place, position) in behind {
                    self.places.stored(place, position);
                }
            }
            Err(error) => self.flush_failed(error),
        }
    }

    fn flush_failed(&mut self, error: FlushError) {
        match error {
            FlushError::Fenced { lost } => {
                self.meter.flush_failed(FlushOutcome::Fenced);
                let wait_us = next_wait_us(&mut self.backoff);
                for lost in lost {
                    let Some(place) = self.places.place_of(&lost) else {
                        continue;
                    };
                    tracing::warn!(
                        stage = self.lane.label(place.0),
                        partition = place.1,
                        "fenced: another sink has claimed it"
                    );
                    let label = self.lane.label(place.0);
                    self.meter.fenced((label, place.1));
                    self.lane.forget(place);
                    self.places.unclaim(place, elapsed_us() + wait_us);
                    self.status(
                        place,
                        TaskStatus::Waiting("another sink has claimed it".to_owned()),
                    );
                }
                self.assign_or_warn();
            }
            FlushError::Unknown(error) => {
                self.meter.flush_failed(FlushOutcome::Unknown);
                self.connection_failed(&format!(
                    "whether a flush is stored is unknown, the next claim will tell: {}",
                    describe(&error)
                ));
            }
            FlushError::Failed(error) => {
                self.meter.flush_failed(FlushOutcome::Failed);
                if !error.is_retriable() {
                    tracing::error!(
                        lane = L::NAME,
                        error = describe(&error),
                        "a flush is refused; it is tried again, but it needs a person"
                    );
                }
                self.connection_failed(&describe(&error));
            }
        }
    }

    fn note(&mut self, flushed: &Flushed, took_us: i64) {
        // Not as early as a claim: claims may work where every flush is refused.
        self.backoff.reset();
        let label = |topic| self.lane.label(topic);
        self.meter.flushed(flushed, took_us, label);
        tracing::debug!(
            lane = L::NAME,
            messages = flushed.messages,
            rows = flushed.rows,
            took_us,
            "flushed"
        );
        for difference in &flushed.differences {
            tracing::error!(
                ?difference,
                "the books do not balance: something was lost or stored twice; run `rollcall audit`"
            );
        }
    }
}
