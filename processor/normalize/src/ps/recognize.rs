//! Which of `ps`' forms a text has.

use super::by_header;
use super::columns::Columns;
use super::layout::{AUX, Column, Layout, MACOS_AUX};
use crate::format::Format;
use crate::limits::{MAX_LINE_BYTES, MAX_RECOGNITION_LINES};
use crate::listing::lines;
use crate::{cpu_time, number};
use rollcall_domain::Os;

/// The form of `ps` that `line`, which stands before `following`, is the header of, on `os` if that is known.
pub(crate) fn header(line: &str, following: &str, os: Option<Os>) -> Option<Format> {
    if let Some(format) = fixed_header(line) {
        return Some(shown_by_time(format, following).on(os));
    }
    let layout = Layout::read(line).ok()?;
    let is_of_busybox = is_of_busybox(line);
    let own = if is_of_busybox {
        Some(Os::Linux)
    } else {
        layout.os
    };
    match os.or(own).or_else(|| shown_by_rows(&layout, following))? {
        Os::Linux if is_of_busybox => Some(Format::BusyboxPs),
        Os::Linux => Some(Format::PsColumns),
        Os::Macos => Some(Format::MacosPsColumns),
        Os::Windows => None,
    }
}

/// The form of a fixed header's rows. Both systems print one header for `ps -ef`, and blanks before it may be a paste's: the
/// CPU time is macOS' if it has hundredths.
fn shown_by_time(format: Format, following: &str) -> Format {
    if !matches!(format, Format::PsEf | Format::MacosPsEf) {
        return format;
    }
    lines(following)
        .take(MAX_RECOGNITION_LINES)
        .filter_map(|(_, line)| row(line, None))
        .find(|shown| matches!(shown, Format::PsEf | Format::MacosPsEf))
        .unwrap_or(format)
}

/// Whether `line` is a header of `ps` of which [`complaint`] says why it can't be read.
pub(crate) fn is_refused(line: &str) -> bool {
    Layout::read(line).is_err_and(|error| error.detail().is_some())
}

/// Why no form was found in `text`, where a line looks like a header of `ps`.
pub(crate) fn complaint(text: &str) -> Option<String> {
    let mut head = lines(text).take(MAX_RECOGNITION_LINES);
    head.find_map(|(_, line)| match Layout::read(line) {
        Ok(_) => Some(
            "Linux and macOS print such columns of ps alike; say which it is, or add time"
                .to_owned(),
        ),
        Err(error) => error.detail(),
    })
}

/// Busybox aligns process ids to the left, procps and macOS to the right; without `-o`, and without CPU times, busybox
/// does so too, but leaves one blank less before `VSZ` than procps.
fn is_of_busybox(line: &str) -> bool {
    line.starts_with("PID ") || line.trim_end() == "  PID USER       VSZ STAT COMMAND"
}

/// The system that prints such rows: macOS prints hundredths of CPU time and `??` for no terminal, Linux neither.
fn shown_by_rows(layout: &Layout, following: &str) -> Option<Os> {
    if !layout.has(Column::CpuTime) && !layout.has(Column::Ignored) {
        return None;
    }
    lines(following)
        .take(MAX_RECOGNITION_LINES)
        .find_map(|(_, line)| {
            let terminal = line.split_ascii_whitespace().find_map(|word| match word {
                "??" => Some(Os::Macos),
                "?" => Some(Os::Linux),
                _ => None,
            });
            terminal.or_else(|| {
                let time = by_header::cpu_time_cell(line, layout)?;
                Some(if time.contains(['.', ',']) {
                    Os::Macos
                } else {
                    Os::Linux
                })
            })
        })
}

/// The form of `ps` whose columns are always the same that `line` is the header of.
#[inline]
pub(crate) fn fixed_header(line: &str) -> Option<Format> {
    let first = line.trim_ascii_start();
    if !first.starts_with("USER") && !first.starts_with("UID") {
        return None;
    }
    let is = |words: &[&str]| line.split_ascii_whitespace().eq(words.iter().copied());
    if is(&AUX) {
        Some(Format::PsAux)
    } else if is(&MACOS_AUX) {
        Some(Format::MacosPsAux)
    } else if is(&["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]) {
        // The words are the same; macOS' numeric UIDs, and so their header, are aligned to the right. Rows say it better.
        Some(if line.starts_with(' ') {
            Format::MacosPsEf
        } else {
            Format::PsEf
        })
    } else {
        None
    }
}

/// `ps aux` has the percentage of memory where `ps -ef` has a whole number. Which system, the CPU time tells: macOS has
/// hundredths.
pub(crate) fn row(line: &str, os: Option<Os>) -> Option<Format> {
    if line.len() > MAX_LINE_BYTES {
        return None;
    }
    let mut columns = Columns::new(line, line);
    let fields: [&[u8]; 10] = std::array::from_fn(|_| columns.field().unwrap_or(b""));
    number::pid(fields[1])?;
    let has_fraction = |field: &[u8]| field.iter().any(|byte| matches!(byte, b'.' | b','));
    let (format, time) = if has_fraction(fields[3]) {
        (Format::PsAux, fields[9])
    } else {
        number::pid(fields[2])?;
        (Format::PsEf, fields[6])
    };
    cpu_time::ps_cpu_time(time).ok()??;
    let shown = if has_fraction(time) {
        Os::Macos
    } else {
        Os::Linux
    };
    Some(format.on(os.or(Some(shown))))
}
