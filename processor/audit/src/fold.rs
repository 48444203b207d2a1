//! The fold of accepted snapshots into windows, naively: every snapshot is counted into every window that holds it.
//!
//! Invariant: a contribution counts in a row iff the partition of updates that the row's key belongs to says that it has
//! folded the raw record, keeps the grain, and counts the window.

use crate::distinct::Distinct;
use crate::facts::Vectors;
use crate::names;
use crate::sizes::Sizes;
use crate::users::User;
use hashbrown::{HashMap, HashSet};
use rollcall_domain::hash::partition_for;
use rollcall_domain::hll::hash_text;
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::time::MINUTE_US;
use rollcall_domain::{Grain, GroupingSet, Os, RollupKey, Timestamp};
use std::collections::BTreeSet;

/// What an accepted snapshot contributes.
#[derive(Debug)]
pub(crate) struct Contributed<'a> {
    pub(crate) source: SourceOffset,
    pub(crate) machine: &'a str,
    pub(crate) os: Os,
    pub(crate) event_at: Timestamp,
    /// Distinct.
    pub(crate) users: Vec<User>,
    pub(crate) processes: Vec<Counted<'a>>,
}

/// One of its processes.
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    /// An index into the users.
    pub(crate) user: usize,
    pub(crate) application: &'a str,
    pub(crate) cpu_delta_us: Option<i64>,
    pub(crate) memory_bytes: Option<i64>,
}

/// What a row of rollups must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Total {
    pub(crate) snapshots: i64,
    pub(crate) processes: i64,
    cpu_time_us: i128,
    pub(crate) memory: Sizes,
    pub(crate) first_event_at: Option<Timestamp>,
    pub(crate) last_event_at: Option<Timestamp>,
    pub(crate) machines: Distinct,
    pub(crate) users: Distinct,
    pub(crate) applications: Distinct,
    pub(crate) machine_minutes: Distinct,
    /// The partition of updates that it came through.
    pub(crate) partition: i32,
}

impl Total {
    /// The sum, which the column stops at its largest value.
    pub(crate) fn cpu_time_us(&self) -> i64 {
        i64::try_from(self.cpu_time_us).unwrap_or(i64::MAX)
    }
}

/// Which row: the window's grain and start, and the key's columns as tables hold them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct RowKey {
    pub(crate) set: GroupingSet,
    pub(crate) grain: Grain,
    pub(crate) start: Timestamp,
    pub(crate) columns: Box<[Box<str>]>,
}

/// A window of one grouping set.
pub(crate) type SetWindow = (GroupingSet, Grain, Timestamp);

/// Which share of the rows is folded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Share {
    pub(crate) index: u64,
    pub(crate) of: u64,
}

impl Share {
    pub(crate) fn holds(self, columns: &[Box<str>]) -> bool {
        if self.of <= 1 {
            return true;
        }
        let mut text = String::new();
        for column in columns {
            text.push_str(column);
            text.push('\0');
        }
        hash_text(&text) % self.of == self.index
    }
}

/// All expected rows of a pass.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) share: Share,
    pub(crate) rows: HashMap<RowKey, Total>,
    /// Windows into which something fell whose keys are not known.
    pub(crate) unknown: HashSet<SetWindow>,
}

/// One key's part of a snapshot.
#[derive(Default)]
struct Part<'a> {
    processes: Vec<&'a Counted<'a>>,
    users: BTreeSet<&'a str>,
}

impl Fold {
    pub(crate) fn new(share: Share) -> Self {
        Self {
            share,
            rows: HashMap::new(),
            unknown: HashSet::new(),
        }
    }

    /// Counts a snapshot wherever it is folded.
    pub(crate) fn add(&mut self, snapshot: &Contributed<'_>, vectors: &Vectors) {
        let mut by_user: HashMap<&str, Part<'_>> = HashMap::new();
        let mut by_faculty: HashMap<&str, Part<'_>> = HashMap::new();
        let mut by_application: HashMap<(&str, &str), Part<'_>> = HashMap::new();
        for user in &snapshot.users {
            by_user
                .entry(&user.name)
                .or_default()
                .users
                .insert(&user.name);
            let faculty = by_faculty.entry(&user.faculty).or_default();
            faculty.users.insert(&user.name);
        }
        for process in &snapshot.processes {
            let user = &snapshot.users[process.user];
            let key = (&*user.faculty, process.application);
            let application = by_application.entry(key).or_default();
            application.users.insert(&user.name);
            application.processes.push(process);
            by_user
                .entry(&user.name)
                .or_default()
                .processes
                .push(process);
            by_faculty
                .entry(&user.faculty)
                .or_default()
                .processes
                .push(process);
        }
        for (user, part) in by_user {
            self.count(RollupKey::User(user.into()), snapshot, &part, vectors);
        }
        for (faculty, part) in by_faculty {
            self.count(RollupKey::Faculty(faculty.into()), snapshot, &part, vectors);
        }
        for ((faculty, application), part) in by_application {
            let key = RollupKey::Application {
                faculty: faculty.into(),
                os: snapshot.os,
                application: application.into(),
            };
            self.count(key, snapshot, &part, vectors);
        }
    }

    fn count(
        &mut self,
        key: RollupKey<'_>,
        snapshot: &Contributed<'_>,
        part: &Part<'_>,
        vectors: &Vectors,
    ) {
        let set = key.grouping_set();
        let partition = partition_for(key.to_text().as_bytes(), vectors.partitions());
        let Some(vector) = vectors.of(set, partition) else {
            return;
        };
        let SourceOffset {
            partition: source,
            offset,
        } = snapshot.source;
        if !vector.holds(source, offset) {
            return;
        }
        let columns = columns_of(&key);
        if !self.share.holds(&columns) {
            return;
        }
        for grain in Grain::ALL {
            let start = window_start(grain, snapshot.event_at);
            let counts = vector
                .grain(grain)
                .is_some_and(|kept| start >= kept.counted_from);
            if counts {
                let row = RowKey {
                    set,
                    grain,
                    start,
                    columns: columns.clone(),
                };
                let total = self.rows.entry(row).or_default();
                total.partition = partition;
                add_part(total, snapshot, part);
            }
        }
    }

    /// Notes that a snapshot is counted in these windows under keys that are not known.
    pub(crate) fn add_unknown(
        &mut self,
        source: SourceOffset,
        event_at: Timestamp,
        vectors: &Vectors,
    ) -> bool {
        let mut folded = false;
        for set in GroupingSet::ALL {
            if vectors.any_holds(set, source) {
                folded = true;
                for grain in Grain::ALL {
                    self.unknown
                        .insert((set, grain, window_start(grain, event_at)));
                }
            }
        }
        folded
    }
}

fn add_part(total: &mut Total, snapshot: &Contributed<'_>, part: &Part<'_>) {
    let at = snapshot.event_at;
    total.snapshots += 1;
    total.first_event_at = Some(total.first_event_at.map_or(at, |first| first.min(at)));
    total.last_event_at = Some(total.last_event_at.map_or(at, |last| last.max(at)));
    total.machines.insert(hash_text(snapshot.machine));
    let minute = at.as_micros().div_euclid(MINUTE_US);
    total
        .machine_minutes
        .insert(hash_text(&format!("{minute}@{}", snapshot.machine)));
    for user in &part.users {
        total.users.insert(hash_text(user));
    }
    for process in &part.processes {
        total.processes += 1;
        total.cpu_time_us += i128::from(process.cpu_delta_us.unwrap_or(0));
        if let Some(bytes) = process.memory_bytes {
            total.memory.record(bytes);
        }
        total.applications.insert(hash_text(process.application));
    }
}

/// The key's columns as tables hold them.
fn columns_of(key: &RollupKey<'_>) -> Box<[Box<str>]> {
    let stored = |name: &str| -> Box<str> { (&*names::name(name)).into() };
    match key {
        RollupKey::User(name) | RollupKey::Faculty(name) => [stored(name)].into(),
        RollupKey::Application {
            faculty,
            os,
            application,
        } => [stored(faculty), os.as_str().into(), stored(application)].into(),
    }
}

/// The first instant of the window that holds a time.
pub(crate) fn window_start(grain: Grain, at: Timestamp) -> Timestamp {
    let length_us = window_us(grain);
    Timestamp::from_micros(at.as_micros().div_euclid(length_us) * length_us)
}

pub(crate) fn window_us(grain: Grain) -> i64 {
    match grain {
        Grain::Minute => MINUTE_US,
        Grain::Hour => 60 * MINUTE_US,
        Grain::Day => 24 * 60 * MINUTE_US,
    }
}
