//! The golden corpus: every listing under `testdata` gives exactly the rows next to it.
//!
//! `UPDATE_EXPECT=1 cargo test -p rollcall-normalize --test golden` rewrites the rows; read the difference before you
//! commit it.

use rollcall_domain::{Os, Process, RejectionReason, Timestamp};
use rollcall_normalize::{
    ApplicationRules, Context, Format, Listing, PayloadError, decode_text, parse_text,
};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// 2026-11-20T13:30:10Z, a Friday.
const OBSERVED_AT: Timestamp = Timestamp::from_micros(1_795_181_410_000_000);
const UTC_OFFSET_SECONDS: i32 = 3600;

fn folder(os: Os) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(os.as_str())
}

fn context(os: Option<Os>) -> Context {
    Context {
        os,
        format: None,
        observed_at: OBSERVED_AT,
        utc_offset_seconds: Some(UTC_OFFSET_SECONDS),
    }
}

/// `name.cp850.txt` is in code page 850, `name.txt` in what its bytes show.
fn encoding(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    Some(stem.split_once('.')?.1.to_owned())
}

/// Parses `os/name` and compares with `os/name` ending in `.expect`. The operating system must be found from the text
/// as well as it is taken from the context.
fn check(os: Os, path: &Path) {
    let bytes = std::fs::read(path).expect("listing");
    let rules = ApplicationRules::builtin();
    let read = |os: Option<Os>, show: &dyn Fn(Result<Listing<'_>, PayloadError>) -> String| {
        let text = match decode_text(&bytes, encoding(path).as_deref()) {
            Ok(text) => text,
            Err(error) => return show(Err(error)),
        };
        show(parse_text(&text, &context(os), &rules))
    };
    let show = |result: Result<Listing<'_>, PayloadError>| match result {
        Ok(listing) => render(&listing),
        Err(error) => format!("{error}\n"),
    };
    let mut got = read(Some(os), &show);
    let found = read(None, &show);
    if found.contains("say which it is") && !got.contains("say which it is") {
        got.insert_str(0, "# only where the system is given\n");
    } else {
        assert_eq!(
            got,
            found,
            "{} is not recognized as it should be",
            path.display()
        );
    }
    let expected = path.with_extension("expect");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&expected, &got).expect("written");
    }
    let want = std::fs::read_to_string(&expected).unwrap_or_default();
    assert_eq!(
        got,
        want,
        "{} (UPDATE_EXPECT=1 rewrites it)",
        expected.display()
    );
}

fn check_all(os: Os) -> usize {
    let mut paths: Vec<_> = std::fs::read_dir(folder(os))
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    for path in &paths {
        check(os, path);
    }
    paths.len()
}

#[test]
fn linux_listings() {
    assert!(check_all(Os::Linux) >= 5);
}

#[test]
fn macos_listings() {
    assert!(check_all(Os::Macos) >= 4);
}

#[test]
fn windows_listings() {
    assert!(check_all(Os::Windows) >= 8);
}

#[test]
fn every_listing_stands_in_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    for os in Os::ALL {
        for entry in std::fs::read_dir(folder(os)).expect("folder") {
            let path = entry.expect("entry").path();
            if path.extension().is_some_and(|extension| extension == "txt") {
                let name = format!(
                    "{}/{}",
                    os.as_str(),
                    path.file_name().expect("name").to_string_lossy()
                );
                assert!(readme.contains(&format!("`{name}`")), "{name}");
            }
        }
    }
}

#[test]
fn what_is_no_listing_is_refused() {
    let rules = ApplicationRules::builtin();
    let reason = |text: &str, os| {
        parse_text(text, &context(os), &rules)
            .map(|_| ())
            .map_err(|error| error.reason)
    };
    let unknown = Err(RejectionReason::UnknownFormat);
    for text in [
        "hello\n",
        "ERROR: The search filter cannot be recognized.\n",
        "a b c\n1 2 3\n",
        "=== ===\n",
        "\"a\",\"b\"\n",
    ] {
        for os in [None, Some(Os::Linux), Some(Os::Macos), Some(Os::Windows)] {
            assert_eq!(reason(text, os), unknown, "{text}");
        }
    }
    let header = "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n";
    assert_eq!(reason(header, Some(Os::Windows)), unknown);
    assert_eq!(reason(header, Some(Os::Linux)), Ok(()));
}

#[test]
fn a_given_form_is_believed() {
    let rules = ApplicationRules::builtin();
    let line = "ada 7 0,0 0,1 4 8 s003 S+ 9:24 0:00,14 -zsh\n";
    let context = Context {
        format: Some(Format::PsAux),
        ..context(Some(Os::Macos))
    };
    let listing = parse_text(line, &context, &rules).expect("listing");
    assert_eq!(
        (listing.format, listing.processes.len()),
        (Some(Format::MacosPsAux), 1)
    );
    assert_eq!(
        Format::ALL.map(|format| Format::parse(format.as_str())),
        Format::ALL.map(Some)
    );
}

fn render(listing: &Listing<'_>) -> String {
    let mut out = format!(
        "# {} {}\n",
        listing.os.as_str(),
        listing.format.map_or("", Format::as_str)
    );
    for process in &listing.processes {
        out.push_str(&row(process));
    }
    for null in &listing.nulls {
        let reason = null.reason.as_str();
        writeln!(
            out,
            "? {reason}: {} rows, first line {}",
            null.rows, null.first_line
        )
        .expect("written");
    }
    for error in &listing.rejected {
        let raw = String::from_utf8_lossy(&error.raw);
        writeln!(
            out,
            "! line {}: {}: {}: {raw:?}",
            error.line,
            error.reason.as_str(),
            error.detail
        )
        .expect("written");
    }
    out
}

/// One line of JSON; what is `None` is left out.
fn row(process: &Process<'_>) -> String {
    let mut out = format!("{{\"pid\":{}", process.pid);
    let mut number = |key: &str, value: Option<i64>| {
        if let Some(value) = value {
            write!(out, ",\"{key}\":{value}").expect("written");
        }
    };
    number("parent", process.parent_pid.map(i64::from));
    number("cpu_us", process.cpu_time_us);
    number("memory", process.memory_usage_bytes);
    number("virtual", process.memory_virtual_bytes);
    number("threads", process.thread_count.map(i64::from));
    let created = process.created_at.map(|created| {
        let at = jiff::Timestamp::from_microsecond(created.at.as_micros()).expect("in range");
        format!("{at} {}", created.precision.as_str())
    });
    let mut text = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            write!(out, ",\"{key}\":{value:?}").expect("written");
        }
    };
    text("application", Some(&process.application));
    text("name", Some(&process.executable_name));
    text("state", process.state.map(|state| state.as_str()));
    text("owner", process.owner.as_deref());
    text("created", created.as_deref());
    text("path", process.executable_path.as_deref());
    text("command", process.command_line.as_deref());
    text("script", process.script.as_deref());
    out.push_str("}\n");
    out
}
