//! Where the columns of a table stand: the ruler of `=` under its header says so, without one (`/nh`) the widths of
//! English Windows.
//!
//! Widths count characters, or the columns of a console, in which East Asian characters take two. Which of the two a
//! listing was padded for is seen only row by row: by the numbers, which stand in their columns in one reading alone.

use super::{Columns, MAX_COLUMNS, is_row};

/// Widths of English Windows.
const WIDTHS: [usize; MAX_COLUMNS] = [25, 8, 16, 11, 12, 15, 50, 12, 72];
/// Those of `/svc`.
const SERVICES_WIDTHS: [usize; 3] = [25, 8, 44];

/// Where the columns stand: start and end.
#[derive(Clone, Debug)]
pub(super) struct Ruler {
    spans: [(usize, usize); MAX_COLUMNS],
    pub(super) columns: Columns,
}

/// Why a line has no cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Misfit {
    /// It has no numbers where they stand, however it is read.
    NoRow,
    /// It is a row in two ways that differ.
    Ambiguous,
}

impl Ruler {
    /// Reads a line of groups of `=`, one blank between them.
    pub(super) fn read(line: &str) -> Option<Self> {
        let line = line.trim_end();
        if !line.starts_with("==") || line.bytes().any(|byte| byte != b'=' && byte != b' ') {
            return None;
        }
        let mut widths = [0; MAX_COLUMNS];
        let mut count = 0;
        for group in line.split(' ') {
            *widths.get_mut(count)? = group.len();
            count += 1;
        }
        if widths[..count].contains(&0) {
            return None;
        }
        Some(Self::new(Columns::of_count(count)?, &widths))
    }

    /// The ruler of English Windows.
    pub(super) fn english(columns: Columns) -> Self {
        match columns {
            Columns::Services => Self::new(columns, &SERVICES_WIDTHS),
            Columns::Plain | Columns::Verbose => Self::new(columns, &WIDTHS),
        }
    }

    fn new(columns: Columns, widths: &[usize]) -> Self {
        let mut spans = [(0, 0); MAX_COLUMNS];
        let mut start = 0;
        for (span, width) in spans.iter_mut().zip(widths).take(columns.count()) {
            *span = (start, start + width);
            start += width + 1;
        }
        Self { spans, columns }
    }

    /// Where the pid's column begins.
    pub(super) fn pid_start(&self) -> usize {
        self.spans[1].0
    }

    /// Whether `line` goes on with the services of the row above: blank up to their column.
    pub(super) fn continues(&self, line: &str) -> bool {
        let start = self.spans[2].0;
        self.columns == Columns::Services
            && line.len() > start
            && line.bytes().take(start).all(|byte| byte == b' ')
    }

    /// The cells of a line, blanks around them taken off.
    #[inline]
    pub(super) fn cells<'a>(&self, line: &'a str) -> Result<[&'a str; MAX_COLUMNS], Misfit> {
        if line.is_ascii() {
            return self
                .cells_at(line, |line, column| Some(column.min(line.len())))
                .filter(|cells| is_row(self.columns, cells))
                .ok_or(Misfit::NoRow);
        }
        let by = |width: fn(char) -> usize| {
            self.cells_at(line, |line, column| offset(line, column, width))
                .filter(|cells| is_row(self.columns, cells))
        };
        match (by(|_| 1), by(console_width)) {
            (Some(cells), None) | (None, Some(cells)) => Ok(cells),
            // The last column reaches to the line's end in both, and differs in blanks only.
            (Some(cells), Some(other)) if self.same(&cells, &other) => Ok(cells),
            (Some(_), Some(_)) => Err(Misfit::Ambiguous),
            (None, None) => Err(Misfit::NoRow),
        }
    }

    fn same(&self, cells: &[&str; MAX_COLUMNS], other: &[&str; MAX_COLUMNS]) -> bool {
        let kept = self.columns.count() - 1;
        cells[..kept] == other[..kept]
    }

    /// `offset_of` is the byte offset of a column, the line's end for columns beyond it.
    #[inline]
    fn cells_at<'a>(
        &self,
        line: &'a str,
        offset_of: impl Fn(&str, usize) -> Option<usize>,
    ) -> Option<[&'a str; MAX_COLUMNS]> {
        let mut cells = [""; MAX_COLUMNS];
        let count = self.columns.count();
        let spans = &self.spans[..count];
        for (index, (cell, &(start, end))) in cells.iter_mut().zip(spans).enumerate() {
            let from = offset_of(line, start)?;
            // A last cell that is too wide for its column is not cut.
            let to = if index + 1 == count {
                line.len()
            } else {
                offset_of(line, end)?
            };
            *cell = line.get(from..to)?.trim_ascii();
            if !matches!(line.as_bytes().get(to), None | Some(b' ')) {
                return None;
            }
        }
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
fn console_width(c: char) -> usize {
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
