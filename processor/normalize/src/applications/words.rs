//! The words of a command line: as a listing shows them, as Windows splits them, or as a record's own arguments.

use std::borrow::Cow;

/// Where a process' arguments stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arguments<'l, 'a> {
    /// On a line of Linux or macOS, with blanks between; a blank inside an argument can't be told from those.
    Unix(&'l str),
    /// On a line that each Windows program splits itself, nearly all by the rules of Microsoft's C library.
    Windows(&'l str),
    /// Each on its own.
    Each(&'l [Cow<'a, str>]),
}

/// The words that follow a program's own name.
pub(super) enum Words<'l> {
    Unix(&'l str),
    Windows(&'l str),
    Each(std::slice::Iter<'l, Cow<'l, str>>),
}

impl<'l> Words<'l> {
    /// `None` where it can't be told how much of the line is the program's name.
    pub(super) fn after_program(
        arguments: Arguments<'l, 'l>,
        name: &str,
        path: Option<&str>,
    ) -> Option<Self> {
        match arguments {
            Arguments::Each(words) => Some(Words::Each(words.get(1..)?.iter())),
            Arguments::Unix(line) => {
                let rest = path
                    .and_then(|path| line.strip_prefix(path))
                    .filter(|rest| rest.is_empty() || rest.starts_with(' '));
                if let Some(rest) = rest {
                    return Some(Words::Unix(rest));
                }
                let (word, rest) = line.split_once(' ')?;
                let word = word.strip_prefix('-').unwrap_or(word);
                let file = word.rsplit('/').next()?;
                (file == name).then_some(Words::Unix(rest))
            }
            Arguments::Windows(line) => {
                let (word, rest) = windows_program(line);
                let file = word.rsplit(['\\', '/']).next()?;
                if stem(file).eq_ignore_ascii_case(stem(name)) {
                    return Some(Words::Windows(rest));
                }
                // A path with blanks that nobody has quoted.
                let path = path?;
                let rest = line.get(path.len()..)?;
                let same = line[..path.len()].eq_ignore_ascii_case(path);
                (same && rest.starts_with(' ')).then_some(Words::Windows(rest))
            }
        }
    }

    /// Whether a blank always ends a word: it does not on the lines of Unix.
    pub(super) const fn are_certain(&self) -> bool {
        !matches!(self, Words::Unix(_))
    }

    /// Whether `\` stands between folders, too.
    pub(super) const fn are_of_windows(&self) -> bool {
        matches!(self, Words::Windows(_))
    }

    /// Whether the next word may belong to a path that came before it: a word with a slash in it.
    pub(super) fn go_on_with_path(&self) -> bool {
        let Words::Unix(rest) = self else {
            return false;
        };
        let next = rest.trim_start_matches(' ').split(' ').next();
        next.is_some_and(|word| word.contains('/') && may_go_on_path(word))
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Words::Unix(rest) | Words::Windows(rest) => rest.trim_ascii().is_empty(),
            Words::Each(rest) => rest.as_slice().is_empty(),
        }
    }
}

/// Whether a word may be the piece of a path after a blank: no option, and no path from the root.
pub(super) fn may_go_on_path(word: &str) -> bool {
    !word.starts_with(['/', '-'])
}

impl<'l> Iterator for Words<'l> {
    type Item = Cow<'l, str>;

    fn next(&mut self) -> Option<Cow<'l, str>> {
        match self {
            Words::Each(words) => words.next().map(|word| Cow::Borrowed(&**word)),
            Words::Unix(rest) => {
                let line = rest.trim_start_matches(' ');
                let end = memchr::memchr(b' ', line.as_bytes()).unwrap_or(line.len());
                let (word, after) = line.split_at(end);
                *rest = after;
                (!word.is_empty()).then_some(Cow::Borrowed(word))
            }
            Words::Windows(rest) => {
                let line = rest.trim_start_matches([' ', '\t']);
                if line.is_empty() {
                    return None;
                }
                let (word, after) = windows_word(line);
                *rest = after;
                Some(word)
            }
        }
    }
}

/// A name without `.exe`.
fn stem(name: &str) -> &str {
    match name
        .len()
        .checked_sub(4)
        .and_then(|at| name.split_at_checked(at))
    {
        Some((stem, end)) if end.eq_ignore_ascii_case(".exe") => stem,
        _ => name,
    }
}

/// The program's name on a Windows line: up to the next quote if it begins with one (there is no escape in it), else up
/// to a blank.
fn windows_program(line: &str) -> (&str, &str) {
    let line = line.trim_start_matches([' ', '\t']);
    match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => line.split_at(line.find([' ', '\t']).unwrap_or(line.len())),
    }
}

/// The next word of a Windows line by the rules of `CommandLineToArgvW`: quotes hold blanks together, `\"` is a quote,
/// and backslashes count as such unless a quote follows them.
fn windows_word(line: &str) -> (Cow<'_, str>, &str) {
    let end = line.find([' ', '\t']).unwrap_or(line.len());
    if !line[..end].contains('"') {
        return (Cow::Borrowed(&line[..end]), &line[end..]);
    }
    let mut word = String::new();
    let mut quoted = false;
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            ' ' | '\t' if !quoted => return (Cow::Owned(word), &line[at..]),
            '\\' => {
                let mut slashes = 1;
                while chars.next_if(|(_, c)| *c == '\\').is_some() {
                    slashes += 1;
                }
                let before_quote = chars.peek().is_some_and(|(_, c)| *c == '"');
                let kept = if before_quote { slashes / 2 } else { slashes };
                word.extend(std::iter::repeat_n('\\', kept));
                if before_quote && slashes % 2 == 1 {
                    word.extend(chars.next().map(|(_, quote)| quote));
                }
            }
            '"' if quoted && chars.next_if(|(_, c)| *c == '"').is_some() => word.push('"'),
            '"' => quoted = !quoted,
            c => word.push(c),
        }
    }
    (Cow::Owned(word), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        arguments: Arguments<'_, '_>,
        name: &str,
        path: Option<&str>,
        expect: Option<&[&str]>,
    ) {
        let words = Words::after_program(arguments, name, path);
        let words = words.map(|words| words.map(Cow::into_owned).collect::<Vec<_>>());
        let expect = expect.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(words, expect);
    }

    #[test]
    fn lines_of_unix() {
        let check = |line, path, expect| check(Arguments::Unix(line), "sh", path, expect);
        check("/bin/sh -c  a b", Some("/bin/sh"), Some(&["-c", "a", "b"]));
        check("/My App/sh -c", Some("/My App/sh"), Some(&["-c"]));
        check("/bin/sh", Some("/bin/sh"), Some(&[]));
        check("-sh x", None, Some(&["x"]));
        check("../sh x", None, Some(&["x"]));
        check("sh: worker", None, None);
        check("/My App/sh x", None, None);
        check("/bin/shell x", Some("/bin/sh"), None);
    }

    #[test]
    fn lines_of_windows() {
        let path = Some(r"C:\My App\sh.exe");
        let check = |line, expect| check(Arguments::Windows(line), "SH.exe", path, expect);
        check(r#""C:\My App\sh.exe" "a b" c"#, Some(&["a b", "c"]));
        check(r"sh a\b", Some(&[r"a\b"]));
        check(r"C:\My App\sh.exe a", Some(&["a"]));
        check(r"C:\Other App\sh.exe a", None);
        // The examples of Microsoft's documentation.
        check(r#"sh "abc" d e"#, Some(&["abc", "d", "e"]));
        check(r#"sh a\\\b d"e f"g h"#, Some(&[r"a\\\b", "de fg", "h"]));
        check(r#"sh a\\\"b c d"#, Some(&[r#"a\"b"#, "c", "d"]));
        check(r#"sh a\\\\"b c" d e"#, Some(&[r"a\\b c", "d", "e"]));
        check(r#"sh a"b"" c d"#, Some(&[r#"ab" c d"#]));
        check(r#"sh "" ""#, Some(&["", ""]));
    }

    #[test]
    fn arguments_on_their_own() {
        let words = ["python3", "a b", ""].map(Cow::Borrowed);
        check(
            Arguments::Each(&words),
            "python3.11",
            None,
            Some(&["a b", ""]),
        );
        check(Arguments::Each(&[]), "python3.11", None, None);
    }
}
