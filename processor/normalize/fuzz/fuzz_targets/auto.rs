//! Any bytes, of which nothing is known: encoding, system and format are found from them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_normalize::decode_text;
use rollcall_normalize_fuzz::{check_that_every_format_has_a_target, parse_anything};

fuzz_target!(
    init: check_that_every_format_has_a_target(),
    |data: &[u8]| {
        if let Ok(text) = decode_text(data, None) {
            parse_anything(&text);
        }
    }
);
