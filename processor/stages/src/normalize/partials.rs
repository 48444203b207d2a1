//! Pre-aggregation: one transaction's contributions per key and window of the finest grain.
//!
//! It keeps a popular user, faculty or application from becoming a hot partition: ROLLUP gets one partial
//! per key and transaction, however many snapshots contributed.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rollcall_domain::hash::partition_for;
use rollcall_domain::hll::hash_text;
use rollcall_domain::observation::SnapshotObservations;
use rollcall_domain::pipeline::Partial;
use rollcall_domain::rollup::{Accumulator, Contribution, GroupingSet, RollupKey};
use rollcall_domain::time::Timestamp;
use rollcall_domain::window::{Grain, Window};
use std::borrow::Cow;

type Keys = HashMap<String, Accumulator, FixedState>;

/// The contributions of one transaction.
#[derive(Debug)]
pub(crate) struct Partials {
    finest: [Grain; 3],
    /// Per grouping set: the windows that were touched, mostly one or two.
    windows: [Vec<(Timestamp, Keys)>; 3],
    key: String,
}

impl Partials {
    /// Pre-aggregates at these grains, one per grouping set in the order of [`GroupingSet::ALL`].
    pub(crate) fn new(finest: [Grain; 3]) -> Self {
        Self {
            finest,
            windows: Default::default(),
            key: String::new(),
        }
    }

    /// Counts a snapshot: once per user, once per faculty, once per faculty and application.
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
        let keys = self.window(GroupingSet::User, snapshot.event_at);
        for (index, user) in snapshot.users.iter().enumerate() {
            // A user may stand twice, with two faculties; it still is one contribution.
            if snapshot.users[..index]
                .iter()
                .any(|before| before.user == user.user)
            {
                continue;
            }
            let accumulator = keys.entry_ref(&*user.user).or_default();
            accumulator.add_snapshot(contribution);
            for (observation, &application) in snapshot.observations.iter().zip(applications) {
                if snapshot.users[observation.user as usize].user == user.user {
                    let process = &observation.process;
                    accumulator.add_process(observation.cpu_delta_us, process.memory_usage_bytes);
                    accumulator.applications.insert_hash(application);
                }
            }
        }
    }

    fn add_faculties(
        &mut self,
        snapshot: &SnapshotObservations<'_>,
        contribution: &Contribution,
        applications: &[u64],
    ) {
        let keys = self.window(GroupingSet::Faculty, snapshot.event_at);
        for (index, user) in snapshot.users.iter().enumerate() {
            let first = !snapshot.users[..index]
                .iter()
                .any(|before| before.faculty == user.faculty);
            let accumulator = keys.entry_ref(&*user.faculty).or_default();
            if first {
                accumulator.add_snapshot(contribution);
            }
            accumulator.users.insert_hash(hash_text(&user.user));
            for (observation, &application) in snapshot.observations.iter().zip(applications) {
                if observation.user as usize == index {
                    let process = &observation.process;
                    accumulator.add_process(observation.cpu_delta_us, process.memory_usage_bytes);
                    accumulator.applications.insert_hash(application);
                }
            }
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
        let mut key = std::mem::take(&mut self.key);
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
            let rollup_key = RollupKey::Application {
                faculty: Cow::Borrowed(&**of(group[0])),
                os: snapshot.machine.os,
                application: Cow::Borrowed(&*group[0].process.application),
            };
            key.clear();
            rollup_key.write_text(&mut key);
            let accumulator = keys.entry_ref(&*key).or_default();
            accumulator.add_snapshot(contribution);
            for observation in group {
                let process = &observation.process;
                accumulator.add_process(observation.cpu_delta_us, process.memory_usage_bytes);
                accumulator
                    .users
                    .insert_hash(users[observation.user as usize]);
            }
        }
        self.key = key;
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
        for set in GroupingSet::ALL {
            let grain = self.finest[set as usize];
            for (start, keys) in self.windows[set as usize].drain(..) {
                let mut keys: Vec<_> = keys.into_iter().collect();
                keys.sort_unstable_by(|a, b| a.0.cmp(&b.0));
                for (text, accumulator) in keys {
                    let target = partition_for(text.as_bytes(), partitions) as usize;
                    let Some(key) = RollupKey::parse(set, &text).map(RollupKey::into_owned) else {
                        continue;
                    };
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
