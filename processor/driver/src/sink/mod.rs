//! SINK: what the topics hold, into PostgreSQL, with the offsets in the transaction that holds their effects.
//!
//! Three kinds of lane, each a member of a group of its own, with a consumer and a connection, so that none waits for
//! another:
//!
//! ```text
//! details       process-observations     COPY, at once
//! rollups       rollup-updates-*         upserts, coalesced for some seconds, cut where ROLLUP's transactions end
//! dead letters  dead-letters             COPY, at once
//!
//! claim ──► flush_details │ flush_rollups │ flush_dead_letters ──► release
//!              │ before the transaction: the tables' partitions, dimension rows, snapshot numbers
//!              │ BEGIN
//!              │   compare-and-set of all offsets (epoch, next_offset) ── not all ──► ROLLBACK, Fenced
//!              │   retention horizon FOR SHARE
//!              │   COPY, upserts, ledger or progress
//!              └ COMMIT ── no answer ──► Unknown: connect, claim, read where it stands
//! ```
//!
//! Invariants: a lane writes only what it has claimed, and starts where the claim says; after anything but a known commit
//! it drops the connection and all that is buffered, connects, claims and reads again.
//!
//! Must not know: SQL, Kafka's client library, threads.

mod claim;
mod copy_lane;
mod dead_letters;
mod details;
mod flush;
mod lane;
mod places;
mod rollups;
mod rollups_lane;
mod runner;

pub use claim::{belongs_to_another, claim};
pub use dead_letters::{DeadLetterBatch, DeadLettersFlushed, flush_dead_letters};
pub use details::{DetailsBatch, DetailsFlushed, flush_details};
pub use flush::{FlushError, Link, begin_flush, commit_flush, move_offsets};
pub use lane::Flushed;
pub use rollups::{RollupsFlushed, flush_rollups};

use crate::control::Control;
use crate::ports::{Database, World};
use copy_lane::{CopyKind, CopyLane, DeadLetters, Details};
use rollups_lane::RollupsLane;
use runner::run_lane;
use std::time::Duration;

/// A kind of lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SinkLane {
    /// Snapshots and their processes.
    Details,
    /// Rollups of all grouping sets.
    Rollups,
    /// Dead letters.
    DeadLetters,
}

impl SinkLane {
    /// Its name: of its group, its client, its connection.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SinkLane::Details => Details::NAME,
            SinkLane::Rollups => RollupsLane::NAME,
            SinkLane::DeadLetters => DeadLetters::NAME,
        }
    }
}

/// Runs a lane until `stop` says otherwise, then flushes what is whole, gives its places up and leaves the group. What it
/// holds waits for `interval` at most, unless a batch is full before.
///
/// # Errors
/// If the group can't be joined at all, for a setting is wrong; if the client refuses to be pointed at its partitions.
pub async fn run_sink_lane<W: World, D: Database>(
    lane: SinkLane,
    interval: Duration,
    world: &W,
    database: &D,
    stop: &Control,
) -> anyhow::Result<()> {
    let fetcher = &world.fetcher(lane.name())?;
    match lane {
        SinkLane::Details => {
            let lane = CopyLane::<_, Details>::new(interval);
            run_lane(lane, fetcher, world, database, stop).await
        }
        SinkLane::Rollups => {
            let lane = RollupsLane::new(interval);
            run_lane(lane, fetcher, world, database, stop).await
        }
        SinkLane::DeadLetters => {
            let lane = CopyLane::<_, DeadLetters>::new(interval);
            run_lane(lane, fetcher, world, database, stop).await
        }
    }
}
