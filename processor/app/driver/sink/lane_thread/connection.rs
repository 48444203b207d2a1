//! The lane's connection: opened when it is needed, thrown away with all that it was used for once it fails.

use super::{LaneThread, POLL, REQUEST};
use crate::clock::elapsed_us;
use crate::driver::next_wait_us;
use crate::driver::sink::lane::Lane;
use crate::postgres::{PostgresError, PostgresSettings, SinkConnection, pending_migrations};
use crate::telemetry::health::TaskStatus;

impl<'f, L: Lane<'f>> LaneThread<'f, '_, L> {
    /// Whether there is a connection now.
    pub(super) fn connect(&mut self) -> bool {
        if self.connection.is_some() {
            return true;
        }
        if elapsed_us() < self.connect_not_before_us {
            std::thread::sleep(POLL);
            return false;
        }
        let settings = self.settings.clone();
        match self.runtime.block_on(open(&settings)) {
            Ok(connection) => {
                self.connection = Some(connection);
                true
            }
            Err(error) => {
                self.connection_failed(&format!("{error:#}"));
                false
            }
        }
    }

    /// Nothing is certain any more but what PostgreSQL will say.
    pub(super) fn connection_failed(&mut self, why: &str) {
        self.connection = None;
        let wait_us = next_wait_us(&mut self.backoff);
        self.connect_not_before_us = elapsed_us() + wait_us;
        tracing::warn!(lane = L::NAME, error = why, "waiting for PostgreSQL");
        for place in self.places.all() {
            self.lane.forget(place);
            self.places.unclaim(place, 0);
            if !self.places.is_halted(place) {
                self.status(place, TaskStatus::Waiting(why.to_owned()));
            }
        }
    }

    /// Does something with the connection; one that fails is thrown away.
    pub(super) fn with_connection<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SinkConnection) -> Result<T, PostgresError>,
    ) -> Option<T> {
        let connection = self.connection.as_mut()?;
        match self.runtime.block_on(work(connection)) {
            Ok(value) => Some(value),
            Err(error) => {
                self.connection_failed(&describe(&error));
                None
            }
        }
    }
}

/// Connects, unless the database is not migrated.
async fn open(settings: &PostgresSettings) -> anyhow::Result<SinkConnection> {
    let connecting = SinkConnection::connect(settings);
    let mut connection = tokio::time::timeout(REQUEST, connecting)
        .await
        .map_err(|_| {
            anyhow::anyhow!("can't connect to PostgreSQL: no answer within {REQUEST:?}")
        })??;
    let pending = pending_migrations(connection.session()).await?;
    anyhow::ensure!(
        pending.is_empty(),
        "the database lacks {} migrations; run `rollcall bootstrap`",
        pending.len()
    );
    Ok(connection)
}

/// An error with its cause.
pub(super) fn describe(error: &PostgresError) -> String {
    match &error.source {
        Some(source) => format!("{error} ({source})"),
        None => error.to_string(),
    }
}
