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
//! A transaction ends with a marker, which no message follows on a quiet day. What is stored is brought behind it too,
//! now and then: else retention would seem to have overtaken us once it takes messages and marker together.

use super::super::backoff::Backoff;
use super::super::control::{Control, Signal};
use super::super::{Shared, elapsed_us};
use super::SinkConfig;
use super::lane::{Flushed, Lane};
use super::lane_meter::{FlushOutcome, LaneMeter, books_of};
use super::places::{Place, Places};
use crate::kafka::fetch::{Fetched, Fetcher, Incoming, Polled};
use crate::kafka::membership::{Membership, Place as GroupPlace, Rebalance};
use crate::postgres::{
    ClaimRequest, FlushError, OffsetAdvance, PostgresError, PostgresSettings, SinkConnection,
    claim, move_offsets, pending_migrations, read_books, release,
};
use crate::telemetry::health::TaskStatus;
use crate::telemetry::places::Advance;
use anyhow::Context as _;
use rollcall_stages::layout::TOPICS;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long one request to a broker, or connecting to PostgreSQL, may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(50);
/// Messages that are taken before the group is served again.
const MESSAGES_PER_STEP: usize = 1_000;
/// How often telemetry is told how far we have come while nothing is flushed.
const MEASURE_US: i64 = 1_000_000;
/// How often what is stored is brought behind markers that nothing has followed.
const PASS_MARKERS_US: i64 = 60_000_000;
/// How long the client may take to forget where it was before a claim, and how often it is asked.
const FORGET: Duration = Duration::from_secs(1);
const FORGET_POLL: Duration = Duration::from_millis(1);
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
        let named =
            |topic: rollcall_stages::layout::TopicLayout| (topic, shared.kafka.topic(topic.name));
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
        if let Err(error) = self.assign() {
            tracing::warn!(
                error = format!("{error:#}"),
                lane = L::NAME,
                "partitions given up are still fetched"
            );
        }
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

    // The connection.

    /// Whether there is a connection now.
    fn connect(&mut self) -> bool {
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
    fn connection_failed(&mut self, why: &str) {
        self.connection = None;
        let wait_us = self.backoff.next_us();
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
    fn with_connection<T>(
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

    // Claims.

    fn claim_what_is_due(&mut self) -> anyhow::Result<()> {
        let due = self.places.to_claim(elapsed_us());
        if due.is_empty() {
            return Ok(());
        }
        for &place in &due {
            self.claim(place);
        }
        self.assign()?;
        self.await_forgotten(&due);
        Ok(())
    }

    fn position(&self, (topic, partition): Place) -> Option<i64> {
        self.fetcher.position(self.places.name(topic), partition)
    }

    /// Waits until the client knows no position of these places: one from before the claim lies behind messages that we
    /// have dropped. Nothing is polled meanwhile, so what it says later is of what was read since.
    fn await_forgotten(&mut self, claimed: &[Place]) {
        let deadline_us = elapsed_us() + FORGET.as_micros() as i64;
        for &place in claimed {
            while self.places.get(place).is_some() && self.position(place).is_some() {
                if elapsed_us() >= deadline_us {
                    self.wait(place, "the Kafka client clings to a position from before");
                    break;
                }
                std::thread::sleep(FORGET_POLL);
            }
        }
    }

    fn claim(&mut self, place: Place) {
        let topic = self.places.name(place.0).to_owned();
        let start = match self.fetcher.watermarks(&topic, place.1, REQUEST) {
            Ok((start, _)) => start,
            Err(error) => {
                let why = format!(
                    "the beginning of {topic}[{}] can't be read: {error}",
                    place.1
                );
                return self.wait(place, &why);
            }
        };
        let deployment = self.shared.kafka.deployment.clone();
        let request = ClaimRequest {
            deployment: &deployment,
            topic: &topic,
            partition: place.1,
            initial_offset: start,
        };
        let Some(connection) = self.connection.as_mut() else {
            return;
        };
        let session = connection.session();
        let claimed = self.runtime.block_on(async {
            let claim = claim(session, &request).await?;
            // Only details have any. What they lack is told from the first moment, not from the next flush on.
            Ok::<_, PostgresError>((claim, read_books(session, &topic, place.1).await?))
        });
        match claimed {
            Ok((claim, _)) if claim.next_offset < start => self.halt(
                place,
                &format!(
                    "offset {} of {topic}[{}] is no longer in the log, which begins at {start}: retention has overtaken sink, \
                     and what lies between is lost; restore the topic or begin a new deployment",
                    claim.next_offset, place.1
                ),
            ),
            Ok((claim, books)) => {
                tracing::info!(stage = self.lane.label(place.0), partition = place.1, offset = claim.next_offset, epoch = claim.epoch, "claimed");
                let label = self.lane.label(place.0);
                self.shared.telemetry.places.begin((label, place.1), &topic, claim.next_offset);
                if let Some(books) = books {
                    let advance = Advance { books: Some(books_of(&books)), ..Advance::default() };
                    self.shared.telemetry.places.advance((label, place.1), advance);
                }
                self.places.claimed(place, claim);
                self.status(place, TaskStatus::Running);
            }
            Err(error) if error.is_retriable() => self.connection_failed(&describe(&error)),
            Err(error) => {
                let why = describe(&error);
                self.halt(place, &why);
                self.connection_failed(&why);
            }
        }
    }

    /// Fetches what is claimed, each place from what is not buffered yet.
    fn assign(&mut self) -> anyhow::Result<()> {
        let places: Vec<(String, i32, i64)> = self
            .places
            .claims()
            .map(|((topic, partition), claimed)| {
                (
                    self.places.name(topic).to_owned(),
                    partition,
                    claimed.position,
                )
            })
            .collect();
        self.fetcher
            .assign(&places)
            .with_context(|| format!("{} can't be pointed at its partitions", L::NAME))
    }

    fn wait(&mut self, place: Place, why: &str) {
        tracing::warn!(
            stage = self.lane.label(place.0),
            partition = place.1,
            error = why,
            "waiting"
        );
        self.lane.forget(place);
        self.places
            .unclaim(place, elapsed_us() + self.backoff.next_us());
        self.status(place, TaskStatus::Waiting(why.to_owned()));
    }

    fn halt(&mut self, place: Place, why: &str) {
        tracing::error!(
            stage = self.lane.label(place.0),
            partition = place.1,
            reason = why,
            "sink halted here; it needs a person"
        );
        self.lane.forget(place);
        self.places.halt(place);
        self.status(place, TaskStatus::Halted(why.to_owned()));
    }

    fn status(&self, place: Place, status: TaskStatus) {
        let label = self.lane.label(place.0);
        self.shared.telemetry.health.set(label, place.1, status);
    }

    // Messages.

    fn fetch(&mut self) -> anyhow::Result<()> {
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
        self.lane.take(topic, message);
        Ok(())
    }

    /// Looks a writer's schema up before its first message; `false` if the place can't go on now.
    fn learn(&mut self, place: Place, incoming: &Incoming<'_>) -> bool {
        if let Some(schema) = self.lane.schema_needed(incoming) {
            let layout = &TOPICS[usize::from(place.0.0)];
            match self.shared.registry.lookup(layout, schema) {
                Ok(lookup) => self.lane.learn_schema(schema, &lookup),
                Err(error) => {
                    self.wait(place, &error.to_string());
                    return false;
                }
            }
        }
        if let Some(error) = self.lane.incompatible(incoming) {
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

    // Flushes.

    fn flush_if_due(&mut self) {
        if self.lane.is_empty() {
            return;
        }
        let interval_us = self.lane.interval().as_micros() as i64;
        if self.lane.is_full() || elapsed_us() - self.flushed_at_us >= interval_us {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.lane.is_empty() {
            return;
        }
        let Some(connection) = self.connection.as_mut() else {
            return;
        };
        let begun_us = elapsed_us();
        let outcome = self
            .runtime
            .block_on(self.lane.flush(connection, &mut self.places));
        self.flushed_at_us = elapsed_us();
        match outcome {
            Ok(flushed) => self.note(&flushed, self.flushed_at_us - begun_us),
            Err(error) => self.flush_failed(error),
        }
    }

    fn pass_markers_if_due(&mut self) {
        if elapsed_us() - self.passed_markers_at_us >= PASS_MARKERS_US {
            self.pass_markers();
        }
    }

    /// Brings what is stored behind the markers that follow it, where nothing is held.
    fn pass_markers(&mut self) {
        self.passed_markers_at_us = elapsed_us();
        let behind: Vec<(Place, i64)> = self
            .behind_markers()
            .into_iter()
            .filter_map(|(place, stored, position)| {
                (stored < position).then_some((place, position))
            })
            .collect();
        let Some(connection) = self.connection.as_mut().filter(|_| !behind.is_empty()) else {
            return;
        };
        let advances: Vec<OffsetAdvance<'_>> = behind
            .iter()
            .filter_map(|(place, position)| self.places.advance(*place, *position))
            .collect();
        let moved = move_offsets(connection.session(), &advances);
        match self.runtime.block_on(moved) {
            Ok(()) => {
                for (place, position) in behind {
                    self.places.stored(place, position);
                }
            }
            Err(error) => self.flush_failed(error),
        }
    }

    fn flush_failed(&mut self, error: FlushError) {
        match error {
            FlushError::Fenced { lost } => {
                self.meter.flush_failed(FlushOutcome::Fenced);
                let wait_us = self.backoff.next_us();
                for lost in lost {
                    let Some(place) = self.places.place_of(&lost) else {
                        continue;
                    };
                    tracing::warn!(
                        stage = self.lane.label(place.0),
                        partition = place.1,
                        "fenced: another sink has claimed it"
                    );
                    let label = self.lane.label(place.0);
                    self.meter.fenced((label, place.1));
                    self.lane.forget(place);
                    self.places.unclaim(place, elapsed_us() + wait_us);
                    self.status(
                        place,
                        TaskStatus::Waiting("another sink has claimed it".to_owned()),
                    );
                }
                if let Err(error) = self.assign() {
                    tracing::warn!(error = format!("{error:#}"), "fetching what is not ours");
                }
            }
            FlushError::Unknown(error) => {
                self.meter.flush_failed(FlushOutcome::Unknown);
                self.connection_failed(&format!(
                    "whether a flush is stored is unknown, the next claim will tell: {}",
                    describe(&error)
                ));
            }
            FlushError::Failed(error) => {
                self.meter.flush_failed(FlushOutcome::Failed);
                if !error.is_retriable() {
                    tracing::error!(
                        lane = L::NAME,
                        error = describe(&error),
                        "a flush is refused; it is tried again, but it needs a person"
                    );
                }
                self.connection_failed(&describe(&error));
            }
        }
    }

    fn note(&mut self, flushed: &Flushed, took_us: i64) {
        // Not as early as a claim: claims may work where every flush is refused.
        self.backoff.reset();
        let label = |topic| self.lane.label(topic);
        self.meter.flushed(flushed, took_us, label);
        tracing::debug!(
            lane = L::NAME,
            messages = flushed.messages,
            rows = flushed.rows,
            took_us,
            "flushed"
        );
        for difference in &flushed.differences {
            tracing::error!(
                ?difference,
                "the books do not balance: something was lost or stored twice; run `rollcall audit`"
            );
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
fn describe(error: &PostgresError) -> String {
    match &error.source {
        Some(source) => format!("{error} ({source})"),
        None => error.to_string(),
    }
}
