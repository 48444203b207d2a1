//! `rollcall normalize`: what the normalizer makes of files, without Kafka or a database.
//!
//! Processes go to stdout, one JSON object a line; what is wrong with a file, and a summary, to stderr. Exit code 0 when
//! every file was usable; 2 when one can't be read, is no listing, or has not one line that can be read.

use super::settings::application_rules;
use crate::clock::wall_clock;
use anyhow::Context as _;
use rollcall_domain::{Os, Process, Timestamp};
use rollcall_normalize::{
    ApplicationRules, Context, Format, Listing, decode_text_named, parse_text,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `normalize`.
#[derive(Debug, clap::Args)]
pub(crate) struct NormalizeArgs {
    /// Saved output of ps, tasklist or PowerShell; - is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// auto (found from the text), linux, macos or windows
    #[arg(long, default_value = AUTO, value_parser = parse_os)]
    os: Choice<Os>,
    /// auto (found from the text) or the form's name, as ps-aux
    #[arg(long, default_value = AUTO, value_parser = parse_format)]
    format: Choice<Format>,
    /// auto (found from the bytes) or utf-8, cp850, windows-1252, …; a byte order mark overrides it
    #[arg(long, default_value = AUTO)]
    encoding: String,
    /// The machine's offset from UTC, as +01:00 or Z; without it, local start times are null
    #[arg(long, value_parser = parse_offset, allow_hyphen_values = true)]
    utc_offset: Option<i32>,
    /// When the listing was taken, as 2026-11-20T12:00:00Z; now where not given
    #[arg(long, value_parser = parse_time)]
    observed_at: Option<Timestamp>,
    /// File of rules that name applications, laid over the built-in ones; processor/normalize/RULES.md says how to write it
    #[arg(
        long,
        env = "ROLLCALL_NORMALIZE_APPLICATION_RULES",
        value_name = "FILE"
    )]
    application_rules: Option<PathBuf>,
}

/// What the bytes themselves tell.
const AUTO: &str = "auto";

/// A value that was given, or `auto`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice<T> {
    Auto,
    Given(T),
}

impl<T: Copy> Choice<T> {
    fn of(
        text: &str,
        parse: impl Fn(&str) -> Option<T>,
        names: impl Iterator<Item = &'static str>,
    ) -> Result<Self, String> {
        match parse(text) {
            _ if text == AUTO => Ok(Choice::Auto),
            Some(value) => Ok(Choice::Given(value)),
            None => {
                let all: Vec<_> = std::iter::once(AUTO).chain(names).collect();
                Err(format!("allowed are {}", all.join(", ")))
            }
        }
    }

    const fn given(self) -> Option<T> {
        match self {
            Choice::Auto => None,
            Choice::Given(value) => Some(value),
        }
    }
}

fn parse_os(text: &str) -> Result<Choice<Os>, String> {
    Choice::of(text, Os::parse, Os::ALL.into_iter().map(Os::as_str))
}

fn parse_format(text: &str) -> Result<Choice<Format>, String> {
    let names = Format::ALL.into_iter().map(Format::as_str);
    Choice::of(text, Format::parse, names)
}

fn parse_offset(text: &str) -> Result<i32, String> {
    let wrong = || "allowed is an offset as +01:00, -0530 or Z, at most 18 hours".to_owned();
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("Z" | "z", "")) => return Ok(0),
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        _ => return Err(wrong()),
    };
    let digits = digits.replace(':', "");
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: i32 = digits.parse().map_err(|_| wrong())?;
    let seconds = (number / 100) * 3600 + (number % 100) * 60;
    if number % 100 >= 60 || seconds > 18 * 3600 {
        Err(wrong())
    } else {
        Ok(sign * seconds)
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|error| format!("allowed is a time as 2026-11-20T12:00:00Z ({error})"))?;
    Ok(Timestamp::from_micros(time.as_microsecond()))
}

/// Prints what the normalizer makes of each file. Exit code 0 when every file was usable, 2 when one was not.
pub(crate) fn normalize(arguments: &NormalizeArgs) -> ExitCode {
    let code = normalize_to(
        arguments,
        &mut std::io::BufWriter::new(std::io::stdout().lock()),
        &mut std::io::stderr().lock(),
    );
    ExitCode::from(code)
}

fn normalize_to(arguments: &NormalizeArgs, out: &mut impl Write, say: &mut impl Write) -> u8 {
    let rules = match application_rules(arguments.application_rules.as_deref()) {
        Ok(rules) => rules,
        Err(error) => {
            let _ = writeln!(say, "rollcall: {error}");
            return 2;
        }
    };
    let context = Context {
        os: arguments.os.given(),
        format: arguments.format.given(),
        observed_at: arguments.observed_at.unwrap_or_else(wall_clock),
        utc_offset_seconds: arguments.utc_offset,
    };
    let encoding = Some(&*arguments.encoding).filter(|encoding| *encoding != AUTO);
    let mut total = Total::default();
    for file in &arguments.files {
        let done = normalize_file(file, encoding, &context, &rules, out, say);
        match done {
            Ok(count) => total.add(count),
            // A reader that has seen enough, as `head`, is no fault.
            Err(error) if is_broken_pipe(&error) => return 0,
            Err(error) => {
                total.unusable += 1;
                let _ = writeln!(say, "{}: unusable: {error:#}", shown(file));
            }
        }
    }
    let _ = writeln!(say, "{total}");
    if total.unusable == 0 { 0 } else { 2 }
}

/// What came of a file's lines.
#[derive(Clone, Copy)]
struct Count {
    processes: usize,
    rejected: usize,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Count {
            processes,
            rejected,
        } = *self;
        let processes = counted(processes, "process", "processes");
        write!(
            f,
            "{processes}, {} rejected",
            counted(rejected, "line", "lines")
        )
    }
}

#[derive(Default)]
struct Total {
    files: usize,
    processes: usize,
    rejected: usize,
    unusable: usize,
}

impl Total {
    fn add(&mut self, count: Count) {
        self.files += 1;
        self.processes += count.processes;
        self.rejected += count.rejected;
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = Count {
            processes: self.processes,
            rejected: self.rejected,
        };
        let files = counted(self.files + self.unusable, "file", "files");
        write!(f, "{files}: {count}, {} unusable", self.unusable)
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn shown(file: &Path) -> Cow<'_, str> {
    match file.to_str() {
        Some("-") => Cow::Borrowed("standard input"),
        _ => file.to_string_lossy(),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        let json = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind);
        io.or(json)
    };
    error
        .chain()
        .any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

fn normalize_file(
    file: &Path,
    encoding: Option<&str>,
    context: &Context,
    rules: &ApplicationRules,
    out: &mut impl Write,
    say: &mut impl Write,
) -> anyhow::Result<Count> {
    let bytes = read(file)?;
    let (text, encoding) = decode_text_named(&bytes, encoding)?;
    let listing = parse_text(&text, context, rules)?;
    for process in &listing.processes {
        serde_json::to_writer(&mut *out, &Line::of(process, listing.os))?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    let _ = tell_lines(file, &listing, say);
    let count = Count {
        processes: listing.processes.len(),
        rejected: listing.rejected.len(),
    };
    let format = listing.format.map_or("structured", Format::as_str);
    let os = listing.os.as_str();
    let _ = writeln!(say, "{}: {format}, {os}, {encoding}: {count}", shown(file));
    anyhow::ensure!(
        count.processes > 0 || count.rejected == 0,
        "none of its lines can be read"
    );
    Ok(count)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        let mut input = std::io::stdin().lock();
        input
            .read_to_end(&mut bytes)
            .context("standard input can't be read")?;
    } else {
        bytes = std::fs::read(file).context("the file can't be read")?;
    }
    Ok(bytes)
}

/// The lines of which nothing or not everything could be taken.
fn tell_lines(file: &Path, listing: &Listing<'_>, say: &mut impl Write) -> std::io::Result<()> {
    for line in &listing.rejected {
        writeln!(
            say,
            "{}:{}: {}: {}",
            shown(file),
            line.line,
            line.reason.as_str(),
            line.detail
        )?;
    }
    for null in &listing.nulls {
        writeln!(
            say,
            "{}:{}: null: {}: {} ({} in all)",
            shown(file),
            null.first_line,
            null.reason.as_str(),
            null.reason.detail(),
            counted(null.rows as usize, "row", "rows"),
        )?;
    }
    Ok(())
}

/// A process as it is printed: one flat object, whose keys are OpenTelemetry's attribute and metric names where it has
/// one. What the listing does not show is null.
#[derive(Serialize)]
struct Line<'p> {
    #[serde(rename = "process.pid")]
    pid: i32,
    #[serde(rename = "process.parent_pid")]
    parent_pid: Option<i32>,
    #[serde(rename = "process.executable.name")]
    executable_name: &'p str,
    #[serde(rename = "process.executable.path")]
    executable_path: Option<&'p str>,
    #[serde(rename = "process.command_line")]
    command_line: Option<&'p str>,
    #[serde(rename = "process.owner")]
    owner: Option<&'p str>,
    #[serde(rename = "process.state")]
    state: Option<&'static str>,
    #[serde(rename = "process.creation.time")]
    creation_time: Option<String>,
    #[serde(rename = "process.creation.precision")]
    creation_precision: Option<&'static str>,
    #[serde(rename = "process.cpu.time")]
    cpu_time: Option<Box<RawValue>>,
    #[serde(rename = "process.memory.usage")]
    memory_usage: Option<i64>,
    #[serde(rename = "process.memory.virtual")]
    memory_virtual: Option<i64>,
    #[serde(rename = "process.thread.count")]
    thread_count: Option<i32>,
    #[serde(rename = "os.type")]
    os_type: &'static str,
    application: &'p str,
    script: Option<&'p str>,
}

impl<'p> Line<'p> {
    fn of(process: &'p Process<'_>, os: Os) -> Self {
        let created = process.created_at;
        Line {
            pid: process.pid,
            parent_pid: process.parent_pid,
            executable_name: &process.executable_name,
            executable_path: process.executable_path.as_deref(),
            command_line: process.command_line.as_deref(),
            owner: process.owner.as_deref(),
            state: process.state.map(|state| state.as_str()),
            creation_time: created.and_then(|created| utc(created.at)),
            creation_precision: created.map(|created| created.precision.as_str()),
            cpu_time: process.cpu_time_us.and_then(seconds),
            memory_usage: process.memory_usage_bytes,
            memory_virtual: process.memory_virtual_bytes,
            thread_count: process.thread_count,
            os_type: os_type(os),
            application: &process.application,
            script: process.script.as_deref(),
        }
    }
}

/// OpenTelemetry's value, which for macOS is the name of its kernel.
const fn os_type(os: Os) -> &'static str {
    match os {
        Os::Linux => "linux",
        Os::Macos => "darwin",
        Os::Windows => "windows",
    }
}

/// `2026-11-20T12:00:00Z`.
fn utc(time: Timestamp) -> Option<String> {
    let time = jiff::Timestamp::from_microsecond(time.as_micros()).ok()?;
    Some(time.to_string())
}

/// Microseconds in seconds, exactly: a JSON number with as many decimals as it takes.
fn seconds(micros: i64) -> Option<Box<RawValue>> {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    let mut number = whole.to_string();
    if rest != 0 {
        let decimals = format!("{:06}", rest.unsigned_abs());
        let sign = if whole == 0 && micros < 0 { "-" } else { "" };
        number = format!("{sign}{whole}.{}", decimals.trim_end_matches('0'));
    }
    RawValue::from_string(number).ok()
}

#[cfg(test)]
mod tests;
