//! The simulated fleet on real Kafka: its directory first, then its snapshots, paced by the wall clock or as fast as
//! the broker takes them.
//!
//! The first snapshots go out at once, one interval's worth of them spread evenly over the interval. A producer that
//! fell behind (Kafka was away, the machine slept) catches up: nothing of the fleet's story is left out.

use super::ledger_file::LedgerFile;
use super::link::{self, Link, ProducerError};
use super::stall::StallWatch;
use crate::clock::{elapsed_us, wall_clock};
use crate::driver::{Control, Signal};
use crate::kafka::KafkaSettings;
use crate::kafka::registry::Registry;
use rollcall_codec::RecordType;
use rollcall_domain::Snapshot;
use rollcall_domain::pipeline::DirectoryUser;
use rollcall_simulator::{Fleet, FleetConfig, Kind, Mischief, MischiefConfig, Shipment};
use rollcall_stages::layout;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Delivery tag of directory users, which no snapshot has.
const DIRECTORY_TAG: usize = usize::MAX;
/// How long a stage that runs already is given to read the directory, before snapshots need it.
const DIRECTORY_LEAD_US: i64 = 1_000_000;
/// How often progress is reported, and signals are looked for while waiting.
const STEP: Duration = Duration::from_millis(50);
const PROGRESS_EVERY_US: i64 = 200_000;
/// How long acknowledgements are waited for at the end.
const LAST_WAIT_US: i64 = 20_000_000;

/// How fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// Each machine once per interval, by the wall clock.
    RealTime,
    /// As fast as the broker takes them; the interval is of no account.
    Unpaced,
}

/// What the fleet is to be like and what it is to send.
#[derive(Clone, PartialEq, Debug)]
pub struct FleetPlan {
    /// Equal seeds give the same machines and people.
    pub seed: u64,
    /// How many machines.
    pub machines: u32,
    /// How many faculties.
    pub faculties: u32,
    /// How many users the directory knows.
    pub users: u32,
    /// How often each machine reports.
    pub interval: Duration,
    /// How fast.
    pub pace: Pace,
    /// Share of snapshots with mischief, 0 to 1.
    pub mischief: f64,
    /// Stop after this time.
    pub stop_after: Option<Duration>,
    /// Stop after this many records.
    pub count: Option<u64>,
    /// Write what was sent to this file.
    pub ledger: Option<PathBuf>,
}

impl Default for FleetPlan {
    /// 300 machines of 10 faculties and 2,000 users, each every 30 s, until told to stop.
    fn default() -> Self {
        Self {
            seed: 1,
            machines: 300,
            faculties: 10,
            users: 2_000,
            interval: Duration::from_secs(30),
            pace: Pace::RealTime,
            mischief: 0.0,
            stop_after: None,
            count: None,
            ledger: None,
        }
    }
}

/// How far a fleet has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FleetProgress {
    /// Users whose directory entries are acknowledged.
    pub users: u64,
    /// Records handed over.
    pub sent: u64,
    /// Records acknowledged.
    pub delivered: u64,
    /// Records refused for good.
    pub failed: u64,
    /// Bytes of keys and values handed over.
    pub bytes: u64,
    /// Whether Kafka has acknowledged nothing for some time.
    pub stalled: bool,
    /// Time since the first snapshot.
    pub elapsed: Duration,
}

/// What a fleet has sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FleetSummary {
    /// The figures.
    pub progress: FleetProgress,
    /// Records handed over, by kind.
    pub kinds: BTreeMap<Kind, u64>,
}

impl FleetSummary {
    /// Records that were handed over and neither acknowledged nor refused: whether they arrived can't be told.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        let FleetProgress {
            sent,
            delivered,
            failed,
            ..
        } = self.progress;
        sent.saturating_sub(delivered + failed)
    }
}

/// Runs a fleet on the caller's thread (no async one: the registry's client blocks) until its plan is done or `control`
/// says so. `Drain` waits for acknowledgements, `Abandon` does not.
///
/// # Errors
/// What can't be mended by waiting.
pub fn run_fleet(
    kafka: &KafkaSettings,
    registry: &Registry,
    plan: &FleetPlan,
    control: &Control,
    on_progress: &mut dyn FnMut(&FleetProgress),
) -> Result<FleetSummary, ProducerError> {
    let link = link::connect(
        kafka,
        registry,
        "simulate",
        &[layout::DIRECTORY_USERS, layout::SNAPSHOTS],
        &[RecordType::DirectoryUser, RecordType::ProcessSnapshot],
        control,
    )?;
    let Some(link) = link else {
        return Ok(FleetSummary::default());
    };
    let mut run = Run {
        ledger: plan.ledger.as_deref().map(LedgerFile::create).transpose()?,
        topic: kafka.topic(layout::SNAPSHOTS.name),
        directory_topic: kafka.topic(layout::DIRECTORY_USERS.name),
        brokers: &kafka.brokers,
        plan,
        control,
        on_progress,
        link,
        stall: StallWatch::new(elapsed_us()),
        summary: FleetSummary::default(),
        begun_us: elapsed_us(),
        reported_us: 0,
    };
    let fleet = Fleet::new(config(plan));
    if run.publish(&fleet)? {
        run.begun_us = elapsed_us();
        run.send_snapshots(Mischief::new(
            fleet.into_stream(),
            MischiefConfig::of_share(plan.seed, plan.mischief),
        ))?;
    }
    run.finish()
}

fn config(plan: &FleetPlan) -> FleetConfig {
    let interval_us = i64::try_from(plan.interval.as_micros())
        .unwrap_or(i64::MAX)
        .max(1);
    FleetConfig {
        seed: plan.seed,
        machines: plan.machines,
        faculties: plan.faculties,
        users: plan.users,
        interval_us,
        // The stream begins one interval after its start: now, that is, but for the directory.
        start: wall_clock().plus_micros(DIRECTORY_LEAD_US - interval_us),
        ..FleetConfig::default()
    }
}

struct Run<'a> {
    plan: &'a FleetPlan,
    control: &'a Control,
    on_progress: &'a mut dyn FnMut(&FleetProgress),
    brokers: &'a str,
    topic: String,
    directory_topic: String,
    link: Link,
    ledger: Option<LedgerFile>,
    stall: StallWatch,
    summary: FleetSummary,
    begun_us: i64,
    reported_us: i64,
}

impl Run<'_> {
    /// Publishes the directory and waits for it; `false`: told to stop before.
    fn publish(&mut self, fleet: &Fleet) -> Result<bool, ProducerError> {
        let mut value = Vec::new();
        let mut published = 0;
        for (user, faculty) in fleet.directory() {
            if let Some(ledger) = &mut self.ledger {
                ledger.user(&user, faculty)?;
            }
            value.clear();
            let entry = DirectoryUser {
                faculty: faculty.map(Cow::Borrowed),
            };
            self.link
                .encoder
                .encode_directory_user(&entry, &mut value)?;
            let topic = self.directory_topic.clone();
            if !self.hand_over(&topic, Some(user.as_bytes()), Some(&value), DIRECTORY_TAG)? {
                return Ok(false);
            }
            published += 1;
        }
        while self.summary.progress.users < published && self.may_go_on() {
            self.link.sender.poll(STEP);
            self.look_around()?;
        }
        Ok(self.may_go_on())
    }

    fn send_snapshots(&mut self, mut mischief: Mischief) -> Result<(), ProducerError> {
        while self.may_go_on() && !self.is_done() {
            self.look_around()?;
            let shipment = match self.plan.pace {
                Pace::Unpaced => mischief.next_at(wall_clock()),
                Pace::RealTime => match mischief.due() {
                    Some(due) if due > wall_clock() => {
                        let wait =
                            Duration::from_micros(due.micros_since(wall_clock()).max(0) as u64);
                        self.link.sender.poll(wait.min(STEP));
                        continue;
                    }
                    _ => mischief.next(),
                },
            };
            match shipment {
                Some(shipment) => self.send(&shipment)?,
                None => break,
            }
        }
        Ok(())
    }

    fn send(&mut self, shipment: &Shipment) -> Result<(), ProducerError> {
        let mut failed = None;
        let encoder = &mut self.link.encoder;
        let record = shipment.record(|snapshot: &Snapshot<'static>| {
            let mut value = Vec::with_capacity(16 * 1024);
            failed = encoder.encode_snapshot(snapshot, &mut value).err();
            value
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let sequence = self.summary.progress.sent as usize;
        if let Some(ledger) = &mut self.ledger {
            ledger.sent(sequence, key, shipment);
        }
        let topic = std::mem::take(&mut self.topic);
        let taken = self.hand_over(&topic, key, value, sequence)?;
        self.topic = topic;
        if taken {
            let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) as u64;
            self.summary.progress.sent += 1;
            self.summary.progress.bytes += length(key) + length(value);
            *self.summary.kinds.entry(shipment.kind).or_insert(0) += 1;
        } else if let Some(ledger) = &mut self.ledger {
            ledger.withdrawn(sequence);
        }
        Ok(())
    }

    /// Hands a record over, waiting while the queue is full; `false`: told to stop before it was taken.
    fn hand_over(
        &mut self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        tag: usize,
    ) -> Result<bool, ProducerError> {
        while self.may_go_on() {
            let taken = self.link.sender.offer(topic, None, key, value, tag);
            match taken {
                Ok(true) => return Ok(true),
                Ok(false) => {
                    self.link.sender.poll(STEP);
                    self.look_around()?;
                }
                Err(error) => {
                    return Err(ProducerError::Refused {
                        topic: topic.to_owned(),
                        detail: error.to_string(),
                    });
                }
            }
        }
        Ok(false)
    }

    /// Takes delivery reports, notices silence, tells how far it is.
    fn look_around(&mut self) -> Result<(), ProducerError> {
        let progress = &mut self.summary.progress;
        for delivery in self.link.sender.take_reports() {
            match (&delivery.place, delivery.tag) {
                (Ok(_), DIRECTORY_TAG) => progress.users += 1,
                (Err(detail), DIRECTORY_TAG) => {
                    return Err(ProducerError::Refused {
                        topic: self.directory_topic.clone(),
                        detail: detail.clone(),
                    });
                }
                (Ok(_), _) => progress.delivered += 1,
                (Err(_), _) => progress.failed += 1,
            }
            if let Some(ledger) = &mut self.ledger {
                ledger.delivered(&delivery)?;
            }
        }
        let now_us = elapsed_us();
        if now_us - self.reported_us < PROGRESS_EVERY_US {
            return Ok(());
        }
        self.reported_us = now_us;
        let (delivered, failed) = self.link.sender.counts();
        let waiting = self.link.sender.in_flight();
        self.stall
            .say(self.brokers, delivered + failed, waiting, now_us);
        progress.stalled = self.stall.is_stalled();
        progress.elapsed = Duration::from_micros((now_us - self.begun_us).max(0) as u64);
        (self.on_progress)(progress);
        Ok(())
    }

    fn may_go_on(&self) -> bool {
        self.control.signal() == Signal::Run
    }

    fn is_done(&self) -> bool {
        let sent = self.summary.progress.sent;
        let elapsed = Duration::from_micros((elapsed_us() - self.begun_us).max(0) as u64);
        self.plan.count.is_some_and(|count| sent >= count)
            || self.plan.stop_after.is_some_and(|limit| elapsed >= limit)
    }

    /// Waits for the last acknowledgements.
    fn finish(mut self) -> Result<FleetSummary, ProducerError> {
        let begun_us = elapsed_us();
        self.look_around()?;
        while self.summary.unacknowledged() > 0
            && self.control.signal() != Signal::Abandon
            && elapsed_us() - begun_us < LAST_WAIT_US
        {
            self.link.sender.poll(STEP);
            self.look_around()?;
        }
        let elapsed_us = (elapsed_us() - self.begun_us).max(0) as u64;
        self.summary.progress.elapsed = Duration::from_micros(elapsed_us);
        (self.on_progress)(&self.summary.progress);
        if let Some(ledger) = self.ledger.take() {
            ledger.finish()?;
        }
        Ok(self.summary)
    }
}
