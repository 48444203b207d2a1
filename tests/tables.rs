//! What PostgreSQL holds, read with plain SQL, against what a ledger says it must hold.

use crate::support::{ROLLUP_PARTITIONS, eventually};
use rollcall_domain::{Grain, GroupingSet, Timestamp};
use rollcall_simulator::{ExpectedDetail, ExpectedRollup, Ledger, RollupId};
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
        let folded: Vec<String> = raw_ends.iter().map(i64::to_string).collect();
        let wanted = i64::from(ROLLUP_PARTITIONS) * GroupingSet::ALL.len() as i64;
        let progress = format!(
            "SELECT count(*) FROM rollcall.rollup_progress WHERE folded_offsets = '{{{}}}'",
            folded.join(",")
        );
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

    /// What retention has dropped: late minutes may be older than a week.
    fn horizons(&mut self) -> BTreeMap<(GroupingSet, Grain), Timestamp> {
        let mut horizons = BTreeMap::new();
        for set in GroupingSet::ALL {
            for row in self.rows(&format!(
                "SELECT grain, CASE WHEN isfinite(horizon) THEN (extract(epoch FROM horizon) * 1000000)::bigint END AS horizon \
                 FROM rollcall.retention_horizon WHERE table_name = '{}_rollups'",
                set.as_str()
            )) {
                let grain = Grain::parse(row.get("grain")).expect("a grain");
                let horizon: Option<i64> = row.get("horizon");
                horizons.insert((set, grain), horizon.map_or(Timestamp::MIN, Timestamp::from_micros));
            }
        }
        horizons
    }

    fn rollups(&mut self, ledger: &Ledger) -> Vec<String> {
        let mut differences = Vec::new();
        let horizons = self.horizons();
        let kept = |id: &RollupId| id.start >= horizons[&(id.set, id.grain)];
        let mut expected: BTreeMap<&RollupId, &ExpectedRollup> =
            ledger.rollups().iter().filter(|(id, _)| kept(id)).collect();
        for set in GroupingSet::ALL {
            let (table, key, distinct) = match set {
                GroupingSet::User => (
                    "user_rollups",
                    "ARRAY[user_name]",
                    "machines, 1::bigint AS users, applications",
                ),
                GroupingSet::Faculty => (
                    "faculty_rollups",
                    "ARRAY[faculty]",
                    "machines, users, applications",
                ),
                GroupingSet::Application => (
                    "application_rollups",
                    "ARRAY[faculty, os, application]",
                    "machines, users, 1::bigint AS applications",
                ),
            };
            let rows = self.rows(&format!(
                "SELECT {key} AS dimensions, grain, (extract(epoch FROM window_start) * 1000000)::bigint AS start, \
                     snapshots, processes, cpu_time_us, memory_count, memory_sum_bytes, memory_min_bytes, \
                     memory_max_bytes, memory_p50_bytes, memory_p95_bytes, memory_p99_bytes, machine_minutes, {distinct}, \
                     (extract(epoch FROM first_event_at) * 1000000)::bigint AS first_event, \
                     (extract(epoch FROM last_event_at) * 1000000)::bigint AS last_event \
                 FROM rollcall.{table}"
            ));
            for row in &rows {
                let id = RollupId {
                    set,
                    dimensions: row.get("dimensions"),
                    grain: Grain::parse(row.get("grain")).expect("a grain"),
                    start: Timestamp::from_micros(row.get("start")),
                };
                match expected.remove(&id) {
                    None => differences.push(format!("{id:?} is stored and not expected")),
                    Some(rollup) => differences.extend(compare_rollup(&id, rollup, row)),
                }
            }
        }
        let missing = expected.keys().map(|id| format!("{id:?} is not stored"));
        differences.extend(missing);
        differences
    }
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

fn compare_rollup(
    id: &RollupId,
    expected: &ExpectedRollup,
    row: &sqlx::postgres::PgRow,
) -> Vec<String> {
    let mut differences = Vec::new();
    let exact = [
        ("snapshots", Some(expected.snapshots)),
        ("processes", Some(expected.processes)),
        ("cpu_time_us", Some(expected.cpu_time_us)),
        ("memory_count", Some(expected.memory_count)),
        ("memory_sum_bytes", Some(expected.memory_sum_bytes)),
        ("memory_min_bytes", expected.memory_min_bytes),
        ("memory_max_bytes", expected.memory_max_bytes),
        ("first_event", Some(expected.first_event_at.as_micros())),
        ("last_event", Some(expected.last_event_at.as_micros())),
    ];
    for (column, expect) in exact {
        let found: Option<i64> = row.get(column);
        if found != expect {
            differences.push(format!(
                "{id:?}: {column} is {found:?}, expected {expect:?}"
            ));
        }
    }
    let distinct = [
        ("machines", expected.machines.len()),
        (
            "users",
            if id.set == GroupingSet::User {
                1
            } else {
                expected.users.len()
            },
        ),
        (
            "applications",
            if id.set == GroupingSet::Application {
                1
            } else {
                expected.applications.len()
            },
        ),
        ("machine_minutes", expected.machine_minutes.len()),
    ];
    for (column, expect) in distinct {
        let found: i64 = row.get(column);
        // Four standard errors of HyperLogLog with 2,048 registers; small counts are exact or off by one.
        let allowed = (expect as f64 * 0.092).max(1.0);
        if (found as f64 - expect as f64).abs() > allowed {
            differences.push(format!(
                "{id:?}: {column} is {found}, expected about {expect}"
            ));
        }
    }
    for (column, share) in [
        ("memory_p50_bytes", 0.50),
        ("memory_p95_bytes", 0.95),
        ("memory_p99_bytes", 0.99),
    ] {
        let found: Option<i64> = row.get(column);
        let expect = size_at(expected, share);
        let near = match (found, expect) {
            (Some(found), Some(expect)) => {
                (found - expect).abs() as f64 <= expect as f64 * 0.0101 + 1.0
            }
            (found, expect) => found == expect,
        };
        if !near {
            differences.push(format!(
                "{id:?}: {column} is {found:?}, expected about {expect:?}"
            ));
        }
    }
    differences
}

/// The size at rank ⌊share · (count − 1)⌋, counted from 0.
fn size_at(rollup: &ExpectedRollup, share: f64) -> Option<i64> {
    let rank = ((rollup.memory_count - 1) as f64 * share).floor() as i64;
    let mut seen = 0;
    rollup.memory_sizes.iter().find_map(|(size, count)| {
        seen += count;
        (seen > rank).then_some(*size)
    })
}
