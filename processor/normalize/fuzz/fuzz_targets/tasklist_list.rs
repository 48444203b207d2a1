//! `tasklist /fo list`, plain, with `/v` and with `/svc`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_normalize::Format;
use rollcall_normalize_fuzz::{formats_of, parse_as};
use std::sync::LazyLock;

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| formats_of("tasklist_list"));

fuzz_target!(|data: &[u8]| parse_as(&FORMATS, data));
