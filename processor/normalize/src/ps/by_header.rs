//! Rows of `ps` by the columns that its header names: procps' and macOS' `-o`, and busybox.
//!
//! Invariants: a column's value is a word, but for dates, short names before other columns, and the last column. A header
//! may stand anywhere and holds until the next one; a line before the first is rejected. Of several start times the most
//! exact is taken.

use super::columns::CommandLine;
use super::layout::{Column, Layout};
use super::linux::{SHORT_NAME_BYTES, without_defunct};
use super::{CommandText, PsRow, StartText, System};
use crate::cpu_time::ps_cpu_time_at;
use crate::format::Format;
use crate::listing::{Builder, RowError, following, lines};
use crate::notes::{Notes, NullReason};
use crate::number::{self, ps_kib};
use rollcall_domain::LineReason;

/// Gives each line's columns to `system`.
pub(crate) fn parse<'a>(text: &'a str, builder: &mut Builder<'a>, system: &impl System<'a>) {
    let format = builder.format();
    let mut layout: Option<Layout> = None;
    let mut commands = Commands::Doubtful;
    for (number, line) in lines(text) {
        if let Ok(own) = Layout::read(line) {
            commands = Commands::of(following(text, line), &own, format);
            layout = Some(own);
            continue;
        }
        builder.line(number, line, |line, mut slot| {
            let Some(layout) = &layout else {
                return Err(RowError::new(
                    LineReason::MissingColumns,
                    "no header stands before the line",
                ));
            };
            let row = row(line, layout, commands, format, &mut slot.notes)?;
            system.process(row, slot)
        });
    }
}

/// What the column `COMMAND` or `CMD` holds, for which procps has one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Commands {
    /// Commands with their arguments.
    Lines,
    /// Short names.
    Names,
    /// Either; what is a single word is the name in both.
    Doubtful,
}

impl Commands {
    /// Looks at the rows that follow a header, up to the next one.
    ///
    /// Only commands with arguments begin with a slash, a dash or a bracket, or are longer than a short name can be; only
    /// among short names `kthreadd` and workers, which may have longer names, stand without their brackets.
    fn of(following: &str, layout: &Layout, format: Option<Format>) -> Self {
        let has_both = layout.has(Column::ShortName) && layout.has(Column::Command);
        let is_procps = format == Some(Format::PsColumns);
        if has_both || !is_procps {
            return Commands::Lines;
        }
        let mut found = Commands::Doubtful;
        for (_, line) in lines(following) {
            if Layout::read(line).is_ok() {
                break;
            }
            let Ok(cells) = Cells::read(line, layout) else {
                continue;
            };
            let command = cells.command.unwrap_or("").trim_start_matches(' ');
            if command == "kthreadd" || command.starts_with("kworker/") {
                return Commands::Names;
            }
            let (name, _) = without_defunct(command);
            if name.len() > SHORT_NAME_BYTES || name.starts_with(['/', '-', '[']) {
                found = Commands::Lines;
            }
        }
        found
    }
}

/// The CPU time of a row, as it stands.
pub(crate) fn cpu_time_cell<'a>(line: &'a str, layout: &Layout) -> Option<&'a str> {
    Cells::read(line, layout).ok()?.cpu_time
}

fn row<'a>(
    line: &'a str,
    layout: &Layout,
    commands: Commands,
    format: Option<Format>,
    notes: &mut Notes,
) -> Result<PsRow<'a>, RowError> {
    let cells = Cells::read(line, layout)?;
    let pid = number::pid(cells.pid.as_bytes()).ok_or_else(no_pid)?;
    let parent_pid = cells
        .parent_pid
        .map(|cell| number::pid(cell.as_bytes()).ok_or_else(no_pid))
        .transpose()?;
    let cpu_time_us = match cells.cpu_time {
        Some(cell) => cpu_time(cell, format, notes)?,
        None => None,
    };
    let mut memory = |cell: Option<&str>| match cell {
        Some(cell) => memory(cell, format, notes),
        None => Ok(None),
    };
    let (memory_virtual_bytes, memory_usage_bytes) =
        (memory(cells.memory_virtual)?, memory(cells.memory_usage)?);
    Ok(PsRow {
        owner: cells.owner.or(cells.uid),
        pid,
        parent_pid,
        stat: cells.state.and_then(|cell| cell.as_bytes().first()),
        start: cells.start(),
        cpu_time_us,
        memory_usage_bytes,
        memory_virtual_bytes,
        thread_count: cells
            .thread_count
            .and_then(|cell| number::pid(cell.as_bytes())),
        command: match (cells.command, cells.short_name) {
            (Some(line), _) if commands == Commands::Lines => {
                CommandText::Line(CommandLine::new(line))
            }
            (Some(name), _) if commands == Commands::Names => CommandText::Name(name),
            (Some(either), _) => CommandText::Either(either),
            (None, name) => CommandText::Name(name.unwrap_or("")),
        },
        is_cut: false,
    })
}

#[cold]
fn no_pid() -> RowError {
    RowError::new(
        LineReason::BadPid,
        "the column PID or PPID holds no process id",
    )
}

/// Of busybox, hours and days (`2h05`, `1d03`) are known to the minute or hour only; procps' `cputimes` are seconds.
fn cpu_time(
    cell: &str,
    format: Option<Format>,
    notes: &mut Notes,
) -> Result<Option<i64>, RowError> {
    let bytes = cell.as_bytes();
    if let Ok(seconds) = number::unsigned(bytes) {
        let micros = seconds.checked_mul(1_000_000);
        let micros = micros.and_then(|micros| i64::try_from(micros).ok());
        return micros.map(Some).ok_or_else(|| LineReason::Overflow.into());
    }
    let is_coarse = |unit: char| {
        cell.split_once(unit).is_some_and(|(whole, rest)| {
            number::unsigned(whole.as_bytes()).is_ok()
                && (rest.is_empty() || number::unsigned(rest.as_bytes()).is_ok())
        })
    };
    if format == Some(Format::BusyboxPs) && (is_coarse('h') || is_coarse('d')) {
        notes.add(NullReason::CpuTimeCoarse);
        return Ok(None);
    }
    Ok(ps_cpu_time_at(bytes, (0, bytes.len()))?)
}

/// Of busybox, sizes of many KiB are rounded (`12.3m`, `1g`).
fn memory(cell: &str, format: Option<Format>, notes: &mut Notes) -> Result<Option<i64>, RowError> {
    let is_rounded = || {
        let number = cell.strip_suffix(['m', 'g', 't', 'p']);
        number.is_some_and(|number| {
            !number.is_empty()
                && number
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
    };
    if format == Some(Format::BusyboxPs) && is_rounded() {
        notes.add(NullReason::MemoryCoarse);
        return Ok(None);
    }
    Ok(ps_kib(cell.as_bytes(), (0, cell.len()))?)
}

/// A line's cells, as they stand.
#[derive(Default)]
struct Cells<'a> {
    pid: &'a str,
    parent_pid: Option<&'a str>,
    owner: Option<&'a str>,
    uid: Option<&'a str>,
    cpu_time: Option<&'a str>,
    memory_virtual: Option<&'a str>,
    memory_usage: Option<&'a str>,
    thread_count: Option<&'a str>,
    state: Option<&'a str>,
    start: Option<&'a str>,
    started: Option<&'a str>,
    elapsed: Option<&'a str>,
    short_name: Option<&'a str>,
    command: Option<&'a str>,
}

impl<'a> Cells<'a> {
    fn read(line: &'a str, layout: &Layout) -> Result<Self, RowError> {
        let mut cells = Self::default();
        let mut cursor = Cursor { line, at: 0 };
        let last = layout.columns.len() - 1;
        for (index, placed) in layout.columns.iter().enumerate() {
            let column = placed.column;
            let is_text = matches!(column, Column::Command | Column::ShortName);
            let cell = if is_text && index == last {
                Some(cursor.rest())
            } else if is_text {
                cursor.short_name(placed.start)
            } else {
                match column {
                    Column::Start => cursor.start(),
                    Column::Started => cursor.started(),
                    Column::Label => cursor.label(),
                    _ => cursor.word(),
                }
            };
            let cell = cell.ok_or_else(|| {
                RowError::new(
                    LineReason::MissingColumns,
                    "the line has fewer columns than its header",
                )
            })?;
            let slot = match column {
                Column::Pid => {
                    cells.pid = cell;
                    continue;
                }
                Column::ParentPid => &mut cells.parent_pid,
                Column::Owner => &mut cells.owner,
                Column::Uid => &mut cells.uid,
                Column::CpuTime => &mut cells.cpu_time,
                Column::MemoryVirtual => &mut cells.memory_virtual,
                Column::MemoryUsage => &mut cells.memory_usage,
                Column::ThreadCount => &mut cells.thread_count,
                Column::State => &mut cells.state,
                Column::Start => &mut cells.start,
                Column::Started => &mut cells.started,
                Column::Elapsed => &mut cells.elapsed,
                Column::ShortName => &mut cells.short_name,
                Column::Command => &mut cells.command,
                Column::Ignored | Column::Label => continue,
            };
            *slot = Some(cell);
        }
        Ok(cells)
    }

    fn start(&self) -> StartText<'a> {
        match (self.started, self.elapsed, self.start) {
            (Some(date), ..) => StartText::Date(date),
            (_, Some(elapsed), _) => StartText::Elapsed(elapsed),
            (.., Some(date)) if date.contains(' ') => StartText::Date(date),
            (.., Some(word)) => StartText::Recent(word.as_bytes()),
            _ => StartText::Word(b""),
        }
    }
}

/// A cursor over a line's cells.
struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn skip_blanks(&mut self) {
        let rest = &self.line[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    /// One word.
    fn word(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        let rest = &self.line[self.at..];
        let end = rest.find([' ', '\t']).unwrap_or(rest.len());
        self.at += end;
        (end > 0).then_some(&rest[..end])
    }

    /// `unconfined`, or `/usr/sbin/cupsd (enforce)`.
    fn label(&mut self) -> Option<&'a str> {
        let is_mode = |words: &str| words.contains(" (") && words.ends_with(')');
        let count = if self.peek(2).is_some_and(is_mode) {
            2
        } else {
            1
        };
        self.words(count)
    }

    /// `count` words, with what is between them.
    fn words(&mut self, count: usize) -> Option<&'a str> {
        self.skip_blanks();
        let start = self.at;
        for _ in 0..count {
            self.word()?;
        }
        Some(&self.line[start..self.at])
    }

    /// Looks ahead without going on.
    fn peek(&self, count: usize) -> Option<&'a str> {
        let mut ahead = Cursor { ..*self };
        ahead.words(count)
    }

    /// `09:05`, `Nov20`, `2025`, or two words, as `Nov 20`.
    fn start(&mut self) -> Option<&'a str> {
        let is_month =
            |word: &str| word.len() == 3 && word.bytes().all(|b| b.is_ascii_alphabetic());
        let count = if self.peek(1).is_some_and(is_month) {
            2
        } else {
            1
        };
        self.words(count)
    }

    /// `09:05:11`, `Nov 20`, or the five words of `lstart`, which end in a year: `Thu Nov 20 09:05:11 2025`.
    fn started(&mut self) -> Option<&'a str> {
        let is_date = |words: &str| {
            let mut last = words.split_ascii_whitespace().skip(3);
            let time = last.next().is_some_and(|word| word.contains([':', '.']));
            time && last.next().is_some_and(|year| {
                year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        if self.peek(5).is_some_and(is_date) {
            return self.words(5);
        }
        self.start()
    }

    /// A short name before another column: it begins below its header, or after one blank where the columns before it
    /// were too wide, and then gives up as much of its width.
    fn short_name(&mut self, header_start: usize) -> Option<&'a str> {
        let before = self.line[..self.at].chars().count();
        let least = if self.at == 0 { 0 } else { before + 1 };
        let begin = least.max(header_start);
        let skipped = self.line[self.at..].char_indices().nth(begin - before);
        let start = self.at + skipped.map_or(self.line.len() - self.at, |(at, _)| at);
        if !self.line[self.at..start]
            .trim_start_matches([' ', '\t'])
            .is_empty()
        {
            return None;
        }
        let end = Layout::short_name_end(self.line, start, begin - header_start);
        let name = self.line.get(start..end)?.trim_end_matches(' ');
        self.at = end;
        (!name.is_empty()).then_some(name)
    }

    /// What follows the one blank after the column before.
    fn rest(&self) -> &'a str {
        let start = if self.at == 0 { 0 } else { self.at + 1 };
        self.line.get(start..).unwrap_or("")
    }
}
