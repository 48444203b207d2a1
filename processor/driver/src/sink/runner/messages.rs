//! Fetching what is claimed, up to what a flush holds.

use super::{LaneRunner, POLL, REQUEST, Record};
use crate::ports::{Database, Fetcher, Place, Polled, Received, World};
use crate::sink::lane::Lane;
use rollcall_engine::record::InputRecord;
use rollcall_stages::layout::TOPICS;
use std::time::Duration;

/// Messages that are taken before the group is served again.
const MESSAGES_PER_STEP: usize = 1_000;

impl<'f, W: World, D: Database, L: Lane<Record<'f, W>>> LaneRunner<'f, '_, W, D, L> {
    pub(super) async fn fetch(&mut self) -> anyhow::Result<()> {
        let mut patience = POLL;
        for _ in 0..MESSAGES_PER_STEP {
            if self.lane.is_full() {
                break;
            }
            match self.fetcher.poll(patience).await {
                Polled::Record(message) => self.take(message).await?,
                Polled::Nothing => break,
                Polled::OutOfRange => return self.find_out_of_range().await,
                Polled::Trouble(error) => {
                    tracing::debug!(
                        error = format!("{error:#}"),
                        lane = L::NAME,
                        "fetching goes on"
                    );
                    break;
                }
            }
            patience = Duration::ZERO;
        }
        Ok(())
    }

    async fn take(&mut self, message: Record<'f, W>) -> anyhow::Result<()> {
        let incoming = message.record();
        let place = (message.topic(), incoming.partition);
        let offset = incoming.offset;
        match self.places.get(place) {
            Some(claimed) if offset >= claimed.position => {}
            // Fetched before the place was given up or claimed anew.
            _ => return Ok(()),
        }
        if !self.learn(place, &incoming).await {
            return self.assign();
        }
        self.places.taken(place, offset);
        match self.lane.take(message) {
            Ok(()) => Ok(()),
            Err(why) => {
                self.halt(place, &why);
                self.assign()
            }
        }
    }

    /// Looks a writer's schema up before its first message; `false` if the place can't go on now.
    async fn learn(&mut self, place: Place, incoming: &InputRecord<'_>) -> bool {
        let (value, header) = (incoming.value, incoming.schema_header);
        if let Some(schema) = self.lane.reader().needed(value, header) {
            let layout = &TOPICS[usize::from(place.0.0)];
            match self.world.lookup(layout, schema).await {
                Ok(lookup) => self.lane.reader().learn(schema, &lookup),
                Err(error) => {
                    self.wait(place, &format!("{error:#}"));
                    return false;
                }
            }
        }
        if let Some(error) = self.lane.reader().incompatible(value, header) {
            let why = format!(
                "offset {} was written with a schema that this version of rollcall can't read ({error}); upgrade it",
                incoming.offset
            );
            self.halt(place, &why);
            return false;
        }
        true
    }

    /// A position is not in the log any more, or not yet: the log was cut or made anew.
    async fn find_out_of_range(&mut self) -> anyhow::Result<()> {
        let claims: Vec<(Place, i64)> = self
            .places
            .claims()
            .map(|(place, claimed)| (place, claimed.position))
            .collect();
        for (place, position) in claims {
            let topic = self.places.name(place.0).to_owned();
            match self.fetcher.watermarks(place, REQUEST).await {
                Ok((start, end)) if position < start || position > end => self.halt(
                    place,
                    &format!(
                        "offset {position} of {topic}[{}] is not in the log, which holds {start} to {end}: was the topic made anew, or \
                         cut by retention? Restore it or begin a new deployment with a new database",
                        place.1
                    ),
                ),
                Ok(_) => {}
                Err(error) => self.wait(place, &format!("the ends of {topic}[{}] can't be read: {error:#}", place.1)),
            }
        }
        self.assign()
    }
}
