//! Linux: procps, busybox, and records of `/proc`.

pub(super) mod busybox;
pub(super) mod columns;
pub(super) mod procps;
#[cfg(test)]
mod tests;

use super::{View, owned};
use crate::catalogue::Kind;
use crate::form::Form;
use crate::machine::{Activity, SimulatedProcess};
use crate::precision::Holds;
use crate::truth::TruthRow;
use rollcall_domain::snapshot::{LinuxProcess, LinuxProcesses, Payload};
use rollcall_domain::time::SECOND_US;
use std::borrow::Cow;

/// Microseconds in a clock tick.
const TICK_US: i64 = 10_000;
const PAGE_KIB: i64 = 4;
/// Bytes of a name that the kernel keeps.
const COMM_BYTES: usize = 15;

/// Records as `/proc` gives them.
pub(super) fn structured(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let booted_at = view.booted_at();
    let holds = Holds::of(Form::LinuxStructured);
    let boot_seconds = booted_at.as_micros().div_euclid(SECOND_US);
    let mut processes = Vec::with_capacity(view.machine.processes.len());
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in by_pid(view) {
        let kernel = process.program.kind == Kind::Kernel;
        let zombie = process.activity == Activity::Zombie;
        let user_us = process.cpu_us / 10 * 7;
        let ticks = (user_us / TICK_US, (process.cpu_us - user_us) / TICK_US);
        let letter = &stat(process)[..1];
        let owner = view.machine.owner(process);
        let comm = process.program.name;
        // Not every agent may follow every `/proc/<pid>/exe`.
        let readable = !kernel && !zombie && !process.identity.is_multiple_of(8);
        let started_us = view.started_at(process).as_micros() - boot_seconds * SECOND_US;
        processes.push(LinuxProcess {
            pid: i64::from(process.pid),
            parent_pid: Some(i64::from(process.parent_pid)),
            comm: Cow::Borrowed(&comm[..comm.len().min(COMM_BYTES)]),
            executable_path: readable.then(|| Cow::Owned(process.path.clone())),
            arguments: if kernel || zombie {
                Vec::new()
            } else {
                owned(&process.arguments)
            },
            owner: Some(Cow::Owned(owner.to_owned())),
            state: Some(Cow::Owned(letter.to_owned())),
            utime_ticks: Some(ticks.0),
            stime_ticks: Some(ticks.1),
            start_time_ticks: Some(started_us.max(0) / TICK_US),
            resident_pages: Some(process.resident_kib / PAGE_KIB),
            virtual_bytes: Some(process.virtual_kib * 1024),
            thread_count: Some(i64::from(process.threads)),
        });
        rows.push(TruthRow {
            cpu_time_us: Some((ticks.0 + ticks.1) * TICK_US),
            memory_usage_bytes: Some(process.resident_kib / PAGE_KIB * PAGE_KIB * 1024),
            ..holds.seen(&whole(view, process))
        });
    }
    let list = LinuxProcesses {
        clock_ticks_per_second: SECOND_US / TICK_US,
        page_size_bytes: PAGE_KIB * 1024,
        boot_time_seconds: Some(boot_seconds),
        processes,
    };
    (Payload::Linux(list), rows)
}

fn by_pid<'a>(view: &View<'a>) -> Vec<&'a SimulatedProcess> {
    let mut processes: Vec<_> = view.machine.processes.iter().collect();
    processes.sort_by_key(|process| process.pid);
    processes
}

/// What the last column shows.
struct Command {
    text: String,
    name: String,
    command_line: Option<String>,
}

fn command(process: &SimulatedProcess) -> Command {
    let name = process.program.name;
    if process.activity == Activity::Zombie {
        let text = format!("[{name}] <defunct>");
        return Command {
            text,
            name: name.to_owned(),
            command_line: None,
        };
    }
    if process.program.kind == Kind::Kernel {
        let text = format!("[{name}]");
        return Command {
            name: text.clone(),
            text,
            command_line: None,
        };
    }
    let text = process.arguments.join(" ");
    Command {
        name: name.to_owned(),
        command_line: Some(text.clone()),
        text,
    }
}

fn stat(process: &SimulatedProcess) -> &'static str {
    let kernel = process.program.kind == Kind::Kernel;
    let leader = matches!(process.program.kind, Kind::Daemon | Kind::Session);
    let threads = process.threads > 1;
    match process.activity {
        Activity::Zombie => "Z",
        Activity::Running if threads => "Rl",
        Activity::Running => "R",
        Activity::Blocked => "D",
        Activity::Stopped => "T",
        _ if kernel && process.program.name.starts_with("kworker") => "I<",
        _ if kernel => "S",
        _ if leader && threads => "Ssl",
        _ if leader => "Ss",
        _ if process.program.kind == Kind::Command => "S+",
        _ if threads => "Sl",
        _ => "S",
    }
}

fn terminal(process: &SimulatedProcess) -> Cow<'static, str> {
    match (process.program.kind, process.program.name) {
        (Kind::Daemon, "Xorg") => Cow::Borrowed("tty2"),
        (Kind::Command, _) | (Kind::Session, "bash" | "tmux") => {
            Cow::Owned(format!("pts/{}", process.terminal))
        }
        _ => Cow::Borrowed("?"),
    }
}

/// A process as its machine knows it: what each form shows a part of.
fn whole(view: &View<'_>, process: &SimulatedProcess) -> TruthRow {
    let printed = command(process);
    view.unix_row(process, &printed.name, stat(process), printed.command_line)
}
