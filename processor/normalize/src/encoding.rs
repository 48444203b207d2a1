//! From a command's bytes to text, whatever code page its console had.

mod code_page;
mod evidence;

use crate::PayloadError;
use code_page::CodePage;
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use rollcall_domain::RejectionReason;
use std::borrow::Cow;

/// Bytes that are looked at to tell UTF-16 without a byte order mark.
const UTF16_PROBE_BYTES: usize = 4096;
/// Bytes that are looked at to tell text from binary data without a zero.
const BINARY_PROBE_BYTES: usize = 512;

/// The text in `bytes`: in the encoding of their byte order mark, else in the one with label `encoding`, or, without a
/// label, in the one that the bytes show.
///
/// A byte order mark overrides any label, for a label says what a console prints, and redirection by PowerShell makes
/// UTF-16 of that. Labels are those of the WHATWG and code pages as `cp850`, `850`, `ibm850` or `windows-1252`. Without
/// one: UTF-16 by its zero bytes, UTF-8 (which may be broken here and there, as Linux command lines are), else the code
/// page that the text's words and letters prove. What they do not prove becomes U+FFFD rather than a wrong letter.
///
/// # Errors
/// `empty_output` for nothing but blanks, `binary_output` for zero bytes or mostly control characters, and
/// `unknown_encoding` for a label that nobody knows.
pub fn decode_text<'a>(
    bytes: &'a [u8],
    encoding: Option<&str>,
) -> Result<Cow<'a, str>, PayloadError> {
    decode_text_named(bytes, encoding).map(|(text, _)| text)
}

/// [`decode_text`], and the name of the encoding that it used, for people.
///
/// # Errors
/// Those of [`decode_text`].
pub fn decode_text_named<'a>(
    bytes: &'a [u8],
    encoding: Option<&str>,
) -> Result<(Cow<'a, str>, &'static str), PayloadError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(PayloadError::new(
            RejectionReason::EmptyOutput,
            "the output is empty",
        ));
    }
    let label = encoding.map(str::trim).filter(|label| !label.is_empty());
    let (text, name) = match (Encoding::for_bom(bytes), label) {
        (Some((encoding, mark)), _) => {
            let page = CodePage::Standard(encoding);
            (page.decode(&bytes[mark..]), page.name())
        }
        (None, Some(label)) => match CodePage::labelled(label) {
            Some(page) => (page.decode(bytes), page.name()),
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
    let text = without_colors(text);
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
    Ok((text, name))
}

/// Takes out what colors a terminal (`grep --color=always`), ECMA-48's control sequences: no command prints them of a process.
fn without_colors(text: Cow<'_, str>) -> Cow<'_, str> {
    /// Begins a control sequence; parameters and one letter follow.
    const BEGIN: &str = "\x1b[";
    if memchr::memchr(0x1b, text.as_bytes()).is_none() {
        return text;
    }
    let mut pieces = text.split(BEGIN);
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| !(' '..='?').contains(&c));
        match end.filter(|end| matches!(piece.as_bytes()[*end], b'@'..=b'~')) {
            Some(end) => plain += &piece[end + 1..],
            None => {
                plain += BEGIN;
                plain += piece;
            }
        }
    }
    Cow::Owned(plain)
}

/// A text and the name of its encoding.
type Named<'a> = (Cow<'a, str>, &'static str);

fn found(bytes: &[u8]) -> Named<'_> {
    if let Some(page) = utf16_without_mark(bytes) {
        return (page.decode(bytes), page.name());
    }
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), CodePage::utf8().name()),
        Err(_) if is_mostly_utf8(bytes) => {
            (String::from_utf8_lossy(bytes), CodePage::utf8().name())
        }
        Err(_) => evidence::decode(bytes),
    }
}

/// Listings are mostly ASCII, so UTF-16 has a zero in nearly every other byte, and no others.
fn utf16_without_mark(bytes: &[u8]) -> Option<CodePage> {
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
        Some(CodePage::Standard(UTF_16LE))
    } else if even > most && odd <= few {
        Some(CodePage::Standard(UTF_16BE))
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

/// A zero anywhere, or, in the first half KiB, more than a third of control characters.
fn is_binary(bytes: &[u8]) -> bool {
    if memchr::memchr(0, bytes).is_some() {
        return true;
    }
    let probe = bytes.get(..BINARY_PROBE_BYTES).unwrap_or(bytes);
    let is_text = |byte: &&u8| matches!(**byte, b'\t' | b'\n' | b'\r' | 0x1b);
    let controls = probe.iter().filter(|byte| byte.is_ascii_control()).count();
    // Tabs, line ends and escapes are no sign of binary data, but looked at only where there are too many controls.
    controls > probe.len() / 3 && controls - probe.iter().filter(is_text).count() > probe.len() / 3
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
    fn colors_are_taken_out() {
        check(b"a\x1b[01;31m\x1b[Kb\x1b[m c", None, "ab c");
        check(b"\x1b[?25l\x1b[0 qa", None, "a");
        for other in ["a\x1b[", "a\x1b[1", "a\x1b[1ü b", "a\x1b]0;b"] {
            check(other.as_bytes(), None, other);
        }
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
    fn the_encoding_is_named() {
        let check = |bytes: &[u8], label, expect| {
            let named = decode_text_named(bytes, label).map(|(_, name)| name);
            assert_eq!(named, Ok(expect));
        };
        check(b"abc", None, "UTF-8");
        check(b"\xff\xfea\0", Some("cp437"), "UTF-16LE");
        check(b"M\x81ller", None, "cp850");
        check(b"M\xfcller", None, "windows-1252");
        check(b"abc", Some("437"), "cp437");
        check(b"abc", Some("cp932"), "Shift_JIS");
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
}
