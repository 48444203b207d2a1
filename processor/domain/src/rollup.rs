//! Rollups: what is kept per user, per faculty and per application and window.
//!
//! An [`Accumulator`] merges with identity (`default()`), commutatively and associatively, on integers
//! only, so that the same contributions in any order and grouping give an equal value.

use crate::ddsketch::DdSketch;
use crate::hll::{Hll, hash_text};
use crate::snapshot::Os;
use crate::time::Timestamp;
use crate::window::Grain;
use std::borrow::Cow;

/// By what observations are grouped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GroupingSet {
    /// Per user.
    User,
    /// Per faculty.
    Faculty,
    /// Per faculty, operating system and application.
    Application,
}

impl GroupingSet {
    /// Every grouping set, in a fixed order.
    pub const ALL: [GroupingSet; 3] = [
        GroupingSet::User,
        GroupingSet::Faculty,
        GroupingSet::Application,
    ];

    /// Its name in settings, topics and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            GroupingSet::User => "user",
            GroupingSet::Faculty => "faculty",
            GroupingSet::Application => "application",
        }
    }

    /// The inverse of [`GroupingSet::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<GroupingSet> {
        GroupingSet::ALL
            .into_iter()
            .find(|set| set.as_str() == text)
    }

    /// Its grains where settings name no others, finest first.
    #[must_use]
    pub const fn default_grains(self) -> &'static [Grain] {
        match self {
            GroupingSet::User | GroupingSet::Faculty => &[Grain::Minute, Grain::Hour, Grain::Day],
            GroupingSet::Application => &[Grain::Hour, Grain::Day],
        }
    }
}

/// What a rollup is of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RollupKey<'a> {
    /// A resolved user.
    User(Cow<'a, str>),
    /// A faculty.
    Faculty(Cow<'a, str>),
    /// An application of a faculty on an operating system.
    Application {
        /// The faculty.
        faculty: Cow<'a, str>,
        /// The operating system.
        os: Os,
        /// The canonical application name.
        application: Cow<'a, str>,
    },
}

impl<'a> RollupKey<'a> {
    /// The grouping set that it belongs to.
    #[must_use]
    pub const fn grouping_set(&self) -> GroupingSet {
        match self {
            RollupKey::User(_) => GroupingSet::User,
            RollupKey::Faculty(_) => GroupingSet::Faculty,
            RollupKey::Application { .. } => GroupingSet::Application,
        }
    }

    /// The key as text, unambiguous within its grouping set: the user, the faculty, or
    /// `os:<bytes of faculty>:faculty:application`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write_text(&mut text);
        text
    }

    /// Appends what [`RollupKey::to_text`] returns.
    pub fn write_text(&self, text: &mut String) {
        match self {
            RollupKey::User(name) | RollupKey::Faculty(name) => text.push_str(name),
            RollupKey::Application {
                faculty,
                os,
                application,
            } => {
                text.push_str(os.as_str());
                text.push(':');
                text.push_str(&faculty.len().to_string());
                text.push(':');
                text.push_str(faculty);
                text.push(':');
                text.push_str(application);
            }
        }
    }

    /// The same key, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> RollupKey<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        match self {
            RollupKey::User(name) => RollupKey::User(own(name)),
            RollupKey::Faculty(name) => RollupKey::Faculty(own(name)),
            RollupKey::Application {
                faculty,
                os,
                application,
            } => RollupKey::Application {
                faculty: own(faculty),
                os,
                application: own(application),
            },
        }
    }

    /// The inverse of [`RollupKey::to_text`].
    #[must_use]
    pub fn parse(set: GroupingSet, text: &'a str) -> Option<RollupKey<'a>> {
        match set {
            GroupingSet::User => Some(RollupKey::User(Cow::Borrowed(text))),
            GroupingSet::Faculty => Some(RollupKey::Faculty(Cow::Borrowed(text))),
            GroupingSet::Application => {
                let (os, rest) = text.split_once(':')?;
                let (length, rest) = rest.split_once(':')?;
                let (faculty, rest) = rest.split_at_checked(length.parse().ok()?)?;
                Some(RollupKey::Application {
                    faculty: Cow::Borrowed(faculty),
                    os: Os::parse(os)?,
                    application: Cow::Borrowed(rest.strip_prefix(':')?),
                })
            }
        }
    }
}

/// Resident memory of processes, in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemoryStatistics {
    /// Processes whose memory is known.
    pub count: i64,
    /// Sum over them; stops at `i64::MAX`.
    pub sum_bytes: i64,
    /// Smallest, where `count > 0`.
    pub min_bytes: Option<i64>,
    /// Largest, where `count > 0`.
    pub max_bytes: Option<i64>,
    /// Quantile sketch.
    pub sketch: DdSketch,
}

/// One rollup's value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Accumulator {
    /// Snapshots that contributed.
    pub snapshots: i64,
    /// Processes observed (a process in two snapshots counts twice).
    pub processes: i64,
    /// Distinct machines.
    pub machines: Hll,
    /// Distinct users.
    pub users: Hll,
    /// Distinct applications.
    pub applications: Hll,
    /// Distinct (machine, minute) pairs.
    pub machine_minutes: Hll,
    /// Sum of CPU deltas in microseconds; stops at `i64::MAX`.
    pub cpu_time_us: i64,
    /// Resident memory.
    pub memory: MemoryStatistics,
    /// Earliest event time, where `snapshots > 0`.
    pub first_event_at: Option<Timestamp>,
    /// Latest event time, where `snapshots > 0`.
    pub last_event_at: Option<Timestamp>,
}

/// What all contributions of one snapshot share, hashed once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contribution {
    /// The snapshot's event time.
    pub event_at: Timestamp,
    /// Hash of the machine id.
    pub machine: u64,
    /// Hash of the machine id and the minute.
    pub machine_minute: u64,
}

impl Contribution {
    /// The contribution of a snapshot of `machine_id`.
    ///
    /// A machine-minute is the text `<minutes since the epoch>@<machine id>`.
    #[must_use]
    pub fn new(machine_id: &str, event_at: Timestamp) -> Self {
        Self {
            event_at,
            machine: hash_text(machine_id),
            machine_minute: hash_text(&format!("{}@{machine_id}", event_at.minute())),
        }
    }
}

impl Accumulator {
    /// Counts a snapshot, once for each key that one of its processes belongs to.
    pub fn add_snapshot(&mut self, contribution: &Contribution) {
        self.snapshots += 1;
        self.machines.insert_hash(contribution.machine);
        self.machine_minutes
            .insert_hash(contribution.machine_minute);
        let at = contribution.event_at;
        self.first_event_at = Some(self.first_event_at.map_or(at, |first| first.min(at)));
        self.last_event_at = Some(self.last_event_at.map_or(at, |last| last.max(at)));
    }

    /// Counts a process.
    pub fn add_process(&mut self, cpu_delta_us: Option<i64>, memory_bytes: Option<i64>) {
        self.processes += 1;
        self.cpu_time_us = self.cpu_time_us.saturating_add(cpu_delta_us.unwrap_or(0));
        if let Some(bytes) = memory_bytes {
            self.memory.record(bytes);
        }
    }

    /// Counts `other`'s contributions too.
    pub fn merge(&mut self, other: &Accumulator) {
        self.snapshots += other.snapshots;
        self.processes += other.processes;
        self.machines.merge(&other.machines);
        self.users.merge(&other.users);
        self.applications.merge(&other.applications);
        self.machine_minutes.merge(&other.machine_minutes);
        self.cpu_time_us = self.cpu_time_us.saturating_add(other.cpu_time_us);
        self.memory.merge(&other.memory);
        self.first_event_at = smaller(self.first_event_at, other.first_event_at);
        self.last_event_at = self.last_event_at.max(other.last_event_at);
    }

    /// Bytes on the heap, for limits and metrics.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.machines.heap_bytes()
            + self.users.heap_bytes()
            + self.applications.heap_bytes()
            + self.machine_minutes.heap_bytes()
            + self.memory.sketch.heap_bytes()
    }
}

impl MemoryStatistics {
    /// Counts one process' resident memory.
    pub fn record(&mut self, bytes: i64) {
        self.count += 1;
        self.sum_bytes = self.sum_bytes.saturating_add(bytes);
        self.min_bytes = Some(self.min_bytes.map_or(bytes, |min| min.min(bytes)));
        self.max_bytes = Some(self.max_bytes.map_or(bytes, |max| max.max(bytes)));
        self.sketch.record(bytes);
    }

    fn merge(&mut self, other: &MemoryStatistics) {
        self.count += other.count;
        self.sum_bytes = self.sum_bytes.saturating_add(other.sum_bytes);
        self.min_bytes = smaller(self.min_bytes, other.min_bytes);
        self.max_bytes = self.max_bytes.max(other.max_bytes);
        self.sketch.merge(&other.sketch);
    }
}

/// The smaller of two values, where nothing is larger than everything.
fn smaller<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_survive_text() {
        let key = RollupKey::Application {
            faculty: "a:b".into(),
            os: Os::Macos,
            application: "c:d:e".into(),
        };
        let text = key.to_text();
        assert_eq!(text, "macos:3:a:b:c:d:e");
        assert_eq!(RollupKey::parse(GroupingSet::Application, &text), Some(key));
        assert_eq!(
            RollupKey::parse(GroupingSet::Application, "macos:9:a:b"),
            None
        );
    }

    type Row = (u8, u16, Option<u32>, Option<u32>);

    fn fold(rows: &[Row]) -> Accumulator {
        let mut accumulator = Accumulator::default();
        for &(machine, minute, cpu, memory) in rows {
            let at = Timestamp::from_micros(i64::from(minute) * 1_000_003);
            accumulator.add_snapshot(&Contribution::new(&format!("m{machine}"), at));
            accumulator
                .users
                .insert_hash(hash_text(&format!("u{}", machine / 2)));
            accumulator.add_process(cpu.map(i64::from), memory.map(i64::from));
        }
        accumulator
    }

    proptest! {
        #[test]
        fn order_and_grouping_do_not_matter(
            rows in prop::collection::vec(any::<Row>(), 0..300),
            cut in 0usize..300,
        ) {
            let whole = fold(&rows);
            let cut = cut.min(rows.len());
            let (a, b) = rows.split_at(cut);
            let mut ab = fold(a);
            ab.merge(&fold(b));
            let mut ba = fold(b);
            ba.merge(&fold(a));
            let mut with_identity = Accumulator::default();
            with_identity.merge(&whole);
            prop_assert_eq!(&ab, &whole);
            prop_assert_eq!(&ba, &whole);
            prop_assert_eq!(&with_identity, &whole);
        }
    }
}
