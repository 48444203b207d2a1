//! What holds for every listing, whatever it was read from.

use crate::OBSERVED_AT;
use rollcall_domain::Timestamp;
use rollcall_domain::time::DAY_US;
use rollcall_normalize::{Format, Listing};
use std::cell::RefCell;

/// Nothing began more than a day after it was observed: no machine's offset from UTC is wrong by more.
const LATEST: Timestamp = OBSERVED_AT.plus_micros(DAY_US);

/// Values are in their ranges, names are there, pids are unique, rejected lines are in order.
pub fn check_rows(listing: &Listing<'_>) {
    thread_local!(static PIDS: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) });
    for process in &listing.processes {
        assert!(process.pid >= 0, "{process:?}");
        assert!(process.parent_pid.is_none_or(|pid| pid >= 0), "{process:?}");
        assert!(!process.executable_name.is_empty(), "{process:?}");
        assert!(!process.application.is_empty(), "{process:?}");
        assert!(process.owner.as_deref() != Some(""), "{process:?}");
        assert!(
            process.executable_path.as_deref() != Some(""),
            "{process:?}"
        );
        assert!(process.command_line.as_deref() != Some(""), "{process:?}");
        assert!(process.cpu_time_us.is_none_or(|us| us >= 0), "{process:?}");
        assert!(
            process.memory_usage_bytes.is_none_or(|bytes| bytes >= 0),
            "{process:?}"
        );
        assert!(
            process.memory_virtual_bytes.is_none_or(|bytes| bytes >= 0),
            "{process:?}"
        );
        assert!(
            process.thread_count.is_none_or(|count| count >= 0),
            "{process:?}"
        );
        assert!(
            process.created_at.is_none_or(|time| time.at <= LATEST),
            "{process:?}"
        );
    }
    PIDS.with_borrow_mut(|pids| {
        pids.clear();
        pids.extend(listing.processes.iter().map(|process| process.pid));
        pids.sort_unstable();
        assert!(pids.is_sorted_by(|a, b| a < b), "a pid twice: {pids:?}");
    });
    assert!(listing.rejected.is_sorted_by_key(|error| error.line));
}

/// No line is read twice, and none with a number in it is passed over in silence: headers and rulers have no digits.
pub fn check_lines(text: &str, listing: &Listing<'_>) {
    let accounted = listing.processes.len() + listing.rejected.len();
    if listing
        .format
        .is_some_and(|format| format.as_str() == "powershell-json")
    {
        return;
    }
    let is_blank = |line: &&str| line.trim().is_empty();
    let lines = || text.split('\n').filter(|line| !is_blank(line));
    assert!(accounted <= lines().count().max(1), "more rows than lines");
    if listing.format.is_some_and(has_a_line_for_a_row) {
        let with_digits = lines()
            .filter(|line| line.bytes().any(|byte| byte.is_ascii_digit()))
            .count();
        assert!(
            accounted >= with_digits,
            "{accounted} rows of {with_digits} lines with digits"
        );
    }
}

/// Whether each line of a listing is a process, or a header without digits.
fn has_a_line_for_a_row(format: Format) -> bool {
    matches!(
        format.as_str(),
        "ps-aux"
            | "ps-ef"
            | "macos-ps-aux"
            | "macos-ps-ef"
            | "tasklist-csv"
            | "tasklist-verbose-csv"
    )
}
