//! How fast listings are parsed, on one core: `cargo bench -p rollcall-normalize` (`make bench`).
//!
//! Each listing is UTF-8 and has 300 processes, as a desktop machine's; decoding, recognition, typed and validated rows and
//! the names of applications are all in the figures. Bytes are those of the text.
//!
//! `naive_listing` is the yardstick on the same machine in the same run: a quick parser that copies and proves nothing;
//! `columns_only` is what the standard library takes to find the columns before a command.
//!
//! Wall times depend on what else the machine does. Instructions don't: `cargo bench -p rollcall-normalize -- once NAME N`
//! parses one listing N times and does nothing else, for `valgrind --tool=callgrind`.

use divan::counter::{BytesCount, ItemsCount};
use rollcall_domain::Timestamp;
use rollcall_normalize::{ApplicationRules, Context, decode_text, parse_text};
use std::fmt::Write;
use std::hint::black_box;

const ROWS: u32 = 300;
const IMAGES: [&str; 4] = [
    "chrome.exe",
    "svchost.exe",
    "WINWORD.EXE",
    "RuntimeBroker.exe",
];
/// A listing's name and what makes its text.
type Sample = (&'static str, fn() -> String);
const SAMPLES: [Sample; 5] = [
    ("linux-ps-auxww", linux),
    ("macos-ps-auxww", macos),
    ("tasklist-csv", plain_csv),
    ("tasklist-verbose-csv", csv),
    ("tasklist-verbose-table", table),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "once") {
        Some(at) => once(&arguments[at + 1..]),
        None => divan::main(),
    }
}

/// Parses the listing `NAME` `N` times.
fn once(arguments: &[String]) {
    let [name, times, ..] = arguments else {
        panic!("after once: NAME N");
    };
    let times: u32 = times.parse().expect("a number");
    let text = sample(name);
    let rules = ApplicationRules::builtin();
    for _ in 0..times {
        black_box(parse(black_box(&text), &rules));
    }
}

fn sample(name: &str) -> String {
    let (_, text) = SAMPLES
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a known listing");
    text()
}

/// Decodes and parses `text`; how many processes it has.
fn parse(text: &str, rules: &ApplicationRules) -> usize {
    let context = Context {
        os: None,
        format: None,
        observed_at: Timestamp::from_micros(1_795_181_410_000_000),
        utc_offset_seconds: Some(3600),
    };
    let decoded = decode_text(text.as_bytes(), None).expect("text");
    let listing = parse_text(&decoded, &context, rules).expect("a listing");
    black_box(&listing).processes.len()
}

#[divan::bench(args = SAMPLES.map(|(name, _)| name))]
fn listing(bencher: divan::Bencher<'_, '_>, name: &str) {
    let text = sample(name);
    let rules = ApplicationRules::builtin();
    assert_eq!(parse(&text, &rules), ROWS as usize, "{name}");
    bencher
        .counter(BytesCount::of_str(&text))
        .counter(ItemsCount::new(ROWS))
        .bench(|| parse(black_box(&text), &rules));
}

/// What a quick parser of our own would make of a row: its fields copied, its numbers taken as they are, nothing proven.
struct NaiveRow {
    numbers: [f64; 5],
    texts: [String; 6],
}

fn naive_ps(line: &str) -> NaiveRow {
    let mut fields = line.split_ascii_whitespace();
    let mut next = || fields.next().unwrap_or_default();
    let user = next().to_owned();
    let numbers = std::array::from_fn(|_| next().parse().unwrap_or_default());
    let [tty, stat, start, time] = std::array::from_fn(|_| next().to_owned());
    let command = next().as_ptr() as usize - line.as_ptr() as usize;
    NaiveRow {
        numbers,
        texts: [user, tty, stat, start, time, line[command..].to_owned()],
    }
}

fn naive_csv(line: &str) -> NaiveRow {
    let mut cells = line.trim_matches('"').split("\",\"");
    let mut next = || cells.next().unwrap_or_default();
    let mut row = NaiveRow {
        numbers: [0.0; 5],
        texts: Default::default(),
    };
    row.texts[0] = next().to_owned();
    row.numbers[0] = next().parse().unwrap_or_default();
    row.texts[1] = next().to_owned();
    row.numbers[1] = next().parse().unwrap_or_default();
    let memory = next().trim_end_matches(" K").replace(',', "");
    row.numbers[2] = memory.parse().unwrap_or_default();
    for text in &mut row.texts[2..] {
        *text = next().to_owned();
    }
    row
}

fn naive(text: &[u8]) -> usize {
    let text = String::from_utf8_lossy(text);
    let row = if text.starts_with('"') {
        naive_csv
    } else {
        naive_ps
    };
    let rows: Vec<_> = text.lines().skip(1).map(row).collect();
    black_box(&rows)
        .iter()
        .filter(|row| row.numbers[0] >= 0.0 && !row.texts[0].is_empty())
        .count()
}

/// What the yardstick takes on the same machine, in the same run.
#[divan::bench(args = ["linux-ps-auxww", "macos-ps-auxww", "tasklist-csv", "tasklist-verbose-csv"])]
fn naive_listing(bencher: divan::Bencher<'_, '_>, name: &str) {
    let text = sample(name);
    assert_eq!(naive(text.as_bytes()), ROWS as usize, "{name}");
    bencher
        .counter(BytesCount::of_str(&text))
        .counter(ItemsCount::new(ROWS))
        .bench(|| naive(black_box(text.as_bytes())));
}

/// What it takes to find the ten columns before the command with the standard library, and to do nothing with them.
#[divan::bench(args = ["linux-ps-auxww", "macos-ps-auxww"])]
fn columns_only(bencher: divan::Bencher<'_, '_>, name: &str) {
    let text = sample(name);
    let columns = |text: &str| {
        let lengths = text.lines().map(|line| {
            let columns = line.split_ascii_whitespace().take(10);
            columns.map(str::len).sum::<usize>()
        });
        lengths.sum::<usize>()
    };
    bencher
        .counter(BytesCount::of_str(&text))
        .counter(ItemsCount::new(ROWS))
        .bench(|| columns(black_box(&text)));
}

fn linux() -> String {
    let mut text =
        "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n".to_owned();
    for i in 0..ROWS {
        let command = match i % 4 {
            0 => "[kworker/0:1-events]".to_owned(),
            1 => format!(
                "/usr/lib/firefox/firefox -contentproc -parentBuildID 20261104 -prefsLen {i} -prefMapSize 251337 {{b2a1c7e0-77aa}} 2413 true tab"
            ),
            2 => format!(
                "/opt/google/chrome/chrome --type=renderer --crashpad-handler-pid={i} --enable-crash-reporter --lang=de --num-raster-threads=4 --renderer-client-id={i}"
            ),
            _ => format!("/usr/lib/systemd/systemd-unit{i} --user --deserialize=31"),
        };
        let memory = if i % 4 == 0 { 0 } else { i * 1021 };
        writeln!(
            text,
            "{:<8} {:7}  0.{}  0.1 {:6} {:5} ?        Sl   09:{:02}   {}:{:02} {command}",
            ["root", "ada", "longnam+"][i as usize % 3],
            i + 1,
            i % 10,
            memory * 3,
            memory,
            i % 60,
            i % 13,
            i % 60
        )
        .expect("written");
    }
    text
}

fn macos() -> String {
    let mut text =
        "USER               PID  %CPU %MEM      VSZ    RSS   TT  STAT STARTED      TIME COMMAND\n"
            .to_owned();
    for i in 0..ROWS {
        let command = match i % 3 {
            0 => {
                "/Applications/Google Chrome.app/Contents/Frameworks/Google Chrome Framework.framework/Versions/130.0/Helpers/Google Chrome Helper (Renderer).app/Contents/MacOS/Google Chrome Helper (Renderer) --type=renderer --lang=de"
            }
            1 => "/System/Library/PrivateFrameworks/CoreSymbolication.framework/coresymbolicationd",
            _ => "/Applications/Microsoft PowerPoint.app/Contents/MacOS/Microsoft PowerPoint",
        };
        writeln!(
            text,
            "grace            {:7}   0.{}  0.1 {:9} {:6}   ??  S    {} {:3}:{:02}.{:02} {command}",
            (i * 7919) % 30011,
            i % 10,
            i * 40_961,
            i * 999,
            [" 9:05AM", "Tue02PM", "10Nov26"][i as usize % 3],
            i,
            i % 60,
            i % 100
        )
        .expect("written");
    }
    text
}

fn csv() -> String {
    let mut text = "\"Image Name\",\"PID\",\"Session Name\",\"Session#\",\"Mem Usage\",\"Status\",\"User Name\",\"CPU Time\",\"Window Title\"\r\n".to_owned();
    for i in 0..ROWS {
        let name = IMAGES[i as usize % 4];
        write!(text, "\"{name}\",\"{}\",\"Console\",\"1\",\"{},{:03} K\",\"Running\",\"LAW\\ada.brown\",\"{}:{:02}:{:02}\",\"Exam, final - Google Chrome\"\r\n", i * 4, i, i, i % 9, i % 60, i % 60).expect("written");
    }
    text
}

fn table() -> String {
    let widths = [25, 8, 16, 11, 12, 15, 50, 12, 72];
    let ruler = widths.map(|width| "=".repeat(width)).join(" ");
    let mut text = format!("\r\nImage Name\r\n{ruler}\r\n");
    for i in 0..ROWS {
        let name = IMAGES[i as usize % 4];
        write!(
            text,
            "{name:<25} {:>8} {:<16} {:>11} {:>12} {:<15} {:<50} {:>12} {:<72}\r\n",
            i * 4,
            "Console",
            1,
            format!("{i},{i:03} K"),
            "Running",
            "LAW\\ada.brown",
            format!("0:00:{:02}", i % 60),
            "N/A"
        )
        .expect("written");
    }
    text
}

fn plain_csv() -> String {
    let mut text =
        "\"Image Name\",\"PID\",\"Session Name\",\"Session#\",\"Mem Usage\"\r\n".to_owned();
    for i in 0..ROWS {
        let name = IMAGES[i as usize % 4];
        write!(
            text,
            "\"{name}\",\"{}\",\"Services\",\"0\",\"{},{:03} K\"\r\n",
            i * 4,
            i,
            i
        )
        .expect("written");
    }
    text
}
