//! CPU time that each process used between two snapshots of its machine.
//!
//! Cumulative CPU times are the only measure that all operating systems share; their difference is comparable where
//! percentages are not. A process is the same in both snapshots iff its pid, its executable's name and, up to their
//! precision, its creation times agree, and its CPU time has not gone down. (A process that replaces its executable counts
//! as a new one.)
//!
//! A delta is `None`, never 0, where it is not known: at the first sight of a process, without a CPU time, and for a
//! snapshot that is not later than the one before, which also leaves the state as it is.
//!
//! Quantum: a listing rounds CPU time down (to 1 s on Linux and Windows, 10 ms on macOS, a clock tick or less in structured
//! records), so that a delta is off by less than one quantum, and the sum of a process' deltas by one in all.
//!
//! Bound: no process can use more than elapsed time × CPUs, plus one quantum; one that did is another process with the
//! same pid, so its delta is `None`. Nor can all together use more than that plus one quantum each; if they did, the times
//! of the snapshots are wrong and none of the deltas is to be trusted: all are `None`. Without a number of CPUs there is no
//! bound.

use crate::hash::fnv1a;
use rollcall_domain::pipeline::{MachineCpu, ProcessCpu};
use rollcall_domain::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use rollcall_domain::{CreationTime, Precision, Process, Timestamp};
use std::borrow::Cow;

/// How far two readings of one creation time may lie apart: Linux computes it from a boot time that jitters.
const JITTER_US: i64 = 2 * SECOND_US;
/// The coarsest rounding of a listing's CPU times.
pub const QUANTUM_US: i64 = SECOND_US;

/// The deltas of a snapshot's processes and what to remember for the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuDeltas {
    /// Per process, in the order given: CPU time since the snapshot before, in microseconds.
    pub deltas: Vec<Option<i64>>,
    /// The machine's new state, by ascending pid; `None`: the old one stays.
    pub next: Option<MachineCpu>,
}

/// The fixed hash of an executable's name, as the state holds it.
#[must_use]
pub fn name_hash(executable_name: &str) -> u64 {
    fnv1a(executable_name.as_bytes())
}

/// Deltas of `processes`, seen at `event_at`, against the machine's snapshot before.
#[must_use]
pub fn deltas(
    previous: Option<&MachineCpu>,
    event_at: Timestamp,
    cpu_count: Option<i32>,
    processes: &[Process<'_>],
) -> CpuDeltas {
    if previous.is_some_and(|previous| event_at <= previous.event_at) {
        return CpuDeltas {
            deltas: vec![None; processes.len()],
            next: None,
        };
    }
    let current = by_pid(processes);
    let mut deltas = vec![None; processes.len()];
    if let Some(previous) = previous {
        let before = sorted(&previous.processes);
        merge(&before, &current, &mut deltas);
        let elapsed_us = event_at.micros_since(previous.event_at);
        bound(&mut deltas, elapsed_us, cpu_count);
    }
    let processes = current.into_iter().map(|(_, process)| process).collect();
    CpuDeltas {
        deltas,
        next: Some(MachineCpu {
            event_at,
            processes,
        }),
    }
}

/// What is remembered of the processes whose CPU time is known, with their indexes, by pid.
fn by_pid(processes: &[Process<'_>]) -> Vec<(usize, ProcessCpu)> {
    let remembered = |(index, process): (usize, &Process<'_>)| {
        let cpu = ProcessCpu {
            pid: process.pid,
            name_hash: name_hash(&process.executable_name),
            created_at: process.created_at,
            cpu_time_us: process.cpu_time_us?,
        };
        Some((index, cpu))
    };
    let mut all: Vec<_> = processes
        .iter()
        .enumerate()
        .filter_map(remembered)
        .collect();
    // Stable, so that equal pids, which a listing does not have, would still give one result.
    all.sort_by_key(|(_, process)| process.pid);
    all
}

/// State is written by ascending pid; state that isn't is put in order rather than trusted.
fn sorted(processes: &[ProcessCpu]) -> Cow<'_, [ProcessCpu]> {
    if processes.is_sorted_by_key(|process| process.pid) {
        return Cow::Borrowed(processes);
    }
    let mut processes = processes.to_vec();
    processes.sort_by_key(|process| process.pid);
    Cow::Owned(processes)
}

fn merge(before: &[ProcessCpu], current: &[(usize, ProcessCpu)], deltas: &mut [Option<i64>]) {
    let mut before = before.iter().peekable();
    for (index, process) in current {
        while before
            .next_if(|earlier| earlier.pid < process.pid)
            .is_some()
        {}
        let Some(earlier) = before.next_if(|earlier| earlier.pid == process.pid) else {
            continue;
        };
        if is_same(earlier, process) {
            deltas[*index] = process
                .cpu_time_us
                .checked_sub(earlier.cpu_time_us)
                .filter(|delta| *delta >= 0);
        }
    }
}

fn is_same(earlier: &ProcessCpu, later: &ProcessCpu) -> bool {
    let created_alike = match (earlier.created_at, later.created_at) {
        (Some(a), Some(b)) => may_be_equal(a, b),
        _ => true,
    };
    earlier.name_hash == later.name_hash && created_alike
}

/// Whether two intervals of time, each widened by the jitter, have a moment in common.
fn may_be_equal(a: CreationTime, b: CreationTime) -> bool {
    let end = |time: CreationTime| {
        time.at
            .plus_micros(length_us(time.precision))
            .plus_micros(JITTER_US)
    };
    a.at <= end(b) && b.at <= end(a)
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

fn bound(deltas: &mut [Option<i64>], elapsed_us: i64, cpu_count: Option<i32>) {
    let Some(cpus) = cpu_count.filter(|cpus| *cpus > 0) else {
        return;
    };
    let available = i128::from(elapsed_us) * i128::from(cpus);
    let quantum = i128::from(QUANTUM_US);
    let (mut sum, mut count) = (0_i128, 0_i128);
    for delta in deltas.iter_mut() {
        *delta = delta.filter(|delta| i128::from(*delta) <= available + quantum);
        if let Some(delta) = delta {
            sum += i128::from(*delta);
            count += 1;
        }
    }
    if sum > available + quantum * count {
        deltas.fill(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: i64 = 1_795_181_400 * SECOND_US;

    fn process(
        pid: i32,
        name: &'static str,
        started_s: Option<i64>,
        cpu_s: Option<i64>,
    ) -> Process<'static> {
        Process {
            pid,
            parent_pid: None,
            created_at: started_s.map(|s| CreationTime {
                at: Timestamp::from_micros(s * SECOND_US),
                precision: Precision::Second,
            }),
            executable_name: Cow::Borrowed(name),
            executable_path: None,
            command_line: None,
            owner: None,
            state: None,
            cpu_time_us: cpu_s.map(|s| s * SECOND_US),
            memory_usage_bytes: None,
            memory_virtual_bytes: None,
            thread_count: None,
            application: Cow::Borrowed(name),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(T0 + seconds * SECOND_US)
    }

    /// Deltas, in seconds, of `later` a minute after `earlier` on four CPUs.
    #[track_caller]
    fn check(earlier: &[Process<'_>], later: &[Process<'_>], expect: &[Option<i64>]) {
        let first = deltas(None, at(0), Some(4), earlier);
        assert!(first.deltas.iter().all(Option::is_none));
        let second = deltas(first.next.as_ref(), at(60), Some(4), later);
        let seconds: Vec<_> = second
            .deltas
            .iter()
            .map(|delta| delta.map(|us| us / SECOND_US))
            .collect();
        assert_eq!(seconds, expect);
    }

    #[test]
    fn the_difference_of_the_same_process() {
        check(
            &[
                process(7, "a", Some(5), Some(10)),
                process(9, "b", None, Some(1)),
                process(3, "c", Some(1), Some(0)),
            ],
            &[
                process(9, "b", Some(8), Some(4)),
                process(3, "c", Some(1), Some(0)),
                process(7, "a", Some(7), Some(70)),
            ],
            &[Some(3), Some(0), Some(60)],
        );
    }

    #[test]
    fn another_process_with_the_same_pid() {
        let earlier = [process(7, "a", Some(5), Some(10))];
        check(&earlier, &[process(7, "b", Some(5), Some(11))], &[None]);
        check(&earlier, &[process(7, "a", Some(50), Some(11))], &[None]);
        check(&earlier, &[process(7, "a", Some(5), Some(9))], &[None]);
        check(&earlier, &[process(8, "a", Some(5), Some(11))], &[None]);
        check(&earlier, &[process(7, "a", Some(5), None)], &[None]);
    }

    #[test]
    fn creation_times_agree_up_to_their_precision() {
        let time = |s: i64, precision| CreationTime {
            at: Timestamp::from_micros(s * SECOND_US),
            precision,
        };
        assert!(may_be_equal(
            time(0, Precision::Day),
            time(86_000, Precision::Minute)
        ));
        assert!(may_be_equal(
            time(60, Precision::Minute),
            time(120, Precision::Minute)
        ));
        assert!(!may_be_equal(
            time(60, Precision::Minute),
            time(180, Precision::Minute)
        ));
        assert!(may_be_equal(
            time(60, Precision::Exact),
            time(62, Precision::Exact)
        ));
        assert!(!may_be_equal(
            time(60, Precision::Exact),
            time(63, Precision::Exact)
        ));
    }

    #[test]
    fn more_than_the_machine_has() {
        let earlier = [
            process(1, "a", None, Some(0)),
            process(2, "b", None, Some(0)),
        ];
        // 60 s × 4 CPUs + 1 s: the bound of one process, and one second beyond.
        check(&earlier, &[process(1, "a", None, Some(241))], &[Some(241)]);
        check(
            &earlier,
            &[
                process(1, "a", None, Some(242)),
                process(2, "b", None, Some(5)),
            ],
            &[None, Some(5)],
        );
        check(
            &earlier,
            &[
                process(1, "a", None, Some(121)),
                process(2, "b", None, Some(121)),
            ],
            &[Some(121), Some(121)],
        );
        check(
            &earlier,
            &[
                process(1, "a", None, Some(121)),
                process(2, "b", None, Some(122)),
            ],
            &[None, None],
        );
    }

    #[test]
    fn a_snapshot_that_is_not_later_leaves_the_state() {
        let one = [process(1, "a", None, Some(1))];
        let first = deltas(None, at(0), None, &one);
        for seconds in [0, -5] {
            let again = deltas(first.next.as_ref(), at(seconds), None, &one);
            assert_eq!(
                again,
                CpuDeltas {
                    deltas: vec![None],
                    next: None
                }
            );
        }
    }

    #[test]
    fn state_is_by_pid_and_unordered_state_is_read() {
        let first = deltas(
            None,
            at(0),
            None,
            &[
                process(5, "b", None, Some(1)),
                process(2, "a", None, Some(1)),
            ],
        );
        let mut state = first.next.expect("state");
        assert!(state.processes.is_sorted_by_key(|process| process.pid));
        state.processes.reverse();
        let second = deltas(
            Some(&state),
            at(9),
            None,
            &[
                process(2, "a", None, Some(3)),
                process(5, "b", None, Some(2)),
            ],
        );
        assert_eq!(second.deltas, [Some(2 * SECOND_US), Some(SECOND_US)]);
    }

    proptest! {
        #[test]
        fn the_sum_never_exceeds_what_there_was(
            earlier in proptest::collection::vec((0..20_i32, 0..500_i64), 0..20),
            later in proptest::collection::vec((0..20_i32, 0..500_i64), 0..20),
            elapsed in 1..100_i64,
            cpus in 1..8_i32,
        ) {
            let listing = |rows: &[(i32, i64)]| -> Vec<_> {
                let unique: std::collections::BTreeMap<_, _> = rows.iter().copied().collect();
                unique.into_iter().map(|(pid, cpu)| process(pid, "a", None, Some(cpu))).collect()
            };
            let (earlier, later) = (listing(&earlier), listing(&later));
            let first = deltas(None, at(0), Some(cpus), &earlier);
            let second = deltas(first.next.as_ref(), at(elapsed), Some(cpus), &later);
            let known: Vec<_> = second.deltas.iter().flatten().collect();
            let available = elapsed * i64::from(cpus) * SECOND_US + known.len() as i64 * QUANTUM_US;
            prop_assert!(known.into_iter().sum::<i64>() <= available);
            prop_assert_eq!(second.deltas.len(), later.len());
        }
    }
}
