//! Windows: `tasklist` as table and csv, plain and with `/v`, in any language.
//!
//! Invariants: columns go by position, never by the words in the header, which are localized, as are `N/A`, the digit
//! grouping and the unit. An owner has a backslash (`DOMAIN\user`), so anything else in that column is some language's
//! `N/A`. Status words are taken from the languages below only; others are `None`. The CPU time of pid 0 is the time that
//! the CPUs were idle, not time that anything used: `None`. Window titles are not kept.

pub(crate) mod csv;
pub(crate) mod table;

use crate::applications::ApplicationRules;
use crate::listing::{Row, RowError};
use crate::number::{self, tasklist_memory};
use crate::time::tasklist_cpu_time;
use rollcall_domain::{LineReason, Process, ProcessState};
use std::borrow::Cow;

/// Columns of a plain listing: name, pid, session name, session number, memory.
pub(crate) const PLAIN: usize = 5;
/// With `/v`, also: status, user name, CPU time, window title.
pub(crate) const VERBOSE: usize = 9;

/// A row's cells, blanks around them taken off.
pub(crate) struct Cells<'a> {
    pub(crate) name: &'a str,
    pub(crate) pid: &'a str,
    pub(crate) memory: &'a str,
    pub(crate) verbose: Option<VerboseCells<'a>>,
}

/// The cells that `/v` adds.
pub(crate) struct VerboseCells<'a> {
    pub(crate) status: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) cpu_time: &'a str,
}

/// A process of its cells.
#[inline]
pub(crate) fn process<'a>(cells: &Cells<'a>, rules: &'a ApplicationRules) -> Row<'a> {
    let pid = number::pid(cells.pid.as_bytes())
        .ok_or_else(|| RowError::new(LineReason::BadPid, "the second column is no process id"))?;
    if cells.name.is_empty() {
        return Err(RowError::new(
            LineReason::MissingName,
            "the line has no image name",
        ));
    }
    let memory_usage_bytes = tasklist_memory(cells.memory)?;
    let (state, owner, cpu_time_us) = match &cells.verbose {
        Some(verbose) => (
            state(verbose.status),
            owner(verbose.owner),
            tasklist_cpu_time(verbose.cpu_time)?,
        ),
        None => (None, None, None),
    };
    let process = Process {
        pid,
        parent_pid: None,
        created_at: None,
        executable_name: Cow::Borrowed(cells.name),
        executable_path: None,
        command_line: None,
        owner: owner.map(Cow::Borrowed),
        state,
        cpu_time_us: cpu_time_us.filter(|_| pid != 0),
        memory_usage_bytes,
        memory_virtual_bytes: None,
        thread_count: None,
        application: Cow::Borrowed(""),
    };
    Ok(rules.apply(process, false))
}

fn owner(cell: &str) -> Option<&str> {
    let (domain, user) = cell.split_once('\\')?;
    (!domain.is_empty() && !user.is_empty()).then_some(cell)
}

/// `Unknown` is what `tasklist` says of most processes without a window, in every language: no state.
fn state(cell: &str) -> Option<ProcessState> {
    match cell {
        "Running" | "Wird ausgeführt" | "En cours d'exécution" | "En cours d’exécution" => {
            Some(ProcessState::Running)
        }
        "Suspended" => Some(ProcessState::Stopped),
        "Not Responding" | "Reagiert nicht" | "Pas de réponse" => Some(ProcessState::Unresponsive),
        _ => None,
    }
}
