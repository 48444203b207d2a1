//! What operators see of a running process: metrics, log lines, liveness and readiness, one HTTP port.
//!
//! Invariants: no label holds a machine, a user, a pid or a command (the number of series is bounded by partitions,
//! stages and reasons); `/live` depends on nothing; gauges of a partition are made at the moment of a scrape from what
//! [`places`] holds, so they are gone with the place. All metrics are defined in [`metrics`], nowhere else.
//!
//! Must not know: Kafka, SQL, how a stage works. `driver` tells it; it never asks.

pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod places;
mod process;
pub(crate) mod troubles;

use health::Health;
use metrics::Metrics;
use places::Places;
use std::sync::{Arc, Mutex, PoisonError};

/// All of a process' telemetry; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// What works and what is missing.
    pub health: Health,
    /// How far each partition that is worked on here has come.
    pub places: Places,
    /// One scrape at a time: gauges are made anew for each.
    scrape: Arc<Mutex<()>>,
}

impl Telemetry {
    /// Everything in Prometheus' text format, as of this wall-clock time.
    ///
    /// # Errors
    /// If the encoder fails, which would be its fault.
    pub fn render(&self, now_us: i64) -> prometheus::Result<String> {
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.health.measure(&self.metrics);
        self.places.measure(&self.metrics, now_us);
        self.metrics.render()
    }
}
