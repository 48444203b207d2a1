//! Claiming places, and what becomes of those that can't be claimed: they wait, or halt.

use super::{LaneRunner, REQUEST, Record};
use crate::ports::{
    Advance, Claim, ClaimRequest, Connection, Database, DatabaseError, Fetcher, LaneMeter,
    LedgerDifference, Place, TaskStatus, World,
};
use crate::sink::claim::claim;
use crate::sink::lane::Lane;
use anyhow::Context as _;
use std::time::Duration;

/// How long the client may take to forget where it was before a claim, and how often it is asked.
const FORGET: Duration = Duration::from_secs(1);
const FORGET_POLL: Duration = Duration::from_millis(1);

impl<'f, W: World, D: Database, L: Lane<Record<'f, W>>> LaneRunner<'f, '_, W, D, L> {
    pub(super) async fn claim_what_is_due(&mut self) -> anyhow::Result<()> {
        let due = self.places.to_claim(self.world.elapsed_us());
        if due.is_empty() {
            return Ok(());
        }
        for &place in &due {
            self.claim(place).await;
        }
        self.assign()?;
        self.await_forgotten(&due).await;
        Ok(())
    }

    /// Waits until the client knows no position of these places: one from before the claim lies behind messages that we
    /// have dropped. Nothing is polled meanwhile, so what it says later is of what was read since.
    async fn await_forgotten(&mut self, claimed: &[Place]) {
        let deadline_us = self.world.elapsed_us() + FORGET.as_micros() as i64;
        for &place in claimed {
            while self.places.get(place).is_some() && self.fetcher.position(place).is_some() {
                if self.world.elapsed_us() >= deadline_us {
                    self.wait(place, "the Kafka client clings to a position from before");
                    break;
                }
                self.world.sleep(FORGET_POLL).await;
            }
        }
    }

    async fn claim(&mut self, place: Place) {
        let topic = self.places.name(place.0).to_owned();
        let start = match self.fetcher.watermarks(place, REQUEST).await {
            Ok((start, _)) => start,
            Err(error) => {
                let why = format!(
                    "the beginning of {topic}[{}] can't be read: {error:#}",
                    place.1
                );
                return self.wait(place, &why);
            }
        };
        let request = ClaimRequest {
            deployment: self.world.deployment(),
            topic: &topic,
            partition: place.1,
            initial_offset: start,
        };
        let Some(link) = self.link.as_mut() else {
            return;
        };
        match claim_with_books(&mut link.connection, &request).await {
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
                self.meter.claimed((label, place.1), &topic, claim.next_offset);
                if let Some(books) = books {
                    let advance = Advance { books: Some(books.lacking()), ..Advance::default() };
                    self.meter.advanced((label, place.1), advance);
                }
                self.places.claimed(place, claim);
                self.status(place, TaskStatus::Running);
            }
            Err(error) if error.is_retriable => self.connection_failed(&error.message),
            Err(error) => {
                self.halt(place, &error.message);
                self.connection_failed(&error.message);
            }
        }
    }

    /// Fetches what is claimed, each place from what is not buffered yet.
    pub(super) fn assign(&mut self) -> anyhow::Result<()> {
        let claims = self.places.claims();
        let places: Vec<(Place, i64)> = claims.map(|(place, c)| (place, c.position)).collect();
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
        let not_before_us = self.world.elapsed_us() + self.next_wait_us();
        self.places.unclaim(place, not_before_us);
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
        self.world.status(label, place.1, status);
    }
}

/// A claim, and what the books lack: only details have any. It is told from the first moment, not from the next flush on.
async fn claim_with_books(
    connection: &mut impl Connection,
    request: &ClaimRequest<'_>,
) -> Result<(Claim, Option<LedgerDifference>), DatabaseError> {
    let claim = claim(connection, request).await?;
    let books = connection
        .read_books(request.topic, request.partition)
        .await?;
    Ok((claim, books))
}
