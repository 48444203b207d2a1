//! procps' `ps -eo …`: columns as people ask for them.

use super::super::{View, ctime, month, text_payload};
use super::procps::{Columns, USER_WIDTH, cut_owner, days_and_time};
use super::{COMM_BYTES, by_pid, command, stat};
use crate::catalogue::Kind;
use crate::form::Form;
use crate::machine::{Activity, SimulatedProcess};
use crate::precision::Holds;
use crate::truth::TruthRow;
use rollcall_domain::snapshot::Payload;
use rollcall_domain::time::{DAY_US, SECOND_US};

/// `pid,ppid,user,lstart,time,rss,vsz,nlwp,stat,args`.
pub(in super::super) fn everything(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let digits = view.machine.profile.pid_digits;
    let mut text = String::new();
    Columns::new(&mut text)
        .right(digits, "PID")
        .right(digits, "PPID")
        .left(USER_WIDTH, "USER")
        .right(24, "STARTED")
        .right(8, "TIME")
        .right(5, "RSS")
        .right(6, "VSZ")
        .right(4, "NLWP")
        .left(4, "STAT")
        .last("COMMAND");
    each(view, text, Form::LinuxColumns, |process, columns| {
        columns
            .right(digits, &process.pid.to_string())
            .right(digits, &process.parent_pid.to_string())
            .left(USER_WIDTH, &cut_owner(view.machine.owner(process)))
            .right(24, &ctime(view.local(view.started_at(process))))
            .right(8, &days_and_time(process.cpu_us / SECOND_US))
            .right(5, &process.resident_kib.to_string())
            .right(6, &process.virtual_kib.to_string())
            .right(4, &process.threads.to_string())
            .left(4, stat(process))
            .last(&command(process).text);
    })
}

/// `user,pid,etimes,cputimes,comm`.
pub(in super::super) fn seconds(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let digits = view.machine.profile.pid_digits;
    let mut text = String::new();
    Columns::new(&mut text)
        .left(USER_WIDTH, "USER")
        .right(digits, "PID")
        .right(7, "ELAPSED")
        .right(8, "TIME")
        .last("COMMAND");
    each(view, text, Form::LinuxColumnsSeconds, |process, columns| {
        let elapsed = view.observed_at.micros_since(view.started_at(process));
        columns
            .left(USER_WIDTH, &cut_owner(view.machine.owner(process)))
            .right(digits, &process.pid.to_string())
            .right(7, &(elapsed.max(0) / SECOND_US).to_string())
            .right(8, &(process.cpu_us / SECOND_US).to_string())
            .last(&short_name(process));
    })
}

/// `pid,ppid,start,time,comm,args`.
pub(in super::super) fn start(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let digits = view.machine.profile.pid_digits;
    let mut text = String::new();
    Columns::new(&mut text)
        .right(digits, "PID")
        .right(digits, "PPID")
        .right(8, "STARTED")
        .right(8, "TIME")
        .left(COMM_BYTES, "COMMAND")
        .last("COMMAND");
    each(view, text, Form::LinuxColumnsStart, |process, columns| {
        columns
            .right(digits, &process.pid.to_string())
            .right(digits, &process.parent_pid.to_string())
            .right(8, &started(view, process))
            .right(8, &days_and_time(process.cpu_us / SECOND_US))
            .left(COMM_BYTES, &narrow_name(process))
            .last(&command(process).text);
    })
}

/// Appends a line for each process to `text`.
fn each(
    view: &View<'_>,
    mut text: String,
    form: Form,
    line: impl Fn(&SimulatedProcess, &mut Columns<'_>),
) -> (Payload<'static>, Vec<TruthRow>) {
    let holds = Holds::of(form);
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in by_pid(view) {
        line(process, &mut Columns::new(&mut text));
        rows.push(holds.seen(&super::whole(view, process)));
    }
    (text_payload(text.into_bytes(), Some("utf-8")), rows)
}

/// What the kernel keeps of a name, in the last column; it keeps more of its own threads'.
fn short_name(process: &SimulatedProcess) -> String {
    let name = process.program.name;
    match (process.program.kind, process.activity) {
        (Kind::Kernel, _) => name.to_owned(),
        (_, Activity::Zombie) => format!("{} <defunct>", cut(name, COMM_BYTES)),
        _ => cut(name, COMM_BYTES).to_owned(),
    }
}

/// A short name before other columns, where `<defunct>` needs room too.
fn narrow_name(process: &SimulatedProcess) -> String {
    const DEFUNCT: &str = " <defunct>";
    let name = process.program.name;
    match process.activity {
        Activity::Zombie => format!("{}{DEFUNCT}", cut(name, COMM_BYTES - DEFUNCT.len())),
        _ => cut(name, COMM_BYTES).to_owned(),
    }
}

fn cut(name: &str, bytes: usize) -> &str {
    &name[..name.len().min(bytes)]
}

/// `HH:MM:SS` within a day, else `MmmDD`.
fn started(view: &View<'_>, process: &SimulatedProcess) -> String {
    let at = view.started_at(process);
    let local = view.local(at);
    if view.observed_at.micros_since(at) < DAY_US {
        format!(
            "{:02}:{:02}:{:02}",
            local.hour(),
            local.minute(),
            local.second()
        )
    } else {
        format!("  {} {:02}", month(local), local.day())
    }
}
