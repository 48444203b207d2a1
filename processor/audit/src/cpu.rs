//! CPU time that each process used since the machine's snapshot before, from the contract of `cpu_delta`, naively.
//!
//! The same process: the same pid and executable name, creation times that can be one moment (each an interval of its
//! precision, two seconds of jitter allowed), and a CPU time that has not gone down. Unknown where the snapshot is not
//! later than the one before, where it is more than the machine's CPUs can give in that time plus a quantum, and for all of
//! them where all together are more than that plus a quantum each, or where the system was started anew: its first process
//! (pid 1, on Windows pid 4, System) began at another time or has less CPU time than before. A quantum is a second where all
//! CPU times of one of the two are whole seconds, else 20 ms.

use crate::stored::StoredProcess;
use hashbrown::HashMap;
use rollcall_domain::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use rollcall_domain::{CreationTime, Precision, Process, Timestamp};

/// The processes of a machine's latest snapshot in order, whose CPU times are known, by pid.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) event_at: Timestamp,
    pub(crate) processes: HashMap<i32, Seen>,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) name: Box<str>,
    pub(crate) created_at: Option<CreationTime>,
    pub(crate) cpu_time_us: i64,
}

impl Sighting {
    pub(crate) fn of(event_at: Timestamp, processes: &[Process<'_>]) -> Self {
        let seen = |process: &Process<'_>| {
            let seen = Seen {
                name: (&*process.executable_name).into(),
                created_at: process.created_at,
                cpu_time_us: process.cpu_time_us?,
            };
            Some((process.pid, seen))
        };
        Self {
            event_at,
            processes: processes.iter().filter_map(seen).collect(),
        }
    }
}

impl Sighting {
    /// The same from what the tables hold of a snapshot.
    pub(crate) fn recorded(event_at: Timestamp, processes: &[StoredProcess]) -> Self {
        let seen = |process: &StoredProcess| {
            let precision = process.created_precision.and_then(precision_of);
            let seen = Seen {
                name: (&*process.command.as_ref()?.executable_name).into(),
                created_at: (process.created_at.zip(precision))
                    .map(|(at, precision)| CreationTime { at, precision }),
                cpu_time_us: process.cpu_time_us?,
            };
            Some((process.pid, seen))
        };
        Self {
            event_at,
            processes: processes.iter().filter_map(seen).collect(),
        }
    }
}

/// The delta of each process of `now`, by pid; those not listed are unknown. `None`: the snapshot is not later than
/// the one before, and is not to be remembered.
pub(crate) fn deltas(
    before: Option<&Sighting>,
    now: &Sighting,
    cpu_count: Option<i32>,
) -> Option<HashMap<i32, i64>> {
    let Some(before) = before else {
        return Some(HashMap::new());
    };
    if now.event_at <= before.event_at {
        return None;
    }
    let elapsed_us = now.event_at.micros_since(before.event_at);
    let available_us = cpu_count
        .filter(|cpus| *cpus > 0)
        .map(|cpus| i128::from(elapsed_us) * i128::from(cpus));
    if [1, 4].into_iter().any(|pid| began_anew(pid, before, now)) {
        return Some(HashMap::new());
    }
    let quantum_us = match in_seconds(before) || in_seconds(now) {
        true => SECOND_US,
        false => 20_000,
    };
    let mut deltas = HashMap::new();
    for (pid, later) in &now.processes {
        let Some(delta) = before
            .processes
            .get(pid)
            .and_then(|earlier| used(earlier, later))
        else {
            continue;
        };
        let possible = |available: i128| i128::from(delta) <= available + i128::from(quantum_us);
        if available_us.is_none_or(possible) {
            deltas.insert(*pid, delta);
        }
    }
    let sum: i128 = deltas.values().map(|delta| i128::from(*delta)).sum();
    let quanta = i128::from(quantum_us) * deltas.len() as i128;
    if available_us.is_some_and(|available| sum > available + quanta) {
        deltas.clear();
    }
    Some(deltas)
}

/// Whether all CPU times may have been printed in seconds.
fn in_seconds(sighting: &Sighting) -> bool {
    let mut times = sighting.processes.values().map(|seen| seen.cpu_time_us);
    times.all(|time| time.rem_euclid(SECOND_US) == 0)
}

/// Whether the system's first process, if that is what this pid is, is another one than before.
fn began_anew(pid: i32, before: &Sighting, now: &Sighting) -> bool {
    let pair = before.processes.get(&pid).zip(now.processes.get(&pid));
    pair.is_some_and(|(earlier, later)| {
        let is_first = pid == 1 || [earlier, later].iter().all(|seen| &*seen.name == "System");
        is_first && (!began_together(earlier, later) || later.cpu_time_us < earlier.cpu_time_us)
    })
}

fn used(earlier: &Seen, later: &Seen) -> Option<i64> {
    let alike = earlier.name == later.name && began_together(earlier, later);
    let delta = later.cpu_time_us.checked_sub(earlier.cpu_time_us)?;
    (alike && delta >= 0).then_some(delta)
}

fn began_together(earlier: &Seen, later: &Seen) -> bool {
    match (earlier.created_at, later.created_at) {
        (Some(a), Some(b)) => may_be_one_moment(a, b),
        _ => true,
    }
}

fn may_be_one_moment(a: CreationTime, b: CreationTime) -> bool {
    let last = |time: CreationTime| {
        i128::from(time.at.as_micros()) + i128::from(length_us(time.precision))
    };
    let apart =
        (i128::from(a.at.as_micros()) - last(b)).max(i128::from(b.at.as_micros()) - last(a));
    apart <= i128::from(2 * SECOND_US)
}

fn length_us(precision: Precision) -> i64 {
    match precision {
        Precision::Exact => 0,
        Precision::Second => SECOND_US,
        Precision::Minute => MINUTE_US,
        Precision::Hour => HOUR_US,
        Precision::Day => DAY_US,
        Precision::Year => 366 * DAY_US,
    }
}

/// How exactly a creation time is known, by the tables' code.
fn precision_of(code: u8) -> Option<Precision> {
    Precision::ALL
        .into_iter()
        .find(|precision| precision.code() == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rollcall_normalize::cpu;

    /// The last: CPU time in units of 10 ms.
    type Row = (i32, u8, Option<(i64, u8)>, Option<i64>);

    fn process(&(pid, name, created, cpu_10ms): &Row) -> Process<'static> {
        Process {
            pid,
            parent_pid: None,
            created_at: created.map(|(at_s, precision)| CreationTime {
                at: Timestamp::from_micros(at_s * SECOND_US),
                precision: Precision::ALL[usize::from(precision) % 6],
            }),
            executable_name: ["a", "System", "a", "b"][usize::from(name % 4)].into(),
            executable_path: None,
            command_line: None,
            owner: None,
            state: None,
            cpu_time_us: cpu_10ms.map(|time| time * 10_000),
            memory_usage_bytes: None,
            memory_virtual_bytes: None,
            thread_count: None,
            application: "a".into(),
            script: None,
        }
    }

    fn listing(rows: Vec<Row>) -> Vec<Process<'static>> {
        let unique: std::collections::BTreeMap<i32, Row> =
            rows.into_iter().map(|row| (row.0, row)).collect();
        unique.values().map(process).collect()
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let created = proptest::option::of((0..200_i64, 0..6_u8));
        let row = (
            0..12_i32,
            0..8_u8,
            created,
            // Often whole seconds, as listings print them.
            proptest::option::of(prop_oneof![
                4 => (0..300_i64).prop_map(|s| s * 100),
                1 => 0..30_000_i64,
            ]),
        );
        proptest::collection::vec(row, 0..14)
    }

    proptest! {
        /// The pipeline's own deltas, from which this shares no code, over snapshots in and out of order.
        #[test]
        fn as_the_pipeline_has_them(
            snapshots in proptest::collection::vec((0..400_i64, rows()), 1..6),
            cpus in proptest::option::of(0..4_i32),
        ) {
            let (mut theirs, mut ours) = (None, None);
            for (at_s, rows) in snapshots {
                let event_at = Timestamp::from_micros(at_s * SECOND_US);
                let processes = listing(rows);
                let expected = cpu::deltas(theirs.as_ref(), event_at, cpus, &processes);
                let now = Sighting::of(event_at, &processes);
                let found = deltas(ours.as_ref(), &now, cpus);
                prop_assert_eq!(expected.next.is_some(), found.is_some());
                for (process, delta) in processes.iter().zip(&expected.deltas) {
                    let found = found.as_ref().and_then(|found| found.get(&process.pid));
                    prop_assert_eq!(found, delta.as_ref(), "pid {}", process.pid);
                }
                if let Some(next) = expected.next {
                    theirs = Some(next);
                    ours = Some(now);
                }
            }
        }
    }
}
