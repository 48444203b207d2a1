//! `tasklist` as a table, plain and with `/v`: columns of fixed widths, which the ruler of `=` under the header shows.
//!
//! Widths count characters. Where a console's wide characters take two columns and the table was padded for that, the
//! columns are tried so, too. Without a ruler (`/nh`) the widths are those of English Windows.

use super::{Cells, PLAIN, VERBOSE, VerboseCells, process};
use crate::applications::ApplicationRules;
use crate::limits::MAX_COLUMNS;
use crate::listing::{Builder, Listing, Row, RowError, lines};
use crate::number;
use crate::recognize::Format;
use rollcall_domain::LineReason;

/// Widths of English Windows.
const DEFAULT_WIDTHS: [usize; VERBOSE] = [25, 8, 16, 11, 12, 15, 50, 12, 72];

/// Where the columns of a table stand: start and end in characters.
#[derive(Clone, Debug)]
pub(crate) struct Ruler {
    spans: [(usize, usize); MAX_COLUMNS],
    columns: usize,
}

impl Ruler {
    /// Reads a line of groups of `=`, one blank between them.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let line = line.trim_end();
        if !line.starts_with("==") || line.bytes().any(|byte| byte != b'=' && byte != b' ') {
            return None;
        }
        let mut widths = [0; MAX_COLUMNS];
        let mut columns = 0;
        for group in line.split(' ') {
            *widths.get_mut(columns)? = group.len();
            columns += 1;
        }
        if widths[..columns].contains(&0) {
            return None;
        }
        Some(Self::new(&widths[..columns]))
    }

    fn new(widths: &[usize]) -> Self {
        let mut spans = [(0, 0); MAX_COLUMNS];
        let mut start = 0;
        for (span, width) in spans.iter_mut().zip(widths) {
            *span = (start, start + width);
            start += width + 1;
        }
        Self {
            spans,
            columns: widths.len(),
        }
    }

    fn default_of(format: Option<Format>) -> Self {
        let columns = if format == Some(Format::TasklistVerboseTable) {
            VERBOSE
        } else {
            PLAIN
        };
        Self::new(&DEFAULT_WIDTHS[..columns])
    }

    /// The form with this many columns.
    pub(crate) fn format(&self) -> Option<Format> {
        match self.columns {
            PLAIN => Some(Format::TasklistTable),
            VERBOSE => Some(Format::TasklistVerboseTable),
            _ => None,
        }
    }

    /// The cells of a line, blanks around them taken off; `None` where the line does not fit the columns.
    #[inline]
    fn cells<'a>(&self, line: &'a str) -> Option<[&'a str; MAX_COLUMNS]> {
        if line.is_ascii() {
            return self.cells_at(line, |line, column| Some(column.min(line.len())));
        }
        self.cells_at(line, |line, column| offset(line, column, |_| 1))
            .or_else(|| self.cells_at(line, |line, column| offset(line, column, width)))
    }

    /// `offset_of` is the byte offset of a column, the line's end for columns beyond it.
    #[inline]
    fn cells_at<'a>(
        &self,
        line: &'a str,
        offset_of: impl Fn(&str, usize) -> Option<usize>,
    ) -> Option<[&'a str; MAX_COLUMNS]> {
        let mut cells = [""; MAX_COLUMNS];
        let spans = &self.spans[..self.columns];
        for (index, (cell, &(start, end))) in cells.iter_mut().zip(spans).enumerate() {
            let from = offset_of(line, start)?;
            // A last cell that is too wide for its column is not cut.
            let to = if index + 1 == self.columns {
                line.len()
            } else {
                offset_of(line, end)?
            };
            *cell = line.get(from..to)?.trim_ascii();
            if !matches!(line.as_bytes().get(to), None | Some(b' ')) {
                return None;
            }
        }
        number::pid(cells[1].as_bytes())?;
        Some(cells)
    }
}

/// The byte offset of the character that begins at `column`.
fn offset(line: &str, column: usize, width: impl Fn(char) -> usize) -> Option<usize> {
    let mut at = 0;
    for (index, c) in line.char_indices() {
        if at >= column {
            return (at == column).then_some(index);
        }
        at += width(c);
    }
    Some(line.len())
}

/// Columns that a console gives a character: two in the scripts of East Asia.
fn width(c: char) -> usize {
    match c {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

pub(crate) fn parse<'a>(
    text: &'a str,
    mut builder: Builder<'a>,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    let mut ruler = Ruler::default_of(builder.format());
    let columns = ruler.columns;
    let has_ruler = |line: &str| Ruler::read(line).is_some_and(|ruler| ruler.columns == columns);
    let mut following = lines(text).peekable();
    while let Some((number, line)) = following.next() {
        if let Some(own) = Ruler::read(line).filter(|own| own.columns == columns) {
            ruler = own;
            continue;
        }
        // The header is the line above the ruler.
        if following
            .peek()
            .is_some_and(|(_, next)| next.starts_with("==") && has_ruler(next))
        {
            continue;
        }
        builder.line(number, line, |line| row(line, &ruler, rules));
    }
    builder.finish()
}

fn row<'a>(line: &'a str, ruler: &Ruler, rules: &'a ApplicationRules) -> Row<'a> {
    let Some(cells) = ruler.cells(line) else {
        return Err(misfit(line, ruler));
    };
    let verbose = (ruler.columns == VERBOSE).then(|| VerboseCells {
        status: cells[5],
        owner: cells[6],
        cpu_time: cells[7],
    });
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

#[cold]
fn misfit(line: &str, ruler: &Ruler) -> RowError {
    if line.chars().count() <= ruler.spans[1].0 {
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

/// The form that `line` is a row of, with the widths of English Windows.
pub(crate) fn row_format(line: &str) -> Option<Format> {
    let plain = Ruler::default_of(Some(Format::TasklistTable));
    let verbose = Ruler::default_of(Some(Format::TasklistVerboseTable));
    let is_name = |name: &str| !name.is_empty();
    let has_digits = |cell: &str| cell.bytes().any(|byte| byte.is_ascii_digit());
    if let Some(cells) = verbose.cells(line)
        && is_name(cells[0])
        && has_digits(cells[7])
        && line.chars().count() > plain.spans[PLAIN - 1].1 + 1
    {
        return Some(Format::TasklistVerboseTable);
    }
    let cells = plain.cells(line)?;
    (is_name(cells[0]) && number::pid(cells[3].as_bytes()).is_some() && has_digits(cells[4]))
        .then_some(Format::TasklistTable)
}
