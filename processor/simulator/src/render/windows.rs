//! Windows: `tasklist`, PowerShell, and records of its process functions.

mod language;
pub(super) mod powershell;
pub(super) mod tasklist;
#[cfg(test)]
mod tests;

use super::{View, owned};
use crate::machine::{Activity, SimulatedProcess};
use crate::truth::TruthRow;
use rollcall_domain::snapshot::{Payload, WindowsProcess};
use rollcall_domain::{ProcessState, Timestamp};
use std::borrow::Cow;

/// 100 ns from 1601 to 1970.
const FILETIME_EPOCH: i64 = 116_444_736_000_000_000;

/// Records as Windows' own functions give them.
pub(super) fn structured(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let mut list = Vec::with_capacity(view.machine.processes.len());
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in &view.machine.processes {
        let system = process.pid <= 4;
        let owner = view.machine.owner(process);
        let user_us = process.cpu_us / 5 * 4;
        list.push(WindowsProcess {
            pid: i64::from(process.pid),
            parent_pid: Some(i64::from(process.parent_pid)),
            image_name: Cow::Borrowed(process.program.name),
            executable_path: (!process.path.is_empty()).then(|| Cow::Owned(process.path.clone())),
            command_line: command_line(process).map(Cow::Owned),
            owner: Some(Cow::Owned(owner.to_owned())),
            user_time_100ns: Some(user_us * 10),
            kernel_time_100ns: Some((process.cpu_us - user_us) * 10),
            creation_time_100ns: Some(if system {
                0
            } else {
                filetime(view.started_at(process))
            }),
            working_set_bytes: Some(process.resident_kib * 1024),
            virtual_bytes: Some(process.virtual_kib * 1024),
            thread_count: Some(i64::from(process.threads)),
        });
        rows.push(whole(view, process));
    }
    (Payload::Windows(list), rows)
}

/// A process as its machine knows it: what each form shows a part of.
fn whole(view: &View<'_>, process: &SimulatedProcess) -> TruthRow {
    TruthRow {
        parent_pid: Some(process.parent_pid),
        owner: Some(view.machine.owner(process).to_owned()),
        // What the CPUs did not do is nobody's CPU time.
        cpu_time_us: (process.pid != 0).then_some(process.cpu_us),
        memory_usage_bytes: Some(process.resident_kib * 1024),
        memory_virtual_bytes: Some(process.virtual_kib * 1024),
        thread_count: Some(process.threads),
        command_line: command_line(process),
        ..view.row(process, process.program.name)
    }
}

fn status(process: &SimulatedProcess) -> (&'static str, Option<ProcessState>) {
    match process.activity {
        Activity::Hanging => ("Not Responding", Some(ProcessState::Unresponsive)),
        Activity::Stopped => ("Suspended", Some(ProcessState::Stopped)),
        _ if !process.window_title.is_empty() || process.program.name == "explorer.exe" => {
            ("Running", Some(ProcessState::Running))
        }
        _ => ("Unknown", None),
    }
}

/// The arguments as one line; what holds blanks is quoted.
fn command_line(process: &SimulatedProcess) -> Option<String> {
    let quoted = |argument: Cow<'static, str>| match argument.contains(' ') {
        true => Cow::Owned(format!("\"{argument}\"")),
        false => argument,
    };
    let arguments: Vec<_> = owned(&process.arguments).into_iter().map(quoted).collect();
    (!arguments.is_empty()).then(|| arguments.join(" "))
}

fn filetime(at: Timestamp) -> i64 {
    at.as_micros() * 10 + FILETIME_EPOCH
}
