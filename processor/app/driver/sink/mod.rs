//! SINK: what the topics hold, into PostgreSQL, with the offsets in the transaction that holds their effects.
//!
//! Three lanes, each with a thread, a group, a consumer and a connection of its own, so that none waits for another:
//!
//! ```text
//! details       process-observations     COPY, at once
//! rollups       rollup-updates-*         upserts, coalesced for some seconds, cut where ROLLUP's transactions end
//! dead letters  dead-letters             COPY, at once
//! ```
//!
//! Invariants: a lane writes only what it has claimed (`postgres::claim`), and starts where the claim says; after
//! anything but a known commit it drops the connection and all that is buffered, connects, claims and reads again.
//!
//! Must not know: SQL, Kafka's client library.

mod copy_lane;
mod housekeeping;
mod lane;
mod lane_meter;
mod lane_thread;
mod places;
mod rollups;

use super::Shared;
use super::{Control, Signal};
use crate::kafka::fetch::Fetcher;
use crate::postgres::{PostgresSettings, RetentionPolicy};
use crate::telemetry::health::Health;
use copy_lane::{CopyKind, CopyLane, DeadLetters, Details};
use lane::Lane;
use lane_thread::LaneThread;
use rollups::RollupsLane;
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

/// Tells readiness which groups SINK's lanes are to join.
pub(super) fn expect_sink(config: &SinkConfig, health: &Health) {
    health.expect(Details::NAME, config.details_lanes.max(1) as usize);
    health.expect(<RollupsLane as Lane>::NAME, 1);
    health.expect(DeadLetters::NAME, 1);
}

/// Runs SINK until `stop` says otherwise, then flushes, gives its partitions up and leaves the groups.
///
/// # Errors
/// If the groups can't be joined at all, for a setting is wrong.
pub fn run_sink(config: &SinkConfig, shared: &Shared, stop: &Control) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let housekeeping = scope.spawn(|| housekeeping::keep_house(config, stop));
        let mut lanes = Vec::new();
        for _ in 0..config.details_lanes.max(1) {
            lanes.push(scope.spawn(|| {
                let fetcher = Fetcher::new(&shared.kafka, Details::NAME)?;
                let lane = CopyLane::<Details>::new(config.details_interval);
                LaneThread::new(lane, &fetcher, config, shared, stop)?.run()
            }));
        }
        lanes.push(scope.spawn(|| {
            let fetcher = Fetcher::new(&shared.kafka, <RollupsLane as Lane>::NAME)?;
            let lane = RollupsLane::new(config.rollups_interval);
            LaneThread::new(lane, &fetcher, config, shared, stop)?.run()
        }));
        lanes.push(scope.spawn(|| {
            let fetcher = Fetcher::new(&shared.kafka, DeadLetters::NAME)?;
            let lane = CopyLane::<DeadLetters>::new(config.details_interval);
            LaneThread::new(lane, &fetcher, config, shared, stop)?.run()
        }));
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
