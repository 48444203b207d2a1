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

use super::SinkConfig;
use super::lane::Lane;
use super::lane_meter::LaneMeter;
use super::places::{Place, Places};
use crate::clock::elapsed_us;
use crate::driver::{Backoff, Control, Shared, Signal};
use crate::kafka::fetch::Fetcher;
use crate::kafka::membership::{Membership, Place as GroupPlace, Rebalance};
use crate::postgres::{PostgresSettings, SinkConnection, release};
use crate::telemetry::health::TaskStatus;
use crate::telemetry::places::Advance;
use rollcall_stages::layout::TopicLayout;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long one request to a broker, or connecting to PostgreSQL, may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(50);
/// How often telemetry is told how far we have come while nothing is flushed.
const MEASURE_US: i64 = 1_000_000;
/// How often the group is told how far we have come.
const REPORT_US: i64 = 5_000_000;

/// Everything that one lane works with.
pub(super) struct LaneThread<'f, 'a, L> {
    lane: L,
    fetcher: &'f Fetcher,
    settings: PostgresSettings,
    shared: &'a Shared,
    stop: &'a Control,
    membership: Membership,
    runtime: Runtime,
    connection: Option<SinkConnection>,
    connect_not_before_us: i64,
    places: Places,
    /// After failures of the connection, of claims and of schema look-ups.
    backoff: Backoff,
    flushed_at_us: i64,
    reported_at_us: i64,
    measured_at_us: i64,
    passed_markers_at_us: i64,
    meter: LaneMeter,
    /// Whether the group has said anything since we came, or were thrown out.
    joined: bool,
}

impl<'f, 'a, L: Lane<'f>> LaneThread<'f, 'a, L> {
    /// Joins the lane's group.
    pub(super) fn new(
        lane: L,
        fetcher: &'f Fetcher,
        config: &SinkConfig,
        shared: &'a Shared,
        stop: &'a Control,
    ) -> anyhow::Result<Self> {
        let named = |topic: TopicLayout| (topic, shared.kafka.topic(topic.name));
        let places = Places::new(lane.topics().into_iter().map(named).collect());
        let membership = Membership::join(
            &shared.kafka,
            &shared.kafka.group(L::NAME),
            &places.topic_names(),
        )?;
        let settings = PostgresSettings {
            application_name: format!("rollcall {} {}", shared.kafka.deployment, L::NAME),
            ..config.postgres.clone()
        };
        Ok(Self {
            lane,
            fetcher,
            settings,
            shared,
            stop,
            membership,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            connection: None,
            connect_not_before_us: 0,
            places,
            backoff: Backoff::new(),
            flushed_at_us: 0,
            reported_at_us: 0,
            measured_at_us: 0,
            passed_markers_at_us: elapsed_us(),
            meter: LaneMeter::new(&shared.telemetry, L::NAME),
            joined: false,
        })
    }

    /// Runs until the control says otherwise, then flushes what is whole and gives everything up.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        while self.stop.signal() == Signal::Run {
            self.step()?;
        }
        self.shared.telemetry.health.stopping();
        let all = self.places.all();
        self.give_up(&all, self.stop.signal() == Signal::Abandon);
        if let Some(connection) = self.connection.take() {
            self.runtime.block_on(connection.close());
        }
        Ok(())
    }

    fn step(&mut self) -> anyhow::Result<()> {
        let idle = self.places.claims().next().is_none();
        self.serve_group(if idle { POLL } else { Duration::ZERO })?;
        if self.places.all().is_empty() || !self.connect() {
            return Ok(());
        }
        self.claim_what_is_due()?;
        if self.places.claims().next().is_some() {
            self.fetch()?;
            self.flush_if_due();
        }
        self.pass_markers_if_due();
        self.measure();
        self.report();
        Ok(())
    }

    // The group.

    fn serve_group(&mut self, timeout: Duration) -> anyhow::Result<()> {
        match self.membership.poll(timeout) {
            None => {}
            Some(Rebalance::Assigned(given)) => {
                if !std::mem::replace(&mut self.joined, true) {
                    self.shared.telemetry.health.joined(L::NAME);
                }
                self.membership.accept(&given)?;
                for place in self.places_of(&given) {
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
                    self.shared.telemetry.health.left(L::NAME);
                }
                let ours = self.places_of(&places);
                self.give_up(&ours, lost);
                self.membership.release(&places)?;
            }
        }
        Ok(())
    }

    fn places_of(&self, given: &[GroupPlace]) -> Vec<Place> {
        given
            .iter()
            .filter_map(|(topic, partition)| Some((self.places.topic(topic)?, *partition)))
            .collect()
    }

    /// Gives places up: what is whole is flushed before, unless others may own them already.
    fn give_up(&mut self, places: &[Place], lost: bool) {
        if !lost && places.iter().any(|place| self.places.get(*place).is_some()) {
            self.flush();
            self.pass_markers();
        }
        for &place in places {
            if let (false, Some(claimed)) = (lost, self.places.get(place).copied()) {
                let topic = self.places.name(place.0).to_owned();
                self.with_connection(async |connection| {
                    release(connection.session(), &topic, place.1, claimed.epoch).await
                });
            }
            self.lane.forget(place);
            self.places.remove(place);
            let label = self.lane.label(place.0);
            self.shared.telemetry.health.remove(label, place.1);
            self.shared.telemetry.places.remove((label, place.1));
        }
        self.assign_or_warn();
    }

    /// Tells telemetry where we stand: behind the markers of transactions, too, where nothing is held.
    fn measure(&mut self) {
        let now_us = elapsed_us();
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
            self.shared.telemetry.places.advance(place, advance);
        }
    }

    /// The places of which nothing is held, with what is stored and how far the client has read.
    fn behind_markers(&mut self) -> Vec<(Place, i64, i64)> {
        let claims = self.places.claims().map(|(place, _)| place);
        let idle: Vec<Place> = claims.filter(|place| !self.lane.holds(*place)).collect();
        for place in &idle {
            let position = self.position(*place).unwrap_or_default();
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
        let now_us = elapsed_us();
        if now_us - self.reported_at_us < REPORT_US {
            return;
        }
        self.reported_at_us = now_us;
        let offsets: Vec<(GroupPlace, i64)> = self
            .places
            .claims()
            .map(|((topic, partition), claimed)| {
                (
                    (self.places.name(topic).to_owned(), partition),
                    claimed.stored,
                )
            })
            .collect();
        if !offsets.is_empty() {
            self.membership.report(&offsets);
        }
    }
}
