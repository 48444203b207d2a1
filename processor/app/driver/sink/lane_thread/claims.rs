//! Claiming places, and what becomes of those that can't be claimed: they wait, or halt.

use super::connection::describe;
use super::{LaneThread, REQUEST};
use crate::clock::elapsed_us;
use crate::driver::next_wait_us;
use crate::driver::sink::lane::Lane;
use crate::driver::sink::lane_meter::books_of;
use crate::driver::sink::places::Place;
use crate::postgres::{ClaimRequest, PostgresError, claim, read_books};
use crate::telemetry::health::TaskStatus;
use crate::telemetry::places::Advance;
use anyhow::Context as _;
use std::time::Duration;

/// How long the client may take to forget where it was before a claim, and how often it is asked.
const FORGET: Duration = Duration::from_secs(1);
const FORGET_POLL: Duration = Duration::from_millis(1);

impl<'f, L: Lane<'f>> LaneThread<'f, '_, L> {
    pub(super) fn claim_what_is_due(&mut self) -> anyhow::Result<()> {
        let due = self.places.to_claim(elapsed_us());
        if due.is_empty() {
            return Ok(());
        }
        for &place in &due {
            self.claim(place);
        }
        self.assign()?;
        self.await_forgotten(&due);
        Ok(())
    }

    pub(super) fn position(&self, (topic, partition): Place) -> Option<i64> {
        self.fetcher.position(self.places.name(topic), partition)
    }

    /// Waits until the client knows no position of these places: one from before the claim lies behind messages that we
    /// have dropped. Nothing is polled meanwhile, so what it says later is of what was read since.
    fn await_forgotten(&mut self, claimed: &[Place]) {
        let deadline_us = elapsed_us() + FORGET.as_micros() as i64;
        for &place in claimed {
            while self.places.get(place).is_some() && self.position(place).is_some() {
                if elapsed_us() >= deadline_us {
                    self.wait(place, "the Kafka client clings to a position from before");
                    break;
                }
                std::thread::sleep(FORGET_POLL);
            }
        }
    }

    fn claim(&mut self, place: Place) {
        let topic = self.places.name(place.0).to_owned();
        let start = match self.fetcher.watermarks(&topic, place.1, REQUEST) {
            Ok((start, _)) => start,
            Err(error) => {
                let why = format!(
                    "the beginning of {topic}[{}] can't be read: {error}",
                    place.1
                );
                return self.wait(place, &why);
            }
        };
        let deployment = self.shared.kafka.deployment.clone();
        let request = ClaimRequest {
            deployment: &deployment,
            topic: &topic,
            partition: place.1,
            initial_offset: start,
        };
        let Some(connection) = self.connection.as_mut() else {
            return;
        };
        let session = connection.session();
        let claimed = self.runtime.block_on(async {
            let claim = claim(session, &request).await?;
            // Only details have any. What they lack is told from the first moment, not from the next flush on.
            Ok::<_, PostgresError>((claim, read_books(session, &topic, place.1).await?))
        });
        match claimed {
            Ok((claim, _)) if claim.next_offset < start => self.halt(
                place,
                &format!(
                    "offset {} of {topic}[{}] is no longer in the log, which begins at {start}: retention has overtaken sink, \
                     and what lies between is lost; restore the topic or begin a new deployment",
                    claim.next_offset, place.1
                ),
            ),
            Ok((claim, books)) => {
                tracing::info!(stage = self.lane.label(place.0), partition = place.1, offset = claim.next_offset, epoch = claim.epoch, "claimed");
                let label = self.lane.label(place.0);
                self.shared.telemetry.places.begin((label, place.1), &topic, claim.next_offset);
                if let Some(books) = books {
                    let advance = Advance { books: Some(books_of(&books)), ..Advance::default() };
                    self.shared.telemetry.places.advance((label, place.1), advance);
                }
                self.places.claimed(place, claim);
                self.status(place, TaskStatus::Running);
            }
            Err(error) if error.is_retriable() => self.connection_failed(&describe(&error)),
            Err(error) => {
                let why = describe(&error);
                self.halt(place, &why);
                self.connection_failed(&why);
            }
        }
    }

    /// Fetches what is claimed, each place from what is not buffered yet.
    pub(super) fn assign(&mut self) -> anyhow::Result<()> {
        let places: Vec<(String, i32, i64)> = self
            .places
            .claims()
            .map(|((topic, partition), claimed)| {
                (
                    self.places.name(topic).to_owned(),
                    partition,
                    claimed.position,
                )
            })
            .collect();
        self.fetcher
            .assign(&places)
            .with_context(|| format!("{} can't be pointed at its partitions", L::NAME))
    }

    /// As [`Self::assign`], where places were given up: what is fetched of them in vain is dropped.
    pub(super) fn assign_or_warn(&mut self) {
        if let Err(error) = self.assign() {
            tracing::warn!(
                error = format!("{error:#}"),
                lane = L::NAME,
                "partitions given up are still fetched"
            );
        }
    }

    pub(super) fn wait(&mut self, place: Place, why: &str) {
        tracing::warn!(
            stage = self.lane.label(place.0),
            partition = place.1,
            error = why,
            "waiting"
        );
        self.lane.forget(place);
        self.places
            .unclaim(place, elapsed_us() + next_wait_us(&mut self.backoff));
        self.status(place, TaskStatus::Waiting(why.to_owned()));
    }

    pub(super) fn halt(&mut self, place: Place, why: &str) {
        tracing::error!(
            stage = self.lane.label(place.0),
            partition = place.1,
            reason = why,
            "sink halted here; it needs a person"
        );
        self.lane.forget(place);
        self.places.halt(place);
        self.status(place, TaskStatus::Halted(why.to_owned()));
    }

    pub(super) fn status(&self, place: Place, status: TaskStatus) {
        let label = self.lane.label(place.0);
        self.shared.telemetry.health.set(label, place.1, status);
    }
}
