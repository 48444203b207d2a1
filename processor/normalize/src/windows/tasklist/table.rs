//! `tasklist` as a table: columns of fixed widths under a header and a ruler, which may be repeated or missing (`/nh`).
//!
//! The services of `/svc` go on in the lines below their row, which are blank up to the services' column.

use super::ruler::{Misfit, Ruler};
use super::{Cells, Columns, Form, Layout, Reader};
use crate::format::Format;
use crate::limits::MAX_LINE_BYTES;
use crate::listing::{Builder, Listing, RowError, lines};
use rollcall_domain::LineReason;

pub(super) fn parse<'a>(
    text: &'a str,
    columns: Columns,
    mut builder: Builder<'a>,
    reader: Reader<'a>,
) -> Listing<'a> {
    let mut ruler = Ruler::english(columns);
    let own_ruler = |line: &str| Ruler::read(line).filter(|ruler| ruler.columns == columns);
    let mut below_row = false;
    let mut following = lines(text).peekable();
    while let Some((number, line)) = following.next() {
        if let Some(own) = own_ruler(line) {
            ruler = own;
            below_row = false;
            continue;
        }
        // The header is the line above the ruler.
        let next_is_ruler = following
            .peek()
            .is_some_and(|(_, next)| next.starts_with("==") && own_ruler(next).is_some());
        if next_is_ruler || (below_row && ruler.continues(line)) {
            continue;
        }
        below_row = true;
        builder.line(number, line, |line, slot| {
            let cells = ruler
                .cells(line)
                .map_err(|misfit| bad_line(line, &ruler, misfit))?;
            reader.process(Cells::new(columns, &cells), slot)
        });
    }
    builder.finish()
}

#[cold]
fn bad_line(line: &str, ruler: &Ruler, misfit: Misfit) -> RowError {
    if misfit == Misfit::Ambiguous {
        RowError::new(
            LineReason::MissingColumns,
            "the line's wide characters leave two ways to read it",
        )
    } else if line.chars().count() <= ruler.pid_start() {
        RowError::new(
            LineReason::MissingColumns,
            "the line ends before the process id",
        )
    } else {
        RowError::new(
            LineReason::BadPid,
            "no process id where its column stands, or the line does not fit the columns",
        )
    }
}

/// The form of a table with the ruler `line`.
pub(in crate::windows) fn header(line: &str) -> Option<Format> {
    Form::format(Layout::Table, Ruler::read(line)?.columns)
}

/// The form that `line` is a row of, with the widths of English Windows.
pub(in crate::windows) fn row_format(line: &str) -> Option<Format> {
    if line.len() > MAX_LINE_BYTES || line.starts_with(' ') {
        return None;
    }
    [Columns::Verbose, Columns::Plain, Columns::Services]
        .into_iter()
        .find(|columns| is_row_of(line, *columns))
        .and_then(|columns| Form::format(Layout::Table, columns))
}

fn is_row_of(line: &str, columns: Columns) -> bool {
    let Ok(cells) = Ruler::english(columns).cells(line) else {
        return false;
    };
    let has_digit = |cell: &str| cell.bytes().any(|byte| byte.is_ascii_digit());
    match columns {
        Columns::Plain => has_digit(cells[4]),
        Columns::Verbose => has_digit(cells[4]) && has_digit(cells[7]),
        // So little is known of a row with services that their names must look like names, too.
        Columns::Services => cells[2].split(", ").all(|name| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_alphanumeric() || "_-.,/$ ".contains(c))
        }),
    }
}
