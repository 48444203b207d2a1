//! Columns of `ps` from left to right, and the executable in a command line's first word.

use rollcall_domain::ProcessState;
use rollcall_domain::identity::UNKNOWN;

/// A cursor over a line's columns, which blanks separate.
pub(crate) struct Columns<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Columns<'a> {
    #[inline]
    pub(crate) fn new(line: &'a str) -> Self {
        Self { line, at: 0 }
    }

    /// The next column's bytes; `None` at the line's end.
    #[inline]
    pub(crate) fn field(&mut self) -> Option<&'a [u8]> {
        let (start, end) = self.advance()?;
        Some(&self.line.as_bytes()[start..end])
    }

    /// The next column's text.
    #[inline]
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let (start, end) = self.advance()?;
        Some(&self.line[start..end])
    }

    #[inline]
    fn advance(&mut self) -> Option<(usize, usize)> {
        let bytes = self.line.as_bytes();
        let mut start = self.at;
        while let Some(&byte) = bytes.get(start)
            && is_blank(byte)
        {
            start += 1;
        }
        let mut end = start;
        while let Some(&byte) = bytes.get(end)
            && !is_blank(byte)
        {
            end += 1;
        }
        self.at = end;
        (end > start).then_some((start, end))
    }

    /// The last column: what follows the one blank after the column before.
    #[inline]
    pub(crate) fn rest(&self) -> &'a str {
        self.line.get(self.at + 1..).unwrap_or("")
    }
}

#[inline]
fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
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

/// Name and path of the executable that `word`, argv[0], names. A login shell's `-` and a title's `:` are no part of it.
///
/// The path is there only if it is a full one. The name is never empty, for a word that isn't; of a link that says
/// nothing about its file it is [`UNKNOWN`].
#[inline]
pub(crate) fn executable(word: &str) -> (&str, Option<&str>) {
    let bytes = word.as_bytes();
    match bytes.first() {
        Some(b'/') => {
            let name = after_slash(word);
            if is_link_of_proc(word) {
                (UNKNOWN, None)
            } else if name.is_empty() {
                (word, None)
            } else {
                (name, Some(word))
            }
        }
        Some(b'-') if bytes.len() > 1 => (non_empty(after_slash(&word[1..]), word), None),
        _ => {
            let title = word.strip_suffix(':').unwrap_or(word);
            (non_empty(after_slash(title), word), None)
        }
    }
}

/// Whether `path` is one of the kernel's links to what a process runs or has open, as `/proc/self/exe`: it says nothing
/// about which file that is.
#[inline]
pub(crate) fn is_link_of_proc(path: &str) -> bool {
    let link = path
        .strip_prefix("/proc/")
        .and_then(|rest| rest.split_once('/'));
    link.is_some_and(|(process, file)| {
        let is_process = matches!(process, "self" | "thread-self")
            || process.bytes().all(|byte| byte.is_ascii_digit());
        is_process && (file == "exe" || file.starts_with("fd/"))
    })
}

/// What follows the last `/`.
#[inline]
pub(crate) fn after_slash(path: &str) -> &str {
    match memchr::memrchr(b'/', path.as_bytes()) {
        Some(at) => &path[at + 1..],
        None => path,
    }
}

#[inline]
fn non_empty<'a>(name: &'a str, otherwise: &'a str) -> &'a str {
    if name.is_empty() { otherwise } else { name }
}

/// The process state of a first letter of `STAT` on Linux.
#[inline]
pub(crate) fn linux_state(letter: Option<&u8>) -> Option<ProcessState> {
    match letter? {
        b'R' => Some(ProcessState::Running),
        b'S' => Some(ProcessState::Sleeping),
        b'D' | b'K' => Some(ProcessState::Waiting),
        b'I' => Some(ProcessState::Idle),
        b'T' | b't' => Some(ProcessState::Stopped),
        b'Z' | b'X' | b'x' => Some(ProcessState::Zombie),
        _ => None,
    }
}

/// The process state of a first letter of `STAT` on macOS.
#[inline]
pub(crate) fn macos_state(letter: Option<&u8>) -> Option<ProcessState> {
    match letter? {
        b'R' => Some(ProcessState::Running),
        b'S' => Some(ProcessState::Sleeping),
        b'U' => Some(ProcessState::Waiting),
        b'I' => Some(ProcessState::Idle),
        b'T' => Some(ProcessState::Stopped),
        b'Z' => Some(ProcessState::Zombie),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables() {
        let check = |word: &str, name: &str, path: Option<&str>| {
            assert_eq!(executable(word), (name, path), "{word}")
        };
        check(
            "/usr/lib/firefox/firefox",
            "firefox",
            Some("/usr/lib/firefox/firefox"),
        );
        check("nginx:", "nginx", None);
        check("-bash", "bash", None);
        check("-/bin/sh", "sh", None);
        check("./a.out", "a.out", None);
        check("(sd-pam)", "(sd-pam)", None);
        check("sshd:", "sshd", None);
        for link in [
            "/proc/self/exe",
            "/proc/thread-self/exe",
            "/proc/4711/exe",
            "/proc/self/fd/6",
        ] {
            check(link, UNKNOWN, None);
        }
        check("/proc/x/exe", "exe", Some("/proc/x/exe"));
        check("/proc/self/root/a", "a", Some("/proc/self/root/a"));
        for odd in ["-", ":", "/", "-/"] {
            check(odd, odd, None);
        }
    }

    #[test]
    fn branches() {
        assert_eq!(without_branches(" \\_ nginx: worker"), "nginx: worker");
        assert_eq!(without_branches(" |   \\_ sh -c x"), "sh -c x");
        assert_eq!(without_branches("   indented"), "indented");
        assert_eq!(without_branches("plain"), "plain");
    }
}
