//! A fold of snapshots that shares nothing with the stages: sets and sums, row by row.

use rollcall_domain::{Accumulator, Grain, RollupKey, SnapshotObservations};
use std::collections::{BTreeMap, BTreeSet};

/// What a rollup should hold, with its distinct things as sets.
#[derive(Default, Debug)]
pub struct Expect {
    pub snapshots: BTreeSet<u128>,
    pub processes: i64,
    pub machines: BTreeSet<String>,
    pub users: BTreeSet<String>,
    pub applications: BTreeSet<String>,
    pub machine_minutes: BTreeSet<(String, i64)>,
    pub cpu_time_us: i64,
    pub memory: Vec<i64>,
}

/// Per key and start of its window.
pub type Folded = BTreeMap<(RollupKey<'static>, i64), Expect>;

pub fn fold(snapshots: &[SnapshotObservations<'static>], grains: [Grain; 3]) -> Folded {
    let mut folded = Folded::new();
    for snapshot in snapshots {
        let at = snapshot.event_at.as_micros();
        for row in &snapshot.observations {
            let user = &snapshot.users[row.user as usize];
            let keys = [
                RollupKey::User(user.user.clone()),
                RollupKey::Faculty(user.faculty.clone()),
                RollupKey::Application {
                    faculty: user.faculty.clone(),
                    os: snapshot.machine.os,
                    application: row.process.application.clone(),
                },
            ];
            for (key, grain) in keys.into_iter().zip(grains) {
                let start = at - at % grain.length_us();
                let expect = folded.entry((key.clone(), start)).or_default();
                let machine = snapshot.machine.id.to_string();
                expect.snapshots.insert(snapshot.snapshot_id.0);
                expect.processes += 1;
                expect.machines.insert(machine.clone());
                expect.machine_minutes.insert((machine, at / 60_000_000));
                if !matches!(key, RollupKey::User(_)) {
                    expect.users.insert(user.user.to_string());
                }
                if !matches!(key, RollupKey::Application { .. }) {
                    let application = row.process.application.to_string();
                    expect.applications.insert(application);
                }
                expect.cpu_time_us += row.cpu_delta_us.unwrap_or(0);
                expect.memory.extend(row.process.memory_usage_bytes);
            }
        }
    }
    folded
}

#[track_caller]
pub fn check(found: &BTreeMap<(RollupKey<'static>, i64), Accumulator>, expect: &Folded) {
    let keys = |map: Vec<&(RollupKey<'static>, i64)>| format!("{map:#?}");
    assert_eq!(keys(found.keys().collect()), keys(expect.keys().collect()));
    for (key, expect) in expect {
        let found = &found[key];
        let counts = (found.snapshots, found.processes, found.cpu_time_us);
        let wanted = (
            expect.snapshots.len() as i64,
            expect.processes,
            expect.cpu_time_us,
        );
        assert_eq!(counts, wanted, "{key:?}");
        let distinct = [
            &found.machines,
            &found.users,
            &found.applications,
            &found.machine_minutes,
        ]
        .map(|hll| hll.cardinality() as usize);
        let wanted = [
            expect.machines.len(),
            expect.users.len(),
            expect.applications.len(),
            expect.machine_minutes.len(),
        ];
        assert_eq!(distinct, wanted, "{key:?}");
        let memory = &found.memory;
        let found = (
            memory.count,
            memory.sum_bytes,
            memory.min_bytes,
            memory.max_bytes,
        );
        let wanted = (
            expect.memory.len() as i64,
            expect.memory.iter().sum::<i64>(),
            expect.memory.iter().min().copied(),
            expect.memory.iter().max().copied(),
        );
        assert_eq!(found, wanted, "{key:?}");
    }
}
