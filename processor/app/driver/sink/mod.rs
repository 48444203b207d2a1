//! SINK's threads: one per lane of `rollcall_driver::sink`, with a connection to PostgreSQL each, and one that keeps house.
//!
//! Must not know: SQL, Kafka's client library.

mod housekeeping;
mod lane_meter;

pub(super) use lane_meter::Meter;

use super::Shared;
use super::world::World;
use super::{Control, Signal};
use crate::postgres::{PostgresSettings, RetentionPolicy, SinkDatabase};
use crate::telemetry::health::Health;
use rollcall_driver::sink::{SinkLane, run_sink_lane};
use std::time::Duration;

/// Settings of SINK.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// How to reach PostgreSQL.
    pub postgres: PostgresSettings,
    /// How long details and dead letters wait for the next flush, at most, unless a batch is full before.
    pub details_interval: Duration,
    /// How long rollups are coalesced.
    pub rollups_interval: Duration,
    /// Lanes of details that run side by side here, each with a connection of its own.
    pub details_lanes: u32,
    /// What is kept.
    pub retention: RetentionPolicy,
}

impl SinkConfig {
    /// Every lane that runs here, with its interval.
    fn lanes(&self) -> Vec<(SinkLane, Duration)> {
        let details = (SinkLane::Details, self.details_interval);
        let mut lanes = vec![details; self.details_lanes.max(1) as usize];
        lanes.push((SinkLane::Rollups, self.rollups_interval));
        lanes.push((SinkLane::DeadLetters, self.details_interval));
        lanes
    }
}

/// Tells readiness which groups SINK's lanes are to join.
pub(super) fn expect_sink(config: &SinkConfig, health: &Health) {
    health.expect(
        SinkLane::Details.name(),
        config.details_lanes.max(1) as usize,
    );
    health.expect(SinkLane::Rollups.name(), 1);
    health.expect(SinkLane::DeadLetters.name(), 1);
}

/// Runs SINK until `stop` says otherwise, then flushes, gives its partitions up and leaves the groups.
///
/// # Errors
/// If the groups can't be joined at all, for a setting is wrong.
pub fn run_sink(config: &SinkConfig, shared: &Shared, stop: &Control) -> anyhow::Result<()> {
    let world = &World::new(shared);
    let database = &SinkDatabase::new(&config.postgres, &shared.kafka.deployment);
    std::thread::scope(|scope| {
        let housekeeping = scope.spawn(|| housekeeping::keep_house(config, stop));
        let lanes: Vec<_> = config
            .lanes()
            .into_iter()
            .map(|(lane, interval)| {
                scope.spawn(move || {
                    // What is asked of Kafka blocks this thread, which has nothing else to do; what is asked of PostgreSQL
                    // waits for its socket.
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()?;
                    runtime.block_on(run_sink_lane(lane, interval, world, database, stop))
                })
            })
            .collect();
        let mut result = Ok(());
        for lane in lanes {
            let ended = lane
                .join()
                .map_err(|_| anyhow::anyhow!("a lane of sink panicked; see the log"))
                .and_then(|ended| ended);
            // A lane that can't go on takes the others down in order.
            stop.send(Signal::Drain);
            result = result.and(ended);
        }
        if housekeeping.join().is_err() {
            tracing::error!("sink's housekeeping panicked; see the log");
        }
        result
    })
}
