//! An answer: columns and rows with a title, as a table for people or as JSON for machines.
//!
//! Invariants: JSON has every column under a key that carries its unit, in that unit, unrounded; a table has what fits a
//! terminal, rounded. No text from a machine reaches a terminal with control characters in it.

use super::period::text;
use crate::postgres::queries::Period;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use rollcall_domain::Timestamp;
use serde_json::{Map, Value, json};

/// Lines between the header and the rows, and nothing else.
const LINES: &str = "     ──            ";
/// Characters of a text in a table.
const TEXT_MAX: usize = 40;

/// A column: its key in JSON, and its heading in a table, where it stands in one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column(pub(crate) &'static str, pub(crate) Option<&'static str>);

/// A value, in the unit of its column's key.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Cell {
    /// A name.
    Text(String),
    /// How many.
    Count(i64),
    /// A number that is a name.
    Number(i64),
    /// Bytes.
    Bytes(i64),
    /// Microseconds of CPU time.
    CpuTime(i64),
    /// A time.
    Time(Timestamp),
    /// Yes or no.
    Flag(bool),
    /// Not known.
    Unknown,
}

impl Cell {
    /// A value that may be unknown.
    pub(crate) fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell) -> Cell {
        value.map_or(Cell::Unknown, cell)
    }

    fn to_json(&self) -> Value {
        match self {
            Cell::Text(text) => json!(text),
            Cell::Count(number) | Cell::Number(number) => json!(number),
            Cell::Bytes(bytes) => json!(bytes),
            Cell::CpuTime(micros) => json!(micros),
            Cell::Time(time) => time_to_json(*time),
            Cell::Flag(flag) => json!(flag),
            Cell::Unknown => Value::Null,
        }
    }

    fn to_text(&self) -> String {
        match self {
            Cell::Text(text) => shortened(&harmless(text)),
            Cell::Count(count) => grouped(*count),
            Cell::Number(number) => number.to_string(),
            Cell::Bytes(bytes) => bytes_text(*bytes),
            Cell::CpuTime(micros) => duration_text(*micros),
            Cell::Time(time) => text(*time),
            Cell::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Cell::Unknown => "-".to_owned(),
        }
    }

    const fn alignment(&self) -> CellAlignment {
        match self {
            Cell::Text(_) | Cell::Time(_) | Cell::Flag(_) => CellAlignment::Left,
            _ => CellAlignment::Right,
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The question's name in JSON.
    pub(crate) question: &'static str,
    /// The question, for people.
    pub(crate) title: String,
    /// The period that was really looked at; `None`: all time.
    pub(crate) period: Option<Period>,
    /// The columns.
    pub(crate) columns: &'static [Column],
    /// The rows, each with a cell per column.
    pub(crate) rows: Vec<Vec<Cell>>,
    /// What else there is to know; always said where there are no rows.
    pub(crate) note: Option<String>,
}

impl Answer {
    /// For people. Where stdout is a terminal, long texts are broken to its width.
    pub(crate) fn to_table(&self) -> String {
        let mut text = format!("{}\n", self.heading());
        if !self.rows.is_empty() {
            text.push_str(&self.table());
        }
        if let Some(note) = &self.note {
            text.push_str(&harmless(note));
            text.push('\n');
        }
        text
    }

    fn heading(&self) -> String {
        let title = harmless(&self.title);
        match self.period {
            None => title,
            Some(Period { from, to }) => format!("{title}, {} to {} UTC", text(from), text(to)),
        }
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_preset(LINES)
            .set_content_arrangement(ContentArrangement::Dynamic);
        let shown = || {
            self.columns
                .iter()
                .enumerate()
                .filter_map(|(at, column)| column.1.map(|heading| (at, heading)))
        };
        table.set_header(shown().map(|(at, heading)| {
            let alignment = self.rows.iter().map(|row| row[at].alignment());
            let right = alignment.clone().any(|side| side == CellAlignment::Right);
            comfy_table::Cell::new(heading).set_alignment(match right {
                true => CellAlignment::Right,
                false => CellAlignment::Left,
            })
        }));
        for row in &self.rows {
            table.add_row(shown().map(|(at, _)| {
                comfy_table::Cell::new(row[at].to_text()).set_alignment(row[at].alignment())
            }));
        }
        table
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }

    /// For machines: one line.
    pub(crate) fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let cells = self.columns.iter().zip(row);
            let fields = cells.map(|(column, cell)| (column.0.to_owned(), cell.to_json()));
            Value::Object(fields.collect::<Map<_, _>>())
        });
        json!({
            "question": self.question,
            "from": self.period.map(|period| time_to_json(period.from)),
            "to": self.period.map(|period| time_to_json(period.to)),
            "rows": rows.collect::<Vec<_>>(),
            "note": self.note,
        })
    }
}

fn time_to_json(time: Timestamp) -> Value {
    match jiff::Timestamp::from_microsecond(time.as_micros()) {
        Ok(time) => json!(time.to_string()),
        Err(_) => Value::Null,
    }
}

/// A text without what a terminal would obey, or what would make it read otherwise than it is.
pub(crate) fn harmless(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if obeyed(c) { '\u{fffd}' } else { c })
        .collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        None => text.to_owned(),
        Some(_) => text.chars().take(TEXT_MAX - 1).chain(['…']).collect(),
    }
}

/// A count with its thousands apart.
fn grouped(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if count < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in units of 1,024, three digits or so of them.
fn bytes_text(bytes: i64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value.abs() < 999.5 {
            let decimals = usize::from(unit != "B" && value.abs() < 9.95);
            return format!("{value:.decimals$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.0} PiB")
}

/// CPU time in the two largest units that matter.
fn duration_text(micros: i64) -> String {
    let seconds = micros as f64 / 1e6;
    let whole = (seconds.round() as i64).max(0);
    match whole {
        0..60 => format!("{seconds:.2} s"),
        60..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3_600..360_000 => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} h", grouped(whole / 3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cell: Cell, text: &str, json: &str) {
        assert_eq!(
            (cell.to_text().as_str(), cell.to_json().to_string().as_str()),
            (text, json)
        );
    }

    #[test]
    fn people_get_rounded_figures_and_machines_exact_ones() {
        check(Cell::Count(1_234_567), "1,234,567", "1234567");
        check(Cell::Count(-100), "-100", "-100");
        check(Cell::Number(1_234_567), "1234567", "1234567");
        check(Cell::Bytes(999), "999 B", "999");
        check(Cell::Bytes(1_500), "1.5 KiB", "1500");
        check(Cell::Bytes(1_023 << 20), "1.0 GiB", "1072693248");
        check(Cell::Bytes(i64::MAX), "8192 PiB", "9223372036854775807");
        check(Cell::CpuTime(1_234_567), "1.23 s", "1234567");
        check(Cell::CpuTime(59_700_000), "1 min 00 s", "59700000");
        check(Cell::CpuTime(3_725_000_000), "1 h 02 min", "3725000000");
        check(Cell::CpuTime(7_200_000_000_000), "2,000 h", "7200000000000");
        check(Cell::Flag(true), "yes", "true");
        check(Cell::Unknown, "-", "null");
        let noon = Timestamp::from_micros(1_773_144_000_000_000);
        check(
            Cell::Time(noon),
            "2026-03-10 12:00",
            "\"2026-03-10T12:00:00Z\"",
        );
        check(Cell::Time(Timestamp::MAX), "beyond all calendars", "null");
    }

    #[test]
    fn a_command_line_can_not_write_to_the_terminal() {
        check(
            Cell::Text("a\u{1b}[2Jb\n\u{202e}c".to_owned()),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c",
            "\"a\\u001b[2Jb\\n\u{202e}c\"",
        );
        let long = "ä".repeat(TEXT_MAX);
        check(Cell::Text(long.clone()), &long, &format!("\"{long}\""));
        let longer = "ä".repeat(TEXT_MAX + 1);
        let cut = format!("{}…", "ä".repeat(TEXT_MAX - 1));
        check(Cell::Text(longer.clone()), &cut, &format!("\"{longer}\""));
    }

    fn answer(rows: Vec<Vec<Cell>>, note: Option<&str>) -> Answer {
        Answer {
            question: "test",
            title: "Who".to_owned(),
            period: None,
            columns: &[
                Column("name", Some("name")),
                Column("hidden", None),
                Column("memory_bytes", Some("memory")),
            ],
            rows,
            note: note.map(str::to_owned),
        }
    }

    #[test]
    fn tables_and_json() {
        let row = |name: &str, bytes| vec![Cell::Text(name.to_owned()), Cell::Number(1), bytes];
        let full = answer(
            vec![row("a", Cell::Unknown), row("bcd", Cell::Bytes(2048))],
            None,
        );
        assert_eq!(
            full.to_table(),
            "Who\n name    memory\n────────────────\n a            -\n bcd    2.0 KiB\n"
        );
        assert_eq!(
            full.to_json()["rows"].to_string(),
            "[{\"hidden\":1,\"memory_bytes\":null,\"name\":\"a\"},{\"hidden\":1,\"memory_bytes\":2048,\"name\":\"bcd\"}]"
        );
        let empty = answer(Vec::new(), Some("Nothing."));
        assert_eq!(empty.to_table(), "Who\nNothing.\n");
        assert_eq!(empty.to_json()["note"], "Nothing.");
    }
}
