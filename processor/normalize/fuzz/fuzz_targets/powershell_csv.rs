//! Process objects as csv: PowerShell's, and `wmic`'s.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_normalize::Format;
use rollcall_normalize_fuzz::{formats_of, parse_as};
use std::sync::LazyLock;

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| formats_of("powershell_csv"));

fuzz_target!(|data: &[u8]| parse_as(&FORMATS, data));
