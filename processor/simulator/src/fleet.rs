//! The fleet: its machines, its directory, and the order in which the machines are asked.

use crate::form::{Dialect, Form};
use crate::machine::Machine;
use crate::people::{self, Person};
use crate::profile::{MachineProfile, Setting};
use crate::random::{Random, mix};
use crate::render::{self, View};
use crate::truth::{SimulatedSnapshot, Truth};
use rollcall_domain::time::SECOND_US;
use rollcall_domain::{Snapshot, SnapshotId, Timestamp};
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// Streams of random numbers below this one belong to machines.
const PEOPLE_STREAM: u64 = 1 << 40;

/// What a fleet is to be like.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// The seed: equal seeds (and equal settings) give equal bytes.
    pub seed: u64,
    /// How many machines.
    pub machines: u32,
    /// How many faculties.
    pub faculties: u32,
    /// How many users the directory knows.
    pub users: u32,
    /// Shares of Linux, macOS and Windows machines; any positive numbers.
    pub os_shares: [f64; 3],
    /// How many processes a machine runs; each machine keeps to its own number from this range, about.
    pub processes_per_machine: RangeInclusive<u32>,
    /// Share of machines that send structured records instead of text, 0 to 1.
    pub structured_share: f64,
    /// Share of Linux and Windows machines where many people are logged in, 0 to 1.
    pub shared_host_share: f64,
    /// Share of Macs whose language writes a comma for the decimal point, 0 to 1.
    pub decimal_comma_share: f64,
    /// When the fleet starts.
    pub start: Timestamp,
    /// How often each machine is asked, in microseconds.
    pub interval_us: i64,
}

impl Default for FleetConfig {
    /// The demo's fleet, from 2026-11-20T08:00:00Z on, each machine asked every 15 s.
    fn default() -> Self {
        Self {
            seed: 1,
            machines: 300,
            faculties: 10,
            users: 2_000,
            os_shares: [0.30, 0.25, 0.45],
            processes_per_machine: 60..=120,
            structured_share: 0.3,
            shared_host_share: 0.1,
            decimal_comma_share: 0.05,
            start: Timestamp::from_micros(1_795_161_600 * SECOND_US),
            interval_us: 15 * SECOND_US,
        }
    }
}

/// A fleet of simulated machines.
///
/// Call [`Fleet::snapshot`] with times that do not go back for the same machine: a machine whose time would go back
/// stays where it is. [`Fleet::into_stream`] does that for all machines in turn.
#[derive(Clone, Debug)]
pub struct Fleet {
    config: FleetConfig,
    faculties: Vec<String>,
    people: Vec<Person>,
    machines: Vec<Machine>,
}

impl Fleet {
    /// The fleet as it is at its start.
    #[must_use]
    pub fn new(config: FleetConfig) -> Self {
        let faculties = people::faculties(config.faculties);
        let mut random = Random::new(config.seed, PEOPLE_STREAM);
        let people = people::people(config.users, faculties.len(), &mut random);
        let processes = &config.processes_per_machine;
        let setting = Setting {
            people: &people,
            faculties: &faculties,
            os_shares: config.os_shares,
            processes: (*processes.start(), *processes.end()),
            structured_share: config.structured_share,
            shared_host_share: config.shared_host_share,
            decimal_comma_share: config.decimal_comma_share,
        };
        let machine = |index: u32| {
            let mut random = Random::new(config.seed, u64::from(index));
            let profile = MachineProfile::draw(index, &setting, &mut random);
            // With the start in it, a fleet that is simulated again says something new, with ids of its own.
            let start = config.start.as_micros() as u64;
            let identities = mix(config.seed ^ mix(u64::from(index) + 1) ^ mix(start));
            Machine::new(profile, config.start, random, identities)
        };
        let machines = (0..config.machines).map(machine).collect();
        Self {
            machines,
            people,
            faculties,
            config,
        }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &FleetConfig {
        &self.config
    }

    /// The names of the faculties.
    #[must_use]
    pub fn faculties(&self) -> &[String] {
        &self.faculties
    }

    /// What the directory of users is to say: user and faculty. Some users have no faculty, and only some are known
    /// by their Windows name too.
    pub fn directory(&self) -> impl Iterator<Item = (Cow<'_, str>, Option<&str>)> {
        self.people.iter().enumerate().flat_map(|(index, person)| {
            let faculty = person.faculty.map(|faculty| &*self.faculties[faculty]);
            let windows = index
                .is_multiple_of(3)
                .then(|| format!("UNI\\{}", person.login));
            let login = Cow::Borrowed(&*person.login);
            [Some(login), windows.map(Cow::Owned)]
                .into_iter()
                .flatten()
                .map(move |user| (user, faculty))
        })
    }

    /// The machines, by index.
    pub fn machines(&self) -> impl ExactSizeIterator<Item = &MachineProfile> {
        self.machines.iter().map(|machine| &machine.profile)
    }

    /// Sets a machine's clock ahead of true time (behind it, where negative). To be done before its first snapshot:
    /// clocks that jump make every creation time another one.
    pub fn set_clock_ahead(&mut self, machine_index: usize, micros: i64) {
        self.machines[machine_index].profile.clock_ahead_us = micros;
    }

    /// Sets the form in which a machine lists its processes from now on, and its dialect.
    ///
    /// # Panics
    /// When the form belongs to another operating system.
    pub fn set_form(&mut self, machine_index: usize, form: Form, dialect: Dialect) {
        let profile = &mut self.machines[machine_index].profile;
        assert_eq!(form.os(), profile.os, "{form:?}");
        profile.form = form;
        profile.dialect = dialect;
    }

    /// What a machine says when it is asked at the true time `at`. It goes on from where it was to `at`.
    ///
    /// # Panics
    /// When there is no such machine.
    pub fn snapshot(&mut self, machine_index: usize, at: Timestamp) -> SimulatedSnapshot {
        let ahead = self.machines[machine_index].profile.clock_ahead_us;
        self.snapshot_dated(machine_index, at, at.plus_micros(ahead))
    }

    /// Like [`Fleet::snapshot`], as if the machine's clock had always been so that it shows `observed_at`: all its
    /// start times are moved along.
    ///
    /// # Panics
    /// When there is no such machine.
    pub fn snapshot_dated(
        &mut self,
        machine_index: usize,
        at: Timestamp,
        observed_at: Timestamp,
    ) -> SimulatedSnapshot {
        let machine = &mut self.machines[machine_index];
        machine.advance(at);
        let id = SnapshotId(machine.next_snapshot_id());
        let view = View {
            machine,
            observed_at,
        };
        let (payload, rows) = render::render(&view);
        let profile = &machine.profile;
        let truth = Truth {
            snapshot_id: id,
            machine_id: profile.id.clone(),
            machine_name: profile.name.clone(),
            os: profile.os,
            cpu_count: profile.cpu_count,
            form: profile.form,
            observed_at,
            user: profile.user.clone(),
            faculty: profile.faculty.clone(),
            rows,
            rejected_lines: Vec::new(),
        };
        let owned = |text: &String| Cow::Owned(text.clone());
        let snapshot = Snapshot {
            id,
            observed_at,
            utc_offset_seconds: Some(profile.utc_offset_seconds),
            machine: described(profile),
            user: profile.user.as_ref().map(owned),
            faculty: profile.faculty.as_ref().map(owned),
            command: profile.form.command().map(Cow::Borrowed),
            attributes: profile
                .attributes
                .iter()
                .map(|(key, value)| (Cow::Borrowed(*key), owned(value)))
                .collect(),
            payload,
        };
        SimulatedSnapshot { snapshot, truth }
    }

    /// All machines in turn, for ever: each once per interval, evenly spread over it.
    #[must_use]
    pub fn into_stream(self) -> FleetStream {
        FleetStream {
            fleet: self,
            asked: 0,
        }
    }
}

fn described(profile: &MachineProfile) -> rollcall_domain::Machine<'static> {
    rollcall_domain::Machine {
        id: Cow::Owned(profile.id.clone()),
        name: Some(Cow::Owned(profile.name.clone())),
        os: profile.os,
        os_version: Some(Cow::Borrowed(profile.os_version)),
        cpu_count: Some(profile.cpu_count),
        memory_bytes: Some(profile.memory_bytes),
    }
}

/// A snapshot and when it was taken by true time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scheduled {
    /// True time.
    pub at: Timestamp,
    /// Index of the machine.
    pub machine_index: usize,
    /// What it says.
    pub simulated: SimulatedSnapshot,
}

/// The snapshots of a fleet in the order of their times. Ends only for a fleet without machines.
#[derive(Clone, Debug)]
pub struct FleetStream {
    fleet: Fleet,
    asked: u64,
}

impl FleetStream {
    /// When the next snapshot is due, and of which machine.
    #[must_use]
    pub fn due(&self) -> Option<(Timestamp, usize)> {
        let machines = self.fleet.machines.len() as u64;
        let round = self.asked.checked_div(machines)?;
        let turn = self.asked % machines;
        let interval = self.fleet.config.interval_us;
        let offset = (i128::from(interval) * i128::from(turn) / i128::from(machines)) as i64;
        // The first round lies after the start, so that each machine has moved once.
        let after = (round as i64)
            .saturating_add(1)
            .saturating_mul(interval)
            .saturating_add(offset);
        Some((self.fleet.config.start.plus_micros(after), turn as usize))
    }

    /// Like `next`, but asks whose turn it is at the true time `at`, due or not: for load beyond real time.
    /// Times must not go back.
    pub fn next_at(&mut self, at: Timestamp) -> Option<Scheduled> {
        let (_, machine_index) = self.due()?;
        self.asked += 1;
        let simulated = self.fleet.snapshot(machine_index, at);
        Some(Scheduled {
            at,
            machine_index,
            simulated,
        })
    }

    /// The fleet.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The fleet, to ask a machine out of turn.
    pub fn fleet_mut(&mut self) -> &mut Fleet {
        &mut self.fleet
    }
}

impl Iterator for FleetStream {
    type Item = Scheduled;

    fn next(&mut self) -> Option<Scheduled> {
        let (at, _) = self.due()?;
        self.next_at(at)
    }
}
