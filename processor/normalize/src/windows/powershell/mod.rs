//! PowerShell's process objects, `Get-Process` and `Get-CimInstance` or `Get-WmiObject Win32_Process`, as csv or json with all
//! properties or a selection of them, and `wmic process`, which prints the same properties.
//!
//! Invariants: values go by their property's name, which is not localized, in any order; what a property's type can't hold
//! is `None` with a reason. Dates in a culture's own format count only where the order of day and month is proven. A
//! process' own name has no `.exe` in `Get-Process`, so the file name of its path goes first. The CPU time of pid 0 is the
//! time that the CPUs were idle: `None`.

pub(crate) mod csv;
mod dates;
pub(crate) mod json;
mod numbers;
mod property;
mod record;
pub(crate) mod wmic;

use crate::format::Format;
use property::Property;

/// The form that `line` is a header of.
pub(super) fn header(line: &str) -> Option<Format> {
    wmic::header(line).or_else(|| csv::header(line))
}

/// Whether objects with these properties are processes: they have an id and something else that is known.
fn are_processes(properties: impl Iterator<Item = Option<Property>>) -> bool {
    let (mut has_pid, mut others) = (false, 0);
    for property in properties.flatten() {
        match property {
            Property::Pid => has_pid = true,
            _ => others += 1,
        }
    }
    has_pid && others > 0
}
