//! Which form a text has.
//!
//! A header says it best: its words for `ps` (they are not localized), the ruler of `=` for `tasklist`'s table, the
//! quotes for its csv. Without a header, the first lines are tried as rows of each form. Each system knows its own forms;
//! the header that stands first wins.

use crate::format::Format;
use crate::limits::MAX_RECOGNITION_LINES;
use crate::listing::{following, lines};
use crate::{Context, ps, windows};
use rollcall_domain::Os;

/// The form of `text`: the one that the context names, else one of its operating system that the text shows.
pub(crate) fn recognize(text: &str, context: &Context) -> Option<Format> {
    match context.format {
        Some(format) => Some(format.on(context.os)),
        None => from_text(text, context.os),
    }
}

fn from_text(text: &str, os: Option<Os>) -> Option<Format> {
    let allowed = |format: &Format| os.is_none_or(|os| format.os() == os);
    let head = || {
        lines(text)
            .map(|(_, line)| line)
            .take(MAX_RECOGNITION_LINES)
    };
    let header = |line: &str| {
        ps::recognize::header(line, following(text, line), os)
            .or_else(|| windows::recognize::header(line))
    };
    let row = |line: &str| windows::recognize::row(line).or_else(|| ps::recognize::row(line, os));
    let found = head().find_map(|line| match header(line).filter(allowed) {
        Some(format) => Some(Some(format)),
        // What stands under a header that can't be read has other columns than rows without one.
        None => ps::recognize::is_refused(line).then_some(None),
    });
    if let Some(found) = found {
        return found;
    }
    head()
        .find_map(row)
        .filter(allowed)
        .or_else(|| windows::recognize::records(text).filter(allowed))
        .or_else(|| windows::recognize::notice(text).filter(allowed))
}
