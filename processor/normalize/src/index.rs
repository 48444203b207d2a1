//! Where a text's lines end, and where a kind of byte stands in them, found for the whole text at once.
//!
//! Both are kept as a bit for each byte. The bits of a line's first 128 bytes are then had wherever it begins, without another
//! look at the bytes. Must not know what the bytes mean: blanks between columns, or quotes around cells.

use crate::bits::{self, BLOCK};
use crate::listing::is_blank;

/// Bytes of a line whose bits are had at once.
pub(crate) const HEAD: usize = 2 * BLOCK;

/// The bits of a text.
pub(crate) struct Index<'a> {
    text: &'a str,
    /// One for each 64 bytes, and beyond the text's end as many as a line's head may reach to.
    blocks: Vec<Block>,
}

#[derive(Clone, Copy)]
struct Block {
    marks: u64,
    line_ends: u64,
}

impl<'a> Index<'a> {
    /// Of the bytes that `marks` tells. Beyond its end the text goes on with blanks.
    #[inline(always)]
    pub(crate) fn new(text: &'a str, marks: impl Fn(&[u8; BLOCK]) -> u64) -> Self {
        let block = |bytes: &[u8; BLOCK]| Block {
            marks: marks(bytes),
            line_ends: bits::equal(bytes, b'\n'),
        };
        let (whole, last) = bits::blocks(text.as_bytes());
        let beyond = [b' '; BLOCK];
        let mut blocks = Vec::with_capacity(whole.len() + 4);
        blocks.extend(whole.iter().map(block));
        blocks.extend([&last, &beyond, &beyond, &beyond].map(block));
        Self { text, blocks }
    }

    /// The lines that are not blank, with their numbers.
    pub(crate) fn lines(&self) -> Lines<'_, 'a> {
        Lines {
            index: self,
            start: 0,
            number: 0,
            block: 0,
            ends: self.blocks.first().map_or(0, |block| block.line_ends),
        }
    }
}

/// An iterator over an [`Index`]' lines.
pub(crate) struct Lines<'i, 'a> {
    index: &'i Index<'a>,
    /// Where the next line begins.
    start: usize,
    number: u32,
    /// The current block, and its line ends that were not given yet.
    block: usize,
    ends: u64,
}

impl<'i, 'a> Iterator for Lines<'i, 'a> {
    type Item = (u32, Line<'i, 'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let text = self.index.text;
        loop {
            if self.start >= text.len() {
                return None;
            }
            let (start, end) = (self.start, self.end());
            self.start = end + 1;
            self.number = self.number.saturating_add(1);
            let line = text.get(start..end).unwrap_or("");
            let line = line.strip_suffix('\r').unwrap_or(line);
            if !is_blank(line) {
                let index = self.index;
                return Some((
                    self.number,
                    Line {
                        index,
                        start,
                        text: line,
                    },
                ));
            }
        }
    }
}

impl Lines<'_, '_> {
    /// Where the line that begins next ends.
    #[inline(always)]
    fn end(&mut self) -> usize {
        while self.ends == 0 {
            self.block += 1;
            match self.index.blocks.get(self.block) {
                Some(block) => self.ends = block.line_ends,
                None => return self.index.text.len(),
            }
        }
        let end = self.block * BLOCK + self.ends.trailing_zeros() as usize;
        self.ends &= self.ends - 1;
        end
    }
}

/// A line of an [`Index`].
#[derive(Clone, Copy)]
pub(crate) struct Line<'i, 'a> {
    index: &'i Index<'a>,
    start: usize,
    pub(crate) text: &'a str,
}

impl<'a> Line<'_, 'a> {
    /// Which of the line's first 128 bytes, and of those that follow if it has fewer, are marked.
    #[inline(always)]
    pub(crate) fn head(&self) -> [u64; 2] {
        let (at, shift) = (self.start / BLOCK, self.start % BLOCK);
        let [first, second, third] = match self.index.blocks.get(at..at + 3) {
            Some(&[first, second, third]) => [first.marks, second.marks, third.marks],
            _ => [0; 3],
        };
        let join = |low: u64, high: u64| low >> shift | (high << 1) << (BLOCK - 1 - shift);
        [join(first, second), join(second, third)]
    }

    /// The 64 bytes from `at` in the line on, and perhaps of those that follow it.
    #[inline(always)]
    pub(crate) fn block(&self, at: usize) -> [u8; BLOCK] {
        bits::block(self.index.text.as_bytes(), self.start + at)
    }
}

/// The places of a head's bits, from left to right.
pub(crate) struct Places {
    low: u64,
    high: u64,
}

impl Places {
    #[inline(always)]
    pub(crate) fn new([low, high]: [u64; 2]) -> Self {
        Self { low, high }
    }

    /// The next one; of none left, the head's length.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> usize {
        if self.low != 0 {
            let at = self.low.trailing_zeros() as usize;
            self.low &= self.low - 1;
            return at;
        }
        let at = BLOCK + self.high.trailing_zeros() as usize;
        self.high &= self.high.wrapping_sub(1);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::lines;
    use proptest::prelude::*;

    /// The index finds the lines that the plain iterator finds, and of each the bits of its bytes.
    fn check(text: &str) {
        let index = Index::new(text, |block| bits::equal(block, b'a'));
        let found: Vec<_> = index
            .lines()
            .map(|(number, line)| (number, line.text))
            .collect();
        assert_eq!(found, lines(text).collect::<Vec<_>>(), "{text:?}");
        for (_, line) in index.lines() {
            let following = &text.as_bytes()[line.start..];
            let expect: Vec<usize> = (0..HEAD.min(following.len()))
                .filter(|at| following[*at] == b'a')
                .collect();
            let mut places = Places::new(line.head());
            let found: Vec<usize> = std::iter::from_fn(|| Some(places.next()))
                .take_while(|place| *place < HEAD)
                .collect();
            assert_eq!(found, expect, "{:?} of {text:?}", line.text);
        }
    }

    proptest! {
        #[test]
        fn lines_and_bits(text in "([ab/é]{0,9}[ \\t]{0,3}|[ \\r\\n]|a{40,140}){0,60}") {
            check(&text);
        }
    }

    #[test]
    fn lines_of_any_length() {
        check("");
        check("\n\n");
        check("a b a");
        for length in 50..140 {
            let word = "ba".repeat(length);
            check(&format!("a {word} /b/{word} c\r\n{word} d/e f\n a"));
        }
    }
}
