//! One lane at work: a member of its group, a consumer, a connection.
//!
//! ```text
//! group says what is ours ─► claim in PostgreSQL ─► read from where the claim says ─► hold ─► flush ─► …
//!                                 ▲ fenced: that place only                              │
//!                                 └── connection failed, or a commit's outcome unknown: all places
//! ```
//!
//! A member that is fenced or waits goes on serving the group; it claims again after a backoff, and only what is
//! still its own.
//!
//! This file has its life and its group; [`connection`], [`claims`], [`messages`] and [`flushes`] the rest.

mod claims;
mod connection;
mod flushes;
mod messages;

use super::flush::Link;
use super::lane::Lane;
use super::places::Places;
use crate::backoff::Backoff;
use crate::control::{Control, Signal};
use crate::ports::{
    Advance, Connection, Database, Fetcher, LaneMeter, Membership, Place, Rebalance, TaskStatus,
    World,
};
use rollcall_defects::{Defect, is_on};
use rollcall_stages::layout::TopicLayout;
use std::time::Duration;

/// How long one request to a broker may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(50);
/// How often telemetry is told how far we have come while nothing is flushed.
const MEASURE_US: i64 = 1_000_000;
/// How long a connection goes unused before it is looked at.
const PING_US: i64 = 10_000_000;
/// How often the group is told how far we have come.
const REPORT_US: i64 = 5_000_000;

/// A record that a world's consumer holds for us.
type Record<'f, W> = <<W as crate::ports::Kafka>::Fetcher as Fetcher>::Record<'f>;

/// Runs a lane until `stop` says otherwise, then flushes what is whole, gives its places up and leaves the group.
///
/// # Errors
/// If the group can't be joined at all, for a setting is wrong; if the client refuses to be pointed at its partitions.
pub(super) async fn run_lane<'f, W, D, L>(
    lane: L,
    fetcher: &'f W::Fetcher,
    world: &W,
    database: &D,
    stop: &Control,
) -> anyhow::Result<()>
where
    W: World,
    D: Database,
    L: Lane<Record<'f, W>>,
{
    let topics = lane.topics();
    let indexes: Vec<_> = topics.iter().map(|topic| topic.index).collect();
    let named = |topic: TopicLayout| (topic, world.topic_name(topic.index).to_owned());
    let runner = LaneRunner {
        membership: world.join(L::NAME, &indexes)?,
        places: Places::new(topics.into_iter().map(named).collect()),
        meter: world.lane_meter(L::NAME),
        passed_markers_at_us: world.elapsed_us(),
        lane,
        fetcher,
        world,
        database,
        stop,
        link: None,
        relic: None,
        connect_not_before_us: 0,
        backoff: Backoff::new(),
        flushed_at_us: 0,
        reported_at_us: 0,
        measured_at_us: 0,
        answered_at_us: 0,
        joined: false,
    };
    runner.run().await
}

/// Everything that one lane works with.
struct LaneRunner<'f, 'a, W: World, D: Database, L> {
    lane: L,
    fetcher: &'f W::Fetcher,
    world: &'a W,
    database: &'a D,
    stop: &'a Control,
    membership: W::Membership,
    link: Option<Link<D::Connection>>,
    /// What the connection before remembered: kept with [`Defect::MemoryKept`](rollcall_defects::Defect) only.
    relic: Option<<D::Connection as Connection>::Memory>,
    connect_not_before_us: i64,
    places: Places,
    /// After failures of the connection, of claims and of schema look-ups.
    backoff: Backoff,
    flushed_at_us: i64,
    reported_at_us: i64,
    measured_at_us: i64,
    passed_markers_at_us: i64,
    /// When the connection last answered.
    answered_at_us: i64,
    meter: W::LaneMeter,
    /// Whether the group has said anything since we came, or were thrown out.
    joined: bool,
}

impl<'f, W: World, D: Database, L: Lane<Record<'f, W>>> LaneRunner<'f, '_, W, D, L> {
    async fn run(mut self) -> anyhow::Result<()> {
        while self.stop.signal() == Signal::Run {
            self.step().await?;
        }
        self.world.stopping();
        let all = self.places.all();
        self.give_up(&all, self.stop.signal() == Signal::Abandon)
            .await;
        if let Some(link) = self.link.take() {
            link.connection.close().await;
        }
        Ok(())
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        let idle = self.places.claims().next().is_none();
        self.serve_group(if idle { POLL } else { Duration::ZERO })
            .await?;
        if self.places.all().is_empty() || !self.connect().await {
            return Ok(());
        }
        self.claim_what_is_due().await?;
        if self.places.claims().next().is_some() {
            self.fetch().await?;
            self.flush_if_due().await;
        }
        self.pass_markers_if_due().await;
        self.ping_if_due().await;
        self.measure();
        self.report();
        Ok(())
    }

    // The group.

    async fn serve_group(&mut self, timeout: Duration) -> anyhow::Result<()> {
        match self.membership.poll(timeout).await {
            None => {}
            Some(Rebalance::Assigned(places)) => {
                if !std::mem::replace(&mut self.joined, true) {
                    self.world.joined(L::NAME);
                }
                self.membership.accept(&places)?;
                for place in places {
                    tracing::info!(
                        stage = self.lane.label(place.0),
                        partition = place.1,
                        "assigned"
                    );
                    self.places.add(place);
                    self.status(place, TaskStatus::Starting);
                }
            }
            Some(Rebalance::Revoked { places, lost }) => {
                if lost && std::mem::replace(&mut self.joined, false) {
                    self.world.left(L::NAME);
                }
                self.give_up(&places, lost).await;
                self.membership.release(&places)?;
            }
        }
        Ok(())
    }

    /// Gives places up: what is whole is flushed before, unless others may own them already.
    async fn give_up(&mut self, places: &[Place], lost: bool) {
        if !lost && places.iter().any(|place| self.places.get(*place).is_some()) {
            self.flush().await;
            self.pass_markers().await;
        }
        for &place in places {
            if let (false, Some(claimed)) = (lost, self.places.get(place).copied()) {
                self.release(place, claimed.epoch).await;
            }
            self.lane.forget(place);
            self.places.remove(place);
            self.world.ended(self.lane.label(place.0), place.1);
        }
        self.assign_or_warn();
    }

    /// Tells telemetry where we stand: behind the markers of transactions, too, where nothing is held.
    fn measure(&mut self) {
        let now_us = self.world.elapsed_us();
        if now_us - self.measured_at_us < MEASURE_US {
            return;
        }
        self.measured_at_us = now_us;
        for (place, stored, position) in self.behind_markers() {
            let advance = Advance {
                next_offset: stored,
                passed_offset: position,
                ..Advance::default()
            };
            let place = (self.lane.label(place.0), place.1);
            self.meter.advanced(place, advance);
        }
    }

    /// The places of which nothing is held, with what is stored and how far the client has read.
    fn behind_markers(&mut self) -> Vec<(Place, i64, i64)> {
        let claims = self.places.claims().map(|(place, _)| place);
        let is_idle =
            |place: &Place| !self.lane.holds(*place) || is_on(Defect::HeldTakenForMarkers);
        let idle: Vec<Place> = claims.filter(is_idle).collect();
        for place in &idle {
            let position = self.fetcher.position(*place).unwrap_or_default();
            self.places.passed(*place, position);
        }
        idle.into_iter()
            .filter_map(|place| {
                let claimed = self.places.get(place)?;
                Some((place, claimed.stored, claimed.position))
            })
            .collect()
    }

    /// Tells the group how far we have come, for lag displays.
    fn report(&mut self) {
        let now_us = self.world.elapsed_us();
        if now_us - self.reported_at_us < REPORT_US {
            return;
        }
        self.reported_at_us = now_us;
        let claims = self.places.claims();
        let offsets: Vec<(Place, i64)> = claims.map(|(place, c)| (place, c.stored)).collect();
        if !offsets.is_empty() {
            self.membership.report(&offsets);
        }
    }
}
