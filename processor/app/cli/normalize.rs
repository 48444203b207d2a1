//! `rollcall normalize`: what the normalizer makes of files, without Kafka or a database.

use crate::clock::wall_clock;
use anyhow::Context as _;
use rollcall_domain::{Os, Process, Timestamp};
use rollcall_normalize::{ApplicationRules, Context, Format, Listing, decode_text, parse_text};
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `normalize`.
#[derive(Debug, clap::Args)]
pub(crate) struct NormalizeArgs {
    /// Saved output of ps or tasklist; - is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// linux, macos or windows; found from the text where not given
    #[arg(long, value_parser = parse_os)]
    os: Option<Os>,
    /// The form's name; found from the text where not given
    #[arg(long, value_parser = parse_format)]
    format: Option<Format>,
    /// utf-8, cp850, windows-1252, …; found from the bytes where not given
    #[arg(long)]
    encoding: Option<String>,
    /// The machine's offset from UTC, as +01:00; without it, local start times are null
    #[arg(long, value_parser = parse_offset, allow_hyphen_values = true)]
    utc_offset: Option<i32>,
    /// When the listing was taken, as 2026-11-20T12:00:00Z; now where not given
    #[arg(long, value_parser = parse_time)]
    observed_at: Option<Timestamp>,
}

fn parse_os(text: &str) -> Result<Os, String> {
    Os::parse(text).ok_or_else(|| "allowed are linux, macos and windows".to_owned())
}

fn parse_format(text: &str) -> Result<Format, String> {
    Format::parse(text).ok_or_else(|| {
        let all: Vec<_> = Format::ALL.iter().map(|format| format.as_str()).collect();
        format!("allowed are {}", all.join(", "))
    })
}

fn parse_offset(text: &str) -> Result<i32, String> {
    let wrong = || "allowed is an offset as +01:00 or -0530, at most 18 hours".to_owned();
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        _ => return Err(wrong()),
    };
    let digits = digits.replace(':', "");
    if digits.len() != 4 {
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
    let rules = ApplicationRules::builtin();
    let observed_at = arguments.observed_at.unwrap_or_else(wall_clock);
    let context = Context {
        os: arguments.os,
        format: arguments.format,
        observed_at,
        utc_offset_seconds: arguments.utc_offset,
    };
    let (mut accepted, mut rejected, mut unusable) = (0, 0, 0);
    for file in &arguments.files {
        match normalize_file(file, arguments.encoding.as_deref(), &context, &rules) {
            Ok((good, bad)) => {
                accepted += good;
                rejected += bad;
            }
            // A reader that has seen enough, as `head`, is no fault.
            Err(error) if is_broken_pipe(&error) => return ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error:#}", file.display());
                unusable += 1;
            }
        }
    }
    eprintln!("{accepted} processes, {rejected} lines rejected, {unusable} files unusable");
    if unusable == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
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
) -> anyhow::Result<(usize, usize)> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .context("standard input can't be read")?;
    } else {
        bytes = std::fs::read(file).context("the file can't be read")?;
    }
    let text = decode_text(&bytes, encoding)?;
    let listing = parse_text(&text, context, rules)?;
    print_listing(file, &listing)?;
    Ok((listing.processes.len(), listing.rejected.len()))
}

fn print_listing(file: &Path, listing: &Listing<'_>) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for process in &listing.processes {
        serde_json::to_writer(&mut out, &to_json(process, listing.os))?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    for line in &listing.rejected {
        eprintln!(
            "{}:{}: {}: {}",
            file.display(),
            line.line,
            line.reason.as_str(),
            line.detail
        );
    }
    Ok(())
}

/// One flat object; keys are OpenTelemetry's attribute and metric names.
fn to_json(process: &Process<'_>, os: Os) -> Value {
    let created = process.created_at.map(|created| {
        jiff::Timestamp::from_microsecond(created.at.as_micros())
            .map(|time| time.to_string())
            .unwrap_or_default()
    });
    let fields = [
        ("os.type", json!(os.as_str())),
        ("process.pid", json!(process.pid)),
        ("process.parent_pid", json!(process.parent_pid)),
        ("process.executable.name", json!(process.executable_name)),
        ("process.executable.path", json!(process.executable_path)),
        ("process.command_line", json!(process.command_line)),
        ("process.owner", json!(process.owner)),
        (
            "process.state",
            json!(process.state.map(|state| state.as_str())),
        ),
        ("process.creation.time", json!(created)),
        (
            "process.creation.precision",
            json!(process.created_at.map(|created| created.precision.as_str())),
        ),
        ("process.cpu.time_us", json!(process.cpu_time_us)),
        ("process.memory.usage", json!(process.memory_usage_bytes)),
        (
            "process.memory.virtual",
            json!(process.memory_virtual_bytes),
        ),
        ("process.thread.count", json!(process.thread_count)),
        ("application", json!(process.application)),
    ];
    Value::Object(
        fields
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<Map<_, _>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        assert_eq!(parse_offset("+05:30"), Ok(19_800));
        assert_eq!(parse_offset("-0500"), Ok(-18_000));
        for wrong in ["", "5", "+5", "+19:00", "+01:75", "01:00", "+ab:cd"] {
            assert!(parse_offset(wrong).is_err(), "{wrong:?}");
        }
    }
}
