//! macOS: `ps`, by default sorted by CPU, and records of `proc_pidinfo`.
//!
//! Widths and forms are those of Apple's `adv_cmds` (`ps/keyword.c`, `ps/print.c`): USER is as wide as its longest name,
//! a number that is too wide pushes the rest of its line.

pub(super) mod columns;

use super::{View, month, owned, text_payload, unix_state};
use crate::catalogue::Kind;
use crate::machine::{Activity, SimulatedProcess};
use crate::truth::TruthRow;
use jiff::civil::Weekday;
use rollcall_domain::snapshot::{MacosProcess, Payload};
use rollcall_domain::time::{DAY_US, SECOND_US};
use std::borrow::Cow;
use std::fmt::Write;

/// Bytes of a name that `pbi_comm` holds.
const COMM_BYTES: usize = 16;
const CENTISECOND_US: i64 = 10_000;

/// `ps auxww`.
pub(super) fn ps_aux(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let machine = view.machine;
    let mut processes: Vec<_> = machine.processes.iter().collect();
    processes.sort_by_key(|process| std::cmp::Reverse(process.recent_permille));
    let owners = processes.iter().map(|process| machine.owner(process).len());
    let width = owners.max().unwrap_or(0).max("USER".len());
    let point = point(view);
    let mut text = String::with_capacity(160 * (processes.len() + 1));
    let _ = writeln!(
        text,
        "{:width$}   PID  %CPU %MEM      VSZ    RSS   TT  STAT STARTED      TIME COMMAND",
        "USER"
    );
    let mut rows = Vec::with_capacity(processes.len());
    for process in processes {
        let owner = machine.owner(process);
        let stat = stat(process);
        let centiseconds = process.cpu_us / CENTISECOND_US;
        let (memory, cpu) = (view.memory_permille(process), process.recent_permille);
        let printed = command(process);
        let _ = writeln!(
            text,
            "{owner:width$} {:5} {:>5} {:>4} {:8} {:6} {:>4}  {stat:4} {:7} {:>9} {}",
            process.pid,
            format!("{}{point}{}", cpu / 10, cpu % 10),
            format!("{}{point}{}", memory / 10, memory % 10),
            process.virtual_kib,
            process.resident_kib,
            terminal(process),
            started(view, process),
            format!(
                "{:3}:{:02}{point}{:02}",
                centiseconds / 6_000,
                centiseconds / 100 % 60,
                centiseconds % 100
            ),
            printed
                .as_deref()
                .map_or_else(|| Cow::Owned(unreadable(process)), Cow::Borrowed),
        );
        let name = name(process);
        rows.push(TruthRow {
            owner: Some(owner.to_owned()),
            state: stat.chars().next().map(unix_state),
            cpu_time_us: Some(centiseconds * CENTISECOND_US),
            memory_usage_bytes: Some(process.resident_kib * 1024),
            memory_virtual_bytes: Some(process.virtual_kib * 1024),
            command_line: printed,
            ..view.row(process, name)
        });
    }
    (text_payload(text.into_bytes(), Some("utf-8")), rows)
}

/// Records as the system's own functions give them.
pub(super) fn structured(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let mut list = Vec::with_capacity(view.machine.processes.len());
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in &view.machine.processes {
        let zombie = process.activity == Activity::Zombie;
        let owner = view.machine.owner(process);
        let stat = stat(process);
        let user_us = process.cpu_us / 3 * 2;
        let name = process.program.name;
        list.push(MacosProcess {
            pid: i64::from(process.pid),
            parent_pid: Some(i64::from(process.parent_pid)),
            name: Cow::Borrowed(&name[..name.len().min(COMM_BYTES)]),
            executable_path: (!zombie).then(|| Cow::Owned(process.path.clone())),
            arguments: if zombie {
                Vec::new()
            } else {
                owned(&process.arguments)
            },
            owner: Some(Cow::Owned(owner.to_owned())),
            state: Some(Cow::Borrowed(stat)),
            user_time_us: Some(user_us),
            system_time_us: Some(process.cpu_us - user_us),
            start_time_us: Some(view.started_at(process).as_micros()),
            resident_bytes: Some(process.resident_kib * 1024),
            virtual_bytes: Some(process.virtual_kib * 1024),
            thread_count: Some(i64::from(process.threads)),
        });
        rows.push(whole(view, process));
    }
    (Payload::Macos(list), rows)
}

/// A process as its machine knows it: what each form shows a part of.
fn whole(view: &View<'_>, process: &SimulatedProcess) -> TruthRow {
    view.unix_row(process, name(process), stat(process), command(process))
}

fn point(view: &View<'_>) -> char {
    match view.machine.profile.dialect.decimal_comma {
        true => ',',
        false => '.',
    }
}

fn name(process: &SimulatedProcess) -> &'static str {
    process.program.name
}

/// The arguments; those of a zombie are gone.
fn command(process: &SimulatedProcess) -> Option<String> {
    (process.activity != Activity::Zombie).then(|| process.arguments.join(" "))
}

fn unreadable(process: &SimulatedProcess) -> String {
    format!("({})", process.program.name)
}

fn stat(process: &SimulatedProcess) -> &'static str {
    let leader = matches!(process.program.kind, Kind::Daemon | Kind::Session);
    match process.activity {
        Activity::Zombie => "Z",
        Activity::Running if leader => "Rs",
        Activity::Running => "R",
        Activity::Blocked => "U",
        Activity::Stopped => "T",
        Activity::Resting if !leader => "I",
        _ if process.program.name == "zsh" => "S+",
        _ if leader => "Ss",
        _ => "S",
    }
}

fn terminal(process: &SimulatedProcess) -> Cow<'static, str> {
    match (process.program.kind, process.program.name) {
        (Kind::Command, _) | (Kind::Session, "zsh") => {
            Cow::Owned(format!("s{:03}", process.terminal))
        }
        _ => Cow::Borrowed("??"),
    }
}

/// ` 9:05AM` within a day, `Tue02PM` within a week, else `20Nov26`; where hours go to 24, ` 9:05` and `Tue14`.
fn started(view: &View<'_>, process: &SimulatedProcess) -> String {
    let at = view.started_at(process);
    let local = view.local(at);
    let half = if local.hour() < 12 { "AM" } else { "PM" };
    let hour = (local.hour() + 11) % 12 + 1;
    let hours_24 = view.machine.profile.dialect.hours_24;
    match view.observed_at.micros_since(at) / SECOND_US {
        age if age < DAY_US / SECOND_US => match hours_24 {
            true => format!("{:2}:{:02}", local.hour(), local.minute()),
            false => format!("{hour:2}:{:02}{half}", local.minute()),
        },
        age if age < 7 * DAY_US / SECOND_US => match hours_24 {
            true => format!("{}{:02}", weekday(local.weekday()), local.hour()),
            false => format!("{}{hour:02}{half}", weekday(local.weekday())),
        },
        _ => format!("{:2}{}{:02}", local.day(), month(local), local.year() % 100),
    }
}

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{machine, process, text};
    use super::*;
    use crate::catalogue;
    use crate::form::Form;
    use rollcall_domain::{Os, ProcessState};

    fn program(name: &str) -> &'static catalogue::Program {
        let suites = catalogue::suites(Os::Macos)
            .iter()
            .flat_map(|suite| suite.helpers.iter().chain([&suite.main]));
        catalogue::daemons(Os::Macos)
            .iter()
            .chain(catalogue::commands(Os::Macos))
            .chain(suites)
            .find(|program| program.name == name)
            .expect("listed")
    }

    fn sample() -> crate::machine::Machine {
        // 2026-11-21 is a Saturday; local time is 08:30:15.
        let mut machine = machine(Os::Macos, Form::MacosPsAux, -18_000);
        process(
            &mut machine,
            program("launchd"),
            1,
            12 * 86_400,
            99 * 60 * SECOND_US + 12_345_678,
        );
        let server = process(
            &mut machine,
            program("WindowServer"),
            410,
            4 * 86_400 - 6 * 3_600,
            4_627_419_999,
        );
        machine.processes[server].recent_permille = 98;
        process(
            &mut machine,
            program("Google Chrome Helper (Renderer)"),
            64_321,
            300,
            1_234_567,
        );
        let zombie = process(&mut machine, program("git"), 64_400, 3_600 * 20, 0);
        machine.processes[zombie].activity = Activity::Zombie;
        machine
    }

    #[test]
    fn ps_auxww_as_macos_prints_it() {
        let (text, rows) = text(&sample());
        let helper = program("Google Chrome Helper (Renderer)").path;
        let expect = format!(
            "\
USER            PID  %CPU %MEM      VSZ    RSS   TT  STAT STARTED      TIME COMMAND
_windowserver   410   9.8  2.2  1900000 190000   ??  Ss   Tue02PM  77:07.41 /System/Library/PrivateFrameworks/SkyLight.framework/Resources/WindowServer -daemon
root              1   0.0  0.2   180000  18000   ??  Ss    9Nov26  99:12.34 /sbin/launchd
ada.lovelace  64321   0.0  2.1  1800000 180000   ??  S     8:25AM   0:01.23 {helper} --type=renderer --lang=en-GB --num-raster-threads=4
ada.lovelace  64400   0.0  0.0    80000   8000 s003  Z    12:30PM   0:00.00 (git)
"
        );
        assert_eq!(text, expect);
        assert_eq!(rows[0].cpu_time_us, Some(4_627_410_000));
        assert_eq!(rows[2].application, "chrome");
        assert_eq!(
            (rows[3].state, &rows[3].command_line),
            (Some(ProcessState::Zombie), &None)
        );
    }

    #[test]
    fn other_columns_as_macos_prints_them() {
        let mut machine = sample();
        machine.profile.form = Form::MacosPsEf;
        machine.profile.dialect.hours_24 = true;
        machine.processes.truncate(2);
        let expect = "  UID   PID  PPID   C STIME   TTY           TIME CMD
    0     1     1   0  9Nov26 ??        99:12.34 /sbin/launchd
  164   410     1   0 Tue14   ??        77:07.41 /System/Library/PrivateFrameworks/SkyLight.framework/Resources/WindowServer -daemon
";
        assert_eq!(text(&machine).0, expect);
        machine.profile.form = Form::MacosColumns;
        let expect = "  PID  PPID USER          STARTED                           TIME    RSS      VSZ STAT COMMAND
    1     1 root          Mon Nov  9 08:30:15 2026      99:12.34  18000   180000 Ss   /sbin/launchd
  410     1 _windowserver Tue Nov 17 14:30:15 2026      77:07.41 190000  1900000 Ss   /System/Library/PrivateFrameworks/SkyLight.framework/Resources/WindowServer -daemon
";
        assert_eq!(text(&machine).0, expect);
    }

    #[test]
    fn some_languages_have_a_decimal_comma() {
        let mut machine = sample();
        machine.profile.dialect.decimal_comma = true;
        let (text, _) = text(&machine);
        assert!(text.contains("   9,8  2,2 "), "{text}");
        assert!(text.contains(" 77:07,41 "), "{text}");
    }

    #[test]
    fn records_are_exact() {
        let machine = sample();
        let (payload, rows) = structured(&View {
            machine: &machine,
            observed_at: machine.now,
        });
        let Payload::Macos(list) = payload else {
            panic!("no records")
        };
        assert_eq!(&*list[2].name, "Google Chrome He");
        assert_eq!(rows[2].executable_name, "Google Chrome Helper (Renderer)");
        assert_eq!(rows[2].cpu_time_us, Some(1_234_567));
        assert_eq!(
            list[2]
                .user_time_us
                .zip(list[2].system_time_us)
                .map(|(u, s)| u + s),
            Some(1_234_567)
        );
        assert_eq!(list[3].executable_path, None);
    }
}
