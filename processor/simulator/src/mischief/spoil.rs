//! Lines that can't be read, put among good ones.

use crate::form::Form;
use crate::random::Random;
use crate::truth::{RejectedLine, SimulatedSnapshot};
use rollcall_domain::Os;
use rollcall_domain::snapshot::Payload;
use std::borrow::Cow;

/// Bad lines that one listing gets at most, beside a repeated row.
const BAD_LINES: i64 = 3;

const PS_AUX: [&str; 5] = [
    "root",
    "root           1  0.0",
    "root         12x  0.0  0.0   1000   100 ?        S    10:00   0:00 /sbin/broken",
    "root 99999999999  0.0  0.0   1000   100 ?        S    10:00   0:00 /sbin/broken",
    "root     4190001  0.0  0.0   1000   100 ?        S    10:00 0:0x:0 /sbin/broken",
];
const PS_EF: [&str; 3] = [
    "root          12",
    "root         12x       1  0 10:00 ?        00:00:00 /sbin/broken",
    "root     4190001       1  0 10:00 ?        00:zz:00 /sbin/broken",
];
const TABLE: [&str; 2] = [
    "broken.exe",
    "broken.exe                  none Console                    1     12,345 K",
];
const CSV: [&str; 3] = [
    r#""broken.exe","29876""#,
    r#""broken.exe","none","Console","1","12,345 K""#,
    r#"broken.exe","29876","Console","1","12,345 K""#,
];
const VERBOSE_CSV: [&str; 2] = [
    r#""broken.exe","29876","Console","1","12,345 K""#,
    r#""broken.exe","none","Console","1","12,345 K","Unknown","N/A","0:00:00","N/A""#,
];

/// Puts some bad lines (or records) into a snapshot, and into its truth. False where that can't be done.
pub(super) fn add_bad_lines(simulated: &mut SimulatedSnapshot, random: &mut Random) -> bool {
    let form = simulated.truth.form;
    match &mut simulated.snapshot.payload {
        Payload::CommandOutput(output) => {
            let Some((text, rejected)) = spoiled(&output.text, form, random) else {
                return false;
            };
            output.text = Cow::Owned(text);
            simulated.truth.rejected_lines = rejected;
            return true;
        }
        Payload::Linux(list) => {
            let Some(mut bad) = list.processes.first().cloned() else {
                return false;
            };
            bad.pid = -5;
            list.processes.push(bad);
        }
        Payload::Macos(list) => {
            let Some(mut bad) = list.first().cloned() else {
                return false;
            };
            bad.pid = i64::from(i32::MAX) + 1;
            list.push(bad);
        }
        Payload::Windows(list) => {
            // The second record with the pid of the first.
            let Some(bad) = list.first().cloned() else {
                return false;
            };
            list.push(bad);
        }
    }
    let line = simulated.truth.rows.len() as i64 + 1;
    let text = simulated.truth.rows[0].executable_name.clone();
    simulated.truth.rejected_lines = vec![RejectedLine { line, text }];
    true
}

/// Lines before the first row, bad lines to choose from, and the end of a line.
///
/// Forms whose processes take several lines, or are no lines at all, have none.
fn grammar(form: Form) -> Option<(usize, &'static [&'static str], &'static str)> {
    Some(match form {
        Form::LinuxPsAux | Form::MacosPsAux => (1, &PS_AUX, "\n"),
        Form::LinuxPsEf => (1, &PS_EF, "\n"),
        Form::Tasklist | Form::TasklistVerbose => (3, &TABLE, "\r\n"),
        Form::TasklistCsv => (1, &CSV, "\r\n"),
        Form::TasklistVerboseCsv => (1, &VERBOSE_CSV, "\r\n"),
        _ => return None,
    })
}

fn spoiled(text: &[u8], form: Form, random: &mut Random) -> Option<(Vec<u8>, Vec<RejectedLine>)> {
    let (headers, bad_lines, end) = grammar(form)?;
    let body = text.strip_suffix(end.as_bytes())?;
    let mut lines: Vec<Vec<u8>> = split(body, end);
    let mut places: Vec<usize> = (0..random.between(1, BAD_LINES))
        .map(|_| random.between(headers as i64 + 1, lines.len() as i64) as usize)
        .collect();
    places.sort_unstable();
    let mut rejected = Vec::new();
    for (earlier, place) in places.into_iter().enumerate() {
        let bad = *random.pick(bad_lines);
        lines.insert(place + earlier, bad.as_bytes().to_vec());
        rejected.push(RejectedLine {
            line: (place + earlier) as i64 + 1,
            text: bad.to_owned(),
        });
    }
    // A row that comes twice: its pid stands in the listing already.
    let first = lines.get(headers)?.clone();
    if random.chance(300_000) {
        rejected.push(RejectedLine {
            line: lines.len() as i64 + 1,
            text: String::from_utf8_lossy(&first).into_owned(),
        });
        lines.push(first);
    }
    let mut text = lines.join(end.as_bytes());
    text.extend_from_slice(end.as_bytes());
    Some((text, rejected))
}

fn split(text: &[u8], end: &str) -> Vec<Vec<u8>> {
    let strip = |line: &[u8]| match end {
        "\r\n" => line.strip_suffix(b"\r").unwrap_or(line).to_vec(),
        _ => line.to_vec(),
    };
    text.split(|byte| *byte == b'\n').map(strip).collect()
}

/// Bytes of an image name that may still be one.
const IMAGE_NAME_BYTES: usize = 500;

/// A listing of this form and about this many bytes, all of it good, in lines of `line_bytes` where lines may be so long.
pub(super) fn oversized(form: Form, bytes: usize, line_bytes: usize) -> Vec<u8> {
    let (windows, macos) = (form.os() == Os::Windows, form.os() == Os::Macos);
    let line_bytes = if windows {
        IMAGE_NAME_BYTES.min(line_bytes)
    } else {
        line_bytes
    };
    let count = bytes / line_bytes + 1;
    let long = "x".repeat(line_bytes);
    let mut text = String::with_capacity(count * (line_bytes + 128));
    text.push_str(match (windows, macos) {
        (true, _) => "\"Image Name\",\"PID\",\"Session Name\",\"Session#\",\"Mem Usage\"\r\n",
        (_, true) => "USER   PID  %CPU %MEM      VSZ    RSS   TT  STAT STARTED      TIME COMMAND\n",
        _ => "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n",
    });
    for pid in 1..=count {
        text.push_str(&match (windows, macos) {
            (true, _) => format!("\"{long}{pid}.exe\",\"{pid}\",\"Console\",\"1\",\"1 K\"\r\n"),
            (_, true) => format!("root {pid} 0.0 0.0 1 1 ?? S 20Nov26 0:00.00 /bin/x {long}\n"),
            _ => format!("root {pid} 0.0 0.0 1 1 ? S 2025 0:00 /bin/x {long}\n"),
        });
    }
    text.into_bytes()
}
