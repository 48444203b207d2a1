//! The columns of a line of `ps` from left to right, and the branches that a tree draws before the last.
//!
//! Columns are separated by blanks; the last is the rest of the line as it stands. Where columns begin and end is found for
//! 64 bytes at a time, for a look at each byte would cost more than everything else that is done with a line.

use crate::bits::{self, BLOCK};
use crate::executable::after_slash;
use crate::index::{HEAD, Line, Places};
use crate::listing::offset;

/// A cursor over a line's columns.
pub(crate) struct Columns<'a> {
    text: &'a [u8],
    line: &'a str,
    /// Where the line begins in the text.
    start: usize,
    /// Where the next block begins in the line.
    next: usize,
    /// The bounds of the current block that were not given yet: where a blank is followed by something else, and back.
    bounds: u64,
    /// Whether the current block ends with a blank. Before the line is nothing, which counts as one.
    blank_before: u64,
    /// Where the last column ended.
    end: usize,
}

/// A column's place in its line, from a start to an end.
pub(crate) type Span = (usize, usize);

impl<'a> Columns<'a> {
    /// The columns of `line`, a piece of `text`.
    #[inline]
    pub(crate) fn new(text: &'a str, line: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            line,
            start: offset(text, line),
            next: 0,
            bounds: 0,
            blank_before: 1,
            end: 0,
        }
    }

    /// Where the next `N` columns stand; `None` if the line has fewer.
    ///
    /// Inlined, as is what it calls: it is most of the work on a line.
    #[inline(always)]
    pub(crate) fn spans<const N: usize>(&mut self) -> Option<[Span; N]> {
        let mut spans = [(0, 0); N];
        for span in &mut spans {
            *span = (self.bound(), self.bound());
        }
        // Bounds ascend, and what is beyond the line's end is no column of it.
        let (start, end) = spans.last_mut()?;
        *end = (*end).min(self.line.len());
        self.end = *end;
        (*start < *end).then_some(spans)
    }

    /// Where the next column stands; `None` at the line's end.
    #[inline]
    pub(crate) fn span(&mut self) -> Option<Span> {
        self.spans::<1>().map(|[span]| span)
    }

    /// The next column's bytes; `None` at the line's end.
    #[inline]
    pub(crate) fn field(&mut self) -> Option<&'a [u8]> {
        let (start, end) = self.span()?;
        self.line.as_bytes().get(start..end)
    }

    /// The last column: what follows the one blank after the column before.
    #[inline]
    pub(crate) fn rest(&self) -> &'a str {
        self.line.get(self.end + 1..).unwrap_or("")
    }

    /// The next bound; what is not within the line is beyond its end.
    #[inline(always)]
    fn bound(&mut self) -> usize {
        while self.bounds == 0 {
            if self.next > self.line.len() {
                return self.next;
            }
            self.advance();
        }
        let bound = self.next - BLOCK + self.bounds.trailing_zeros() as usize;
        self.bounds &= self.bounds - 1;
        bound
    }

    #[inline(never)]
    fn advance(&mut self) {
        let block = bits::block(self.text, self.start.wrapping_add(self.next));
        let blanks = bits::blanks(&block);
        self.bounds = blanks ^ (blanks << 1 | self.blank_before);
        self.blank_before = blanks >> (BLOCK - 1);
        self.next += BLOCK;
    }
}

/// Where the first `N` columns of a line stand, and the command after them; `None` if they are not all in the line's head.
/// The line's index marks blanks.
///
/// Inlined, as is what it calls: it is most of the work on a line.
#[inline(always)]
pub(crate) fn head_columns<'a, const N: usize>(
    line: &Line<'_, 'a>,
) -> Option<([Span; N], CommandLine<'a>)> {
    let [low, high] = line.head();
    // Words begin and end where a blank is followed by something else, and back. Before the line is nothing, which counts
    // as a blank.
    let mut bounds = Places::new([
        low ^ (low << 1 | 1),
        high ^ (high << 1 | low >> (BLOCK - 1)),
    ]);
    let mut spans = [(0, 0); N];
    for span in &mut spans {
        *span = (bounds.next(), bounds.next());
    }
    let end = spans[N - 1].1;
    // The last column must end in the head, and the line go on after it.
    if end >= HEAD || end >= line.text.len() {
        return None;
    }
    let command = line.text.get(end + 1..).unwrap_or("");
    let (word, word_end) = (bounds.next(), bounds.next().min(line.text.len()));
    let ends_with_blank = line
        .text
        .as_bytes()
        .get(word_end)
        .is_none_or(|byte| *byte == b' ');
    // Branches and titles may begin with blanks, long words end beyond the head, and controls end no word.
    let command = if word == end + 1 && word_end < HEAD && ends_with_blank {
        CommandLine::with_word(command, word_end - word, || line.block(word))
    } else {
        CommandLine::new(command)
    };
    Some((spans, command))
}

/// A command with its arguments, as it stands, and its first word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CommandLine<'a> {
    pub(crate) line: &'a str,
    /// Where the first word ends; 0 if the line begins with a blank.
    pub(crate) word_end: usize,
    /// What follows the first word's last slash.
    pub(crate) name_start: usize,
}

impl<'a> CommandLine<'a> {
    #[inline]
    pub(crate) fn new(line: &'a str) -> Self {
        let word = first_word(line);
        Self {
            line,
            word_end: word.len(),
            name_start: word.len() - after_slash(word).len(),
        }
    }

    /// Of a line whose first word ends at `word_end`; `block` gives its first 64 bytes.
    #[inline(always)]
    fn with_word(line: &'a str, word_end: usize, block: impl FnOnce() -> [u8; BLOCK]) -> Self {
        if word_end > BLOCK {
            return Self::new(line);
        }
        let slashes = bits::equal(&block(), b'/');
        let slashes = slashes & (!0 >> (BLOCK - word_end.clamp(1, BLOCK)));
        Self {
            line,
            word_end,
            name_start: BLOCK - slashes.leading_zeros() as usize,
        }
    }

    /// The first word and what follows its last slash.
    #[inline(always)]
    pub(crate) fn word(&self) -> (&'a str, &'a str) {
        let word = &self.line[..self.word_end];
        (word, &word[self.name_start..])
    }
}

/// What stands before the first blank.
#[inline]
pub(crate) fn first_word(line: &str) -> &str {
    let end = memchr::memchr(b' ', line.as_bytes());
    &line[..end.unwrap_or(line.len())]
}

/// Takes off a process tree's branches (`ps auxf`, `-ejH`) before a command.
#[inline]
pub(crate) fn without_branches(command: &str) -> &str {
    if command.as_bytes().first() != Some(&b' ') {
        return command;
    }
    let mut rest = command.trim_start_matches(' ');
    while let Some(after) = rest.strip_prefix("| ") {
        rest = after.trim_start_matches(' ');
    }
    rest.strip_prefix("\\_ ").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Index;
    use proptest::prelude::*;

    #[test]
    fn branches() {
        assert_eq!(without_branches(" \\_ nginx: worker"), "nginx: worker");
        assert_eq!(without_branches(" |   \\_ sh -c x"), "sh -c x");
        assert_eq!(without_branches("   indented"), "indented");
        assert_eq!(without_branches("plain"), "plain");
    }

    #[test]
    fn columns_of_any_width() {
        let check = |text: &str, line: &str, expect: &[&str]| {
            let start = text.find(line).expect("a piece");
            let mut columns = Columns::new(text, &text[start..start + line.len()]);
            let got: Vec<_> = std::iter::from_fn(|| columns.field())
                .map(String::from_utf8_lossy)
                .collect();
            assert_eq!(got, expect, "{line:?}");
            assert_eq!(columns.field(), None);
        };
        check("a b\nc d", "a b", &["a", "b"]);
        check("a b\nc d", "c d", &["c", "d"]);
        check("x\n  ü  bc \t d ", "  ü  bc \t d ", &["ü", "bc", "d"]);
        let wide = format!("{} b {}", "x".repeat(63), "ä".repeat(100));
        check(&wide, &wide, &[&"x".repeat(63), "b", &"ä".repeat(100)]);
        let blanks = format!("{}a{}b", " ".repeat(64), " ".repeat(200));
        check(&blanks, &blanks, &["a", "b"]);
        check(&"a ".repeat(300), &"a ".repeat(300), &["a"; 300]);
        check("", "", &[]);
        for length in 60..70 {
            let text = format!("{} y\nz", "x".repeat(length));
            let line = &text[..length + 2];
            check(&text, line, &[&"x".repeat(length), "y"]);
        }
    }

    /// Columns in a line's head are those that a cursor over the line finds.
    fn check_heads<const N: usize>(text: &str) {
        let index = Index::new(text, bits::blanks);
        for (_, line) in index.lines() {
            let mut columns = Columns::new(text, line.text);
            let spans: Option<[Span; N]> = columns.spans();
            let in_head = spans.filter(|spans| spans[N - 1].1 < HEAD.min(line.text.len()));
            let expect = in_head.map(|spans| (spans, CommandLine::new(columns.rest())));
            assert_eq!(head_columns(&line), expect, "{:?} of {text:?}", line.text);
        }
    }

    proptest! {
        #[test]
        fn heads_are_read_as_lines_are(text in "([ab/é]{0,9}[ \\t]{0,3}|[ \\r\\n]|x{40,140}){0,60}") {
            check_heads::<1>(&text);
            check_heads::<3>(&text);
            check_heads::<10>(&text);
        }
    }

    #[test]
    fn what_is_after_a_column() {
        let text = "a   b  \\_ c\nnext";
        let mut columns = Columns::new(text, &text[..text.len() - 5]);
        assert_eq!(columns.spans(), Some([(0, 1), (4, 5)]));
        assert_eq!(columns.rest(), " \\_ c");
        while columns.span().is_some() {}
        assert_eq!(columns.rest(), "");
    }
}
