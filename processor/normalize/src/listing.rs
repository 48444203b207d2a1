//! What a parser returns, and how it is gathered: lines in, processes and rejected lines out.
//!
//! Invariant: every line given to [`Builder`] ends as a process or as a rejected line, in their order.

use crate::limits::{MAX_LINE_BYTES, MAX_PROCESSES, MIN_ROW_BYTES};
use crate::recognize::Format;
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

/// A row of text or a record, read.
pub(crate) type Row<'a> = Result<Process<'a>, RowError>;

/// Gathers a listing.
pub(crate) struct Builder<'a> {
    listing: Listing<'a>,
    pids: PidSet,
}

impl<'a> Builder<'a> {
    /// For a listing in `text`.
    pub(crate) fn new(text: &str, format: Format) -> Self {
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1;
        let expected = lines.min(text.len() / MIN_ROW_BYTES + 1);
        Self::with_capacity(format.os(), Some(format), expected)
    }

    /// For a listing of about `expected` processes.
    pub(crate) fn with_capacity(os: Os, format: Option<Format>, expected: usize) -> Self {
        let processes = Vec::with_capacity(expected.min(MAX_PROCESSES));
        let listing = Listing {
            os,
            format,
            processes,
            rejected: Vec::new(),
        };
        Self {
            listing,
            pids: PidSet::default(),
        }
    }

    /// Takes the row that `read` makes of line `number`, unless the line or the listing is too long.
    #[inline]
    pub(crate) fn line(
        &mut self,
        number: u32,
        line: &'a str,
        read: impl FnOnce(&'a str) -> Row<'a>,
    ) {
        let row = if line.len() > MAX_LINE_BYTES {
            Err(RowError::new(
                LineReason::TooLong,
                "the line is longer than 256 KiB",
            ))
        } else {
            read(line)
        };
        self.row(number, row, || Cow::Borrowed(line.as_bytes()));
    }

    /// Takes a row of line or record `number`; `raw` gives its bytes should it be rejected.
    #[inline]
    pub(crate) fn row(&mut self, number: u32, row: Row<'a>, raw: impl FnOnce() -> Cow<'a, [u8]>) {
        let error = match row {
            Ok(process) => {
                if self.listing.processes.len() >= MAX_PROCESSES {
                    RowError::new(LineReason::TooMany, "more than 100,000 processes")
                } else if self.pids.insert(process.pid, &self.listing.processes) {
                    self.listing.processes.push(process);
                    return;
                } else {
                    RowError::new(
                        LineReason::DuplicatePid,
                        "an earlier line has this process id",
                    )
                }
            }
            Err(error) => error,
        };
        self.reject(number, error, raw());
    }

    #[cold]
    pub(crate) fn reject(&mut self, line: u32, error: RowError, raw: Cow<'a, [u8]>) {
        let RowError { reason, detail } = error;
        self.listing.rejected.push(LineError {
            line,
            reason,
            detail: Cow::Borrowed(detail),
            raw,
        });
    }

    pub(crate) fn format(&self) -> Option<Format> {
        self.listing.format
    }

    pub(crate) fn finish(self) -> Listing<'a> {
        self.listing
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
    fn insert(&mut self, pid: i32, before: &[Process<'_>]) -> bool {
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
    fn fill(&mut self, before: &[Process<'_>]) {
        self.slots = vec![0; ((before.len() + 1) * 4).next_power_of_two()];
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

/// The lines of `text` with their numbers, without their ends (`\n`, `\r\n`); empty lines are left out.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let mut start = 0;
    let mut ends = memchr::memchr_iter(b'\n', text.as_bytes());
    let mut number = 0_u32;
    std::iter::from_fn(move || {
        loop {
            if start > text.len() {
                return None;
            }
            let end = ends.next().unwrap_or(text.len());
            let line = &text[start..end];
            start = end + 1;
            number = number.saturating_add(1);
            let line = line.strip_suffix('\r').unwrap_or(line);
            if !is_blank(line) {
                return Some((number, line));
            }
        }
    })
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
