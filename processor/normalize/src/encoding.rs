//! From a command's bytes to text, whatever code page its console had.

use crate::PayloadError;
use crate::code_pages::{CP437, CP850, CP852, CP858};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use rollcall_domain::RejectionReason;
use std::borrow::Cow;

/// Bytes that are looked at to tell UTF-16 without a byte order mark.
const UTF16_PROBE_BYTES: usize = 4096;

/// The text in `bytes`: in the encoding of their byte order mark, else in the one with label `encoding`, or, without a
/// label, in the one that the bytes show.
///
/// A byte order mark overrides any label, for a label says what a console prints, and redirection by PowerShell makes
/// UTF-16 of that. Labels are those of the WHATWG and code pages as `cp850`, `850`, `ibm850` or `windows-1252`. Without
/// one: UTF-16 by its zero bytes, UTF-8 (which may be broken here and there, as Linux command lines are), else the code
/// page 850 where all bytes above 127 are letters in it and none in windows-1252, else windows-1252. What names of
/// programs and numbers are made of is the same in all of these.
///
/// # Errors
/// `empty_output` for nothing but blanks, `binary_output` for zero bytes or mostly control characters, and
/// `unknown_encoding` for a label that nobody knows.
pub fn decode_text<'a>(
    bytes: &'a [u8],
    encoding: Option<&str>,
) -> Result<Cow<'a, str>, PayloadError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(PayloadError::new(
            RejectionReason::EmptyOutput,
            "the output is empty",
        ));
    }
    let label = encoding.map(str::trim).filter(|label| !label.is_empty());
    let text = match (Encoding::for_bom(bytes), label) {
        (Some((encoding, mark)), _) => encoding.decode_without_bom_handling(&bytes[mark..]).0,
        (None, Some(label)) => match labelled(bytes, label) {
            Some(text) => text,
            None => {
                let detail = format!(
                    "encoding {:?} is unknown",
                    label.chars().take(64).collect::<String>()
                );
                return Err(PayloadError::new(RejectionReason::UnknownEncoding, detail));
            }
        },
        (None, None) => found(bytes),
    };
    if text.trim().is_empty() {
        return Err(PayloadError::new(
            RejectionReason::EmptyOutput,
            "the output is empty",
        ));
    }
    if is_binary(text.as_bytes()) {
        return Err(PayloadError::new(
            RejectionReason::BinaryOutput,
            "the output is no text",
        ));
    }
    Ok(text)
}

fn labelled<'a>(bytes: &'a [u8], label: &str) -> Option<Cow<'a, str>> {
    let label = label.to_ascii_lowercase();
    let code_page = ["cp", "ibm", "oem", "windows-", "dos-"]
        .iter()
        .find_map(|prefix| label.strip_prefix(prefix))
        .map_or(label.as_str(), |rest| rest.trim_start_matches(['-', '_']));
    let encoding = match code_page {
        "437" => return Some(single_byte(bytes, CP437)),
        "850" => return Some(single_byte(bytes, CP850)),
        "852" => return Some(single_byte(bytes, CP852)),
        "858" => return Some(single_byte(bytes, CP858)),
        "866" => encoding_rs::IBM866,
        "874" => encoding_rs::WINDOWS_874,
        "932" => encoding_rs::SHIFT_JIS,
        "936" => encoding_rs::GBK,
        "949" => encoding_rs::EUC_KR,
        "950" => encoding_rs::BIG5,
        "1200" => UTF_16LE,
        "1201" => UTF_16BE,
        "65001" => UTF_8,
        "54936" => encoding_rs::GB18030,
        "20127" => WINDOWS_1252,
        _ => Encoding::for_label(label.as_bytes())
            .or_else(|| Encoding::for_label(format!("windows-{code_page}").as_bytes()))?,
    };
    Some(encoding.decode_without_bom_handling(bytes).0)
}

fn found(bytes: &[u8]) -> Cow<'_, str> {
    if let Some(encoding) = utf16_without_mark(bytes) {
        return encoding.decode_without_bom_handling(bytes).0;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) if is_mostly_utf8(bytes) => String::from_utf8_lossy(bytes),
        Err(_) if is_code_page_850(bytes) => single_byte(bytes, CP850),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// Listings are mostly ASCII, so UTF-16 has a zero in nearly every other byte, and no others.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    memchr::memchr(0, bytes.get(..UTF16_PROBE_BYTES).unwrap_or(bytes))?;
    let probe = &bytes[..bytes.len().min(UTF16_PROBE_BYTES) & !1];
    let (mut even, mut odd) = (0, 0);
    for pair in probe.chunks_exact(2) {
        even += usize::from(pair[0] == 0);
        odd += usize::from(pair[1] == 0);
    }
    let pairs = probe.len() / 2;
    let (most, few) = (pairs / 2, pairs / 50);
    if odd > most && even <= few {
        Some(UTF_16LE)
    } else if even > most && odd <= few {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Whether at least half of what is not ASCII is valid UTF-8.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let (mut valid, mut invalid) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        valid += chunk
            .valid()
            .bytes()
            .filter(|byte| !byte.is_ascii())
            .count()
            / 2;
        invalid += chunk.invalid().len();
    }
    valid >= invalid
}

/// Whether every byte above 127 is one that code page 850 uses for letters of Western Europe (or its no-break space)
/// where windows-1252 has signs and controls.
fn is_code_page_850(bytes: &[u8]) -> bool {
    let mut letters = 0_usize;
    for &byte in bytes.iter().filter(|byte| !byte.is_ascii()) {
        match byte {
            0x80..=0x9b | 0x9d | 0xa0..=0xa5 => letters += 1,
            0xb5..=0xb7 | 0xe0..=0xe3 | 0xff => {}
            _ => return false,
        }
    }
    letters > 0
}

fn single_byte<'a>(bytes: &'a [u8], upper_half: &str) -> Cow<'a, str> {
    if bytes.is_ascii()
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Cow::Borrowed(text);
    }
    let mut upper = ['\u{fffd}'; 128];
    for (slot, c) in upper.iter_mut().zip(upper_half.chars()) {
        *slot = c;
    }
    let decode = |&byte: &u8| {
        if byte < 128 {
            char::from(byte)
        } else {
            upper[usize::from(byte) - 128]
        }
    };
    Cow::Owned(bytes.iter().map(decode).collect())
}

/// A zero, or more than a third of control characters.
fn is_binary(bytes: &[u8]) -> bool {
    if memchr::memchr(0, bytes).is_some() {
        return true;
    }
    let is_control =
        |byte: u8| byte == 0x7f || (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b));
    // Counted in pieces that the compiler turns into vector instructions.
    let controls: usize = bytes
        .chunks(128)
        .map(|chunk| {
            usize::from(
                chunk
                    .iter()
                    .map(|&byte| u8::from(is_control(byte)))
                    .sum::<u8>(),
            )
        })
        .sum();
    controls > bytes.len() / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], label: Option<&str>, expect: &str) {
        assert_eq!(decode_text(bytes, label).as_deref(), Ok(expect));
    }

    #[track_caller]
    fn check_reason(bytes: &[u8], label: Option<&str>, expect: RejectionReason) {
        assert_eq!(
            decode_text(bytes, label).map_err(|error| error.reason),
            Err(expect)
        );
    }

    #[test]
    fn encodings_by_label() {
        check(b"M\x81ller \xe1", Some("cp437"), "Müller ß");
        check(b"M\x81ller \xe1\xb5\xff", Some("850"), "Müller ßÁ\u{a0}");
        check(b"\x9dukasz", Some("CP852"), "Łukasz");
        check(b"\xd5", Some("cp858"), "€");
        check(b"\xd5", Some("ibm850"), "ı");
        check(b"\x80\xd2\xfc", Some("cp866"), "А╥№");
        check(b"\x93\xfa\x96\x7b", Some("cp932"), "日本");
        check(b"\xd6\xd0", Some("936"), "中");
        check(b"M\xfcller", Some("windows-1252"), "Müller");
        check(b"M\xfcller", Some("cp1252"), "Müller");
        check(b"M\xfcller", Some("1252"), "Müller");
        check("ß".as_bytes(), Some("UTF-8"), "ß");
        check("ß".as_bytes(), Some("65001"), "ß");
        check(b"a\0b\0", Some("utf-16le"), "ab");
        check_reason(b"a", Some("klingon"), RejectionReason::UnknownEncoding);
        check_reason(b"a", Some("cp9999"), RejectionReason::UnknownEncoding);
    }

    #[test]
    fn a_byte_order_mark_overrides_any_label() {
        for label in [
            "cp437",
            "cp850",
            "852",
            "ibm858",
            "windows-1252",
            "utf-8",
            "klingon",
        ] {
            check(b"\xff\xfea\0\xfc\0", Some(label), "aü");
            check(b"\xfe\xff\0a\0\xfc", Some(label), "aü");
            check(b"\xef\xbb\xbfa\xc3\xbc", Some(label), "aü");
        }
    }

    #[test]
    fn encodings_without_a_label() {
        check(b"\xef\xbb\xbfabc", None, "abc");
        check(b"\xff\xfea\0b\0", None, "ab");
        check(b"\xfe\xff\0a\0b", None, "ab");
        check(b"a\0b\0c\0d\0", None, "abcd");
        check(b"\0a\0b\0c\0d", None, "abcd");
        check("größe".as_bytes(), None, "größe");
        check(b"M\x81ller", None, "Müller");
        check(b"M\xfcller", None, "Müller");
        check(b"\xc3\xbc \xc3\xbc \xff", None, "ü ü \u{fffd}");
        assert!(matches!(
            decode_text(b"plain", Some("cp850")),
            Ok(Cow::Borrowed("plain"))
        ));
        assert!(matches!(
            decode_text(b"plain", None),
            Ok(Cow::Borrowed("plain"))
        ));
    }

    #[test]
    fn what_is_no_text() {
        check_reason(b"", None, RejectionReason::EmptyOutput);
        check_reason(b" \r\n\t", None, RejectionReason::EmptyOutput);
        check_reason(b"\xff\xfe \0", None, RejectionReason::EmptyOutput);
        check_reason(
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
            None,
            RejectionReason::BinaryOutput,
        );
        check_reason(b"\x01\x02\x03\x04abc", None, RejectionReason::BinaryOutput);
    }

    #[test]
    fn code_pages_are_whole() {
        for page in [CP437, CP850, CP852, CP858] {
            assert_eq!(page.chars().count(), 128);
        }
    }
}
