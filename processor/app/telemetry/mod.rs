//! What operators see of a running process: metrics, log events, liveness and readiness, one HTTP port.
//!
//! Something worth telling happens once and is told once: a function in [`events`] writes the log line and moves the
//! metrics, so that the two can't drift apart. All metrics are defined in [`metrics`], nowhere else.
//!
//! Invariants: no label holds a machine, a user, a pid or a command (the number of series is bounded by partitions,
//! stages and reasons); `/live` depends on nothing; a gauge of a partition goes when its task goes.
//!
//! Must not know: Kafka, SQL, how a stage works. `driver` tells it; it never asks.

pub mod events;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod positions;
mod process;

use health::Health;
use metrics::Metrics;
use positions::Positions;
use std::sync::Arc;

/// All of a process' telemetry; clones share it.
#[derive(Clone, Default)]
pub struct Telemetry {
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// What works and what is missing.
    pub health: Health,
    /// How far each task has come in its input.
    pub positions: Positions,
}
