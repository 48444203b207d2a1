//! The lane's connection: opened when it is needed, thrown away with all that it was used for once it fails.

use super::{LaneRunner, PING_US, POLL, Record};
use crate::ports::{Connection, Database, Place, TaskStatus, World};
use crate::sink::flush::Link;
use crate::sink::lane::Lane;
use rollcall_defects::{Defect, is_on};

impl<'f, W: World, D: Database, L: Lane<Record<'f, W>>> LaneRunner<'f, '_, W, D, L> {
    /// Whether there is a connection now.
    pub(super) async fn connect(&mut self) -> bool {
        if self.link.is_some() {
            return true;
        }
        if self.world.elapsed_us() < self.connect_not_before_us {
            self.world.sleep(POLL).await;
            return false;
        }
        match Link::open(self.database, L::NAME).await {
            Ok(mut link) => {
                if let Some(memory) = self.relic.take() {
                    link.memory = memory;
                }
                self.link = Some(link);
                self.answered_at_us = self.world.elapsed_us();
                true
            }
            Err(error) => {
                self.connection_failed(&error.message);
                false
            }
        }
    }

    /// Looks whether a connection that was not used for a while is still there. A standby may have taken over that lacks our
    /// last flush: who has nothing new to store would never learn of it.
    pub(super) async fn ping_if_due(&mut self) {
        let now_us = self.world.elapsed_us();
        let is_due = now_us - self.answered_at_us >= PING_US;
        let Some(link) = self.link.as_mut().filter(|_| is_due) else {
            return;
        };
        self.answered_at_us = now_us;
        if is_on(Defect::IdleConnectionNotAsked) {
            return;
        }
        if let Err(error) = link.connection.ping().await {
            self.connection_failed(&error.message);
        }
    }

    /// How long to wait after a failure.
    pub(super) fn next_wait_us(&mut self) -> i64 {
        self.backoff.next(self.world.jitter()).as_micros() as i64
    }

    /// Nothing is certain any more but what PostgreSQL will say.
    pub(super) fn connection_failed(&mut self, why: &str) {
        let link = self.link.take();
        if is_on(Defect::MemoryKept) {
            self.relic = link.map(|link| link.memory);
        }
        let wait_us = self.next_wait_us();
        self.connect_not_before_us = self.world.elapsed_us() + wait_us;
        tracing::warn!(lane = L::NAME, error = why, "waiting for PostgreSQL");
        for place in self.places.all() {
            if !is_on(Defect::BufferKept) {
                self.lane.forget(place);
            }
            self.places.unclaim(place, 0);
            if !self.places.is_halted(place) {
                self.status(place, TaskStatus::Waiting(why.to_owned()));
            }
        }
    }

    /// Gives a place up in peace, so that the next owner need not end this connection.
    pub(super) async fn release(&mut self, place: Place, epoch: i64) {
        let Some(link) = self.link.as_mut() else {
            return;
        };
        let topic = self.places.name(place.0);
        let released = link.connection.release(topic, place.1, epoch).await;
        if let Err(error) = released {
            self.connection_failed(&error.message);
        }
    }
}
