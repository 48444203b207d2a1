//! macOS' `ps -ef` and `ps -axo …`.

use super::super::{View, ctime, text_payload};
use super::{CENTISECOND_US, command, point, started, stat, terminal, unreadable};
use crate::form::Form;
use crate::machine::SimulatedProcess;
use crate::precision::Holds;
use crate::truth::TruthRow;
use rollcall_domain::snapshot::Payload;
use std::fmt::Write;

/// `ps -ef`: owners are numbers.
pub(in super::super) fn ps_ef(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let mut text = String::from("  UID   PID  PPID   C STIME   TTY           TIME CMD\n");
    let holds = Holds::of(Form::MacosPsEf);
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in &view.machine.processes {
        let uid = uid(process);
        let _ = writeln!(
            text,
            "{uid:5} {:5} {:5} {:3} {:7} {:8} {:>9} {}",
            process.pid,
            process.parent_pid,
            0,
            started(view, process),
            long_terminal(process),
            time(view, process),
            command(process).unwrap_or_else(|| unreadable(process)),
        );
        rows.push(TruthRow {
            owner: Some(uid.to_string()),
            ..holds.seen(&super::whole(view, process))
        });
    }
    (text_payload(text.into_bytes(), Some("utf-8")), rows)
}

/// `ps -axwwo pid,ppid,user,lstart,time,rss,vsz,stat,command`.
pub(in super::super) fn everything(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let machine = view.machine;
    let owners = machine
        .processes
        .iter()
        .map(|process| machine.owner(process).len());
    let width = owners.max().unwrap_or(0).max("USER".len());
    let mut text = format!(
        "  PID  PPID {:width$} {:28}      TIME    RSS      VSZ STAT COMMAND\n",
        "USER", "STARTED"
    );
    let holds = Holds::of(Form::MacosColumns);
    let mut rows = Vec::with_capacity(machine.processes.len());
    for process in &machine.processes {
        let _ = writeln!(
            text,
            "{:5} {:5} {:width$} {:28} {:>9} {:6} {:8} {:4} {}",
            process.pid,
            process.parent_pid,
            machine.owner(process),
            ctime(view.local(view.started_at(process))),
            time(view, process),
            process.resident_kib,
            process.virtual_kib,
            stat(process),
            command(process).unwrap_or_else(|| unreadable(process)),
        );
        rows.push(holds.seen(&super::whole(view, process)));
    }
    (text_payload(text.into_bytes(), Some("utf-8")), rows)
}

/// The number of an account: small for the system's own, from 501 on for people.
fn uid(process: &SimulatedProcess) -> usize {
    match (process.account, process.program.owner) {
        (Some(account), _) => 501 + account,
        (None, "root") => 0,
        (None, owner) => 60 + owner.len() * 8,
    }
}

fn long_terminal(process: &SimulatedProcess) -> String {
    match &*terminal(process) {
        "??" => "??".to_owned(),
        short => format!("tty{short}"),
    }
}

fn time(view: &View<'_>, process: &SimulatedProcess) -> String {
    let centiseconds = process.cpu_us / CENTISECOND_US;
    format!(
        "{:3}:{:02}{}{:02}",
        centiseconds / 6_000,
        centiseconds / 100 % 60,
        point(view),
        centiseconds % 100
    )
}
