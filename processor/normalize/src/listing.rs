//! What a parser returns, and how it is gathered: lines in, processes and rejected lines out.
//!
//! Invariant: every line given to [`Builder`] ends as a process or as a rejected line, in their order.

use crate::bits::{self, BLOCK};
use crate::format::Format;
use crate::limits::{MAX_LINE_BYTES, MAX_NAME_BYTES, MAX_PROCESSES, MIN_ROW_BYTES};
use crate::notes::{Notes, NullCount, NullCounts};
use rollcall_domain::{LineReason, Os, Process};
use std::borrow::Cow;

/// A line, or a structured record, that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineError<'a> {
    /// Number of the line, 1 for the first; of a structured record, its index plus 1.
    pub line: u32,
    /// The reason.
    pub reason: LineReason,
    /// What exactly was wrong, for a person.
    pub detail: Cow<'static, str>,
    /// The line's bytes, all of them; of a structured record, its name.
    pub raw: Cow<'a, [u8]>,
}

/// A listing's processes and what could not be read of it, each in the listing's order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing<'a> {
    /// The operating system.
    pub os: Os,
    /// The form of the text; `None` for structured records.
    pub format: Option<Format>,
    /// The processes; no two have the same pid.
    pub processes: Vec<Process<'a>>,
    /// The rejected lines.
    pub rejected: Vec<LineError<'a>>,
    /// How many accepted rows show a value that is `None` all the same, by reason.
    pub nulls: Vec<NullCount>,
}

/// Why a row is rejected, before it is known which line it stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RowError {
    pub(crate) reason: LineReason,
    pub(crate) detail: &'static str,
}

impl RowError {
    #[cold]
    pub(crate) fn new(reason: LineReason, detail: &'static str) -> Self {
        Self { reason, detail }
    }
}

impl From<LineReason> for RowError {
    #[cold]
    fn from(reason: LineReason) -> Self {
        let detail = match reason {
            LineReason::BadCpuTime => "the CPU time has no known form",
            LineReason::BadMemory => "a memory column is no number",
            LineReason::Overflow => "a number is too large for its unit",
            _ => "the line can't be read",
        };
        Self { reason, detail }
    }
}

/// Whether a row was accepted.
pub(crate) type Accepted = Result<(), RowError>;

/// Gathers a listing.
pub(crate) struct Builder<'a> {
    os: Os,
    format: Option<Format>,
    rows: Rows<'a>,
    rejected: Vec<LineError<'a>>,
}

/// The rows that were accepted.
struct Rows<'a> {
    processes: Vec<Process<'a>>,
    nulls: NullCounts,
    pids: PidSet,
}

impl<'a> Builder<'a> {
    /// For a listing in `text`.
    pub(crate) fn new(text: &str, format: Format) -> Self {
        Self::with_capacity(format.os(), Some(format), expected_rows(text))
    }

    /// For a listing of about `expected` processes.
    pub(crate) fn with_capacity(os: Os, format: Option<Format>, expected: usize) -> Self {
        Self {
            os,
            format,
            rows: Rows {
                processes: Vec::with_capacity(expected.min(MAX_PROCESSES)),
                nulls: NullCounts::default(),
                pids: PidSet::default(),
            },
            rejected: Vec::new(),
        }
    }

    /// Takes the row that `read` makes of line `number`, unless the line or the listing is too long.
    #[inline(always)]
    pub(crate) fn line(
        &mut self,
        number: u32,
        line: &'a str,
        read: impl FnOnce(&'a str, Slot<'_, 'a>) -> Accepted,
    ) {
        let read = if line.len() > MAX_LINE_BYTES {
            Err(too_long())
        } else {
            read(line, self.slot(number))
        };
        if let Err(error) = read {
            self.reject(number, error, Cow::Borrowed(line.as_bytes()));
        }
    }

    /// Takes the row that `read` makes of line or record `number`; `raw` gives its bytes should it be rejected.
    #[inline(always)]
    pub(crate) fn row(
        &mut self,
        number: u32,
        read: impl FnOnce(Slot<'_, 'a>) -> Accepted,
        raw: impl FnOnce() -> Cow<'a, [u8]>,
    ) {
        if let Err(error) = read(self.slot(number)) {
            self.reject(number, error, raw());
        }
    }

    #[inline(always)]
    fn slot(&mut self, number: u32) -> Slot<'_, 'a> {
        Slot {
            rows: &mut self.rows,
            number,
            notes: Notes::default(),
        }
    }

    #[cold]
    fn reject(&mut self, line: u32, error: RowError, raw: Cow<'a, [u8]>) {
        let RowError { reason, detail } = error;
        self.rejected.push(LineError {
            line,
            reason,
            detail: Cow::Borrowed(detail),
            raw,
        });
    }

    pub(crate) fn format(&self) -> Option<Format> {
        self.format
    }

    pub(crate) fn finish(self) -> Listing<'a> {
        Listing {
            os: self.os,
            format: self.format,
            processes: self.rows.processes,
            rejected: self.rejected,
            nulls: self.rows.nulls.finish(),
        }
    }
}

/// How many rows a text has, by the lines at its beginning; rather too many than too few.
fn expected_rows(text: &str) -> usize {
    /// Bytes whose lines are counted.
    const PROBE: usize = 4096;
    let head = text.as_bytes().get(..PROBE).unwrap_or(text.as_bytes());
    let lines = memchr::memchr_iter(b'\n', head).count() + 1;
    let expected = lines * (text.len() / head.len().max(1) + 1);
    (expected + expected / 8).min(text.len() / MIN_ROW_BYTES + 1)
}

/// Where one row goes. A row is handed over where it is put together, so that it is built where it stays: copying it cost
/// more than reading its numbers.
pub(crate) struct Slot<'s, 'a> {
    rows: &'s mut Rows<'a>,
    number: u32,
    pub(crate) notes: Notes,
}

impl<'a> Slot<'_, 'a> {
    /// Accepts the row of a process, unless its names are too long, its pid is an earlier row's, or there are too many rows.
    pub(crate) fn accept(self, process: Process<'a>) -> Accepted {
        let names = NameBytes::of(
            process.owner.as_deref(),
            &process.executable_name,
            &process.application,
        );
        self.accept_with(process.pid, names, || process)
    }

    /// The same of the process that `build` makes. All else is done before, so that it is built where it stays.
    #[inline(always)]
    pub(crate) fn accept_with(
        self,
        pid: i32,
        names: NameBytes,
        build: impl FnOnce() -> Process<'a>,
    ) -> Accepted {
        let rows = self.rows;
        if rows.processes.len() >= MAX_PROCESSES {
            return Err(too_many());
        }
        if names.longest() > MAX_NAME_BYTES {
            return Err(names.too_long());
        }
        if !rows.pids.insert(pid, &rows.processes) {
            return Err(duplicate_pid());
        }
        rows.nulls.accept(&self.notes, self.number);
        let processes = &mut rows.processes;
        if processes.len() == processes.capacity() {
            grow(processes);
        }
        // Always true; the compiler then knows that there is room, and writes the process straight to its place.
        if processes.len() < processes.capacity() {
            processes.push(build());
        }
        Ok(())
    }
}

#[cold]
#[inline(never)]
fn grow(processes: &mut Vec<Process<'_>>) {
    processes.reserve(processes.len().max(64));
}

#[cold]
fn too_long() -> RowError {
    RowError::new(LineReason::TooLong, "the line is longer than 256 KiB")
}

#[cold]
fn too_many() -> RowError {
    RowError::new(LineReason::TooMany, "more than 100,000 processes")
}

#[cold]
fn duplicate_pid() -> RowError {
    RowError::new(
        LineReason::DuplicatePid,
        "an earlier line has this process id",
    )
}

/// How long a process' names are.
#[derive(Clone, Copy)]
pub(crate) struct NameBytes {
    owner: usize,
    executable_name: usize,
    application: usize,
}

impl NameBytes {
    #[inline(always)]
    pub(crate) fn of(owner: Option<&str>, executable_name: &str, application: &str) -> Self {
        Self {
            owner: owner.map_or(0, str::len),
            executable_name: executable_name.len(),
            application: application.len(),
        }
    }

    #[inline]
    fn longest(self) -> usize {
        self.owner.max(self.executable_name).max(self.application)
    }

    /// Which one is longer than any that is real.
    #[cold]
    fn too_long(self) -> RowError {
        let detail = if self.owner > MAX_NAME_BYTES {
            "the owner is longer than 4 KiB"
        } else if self.executable_name > MAX_NAME_BYTES {
            "the executable's name is longer than 4 KiB"
        } else {
            "the application's name is longer than 4 KiB"
        };
        RowError::new(LineReason::TooLong, detail)
    }
}

/// The pids seen so far. While they ascend, as in most listings, the last one says it all; from the first that doesn't,
/// a table with linear probing.
#[derive(Default)]
struct PidSet {
    last: Option<i32>,
    /// pid + 1, 0 where free; a power of two, at most half full. Empty while pids ascend.
    slots: Vec<u32>,
    len: usize,
}

impl PidSet {
    /// Adds `pid` to the pids of `before`; false if it is one of them.
    #[inline]
    fn insert(&mut self, pid: i32, before: &Vec<Process<'_>>) -> bool {
        if self.slots.is_empty() {
            if self.last.is_none_or(|last| pid > last) {
                self.last = Some(pid);
                return true;
            }
            self.fill(before);
        }
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        self.add(pid)
    }

    #[cold]
    fn fill(&mut self, before: &Vec<Process<'_>>) {
        self.slots = vec![0; (before.capacity() * 2).max(64).next_power_of_two()];
        for process in before {
            self.add(process.pid);
        }
    }

    #[cold]
    fn grow(&mut self) {
        let doubled = vec![0; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, doubled);
        self.len = 0;
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            self.add((slot - 1) as i32);
        }
    }

    fn add(&mut self, pid: i32) -> bool {
        let entry = pid as u32 + 1;
        let mask = self.slots.len() - 1;
        let mut at = (entry.wrapping_mul(0x9e37_79b1) >> 7) as usize & mask;
        while self.slots[at] != 0 {
            if self.slots[at] == entry {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = entry;
        self.len += 1;
        true
    }
}

/// Where `part`, a piece of `text`, begins in it.
#[inline]
pub(crate) fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize)
}

/// What follows `part`, a piece of `text`, in it.
pub(crate) fn following<'a>(text: &'a str, part: &str) -> &'a str {
    text.get(offset(text, part) + part.len()..).unwrap_or("")
}

/// The lines of `text` with their numbers, without their ends (`\n`, `\r\n`); empty lines are left out.
pub(crate) fn lines(text: &str) -> Lines<'_> {
    Lines {
        text,
        start: 0,
        number: 0,
        next: 0,
        ends: 0,
    }
}

/// An iterator over a text's lines. Their ends are found for 64 bytes at a time.
#[derive(Clone)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    /// Where the next line begins.
    start: usize,
    number: u32,
    /// Where the next block begins.
    next: usize,
    /// The line ends in the current block that were not given yet.
    ends: u64,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (u32, &'a str);

    #[inline]
    fn next(&mut self) -> Option<(u32, &'a str)> {
        loop {
            if self.start > self.text.len() {
                return None;
            }
            let end = self.end();
            let line = &self.text[self.start..end];
            self.start = end + 1;
            self.number = self.number.saturating_add(1);
            let line = line.strip_suffix('\r').unwrap_or(line);
            if !is_blank(line) {
                return Some((self.number, line));
            }
        }
    }
}

impl Lines<'_> {
    /// Where the line that begins next ends.
    #[inline]
    fn end(&mut self) -> usize {
        while self.ends == 0 {
            if self.next >= self.text.len() {
                return self.text.len();
            }
            let block = bits::block(self.text.as_bytes(), self.next);
            self.ends = bits::equal(&block, b'\n');
            self.next += BLOCK;
        }
        let end = self.next - BLOCK + self.ends.trailing_zeros() as usize;
        self.ends &= self.ends - 1;
        end
    }
}

/// Whether a line holds nothing but blanks.
#[inline]
pub(crate) fn is_blank(line: &str) -> bool {
    match line.as_bytes().first() {
        None => true,
        Some(b'!'..=b'~') => false,
        Some(_) => line.trim().is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_their_numbers() {
        let check = |text: &str| {
            let expect: Vec<_> = (1_u32..)
                .zip(text.split('\n'))
                .map(|(number, line)| (number, line.strip_suffix('\r').unwrap_or(line)))
                .filter(|(_, line)| !line.trim().is_empty())
                .collect();
            assert_eq!(lines(text).collect::<Vec<_>>(), expect, "{text:?}");
        };
        for text in [
            "",
            "\n",
            "a",
            "a\n",
            "\r\n\r\na\r\n b \n\t\n\u{a0}\nc",
            "\na\n\n\nb",
        ] {
            check(text);
        }
        for length in [1, 31, 62, 63, 64, 65, 127, 128, 129, 200] {
            let line = "x".repeat(length);
            check(&format!("{line}\n{line}\r\n\n{line}"));
            check(&format!("{line}\n").repeat(5));
        }
        check(&"\n".repeat(300));
        check(&"a\n".repeat(300));
    }
}
