//! What the tables must hold, computed from what the fleet says: naive and exact.
//!
//! Invariants: no code is shared with parsers, stages or accumulators; distinct counts are sets; every snapshot is folded
//! on its own, in the order in which its machine's records stand in their partition.

use crate::shipment::{Expectation, Kind, Shipment};
use crate::truth::{Truth, TruthRow};
use rollcall_domain::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use rollcall_domain::{Grain, GroupingSet, RejectionReason, SnapshotId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// How far a clock may be ahead before its machine's snapshots count at their arrival.
const FUTURE_TOLERANCE_US: i64 = 5 * MINUTE_US;
/// How old a snapshot may be when it arrives.
const ACCEPTANCE_US: i64 = 30 * DAY_US;
/// A listing in seconds rounds CPU time down by less than this.
const QUANTUM_US: i64 = SECOND_US;
/// Other lists round it by less than this.
const FINE_QUANTUM_US: i64 = 20_000;
/// Stands for a user or faculty that nobody knows.
const UNKNOWN: &str = "(unknown)";

/// What became of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// It counts.
    Accepted,
    /// Its machine had sent it before.
    Duplicate,
    /// It was rejected whole.
    Rejected(RejectionReason),
}

/// Which rollup.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RollupId {
    /// The grouping set.
    pub set: GroupingSet,
    /// The key: user; faculty; or faculty, operating system and application.
    pub dimensions: Vec<String>,
    /// The window's length.
    pub grain: Grain,
    /// The window's start.
    pub start: Timestamp,
}

/// A rollup's exact value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpectedRollup {
    /// Snapshots.
    pub snapshots: i64,
    /// Processes.
    pub processes: i64,
    /// Machines.
    pub machines: BTreeSet<String>,
    /// Users.
    pub users: BTreeSet<String>,
    /// Applications.
    pub applications: BTreeSet<String>,
    /// Machines and minutes since the epoch.
    pub machine_minutes: BTreeSet<(String, i64)>,
    /// Sum of CPU deltas in microseconds.
    pub cpu_time_us: i64,
    /// Processes whose resident memory is known.
    pub memory_count: i64,
    /// Sum of resident bytes.
    pub memory_sum_bytes: i64,
    /// Smallest resident size in bytes.
    pub memory_min_bytes: Option<i64>,
    /// Largest resident size in bytes.
    pub memory_max_bytes: Option<i64>,
    /// All resident sizes with how often each was seen, for quantiles.
    pub memory_sizes: BTreeMap<i64, i64>,
    /// Earliest event time.
    pub first_event_at: Timestamp,
    /// Latest event time.
    pub last_event_at: Timestamp,
}

impl ExpectedRollup {
    fn at(event_at: Timestamp) -> Self {
        Self {
            snapshots: 0,
            processes: 0,
            machines: BTreeSet::new(),
            users: BTreeSet::new(),
            applications: BTreeSet::new(),
            machine_minutes: BTreeSet::new(),
            cpu_time_us: 0,
            memory_count: 0,
            memory_sum_bytes: 0,
            memory_min_bytes: None,
            memory_max_bytes: None,
            memory_sizes: BTreeMap::new(),
            first_event_at: event_at,
            last_event_at: event_at,
        }
    }

    /// The resident size of rank ⌊share · (n − 1)⌋ of n, counted from 0 in ascending order: the tables' definition of a
    /// quantile, which their sketches only approximate. `share` is 0 to 1; `None` without sizes.
    #[must_use]
    pub fn memory_quantile(&self, share: f64) -> Option<i64> {
        let rank = ((self.memory_count - 1) as f64 * share).floor() as i64;
        let mut seen = 0;
        self.memory_sizes.iter().find_map(|(size, count)| {
            seen += count;
            (seen > rank).then_some(*size)
        })
    }

    fn count_process(&mut self, row: &TruthRow, cpu_delta_us: Option<i64>, user: &str) {
        self.processes += 1;
        self.cpu_time_us += cpu_delta_us.unwrap_or(0);
        self.users.insert(user.to_owned());
        self.applications.insert(row.application.clone());
        if let Some(bytes) = row.memory_usage_bytes {
            self.memory_count += 1;
            self.memory_sum_bytes += bytes;
            self.memory_min_bytes = Some(self.memory_min_bytes.map_or(bytes, |min| min.min(bytes)));
            self.memory_max_bytes = Some(self.memory_max_bytes.map_or(bytes, |max| max.max(bytes)));
            *self.memory_sizes.entry(bytes).or_insert(0) += 1;
        }
    }
}

/// A detail row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpectedDetail {
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// The machine.
    pub machine_id: String,
    /// The event time.
    pub event_at: Timestamp,
    /// When the broker appended it.
    pub ingested_at: Timestamp,
    /// The resolved user.
    pub user: String,
    /// The faculty.
    pub faculty: String,
    /// CPU time since the machine's snapshot before.
    pub cpu_delta_us: Option<i64>,
    /// The process.
    pub row: TruthRow,
}

/// A machine's latest snapshot in event time.
#[derive(Clone, Debug)]
struct Baseline {
    event_at: Timestamp,
    /// Name, identity and CPU time by pid.
    processes: BTreeMap<i32, (String, u64, i64)>,
}

/// Folds truths into what the tables must hold.
///
/// Snapshots of one machine are to be added in the order of their offsets; those of different machines in any order.
#[derive(Clone, Debug)]
pub struct Ledger {
    directory: BTreeMap<String, Option<String>>,
    grains: BTreeMap<GroupingSet, Vec<Grain>>,
    seen: BTreeSet<(String, u128)>,
    baselines: BTreeMap<String, Baseline>,
    rollups: BTreeMap<RollupId, ExpectedRollup>,
    details: Vec<ExpectedDetail>,
    outcomes: BTreeMap<Outcome, u64>,
    rejected_lines: u64,
}

impl Ledger {
    /// An empty ledger with this directory of users and faculties, which does not change.
    ///
    /// Users and faculties are rolled up by minute, hour and day, applications by hour and day.
    pub fn new<U: Into<String>, F: Into<String>>(
        directory: impl IntoIterator<Item = (U, Option<F>)>,
    ) -> Self {
        let directory = directory
            .into_iter()
            .map(|(user, faculty)| (user.into(), faculty.map(Into::into)));
        let all = vec![Grain::Minute, Grain::Hour, Grain::Day];
        let grains = BTreeMap::from([
            (GroupingSet::User, all.clone()),
            (GroupingSet::Faculty, all),
            (GroupingSet::Application, vec![Grain::Hour, Grain::Day]),
        ]);
        Self {
            directory: directory.collect(),
            grains,
            seen: BTreeSet::new(),
            baselines: BTreeMap::new(),
            rollups: BTreeMap::new(),
            details: Vec::new(),
            outcomes: BTreeMap::new(),
            rejected_lines: 0,
        }
    }

    /// Rolls a grouping set up by these grains instead.
    #[must_use]
    pub fn with_grains(mut self, set: GroupingSet, grains: &[Grain]) -> Self {
        self.grains.insert(set, grains.to_vec());
        self
    }

    /// Counts a snapshot that the broker appended at `ingested_at`.
    pub fn add(&mut self, truth: &Truth, ingested_at: Timestamp) -> Outcome {
        let outcome = self.judge(truth, ingested_at);
        *self.outcomes.entry(outcome).or_insert(0) += 1;
        outcome
    }

    /// Counts a shipment that the broker appended at `ingested_at`: a poison record as what it must be rejected for,
    /// any other by what its snapshot says.
    pub fn add_shipment(&mut self, shipment: &Shipment, ingested_at: Timestamp) -> Outcome {
        match (shipment.kind, shipment.expectation) {
            (Kind::Poison, Expectation::Rejected(reason)) => {
                self.reject(reason);
                Outcome::Rejected(reason)
            }
            _ => self.add(&shipment.simulated.truth, ingested_at),
        }
    }

    /// Counts a record that must be rejected whole, whatever its snapshot says.
    pub fn reject(&mut self, reason: RejectionReason) {
        *self.outcomes.entry(Outcome::Rejected(reason)).or_insert(0) += 1;
    }

    /// The rollups.
    #[must_use]
    pub fn rollups(&self) -> &BTreeMap<RollupId, ExpectedRollup> {
        &self.rollups
    }

    /// The detail rows in the order in which they were added.
    #[must_use]
    pub fn details(&self) -> &[ExpectedDetail] {
        &self.details
    }

    /// Snapshots accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.count(Outcome::Accepted)
    }

    /// Snapshots that had been sent before.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.count(Outcome::Duplicate)
    }

    /// Records rejected whole, by reason.
    pub fn rejected(&self) -> impl Iterator<Item = (RejectionReason, u64)> {
        self.outcomes
            .iter()
            .filter_map(|(outcome, count)| match outcome {
                Outcome::Rejected(reason) => Some((*reason, *count)),
                _ => None,
            })
    }

    /// Rejected lines of accepted snapshots.
    #[must_use]
    pub fn rejected_lines(&self) -> u64 {
        self.rejected_lines
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    fn judge(&mut self, truth: &Truth, ingested_at: Timestamp) -> Outcome {
        let ahead = truth.observed_at.as_micros() - ingested_at.as_micros();
        let event_at = if ahead > FUTURE_TOLERANCE_US {
            ingested_at
        } else {
            truth.observed_at
        };
        if ingested_at.as_micros() - event_at.as_micros() > ACCEPTANCE_US {
            return Outcome::Rejected(RejectionReason::TooOld);
        }
        if !self
            .seen
            .insert((truth.machine_id.clone(), truth.snapshot_id.0))
        {
            return Outcome::Duplicate;
        }
        self.rejected_lines += truth.rejected_lines.len() as u64;
        self.count_snapshot(truth, event_at, ingested_at);
        Outcome::Accepted
    }

    fn count_snapshot(&mut self, truth: &Truth, event_at: Timestamp, ingested_at: Timestamp) {
        let deltas = self.cpu_deltas(truth, event_at);
        let mut counted = BTreeSet::new();
        if truth.rows.is_empty() && truth.user.is_some() {
            let (user, faculty) = self.resolve(truth, None);
            self.touch(truth, event_at, &user, &faculty, None, &mut counted);
        }
        for (row, cpu_delta_us) in truth.rows.iter().zip(deltas) {
            let (user, faculty) = self.resolve(truth, row.owner.as_deref());
            for id in self.touch(truth, event_at, &user, &faculty, Some(row), &mut counted) {
                if let Some(rollup) = self.rollups.get_mut(&id) {
                    rollup.count_process(row, cpu_delta_us, &user);
                }
            }
            self.details.push(ExpectedDetail {
                snapshot_id: truth.snapshot_id,
                machine_id: truth.machine_id.clone(),
                event_at,
                ingested_at,
                user,
                faculty,
                cpu_delta_us,
                row: row.clone(),
            });
        }
    }

    /// Counts the snapshot once in each rollup that one of its processes belongs to; returns them.
    fn touch(
        &mut self,
        truth: &Truth,
        event_at: Timestamp,
        user: &str,
        faculty: &str,
        row: Option<&TruthRow>,
        counted: &mut BTreeSet<RollupId>,
    ) -> Vec<RollupId> {
        let mut keys = vec![
            (GroupingSet::User, vec![user.to_owned()]),
            (GroupingSet::Faculty, vec![faculty.to_owned()]),
        ];
        if let Some(row) = row {
            let os = truth.os.as_str().to_owned();
            keys.push((
                GroupingSet::Application,
                vec![faculty.to_owned(), os, row.application.clone()],
            ));
        }
        let mut ids = Vec::new();
        for (set, dimensions) in keys {
            for &grain in &self.grains[&set] {
                let start = window_start(grain, event_at);
                ids.push(RollupId {
                    set,
                    dimensions: dimensions.clone(),
                    grain,
                    start,
                });
            }
        }
        for id in &ids {
            if !counted.insert(id.clone()) {
                continue;
            }
            let rollup = self
                .rollups
                .entry(id.clone())
                .or_insert_with(|| ExpectedRollup::at(event_at));
            let minute = event_at.as_micros().div_euclid(MINUTE_US);
            rollup.snapshots += 1;
            rollup.machines.insert(truth.machine_id.clone());
            rollup.users.insert(user.to_owned());
            rollup
                .machine_minutes
                .insert((truth.machine_id.clone(), minute));
            rollup.first_event_at = rollup.first_event_at.min(event_at);
            rollup.last_event_at = rollup.last_event_at.max(event_at);
        }
        ids
    }

    /// User and faculty of a process: the snapshot's; else a directory user, a domain user, or a name of the machine.
    fn resolve(&self, truth: &Truth, owner: Option<&str>) -> (String, String) {
        let user = match (&truth.user, owner) {
            (Some(user), _) => user.clone(),
            (None, None) => UNKNOWN.to_owned(),
            (None, Some(owner)) if self.directory.contains_key(owner) => owner.to_owned(),
            (None, Some(owner)) if is_domain_user(owner, &truth.machine_name) => owner.to_owned(),
            (None, Some(owner)) => format!("{owner}@{}", truth.machine_id),
        };
        let known = || self.directory.get(&user).cloned().flatten();
        let faculty = truth
            .faculty
            .clone()
            .or_else(known)
            .unwrap_or_else(|| UNKNOWN.to_owned());
        (user, faculty)
    }

    /// CPU time since the snapshot before, per row.
    fn cpu_deltas(&mut self, truth: &Truth, event_at: Timestamp) -> Vec<Option<i64>> {
        let baseline = self.baselines.get(&truth.machine_id);
        if baseline.is_some_and(|baseline| event_at <= baseline.event_at) {
            return vec![None; truth.rows.len()];
        }
        let delta = |row: &TruthRow| {
            let (name, identity, before) = baseline?.processes.get(&row.pid)?;
            let same = *name == row.executable_name && *identity == row.identity;
            let delta = row.cpu_time_us? - before;
            (same && delta >= 0).then_some(delta)
        };
        let mut deltas: Vec<Option<i64>> = truth.rows.iter().map(delta).collect();
        if let Some(baseline) = baseline {
            if truth.rows.iter().any(|row| began_anew(row, baseline)) {
                deltas.fill(None);
            }
            let elapsed_us = event_at.as_micros() - baseline.event_at.as_micros();
            let now = truth.rows.iter().filter_map(|row| row.cpu_time_us);
            let before = baseline.processes.values().map(|(_, _, time)| *time);
            let quantum_us = quantum_us(now).max(quantum_us(before));
            drop_impossible(
                &mut deltas,
                elapsed_us * i64::from(truth.cpu_count),
                quantum_us,
            );
        }
        let remembered = |row: &TruthRow| {
            Some((
                row.pid,
                (row.executable_name.clone(), row.identity, row.cpu_time_us?),
            ))
        };
        let processes = truth.rows.iter().filter_map(remembered).collect();
        self.baselines.insert(
            truth.machine_id.clone(),
            Baseline {
                event_at,
                processes,
            },
        );
        deltas
    }
}

/// Whether this is the first process of a system that was started after the machine's snapshot before.
fn began_anew(row: &TruthRow, baseline: &Baseline) -> bool {
    let Some((name, identity, before)) = baseline.processes.get(&row.pid) else {
        return false;
    };
    let is_first = match row.pid {
        1 => true,
        4 => name == "System" && row.executable_name == "System",
        _ => false,
    };
    is_first
        && row
            .cpu_time_us
            .is_some_and(|time| row.identity != *identity || time < *before)
}

/// How CPU times of one list are rounded: times in whole seconds are taken to be printed so.
fn quantum_us(mut times: impl Iterator<Item = i64>) -> i64 {
    if times.all(|time| time % SECOND_US == 0) {
        QUANTUM_US
    } else {
        FINE_QUANTUM_US
    }
}

/// No process, nor all together, can have taken more CPU time than there was.
fn drop_impossible(deltas: &mut [Option<i64>], available_us: i64, quantum_us: i64) {
    for delta in deltas.iter_mut() {
        if delta.is_some_and(|delta| delta > available_us + quantum_us) {
            *delta = None;
        }
    }
    let known: Vec<i64> = deltas.iter().flatten().copied().collect();
    if known.iter().sum::<i64>() > available_us + quantum_us * known.len() as i64 {
        deltas.fill(None);
    }
}

/// `DOMAIN\user`, where the domain is neither this machine nor an authority such as `NT AUTHORITY`.
fn is_domain_user(owner: &str, machine_name: &str) -> bool {
    match owner.split_once('\\') {
        Some((domain, user)) => {
            let local =
                domain.contains(' ') || domain.to_lowercase() == machine_name.to_lowercase();
            !local && !domain.is_empty() && !user.is_empty()
        }
        None => false,
    }
}

fn window_start(grain: Grain, at: Timestamp) -> Timestamp {
    let length = match grain {
        Grain::Minute => MINUTE_US,
        Grain::Hour => HOUR_US,
        Grain::Day => DAY_US,
    };
    Timestamp::from_micros(at.as_micros().div_euclid(length) * length)
}

#[cfg(test)]
mod tests;
