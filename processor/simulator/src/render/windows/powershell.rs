//! PowerShell: `Get-Process` and `Get-CimInstance Win32_Process` as csv and json, of Windows' own 5.1 and of version 7.
//!
//! In csv, numbers and dates are written as the machine's country does, and null is nothing between separators. In json,
//! 5.1 writes dates as `/Date(ms)/` and escapes what would matter in a web page, version 7 writes ISO 8601.

use super::super::{View, text_payload};
use super::language::Words;
use super::{command_line, whole};
use crate::form::Language;
use crate::machine::SimulatedProcess;
use crate::precision::Holds;
use crate::truth::TruthRow;
use jiff::civil;
use rollcall_domain::Timestamp;
use rollcall_domain::snapshot::Payload;
use rollcall_domain::time::SECOND_US;
use std::fmt::Write;

/// Which objects are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Command {
    GetProcess,
    GetCimInstance,
}

/// A property's value.
enum Value {
    Null,
    Integer(i64),
    /// Seconds, in microseconds.
    Seconds(i64),
    Text(String),
    Date(Timestamp),
}

/// `… | ConvertTo-Csv`, with `-UseCulture` where `own_separator`.
pub(in super::super) fn csv(
    view: &View<'_>,
    command: Command,
    own_separator: bool,
) -> (Payload<'static>, Vec<TruthRow>) {
    let dialect = view.machine.profile.dialect;
    let words = Words::of(dialect.language);
    let separator = if own_separator { words.separator } else { ',' };
    let mut text = String::with_capacity(192 * (view.machine.processes.len() + 1));
    if !dialect.powershell_7 {
        text.push_str(match command {
            Command::GetProcess => "#TYPE Selected.System.Diagnostics.Process\r\n",
            Command::GetCimInstance => {
                "#TYPE Selected.Microsoft.Management.Infrastructure.CimInstance\r\n"
            }
        });
    }
    let joined = |cells: Vec<String>| cells.join(&separator.to_string()) + "\r\n";
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    text.push_str(&joined(
        names(command).iter().map(|name| quoted(name)).collect(),
    ));
    for process in processes(view, command) {
        let cells = values(view, process, command)
            .into_iter()
            .map(|value| match value {
                Value::Null => String::new(),
                Value::Integer(number) => quoted(&number.to_string()),
                Value::Seconds(us) if words.decimal_comma => quoted(&seconds(us).replace('.', ",")),
                Value::Seconds(us) => quoted(&seconds(us)),
                Value::Text(text) => quoted(&text),
                Value::Date(at) => quoted(&date(view.local(at), dialect.language)),
            });
        text.push_str(&joined(cells.collect()));
    }
    printed(view, command, text)
}

/// `… | ConvertTo-Json`.
pub(in super::super) fn json(
    view: &View<'_>,
    command: Command,
) -> (Payload<'static>, Vec<TruthRow>) {
    let newer = view.machine.profile.dialect.powershell_7;
    let (margin, colon) = if newer { ("  ", ": ") } else { ("    ", ":  ") };
    let objects = processes(view, command).map(|process| {
        let members: Vec<_> = names(command)
            .iter()
            .zip(values(view, process, command))
            .map(|(name, value)| {
                format!(
                    "{margin}{margin}\"{name}\"{colon}{}",
                    json_value(view, value, newer)
                )
            })
            .collect();
        format!("{margin}{{\r\n{}\r\n{margin}}}", members.join(",\r\n"))
    });
    let objects: Vec<_> = objects.collect();
    let text = format!("[\r\n{}\r\n]\r\n", objects.join(",\r\n"));
    printed(view, command, text)
}

fn json_value(view: &View<'_>, value: Value, newer: bool) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Seconds(us) => seconds(us),
        Value::Text(text) => json_text(&text, newer),
        Value::Date(at) if newer => {
            let offset = view.machine.profile.utc_offset_seconds;
            let sign = if offset < 0 { '-' } else { '+' };
            let local = view.local(at);
            format!(
                "\"{}T{}.{:07}{sign}{:02}:{:02}\"",
                local.date(),
                clock(local),
                at.as_micros().rem_euclid(SECOND_US) * 10,
                offset.abs() / 3_600,
                offset.abs() / 60 % 60
            )
        }
        Value::Date(at) => format!("\"\\/Date({})\\/\"", at.as_micros().div_euclid(1_000)),
    }
}

/// 5.1 escapes what would matter in a web page, too.
fn json_text(text: &str, newer: bool) -> String {
    let mut escaped = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            '<' | '>' | '&' | '\'' if !newer => {
                let _ = write!(escaped, "\\u{:04x}", c as u32);
            }
            c => escaped.push(c),
        }
    }
    format!("\"{escaped}\"")
}

/// `Get-Process` sorts by name, `Win32_Process` by nothing.
fn processes<'v>(view: &View<'v>, command: Command) -> impl Iterator<Item = &'v SimulatedProcess> {
    let mut processes: Vec<_> = view.machine.processes.iter().collect();
    if command == Command::GetProcess {
        processes.sort_by_key(|process| (process.program.name.to_lowercase(), process.pid));
    }
    processes.into_iter()
}

fn names(command: Command) -> &'static [&'static str] {
    match command {
        Command::GetProcess => &[
            "Id",
            "ProcessName",
            "CPU",
            "WorkingSet64",
            "VirtualMemorySize64",
            "StartTime",
            "Path",
        ],
        Command::GetCimInstance => &[
            "ProcessId",
            "ParentProcessId",
            "Name",
            "ExecutablePath",
            "CommandLine",
            "CreationDate",
            "KernelModeTime",
            "UserModeTime",
            "WorkingSetSize",
            "VirtualSize",
            "ThreadCount",
        ],
    }
}

fn values(view: &View<'_>, process: &SimulatedProcess, command: Command) -> Vec<Value> {
    let name = process.program.name;
    let idle = process.pid == 0;
    let path = match process.path.as_str() {
        "" => Value::Null,
        path => Value::Text(path.to_owned()),
    };
    // What .NET knows of the system's own processes is nothing.
    let began = match process.pid <= 4 {
        true => Value::Null,
        false => Value::Date(view.started_at(process)),
    };
    let (resident, virtual_bytes) = (
        Value::Integer(process.resident_kib * 1024),
        Value::Integer(process.virtual_kib * 1024),
    );
    match command {
        Command::GetProcess => vec![
            Value::Integer(i64::from(process.pid)),
            Value::Text(stem(name).to_owned()),
            if idle {
                Value::Null
            } else {
                Value::Seconds(process.cpu_us)
            },
            resident,
            virtual_bytes,
            began,
            path,
        ],
        Command::GetCimInstance => {
            let user_us = process.cpu_us / 5 * 4;
            vec![
                Value::Integer(i64::from(process.pid)),
                Value::Integer(i64::from(process.parent_pid)),
                Value::Text(name.to_owned()),
                path,
                command_line(process).map_or(Value::Null, Value::Text),
                began,
                Value::Integer((process.cpu_us - user_us) * 10),
                Value::Integer(user_us * 10),
                resident,
                virtual_bytes,
                Value::Integer(i64::from(process.threads)),
            ]
        }
    }
}

/// A process' name without `.exe`; the idle process has a shorter one.
fn stem(name: &str) -> &str {
    match name {
        "System Idle Process" => "Idle",
        name => name
            .strip_suffix(".exe")
            .or_else(|| name.strip_suffix(".EXE"))
            .unwrap_or(name),
    }
}

fn printed(view: &View<'_>, command: Command, text: String) -> (Payload<'static>, Vec<TruthRow>) {
    let holds = Holds::of(view.machine.profile.form);
    let rows = processes(view, command).map(|process| {
        let row = holds.seen(&whole(view, process));
        match (command, process.path.as_str()) {
            (Command::GetProcess, "") => TruthRow {
                executable_name: stem(process.program.name).to_owned(),
                ..row
            },
            _ => TruthRow {
                executable_name: process.program.name.to_owned(),
                ..row
            },
        }
    });
    (
        text_payload(text.into_bytes(), Some("utf-8")),
        rows.collect(),
    )
}

/// Seconds as .NET prints a double: no more digits than it takes.
fn seconds(us: i64) -> String {
    let text = format!("{}.{:06}", us / SECOND_US, us % SECOND_US);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn clock(at: civil::DateTime) -> String {
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

/// A date and a time as .NET prints them in a culture (`G`).
fn date(at: civil::DateTime, language: Language) -> String {
    let (year, month, day) = (at.year(), at.month(), at.day());
    let half = if at.hour() < 12 { "AM" } else { "PM" };
    match language {
        Language::English => format!(
            "{month}/{day}/{year} {}:{:02}:{:02} {half}",
            (at.hour() + 11) % 12 + 1,
            at.minute(),
            at.second()
        ),
        Language::German | Language::Polish | Language::Russian | Language::Hebrew => {
            format!("{day:02}.{month:02}.{year} {}", clock(at))
        }
        Language::Spanish | Language::French | Language::Italian | Language::PortugueseBrazil => {
            format!("{day:02}/{month:02}/{year} {}", clock(at))
        }
        Language::EnglishIndia | Language::Dutch => {
            format!("{day:02}-{month:02}-{year} {}", clock(at))
        }
        Language::Japanese | Language::Chinese => {
            format!(
                "{year}/{month:02}/{day:02} {}:{:02}:{:02}",
                at.hour(),
                at.minute(),
                at.second()
            )
        }
    }
}
