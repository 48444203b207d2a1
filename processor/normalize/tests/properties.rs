//! Properties of every parser: nothing panics, every line is accounted for, order does not matter.

use proptest::prelude::*;
use rollcall_domain::{Os, Timestamp};
use rollcall_normalize::{ApplicationRules, Context, Format, Listing, decode_text, parse_text};
use std::sync::LazyLock;

static RULES: LazyLock<ApplicationRules> = LazyLock::new(ApplicationRules::builtin);

/// The golden listings, as bytes.
static CORPUS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut paths = Vec::new();
    for os in Os::ALL {
        for entry in std::fs::read_dir(root.join(os.as_str())).expect("folder") {
            let path = entry.expect("entry").path();
            if path.extension().is_some_and(|extension| extension == "txt") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("listing"))
        .collect()
});

fn context(os: Option<Os>, format: Option<Format>) -> Context {
    let observed_at = Timestamp::from_micros(1_795_181_410_000_000);
    Context {
        os,
        format,
        observed_at,
        utc_offset_seconds: Some(3600),
    }
}

/// Parses in every way there is and checks what holds for any listing.
fn parse_every_way(bytes: &[u8]) {
    for encoding in [
        None,
        Some("utf-8"),
        Some("cp850"),
        Some("cp932"),
        Some("utf-16le"),
    ] {
        let Ok(text) = decode_text(bytes, encoding) else {
            continue;
        };
        let formats = std::iter::once(None).chain(Format::ALL.map(Some));
        for format in formats {
            for os in [None, Some(Os::Linux), Some(Os::Macos), Some(Os::Windows)] {
                if let Ok(listing) = parse_text(&text, &context(os, format), &RULES) {
                    check_invariants(&text, &listing);
                }
            }
        }
    }
}

fn check_invariants(text: &str, listing: &Listing<'_>) {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    // Several objects of JSON may share a line.
    let records = match listing.format {
        Some(Format::PowershellJson) => lines + text.matches('}').count(),
        _ => lines,
    };
    assert!(
        listing.processes.len() + listing.rejected.len() <= records,
        "{} rows and {} rejected lines of {records} as {:?}: {:?} in {text:?}",
        listing.processes.len(),
        listing.rejected.len(),
        listing.format,
        listing.rejected,
    );
    for process in &listing.processes {
        assert!(
            process.pid >= 0
                && !process.executable_name.is_empty()
                && !process.application.is_empty()
        );
        assert!(process.cpu_time_us.is_none_or(|value| value >= 0));
        let latest = context(None, None).observed_at.plus_micros(86_400_000_000);
        assert!(
            process
                .created_at
                .is_none_or(|created| created.at <= latest)
        );
        assert!(process.memory_usage_bytes.is_none_or(|value| value >= 0));
        assert!(process.memory_virtual_bytes.is_none_or(|value| value >= 0));
    }
    let pids: std::collections::BTreeSet<_> = listing
        .processes
        .iter()
        .map(|process| process.pid)
        .collect();
    assert_eq!(pids.len(), listing.processes.len());
    assert!(listing.rejected.is_sorted_by_key(|error| error.line));
}

/// Whether lines can be put into another order: a row is a line, which needs none of the others.
fn is_a_row_a_line(format: Format) -> bool {
    !matches!(
        format,
        Format::TasklistNotice
            | Format::TasklistServicesTable
            | Format::TasklistList
            | Format::TasklistVerboseList
            | Format::TasklistServicesList
            | Format::PowershellCsv
            | Format::PowershellJson
    )
}

/// Rows that are read, and rows that are not, for each form; no header among them.
fn lines_of(format: Format) -> Vec<String> {
    let mut lines = Vec::new();
    for bytes in CORPUS.iter() {
        let Ok(text) = decode_text(bytes, None) else {
            continue;
        };
        let Ok(listing) = parse_text(&text, &context(None, None), &RULES) else {
            continue;
        };
        if listing.format != Some(format) {
            continue;
        }
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let is_header =
                line.starts_with("==") || !line.bytes().any(|byte| byte.is_ascii_digit());
            if !is_header {
                lines.push(line.to_owned());
            }
        }
    }
    lines
}

/// What fuzzing found, and stays mended. Each file is named after what it broke.
#[test]
fn findings_stay_mended() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/regressions");
    for entry in std::fs::read_dir(folder).expect("folder") {
        let bytes = std::fs::read(entry.expect("entry").path()).expect("finding");
        parse_every_way(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        parse_every_way(&bytes);
    }

    #[test]
    fn any_text(text in "(\\PC|[\n\r \t:\"=\\[\\](),.0-9]){0,300}") {
        parse_every_way(text.as_bytes());
    }

    #[test]
    fn mutated_listings(
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..12),
    ) {
        let mut bytes = which.get(&CORPUS).clone();
        for (at, byte, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        parse_every_way(&bytes);
    }

    #[test]
    fn every_line_is_accounted_for_in_any_order(
        format in prop::sample::select(
            Format::ALL.into_iter().filter(|format| is_a_row_a_line(*format)).collect::<Vec<_>>()
        ),
        shuffle in any::<u64>(),
        rubbish in proptest::collection::vec("[a-z0-9 :.]{1,40}", 0..4),
    ) {
        let mut lines = lines_of(format);
        prop_assume!(!lines.is_empty());
        lines.extend(rubbish.into_iter().filter(|line| !line.trim().is_empty()));
        // Equal pids are kept apart, for which of them is rejected does depend on the order.
        lines.sort();
        lines.dedup();
        let ordered = lines.join("\n");
        let mut keyed: Vec<_> = lines.iter().enumerate()
            .map(|(index, line)| ((index as u64 + 1).wrapping_mul(shuffle | 1).rotate_left(17), line.as_str()))
            .collect();
        keyed.sort();
        let shuffled = keyed.iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\r\n");
        let context = context(Some(format.os()), Some(format));
        let (first, second) = (
            parse_text(&ordered, &context, &RULES).expect("listing"),
            parse_text(&shuffled, &context, &RULES).expect("listing"),
        );
        for listing in [&first, &second] {
            prop_assert_eq!(listing.processes.len() + listing.rejected.len(), lines.len());
        }
        let duplicates = |listing: &Listing<'_>| {
            listing.rejected.iter().filter(|error| error.reason == rollcall_domain::LineReason::DuplicatePid).count()
        };
        prop_assert_eq!(duplicates(&first), duplicates(&second));
        if duplicates(&first) == 0 {
            let by_pid = |listing: &Listing<'_>| {
                let mut rows: Vec<_> = listing.processes.iter().map(|process| format!("{process:?}")).collect();
                rows.sort();
                rows
            };
            prop_assert_eq!(by_pid(&first), by_pid(&second));
        }
    }
}
