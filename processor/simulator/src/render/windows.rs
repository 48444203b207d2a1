//! Windows: `tasklist` as table and csv, plain and with `/v`, and records of its process functions.
//!
//! The text ends its lines with CR LF and is in the console's code page (850): what titles have beyond ASCII is one byte
//! a letter.

use super::{View, owned, text_payload};
use crate::machine::{Activity, SimulatedProcess};
use crate::profile::MachineProfile;
use crate::truth::TruthRow;
use rollcall_domain::snapshot::{Payload, WindowsProcess};
use rollcall_domain::time::SECOND_US;
use rollcall_domain::{ProcessState, Timestamp};
use std::borrow::Cow;
use std::fmt::Write;

/// Width of a table's column Image Name: longer names are cut.
const NAME_WIDTH: usize = 25;
/// Widths of a table's nine columns.
const WIDTHS: [usize; 9] = [NAME_WIDTH, 8, 16, 11, 12, 15, 50, 12, 72];
const HEADERS: [&str; 9] = [
    "Image Name",
    "PID",
    "Session Name",
    "Session#",
    "Mem Usage",
    "Status",
    "User Name",
    "CPU Time",
    "Window Title",
];
/// Which columns stand to the right.
const RIGHT: [bool; 9] = [false, true, false, true, true, false, false, true, false];
/// Columns without `/v`.
const PLAIN: usize = 5;
/// 100 ns from 1601 to 1970.
const FILETIME_EPOCH: i64 = 116_444_736_000_000_000;
const CODE_PAGE: &str = "cp850";

/// `tasklist`, `tasklist /v`.
pub(super) fn table(view: &View<'_>, verbose: bool) -> (Payload<'static>, Vec<TruthRow>) {
    let columns = if verbose { WIDTHS.len() } else { PLAIN };
    let mut text = String::with_capacity(256 * (view.machine.processes.len() + 3));
    text.push_str("\r\n");
    table_line(&mut text, &HEADERS.map(Cow::Borrowed)[..columns]);
    let rulers: Vec<_> = WIDTHS[..columns]
        .iter()
        .map(|width| "=".repeat(*width))
        .collect();
    text.push_str(&rulers.join(" "));
    text.push_str("\r\n");
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in &view.machine.processes {
        let name = process.program.name;
        let shown = &name[..name.len().min(NAME_WIDTH)];
        table_line(&mut text, &cells(view, process, shown)[..columns]);
        rows.push(truth(view, process, shown, verbose));
    }
    (text_payload(code_page_850(&text), Some(CODE_PAGE)), rows)
}

/// `tasklist /fo csv`, `tasklist /fo csv /v`.
pub(super) fn csv(view: &View<'_>, verbose: bool) -> (Payload<'static>, Vec<TruthRow>) {
    let columns = if verbose { WIDTHS.len() } else { PLAIN };
    let mut text = String::with_capacity(192 * (view.machine.processes.len() + 1));
    csv_line(&mut text, &HEADERS.map(Cow::Borrowed)[..columns]);
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in &view.machine.processes {
        let name = process.program.name;
        csv_line(&mut text, &cells(view, process, name)[..columns]);
        rows.push(truth(view, process, name, verbose));
    }
    (text_payload(code_page_850(&text), Some(CODE_PAGE)), rows)
}

/// Records as Windows' own functions give them.
pub(super) fn structured(view: &View<'_>) -> (Payload<'static>, Vec<TruthRow>) {
    let mut list = Vec::with_capacity(view.machine.processes.len());
    let mut rows = Vec::with_capacity(view.machine.processes.len());
    for process in &view.machine.processes {
        let system = process.pid <= 4;
        let owner = view.machine.owner(process);
        let user_us = process.cpu_us / 5 * 4;
        let command_line = command_line(process);
        list.push(WindowsProcess {
            pid: i64::from(process.pid),
            parent_pid: Some(i64::from(process.parent_pid)),
            image_name: Cow::Borrowed(process.program.name),
            executable_path: (!process.path.is_empty()).then(|| Cow::Owned(process.path.clone())),
            command_line: command_line.clone().map(Cow::Owned),
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
        rows.push(TruthRow {
            parent_pid: Some(process.parent_pid),
            owner: Some(owner.to_owned()),
            // What the CPUs did not do is nobody's CPU time.
            cpu_time_us: (process.pid != 0).then_some(process.cpu_us),
            memory_usage_bytes: Some(process.resident_kib * 1024),
            memory_virtual_bytes: Some(process.virtual_kib * 1024),
            thread_count: Some(process.threads),
            command_line,
            ..view.row(process, process.program.name)
        });
    }
    (Payload::Windows(list), rows)
}

fn cells(
    view: &View<'_>,
    process: &SimulatedProcess,
    name: &'static str,
) -> [Cow<'static, str>; 9] {
    let (session, number) = session(view, process);
    [
        Cow::Borrowed(name),
        Cow::Owned(process.pid.to_string()),
        session,
        Cow::Owned(number.to_string()),
        Cow::Owned(memory(process.resident_kib, &view.machine.profile)),
        Cow::Borrowed(status(process).0),
        Cow::Owned(view.machine.owner(process).to_owned()),
        Cow::Owned(hours(process.cpu_us / SECOND_US)),
        Cow::Borrowed(match process.window_title {
            "" => "N/A",
            title => title,
        }),
    ]
}

fn truth(view: &View<'_>, process: &SimulatedProcess, shown: &str, verbose: bool) -> TruthRow {
    let name = process.program.name;
    let stem = name.strip_suffix(".exe").unwrap_or(name);
    // A name that has lost more than its `.exe` is no longer any program's that is known.
    let lost = shown.len() < stem.len();
    let seconds = process.cpu_us / SECOND_US;
    let row = view.row(process, shown);
    TruthRow {
        application: if lost {
            shown.to_lowercase()
        } else {
            row.application
        },
        owner: verbose.then(|| view.machine.owner(process).to_owned()),
        state: status(process).1.filter(|_| verbose),
        cpu_time_us: (verbose && process.pid != 0).then_some(seconds * SECOND_US),
        memory_usage_bytes: Some(process.resident_kib * 1024),
        ..row
    }
}

fn table_line(text: &mut String, cells: &[Cow<'_, str>]) {
    for (column, cell) in cells.iter().enumerate() {
        if column > 0 {
            text.push(' ');
        }
        let (width, kept) = (WIDTHS[column], cut(cell, WIDTHS[column]));
        let _ = match RIGHT[column] {
            true => write!(text, "{kept:>width$}"),
            false => write!(text, "{kept:width$}"),
        };
    }
    text.push_str("\r\n");
}

fn cut(cell: &str, width: usize) -> &str {
    cell.char_indices()
        .nth(width)
        .map_or(cell, |(end, _)| &cell[..end])
}

fn csv_line(text: &mut String, cells: &[Cow<'_, str>]) {
    for (column, cell) in cells.iter().enumerate() {
        let _ = write!(text, "{}\"{cell}\"", if column > 0 { "," } else { "" });
    }
    text.push_str("\r\n");
}

fn session(view: &View<'_>, process: &SimulatedProcess) -> (Cow<'static, str>, usize) {
    match process.account {
        None if matches!(process.program.name, "dwm.exe" | "winlogon.exe") => ("Console".into(), 1),
        None => ("Services".into(), 0),
        Some(account) if view.machine.profile.shared => (
            Cow::Owned(format!("RDP-Tcp#{}", account * 3 % 40)),
            account + 2,
        ),
        Some(_) => ("Console".into(), 1),
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

/// `12,345 K`; in India `1,23,456 K`.
fn memory(kib: i64, profile: &MachineProfile) -> String {
    let digits = kib.to_string();
    let mut text = String::with_capacity(16);
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        let group = match profile.indian_grouping {
            true => left == 3 || (left > 3 && left % 2 == 1),
            false => left.is_multiple_of(3),
        };
        if index > 0 && group {
            text.push(',');
        }
        text.push(digit);
    }
    text + " K"
}

/// `H:MM:SS`, hours without bound.
fn hours(seconds: i64) -> String {
    format!(
        "{}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
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

/// The bytes of `text` in code page 850, as far as the fleet's titles go.
fn code_page_850(text: &str) -> Vec<u8> {
    let byte = |c: char| match c {
        'ü' => 0x81,
        'é' => 0x82,
        'ä' => 0x84,
        'Ä' => 0x8e,
        'ö' => 0x94,
        'Ö' => 0x99,
        'Ü' => 0x9a,
        'ß' => 0xe1,
        c if c.is_ascii() => c as u8,
        _ => b'?',
    };
    text.chars().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{machine, process, text};
    use super::*;
    use crate::catalogue;
    use crate::profile::Form;
    use rollcall_domain::Os;

    fn program(name: &str) -> &'static catalogue::Program {
        let suites = catalogue::suites(Os::Windows)
            .iter()
            .map(|suite| &suite.main);
        catalogue::daemons(Os::Windows)
            .iter()
            .chain(catalogue::session_programs(Os::Windows))
            .chain(suites)
            .find(|program| program.name == name)
            .expect("listed")
    }

    fn sample(form: Form) -> crate::machine::Machine {
        let mut machine = machine(Os::Windows, form, 0);
        process(
            &mut machine,
            program("System Idle Process"),
            0,
            86_400,
            445_296_000_000,
        );
        process(
            &mut machine,
            program("StartMenuExperienceHost.exe"),
            5_120,
            3_600,
            999_999,
        );
        let word = process(
            &mut machine,
            program("WINWORD.EXE"),
            12_344,
            600,
            61_500_000,
        );
        machine.processes[word].window_title = "draft.docx - Word";
        machine.processes[word].resident_kib = 123_456;
        let plugin = process(
            &mut machine,
            program("Microsoft.AAD.BrokerPlugin.exe"),
            900,
            60,
            0,
        );
        machine.processes[plugin].activity = Activity::Stopped;
        machine
    }

    #[test]
    fn tasklist_as_windows_prints_it() {
        let (text, rows) = text(&sample(Form::Tasklist));
        let expect = "\r
Image Name                     PID Session Name        Session#    Mem Usage\r
========================= ======== ================ =========== ============\r
System Idle Process              0 Services                   0          8 K\r
StartMenuExperienceHost.e     5120 Console                    1     70,000 K\r
WINWORD.EXE                  12344 Console                    1    123,456 K\r
Microsoft.AAD.BrokerPlugi      900 Console                    1     34,000 K\r
";
        assert_eq!(text, expect);
        assert_eq!(rows[1].application, "startmenuexperiencehost");
        assert_eq!(rows[3].application, "microsoft.aad.brokerplugi");
        assert_eq!(
            (rows[2].cpu_time_us, &rows[2].owner, rows[2].state),
            (None, &None, None)
        );
        assert_eq!(rows[2].memory_usage_bytes, Some(123_456 * 1024));
    }

    #[test]
    fn tasklist_verbose_as_windows_prints_it() {
        let (text, rows) = text(&sample(Form::TasklistVerbose));
        let header = "Image Name                     PID Session Name        Session#    Mem Usage Status          User Name                                              CPU Time Window Title                                                            ";
        let ruler = "========================= ======== ================ =========== ============ =============== ================================================== ============ ========================================================================";
        let idle = "System Idle Process              0 Services                   0          8 K Unknown         NT AUTHORITY\\SYSTEM                                   123:41:36 N/A                                                                     ";
        let word = "WINWORD.EXE                  12344 Console                    1    123,456 K Running         UNI\\ada                                                 0:01:01 draft.docx - Word                                                       ";
        let lines: Vec<_> = text.split("\r\n").collect();
        assert_eq!(lines[..4], ["", header, ruler, idle]);
        assert_eq!(lines[5], word);
        assert_eq!(rows[0].cpu_time_us, None, "idle time is nobody's");
        assert_eq!(rows[2].cpu_time_us, Some(61 * SECOND_US));
        assert_eq!(rows[3].state, Some(ProcessState::Stopped));
    }

    #[test]
    fn csv_as_windows_prints_it() {
        let (text_verbose, rows) = text(&sample(Form::TasklistVerboseCsv));
        let lines: Vec<_> = text_verbose.split("\r\n").collect();
        let header = r#""Image Name","PID","Session Name","Session#","Mem Usage","Status","User Name","CPU Time","Window Title""#;
        let word = r#""WINWORD.EXE","12344","Console","1","123,456 K","Running","UNI\ada","0:01:01","draft.docx - Word""#;
        assert_eq!((lines[0], lines[3]), (header, word));
        assert_eq!(rows[3].executable_name, "Microsoft.AAD.BrokerPlugin.exe");
        let (plain, _) = text(&sample(Form::TasklistCsv));
        let lines: Vec<_> = plain.split("\r\n").collect();
        assert_eq!(
            lines[1],
            r#""System Idle Process","0","Services","0","8 K""#
        );
    }

    #[test]
    fn digits_are_grouped_as_the_country_does() {
        let mut profile = machine(Os::Windows, Form::Tasklist, 0).profile;
        let check = |profile: &_, kib, expect| assert_eq!(memory(kib, profile), expect);
        check(&profile, 999, "999 K");
        check(&profile, 1_234_567, "1,234,567 K");
        profile.indian_grouping = true;
        check(&profile, 143_404, "1,43,404 K");
        check(&profile, 12_345_678, "1,23,45,678 K");
        check(&profile, 43_404, "43,404 K");
    }

    #[test]
    fn records_have_windows_units() {
        let machine = sample(Form::WindowsStructured);
        let (payload, rows) = structured(&View {
            machine: &machine,
            observed_at: machine.now,
        });
        let Payload::Windows(list) = payload else {
            panic!("no records")
        };
        assert_eq!(
            list[2]
                .user_time_100ns
                .zip(list[2].kernel_time_100ns)
                .map(|(u, k)| u + k),
            Some(615_000_000)
        );
        // 2026-11-21T13:20:15Z.
        assert_eq!(list[2].creation_time_100ns, Some(134_397_408_150_000_000));
        assert_eq!(rows[2].cpu_time_us, Some(61_500_000));
        let expect = "\"C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE\" /n \"C:\\Users\\{user}\\Documents\\draft {n}.docx\"";
        assert_eq!(rows[2].command_line.as_deref(), Some(expect));
    }
}
