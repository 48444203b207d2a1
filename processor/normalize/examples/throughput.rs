//! How fast listings are parsed: `cargo run --release -p rollcall-normalize --example throughput`.
//!
//! Each listing has 300 processes, as a desktop machine's, and is parsed again and again on one core.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use rollcall_domain::Timestamp;
use rollcall_normalize::{ApplicationRules, Context, decode_text, parse_text};
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROWS: u32 = 300;

fn main() {
    let rules = ApplicationRules::builtin();
    let context = Context {
        os: None,
        format: None,
        observed_at: Timestamp::from_micros(1_795_181_410_000_000),
        utc_offset_seconds: Some(3600),
    };
    for (name, text) in [
        ("linux ps auxww", linux()),
        ("macos ps auxww", macos()),
        ("tasklist csv /v", csv()),
        ("tasklist table /v", table()),
    ] {
        let rows = parse_text(&text, &context, &rules).map_or(0, |listing| listing.processes.len());
        assert_eq!(rows, ROWS as usize, "{name}");
        let best = (0..5)
            .map(|_| {
                let mut runs = 0_u32;
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(300) {
                    for _ in 0..50 {
                        let decoded = decode_text(black_box(text.as_bytes()), None);
                        if let Ok(decoded) = decoded {
                            black_box(parse_text(&decoded, &context, &rules).is_ok());
                        }
                        runs += 1;
                    }
                }
                start.elapsed().as_secs_f64() / f64::from(runs)
            })
            .fold(f64::INFINITY, f64::min);
        let bytes_per_row = text.len() / rows;
        println!(
            "{name:18} {bytes_per_row:4} bytes/row  {:6.3} GB/s  {:6.2} M rows/s",
            text.len() as f64 / best / 1e9,
            rows as f64 / best / 1e6,
        );
    }
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
        let name = [
            "chrome.exe",
            "svchost.exe",
            "WINWORD.EXE",
            "RuntimeBroker.exe",
        ][i as usize % 4];
        write!(text, "\"{name}\",\"{}\",\"Console\",\"1\",\"{},{:03} K\",\"Running\",\"LAW\\ada.brown\",\"{}:{:02}:{:02}\",\"Exam, final - Google Chrome\"\r\n", i * 4, i, i, i % 9, i % 60, i % 60).expect("written");
    }
    text
}

fn table() -> String {
    let widths = [25, 8, 16, 11, 12, 15, 50, 12, 72];
    let ruler = widths.map(|width| "=".repeat(width)).join(" ");
    let mut text = format!("\r\nImage Name\r\n{ruler}\r\n");
    for i in 0..ROWS {
        let name = [
            "chrome.exe",
            "svchost.exe",
            "WINWORD.EXE",
            "RuntimeBroker.exe",
        ][i as usize % 4];
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
