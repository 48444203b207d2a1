//! `ConvertTo-Csv` and `Export-Csv`: a header of property names, perhaps under a line `#TYPE …`, and a record for each object.
//!
//! Cells stand in quotes, which are doubled within, or without where they need none. A cell in quotes may hold line ends.
//! The delimiter is the one that makes properties of the header's names. A record that can't be read costs its first
//! line; what follows is read from the next line on.

use super::are_processes;
use super::dates::Order;
use super::property::Property;
use super::record::{Reader, Record, Value};
use crate::applications::ApplicationRules;
use crate::format::Format;
use crate::limits::{MAX_LINE_BYTES, MAX_PROPERTIES};
use crate::listing::{Builder, Listing, RowError};
use crate::local_clock::LocalClock;
use rollcall_domain::LineReason;
use std::borrow::Cow;

/// What may stand between cells.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

pub(crate) fn parse<'a>(
    text: &'a str,
    mut builder: Builder<'a>,
    clock: &LocalClock,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    let reader = Reader {
        order: order(text),
        clock,
        rules,
    };
    each_record(text, |number, raw, record| {
        builder.row(
            number,
            |slot| record?.process(&reader, slot),
            || Cow::Borrowed(raw.as_bytes()),
        );
    });
    builder.finish()
}

/// The order of day and month in all dates of the listing.
fn order(text: &str) -> Order {
    let mut order = Order::default();
    each_record(text, |_, _, record| {
        if let Ok(record) = record
            && let Some(date) = record.created_text()
        {
            order.see(date);
        }
    });
    order
}

/// The header's properties, in the order of their columns.
struct Header {
    delimiter: u8,
    columns: Vec<Option<Property>>,
}

impl Header {
    fn read(line: &str) -> Option<Self> {
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        DELIMITERS.into_iter().find_map(|delimiter| {
            let mut columns = Vec::new();
            let end = read_cells(line, delimiter, |index, cell| {
                if index < MAX_PROPERTIES {
                    columns.push(Property::of(cell.text().trim()));
                }
            });
            let whole = end.is_ok_and(|(count, end)| count <= MAX_PROPERTIES && end == line.len());
            (whole && are_processes(columns.iter().copied())).then_some(Self { delimiter, columns })
        })
    }
}

/// Calls `take` with each record, the number of its first line and its text.
fn each_record<'a>(
    text: &'a str,
    mut take: impl FnMut(u32, &'a str, Result<Record<'a>, RowError>),
) {
    let mut header: Option<Header> = None;
    let (mut at, mut number) = (0, 1_u32);
    while at < text.len() {
        let rest = &text[at..];
        let line = rest.lines().next().unwrap_or("").trim_end_matches('\r');
        let mut taken = line_length(rest);
        let is_type = || line.trim_start_matches('\u{feff}').starts_with("#TYPE ");
        if !line.trim().is_empty() && !is_type() {
            let read = match &header {
                None => Err(no_header()),
                Some(header) => read_record(rest, header),
            };
            // A header is looked for only in what is no process.
            let own_header = match &read {
                Ok((record, _)) if record.has_pid() => None,
                _ => Header::read(line),
            };
            match (own_header, read) {
                (Some(own), _) => header = Some(own),
                (None, Err(error)) => take(number, line, Err(error)),
                (None, Ok((record, length))) => {
                    taken = length;
                    take(
                        number,
                        rest[..length].trim_end_matches(['\r', '\n']),
                        Ok(record),
                    );
                }
            }
        }
        let ends = memchr::memchr_iter(b'\n', &rest.as_bytes()[..taken]).count();
        number = number.saturating_add(u32::try_from(ends).unwrap_or(u32::MAX));
        at += taken;
    }
}

/// Bytes of the first line with its end.
fn line_length(text: &str) -> usize {
    memchr::memchr(b'\n', text.as_bytes()).map_or(text.len(), |at| at + 1)
}

/// A record and the bytes that it takes with its line end.
fn read_record<'a>(text: &'a str, header: &Header) -> Result<(Record<'a>, usize), RowError> {
    let mut record = Record::default();
    let (count, end) = read_cells(text, header.delimiter, |index, cell| {
        if let Some(Some(property)) = header.columns.get(index) {
            record.set(*property, Value::Text(cell.text()));
        }
    })?;
    if count != header.columns.len() {
        return Err(RowError::new(
            LineReason::MissingColumns,
            "the record has not as many cells as the header",
        ));
    }
    Ok((record, end + line_length(&text[end..])))
}

/// A cell as it stands in the text: without its quotes, but with those within still doubled.
#[derive(Clone, Copy)]
struct Cell<'a> {
    raw: &'a str,
    has_doubled: bool,
}

impl<'a> Cell<'a> {
    fn text(self) -> Cow<'a, str> {
        if self.has_doubled {
            Cow::Owned(self.raw.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// Gives the cells of the record that `text` begins with to `take`; returns their number and where the record ends.
fn read_cells<'a>(
    text: &'a str,
    delimiter: u8,
    mut take: impl FnMut(usize, Cell<'a>),
) -> Result<(usize, usize), RowError> {
    let bytes = text.as_bytes();
    let (mut at, mut count) = (0, 0);
    loop {
        let end = if bytes.get(at) == Some(&b'"') {
            let (cell, end) = quoted(text, at)?;
            take(count, cell);
            end
        } else {
            let length = bytes[at..]
                .iter()
                .position(|&byte| byte == delimiter || byte == b'\n')
                .unwrap_or(bytes.len() - at);
            let raw = text[at..at + length].trim_end_matches('\r');
            take(
                count,
                Cell {
                    raw,
                    has_doubled: false,
                },
            );
            at + length
        };
        count += 1;
        let blanks = bytes[end..]
            .iter()
            .take_while(|&&byte| byte == b'\r')
            .count();
        match bytes.get(end + blanks) {
            Some(&byte) if byte == delimiter && blanks == 0 => at = end + 1,
            Some(b'\n') | None => return Ok((count, end)),
            Some(_) => {
                return Err(bad_quoting(
                    "something stands behind a cell's closing quote",
                ));
            }
        }
    }
}

/// The cell whose opening quote stands at `open`, and where it ends.
fn quoted(text: &str, open: usize) -> Result<(Cell<'_>, usize), RowError> {
    let bytes = text.as_bytes();
    let limit = bytes.len().min(open + MAX_LINE_BYTES);
    let mut has_doubled = false;
    let mut from = open + 1;
    while let Some(quote) = bytes
        .get(from..limit)
        .and_then(|rest| memchr::memchr(b'"', rest))
    {
        let at = from + quote;
        if bytes.get(at + 1) == Some(&b'"') {
            has_doubled = true;
            from = at + 2;
        } else {
            let raw = &text[open + 1..at];
            return Ok((Cell { raw, has_doubled }, at + 1));
        }
    }
    Err(bad_quoting("a cell's quotes do not close"))
}

#[cold]
fn bad_quoting(detail: &'static str) -> RowError {
    RowError::new(LineReason::BadQuoting, detail)
}

#[cold]
fn no_header() -> RowError {
    RowError::new(
        LineReason::MissingColumns,
        "no header above the line names its properties",
    )
}

/// The form that `line` is a header of.
pub(super) fn header(line: &str) -> Option<Format> {
    Header::read(line).map(|_| Format::PowershellCsv)
}
