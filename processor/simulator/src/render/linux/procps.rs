//! procps' `ps auxww`, `ps -ef` and `ps -eo …`.
//!
//! Column widths and forms are those of procps-ng 4 (`src/ps/output.c`): a column that is too wide pushes the next ones
//! to the right until the padding of one of them has made up for it.

use super::super::{View, month, text_payload, unix_state};
use super::{by_pid, command, stat, terminal};
use crate::machine::{Activity, SimulatedProcess};
use crate::truth::TruthRow;
use rollcall_domain::snapshot::Payload;
use rollcall_domain::time::SECOND_US;
use std::borrow::Cow;
use std::fmt::Write;

/// Width of the columns USER and UID.
pub(super) const USER_WIDTH: usize = 8;

/// Lays out one line as procps does.
pub(super) struct Columns<'t> {
    text: &'t mut String,
    line_start: usize,
    /// Where the next column should begin.
    next: usize,
}

impl<'t> Columns<'t> {
    pub(super) fn new(text: &'t mut String) -> Self {
        Self {
            line_start: text.len(),
            next: 0,
            text,
        }
    }

    fn actual(&self) -> usize {
        self.text.len() - self.line_start
    }

    fn pad(&mut self, wanted: usize) {
        let least = usize::from(self.actual() > 0);
        for _ in 0..wanted.saturating_sub(self.actual()).max(least) {
            self.text.push(' ');
        }
    }

    pub(super) fn left(&mut self, width: usize, cell: &str) -> &mut Self {
        self.pad(self.next);
        self.text.push_str(cell);
        self.next += width + 1;
        self
    }

    pub(super) fn right(&mut self, width: usize, cell: &str) -> &mut Self {
        self.pad(self.next + width.saturating_sub(cell.len()));
        self.text.push_str(cell);
        self.next += width + 1;
        self
    }

    pub(super) fn last(&mut self, cell: &str) {
        self.pad(self.next);
        self.text.push_str(cell);
        self.text.push('\n');
    }
}

/// `ps auxww`.
pub(in super::super) fn ps_aux(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let digits = view.machine.profile.pid_digits;
    let mut text = String::with_capacity(128 * (view.machine.processes.len() + 1));
    Columns::new(&mut text)
        .left(USER_WIDTH, "USER")
        .right(digits, "PID")
        .right(4, "%CPU")
        .right(4, "%MEM")
        .right(6, "VSZ")
        .right(5, "RSS")
        .left(8, "TTY")
        .left(4, "STAT")
        .right(5, "START")
        .right(6, "TIME")
        .last("COMMAND");
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in by_pid(view) {
        let owner = cut_owner(view.machine.owner(process));
        let stat = stat(process);
        let seconds = process.cpu_us / SECOND_US;
        let printed = command(process);
        Columns::new(&mut text)
            .left(USER_WIDTH, &owner)
            .right(digits, &process.pid.to_string())
            .right(4, &cpu_percent(view, process))
            .right(4, &tenths(view.memory_permille(process).min(999)))
            .right(6, &process.virtual_kib.to_string())
            .right(5, &process.resident_kib.to_string())
            .left(8, &terminal(process))
            .left(4, stat)
            .right(5, &start(view, process))
            .right(6, &format!("{:3}:{:02}", seconds / 60, seconds % 60))
            .last(&printed.text);
        rows.push(TruthRow {
            owner: Some(owner.into_owned()),
            state: stat.chars().next().map(unix_state),
            cpu_time_us: Some(seconds * SECOND_US),
            memory_usage_bytes: Some(process.resident_kib * 1024),
            memory_virtual_bytes: Some(process.virtual_kib * 1024),
            command_line: printed.command_line,
            ..view.row(process, &printed.name)
        });
    }
    (text_payload(text.into_bytes(), None), rows)
}

/// `ps -ef`.
pub(in super::super) fn ps_ef(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let digits = view.machine.profile.pid_digits;
    let mut text = String::with_capacity(128 * (view.machine.processes.len() + 1));
    Columns::new(&mut text)
        .left(USER_WIDTH, "UID")
        .right(digits, "PID")
        .right(digits, "PPID")
        .right(2, "C")
        .right(5, "STIME")
        .left(8, "TTY")
        .right(8, "TIME")
        .last("CMD");
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in by_pid(view) {
        let owner = cut_owner(view.machine.owner(process));
        let seconds = process.cpu_us / SECOND_US;
        let printed = command(process);
        Columns::new(&mut text)
            .left(USER_WIDTH, &owner)
            .right(digits, &process.pid.to_string())
            .right(digits, &process.parent_pid.to_string())
            .right(
                2,
                &(lifetime_permille(view, process) / 10).min(99).to_string(),
            )
            .right(5, &start(view, process))
            .left(8, &terminal(process))
            .right(8, &days_and_time(seconds))
            .last(&printed.text);
        let zombie = process.activity == Activity::Zombie;
        rows.push(TruthRow {
            parent_pid: Some(process.parent_pid),
            owner: Some(owner.into_owned()),
            state: zombie.then(|| unix_state('Z')),
            cpu_time_us: Some(seconds * SECOND_US),
            command_line: printed.command_line,
            ..view.row(process, &printed.name)
        });
    }
    (text_payload(text.into_bytes(), Some("utf-8")), rows)
}

/// A name of more than eight letters ends in a plus.
pub(super) fn cut_owner(owner: &str) -> Cow<'_, str> {
    match owner.char_indices().nth(USER_WIDTH) {
        Some(_) => {
            let kept: String = owner.chars().take(USER_WIDTH - 1).collect();
            Cow::Owned(kept + "+")
        }
        None => Cow::Borrowed(owner),
    }
}

/// `HH:MM` for today, `MmmDD` for this year, else the year.
fn start(view: &View<'_>, process: &SimulatedProcess) -> String {
    let now = view.local(view.observed_at);
    let start = view.local(view.started_at(process));
    if start.year() != now.year() {
        format!("{:4}", start.year())
    } else if start.date() != now.date() {
        format!("{}{:02}", month(start), start.day())
    } else {
        format!("{:02}:{:02}", start.hour(), start.minute())
    }
}

/// CPU time over lifetime, in thousandths.
fn lifetime_permille(view: &View<'_>, process: &SimulatedProcess) -> i64 {
    let age_us = view
        .machine
        .now
        .micros_since(process.started_at)
        .max(SECOND_US);
    (i128::from(process.cpu_us) * 1_000 / i128::from(age_us)) as i64
}

fn cpu_percent(view: &View<'_>, process: &SimulatedProcess) -> String {
    match lifetime_permille(view, process) {
        permille @ 0..=999 => tenths(permille),
        permille => (permille / 10).to_string(),
    }
}

fn tenths(permille: i64) -> String {
    format!("{}.{}", permille / 10, permille % 10)
}

/// `HH:MM:SS`, after `D-` where it is more than a day.
pub(super) fn days_and_time(seconds: i64) -> String {
    let mut text = String::with_capacity(12);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    if days > 0 {
        let _ = write!(text, "{days}-");
    }
    let _ = write!(
        text,
        "{hours:02}:{:02}:{:02}",
        seconds / 60 % 60,
        seconds % 60
    );
    text
}
