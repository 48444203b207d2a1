//! What the fuzz targets share: how an input is parsed, and what must hold for any input at all.
//!
//! A target checks invariants, not only that nothing panics: values in their ranges, pids unique, no line lost, memory
//! bounded by the input, and (by libFuzzer's `-timeout` on an input that is repeated until it is large) time as well.
//!
//! Which target a format belongs to is said in [`target_of`]; a format that has none stops `auto` at its start.

pub mod draw;
pub mod invariants;
mod memory;

pub use memory::measured;

use rollcall_domain::{Os, Timestamp};
use rollcall_normalize::{ApplicationRules, Context, Format, Listing, parse_text};
use std::sync::LazyLock;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// The built-in rules.
pub static RULES: LazyLock<ApplicationRules> = LazyLock::new(ApplicationRules::builtin);

/// 2026-11-20T13:30:10Z.
pub const OBSERVED_AT: Timestamp = Timestamp::from_micros(1_795_181_410_000_000);

/// Bytes that any parse may take, whatever its input.
const ALLOWED_BYTES: usize = 64 * 1024;
/// Bytes that a parse may take for each byte of its input: a row of 16 bytes becomes a process of some 300.
const ALLOWED_PER_BYTE: usize = 64;
/// One input in so many is also parsed large.
const LARGE_SHARE: u64 = 4_096;
/// How large: a parser that is quadratic in this takes longer than the timeout.
const LARGE_BYTES: usize = 512 * 1024;

/// The fuzz target that a format belongs to.
pub fn target_of(format: Format) -> Option<&'static str> {
    let name = format.as_str();
    let has = |part: &str| name.contains(part);
    Some(match name {
        "ps-aux" | "ps-ef" => "linux_ps",
        "macos-ps-aux" | "macos-ps-ef" => "macos_ps",
        "busybox-ps" => "busybox",
        _ if has("ps-columns") => "ps_columns",
        "powershell-csv" | "wmic-csv" => "powershell_csv",
        "powershell-json" => "powershell_json",
        _ if has("tasklist") && has("csv") => "tasklist_csv",
        _ if has("tasklist") && name.ends_with("-list") => "tasklist_list",
        _ if has("tasklist") => "tasklist_table",
        _ => return None,
    })
}

/// The formats of a target; stops where there are none, for a target that parses nothing finds nothing.
pub fn formats_of(target: &str) -> Vec<Format> {
    let formats: Vec<_> = Format::ALL
        .into_iter()
        .filter(|format| target_of(*format) == Some(target))
        .collect();
    assert!(
        !formats.is_empty(),
        "no format belongs to the target {target}"
    );
    formats
}

/// Stops where a format was added that no target parses by its name.
pub fn check_that_every_format_has_a_target() {
    for format in Format::ALL {
        assert!(
            target_of(format).is_some(),
            "{} has no fuzz target: add it to target_of and to Cargo.toml",
            format.as_str()
        );
    }
}

/// Parses `data` as each of `formats` in turn.
pub fn parse_as(formats: &[Format], data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for format in formats {
        parse_and_check(&text, Some(format.os()), Some(*format));
    }
    if is_drawn(data) {
        let large = repeated(&text);
        for format in formats {
            parse_and_check(&large, Some(format.os()), Some(*format));
        }
    }
}

/// Parses `text` without being told what it is.
pub fn parse_anything(text: &str) {
    parse_and_check(text, None, None);
    if is_drawn(text.as_bytes()) {
        parse_and_check(&repeated(text), None, None);
    }
}

fn parse_and_check(text: &str, os: Option<Os>, format: Option<Format>) {
    LazyLock::force(&RULES);
    let context = Context {
        os,
        format,
        observed_at: OBSERVED_AT,
        utc_offset_seconds: Some(3_600),
    };
    let (parsed, bytes) = measured(|| parse_text(text, &context, &RULES));
    check_memory(bytes, text.len());
    if let Ok(listing) = &parsed {
        check(text, listing);
    }
}

/// Checks what holds for any listing read from `text`.
pub fn check(text: &str, listing: &Listing<'_>) {
    invariants::check_rows(listing);
    invariants::check_lines(text, listing);
}

/// Checks that no more memory was taken than the input is worth.
pub fn check_memory(taken: usize, input: usize) {
    let allowed = ALLOWED_BYTES + ALLOWED_PER_BYTE * input;
    assert!(
        taken <= allowed,
        "{taken} bytes of memory for {input} bytes of input"
    );
}

/// Whether this input is one of those that are also parsed large. The input alone decides, so that a finding repeats.
fn is_drawn(data: &[u8]) -> bool {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = data.iter().fold(0xcbf2_9ce4_8422_2325, fold);
    (hash >> 20).is_multiple_of(LARGE_SHARE)
}

fn repeated(text: &str) -> String {
    text.repeat(LARGE_BYTES / text.len().max(1) + 1)
}
