//! Every bound at its value and one beyond.

use rollcall_domain::{LineReason, Os, Timestamp};
use rollcall_normalize::limits::{
    MAX_JSON_OBJECT_BYTES, MAX_LINE_BYTES, MAX_NAME_BYTES, MAX_PROCESSES, MAX_PROPERTIES,
    MAX_UNCLOSED_OBJECTS,
};
use rollcall_normalize::{ApplicationRules, Context, parse_text};

fn rejected(text: &str) -> (usize, Vec<LineReason>) {
    rejected_on(Os::Linux, text)
}

fn rejected_on(os: Os, text: &str) -> (usize, Vec<LineReason>) {
    let rules = ApplicationRules::builtin();
    let observed_at = Timestamp::from_micros(0);
    let context = Context {
        os: Some(os),
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
    let arguments = length.saturating_sub(start.len() + 2);
    match arguments {
        0 => format!("{start}x\n"),
        _ => format!("{start}x {}\n", "y".repeat(arguments)),
    }
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
fn names() {
    let row = |owner: &str, name: &str| format!("{owner} 1 0.0 0.0 0 0 ? S 00:00 0:00 {name}\n");
    let (fits, long) = ("x".repeat(MAX_NAME_BYTES), "x".repeat(MAX_NAME_BYTES + 1));
    // In lower case, it is three bytes rather than two.
    let grows = "İ".repeat(MAX_NAME_BYTES / 2);
    // Its application is `kernel`.
    let thread = format!("[{fits}]");
    for (owner, name, good) in [
        ("u", &*fits, true),
        ("u", &*long, false),
        (&*fits, "x", true),
        (&*long, "x", false),
        ("u", &*grows, false),
        ("u", &*thread, false),
    ] {
        let expect = match good {
            true => (1, vec![]),
            false => (0, vec![LineReason::TooLong]),
        };
        assert_eq!(rejected(&row(owner, name)), expect);
    }
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

#[test]
fn objects_of_json() {
    let object = |pid: usize, length: usize| {
        let start = format!("{{\"Id\":{pid},\"Name\":\"a\",\"x\":\"");
        let filling = "x".repeat(length.saturating_sub(start.len() + 2));
        format!("{start}{filling}\"}}\n")
    };
    let first = object(1, 0);
    assert_eq!(
        rejected_on(
            Os::Windows,
            &(first.clone() + &object(2, MAX_JSON_OBJECT_BYTES))
        ),
        (2, vec![])
    );
    assert_eq!(
        rejected_on(
            Os::Windows,
            &(first.clone() + &object(2, MAX_JSON_OBJECT_BYTES + 1))
        ),
        (1, vec![LineReason::TooLong])
    );
    // An object over two lines is found while objects that do not close are searched to the end, and no longer.
    let unclosed =
        |count: usize| first.clone() + &"{\"\n\"\n".repeat(count) + "{\"Id\":2,\n\"Name\":\"b\"}";
    for (count, processes) in [(MAX_UNCLOSED_OBJECTS - 1, 2), (MAX_UNCLOSED_OBJECTS, 1)] {
        assert_eq!(
            rejected_on(Os::Windows, &unclosed(count)).0,
            processes,
            "{count}"
        );
    }
}

#[test]
fn properties_of_csv() {
    let csv = |count: usize| {
        let names: Vec<_> = (0..count - 2).map(|index| format!("p{index}")).collect();
        format!("Id,Name,{}\n1,a,{}", names.join(","), names.join(","))
    };
    assert_eq!(rejected_on(Os::Windows, &csv(MAX_PROPERTIES)).0, 1);
    let rules = ApplicationRules::builtin();
    let context = Context {
        os: Some(Os::Windows),
        format: None,
        observed_at: Timestamp::from_micros(0),
        utc_offset_seconds: None,
    };
    assert!(parse_text(&csv(MAX_PROPERTIES + 1), &context, &rules).is_err());
}
