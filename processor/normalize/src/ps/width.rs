//! Whether `ps` has cut a listing's lines at a terminal's width, as macOS' does even without a terminal unless it is told `ww`.
//!
//! Nothing marks a cut line. But where lines of several programs end at one column, and none goes beyond, they were cut
//! there. What such a line ends with may be a piece only.

use super::columns::{Span, head_columns};
use crate::index::{Index, Line};

/// Lines at the beginning that are looked at before all are.
const PROBE: usize = 32;
/// How many lines must end at one column.
const LINES: usize = 4;
/// How many programs these lines must be of.
const PROGRAMS: usize = 3;
/// No terminal is wider.
const WIDEST: usize = 1024;

/// The column at which lines were cut, if they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Width(Option<usize>);

impl Width {
    /// Of lines with `N` columns before the command.
    pub(super) fn of<const N: usize>(index: &Index<'_>) -> Self {
        let head = || index.lines().map(|(_, line)| line).take(PROBE);
        let ascii = head().filter(|line| line.text.is_ascii());
        let longest = ascii.map(|line| line.text.len()).max().unwrap_or(0);
        let mut ends = head().filter(|line| line.text.len() == longest);
        let first = ends.next().and_then(|line| program::<N>(&line));
        let may_be = longest <= WIDEST && ends.any(|line| program::<N>(&line) != first);
        Self((may_be && ends_all::<N>(index, longest)).then_some(longest))
    }

    /// Whether `line` goes on to where lines were cut.
    #[inline(always)]
    pub(super) fn has_cut(self, line: &str) -> bool {
        match self.0 {
            None => false,
            Some(width) => columns_of(line) == width,
        }
    }
}

/// Whether lines of several programs end at `width`, and none beyond.
#[cold]
fn ends_all<const N: usize>(index: &Index<'_>, width: usize) -> bool {
    let all = || index.lines().map(|(_, line)| line);
    if all().any(|line| columns_of(line.text) > width) {
        return false;
    }
    let mut lines = 0;
    let mut programs: Vec<&str> = Vec::new();
    for line in all().filter(|line| columns_of(line.text) == width) {
        let Some(program) = program::<N>(&line) else {
            continue;
        };
        lines += 1;
        // A header's word stands for no program.
        if programs.len() < PROGRAMS && !is_header(program) && !programs.contains(&program) {
            programs.push(program);
        }
        if lines >= LINES && programs.len() == PROGRAMS {
            return true;
        }
    }
    false
}

/// How many columns of a terminal `line` takes, where no letter is wide.
#[cold]
#[inline(never)]
fn columns_of(line: &str) -> usize {
    if line.is_ascii() {
        line.len()
    } else {
        line.chars().count()
    }
}

/// The first word of a line's command.
fn program<'a, const N: usize>(line: &Line<'_, 'a>) -> Option<&'a str> {
    let (_, command): ([Span; N], _) = head_columns(line)?;
    Some(command.word().0)
}

fn is_header(word: &str) -> bool {
    ["COMMAND", "CMD"].iter().any(|name| name.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits;

    #[track_caller]
    fn check(lines: &[&str], expect: Option<usize>) {
        let text = lines.join("\n");
        let index = Index::new(&text, bits::blanks);
        assert_eq!(Width::of::<2>(&index), Width(expect), "{lines:?}");
    }

    #[test]
    fn lines_of_several_programs_that_end_together() {
        check(
            &["1 2 /bin/ab", "1 2 /usr/bi", "1 2 /lib/xy", "1 2 /bin/ab"],
            Some(11),
        );
        check(
            &[
                "1 2 /bin/ab",
                "1 2 /usr/bi",
                "1 2 /lib/xy",
                "1 2 ääääääää",
                "1 2 /x",
            ],
            None,
        );
        check(
            &[
                "1 2 /bin/ab",
                "1 2 /usr/bi",
                "1 2 /lib/xy",
                "1 2 äääääää",
                "1 2 /x",
            ],
            Some(11),
        );
        // Too few lines, too few programs, and one that goes on.
        check(&["1 2 /bin/ab", "1 2 /usr/bi", "1 2 /lib/xy"], None);
        check(
            &["1 2 /bin/ab", "1 2 /bin/ab", "1 2 /lib/xy", "1 2 /lib/xy"],
            None,
        );
        check(
            &["1 2 /bin/ab", "1 2 /bin/ab", "1 2 /lib/xy", "P I COMMAND"],
            None,
        );
        check(
            &["1 2 /bin/ab", "1 2 /usr/bi", "1 2 /lib/xy", "1 2 /bin/abc"],
            None,
        );
        check(&[], None);
        let wide = ["a", "b", "c", "d"].map(|letter| format!("1 2 {}", letter.repeat(WIDEST)));
        check(&wide.each_ref().map(String::as_str), None);
    }

    #[test]
    fn lines_that_were_cut() {
        let width = Width(Some(3));
        assert!(width.has_cut("abc") && width.has_cut("abä"));
        assert!(!width.has_cut("ab") && !width.has_cut("aä") && !Width(None).has_cut("abc"));
    }
}
