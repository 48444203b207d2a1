//! Windows: `tasklist` in any language, PowerShell's process objects and `wmic process`.
//!
//! Each family has a folder: it knows its forms, reads them and says which text has them. The words of Windows' languages
//! stand in [`words`].

pub(crate) mod powershell;
pub(crate) mod recognize;
mod tasklist;
pub(crate) mod words;

use crate::applications::ApplicationRules;
use crate::format::Format;
use crate::listing::{Builder, Listing};
use crate::local_clock::LocalClock;

/// Reads a listing in one of Windows' forms.
pub(crate) fn parse<'a>(
    text: &'a str,
    format: Format,
    builder: Builder<'a>,
    clock: &LocalClock,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    if let Some(form) = tasklist::Form::of(format) {
        return tasklist::parse(text, form, builder, rules);
    }
    match format {
        Format::PowershellCsv => powershell::csv::parse(text, builder, clock, rules),
        Format::PowershellJson => powershell::json::parse(text, builder, clock, rules),
        Format::WmicCsv => powershell::wmic::parse(text, builder, clock, rules),
        // A notice has no processes; the forms of other systems are not given to this one.
        _ => builder.finish(),
    }
}
