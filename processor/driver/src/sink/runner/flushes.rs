//! Writing what is held, and what a flush that failed means.
//!
//! A transaction ends with a marker, which no message follows on a quiet day. What is stored is brought behind it too,
//! now and then: else retention would seem to have overtaken us once it takes messages and marker together.

use super::{LaneRunner, Record};
use crate::ports::{Database, FlushOutcome, LaneMeter, OffsetAdvance, Place, TaskStatus, World};
use crate::sink::flush::{FlushError, move_offsets};
use crate::sink::lane::{Flushed, Lane};

/// How often what is stored is brought behind markers that nothing has followed.
const PASS_MARKERS_US: i64 = 60_000_000;

impl<'f, W: World, D: Database, L: Lane<Record<'f, W>>> LaneRunner<'f, '_, W, D, L> {
    pub(super) async fn flush_if_due(&mut self) {
        if self.lane.is_empty() {
            return;
        }
        let interval_us = self.lane.interval().as_micros() as i64;
        if self.lane.is_full() || self.world.elapsed_us() - self.flushed_at_us >= interval_us {
            self.flush().await;
        }
    }

    pub(super) async fn flush(&mut self) {
        if self.lane.is_empty() {
            return;
        }
        let Some(link) = self.link.as_mut() else {
            return;
        };
        let begun_us = self.world.elapsed_us();
        let outcome = self.lane.flush(link, &mut self.places).await;
        self.flushed_at_us = self.world.elapsed_us();
        match outcome {
            Ok(flushed) => {
                self.answered_at_us = self.flushed_at_us;
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

    pub(super) async fn pass_markers_if_due(&mut self) {
        if self.world.elapsed_us() - self.passed_markers_at_us >= PASS_MARKERS_US {
            self.pass_markers().await;
        }
    }

    /// Brings what is stored behind the markers that follow it, where nothing is held.
    pub(super) async fn pass_markers(&mut self) {
        self.passed_markers_at_us = self.world.elapsed_us();
        let behind: Vec<(Place, i64)> = self
            .behind_markers()
            .into_iter()
            .filter_map(|(place, stored, position)| {
                (stored < position).then_some((place, position))
            })
            .collect();
        let Some(link) = self.link.as_mut().filter(|_| !behind.is_empty()) else {
            return;
        };
        let advances: Vec<OffsetAdvance<'_>> = behind
            .iter()
            .filter_map(|(place, position)| self.places.advance(*place, *position))
            .collect();
        match move_offsets(&mut link.connection, &advances).await {
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
                let not_before_us = self.world.elapsed_us() + self.next_wait_us();
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
                    self.places.unclaim(place, not_before_us);
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
                    "whether a flush is stored is unknown, the next claim will tell: {error}"
                ));
            }
            FlushError::Failed(error) => {
                self.meter.flush_failed(FlushOutcome::Failed);
                if !error.is_retriable {
                    tracing::error!(
                        lane = L::NAME,
                        error = error.message,
                        "a flush is refused; it is tried again, but it needs a person"
                    );
                }
                self.connection_failed(&error.message);
            }
        }
    }

    fn note(&mut self, flushed: &Flushed, took_us: i64) {
        // Not as early as a claim: claims may work where every flush is refused.
        self.backoff.reset();
        self.meter.flushed(flushed, took_us);
        for &((topic, partition), advance) in &flushed.stored {
            let place = (self.lane.label(topic), partition);
            self.meter.advanced(place, advance);
        }
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
