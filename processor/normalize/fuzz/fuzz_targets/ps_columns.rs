//! Columns that a header names: `ps -eo`, of procps and of macOS.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_normalize::Format;
use rollcall_normalize_fuzz::{formats_of, parse_as};
use std::sync::LazyLock;

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| formats_of("ps_columns"));

fuzz_target!(|data: &[u8]| parse_as(&FORMATS, data));
