//! CPU time that each process used between two snapshots of its machine.
//!
//! Cumulative CPU times are the only measure that all operating systems share; their difference is comparable where
//! percentages are not. A process is the same in both snapshots iff its pid, its executable's name and, up to their
//! precision, its creation times agree, and its CPU time has not gone down. (A process that replaces its executable counts
//! as a new one.)
//!
//! A machine that was started anew runs none of the processes that it ran before, even where pid and name are equal and the
//! listing prints no start times (tasklist). That shows in the process that lives as long as the system: pid 1 of Linux and
//! macOS (and of a container), pid 4 `System` of Windows. If it has another creation time or less CPU time than before, all
//! deltas are `None`. What remains: a restart between two listings without start times, of a machine whose anchor has used
//! more CPU time since than in all the time before; then a process counts as the same that has pid, name and no less CPU time.
//!
//! A delta is `None`, never 0, where it is not known: at the first sight of a process, without a CPU time, and for a
//! snapshot that is not later than the one before, which also leaves the state as it is. A machine that changes its form of
//! listing loses deltas where the one cuts names or rounds and the other doesn't, and gets none that are wrong.
//!
//! Quantum: a listing rounds CPU time down, so that a delta is off by less than one quantum, and the sum of a process'
//! deltas by one in all. It is [`QUANTUM_US`] for text of Linux and Windows. It is at most [`FINE_QUANTUM_US`] for macOS'
//! centiseconds and for structured records: user and system time of Linux are each rounded to a tick of 10 ms, times of
//! Windows advance by 15.625 ms. Times that are all whole seconds are taken to be of the first kind.
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
/// The rounding of CPU times that are printed in seconds.
pub const QUANTUM_US: i64 = SECOND_US;
/// The coarsest rounding of CPU times that are known more exactly.
pub const FINE_QUANTUM_US: i64 = SECOND_US / 50;
/// The processes that live as long as their system: its pid, and its name where other systems have that pid, too.
const ANCHORS: [(i32, Option<&str>); 2] = [(1, None), (4, Some("System"))];

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
        if !is_restarted(&before, &current) {
            merge(&before, &current, &mut deltas);
        }
        let bound = Bound {
            elapsed_us: event_at.micros_since(previous.event_at),
            quantum_us: quantum_us(before.iter()).max(quantum_us(current.iter().map(|(_, p)| p))),
        };
        bound.apply(&mut deltas, cpu_count);
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

/// Whether a process that lives as long as its system is another one than before.
fn is_restarted(before: &[ProcessCpu], current: &[(usize, ProcessCpu)]) -> bool {
    ANCHORS.iter().any(|&(pid, name)| {
        let earlier = before.binary_search_by_key(&pid, |process| process.pid);
        let later = current.binary_search_by_key(&pid, |(_, process)| process.pid);
        let (Ok(earlier), Ok(later)) = (earlier, later) else {
            return false;
        };
        let (earlier, (_, later)) = (&before[earlier], &current[later]);
        let is_anchor = name
            .map(name_hash)
            .is_none_or(|name| earlier.name_hash == name && later.name_hash == name);
        is_anchor && (!is_created_alike(earlier, later) || later.cpu_time_us < earlier.cpu_time_us)
    })
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
    earlier.name_hash == later.name_hash && is_created_alike(earlier, later)
}

fn is_created_alike(earlier: &ProcessCpu, later: &ProcessCpu) -> bool {
    match (earlier.created_at, later.created_at) {
        (Some(a), Some(b)) => may_be_equal(a, b),
        _ => true,
    }
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

/// How these CPU times are rounded, at most.
fn quantum_us<'p>(mut processes: impl Iterator<Item = &'p ProcessCpu>) -> i64 {
    match processes.all(|process| process.cpu_time_us % QUANTUM_US == 0) {
        true => QUANTUM_US,
        false => FINE_QUANTUM_US,
    }
}

/// What can be used at most.
struct Bound {
    elapsed_us: i64,
    quantum_us: i64,
}

impl Bound {
    fn apply(&self, deltas: &mut [Option<i64>], cpu_count: Option<i32>) {
        let Some(cpus) = cpu_count.filter(|cpus| *cpus > 0) else {
            return;
        };
        let available = i128::from(self.elapsed_us) * i128::from(cpus);
        let quantum = i128::from(self.quantum_us);
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
            script: None,
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
    fn a_machine_that_was_started_anew_runs_nothing_that_it_ran() {
        let other = |cpu| process(9, "a", None, Some(cpu));
        let check = |before, after, expect| {
            check(
                &[before, other(5)],
                &[after, other(7)],
                &[expect, expect.map(|_| 2)],
            );
        };
        check(
            process(1, "init", None, Some(3)),
            process(1, "init", None, Some(2)),
            None,
        );
        check(
            process(1, "init", Some(5), Some(3)),
            process(1, "init", Some(50), Some(4)),
            None,
        );
        check(
            process(1, "init", Some(5), Some(3)),
            process(1, "init", Some(5), Some(4)),
            Some(1),
        );
        check(
            process(4, "System", None, Some(3)),
            process(4, "System", None, Some(2)),
            None,
        );
        check(
            process(4, "System", None, Some(3)),
            process(4, "System", None, Some(3)),
            Some(0),
        );
        // Another process than the system's.
        let kworker = |cpu| process(4, "[kworker/0:0]", None, Some(cpu));
        super::tests::check(
            &[kworker(3), other(5)],
            &[kworker(2), other(7)],
            &[None, Some(2)],
        );
        // A program that replaced itself is no restart.
        super::tests::check(
            &[process(1, "init", Some(5), Some(3)), other(5)],
            &[process(1, "systemd", Some(5), Some(4)), other(7)],
            &[None, Some(2)],
        );
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
            process(8, "a", None, Some(0)),
            process(12, "b", None, Some(0)),
        ];
        // 60 s × 4 CPUs + 1 s: the bound of one process, and one second beyond.
        check(&earlier, &[process(8, "a", None, Some(241))], &[Some(241)]);
        check(
            &earlier,
            &[
                process(8, "a", None, Some(242)),
                process(12, "b", None, Some(5)),
            ],
            &[None, Some(5)],
        );
        check(
            &earlier,
            &[
                process(8, "a", None, Some(121)),
                process(12, "b", None, Some(121)),
            ],
            &[Some(121), Some(121)],
        );
        check(
            &earlier,
            &[
                process(8, "a", None, Some(121)),
                process(12, "b", None, Some(122)),
            ],
            &[None, None],
        );
    }

    #[test]
    fn times_that_are_known_exactly_have_a_small_quantum() {
        let exactly = |pid, cpu_us| Process {
            cpu_time_us: Some(cpu_us),
            ..process(pid, "a", None, None)
        };
        let second = |earlier_us, later_us| {
            let first = deltas(None, at(0), Some(1), &[exactly(8, earlier_us)]);
            deltas(first.next.as_ref(), at(1), Some(1), &[exactly(8, later_us)]).deltas[0]
        };
        let most = SECOND_US + FINE_QUANTUM_US;
        assert_eq!(second(0, 2 * SECOND_US), Some(2 * SECOND_US));
        assert_eq!(second(10_000, 10_000 + most), Some(most));
        assert_eq!(second(10_000, 10_001 + most), None);
        // One of the two was rounded to the second.
        assert_eq!(
            second(SECOND_US, 3 * SECOND_US - 10_000),
            Some(2 * SECOND_US - 10_000)
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
