//! `tasklist` as table, csv and list; plain, with `/v` and with `/svc`; in any language.
//!
//! Invariants: columns go by position, never by the words in the header, which are localized, as are the digit grouping,
//! the unit and `N/A`. An owner has a backslash (`DOMAIN\user`). Status words are those of [`super::words`]. The CPU time
//! of pid 0 is the time that the CPUs were idle, not time that anything used: `None`. Window titles and services are not
//! kept. `/m` prints modules where `/svc` prints services, and is read as that.

mod cpu_time;
pub(super) mod csv;
pub(super) mod list;
mod memory;
mod ruler;
pub(super) mod table;

use super::words;
use crate::applications::ApplicationRules;
use crate::format::Format;
use crate::limits::MAX_COLUMNS;
use crate::listing::{Accepted, Builder, Listing, NameBytes, RowError, Slot};
use crate::notes::{Notes, NullReason};
use crate::number;
use rollcall_domain::identity::UNKNOWN;
use rollcall_domain::{LineReason, Process};
use std::borrow::Cow;

/// Which columns a listing has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Columns {
    /// Name, pid, session name, session number, memory.
    Plain,
    /// Those, and status, user name, CPU time, window title.
    Verbose,
    /// Name, pid, services.
    Services,
}

impl Columns {
    pub(super) const fn count(self) -> usize {
        match self {
            Columns::Plain => 5,
            Columns::Verbose => MAX_COLUMNS,
            Columns::Services => 3,
        }
    }

    pub(super) const fn of_count(count: usize) -> Option<Self> {
        match count {
            3 => Some(Columns::Services),
            5 => Some(Columns::Plain),
            MAX_COLUMNS => Some(Columns::Verbose),
            _ => None,
        }
    }
}

/// How the columns are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layout {
    Table,
    Csv,
    List,
}

/// A form of `tasklist`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Form {
    layout: Layout,
    columns: Columns,
}

impl Form {
    const ALL: [(Format, Layout, Columns); 9] = [
        (Format::TasklistTable, Layout::Table, Columns::Plain),
        (
            Format::TasklistVerboseTable,
            Layout::Table,
            Columns::Verbose,
        ),
        (
            Format::TasklistServicesTable,
            Layout::Table,
            Columns::Services,
        ),
        (Format::TasklistCsv, Layout::Csv, Columns::Plain),
        (Format::TasklistVerboseCsv, Layout::Csv, Columns::Verbose),
        (Format::TasklistServicesCsv, Layout::Csv, Columns::Services),
        (Format::TasklistList, Layout::List, Columns::Plain),
        (Format::TasklistVerboseList, Layout::List, Columns::Verbose),
        (
            Format::TasklistServicesList,
            Layout::List,
            Columns::Services,
        ),
    ];

    pub(super) fn of(format: Format) -> Option<Self> {
        Form::ALL
            .into_iter()
            .find(|(candidate, ..)| *candidate == format)
            .map(|(_, layout, columns)| Form { layout, columns })
    }

    fn format(layout: Layout, columns: Columns) -> Option<Format> {
        Form::ALL
            .into_iter()
            .find(|&(_, l, c)| (l, c) == (layout, columns))
            .map(|(format, ..)| format)
    }
}

/// What the rows of one listing have in common.
#[derive(Clone, Copy)]
struct Reader<'a> {
    rules: &'a ApplicationRules,
    /// Whether the text has letters that could not be decoded.
    lossy: bool,
}

pub(super) fn parse<'a>(
    text: &'a str,
    form: Form,
    builder: Builder<'a>,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    let lossy = memchr::memmem::find(text.as_bytes(), "\u{fffd}".as_bytes()).is_some();
    let reader = Reader { rules, lossy };
    match form.layout {
        Layout::Table => table::parse(text, form.columns, builder, reader),
        Layout::Csv => csv::parse(text, form.columns, builder, reader),
        Layout::List => list::parse(text, form.columns, builder, reader),
    }
}

/// A row's cells, blanks around them taken off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cells<'a> {
    name: &'a str,
    pid: Option<i32>,
    memory: Option<memory::Read>,
    verbose: Option<VerboseCells<'a>>,
}

/// The cells that `/v` adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct VerboseCells<'a> {
    status: &'a str,
    owner: &'a str,
    cpu_time: &'a str,
}

impl<'a> Cells<'a> {
    /// Of all cells of a row, in their order.
    #[inline(always)]
    fn new(columns: Columns, cells: &[&'a str; MAX_COLUMNS]) -> Self {
        let [name, pid, _, _, memory, status, owner, cpu_time, _] = *cells;
        Self {
            name,
            pid: self::pid(pid),
            memory: (columns != Columns::Services).then(|| memory::bytes(memory)),
            verbose: (columns == Columns::Verbose).then_some(VerboseCells {
                status,
                owner,
                cpu_time,
            }),
        }
    }
}

impl<'a> Reader<'a> {
    /// The process of a row's cells. Inlined, so that it is built where it stays rather than copied there.
    #[inline(always)]
    fn process(&self, cells: Cells<'a>, mut slot: Slot<'_, 'a>) -> Accepted {
        let notes = &mut slot.notes;
        let pid = cells.pid.ok_or_else(|| {
            RowError::new(LineReason::BadPid, "the second column is no process id")
        })?;
        if cells.name.is_empty() {
            return Err(RowError::new(
                LineReason::MissingName,
                "the line has no image name",
            ));
        }
        let memory_usage_bytes = match cells.memory {
            Some(read) => notes.value(read?),
            None => None,
        };
        let (state, owner, cpu_time_us) = match cells.verbose {
            Some(verbose) => (
                notes.value(words::state(verbose.status).map_err(|_| NullReason::StateUnknown)),
                self.owner(verbose.owner, notes),
                cpu_time::micros(verbose.cpu_time)?,
            ),
            None => (None, None, None),
        };
        let name = self.name(cells.name, notes);
        let runs = self.rules.runs(name, None, None);
        let names = NameBytes::of(owner, name, &runs.application);
        slot.accept_with(pid, names, move || Process {
            pid,
            parent_pid: None,
            created_at: None,
            executable_name: Cow::Borrowed(name),
            executable_path: None,
            command_line: None,
            owner: owner.map(Cow::Borrowed),
            state,
            cpu_time_us: cpu_time_us.filter(|_| pid != 0),
            memory_usage_bytes,
            memory_virtual_bytes: None,
            thread_count: None,
            application: runs.application,
            script: runs.script.map(Cow::Borrowed),
        })
    }

    #[inline]
    fn name(&self, cell: &'a str, notes: &mut Notes) -> &'a str {
        if self.lossy && cell.contains('\u{fffd}') {
            notes.add(NullReason::TextUndecoded);
            return UNKNOWN;
        }
        cell
    }

    /// `DOMAIN\user`. Anything else is some language's `N/A`.
    #[inline]
    fn owner(&self, cell: &'a str, notes: &mut Notes) -> Option<&'a str> {
        let Some(at) = cell.bytes().position(|byte| byte == b'\\') else {
            if !words::is_not_available(cell) {
                notes.add(NullReason::OwnerUnreadable);
            }
            return None;
        };
        if at == 0 || at + 1 == cell.len() {
            notes.add(NullReason::OwnerUnreadable);
            return None;
        }
        if self.lossy && cell.contains('\u{fffd}') {
            notes.add(NullReason::TextUndecoded);
            return None;
        }
        Some(cell)
    }
}

/// A pid, perhaps between the marks that right-to-left consoles print.
#[inline]
fn pid(cell: &str) -> Option<i32> {
    number::pid(cell.as_bytes()).or_else(|| number::pid(without_padding(cell).as_bytes()))
}

/// A cell without blanks and the marks that right-to-left consoles put around numbers.
fn without_padding(cell: &str) -> &str {
    cell.trim_matches(|c: char| {
        c.is_whitespace()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// Whether cells, all of a row, could be a row's: where numbers must stand, there are numbers.
fn is_row(columns: Columns, cells: &[&str; MAX_COLUMNS]) -> bool {
    if cells[0].is_empty() || pid(cells[1]).is_none() {
        return false;
    }
    let is_number = |cell: &str| pid(cell).is_some();
    match columns {
        Columns::Services => !cells[2].is_empty(),
        Columns::Plain => is_number(cells[3]) && matches!(memory::bytes(cells[4]), Ok(Ok(_))),
        Columns::Verbose => {
            is_number(cells[3])
                && matches!(memory::bytes(cells[4]), Ok(Ok(_)))
                && cpu_time::micros(cells[7]).is_ok()
        }
    }
}
