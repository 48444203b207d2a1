//! The report, for people and for machines.

use rollcall_audit::AuditReport;
use serde_json::{Value, json};
use std::fmt::Write;

/// What the audit is made of, and what it is not.
const METHOD: &str = "The raw topic was read and folded again with the audit's own dedupe, CPU deltas, windows, sums and \
    distinct counts. Shared with the pipeline: Avro decoding, the parsers of listings, the fixed hashes, DDSketch's bucket bounds.";

/// The report as text, with a line feed at its end.
#[must_use]
pub fn report_text(report: &AuditReport) -> String {
    let mut text = String::new();
    let differences = report.differences();
    let verdict = match differences {
        0 if report.compared() == 0 => "nothing to compare: the tables are empty".to_owned(),
        0 => "no difference: the tables are the fold of the raw topic up to where they stand"
            .to_owned(),
        1 => "1 row differs from the fold of the raw topic".to_owned(),
        many => format!("{many} rows differ from the fold of the raw topic"),
    };
    let _ = writeln!(text, "{METHOD}\n");
    let _ = writeln!(
        text,
        "{:<28} {:>14} {:>14}",
        "table", "rows compared", "differences"
    );
    for (subject, check) in &report.checks {
        let _ = writeln!(
            text,
            "{:<28} {:>14} {:>14}",
            subject.name(),
            check.compared,
            check.differences
        );
    }
    let _ = writeln!(
        text,
        "{:<28} {:>14} {:>14}   from {} raw records",
        "all",
        report.compared(),
        differences,
        report.records
    );
    if !report.apart.is_empty() {
        let _ = writeln!(text, "\nnot compared:");
        for (apart, count) in &report.apart {
            let _ = writeln!(text, "{count:>10} {}", apart.describe());
        }
    }
    if !report.examples.is_empty() {
        let _ = writeln!(
            text,
            "\ndifferences, {} shown (--show):",
            report.examples.len()
        );
    }
    for example in &report.examples {
        let column = match &*example.column {
            "" => String::new(),
            column => format!(", {column}"),
        };
        let _ = writeln!(
            text,
            "- {}: {}{column}",
            example.subject.name(),
            example.row
        );
        let _ = writeln!(text, "    expected {}", example.expected);
        let _ = writeln!(text, "    found    {}", example.found);
    }
    let pending = match report.pending {
        0 => "nothing waits".to_owned(),
        1 => "1 raw record is not in the tables yet".to_owned(),
        many => format!("{many} raw records are not in the tables yet"),
    };
    let _ = writeln!(text, "\naudit: {verdict}; {pending}");
    text
}

/// The report as JSON.
#[must_use]
pub fn report_json(report: &AuditReport) -> Value {
    let tables: Vec<Value> = report
        .checks
        .iter()
        .map(|(subject, check)| {
            json!({
                "table": subject.name(),
                "compared": check.compared,
                "differences": check.differences,
            })
        })
        .collect();
    let examples: Vec<Value> = report
        .examples
        .iter()
        .map(|example| {
            json!({
                "table": example.subject.name(),
                "row": example.row,
                "column": example.column,
                "expected": example.expected,
                "found": example.found,
            })
        })
        .collect();
    let apart: serde_json::Map<String, Value> = report
        .apart
        .iter()
        .map(|(apart, count)| (apart.as_str().to_owned(), json!(count)))
        .collect();
    json!({
        "method": METHOD,
        "differences": report.differences(),
        "compared": report.compared(),
        "raw_records": report.records,
        "raw_records_pending": report.pending,
        "tables": tables,
        "not_compared": apart,
        "examples": examples,
    })
}
