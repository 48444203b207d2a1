//! The forms of listings, and which one a text has.
//!
//! A header says it best: its words for `ps` (they are not localized), the ruler of `=` for `tasklist`'s table, the
//! quotes for its csv. Without a header, the first lines are tried as rows of each form.

use crate::columns::Columns;
use crate::limits::{MAX_LINE_BYTES, MAX_NOTICE_LINES, MAX_RECOGNITION_LINES};
use crate::listing::lines;
use crate::{Context, number, time, windows};
use rollcall_domain::Os;

/// The form of a command's output.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Format {
    /// Linux (procps) `ps aux`, `ps auxww`, also as a forest (`f`).
    PsAux,
    /// Linux (procps) `ps -ef`.
    PsEf,
    /// macOS `ps aux`, `ps auxww`.
    MacosPsAux,
    /// macOS `ps -ef`.
    MacosPsEf,
    /// Windows `tasklist`, as a table of five columns.
    TasklistTable,
    /// Windows `tasklist /v`, as a table of nine columns.
    TasklistVerboseTable,
    /// Windows `tasklist /fo csv`: five columns.
    TasklistCsv,
    /// Windows `tasklist /v /fo csv`: nine columns.
    TasklistVerboseCsv,
    /// A line such as `INFO: No tasks are running …`: no processes.
    TasklistNotice,
}

impl Format {
    /// Every form, in a fixed order.
    pub const ALL: [Format; 9] = [
        Format::PsAux,
        Format::PsEf,
        Format::MacosPsAux,
        Format::MacosPsEf,
        Format::TasklistTable,
        Format::TasklistVerboseTable,
        Format::TasklistCsv,
        Format::TasklistVerboseCsv,
        Format::TasklistNotice,
    ];

    /// Its name in settings and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::PsAux => "ps-aux",
            Format::PsEf => "ps-ef",
            Format::MacosPsAux => "macos-ps-aux",
            Format::MacosPsEf => "macos-ps-ef",
            Format::TasklistTable => "tasklist-table",
            Format::TasklistVerboseTable => "tasklist-verbose-table",
            Format::TasklistCsv => "tasklist-csv",
            Format::TasklistVerboseCsv => "tasklist-verbose-csv",
            Format::TasklistNotice => "tasklist-notice",
        }
    }

    /// The inverse of [`Format::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Format> {
        Format::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
    }

    /// The operating system that prints it.
    #[must_use]
    pub const fn os(self) -> Os {
        match self {
            Format::PsAux | Format::PsEf => Os::Linux,
            Format::MacosPsAux | Format::MacosPsEf => Os::Macos,
            Format::TasklistTable
            | Format::TasklistVerboseTable
            | Format::TasklistCsv
            | Format::TasklistVerboseCsv
            | Format::TasklistNotice => Os::Windows,
        }
    }

    /// The same form as another operating system prints it: `ps-aux` said of a Mac means `macos-ps-aux`.
    const fn of(self, os: Option<Os>) -> Format {
        match (self, os) {
            (Format::PsAux, Some(Os::Macos)) => Format::MacosPsAux,
            (Format::PsEf, Some(Os::Macos)) => Format::MacosPsEf,
            (Format::MacosPsAux, Some(Os::Linux)) => Format::PsAux,
            (Format::MacosPsEf, Some(Os::Linux)) => Format::PsEf,
            _ => self,
        }
    }
}

/// The form of `text`: the one that the context names, else one of its operating system that the text shows.
pub(crate) fn recognize(text: &str, context: &Context) -> Option<Format> {
    match context.format {
        Some(format) => Some(format.of(context.os)),
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
    head()
        .find_map(|line| header(line).map(|format| format.of(os)).filter(allowed))
        .or_else(|| head().find_map(|line| row(line, os)).filter(allowed))
        .or_else(|| notice(text).filter(allowed))
}

/// The form that `line` is a header of; for the table of `tasklist`, its ruler.
fn header(line: &str) -> Option<Format> {
    if let Some(format) = ps_header(line) {
        return Some(format);
    }
    if let Some(ruler) = windows::table::Ruler::read(line) {
        return ruler.format();
    }
    windows::csv::header(line)
}

/// The form of `ps` that `line` is the header of.
#[inline]
pub(crate) fn ps_header(line: &str) -> Option<Format> {
    let first = line.trim_ascii_start();
    if !first.starts_with("USER") && !first.starts_with("UID") {
        return None;
    }
    let is = |words: &[&str]| line.split_ascii_whitespace().eq(words.iter().copied());
    if is(&[
        "USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND",
    ]) {
        Some(Format::PsAux)
    } else if is(&[
        "USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TT", "STAT", "STARTED", "TIME", "COMMAND",
    ]) {
        Some(Format::MacosPsAux)
    } else if is(&["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]) {
        // The words are the same; macOS' numeric UIDs, and so their header, are aligned to the right.
        Some(if line.starts_with(' ') {
            Format::MacosPsEf
        } else {
            Format::PsEf
        })
    } else {
        None
    }
}

/// The form that `line` is a row of, for text without a header.
fn row(line: &str, os: Option<Os>) -> Option<Format> {
    if line.len() > MAX_LINE_BYTES {
        return None;
    }
    windows::csv::row_format(line)
        .or_else(|| windows::table::row_format(line))
        .or_else(|| ps_row(line, os))
}

/// `ps aux` has the percentage of memory where `ps -ef` has a whole number. Which system, the CPU time tells: macOS has
/// hundredths.
fn ps_row(line: &str, os: Option<Os>) -> Option<Format> {
    let mut columns = Columns::new(line);
    let mut fields: [&[u8]; 10] = [b""; 10];
    for field in &mut fields {
        let Some(bytes) = columns.field() else { break };
        *field = bytes;
    }
    number::pid(fields[1])?;
    let has_fraction = |field: &[u8]| field.iter().any(|byte| matches!(byte, b'.' | b','));
    let (format, time) = if has_fraction(fields[3]) {
        (Format::PsAux, fields[9])
    } else {
        number::pid(fields[2])?;
        (Format::PsEf, fields[6])
    };
    time::ps_cpu_time(time).ok()??;
    let shown = if has_fraction(time) {
        Os::Macos
    } else {
        Os::Linux
    };
    Some(format.of(os.or(Some(shown))))
}

/// `tasklist`'s message that no process meets its filters, in place of a table. An error's message is none.
fn notice(text: &str) -> Option<Format> {
    /// How the message begins in the languages of Windows that are known to us; `INFO` begins most of them.
    const WORDS: [&str; 8] = [
        "INFO",
        "ИНФО",
        "情報",
        "信息",
        "資訊",
        "정보",
        "מידע",
        "ΠΛΗΡΟΦΟΡ",
    ];
    let mut first_lines = lines(text).take(MAX_NOTICE_LINES + 1);
    let (_, first) = first_lines.next()?;
    let (word, _) = first.split_once([':', '：'])?;
    let word = word.trim().to_uppercase();
    let is_notice = word.chars().count() <= 16 && WORDS.iter().any(|known| word.starts_with(known));
    (is_notice && first_lines.count() < MAX_NOTICE_LINES).then_some(Format::TasklistNotice)
}
