//! Which code page bytes are in, as far as they show it. Nothing is guessed: where the code pages that are left disagree on
//! a byte, it becomes U+FFFD.
//!
//! Words that only one language prints say which code pages there are to choose from; with letters beyond ASCII they prove
//! one. Without such words every code page with one byte a letter is tried. Those stay that read the bytes above 127 as
//! text could have them: letters of one script in a word, none between digits, capitals where capitals can stand.

use super::Named;
use super::code_page::CodePage;
use crate::windows::words::LANGUAGES;
use std::borrow::Cow;

/// Bytes that are searched for words: a header stands at the top, and rows repeat theirs.
const EVIDENCE_BYTES: usize = 64 * 1024;
/// Code pages with one byte a letter, in the order of preference where they agree.
const SINGLE_BYTE: [&str; 21] = [
    "cp850",
    "windows-1252",
    "cp852",
    "windows-1250",
    "cp866",
    "windows-1251",
    "cp437",
    "cp858",
    "cp862",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "cp874",
    "cp857",
    "cp775",
    "cp737",
    "cp855",
    "cp720",
];
/// The name of an encoding that is not known (RFC 1428).
const UNKNOWN: &str = "unknown-8bit";

/// The text in `bytes`, which are not UTF-8.
pub(super) fn decode(bytes: &[u8]) -> Named<'_> {
    match by_words(bytes) {
        Words::Prove(page) => (page.decode(bytes), page.name()),
        Words::Allow(labels) => agreed(bytes, labels),
        Words::Nothing => agreed(bytes, &SINGLE_BYTE),
    }
}

/// What a text's words say of its code page.
enum Words {
    Prove(CodePage),
    Allow(&'static [&'static str]),
    Nothing,
}

fn by_words(bytes: &[u8]) -> Words {
    let head = &bytes[..bytes.len().min(EVIDENCE_BYTES)];
    let stands = |word: &[u8]| memchr::memmem::find(head, word).is_some();
    let mut allowed = None;
    for language in &LANGUAGES {
        let (ascii, other): (Vec<&str>, Vec<&str>) =
            language.evidence.iter().partition(|word| word.is_ascii());
        let proves = |page: &CodePage| {
            other
                .iter()
                .filter_map(|word| page.encode(word))
                .any(|word| stands(&word))
        };
        let mut pages = language
            .code_pages
            .iter()
            .filter_map(|label| CodePage::labelled(label));
        if let Some(page) = pages.find(proves) {
            return Words::Prove(page);
        }
        if allowed.is_none() && ascii.iter().any(|word| stands(word.as_bytes())) {
            allowed = Some(language.code_pages);
        }
    }
    allowed.map_or(Words::Nothing, Words::Allow)
}

/// The text as those of the code pages `labels` read it that make sense of it, as far as they agree.
fn agreed<'a>(bytes: &'a [u8], labels: &[&str]) -> Named<'a> {
    let mut sensible = labels
        .iter()
        .filter_map(|label| CodePage::labelled(label))
        .map(|page| (page, page.upper_half()))
        .filter(|(_, upper)| makes_sense(bytes, upper));
    let Some((first, mut upper)) = sensible.next() else {
        let nothing = ['\u{fffd}'; 128];
        return (Cow::Owned(single_byte(bytes, &nothing)), UNKNOWN);
    };
    for (_, other) in sensible {
        for (letter, other) in upper.iter_mut().zip(other) {
            if *letter != other {
                *letter = '\u{fffd}';
            }
        }
    }
    let text = single_byte(bytes, &upper);
    let name = if text.contains('\u{fffd}') {
        UNKNOWN
    } else {
        first.name()
    };
    (Cow::Owned(text), name)
}

fn single_byte(bytes: &[u8], upper: &[char; 128]) -> String {
    bytes.iter().map(|&byte| read(byte, upper)).collect()
}

fn read(byte: u8, upper: &[char; 128]) -> char {
    match byte.checked_sub(128) {
        None => char::from(byte),
        Some(index) => upper[usize::from(index)],
    }
}

/// Whether every byte above 127, read with this upper half, could stand where it does.
fn makes_sense(bytes: &[u8], upper: &[char; 128]) -> bool {
    let is_letter = |byte: &u8| read(*byte, upper).is_alphabetic();
    let is_digit = |index: Option<usize>| {
        index
            .and_then(|index| bytes.get(index))
            .is_some_and(u8::is_ascii_digit)
    };
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| !byte.is_ascii()) {
        at += next;
        if !is_letter(&bytes[at]) {
            let neighbour = |index: Option<usize>| {
                index
                    .and_then(|index| bytes.get(index))
                    .map_or(' ', |&byte| read(byte, upper))
            };
            let around = (neighbour(at.checked_sub(1)), neighbour(Some(at + 1)));
            if !sign_can_stand(read(bytes[at], upper), around) {
                return false;
            }
            at += 1;
            continue;
        }
        let before = bytes[..at].iter().rposition(|byte| !is_letter(byte));
        let length = bytes[at..].iter().position(|byte| !is_letter(byte));
        let end = length.map_or(bytes.len(), |length| at + length);
        let word = &bytes[before.map_or(0, |before| before + 1)..end];
        if is_digit(before) && is_digit(Some(end)) {
            return false;
        }
        if !word_can_stand(word, upper) {
            return false;
        }
        at = end;
    }
    true
}

/// A word has letters of one script. Its capitals beyond ASCII are its first letter, or all are capitals; those of ASCII
/// may stand anywhere, as in names of programs.
fn word_can_stand(word: &[u8], upper: &[char; 128]) -> bool {
    let letters = || word.iter().map(|&byte| read(byte, upper));
    let mut scripts = letters().map(script);
    let first_script = scripts.next();
    if !scripts.all(|script| Some(script) == first_script) {
        return false;
    }
    let has_small = letters().any(char::is_lowercase);
    let mut capitals_so_far = 0;
    for (index, letter) in letters().enumerate() {
        if !letter.is_ascii() && index > 0 {
            let small_after_capitals =
                letter.is_lowercase() && index >= 2 && capitals_so_far == index;
            if (letter.is_uppercase() && has_small) || small_after_capitals {
                return false;
            }
        }
        capitals_so_far += usize::from(letter.is_uppercase());
    }
    true
}

#[derive(PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Hebrew,
    Arabic,
    Thai,
    Other,
}

fn script(letter: char) -> Script {
    match letter {
        'a'..='z' | 'A'..='Z' | 'ª' | 'º' | 'À'..='ɏ' => Script::Latin,
        '\u{370}'..='\u{3ff}' => Script::Greek,
        '\u{400}'..='\u{4ff}' => Script::Cyrillic,
        '\u{590}'..='\u{5ff}' => Script::Hebrew,
        '\u{600}'..='\u{6ff}' => Script::Arabic,
        '\u{e00}'..='\u{e7f}' => Script::Thai,
        _ => Script::Other,
    }
}

/// Signs of texts: blanks and apostrophes; quotes, dashes and the like unless they stand between letters or digits.
fn sign_can_stand(sign: char, (before, after): (char, char)) -> bool {
    let between = |test: fn(char) -> bool| test(before) && test(after);
    match sign {
        '\u{a0}' | '’' => true,
        '‘' | '“' | '”' | '„' | '«' | '»' | '–' | '—' | '•' | '…' | '©' | '®' | '™' | '°' | '€'
        | '№' => !between(char::is_alphabetic) && !between(|c| c.is_ascii_digit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], text: &str, name: &str) {
        assert_eq!(decode(bytes), (Cow::Borrowed(text), name));
    }

    /// A text in a code page is found to be just that.
    #[track_caller]
    fn check_found(label: &str, text: &str) {
        let page = CodePage::labelled(label).expect("a label");
        let bytes = page.encode(text).expect("its letters");
        check(&bytes, text, page.name());
    }

    #[test]
    fn words_prove_a_code_page() {
        check_found(
            "cp866",
            "Имя образа  PID\r\nTelegram.exe  361\u{a0}012 КБ  HOME\\Олег",
        );
        check_found("windows-1251", "Telegram.exe  361\u{a0}012 КБ  HOME\\Олег");
        check_found(
            "cp866",
            "ИНФОРМАЦИЯ: Задачи, отвечающие заданным критериям, отсутствуют.",
        );
        check_found("cp932", "イメージ名  PID\r\nEXCEL.EXE  教務課\\花子 表");
        check_found("cp936", "\"cmd.exe\",\"暂缺\",\"管理员\"");
        check_found("cp949", "이미지 이름   PID");
        check_found("cp950", "資訊: 沒有執行中的工作");
        check_found("cp852", "ZARZĄDZANIE NT\\SYSTEM UCZELNIA\\Łukasz Żółw");
        check_found(
            "windows-1250",
            "ZARZĄDZANIE NT\\SYSTEM UCZELNIA\\Łukasz Żółw",
        );
        check_found("cp850", "NT-AUTORITÄT\\SYSTEM LAW\\Jürgen");
        check_found("windows-1252", "AUTORITE NT\\Système LETTRES\\Hélène");
    }

    #[test]
    fn words_of_a_language_leave_two_code_pages() {
        check_found("cp850", "Abbildname LAW\\Jürgen Größe");
        check_found("windows-1252", "Abbildname LAW\\Jürgen Größe");
        check_found("cp850", "Nom de la sessio LETTRES\\Hélène 143\u{a0}404 Ko");
        check_found(
            "windows-1252",
            "Nom de la sessio LETTRES\\Hélène 143\u{a0}404 Ko",
        );
        check_found("cp850", "Nome da imagem João Araújo");
        check_found("windows-1252", "Nome da imagem João Araújo");
    }

    #[test]
    fn without_words_letters_count_where_all_agree() {
        check(b"LAW\\M\x81ller", "LAW\\Müller", "cp850");
        check(b"LAW\\M\xfcller", "LAW\\Müller", "windows-1252");
        check(b"gr\x94\xe1e", "größe", "cp850");
        check(b"143\xff404 K", "143\u{a0}404 K", "cp850");
        // Turkey's console prints ı where Western Europe's prints ì.
        check(b"OKUL\\Y\x8dlmaz", "OKUL\\Y\u{fffd}lmaz", UNKNOWN);
        // è in windows-1252 is č in windows-1250.
        check(b"Syst\xe8me", "Syst\u{fffd}me", UNKNOWN);
        // Greek, or Cyrillic?
        let five = "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}";
        check(b"\xcb\xdc\xec\xe4\xe1", five, UNKNOWN);
        // Japanese without a word that is known.
        check(b"\x8b\xb3\x96\xb1\x89", five, UNKNOWN);
    }

    #[test]
    fn what_can_stand() {
        let stands = |label: &str, text: &str| {
            let page = CodePage::labelled(label).expect("a label");
            makes_sense(&page.encode(text).expect("its letters"), &page.upper_half())
        };
        for text in [
            "Müller",
            "ÜBUNG",
            "Übung",
            "d’été",
            "1\u{a0}234",
            "Mail – Ärger",
            "LibreÉ",
        ] {
            let expect = text != "LibreÉ";
            assert_eq!(stands("windows-1252", text), expect, "{text}");
        }
        for text in ["MÞller", "AUÚto", "1é2", "ÉCé", "a»b"] {
            assert!(!stands("cp850", text), "{text}");
        }
        assert!(!stands("cp866", "aБ"));
    }
}
