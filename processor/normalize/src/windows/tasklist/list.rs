//! `tasklist /fo list`: a block of `Key:   value` lines for each process, blocks separated by blank lines.
//!
//! Values go by their line's position in the block. A block with services has more lines where it has more services; the
//! last value of `/v`, the window title, may go on in further lines, too. A bad block costs that block only: one line
//! error, which names the block's first line and holds all of it.

use super::{Cells, Columns, Form, Layout, MAX_COLUMNS, Reader, is_row};
use crate::format::Format;
use crate::limits::MAX_RECOGNITION_LINES;
use crate::listing::{Builder, Listing, RowError, is_blank};
use rollcall_domain::LineReason;

pub(super) fn parse<'a>(
    text: &'a str,
    columns: Columns,
    mut builder: Builder<'a>,
    reader: Reader<'a>,
) -> Listing<'a> {
    for (number, block) in blocks(text) {
        builder.line(number, block, |block, slot| {
            let cells = cells(block, columns)?;
            reader.process(Cells::new(columns, &cells), slot)
        });
    }
    builder.finish()
}

/// Pieces of `text` between blank lines, with the number of their first line.
fn blocks(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let mut lines = numbered_lines(text);
    std::iter::from_fn(move || {
        let (number, start, mut end) =
            lines.find(|&(_, start, end)| !is_blank(&text[start..end]))?;
        for (_, start, line_end) in lines.by_ref() {
            if is_blank(&text[start..line_end]) {
                break;
            }
            end = line_end;
        }
        Some((number, &text[start..end]))
    })
}

/// Every line's number, start and end; ends (`\n`, `\r\n`, `\r\r\n`) belong to no line.
fn numbered_lines(text: &str) -> impl Iterator<Item = (u32, usize, usize)> {
    let mut start = 0;
    let mut ends = memchr::memchr_iter(b'\n', text.as_bytes());
    let mut number = 0_u32;
    std::iter::from_fn(move || {
        if start > text.len() {
            return None;
        }
        let end = ends.next().unwrap_or(text.len());
        let line = text[start..end].trim_end_matches('\r');
        let line = (start, start + line.len());
        start = end + 1;
        number = number.saturating_add(1);
        Some((number, line.0, line.1))
    })
}

/// The values of a block, blanks around them taken off.
fn cells(block: &str, columns: Columns) -> Result<[&str; MAX_COLUMNS], RowError> {
    let wrong = |detail| RowError::new(LineReason::MissingColumns, detail);
    let mut lines = block.lines();
    let mut cells = [""; MAX_COLUMNS];
    for cell in &mut cells[..columns.count()] {
        let line = lines
            .next()
            .ok_or_else(|| wrong("the block has fewer lines than its form"))?;
        *cell = value(line).ok_or_else(|| wrong("a line of the block has no colon"))?;
    }
    let has_more = match columns {
        Columns::Plain => lines.next().is_some(),
        Columns::Services => !lines.all(|line| line.starts_with(' ')),
        Columns::Verbose => false,
    };
    if has_more {
        return Err(wrong("the block has more lines than its form"));
    }
    Ok(cells)
}

/// What stands after the colon of `Key:   value`.
fn value(line: &str) -> Option<&str> {
    let (key, value) = line.split_once([':', '：'])?;
    (!key.trim().is_empty()).then(|| value.trim())
}

/// The form of a text whose first lines hold a block.
pub(in crate::windows) fn recognize(text: &str) -> Option<Format> {
    blocks(text)
        .take(MAX_RECOGNITION_LINES)
        .find_map(|(_, block)| columns(block))
        .and_then(|columns| Form::format(Layout::List, columns))
}

fn columns(block: &str) -> Option<Columns> {
    [Columns::Verbose, Columns::Plain, Columns::Services]
        .into_iter()
        .find(|&columns| cells(block, columns).is_ok_and(|cells| is_row(columns, &cells)))
}
