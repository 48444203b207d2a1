//! Fetching what is claimed, up to what a flush holds.

use super::{LaneThread, POLL, REQUEST};
use crate::driver::sink::lane::Lane;
use crate::driver::sink::places::Place;
use crate::kafka::fetch::{Fetched, Incoming, Polled};
use rollcall_stages::layout::TOPICS;
use std::time::Duration;

/// Messages that are taken before the group is served again.
const MESSAGES_PER_STEP: usize = 1_000;

impl<'f, L: Lane<'f>> LaneThread<'f, '_, L> {
    pub(super) fn fetch(&mut self) -> anyhow::Result<()> {
        let mut patience = POLL;
        for _ in 0..MESSAGES_PER_STEP {
            if self.lane.is_full() {
                break;
            }
            match self.fetcher.poll(patience) {
                Polled::Record(message) => self.take(message)?,
                Polled::Nothing => break,
                Polled::OutOfRange => return self.find_out_of_range(),
                Polled::Trouble(error) => {
                    tracing::debug!(%error, lane = L::NAME, "fetching goes on");
                    break;
                }
            }
            patience = Duration::ZERO;
        }
        Ok(())
    }

    fn take(&mut self, message: Fetched<'f>) -> anyhow::Result<()> {
        let incoming = Incoming::of(&message);
        let Some(topic) = self.places.topic(incoming.topic) else {
            return Ok(());
        };
        let place = (topic, incoming.partition);
        let offset = incoming.offset;
        match self.places.get(place) {
            Some(claimed) if offset >= claimed.position => {}
            // Fetched before the place was given up or claimed anew.
            _ => return Ok(()),
        }
        if !self.learn(place, &incoming) {
            return self.assign();
        }
        self.places.taken(place, offset);
        match self.lane.take(topic, message) {
            Ok(()) => Ok(()),
            Err(why) => {
                self.halt(place, &why);
                self.assign()
            }
        }
    }

    /// Looks a writer's schema up before its first message; `false` if the place can't go on now.
    fn learn(&mut self, place: Place, incoming: &Incoming<'_>) -> bool {
        let (value, header) = (incoming.value, incoming.schema_header);
        if let Some(schema) = self.lane.reader().needed(value, header) {
            let layout = &TOPICS[usize::from(place.0.0)];
            match self.shared.registry.lookup(layout, schema) {
                Ok(lookup) => self.lane.reader().learn(schema, &lookup),
                Err(error) => {
                    self.wait(place, &error.to_string());
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
    fn find_out_of_range(&mut self) -> anyhow::Result<()> {
        let claims: Vec<(Place, i64)> = self
            .places
            .claims()
            .map(|(place, claimed)| (place, claimed.position))
            .collect();
        for (place, position) in claims {
            let topic = self.places.name(place.0).to_owned();
            match self.fetcher.watermarks(&topic, place.1, REQUEST) {
                Ok((start, end)) if position < start || position > end => self.halt(
                    place,
                    &format!(
                        "offset {position} of {topic}[{}] is not in the log, which holds {start} to {end}: was the topic made anew, or \
                         cut by retention? Restore it or begin a new deployment with a new database",
                        place.1
                    ),
                ),
                Ok(_) => {}
                Err(error) => self.wait(place, &format!("the ends of {topic}[{}] can't be read: {error}", place.1)),
            }
        }
        self.assign()
    }
}
