//! A user's file of application rules, and a listing read by those rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_normalize::{ApplicationRules, Context, parse_text};
use rollcall_normalize_fuzz::{OBSERVED_AT, check};

const LISTING: &str = "\
USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND
ada 7 0.0 0.0 1 1 ? S 09:00 0:00 /opt/google/chrome/chrome --type=renderer
ada 8 0.0 0.0 1 1 ? S 09:00 0:00 python3.12 train.py
ada 9 0.0 0.0 1 1 ? S 09:00 0:00 /usr/lib/thing/launcher helper
ada 10 0.0 0.0 1 1 ? S 09:00 0:00 A
";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // Laying the built-in rules under takes a millisecond: only inputs of some lengths have them.
    let alone = format!("builtin = false\n{text}");
    let text = if text.len() % 512 == 0 { text } else { &alone };
    let Ok(rules) = ApplicationRules::from_toml(text) else {
        return;
    };
    let context = Context {
        os: None,
        format: None,
        observed_at: OBSERVED_AT,
        utc_offset_seconds: None,
    };
    let listing = parse_text(LISTING, &context, &rules).expect("a listing");
    assert_eq!(listing.processes.len(), 4);
    check(LISTING, &listing);
    let again = ApplicationRules::from_toml(text).expect("the same rules");
    assert_eq!(rules.digest(), again.digest());
});
