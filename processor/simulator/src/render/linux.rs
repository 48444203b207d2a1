//! Linux: procps' `ps auxww` and `ps -ef`, and records of `/proc`.
//!
//! Column widths and forms are those of procps-ng 4 (`src/ps/output.c`): a column that is too wide pushes the next ones
//! to the right until the padding of one of them has made up for it.

use super::{View, month, owned, text_payload, unix_state};
use crate::catalogue::Kind;
use crate::machine::{Activity, SimulatedProcess};
use crate::truth::TruthRow;
use rollcall_domain::snapshot::{LinuxProcess, LinuxProcesses, Payload};
use rollcall_domain::time::SECOND_US;
use std::borrow::Cow;
use std::fmt::Write;

/// Width of the columns USER and UID.
const USER_WIDTH: usize = 8;
/// Microseconds in a clock tick.
const TICK_US: i64 = 10_000;
const PAGE_KIB: i64 = 4;
/// Bytes of a name that the kernel keeps.
const COMM_BYTES: usize = 15;

/// Lays out one line as procps does.
struct Columns<'t> {
    text: &'t mut String,
    line_start: usize,
    /// Where the next column should begin.
    next: usize,
}

impl<'t> Columns<'t> {
    fn new(text: &'t mut String) -> Self {
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

    fn left(&mut self, width: usize, cell: &str) -> &mut Self {
        self.pad(self.next);
        self.text.push_str(cell);
        self.next += width + 1;
        self
    }

    fn right(&mut self, width: usize, cell: &str) -> &mut Self {
        self.pad(self.next + width.saturating_sub(cell.len()));
        self.text.push_str(cell);
        self.next += width + 1;
        self
    }

    fn last(&mut self, cell: &str) {
        self.pad(self.next);
        self.text.push_str(cell);
        self.text.push('\n');
    }
}

/// `ps auxww`.
pub(super) fn ps_aux(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
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
pub(super) fn ps_ef(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
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

/// Records as `/proc` gives them.
pub(super) fn structured(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let booted_at = view.booted_at();
    let boot_seconds = booted_at.as_micros().div_euclid(SECOND_US);
    let mut processes = Vec::with_capacity(view.machine.processes.len());
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in by_pid(view) {
        let kernel = process.program.kind == Kind::Kernel;
        let zombie = process.activity == Activity::Zombie;
        let printed = command(process);
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
        let name = match (kernel, comm) {
            (true, comm) => Cow::Owned(format!("[{}]", &comm[..comm.len().min(COMM_BYTES)])),
            (false, _) => Cow::Borrowed(&*printed.name),
        };
        rows.push(TruthRow {
            parent_pid: Some(process.parent_pid),
            owner: Some(owner.to_owned()),
            state: letter.chars().next().map(unix_state),
            cpu_time_us: Some((ticks.0 + ticks.1) * TICK_US),
            memory_usage_bytes: Some(process.resident_kib / PAGE_KIB * PAGE_KIB * 1024),
            memory_virtual_bytes: Some(process.virtual_kib * 1024),
            thread_count: Some(process.threads),
            command_line: printed.command_line.clone(),
            ..view.row(process, &name)
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

/// A name of more than eight letters ends in a plus.
fn cut_owner(owner: &str) -> Cow<'_, str> {
    match owner.char_indices().nth(USER_WIDTH) {
        Some(_) => {
            let kept: String = owner.chars().take(USER_WIDTH - 1).collect();
            Cow::Owned(kept + "+")
        }
        None => Cow::Borrowed(owner),
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
fn days_and_time(seconds: i64) -> String {
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

#[cfg(test)]
mod tests {
    use super::super::testing::{machine, process, text};
    use super::*;
    use crate::catalogue;
    use crate::profile::Form;
    use rollcall_domain::{Os, ProcessState};

    const DAY: i64 = 86_400;

    fn program(name: &str) -> &'static catalogue::Program {
        let suites = catalogue::suites(Os::Linux).iter().map(|suite| &suite.main);
        catalogue::daemons(Os::Linux)
            .iter()
            .chain(catalogue::session_programs(Os::Linux))
            .chain(catalogue::commands(Os::Linux))
            .chain(suites)
            .find(|program| program.name == name)
            .expect("listed")
    }

    fn sample(form: Form) -> crate::machine::Machine {
        let mut machine = machine(Os::Linux, form, 3_600);
        process(
            &mut machine,
            program("kworker/0:1"),
            12,
            400 * DAY,
            61_000_000,
        );
        process(
            &mut machine,
            program("systemd"),
            1,
            400 * DAY,
            100_000 * 60 * SECOND_US,
        );
        process(
            &mut machine,
            program("systemd-resolved"),
            700,
            3 * DAY,
            5_999_999,
        );
        process(&mut machine, program("bash"), 4021, 3_600, 0);
        let matlab = process(
            &mut machine,
            program("MATLAB"),
            4_021_337,
            600,
            1_500 * SECOND_US,
        );
        machine.processes[matlab].virtual_kib = 12_345_678;
        let zombie = process(&mut machine, program("less"), 5000, 60, 0);
        machine.processes[zombie].activity = Activity::Zombie;
        machine.processes[zombie].resident_kib = 0;
        machine.processes[zombie].virtual_kib = 0;
        machine
    }

    #[test]
    fn ps_auxww_as_procps_prints_it() {
        let (text, rows) = text(&sample(Form::LinuxPsAux));
        let expect = "\
USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND
root           1 17.3  0.1 130000 13000 ?        Ss    2025 100000:00 /usr/lib/systemd/systemd --switched-root --system --deserialize=50
root          12  0.0  0.0      0     0 ?        I<    2025   1:01 [kworker/0:1]
systemd+     700  0.0  0.1 135000 13500 ?        Ss   Nov18   0:05 /usr/lib/systemd/systemd-resolved
ada.lov+    4021  0.0  0.0  56000  5600 pts/3    Ss   13:30   0:00 -bash
ada.lov+    5000  0.0  0.0      0     0 pts/3    Z    14:29   0:00 [less] <defunct>
ada.lov+ 4021337  250 16.6 12345678 1400000 ?    Sl   14:20  25:00 /usr/local/MATLAB/R2026a/bin/glnxa64/MATLAB -desktop
";
        assert_eq!(text, expect);
        assert_eq!(rows[2].owner.as_deref(), Some("systemd+"));
        assert_eq!(rows[2].cpu_time_us, Some(5 * SECOND_US));
        assert_eq!(rows[1].executable_name, "[kworker/0:1]");
        assert_eq!(
            (rows[1].application.as_str(), &rows[1].command_line),
            ("kernel", &None)
        );
        assert_eq!(
            (rows[4].executable_name.as_str(), rows[4].state),
            ("less", Some(ProcessState::Zombie))
        );
        assert_eq!(rows[5].memory_virtual_bytes, Some(12_345_678 * 1024));
        assert_eq!(rows[5].parent_pid, None);
    }

    #[test]
    fn ps_ef_as_procps_prints_it() {
        let mut machine = sample(Form::LinuxPsEf);
        machine.profile.pid_digits = 5;
        machine.processes.retain(|process| process.pid < 99_999);
        let (text, rows) = text(&machine);
        let expect = "\
UID        PID  PPID  C STIME TTY          TIME CMD
root         1     1 17  2025 ?        69-10:40:00 /usr/lib/systemd/systemd --switched-root --system --deserialize=50
root        12     2  0  2025 ?        00:01:01 [kworker/0:1]
systemd+   700     1  0 Nov18 ?        00:00:05 /usr/lib/systemd/systemd-resolved
ada.lov+  4021     1  0 13:30 pts/3    00:00:00 -bash
ada.lov+  5000     1  0 14:29 pts/3    00:00:00 [less] <defunct>
";
        assert_eq!(text, expect);
        assert_eq!(rows[0].parent_pid, Some(1));
        assert_eq!(
            (rows[0].state, rows[4].state),
            (None, Some(ProcessState::Zombie))
        );
        assert_eq!(rows[0].memory_usage_bytes, None);
    }

    #[test]
    fn records_are_in_the_kernels_units() {
        let machine = sample(Form::LinuxStructured);
        let view = View {
            machine: &machine,
            observed_at: machine.now,
        };
        let (payload, rows) = structured(&view);
        let Payload::Linux(list) = payload else {
            panic!("no records")
        };
        assert_eq!(
            (list.clock_ticks_per_second, list.page_size_bytes),
            (100, 4096)
        );
        let resolved = &list.processes[2];
        assert_eq!(&*resolved.comm, "systemd-resolve");
        assert_eq!(resolved.owner.as_deref(), Some("systemd-resolve"));
        assert_eq!(
            (resolved.utime_ticks, resolved.stime_ticks),
            (Some(419), Some(180))
        );
        assert_eq!(rows[2].cpu_time_us, Some(5_990_000));
        assert_eq!(rows[2].executable_name, "systemd-resolved");
        assert_eq!(rows[1].executable_name, "[kworker/0:1]");
        assert_eq!(resolved.resident_pages, Some(13_500 / 4));
    }
}
