//! Which of Windows' forms a text has.

use super::tasklist::{csv, list, table};
use super::{powershell, words};
use crate::format::Format;
use crate::limits::{MAX_LINE_BYTES, MAX_NOTICE_LINES};
use crate::listing::lines;

/// The form that `line` is a header of; for a table of `tasklist`, its ruler.
pub(crate) fn header(line: &str) -> Option<Format> {
    if line.len() > MAX_LINE_BYTES {
        return None;
    }
    table::header(line)
        .or_else(|| powershell::header(line))
        .or_else(|| csv::header(line))
}

/// The form that `line` is a row of, for text without a header.
pub(crate) fn row(line: &str) -> Option<Format> {
    if line.len() > MAX_LINE_BYTES {
        return None;
    }
    csv::row_format(line).or_else(|| table::row_format(line))
}

/// The form of a text whose records are more than a line each.
pub(crate) fn records(text: &str) -> Option<Format> {
    powershell::json::recognize(text).or_else(|| list::recognize(text))
}

/// `tasklist`'s message that no process meets its filters, in place of a table. An error's message is none.
pub(crate) fn notice(text: &str) -> Option<Format> {
    let mut first_lines = lines(text).take(MAX_NOTICE_LINES + 1);
    let (_, first) = first_lines.next()?;
    (words::is_notice(first) && first_lines.count() < MAX_NOTICE_LINES)
        .then_some(Format::TasklistNotice)
}
