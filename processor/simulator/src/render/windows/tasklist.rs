//! `tasklist` as table, csv and list, plain, with `/v` and with `/svc`, in the language and code page of its machine.
//!
//! The text ends its lines with CR LF. A table's columns are as wide in the console as its ruler says, where an East Asian
//! letter takes two columns; headers and names that are too long are cut.

use super::super::{View, text_payload};
use super::language::{Words, width};
use super::{status, whole};
use crate::machine::SimulatedProcess;
use crate::precision::Holds;
use crate::truth::TruthRow;
use rollcall_domain::snapshot::Payload;
use rollcall_domain::time::SECOND_US;
use std::borrow::Cow;
use std::fmt::Write;

/// Which columns are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Columns {
    Plain,
    /// `/v`.
    Verbose,
    /// `/svc`.
    Services,
}

/// Widths of English columns; some languages' differ.
const WIDTHS: [usize; 9] = [25, 8, 16, 11, 12, 15, 50, 12, 72];
/// Which columns stand to the right.
const RIGHT: [bool; 9] = [false, true, false, true, true, false, false, true, false];
/// Widths of `/svc`, of which only the pid stands to the right.
const SERVICES_WIDTHS: [usize; 3] = [25, 8, 44];
/// Columns without `/v`.
const PLAIN: usize = 5;
/// Services that share a host, by the rest of its pid.
const SERVICES: [&[&str]; 4] = [
    &[
        "BrokerInfrastructure",
        "DcomLaunch",
        "PlugPlay",
        "Power",
        "SystemEventsBroker",
    ],
    &["EventLog"],
    &["Dhcp", "lmhosts", "TimeBrokerSvc"],
    &["Schedule"],
];

/// `tasklist`.
pub(in super::super) fn table(
    view: &View<'_>,
    columns: Columns,
) -> (Payload<'static>, Vec<TruthRow>) {
    let words = words(view);
    let layout = Layout::new(columns, words);
    let mut text = String::with_capacity(256 * (view.machine.processes.len() + 3));
    text.push_str("\r\n");
    layout.line(&mut text, &headers(columns, words));
    let rulers: Vec<_> = layout
        .widths
        .iter()
        .map(|width| "=".repeat(*width))
        .collect();
    text.push_str(&rulers.join(" "));
    text.push_str("\r\n");
    for process in &view.machine.processes {
        let cells = cells(view, process, columns, words);
        match columns {
            Columns::Services => {
                let services = services(process, words);
                let mut lines = wrapped(&services, SERVICES_WIDTHS[2]).into_iter();
                let first = lines.next().unwrap_or_default();
                let [name, pid] = [&cells[0], &cells[1]];
                layout.line(&mut text, &[name.clone(), pid.clone(), first.into()]);
                for more in lines {
                    let blank = || Cow::Borrowed("");
                    layout.line(&mut text, &[blank(), blank(), more.into()]);
                }
            }
            Columns::Plain | Columns::Verbose => layout.line(&mut text, &cells),
        }
    }
    printed(view, &text)
}

/// `tasklist /fo csv`.
pub(in super::super) fn csv(
    view: &View<'_>,
    columns: Columns,
) -> (Payload<'static>, Vec<TruthRow>) {
    let words = words(view);
    let mut text = String::with_capacity(192 * (view.machine.processes.len() + 1));
    csv_line(&mut text, &headers(columns, words));
    for process in &view.machine.processes {
        let mut cells = cells(view, process, columns, words);
        if columns == Columns::Services {
            cells.push(services(process, words).join(",").into());
        }
        csv_line(&mut text, &cells);
    }
    printed(view, &text)
}

/// `tasklist /fo list`.
pub(in super::super) fn list(
    view: &View<'_>,
    columns: Columns,
) -> (Payload<'static>, Vec<TruthRow>) {
    let words = words(view);
    let headers = headers(columns, words);
    let margin = headers
        .iter()
        .map(|header| width(header))
        .max()
        .unwrap_or(0)
        + 2;
    let mut text = String::with_capacity(256 * view.machine.processes.len());
    for process in &view.machine.processes {
        text.push_str("\r\n");
        let cells = cells(view, process, columns, words);
        for (header, cell) in headers.iter().zip(&cells) {
            let blanks = " ".repeat(margin - width(header) - 1);
            let _ = write!(text, "{header}:{blanks}{cell}\r\n");
        }
        if columns == Columns::Services {
            for (index, service) in services(process, words).iter().enumerate() {
                let header = if index == 0 {
                    format!("{}:", headers[2])
                } else {
                    String::new()
                };
                let blanks = " ".repeat(margin - width(&header));
                let _ = write!(text, "{header}{blanks}{service}\r\n");
            }
        }
    }
    printed(view, &text)
}

fn words(view: &View<'_>) -> &'static Words {
    Words::of(view.machine.profile.dialect.language)
}

/// The text in its language's code page, and what it says.
fn printed(view: &View<'_>, text: &str) -> (Payload<'static>, Vec<TruthRow>) {
    let holds = Holds::of(view.machine.profile.form);
    let rows = view.machine.processes.iter().map(|process| {
        let whole = TruthRow {
            state: status(process).1,
            ..whole(view, process)
        };
        holds.seen(&whole)
    });
    let page = words(view).page;
    (
        text_payload(page.encode(text), Some(page.label())),
        rows.collect(),
    )
}

fn headers(columns: Columns, words: &'static Words) -> Vec<Cow<'static, str>> {
    let all = words.headers.map(Cow::Borrowed);
    match columns {
        Columns::Plain => all[..PLAIN].to_vec(),
        Columns::Verbose => all.to_vec(),
        Columns::Services => {
            let [name, pid, ..] = all;
            vec![name, pid, words.services.into()]
        }
    }
}

/// A process' cells, but for its services.
fn cells(
    view: &View<'_>,
    process: &SimulatedProcess,
    columns: Columns,
    words: &Words,
) -> Vec<Cow<'static, str>> {
    let (session, number) = session(view, process);
    let mut cells = vec![process.program.name.into(), process.pid.to_string().into()];
    if columns != Columns::Services {
        cells.extend([
            session,
            number.to_string().into(),
            words.memory(process.resident_kib).into(),
        ]);
    }
    if columns == Columns::Verbose {
        cells.extend([
            Cow::Borrowed(status(process).0),
            view.machine.owner(process).to_owned().into(),
            hours(process.cpu_us / SECOND_US).into(),
            Cow::Borrowed(match process.window_title {
                "" => words.not_available,
                title => title,
            }),
        ]);
    }
    cells
}

fn services(process: &SimulatedProcess, words: &Words) -> Vec<&'static str> {
    match process.program.name {
        "svchost.exe" => SERVICES[process.pid as usize / 4 % SERVICES.len()].to_vec(),
        _ => vec![words.not_available],
    }
}

/// The services, separated by commas, in lines of at most `width`.
pub(super) fn wrapped(services: &[&str], width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (index, service) in services.iter().enumerate() {
        let more = if index + 1 < services.len() { ", " } else { "" };
        let line = lines
            .last_mut()
            .filter(|line| line.len() + service.len() + more.len() <= width);
        match line {
            Some(line) => line.push_str(&format!("{service}{more}")),
            None => lines.push(format!("{service}{more}")),
        }
    }
    lines
}

/// Where a table's columns stand.
struct Layout {
    widths: Vec<usize>,
    right: [bool; 9],
}

impl Layout {
    fn new(columns: Columns, words: &Words) -> Self {
        let mut widths = WIDTHS;
        widths[4] = words.memory_width;
        match columns {
            Columns::Plain => Self {
                widths: widths[..PLAIN].to_vec(),
                right: RIGHT,
            },
            Columns::Verbose => Self {
                widths: widths.to_vec(),
                right: RIGHT,
            },
            Columns::Services => Self {
                widths: SERVICES_WIDTHS.to_vec(),
                right: [false, true, false, false, false, false, false, false, false],
            },
        }
    }

    fn line(&self, text: &mut String, cells: &[Cow<'_, str>]) {
        for (column, cell) in cells.iter().enumerate() {
            if column > 0 {
                text.push(' ');
            }
            let kept = cut(cell, self.widths[column]);
            let blanks = " ".repeat(self.widths[column] - width(kept));
            let (before, after) = if self.right[column] {
                (&*blanks, "")
            } else {
                ("", &*blanks)
            };
            text.push_str(before);
            text.push_str(kept);
            text.push_str(after);
        }
        text.push_str("\r\n");
    }
}

/// As much of `cell` as fits into so many columns of a console.
fn cut(cell: &str, columns: usize) -> &str {
    let mut kept = cell;
    while width(kept) > columns {
        let last = kept.char_indices().next_back().map_or(0, |(at, _)| at);
        kept = &kept[..last];
    }
    kept
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

/// `H:MM:SS`, hours without bound.
fn hours(seconds: i64) -> String {
    format!(
        "{}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}
