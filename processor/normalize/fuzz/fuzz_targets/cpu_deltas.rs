//! A history of snapshots of one machine, with pids reused, counters reset and clocks that jump.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_domain::pipeline::MachineCpu;
use rollcall_domain::{Process, Timestamp};
use rollcall_normalize::cpu;
use rollcall_normalize_fuzz::draw::Draw;
use std::borrow::Cow;

const NAMES: [&str; 3] = ["a", "b", "c"];

fuzz_target!(|data: &[u8]| {
    let mut draw = Draw(data);
    let mut state: Option<MachineCpu> = None;
    while !draw.is_empty() {
        let event_at = Timestamp::from_micros(draw.number());
        let cpu_count = draw.maybe(|draw| draw.number() as i32);
        let processes = snapshot(&mut draw);
        let found = cpu::deltas(state.as_ref(), event_at, cpu_count, &processes);
        assert_eq!(found.deltas.len(), processes.len());
        check_sum(state.as_ref(), event_at, cpu_count, &found.deltas);
        if let Some(next) = found.next {
            assert!(next.processes.len() <= processes.len());
            state = Some(next);
        }
    }
});

/// No more than elapsed time × CPUs and one quantum a process, and never less than nothing.
fn check_sum(
    state: Option<&MachineCpu>,
    at: Timestamp,
    cpu_count: Option<i32>,
    deltas: &[Option<i64>],
) {
    let known = || deltas.iter().flatten();
    assert!(known().all(|delta| *delta >= 0));
    let Some(state) = state else {
        assert_eq!(known().count(), 0, "a delta from nothing");
        return;
    };
    let Some(cpus) = cpu_count.filter(|count| *count > 0) else {
        return;
    };
    let elapsed = i128::from(at.as_micros()) - i128::from(state.event_at.as_micros());
    let allowed =
        elapsed * i128::from(cpus) + known().count() as i128 * i128::from(cpu::QUANTUM_US);
    let sum: i128 = known().map(|delta| i128::from(*delta)).sum();
    assert!(known().count() == 0 || sum <= allowed, "{sum} of {allowed}");
}

/// Processes with unique pids, as every listing has them.
fn snapshot(draw: &mut Draw<'_>) -> Vec<Process<'static>> {
    let mut processes: Vec<Process<'static>> = Vec::new();
    for _ in 0..draw.byte() & 15 {
        let pid = i32::from(draw.byte() & 15);
        let name = NAMES[usize::from(draw.byte()) % NAMES.len()];
        let created_at = draw.maybe(Draw::creation_time);
        let cpu_time_us = draw.maybe(|draw| draw.number().max(0));
        if processes.iter().any(|process| process.pid == pid) {
            continue;
        }
        processes.push(Process {
            pid,
            parent_pid: None,
            created_at,
            executable_name: Cow::Borrowed(name),
            executable_path: None,
            command_line: None,
            owner: None,
            state: None,
            cpu_time_us,
            memory_usage_bytes: None,
            memory_virtual_bytes: None,
            thread_count: None,
            application: Cow::Borrowed(name),
            script: None,
        });
    }
    processes
}
