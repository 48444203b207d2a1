//! A code page by its label: those that encoding_rs knows, and those of consoles that it does not.

use crate::code_pages::{CP437, CP720, CP737, CP775, CP850, CP852, CP855, CP857, CP858, CP862};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::borrow::Cow;

/// How bytes read as text.
#[derive(Clone, Copy)]
pub(super) enum CodePage {
    /// One of encoding_rs.
    Standard(&'static Encoding),
    /// One byte a letter: its name, and what stands for the bytes from 128.
    SingleByte(&'static str, &'static str),
}

impl CodePage {
    /// The code page with this label: one of the WHATWG's, or a number with or without `cp`, `ibm`, `oem`, `dos-` or
    /// `windows-` before it.
    pub(super) fn labelled(label: &str) -> Option<Self> {
        let label = label.to_ascii_lowercase();
        let number = ["cp", "ibm", "oem", "windows-", "dos-"]
            .iter()
            .find_map(|prefix| label.strip_prefix(prefix))
            .map_or(label.as_str(), |rest| rest.trim_start_matches(['-', '_']));
        Some(match number {
            "437" => CodePage::SingleByte("cp437", CP437),
            "720" => CodePage::SingleByte("cp720", CP720),
            "737" => CodePage::SingleByte("cp737", CP737),
            "775" => CodePage::SingleByte("cp775", CP775),
            "850" => CodePage::SingleByte("cp850", CP850),
            "852" => CodePage::SingleByte("cp852", CP852),
            "855" => CodePage::SingleByte("cp855", CP855),
            "857" => CodePage::SingleByte("cp857", CP857),
            "858" => CodePage::SingleByte("cp858", CP858),
            "862" => CodePage::SingleByte("cp862", CP862),
            "866" => CodePage::Standard(encoding_rs::IBM866),
            "874" => CodePage::Standard(encoding_rs::WINDOWS_874),
            "932" => CodePage::Standard(encoding_rs::SHIFT_JIS),
            "936" => CodePage::Standard(encoding_rs::GBK),
            "949" => CodePage::Standard(encoding_rs::EUC_KR),
            "950" => CodePage::Standard(encoding_rs::BIG5),
            "1200" => CodePage::Standard(UTF_16LE),
            "1201" => CodePage::Standard(UTF_16BE),
            "65001" => CodePage::Standard(UTF_8),
            "54936" => CodePage::Standard(encoding_rs::GB18030),
            "20127" => CodePage::Standard(WINDOWS_1252),
            _ => CodePage::Standard(
                Encoding::for_label(label.as_bytes())
                    .or_else(|| Encoding::for_label(format!("windows-{number}").as_bytes()))?,
            ),
        })
    }

    pub(super) const fn utf8() -> Self {
        CodePage::Standard(UTF_8)
    }

    /// Its name, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            CodePage::Standard(encoding) => encoding.name(),
            CodePage::SingleByte(name, _) => name,
        }
    }

    /// The text in `bytes`; what can't be read is U+FFFD.
    pub(super) fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        let upper_half = match self {
            CodePage::Standard(encoding) => return encoding.decode_without_bom_handling(bytes).0,
            CodePage::SingleByte(_, upper_half) => upper_half,
        };
        if bytes.is_ascii()
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Cow::Borrowed(text);
        }
        let upper = table(upper_half);
        let decode = |&byte: &u8| match byte.checked_sub(128) {
            None => char::from(byte),
            Some(index) => upper[usize::from(index)],
        };
        Cow::Owned(bytes.iter().map(decode).collect())
    }

    /// `text` in this code page; `None` if it lacks one of the letters.
    pub(super) fn encode(self, text: &str) -> Option<Vec<u8>> {
        let upper_half = match self {
            CodePage::Standard(encoding) => {
                let (bytes, _, unmappable) = encoding.encode(text);
                return (!unmappable).then(|| bytes.into_owned());
            }
            CodePage::SingleByte(_, upper_half) => upper_half,
        };
        let byte = |c: char| {
            let known = |known: char| known == c && c != char::REPLACEMENT_CHARACTER;
            let upper = || upper_half.chars().position(known);
            if c.is_ascii() {
                u8::try_from(c).ok()
            } else {
                upper().and_then(|index| u8::try_from(index + 128).ok())
            }
        };
        text.chars().map(byte).collect()
    }

    /// What the bytes from 128 stand for, of a code page with one byte a letter; U+FFFD where nothing does.
    pub(super) fn upper_half(self) -> [char; 128] {
        let encoding = match self {
            CodePage::SingleByte(_, upper_half) => return table(upper_half),
            CodePage::Standard(encoding) => encoding,
        };
        let mut upper = ['\u{fffd}'; 128];
        for (byte, slot) in (128_u8..=255).zip(&mut upper) {
            let text = encoding.decode_without_bom_handling(&[byte]).0.into_owned();
            // The WHATWG reads bytes that are not in use as control characters.
            *slot = text
                .chars()
                .next()
                .filter(|c| !c.is_control())
                .unwrap_or('\u{fffd}');
        }
        upper
    }
}

fn table(upper_half: &str) -> [char; 128] {
    let mut upper = ['\u{fffd}'; 128];
    for (slot, c) in upper.iter_mut().zip(upper_half.chars()) {
        *slot = c;
    }
    upper
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_pages_are_whole() {
        for page in [
            CP437, CP720, CP737, CP775, CP850, CP852, CP855, CP857, CP858, CP862,
        ] {
            assert_eq!(page.chars().count(), 128);
        }
    }

    #[test]
    fn what_is_encoded_decodes() {
        for (label, text) in [
            ("cp437", "Müller ß"),
            ("850", "NT-AUTORITÄT"),
            ("852", "ZARZĄDZANIE"),
            ("862", "שלום"),
            ("866", "Имя образа"),
            ("720", "خدمة"),
            ("737", "Όνομα"),
            ("775", "Šiauliai"),
            ("855", "Име слике"),
            ("857", "Yılmaz Gülşen"),
            ("932", "イメージ名"),
            ("936", "暂缺"),
            ("949", "정보"),
            ("950", "資訊"),
            ("1250", "Łódź"),
            ("1255", "שלום"),
        ] {
            let page = CodePage::labelled(label).expect("a label");
            let bytes = page.encode(text).expect("its letters");
            assert_eq!(page.decode(&bytes), text, "{label}");
        }
        let cp437 = CodePage::labelled("cp437").expect("a label");
        assert_eq!(cp437.encode("Ж"), None);
    }
}
