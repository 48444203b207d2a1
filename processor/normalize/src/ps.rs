//! The columns of `ps aux` and `ps -ef`, which Linux and macOS print in one order.
//!
//! Invariants: columns are read from the left, the command is the rest of the line as it stands. `%CPU` is not used, for
//! it is an average over the process' life (Linux) or over the last minute (macOS).
//!
//! Must not know: what start times, states and commands mean; the systems do ([`crate::linux`], [`crate::macos`]).

use crate::columns::Columns;
use crate::listing::{Builder, Listing, Row, RowError, lines};
use crate::number::{self, ps_kib};
use crate::recognize::{Format, ps_header};
use crate::time::ps_cpu_time;
use rollcall_domain::{CreationTime, LineReason, Process, ProcessState};
use std::borrow::Cow;

/// A line's columns. What `ps -ef` does not print, and `ps aux` does, is `None`, and the other way round.
pub(crate) struct PsRow<'a> {
    pub(crate) owner: &'a str,
    pub(crate) pid: i32,
    pub(crate) parent_pid: Option<i32>,
    /// The first letter of `STAT`.
    pub(crate) stat: Option<&'a u8>,
    pub(crate) start: &'a [u8],
    pub(crate) cpu_time_us: Option<i64>,
    pub(crate) memory_usage_bytes: Option<i64>,
    pub(crate) memory_virtual_bytes: Option<i64>,
    pub(crate) command: &'a str,
}

/// What a system says of a row's own columns.
pub(crate) struct Meaning<'a> {
    pub(crate) created_at: Option<CreationTime>,
    pub(crate) state: Option<ProcessState>,
    pub(crate) name: &'a str,
    pub(crate) path: Option<&'a str>,
    pub(crate) line: Option<&'a str>,
}

/// Gives each line's columns to `read`; headers, which may stand anywhere, are left out.
#[inline]
pub(crate) fn parse<'a>(
    text: &'a str,
    mut builder: Builder<'a>,
    read: impl Fn(PsRow<'a>) -> Row<'a>,
) -> Listing<'a> {
    let is_ef = matches!(builder.format(), Some(Format::PsEf | Format::MacosPsEf));
    for (number, line) in lines(text) {
        if line.starts_with(['U', ' ']) && ps_header(line).is_some() {
            continue;
        }
        if is_ef {
            builder.line(number, line, |line| read(PsRow::ef(line)?));
        } else {
            builder.line(number, line, |line| read(PsRow::aux(line)?));
        }
    }
    builder.finish()
}

impl<'a> PsRow<'a> {
    /// `USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND`.
    #[inline]
    fn aux(line: &'a str) -> Result<Self, RowError> {
        let mut columns = Columns::new(line);
        let missing = || RowError::new(LineReason::MissingColumns, "ps aux has 11 columns");
        let owner = columns.text().ok_or_else(missing)?;
        let pid = columns.field().ok_or_else(missing)?;
        let pid = number::pid(pid).ok_or_else(|| {
            RowError::new(LineReason::BadPid, "the second column is no process id")
        })?;
        columns.field().ok_or_else(missing)?;
        columns.field().ok_or_else(missing)?;
        let memory_virtual_bytes = ps_kib(columns.field().ok_or_else(missing)?)?;
        let memory_usage_bytes = ps_kib(columns.field().ok_or_else(missing)?)?;
        columns.field().ok_or_else(missing)?;
        let stat = columns.field().ok_or_else(missing)?;
        let start = columns.field().ok_or_else(missing)?;
        let cpu_time_us = ps_cpu_time(columns.field().ok_or_else(missing)?)?;
        Ok(Self {
            owner,
            pid,
            parent_pid: None,
            stat: stat.first(),
            start,
            cpu_time_us,
            memory_usage_bytes,
            memory_virtual_bytes,
            command: columns.rest(),
        })
    }

    /// `UID PID PPID C STIME TTY TIME CMD`.
    #[inline]
    fn ef(line: &'a str) -> Result<Self, RowError> {
        let mut columns = Columns::new(line);
        let missing = || RowError::new(LineReason::MissingColumns, "ps -ef has 8 columns");
        let bad_pid = || {
            RowError::new(
                LineReason::BadPid,
                "the second or third column is no process id",
            )
        };
        let owner = columns.text().ok_or_else(missing)?;
        let pid = number::pid(columns.field().ok_or_else(missing)?).ok_or_else(bad_pid)?;
        let parent_pid = number::pid(columns.field().ok_or_else(missing)?).ok_or_else(bad_pid)?;
        columns.field().ok_or_else(missing)?;
        let start = columns.field().ok_or_else(missing)?;
        columns.field().ok_or_else(missing)?;
        let cpu_time_us = ps_cpu_time(columns.field().ok_or_else(missing)?)?;
        Ok(Self {
            owner,
            pid,
            parent_pid: Some(parent_pid),
            stat: None,
            start,
            cpu_time_us,
            memory_usage_bytes: None,
            memory_virtual_bytes: None,
            command: columns.rest(),
        })
    }

    /// The process of this row; its application is still empty.
    #[inline]
    pub(crate) fn process(self, meaning: Meaning<'a>) -> Process<'a> {
        Process {
            pid: self.pid,
            parent_pid: self.parent_pid,
            created_at: meaning.created_at,
            executable_name: Cow::Borrowed(meaning.name),
            executable_path: meaning.path.map(Cow::Borrowed),
            command_line: meaning.line.map(Cow::Borrowed),
            owner: Some(Cow::Borrowed(self.owner)),
            state: meaning.state,
            cpu_time_us: self.cpu_time_us,
            memory_usage_bytes: self.memory_usage_bytes,
            memory_virtual_bytes: self.memory_virtual_bytes,
            thread_count: None,
            application: Cow::Borrowed(""),
        }
    }
}
