//! `tasklist /fo csv`, with or without a header.
//!
//! Every cell stands in quotes. A quote within a window title is not doubled, so cells are separated by `","` from the
//! left and the title, the last, is the rest of the line; no other cell can hold a quote.

use super::{Cells, Columns, Form, Layout, MAX_COLUMNS, Reader, VerboseCells, is_row, memory, pid};
use crate::bits;
use crate::format::Format;
use crate::index::{HEAD, Index, Line, Places};
use crate::listing::{Accepted, Builder, Listing, RowError, Slot};
use crate::number;
use rollcall_domain::LineReason;

pub(super) fn parse<'a>(
    text: &'a str,
    columns: Columns,
    mut builder: Builder<'a>,
    reader: Reader<'a>,
) -> Listing<'a> {
    // Each has a loop of its own, compiled for its number of cells.
    match columns {
        Columns::Plain => each::<5>(text, columns, &mut builder, reader),
        Columns::Verbose => each::<MAX_COLUMNS>(text, columns, &mut builder, reader),
        Columns::Services => each::<3>(text, columns, &mut builder, reader),
    }
    builder.finish()
}

#[inline(never)]
fn each<'a, const N: usize>(
    text: &'a str,
    columns: Columns,
    builder: &mut Builder<'a>,
    reader: Reader<'a>,
) {
    let index = Index::new(text, |block| bits::equal(block, b'"'));
    for (number, line) in index.lines() {
        let ends = quick_ends::<N>(&line);
        if ends.is_none() && is_header(line.text, columns) {
            continue;
        }
        builder.line(number, line.text, |line, slot| match ends {
            Some(ends) => reader.process(quick_cells::<N>(line, ends), slot),
            None => slow(line, columns, reader, slot),
        });
    }
}

/// A line of another form than the usual.
#[cold]
#[inline(never)]
fn slow<'a>(line: &'a str, columns: Columns, reader: Reader<'a>, slot: Slot<'_, 'a>) -> Accepted {
    let cells = split(line, columns)?;
    reader.process(Cells::new(columns, &cells), slot)
}

/// Where each of a line's `N` cells but the last ends, if the line has the usual form: there stands `","`. All end in its
/// head, in which there is no quote too many, and the pid begins with a digit. The line's index marks quotes.
#[inline(always)]
fn quick_ends<const N: usize>(line: &Line<'_, '_>) -> Option<[usize; N]> {
    let bytes = line.text.as_bytes();
    let last = bytes.len().checked_sub(1)?;
    let mut quotes = Places::new(line.head());
    if bytes[last] != b'"' || quotes.next() != 0 {
        return None;
    }
    let mut ends = [0; N];
    let mut begin = 0;
    for end in &mut ends[..N - 1] {
        *end = quotes.next();
        begin = quotes.next();
        if begin != *end + 2 || bytes.get(*end + 1) != Some(&b',') {
            return None;
        }
    }
    // Where no quote is left in the head, its length is given. A title, the last cell of many, may hold quotes.
    if begin >= last.min(HEAD) || (N != MAX_COLUMNS && quotes.next() != last) {
        return None;
    }
    bytes.get(ends[0] + 3)?.is_ascii_digit().then_some(ends)
}

/// The cells of a line of the usual form.
#[inline(always)]
fn quick_cells<const N: usize>(line: &str, ends: [usize; N]) -> Cells<'_> {
    let span = |index: usize| {
        let end = if index == N - 1 {
            line.len() - 1
        } else {
            ends[index]
        };
        (ends[index - 1] + 3, end)
    };
    let cell = |index: usize| {
        let (start, end) = span(index);
        line.get(start..end).unwrap_or("")
    };
    let is_verbose = N == MAX_COLUMNS;
    Cells {
        name: line.get(1..ends[0]).unwrap_or(""),
        pid: number::pid_at(line.as_bytes(), span(1)).or_else(|| pid(cell(1))),
        memory: (N >= 5).then(|| memory::bytes_at(line, span(4))),
        verbose: is_verbose.then(|| VerboseCells {
            status: cell(5),
            owner: cell(6),
            cpu_time: cell(7),
        }),
    }
}

/// Splits `line` into its cells.
#[inline]
fn split(line: &str, columns: Columns) -> Result<[&str; MAX_COLUMNS], RowError> {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line).trim_ascii();
    let mut cells = [""; MAX_COLUMNS];
    let mut rest = line.strip_prefix('"').ok_or_else(bad_quoting)?;
    let last = columns.count() - 1;
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
    if columns != Columns::Verbose && memchr::memchr(b'"', cells[last].as_bytes()).is_some() {
        return Err(RowError::new(
            LineReason::BadQuoting,
            "the line has more cells than its form",
        ));
    }
    Ok(cells)
}

#[cold]
fn bad_quoting() -> RowError {
    RowError::new(
        LineReason::BadQuoting,
        "the line does not begin and end with a quote",
    )
}

/// Whether `line` is a header: well-formed, and not one cell of it is a number, as the pid is in every row.
fn is_header(line: &str, columns: Columns) -> bool {
    // Rows are told by the digit that begins their second cell, without splitting them.
    let bytes = line.as_bytes();
    let name_end = bytes.get(1..).and_then(|rest| memchr::memchr(b'"', rest));
    let looks_like_row = name_end
        .and_then(|at| bytes.get(at + 4))
        .is_none_or(u8::is_ascii_digit);
    if looks_like_row {
        return false;
    }
    split(line, columns).is_ok_and(|cells| {
        cells[..columns.count()]
            .iter()
            .all(|cell| !cell.is_empty() && !cell.bytes().any(|byte| byte.is_ascii_digit()))
    })
}

/// The form that `line` is a header of.
pub(in crate::windows) fn header(line: &str) -> Option<Format> {
    let columns = columns(line).filter(|columns| is_header(line, *columns))?;
    Form::format(Layout::Csv, columns)
}

/// The form that `line` is a row of.
pub(in crate::windows) fn row_format(line: &str) -> Option<Format> {
    let columns = columns(line)?;
    let cells = split(line, columns).ok()?;
    is_row(columns, &cells)
        .then(|| Form::format(Layout::Csv, columns))
        .flatten()
}

fn columns(line: &str) -> Option<Columns> {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    if !line.trim_ascii_start().starts_with('"') {
        return None;
    }
    // A window title may hold what separates cells.
    let count = memchr::memmem::find_iter(line.as_bytes(), b"\",\"").count() + 1;
    Columns::of_count(count.min(MAX_COLUMNS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line is split in the same way quickly and cell by cell, wherever it stands, or not quickly at all.
    #[track_caller]
    fn check(line: &str, columns: Columns, expect_quick: bool) {
        match columns {
            Columns::Plain => check_cells::<5>(line, columns, expect_quick),
            Columns::Verbose => check_cells::<MAX_COLUMNS>(line, columns, expect_quick),
            Columns::Services => check_cells::<3>(line, columns, expect_quick),
        }
    }

    #[track_caller]
    fn check_cells<const N: usize>(line: &str, columns: Columns, expect_quick: bool) {
        let slow = split(line, columns).ok();
        for (text, number) in [
            (line.to_owned(), 1),
            (format!("{line}\r\n{line}\n"), 1),
            (
                format!("x\n{line}\n\"a\",\"1\",\"b\",\"2\",\"c\",\"3\",\"d\",\"4\",\"e\""),
                2,
            ),
        ] {
            let index = Index::new(&text, |block| bits::equal(block, b'"'));
            let found = index
                .lines()
                .find(|(own, _)| *own == number)
                .expect("the line")
                .1;
            assert_eq!(found.text, line);
            let quick = quick_ends::<N>(&found);
            assert_eq!(quick.is_some(), expect_quick, "{line}");
            if let Some(ends) = quick {
                let slow = slow.expect("the line is split slowly, too");
                assert_eq!(quick_cells::<N>(line, ends), Cells::new(columns, &slow));
            }
        }
    }

    #[test]
    fn quick_and_slow_splitting_agree() {
        let row = r#""chrome.exe","9120","Console","1","243,404 K","Running","LAW\ada.brown","2:13:09","N/A""#;
        check(row, Columns::Verbose, true);
        let title =
            r#""c","9","C","1","2 K","Running","L\a","2:13:09","a "quoted","title", and more""#;
        check(title, Columns::Verbose, true);
        check(r#""a.exe","12","Console","1","8 K""#, Columns::Plain, true);
        check(r#""a.exe","12","Audiosrv,Dhcp""#, Columns::Services, true);
        check(r#""","12","","","""#, Columns::Plain, true);
        check(r#""a.exe","12",",","1","8 K""#, Columns::Plain, true);
        for line in [
            r#""a.exe","12","Console","1""#,
            r#""a.exe","12","Console","1","8 K","more""#,
            r#""a"b","12","Console","1","8 K""#,
            r#""a.exe", "12","Console","1","8 K""#,
            r#""a.exe","12","Console","1", "8 K""#,
            r#""a.exe","12",Console","1","8 K""#,
            r#""a.exe","12",",","8 K""#,
            r#""a.exe","12","Console","1","8 K"#,
            r#"a.exe,12,Console,1,8 K"#,
            r#"""#,
        ] {
            check(line, Columns::Plain, false);
        }
        // A name so long that the title begins beyond the bytes that are looked at; and one that begins just within.
        for length in 50..120 {
            let line = row.replace("chrome.exe", &"n".repeat(length));
            let title = line.rfind("\"N/A").expect("the title") + 1;
            check(&line, Columns::Verbose, title <= 128);
        }
    }
}
