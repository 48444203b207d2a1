//! `tasklist /fo csv`, plain and with `/v`, with or without a header.
//!
//! Every cell stands in quotes. A quote within a window title is not doubled, so cells are separated by `","` from the
//! left and the title, the last, is the rest of the line; no other cell can hold a quote.

use super::{Cells, PLAIN, VERBOSE, VerboseCells, process};
use crate::applications::ApplicationRules;
use crate::limits::MAX_COLUMNS;
use crate::listing::{Builder, Listing, Row, RowError, lines};
use crate::number;
use crate::recognize::Format;
use rollcall_domain::LineReason;

const _: () = assert!(MAX_COLUMNS == VERBOSE);

pub(crate) fn parse<'a>(
    text: &'a str,
    mut builder: Builder<'a>,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    let columns = if builder.format() == Some(Format::TasklistVerboseCsv) {
        VERBOSE
    } else {
        PLAIN
    };
    for (number, line) in lines(text) {
        if is_header(line, columns) {
            continue;
        }
        builder.line(number, line, |line| row(line, columns, rules));
    }
    builder.finish()
}

#[inline]
fn row<'a>(line: &'a str, columns: usize, rules: &'a ApplicationRules) -> Row<'a> {
    let mut cells = [""; MAX_COLUMNS];
    let cells = split(line, &mut cells[..columns])?;
    let verbose = match *cells {
        [_, _, _, _, _, status, owner, cpu_time, _] => Some(VerboseCells {
            status,
            owner,
            cpu_time,
        }),
        _ => None,
    };
    process(
        &Cells {
            name: cells[0],
            pid: cells[1],
            memory: cells[4],
            verbose,
        },
        rules,
    )
}

/// Splits `line` into as many cells as `cells` has room for.
#[inline]
fn split<'a, 'c>(line: &'a str, cells: &'c mut [&'a str]) -> Result<&'c [&'a str], RowError> {
    let bad_quoting = || {
        RowError::new(
            LineReason::BadQuoting,
            "the line does not begin and end with a quote",
        )
    };
    let line = line.strip_prefix('\u{feff}').unwrap_or(line).trim_ascii();
    let mut rest = line.strip_prefix('"').ok_or_else(bad_quoting)?;
    let last = cells.len() - 1;
    for cell in &mut cells[..last] {
        let quote = memchr::memchr(b'"', rest.as_bytes()).ok_or_else(bad_quoting)?;
        let after = rest[quote..].strip_prefix("\",\"").ok_or_else(|| {
            if quote + 1 == rest.len() {
                RowError::new(
                    LineReason::MissingColumns,
                    "the line has fewer cells than its form",
                )
            } else {
                bad_quoting()
            }
        })?;
        *cell = &rest[..quote];
        rest = after;
    }
    cells[last] = rest.strip_suffix('"').ok_or_else(bad_quoting)?;
    if cells.len() == PLAIN && memchr::memchr(b'"', cells[last].as_bytes()).is_some() {
        return Err(RowError::new(
            LineReason::BadQuoting,
            "the line has more cells than its form",
        ));
    }
    Ok(cells)
}

/// Whether `line` is a header: well-formed, and not one cell of it is a number, as pid and session are in every row.
fn is_header(line: &str, columns: usize) -> bool {
    // Rows are told by the digit that begins their second cell, without splitting them.
    let bytes = line.as_bytes();
    let name_end = bytes.get(1..).and_then(|rest| memchr::memchr(b'"', rest));
    let looks_like_row = name_end
        .and_then(|at| bytes.get(at + 4))
        .is_none_or(u8::is_ascii_digit);
    if looks_like_row {
        return false;
    }
    let mut cells = [""; MAX_COLUMNS];
    split(line, &mut cells[..columns]).is_ok_and(|cells| {
        cells
            .iter()
            .all(|cell| !cell.is_empty() && !cell.bytes().any(|byte| byte.is_ascii_digit()))
    })
}

/// The form that `line` is a header of.
pub(crate) fn header(line: &str) -> Option<Format> {
    format(line).filter(|format| is_header(line, columns(*format)))
}

/// The form that `line` is a row of.
pub(crate) fn row_format(line: &str) -> Option<Format> {
    let format = format(line)?;
    let mut cells = [""; MAX_COLUMNS];
    let cells = split(line, &mut cells[..columns(format)]).ok()?;
    number::pid(cells[1].as_bytes()).map(|_| format)
}

const fn columns(format: Format) -> usize {
    if matches!(format, Format::TasklistVerboseCsv) {
        VERBOSE
    } else {
        PLAIN
    }
}

fn format(line: &str) -> Option<Format> {
    if !line
        .strip_prefix('\u{feff}')
        .unwrap_or(line)
        .trim_ascii_start()
        .starts_with('"')
    {
        return None;
    }
    match memchr::memmem::find_iter(line.as_bytes(), b"\",\"").count() {
        4 => Some(Format::TasklistCsv),
        8.. => Some(Format::TasklistVerboseCsv),
        _ => None,
    }
}
