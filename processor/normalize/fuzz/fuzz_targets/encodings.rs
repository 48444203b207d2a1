//! Bytes in an encoding that is named, rightly or wrongly: the first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_normalize::decode_text;
use rollcall_normalize_fuzz::{check_memory, measured, parse_anything};

const LABELS: [&str; 24] = [
    "",
    "utf-8",
    "cp437",
    "cp850",
    "cp852",
    "cp858",
    "cp866",
    "cp862",
    "cp932",
    "cp936",
    "cp949",
    "cp950",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "utf-16le",
    "utf-16be",
    "shift_jis",
    "gb18030",
    "iso-2022-jp",
    "x-user-defined",
];

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let label = LABELS[usize::from(*first) % LABELS.len()];
    let (text, taken) = measured(|| decode_text(bytes, Some(label)));
    check_memory(taken, bytes.len());
    let Ok(text) = text else { return };
    assert_eq!(decode_text(bytes, Some(label)).as_deref(), Ok(&*text));
    // Escapes may color a listing: what they do is not its text.
    let is_plain = bytes.is_ascii() && !bytes.contains(&0) && !bytes.contains(&0x1b);
    if is_plain && !label.starts_with("utf-16") && label != "iso-2022-jp" {
        assert_eq!(text.as_bytes(), bytes, "{label} changed ASCII");
    }
    parse_anything(&text);
});
