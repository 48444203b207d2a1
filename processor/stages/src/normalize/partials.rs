//! Pre-aggregation: one transaction's contributions per key and window of the finest grain.
//!
//! It keeps a popular user, faculty or application from becoming a hot partition: ROLLUP gets one partial
//! per key and transaction, however many snapshots contributed.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use rollcall_domain::ResolvedUser;
use rollcall_domain::hash::partition_for;
use rollcall_domain::hll::hash_text;
use rollcall_domain::observation::SnapshotObservations;
use rollcall_domain::pipeline::Partial;
use rollcall_domain::rollup::{Accumulator, Contribution, GroupingSet, RollupKey};
use rollcall_domain::time::Timestamp;
use rollcall_domain::window::{Grain, Window};
use std::borrow::Cow;
use std::hash::BuildHasher;

/// What was contributed to each key. A key is looked up without its names being copied.
#[derive(Debug, Default)]
struct Keys(HashTable<(RollupKey<'static>, Accumulator)>);

impl Keys {
    /// What was contributed to `key` so far.
    fn of(&mut self, key: RollupKey<'_>) -> &mut Accumulator {
        let hash_of = |key: &RollupKey<'_>| FixedState::default().hash_one(key);
        let entry = self.0.entry(
            hash_of(&key),
            |(known, _)| *known == key,
            |(known, _)| hash_of(known),
        );
        let (_, accumulator) = entry
            .or_insert_with(|| (key.into_owned(), Accumulator::default()))
            .into_mut();
        accumulator
    }
}

/// The distinct names of a snapshot's users, or of their faculties.
struct Groups<'a> {
    names: Vec<&'a str>,
    /// Per user of the snapshot: the index of its name.
    name_of: Vec<usize>,
}

impl<'a> Groups<'a> {
    fn of<'b>(
        snapshot: &'a SnapshotObservations<'b>,
        name: fn(&'a ResolvedUser<'b>) -> &'a str,
    ) -> Self {
        let mut known = HashMap::<&str, usize, FixedState>::default();
        let mut names = Vec::new();
        let index = |user| {
            let name = name(user);
            *known.entry(name).or_insert_with(|| {
                names.push(name);
                names.len() - 1
            })
        };
        let name_of = snapshot.users.iter().map(index).collect();
        Self { names, name_of }
    }

    /// Counts the snapshot once per name, and each process for its name.
    fn add(
        &self,
        keys: &mut Keys,
        key: fn(Cow<'a, str>) -> RollupKey<'a>,
        snapshot: &SnapshotObservations<'_>,
        contribution: &Contribution,
        applications: &[u64],
    ) {
        let mut processes: Vec<_> = snapshot
            .observations
            .iter()
            .zip(applications)
            .map(|(observation, &application)| {
                (
                    self.name_of[observation.user as usize],
                    observation,
                    application,
                )
            })
            .collect();
        processes.sort_by_key(|(name, ..)| *name);
        let mut processes = processes.into_iter().peekable();
        for (index, &name) in self.names.iter().enumerate() {
            let accumulator = keys.of(key(Cow::Borrowed(name)));
            accumulator.add_snapshot(contribution);
            while let Some((_, observation, application)) =
                processes.next_if(|(name, ..)| *name == index)
            {
                let memory = observation.process.memory_usage_bytes;
                accumulator.add_process(observation.cpu_delta_us, memory);
                accumulator.applications.insert_hash(application);
            }
        }
    }
}

/// The contributions of one transaction.
#[derive(Debug)]
pub(crate) struct Partials {
    finest: [Grain; 3],
    /// Per grouping set: the windows that were touched, mostly one or two.
    windows: [Vec<(Timestamp, Keys)>; 3],
}

impl Partials {
    /// Pre-aggregates at these grains, one per grouping set in the order of [`GroupingSet::ALL`].
    pub(crate) fn new(finest: [Grain; 3]) -> Self {
        Self {
            finest,
            windows: Default::default(),
        }
    }

    /// Counts a snapshot: once per user, once per faculty, once per faculty and application.
    ///
    /// Every observation's `user` is an index into the snapshot's users: [`super::accept`] and the decoder see to it.
    pub(crate) fn add(&mut self, snapshot: &SnapshotObservations<'_>) {
        let contribution = Contribution::new(&snapshot.machine.id, snapshot.event_at);
        let applications: Vec<u64> = snapshot
            .observations
            .iter()
            .map(|observation| hash_text(&observation.process.application))
            .collect();
        self.add_users(snapshot, &contribution, &applications);
        self.add_faculties(snapshot, &contribution, &applications);
        self.add_applications(snapshot, &contribution);
    }

    fn add_users(
        &mut self,
        snapshot: &SnapshotObservations<'_>,
        contribution: &Contribution,
        applications: &[u64],
    ) {
        // A user may stand twice, with two faculties; it still is one contribution.
        let groups = Groups::of(snapshot, |user| &user.user);
        let keys = self.window(GroupingSet::User, snapshot.event_at);
        groups.add(keys, RollupKey::User, snapshot, contribution, applications);
    }

    fn add_faculties(
        &mut self,
        snapshot: &SnapshotObservations<'_>,
        contribution: &Contribution,
        applications: &[u64],
    ) {
        let groups = Groups::of(snapshot, |user| &user.faculty);
        let keys = self.window(GroupingSet::Faculty, snapshot.event_at);
        groups.add(
            keys,
            RollupKey::Faculty,
            snapshot,
            contribution,
            applications,
        );
        for user in &snapshot.users {
            let accumulator = keys.of(RollupKey::Faculty(Cow::Borrowed(&user.faculty)));
            accumulator.users.insert_hash(hash_text(&user.user));
        }
    }

    fn add_applications(
        &mut self,
        snapshot: &SnapshotObservations<'_>,
        contribution: &Contribution,
    ) {
        let users: Vec<u64> = snapshot
            .users
            .iter()
            .map(|user| hash_text(&user.user))
            .collect();
        let keys = self.window(GroupingSet::Application, snapshot.event_at);
        // A key's first process of this snapshot counts the snapshot. Sorting brings a key's processes together.
        let mut order: Vec<&_> = snapshot.observations.iter().collect();
        let of = |observation: &rollcall_domain::Observation<'_>| {
            &snapshot.users[observation.user as usize].faculty
        };
        order.sort_by(|a, b| (of(a), &a.process.application).cmp(&(of(b), &b.process.application)));
        let same = |a: &&rollcall_domain::Observation<'_>,
                    b: &&rollcall_domain::Observation<'_>| {
            of(a) == of(b) && a.process.application == b.process.application
        };
        for group in order.chunk_by(same) {
            let accumulator = keys.of(RollupKey::Application {
                faculty: Cow::Borrowed(&**of(group[0])),
                os: snapshot.machine.os,
                application: Cow::Borrowed(&*group[0].process.application),
            });
            accumulator.add_snapshot(contribution);
            for observation in group {
                let process = &observation.process;
                accumulator.add_process(observation.cpu_delta_us, process.memory_usage_bytes);
                accumulator
                    .users
                    .insert_hash(users[observation.user as usize]);
            }
        }
    }

    fn window(&mut self, set: GroupingSet, at: Timestamp) -> &mut Keys {
        let start = self.finest[set as usize].window_of(at).start;
        let windows = &mut self.windows[set as usize];
        let index = windows
            .iter()
            .position(|(known, _)| *known == start)
            .unwrap_or_else(|| {
                windows.push((start, Keys::default()));
                windows.len() - 1
            });
        &mut windows[index].1
    }

    /// Takes everything, per target partition, in a fixed order.
    pub(crate) fn take(&mut self, partitions: i32) -> Vec<Vec<Partial<'static>>> {
        let mut targets = vec![Vec::new(); partitions.max(1) as usize];
        let mut text = String::new();
        for set in GroupingSet::ALL {
            let grain = self.finest[set as usize];
            for (start, keys) in self.windows[set as usize].drain(..) {
                let mut keys: Vec<_> = keys.0.into_iter().collect();
                keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                for (key, accumulator) in keys {
                    text.clear();
                    key.write_text(&mut text);
                    let target = partition_for(text.as_bytes(), partitions) as usize;
                    targets[target].push(Partial {
                        key,
                        window: Window { grain, start },
                        accumulator,
                    });
                }
            }
        }
        targets
    }
}
