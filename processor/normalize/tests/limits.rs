//! Every bound at its value and one beyond.

use rollcall_domain::{LineReason, Os, Timestamp};
use rollcall_normalize::limits::{MAX_LINE_BYTES, MAX_PROCESSES};
use rollcall_normalize::{ApplicationRules, Context, parse_text};

fn rejected(text: &str) -> (usize, Vec<LineReason>) {
    let rules = ApplicationRules::builtin();
    let observed_at = Timestamp::from_micros(0);
    let context = Context {
        os: Some(Os::Linux),
        format: None,
        observed_at,
        utc_offset_seconds: None,
    };
    let listing = parse_text(text, &context, &rules).expect("listing");
    (
        listing.processes.len(),
        listing.rejected.iter().map(|error| error.reason).collect(),
    )
}

fn line(pid: usize, length: usize) -> String {
    let start = format!("u {pid} 0.0 0.0 1 1 ? S 00:00 0:00 ");
    let command = "x".repeat(length.saturating_sub(start.len()).max(1));
    format!("{start}{command}\n")
}

#[test]
fn line_length() {
    assert_eq!(
        rejected(&(line(1, 0) + &line(2, MAX_LINE_BYTES))),
        (2, vec![])
    );
    assert_eq!(
        rejected(&(line(1, 0) + &line(2, MAX_LINE_BYTES + 1))),
        (1, vec![LineReason::TooLong])
    );
}

#[test]
fn processes() {
    let mut text: String = (0..MAX_PROCESSES).map(|pid| line(pid, 0)).collect();
    assert_eq!(rejected(&text), (MAX_PROCESSES, vec![]));
    text += &line(MAX_PROCESSES, 0);
    assert_eq!(rejected(&text), (MAX_PROCESSES, vec![LineReason::TooMany]));
}

#[test]
fn duplicates_are_found_in_any_order() {
    let text: String = [9, 3, 5, 3, 9, 1, 1]
        .iter()
        .map(|pid| line(*pid, 0))
        .collect();
    assert_eq!(rejected(&text), (4, vec![LineReason::DuplicatePid; 3]));
    let mut text: String = (0..5000).rev().map(|pid| line(pid, 0)).collect();
    text += &line(2500, 0);
    assert_eq!(rejected(&text), (5000, vec![LineReason::DuplicatePid]));
}
