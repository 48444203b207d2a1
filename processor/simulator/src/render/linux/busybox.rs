//! busybox' `ps` in its two builds: with `-o`, as Alpine has it, and small, as routers have it.
//!
//! Forms are those of `procps/ps.c` and `libbb/human_readable.c`: CPU time loses its seconds after an hour and its
//! minutes after a day, memory beyond 99,999 KiB is rounded to mebibytes and more.

use super::super::{View, text_payload};
use super::{COMM_BYTES, by_pid, stat};
use crate::catalogue::Kind;
use crate::form::Form;
use crate::machine::{Activity, SimulatedProcess};
use crate::precision::Holds;
use crate::truth::TruthRow;
use rollcall_domain::snapshot::Payload;
use rollcall_domain::time::SECOND_US;
use std::fmt::Write;

/// Letters of a user's name that are printed.
const USER_WIDTH: usize = 8;

/// `ps` of Alpine.
pub(in super::super) fn ps(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let mut text = String::from("PID   USER     TIME  COMMAND\n");
    for process in by_pid(view) {
        let _ = writeln!(
            text,
            "{:5} {:USER_WIDTH$} {:5} {}",
            process.pid,
            user(view, process),
            cpu_time(process.cpu_us / SECOND_US),
            arguments(process)
        );
    }
    rows(view, text, Form::Busybox)
}

/// `ps` of OpenWrt.
pub(in super::super) fn small_ps(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let mut text = String::from("  PID USER       VSZ STAT COMMAND\n");
    for process in by_pid(view) {
        let _ = writeln!(
            text,
            "{:5} {:USER_WIDTH$} {} {:4} {}",
            process.pid,
            user(view, process),
            size(process.virtual_kib),
            short_stat(stat(process)),
            arguments(process)
        );
    }
    rows(view, text, Form::BusyboxSmall)
}

fn rows(view: &View<'_>, text: String, form: Form) -> (Payload<'static>, Vec<TruthRow>) {
    let holds = Holds::of(form);
    let rows = by_pid(view)
        .into_iter()
        .map(|process| holds.seen(&super::whole(view, process)))
        .collect();
    (text_payload(text.into_bytes(), None), rows)
}

fn user<'a>(view: &'a View<'_>, process: &SimulatedProcess) -> &'a str {
    let owner = view.machine.owner(process);
    &owner[..owner.len().min(USER_WIDTH)]
}

/// busybox knows four letters: the state, `W` without memory, and the niceness.
fn short_stat(stat: &str) -> String {
    let letters = stat.chars().filter(|letter| "RSDTZI<N".contains(*letter));
    letters.collect()
}

/// `0:03`, `2h05`, `1d03`, `120d`.
fn cpu_time(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (minutes, hours, days) {
        (0..60, ..) => format!("{minutes:2}:{:02}", seconds % 60),
        (_, 0..24, _) => format!("{hours:2}h{:02}", minutes % 60),
        (_, _, 0..100) => format!("{days:2}d{:02}", hours % 24),
        _ => format!("{days:4}d"),
    }
}

/// Five columns: `12345`, ` 126m`, `12.3g`.
fn size(kib: i64) -> String {
    if kib <= 99_999 {
        return format!("{kib:5}");
    }
    let (mut tenths, mut unit) = (kib * 10, 0);
    while tenths >= 100_000 || unit == 0 {
        tenths /= 1_024;
        unit += 1;
    }
    let letter = [' ', 'm', 'g', 't', 'p'][unit];
    match tenths {
        1_000.. => format!("{:4}{letter}", tenths / 10),
        _ => format!("{:2}.{}{letter}", tenths / 10, tenths % 10),
    }
}

/// The arguments, after the short name in braces where the first of them is called otherwise.
fn arguments(process: &SimulatedProcess) -> String {
    let name = process.program.name;
    let comm = &name[..name.len().min(COMM_BYTES)];
    if process.program.kind == Kind::Kernel || process.activity == Activity::Zombie {
        return format!("[{comm}]");
    }
    let first = process.arguments.first().map_or("", String::as_str);
    let file = first.rsplit('/').next().unwrap_or(first);
    let line = process.arguments.join(" ");
    if file.trim_start_matches('-').starts_with(comm) {
        line
    } else {
        format!("{{{comm}}} {line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        let times = [3, 59 * 60 + 59, 7_500, 97_200, 120 * 86_400];
        assert_eq!(
            times.map(cpu_time),
            [" 0:03", "59:59", " 2h05", " 1d03", " 120d"]
        );
        let sizes = [1, 99_999, 100_000, 130_000, 12_900_000, 2_200_000];
        assert_eq!(
            sizes.map(size),
            ["    1", "99999", "97.6m", " 126m", "12.3g", "2148m"]
        );
    }
}
