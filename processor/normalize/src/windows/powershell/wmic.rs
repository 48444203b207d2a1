//! `wmic process … /format:csv`: a header of property names that begins with `Node`, and a line for each process.
//!
//! Nothing stands in quotes, though a command line may hold commas. They are all taken for the command line's, and the
//! line counts only if every other cell has the form of its property then.

use super::are_processes;
use super::dates::Order;
use super::numbers;
use super::property::Property;
use super::record::{Reader, Record, Value};
use crate::applications::ApplicationRules;
use crate::format::Format;
use crate::limits::MAX_PROPERTIES;
use crate::listing::{Builder, Listing, RowError, lines};
use crate::local_clock::LocalClock;
use rollcall_domain::LineReason;
use std::borrow::Cow;

pub(crate) fn parse<'a>(
    text: &'a str,
    mut builder: Builder<'a>,
    clock: &LocalClock,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    // Dates are DMTF's, which need no order.
    let reader = Reader {
        order: Order::default(),
        clock,
        rules,
    };
    let mut columns: Option<Vec<Option<Property>>> = None;
    for (number, line) in lines(text) {
        if let Some(own) = read_header(line) {
            columns = Some(own);
            continue;
        }
        builder.line(number, line, |line, slot| {
            let columns = columns.as_deref().ok_or_else(no_header)?;
            read(line, columns)?.process(&reader, slot)
        });
    }
    builder.finish()
}

fn read<'a>(line: &'a str, columns: &[Option<Property>]) -> Result<Record<'a>, RowError> {
    let line = line.trim_end_matches('\r');
    let count = memchr::memchr_iter(b',', line.as_bytes()).count() + 1;
    let wrong = |detail| Err(RowError::new(LineReason::MissingColumns, detail));
    let Some(extra) = count.checked_sub(columns.len()) else {
        return wrong("the line has fewer cells than the header");
    };
    if extra > 0 && !columns.contains(&Some(Property::CommandLine)) {
        return wrong("the line has more cells than the header");
    }
    let mut record = Record::default();
    let mut rest = line;
    for column in columns {
        let commas = if *column == Some(Property::CommandLine) {
            extra
        } else {
            0
        };
        let cell;
        (cell, rest) = cell_with(rest, commas);
        if let Some(property) = column {
            if extra > 0 && !has_form(*property, cell) {
                return wrong("the line's commas leave more than one way to read it");
            }
            record.set(*property, Value::Text(Cow::Borrowed(cell)));
        }
    }
    Ok(record)
}

/// The first cell of `line`, which holds so many commas, and what follows it.
fn cell_with(line: &str, commas: usize) -> (&str, &str) {
    memchr::memchr_iter(b',', line.as_bytes())
        .nth(commas)
        .map_or((line, ""), |at| (&line[..at], &line[at + 1..]))
}

/// Whether a cell could be its property's.
fn has_form(property: Property, cell: &str) -> bool {
    let is_path = |path: &str| {
        path.starts_with('\\')
            || matches!(path.as_bytes(), [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic())
    };
    match property {
        Property::CommandLine => true,
        Property::Name => !cell.is_empty() && !cell.contains(['\\', '/', '"']),
        Property::Path => cell.is_empty() || is_path(cell),
        Property::Created => cell.is_empty() || cell.len() == 25,
        _ => cell.is_empty() || numbers::integer(cell).is_some(),
    }
}

#[cold]
fn no_header() -> RowError {
    RowError::new(
        LineReason::MissingColumns,
        "no header above the line names its properties",
    )
}

fn read_header(line: &str) -> Option<Vec<Option<Property>>> {
    let line = line.trim_start_matches('\u{feff}').trim_end();
    let names = line.strip_prefix("Node,")?.split(',');
    if names.clone().count() >= MAX_PROPERTIES {
        return None;
    }
    let known = names.map(Property::of);
    are_processes(known.clone()).then(|| std::iter::once(None).chain(known).collect())
}

/// The form that `line` is a header of.
pub(super) fn header(line: &str) -> Option<Format> {
    read_header(line).map(|_| Format::WmicCsv)
}
