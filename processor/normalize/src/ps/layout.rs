//! What the columns of `ps -eo …` are, by the words of its header.
//!
//! Every word must be known: of an unknown column nobody knows whether its values hold blanks, and so where the next begins.
//! Sources: the lists of format specifiers in the manuals ps(1) of procps and of macOS, and busybox' `ps -o help`.

use crate::listing::offset;
use rollcall_domain::Os;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Column {
    Pid,
    ParentPid,
    /// A name, perhaps cut, or a UID.
    Owner,
    /// A UID; the owner only where no other column names it.
    Uid,
    CpuTime,
    /// KiB.
    MemoryVirtual,
    /// KiB.
    MemoryUsage,
    ThreadCount,
    State,
    /// One short word, or, of `bsdstart`, a month and a day.
    Start,
    /// `start` or `lstart`: up to five words.
    Started,
    /// Since the start.
    Elapsed,
    /// The kernel's own short name of a process (Linux), or its executable's path (macOS).
    ShortName,
    /// The command with its arguments; or, as procps has one word for both, the short name.
    Command,
    /// One word that is not used.
    Ignored,
    /// What a security module calls it, which is not used: of AppArmor, a mode in parentheses may follow.
    Label,
}

/// A column and where its word stands in the header, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Placed {
    pub(crate) column: Column,
    pub(super) start: usize,
    end: usize,
}

/// The columns of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<Placed>,
    /// The system that alone has such words, if one does.
    pub(crate) os: Option<Os>,
}

/// Why a line that has the word `PID` is no header that can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LayoutError {
    /// It is no header at all.
    NoHeader,
    /// A column is not known.
    UnknownColumn(String),
    /// Each row is a thread.
    Threads,
    /// No column says what runs.
    NoCommand,
    /// The command stands before another column and is cut there.
    CommandNotLast,
    /// It is cut itself, and so are its rows.
    Cut,
}

impl LayoutError {
    /// What is wrong and what to do, for a person.
    pub(crate) fn detail(&self) -> Option<String> {
        Some(match self {
            LayoutError::NoHeader => return None,
            LayoutError::UnknownColumn(word) => {
                format!("the column {word:?} of ps is not known; leave it out")
            }
            LayoutError::Threads => {
                "ps lists threads, of which no process is made; leave out -L, -T and -m".to_owned()
            }
            LayoutError::NoCommand => {
                "ps prints no command; add comm or args as the last column".to_owned()
            }
            LayoutError::CommandNotLast => {
                "ps cuts a command that is not its last column; put args last".to_owned()
            }
            LayoutError::Cut => "ps has cut its lines at the terminal's width; add ww".to_owned(),
        })
    }
}

/// The header of `ps aux` on Linux.
pub(super) const AUX: [&str; 11] = [
    "USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", COMMAND,
];
/// The header of `ps aux` on macOS.
pub(super) const MACOS_AUX: [&str; 11] = [
    "USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TT", "STAT", "STARTED", "TIME", COMMAND,
];
const COMMAND: &str = "COMMAND";

/// Words that are read, and the system that alone has them.
const READ: [(&str, Column, Option<Os>); 25] = [
    ("PID", Column::Pid, None),
    ("PPID", Column::ParentPid, None),
    ("USER", Column::Owner, None),
    ("EUSER", Column::Owner, Some(Os::Linux)),
    ("UID", Column::Uid, None),
    ("EUID", Column::Uid, Some(Os::Linux)),
    ("TIME", Column::CpuTime, None),
    ("VSZ", Column::MemoryVirtual, None),
    ("RSS", Column::MemoryUsage, None),
    ("RSZ", Column::MemoryUsage, Some(Os::Linux)),
    ("NLWP", Column::ThreadCount, Some(Os::Linux)),
    ("THCNT", Column::ThreadCount, Some(Os::Linux)),
    ("STAT", Column::State, None),
    ("S", Column::State, Some(Os::Linux)),
    ("STATE", Column::State, None),
    ("START", Column::Start, Some(Os::Linux)),
    ("STIME", Column::Start, None),
    ("STARTED", Column::Started, None),
    ("ELAPSED", Column::Elapsed, None),
    ("COMM", Column::ShortName, Some(Os::Macos)),
    ("UCOMM", Column::ShortName, Some(Os::Macos)),
    ("COMMAND", Column::Command, None),
    ("CMD", Column::Command, None),
    ("ARGS", Column::Command, Some(Os::Macos)),
    ("LABEL", Column::Label, Some(Os::Linux)),
];
/// Words of columns that hold one word and are not used.
const IGNORED: [&str; 71] = [
    "%CPU", "%MEM", "ADDR", "AGID", "BLOCKED", "C", "CAUGHT", "CGROUP", "CLS", "CP", "CPU",
    "CPUID", "DRS", "EGID", "EGROUP", "EIP", "ESP", "F", "FGID", "FGROUP", "FLAGS", "FUID",
    "FUSER", "GID", "GROUP", "IGNORED", "INBLK", "JOBC", "LIM", "LOGID", "MAJFL", "MAJFLT",
    "MINFL", "MINFLT", "MSGRCV", "MSGSND", "NI", "NIVCSW", "NSIGS", "NSWAP", "NVCSW", "OOM",
    "OOMADJ", "OUBLK", "PAGEIN", "PENDING", "PGID", "PGRP", "POL", "PRI", "PSR", "RGID", "RGROUP",
    "RTPRIO", "RUID", "RUSER", "SESS", "SGID", "SGROUP", "SID", "SIZE", "STACKP", "SUID", "SUSER",
    "SZ", "TPGID", "TRS", "TT", "TTY", "USRPRI", "WCHAN",
];
/// Words of columns that name a thread.
const THREADS: [&str; 4] = ["LWP", "TID", "SPID", "UTID"];

/// Columns that a short name takes where it is not the last column.
const SHORT_NAME_WIDTH: usize = 15;
/// Columns that any value but a date takes at most, by its header.
const PLAIN_WIDTH: usize = 12;
/// Columns that `lstart` takes.
const DATE_WIDTH: usize = 24;

impl Layout {
    /// Reads a header.
    pub(crate) fn read(line: &str) -> Result<Self, LayoutError> {
        if memchr::memmem::find(line.as_bytes(), b"PID").is_none() || !line.is_ascii() {
            return Err(LayoutError::NoHeader);
        }
        if is_cut(line) {
            return Err(LayoutError::Cut);
        }
        let mut columns = Vec::new();
        let mut os = None;
        let mut unknown = None;
        for (start, word) in words(line) {
            let end = start + word.len();
            if THREADS.contains(&word) {
                return Err(LayoutError::Threads);
            }
            let Some((column, owner)) = meaning(word) else {
                unknown = unknown.or(Some(word));
                continue;
            };
            os = os.or(owner);
            columns.push(Placed { column, start, end });
        }
        let has = |column| columns.iter().any(|placed| placed.column == column);
        if !has(Column::Pid) {
            return Err(LayoutError::NoHeader);
        }
        if let Some(word) = unknown {
            // A sentence that mentions a PID is no header; one unknown among known words is.
            let is_header =
                columns.len() >= 2 && word.bytes().all(|byte| !byte.is_ascii_lowercase());
            return Err(if is_header {
                LayoutError::UnknownColumn(word.chars().take(64).collect())
            } else {
                LayoutError::NoHeader
            });
        }
        if !has(Column::Command) && !has(Column::ShortName) {
            return Err(LayoutError::NoCommand);
        }
        Self { columns, os }.with_short_names()
    }

    /// A command that is not the last column can only be a short name, for procps has one word for both.
    fn with_short_names(mut self) -> Result<Self, LayoutError> {
        let last = self.columns.len() - 1;
        for index in 0..last {
            let next = self.columns[index + 1];
            let placed = &mut self.columns[index];
            match placed.column {
                Column::Command => placed.column = Column::ShortName,
                Column::ShortName => {}
                _ => continue,
            }
            let room = match next.column {
                Column::Started => DATE_WIDTH,
                _ => PLAIN_WIDTH,
            };
            if self.os == Some(Os::Macos) || next.end - placed.start > SHORT_NAME_WIDTH + 1 + room {
                return Err(LayoutError::CommandNotLast);
            }
        }
        Ok(self)
    }

    /// Whether a column of this kind is there.
    pub(crate) fn has(&self, column: Column) -> bool {
        self.columns.iter().any(|placed| placed.column == column)
    }

    /// Where a short name that begins at byte `start` of `line`, and is not its last column, ends.
    ///
    /// It fills a fixed width, less what columns before it took, unless it is longer and has no blanks.
    pub(crate) fn short_name_end(line: &str, start: usize, taken: usize) -> usize {
        let rest = line.get(start..).unwrap_or("");
        let width = rest
            .char_indices()
            .nth(SHORT_NAME_WIDTH.saturating_sub(taken))
            .map_or(rest.len(), |(at, _)| at);
        let word_end = |from: usize| {
            memchr::memchr(b' ', &rest.as_bytes()[from..]).map_or(rest.len(), |at| from + at)
        };
        start + word_end(width)
    }
}

/// Whether `line` is the beginning of a header of `ps aux`, which ends within its last word or before it.
fn is_cut(line: &str) -> bool {
    let begins = |header: &[&str; 11]| {
        let mut words = line.split_ascii_whitespace();
        let before = header[..10].iter().all(|word| words.next() == Some(word));
        let last = words.next().unwrap_or("");
        before && last != COMMAND && COMMAND.starts_with(last)
    };
    begins(&AUX) || begins(&MACOS_AUX)
}

fn meaning(word: &str) -> Option<(Column, Option<Os>)> {
    READ.iter()
        .find(|(known, ..)| *known == word)
        .map(|&(_, column, os)| (column, os))
        .or_else(|| {
            IGNORED
                .binary_search(&word)
                .ok()
                .map(|_| (Column::Ignored, None))
        })
}

/// The words of a line and where they begin.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.split_ascii_whitespace()
        .map(|word| (offset(line, word), word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Result<(&[Column], Option<Os>), LayoutError>) {
        let layout = Layout::read(line);
        let columns: Option<Vec<Column>> = layout
            .as_ref()
            .ok()
            .map(|layout| layout.columns.iter().map(|placed| placed.column).collect());
        let got = layout.map(|layout| (columns.as_deref().unwrap_or_default(), layout.os));
        assert_eq!(got, expect, "{line}");
    }

    #[test]
    fn headers() {
        use Column::{Command, CpuTime, Ignored, Owner, ParentPid, Pid, ShortName, Started};
        check(
            "    PID    PPID USER                      STARTED     TIME COMMAND",
            Ok((&[Pid, ParentPid, Owner, Started, CpuTime, Command], None)),
        );
        check(
            "    PID TTY          TIME CMD",
            Ok((&[Pid, Ignored, CpuTime, Command], None)),
        );
        check(
            "    PID COMMAND         COMMAND",
            Ok((&[Pid, ShortName, Command], None)),
        );
        check("COMMAND             PID", Ok((&[ShortName, Pid], None)));
        check(
            "COMMAND                          STARTED     PID",
            Ok((&[ShortName, Started, Pid], None)),
        );
        check(
            "    PID COMMAND                         RSS",
            Err(LayoutError::CommandNotLast),
        );
        check("  PID COMM", Ok((&[Pid, ShortName], Some(Os::Macos))));
        check("COMM              PID", Err(LayoutError::CommandNotLast));
        check(
            "UID   PID  PPID   LWP  C NLWP STIME TTY TIME CMD",
            Err(LayoutError::Threads),
        );
        check("  PID USER", Err(LayoutError::NoCommand));
        let aux = "USER PID %CPU %MEM VSZ RSS TT STAT STARTED TIME COMMAND";
        for cut in aux.len() - 8..aux.len() {
            check(&aux[..cut], Err(LayoutError::Cut));
        }
        check(
            "  PID FOO COMMAND",
            Err(LayoutError::UnknownColumn("FOO".to_owned())),
        );
        for other in [
            "",
            "PID",
            "Killed PID 4711",
            "the PID of USER",
            "USER COMMAND",
            "PIDS COMMAND",
            "ÄPID PID",
        ] {
            let layout = Layout::read(other);
            assert!(
                matches!(layout, Err(LayoutError::NoHeader | LayoutError::NoCommand)),
                "{other} {layout:?}"
            );
        }
    }

    #[test]
    fn ignored_words_are_sorted() {
        assert!(IGNORED.is_sorted());
        assert!(
            IGNORED
                .iter()
                .all(|word| READ.iter().all(|(read, ..)| read != word))
        );
    }

    #[test]
    fn short_names_in_the_middle() {
        let check = |line: &str, expect: &str| {
            assert_eq!(
                &line[..Layout::short_name_end(line, 0, 0)].trim_end(),
                &expect,
                "{line}"
            );
        };
        check("Web Content     1234", "Web Content");
        check("Isolated Web Co 1234", "Isolated Web Co");
        check(
            "kworker/u8:2-events_unbound 1234",
            "kworker/u8:2-events_unbound",
        );
        check("ünïcödé näme    1234", "ünïcödé näme");
        check("short", "short");
        check("", "");
        let pushed = "process_api /process_api --init";
        assert_eq!(Layout::short_name_end(pushed, 0, 8), 11);
        assert_eq!(Layout::short_name_end("kthreadd  [kthreadd]", 0, 6), 9);
    }
}
