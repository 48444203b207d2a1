//! What PostgreSQL holds, read with plain SQL, against what a ledger says it must hold.

mod rollups;

use crate::support::{ROLLUP_PARTITIONS, eventually};
use rollcall_domain::GroupingSet;
use rollcall_simulator::{ExpectedDetail, Ledger};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use std::collections::BTreeMap;

/// Differences that a failure shows.
const SHOWN: usize = 10;

/// A connection of its own to the database.
pub struct Tables {
    runtime: tokio::runtime::Runtime,
    url: String,
    connection: Option<PgConnection>,
}

impl Tables {
    pub fn new(url: &str) -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            url: url.to_owned(),
            connection: None,
        }
    }

    /// Rows of a query; none while the server is away.
    fn try_rows(&mut self, sql: &str) -> Result<Vec<sqlx::postgres::PgRow>, sqlx::Error> {
        let (url, connection) = (&self.url, &mut self.connection);
        let rows = self.runtime.block_on(async {
            let open = match connection.take() {
                Some(open) => open,
                None => PgConnection::connect(url).await?,
            };
            let open = connection.insert(open);
            sqlx::query(AssertSqlSafe(sql)).fetch_all(open).await
        });
        if rows.is_err() {
            self.connection = None;
        }
        rows
    }

    pub fn rows(&mut self, sql: &str) -> Vec<sqlx::postgres::PgRow> {
        self.try_rows(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The single number that a query gives; `None` while the server is away.
    pub fn number(&mut self, sql: &str) -> Option<i64> {
        self.try_rows(sql).ok()?.first()?.try_get(0).ok()
    }

    /// Waits until the tables hold everything below these raw offsets: each lane has stored what it must.
    #[track_caller]
    pub fn await_everything(&mut self, raw_ends: &[i64], ledger: &Ledger) {
        let (progress, wanted) = (folded(raw_ends), folded_wanted());
        let rejected: u64 =
            ledger.rejected().map(|(_, count)| count).sum::<u64>() + ledger.rejected_lines();
        for (what, sql, expect) in [
            ("rollups", progress.as_str(), wanted),
            (
                "snapshots",
                "SELECT count(*) FROM rollcall.process_snapshots",
                ledger.accepted() as i64,
            ),
            (
                "rejected records",
                "SELECT count(*) FROM rollcall.rejected_records",
                rejected as i64,
            ),
        ] {
            let mut last = None;
            eventually(&format!("all {what} are stored ({expect})"), || {
                let found = self.number(sql);
                if found != last {
                    eprintln!("{what}: {found:?} of {expect}");
                    last = found;
                }
                found == Some(expect)
            });
        }
    }

    /// Whether all rollups hold everything below these raw offsets.
    pub fn has_folded(&mut self, raw_ends: &[i64]) -> bool {
        self.number(&folded(raw_ends)) == Some(folded_wanted())
    }

    /// Waits until a snapshot is stored that stands at or after one of these raw offsets: some of what was sent since
    /// they were the ends. SINK's own offsets would not do: they grow with what is older, and with what idle tasks report.
    #[track_caller]
    pub fn await_something_since(&mut self, raw_ends: &[i64]) {
        self.await_rows(&format!(
            "rollcall.process_snapshots WHERE source_offset >= ('{{{}}}'::bigint[])[source_partition + 1]",
            joined(raw_ends)
        ));
    }

    /// Waits until rollups hold something that stands at or after one of these raw offsets.
    #[track_caller]
    pub fn await_something_folded_since(&mut self, raw_ends: &[i64]) {
        self.await_rows(&format!(
            "rollcall.rollup_progress, unnest(raw_partitions, folded_offsets) AS folded (partition, next) \
             WHERE folded.next > ('{{{}}}'::bigint[])[folded.partition + 1]",
            joined(raw_ends)
        ));
    }

    /// Waits until there is a row; the server may be away meanwhile.
    #[track_caller]
    fn await_rows(&mut self, from: &str) {
        let count = format!("SELECT count(*) FROM {from}");
        eventually(from, || self.number(&count).unwrap_or(0) > 0);
    }

    /// Compares every table.
    #[track_caller]
    pub fn assert_equal(&mut self, ledger: &Ledger) {
        let mut differences = self.details(ledger);
        differences.extend(self.rollups(ledger));
        differences.extend(self.rejections(ledger));
        differences.extend(self.books(ledger));
        let shown: Vec<&String> = differences.iter().take(SHOWN).collect();
        assert!(
            differences.is_empty(),
            "{} differences between tables and ledger, of which: {shown:#?}",
            differences.len()
        );
        assert!(!ledger.details().is_empty(), "something was compared");
    }

    fn details(&mut self, ledger: &Ledger) -> Vec<String> {
        let rows = self.rows(
            "SELECT concat_ws('|', snapshot_id, machine_id, (extract(epoch FROM event_at) * 1000000)::bigint, \
                 (extract(epoch FROM ingested_at) * 1000000)::bigint, pid, coalesce(parent_pid::text, '-'), \
                 application, executable_name, coalesce(owner, '-'), user_name, faculty, \
                 coalesce(cpu_time_us::text, '-'), coalesce(cpu_delta_us::text, '-'), \
                 coalesce(memory_usage_bytes::text, '-'), coalesce(memory_virtual_bytes::text, '-'), \
                 coalesce(thread_count::text, '-'), coalesce(state, '-'), coalesce(command_line, '-')) \
             FROM analytics.processes",
        );
        let stored = rows.iter().map(|row| row.get::<String, _>(0));
        let expected = ledger.details().iter().map(detail_line);
        differ("details", expected, stored)
    }

    fn rejections(&mut self, ledger: &Ledger) -> Vec<String> {
        let rows = self.rows(
            "SELECT concat_ws('|', reason, count(*)) FROM rollcall.rejected_records WHERE whole_record GROUP BY reason",
        );
        let stored = rows.iter().map(|row| row.get::<String, _>(0));
        let expected = ledger
            .rejected()
            .map(|(reason, count)| format!("{}|{count}", reason.as_str()));
        let mut differences = differ("rejected records", expected, stored);
        let lines =
            self.number("SELECT count(*) FROM rollcall.rejected_records WHERE NOT whole_record");
        if lines != Some(ledger.rejected_lines() as i64) {
            differences.push(format!(
                "rejected lines: {} expected, {lines:?} stored",
                ledger.rejected_lines()
            ));
        }
        differences
    }

    /// SINK's own books.
    fn books(&mut self, ledger: &Ledger) -> Vec<String> {
        let unbalanced =
            self.number("SELECT count(*) FROM analytics.pipeline_health WHERE NOT balanced");
        let stored = self.number("SELECT sum(stored_snapshots)::bigint FROM rollcall.ledger");
        let mut differences = Vec::new();
        if unbalanced != Some(0) || stored != Some(ledger.accepted() as i64) {
            differences.push(format!(
                "books: {unbalanced:?} unbalanced, {stored:?} snapshots of {}",
                ledger.accepted()
            ));
        }
        differences
    }
}

/// Counts the partitions of rollups that hold everything below these raw offsets.
fn folded(raw_ends: &[i64]) -> String {
    format!(
        "SELECT count(*) FROM rollcall.rollup_progress WHERE folded_offsets = '{{{}}}'",
        joined(raw_ends)
    )
}

/// How many there are.
fn folded_wanted() -> i64 {
    i64::from(ROLLUP_PARTITIONS) * GroupingSet::ALL.len() as i64
}

/// Numbers as the inside of an array's text.
fn joined(numbers: &[i64]) -> String {
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    texts.join(",")
}

fn detail_line(detail: &ExpectedDetail) -> String {
    let row = &detail.row;
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    [
        uuid::Uuid::from_u128(detail.snapshot_id.0).to_string(),
        detail.machine_id.clone(),
        detail.event_at.as_micros().to_string(),
        detail.ingested_at.as_micros().to_string(),
        row.pid.to_string(),
        number(row.parent_pid.map(i64::from)),
        row.application.clone(),
        row.executable_name.clone(),
        text(&row.owner),
        detail.user.clone(),
        detail.faculty.clone(),
        number(row.cpu_time_us),
        number(detail.cpu_delta_us),
        number(row.memory_usage_bytes),
        number(row.memory_virtual_bytes),
        number(row.thread_count.map(i64::from)),
        row.state.map_or("-", |state| state.as_str()).to_owned(),
        text(&row.command_line),
    ]
    .join("|")
}

/// Lines that one side has more often than the other.
fn differ(
    what: &str,
    expected: impl Iterator<Item = String>,
    stored: impl Iterator<Item = String>,
) -> Vec<String> {
    let mut balance: BTreeMap<String, i64> = BTreeMap::new();
    for line in expected {
        *balance.entry(line).or_default() += 1;
    }
    for line in stored {
        *balance.entry(line).or_default() -= 1;
    }
    balance
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(line, count)| match count > 0 {
            true => format!("{what}: expected and not stored ({count}): {line}"),
            false => format!("{what}: stored and not expected ({}): {line}", -count),
        })
        .collect()
}
