//! The columns of `ps aux` and `ps -ef`, which Linux and macOS print in one order.
//!
//! Invariants: columns are read from the left, the command is the rest of the line as it stands. `%CPU` is not used, for
//! it is an average over the process' life (Linux) or over the last minute (macOS).
//!
//! Must not know: what start times, states and commands mean; the systems do ([`linux`], [`macos`]).

mod argv0;
mod by_header;
mod columns;
mod layout;
mod linux;
mod macos;
pub(crate) mod recognize;
mod width;

use crate::applications::Runs;
use crate::bits;
use crate::cpu_time::ps_cpu_time_at;
use crate::format::Format;
use crate::index::Index;
use crate::listing::{Accepted, Builder, Listing, NameBytes, RowError, Slot};
use crate::number::{self, ps_kib};
use columns::{Columns, CommandLine, Span, head_columns};
pub(crate) use linux::Linux;
pub(crate) use macos::Macos;
use rollcall_domain::{CreationTime, LineReason, Process, ProcessState};
use std::borrow::Cow;
use width::Width;

/// A line's columns. What `ps -ef` does not print, and `ps aux` does, is `None`, and the other way round.
pub(crate) struct PsRow<'a> {
    pub(crate) owner: Option<&'a str>,
    pub(crate) pid: i32,
    pub(crate) parent_pid: Option<i32>,
    /// The first letter of `STAT`.
    pub(crate) stat: Option<&'a u8>,
    pub(crate) start: StartText<'a>,
    pub(crate) cpu_time_us: Option<i64>,
    pub(crate) memory_usage_bytes: Option<i64>,
    pub(crate) memory_virtual_bytes: Option<i64>,
    pub(crate) thread_count: Option<i32>,
    pub(crate) command: CommandText<'a>,
    /// Whether `ps` may have cut the command.
    pub(crate) is_cut: bool,
}

/// What a listing says of a process' start.
pub(crate) enum StartText<'a> {
    /// `START` and `STIME` of `ps aux` and `-ef`, macOS' `STARTED`: one word, or none.
    Word(&'a [u8]),
    /// The same under a header of one's own, where it may be procps' `bsdstart`, which has yesterday's times of day, too.
    Recent(&'a [u8]),
    /// procps' `start` and `lstart`, macOS' `lstart`.
    Date(&'a str),
    /// `etime` and `etimes`.
    Elapsed(&'a str),
}

/// What a listing says of what a process runs.
pub(crate) enum CommandText<'a> {
    /// The command with its arguments.
    Line(CommandLine<'a>),
    /// Only a name: the kernel's short one on Linux, the executable's path on macOS.
    Name(&'a str),
    /// One of them.
    Either(&'a str),
}

/// What a system says of a row's own columns.
pub(crate) struct Meaning<'a> {
    pub(crate) created_at: Option<CreationTime>,
    pub(crate) state: Option<ProcessState>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) path: Option<&'a str>,
    pub(crate) line: Option<&'a str>,
    pub(crate) runs: Runs<'a>,
}

/// A system that prints such columns.
pub(crate) trait System<'a> {
    /// The process of a row.
    fn process(&self, row: PsRow<'a>, slot: Slot<'_, 'a>) -> Accepted;
}

/// Gives each line's columns to `system`; headers, which may stand anywhere, are left out.
pub(crate) fn parse<'a>(
    text: &'a str,
    mut builder: Builder<'a>,
    system: &impl System<'a>,
) -> Listing<'a> {
    match builder.format() {
        Some(Format::PsAux | Format::MacosPsAux) => {
            let missing = "ps aux has 11 columns";
            each(text, &mut builder, missing, |line, spans, command, slot| {
                PsRow::aux(line, spans, command, |row| system.process(row, slot))
            });
        }
        Some(Format::PsEf | Format::MacosPsEf) => {
            let missing = "ps -ef has 8 columns";
            each(text, &mut builder, missing, |line, spans, command, slot| {
                PsRow::ef(line, spans, command, |row| system.process(row, slot))
            });
        }
        _ => by_header::parse(text, &mut builder, system),
    }
    builder.finish()
}

/// Gives each line's first `N` columns, and its command and whether that may be cut, to `read`. `missing` says what a shorter line lacks.
#[inline(always)]
fn each<'a, const N: usize>(
    text: &'a str,
    builder: &mut Builder<'a>,
    missing: &'static str,
    read: impl Fn(&'a str, [Span; N], (CommandLine<'a>, bool), Slot<'_, 'a>) -> Accepted,
) {
    let index = Index::new(text, bits::blanks);
    let width = Width::of::<N>(&index);
    for (number, line) in index.lines() {
        if line.text.starts_with(['U', ' ']) && recognize::fixed_header(line.text).is_some() {
            continue;
        }
        builder.line(number, line.text, |text_of_line, slot| {
            let (spans, command) = match head_columns(&line) {
                Some(found) => found,
                None => long_or_short(text, text_of_line, missing)?,
            };
            read(
                text_of_line,
                spans,
                (command, width.has_cut(text_of_line)),
                slot,
            )
        });
    }
}

/// The columns of a line of which they are not all in its head.
#[cold]
#[inline(never)]
fn long_or_short<'a, const N: usize>(
    text: &'a str,
    line: &'a str,
    missing: &'static str,
) -> Result<([Span; N], CommandLine<'a>), RowError> {
    let mut columns = Columns::new(text, line);
    let spans = columns
        .spans()
        .ok_or_else(|| too_short(text, line, missing))?;
    Ok((spans, CommandLine::new(columns.rest())))
}

/// Why a line has no `N` columns before its command, of which the second is a process id.
#[cold]
fn too_short(text: &str, line: &str, missing: &'static str) -> RowError {
    match Columns::new(text, line).spans::<2>() {
        Some([_, pid]) if number::pid_at(line.as_bytes(), pid).is_none() => bad_pid(),
        _ => RowError::new(LineReason::MissingColumns, missing),
    }
}

#[cold]
fn bad_pid() -> RowError {
    RowError::new(LineReason::BadPid, "the second column is no process id")
}

#[cold]
fn bad_parent_pid() -> RowError {
    RowError::new(LineReason::BadPid, "the third column is no process id")
}

impl<'a> PsRow<'a> {
    /// `USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND`.
    #[inline(always)]
    fn aux(
        line: &'a str,
        spans: [Span; 10],
        (command, is_cut): (CommandLine<'a>, bool),
        then: impl FnOnce(Self) -> Accepted,
    ) -> Accepted {
        let [owner, pid, _, _, vsz, rss, _, stat, start, cpu_time] = spans;
        let bytes = line.as_bytes();
        then(Self {
            owner: Some(&line[owner.0..owner.1]),
            pid: number::pid_at(bytes, pid).ok_or_else(bad_pid)?,
            parent_pid: None,
            stat: bytes.get(stat.0),
            start: StartText::Word(&bytes[start.0..start.1]),
            cpu_time_us: ps_cpu_time_at(bytes, cpu_time)?,
            memory_usage_bytes: ps_kib(bytes, rss)?,
            memory_virtual_bytes: ps_kib(bytes, vsz)?,
            thread_count: None,
            command: CommandText::Line(command),
            is_cut,
        })
    }

    /// `UID PID PPID C STIME TTY TIME CMD`.
    #[inline(always)]
    fn ef(
        line: &'a str,
        spans: [Span; 7],
        (command, is_cut): (CommandLine<'a>, bool),
        then: impl FnOnce(Self) -> Accepted,
    ) -> Accepted {
        let [owner, pid, parent_pid, _, start, _, cpu_time] = spans;
        let bytes = line.as_bytes();
        let parent_pid = number::pid_at(bytes, parent_pid).ok_or_else(bad_parent_pid)?;
        then(Self {
            owner: Some(&line[owner.0..owner.1]),
            pid: number::pid_at(bytes, pid).ok_or_else(bad_pid)?,
            parent_pid: Some(parent_pid),
            stat: None,
            start: StartText::Word(&bytes[start.0..start.1]),
            cpu_time_us: ps_cpu_time_at(bytes, cpu_time)?,
            memory_usage_bytes: None,
            memory_virtual_bytes: None,
            thread_count: None,
            command: CommandText::Line(command),
            is_cut,
        })
    }

    /// Hands the process of this row over.
    #[inline(always)]
    pub(crate) fn accept(self, mut meaning: Meaning<'a>, slot: Slot<'_, 'a>) -> Accepted {
        if self.is_cut {
            meaning.runs = meaning.runs.of_cut(meaning.line);
        }
        // Nearly all texts are borrowed. Then nothing needs to be dropped should the row be rejected, which lets the compiler
        // keep all of it out of memory until it is accepted.
        let Meaning {
            created_at,
            state,
            name: Cow::Borrowed(name),
            path,
            line,
            runs:
                Runs {
                    application: Cow::Borrowed(application),
                    script,
                },
        } = meaning
        else {
            return slot.accept(self.process(meaning));
        };
        let names = NameBytes::of(self.owner, name, application);
        slot.accept_with(self.pid, names, move || {
            self.process(Meaning {
                created_at,
                state,
                name: Cow::Borrowed(name),
                path,
                line,
                runs: Runs {
                    application: Cow::Borrowed(application),
                    script,
                },
            })
        })
    }

    #[inline(always)]
    fn process(self, meaning: Meaning<'a>) -> Process<'a> {
        Process {
            pid: self.pid,
            parent_pid: self.parent_pid,
            created_at: meaning.created_at,
            executable_name: meaning.name,
            executable_path: meaning.path.map(Cow::Borrowed),
            command_line: meaning.line.map(Cow::Borrowed),
            owner: self.owner.map(Cow::Borrowed),
            state: meaning.state,
            cpu_time_us: self.cpu_time_us,
            memory_usage_bytes: self.memory_usage_bytes,
            memory_virtual_bytes: self.memory_virtual_bytes,
            thread_count: self.thread_count,
            application: meaning.runs.application,
            script: meaning.runs.script.map(Cow::Borrowed),
        }
    }
}
