//! What the audit reads: every table of the pipeline in one REPEATABLE READ snapshot, in the raw records' order.
//!
//! Invariants: one read-only transaction from the first query to the last; at most [`CHUNK`] snapshots and letters are
//! held at a time. It reads and nothing else: what is right is not known here.

use super::connect::{PostgresSettings, Session};
use super::error::{Doing, PostgresError};
use super::partitions::rollup_table;
use super::progress::{StoredProgress as Progress, read_progress};
use super::rollup_rows::key_columns;
use super::types::{Id, Time};
use futures::TryStreamExt;
use hashbrown::HashMap;
use rollcall_audit::{
    Horizons, StoredCommand, StoredLedger, StoredLetter, StoredOwner, StoredProcess, StoredRollup,
    StoredSnapshot,
};
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::{Grain, GroupingSet, SnapshotId, TaskCounts, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Snapshots, or letters, that are read at once.
const CHUNK: i32 = 512;
/// Texts that are remembered of each dimension; over it, all are forgotten and read again.
const TEXTS_MAX: usize = 200_000;

/// A read-only transaction that sees the database as of one moment.
pub struct AuditReader {
    session: Session,
    snapshots: VecDeque<StoredSnapshot>,
    letters: VecDeque<StoredLetter>,
    commands: HashMap<i32, Arc<StoredCommand>>,
    owners: HashMap<i32, Arc<StoredOwner>>,
}

impl AuditReader {
    /// Connects, and fixes the moment.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn begin(settings: &PostgresSettings) -> Result<Self, PostgresError> {
        let mut session = Session::connect(settings).await?;
        sqlx::raw_sql(
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM rollcall.sink_offsets",
        )
        .execute(&mut session.connection)
        .await
        .doing("begin the audit's transaction")?;
        Ok(Self {
            session,
            snapshots: VecDeque::new(),
            letters: VecDeque::new(),
            commands: HashMap::new(),
            owners: HashMap::new(),
        })
    }

    /// Ends the transaction.
    pub async fn close(self) {
        self.session.close().await;
    }

    /// Where SINK goes on: by topic and partition.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn offsets(&mut self) -> Result<BTreeMap<(String, i32), i64>, PostgresError> {
        let rows: Vec<(String, i32, i64)> =
            sqlx::query_as("SELECT topic, partition, next_offset FROM rollcall.sink_offsets")
                .fetch_all(&mut self.session.connection)
                .await
                .doing("read SINK's offsets")?;
        let placed = |(topic, partition, offset)| ((topic, partition), offset);
        Ok(rows.into_iter().map(placed).collect())
    }

    /// What the rollups contain.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn progress(&mut self) -> Result<Vec<Progress>, PostgresError> {
        read_progress(&mut self.session).await
    }

    /// The books of a topic of observations.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ledger(
        &mut self,
        topic: &str,
    ) -> Result<BTreeMap<i32, StoredLedger>, PostgresError> {
        let rows = sqlx::query("SELECT * FROM rollcall.ledger WHERE topic = $1")
            .bind(topic)
            .fetch_all(&mut self.session.connection)
            .await
            .doing("read the ledger")?;
        let entries: Result<_, sqlx::Error> = rows.iter().map(ledger_row).collect();
        entries.doing("read the ledger")
    }

    /// What retention has dropped.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn horizons(&mut self) -> Result<Horizons, PostgresError> {
        let rows: Vec<(String, String, Time)> =
            sqlx::query_as("SELECT table_name, grain, horizon FROM rollcall.retention_horizon")
                .fetch_all(&mut self.session.connection)
                .await
                .doing("read the retention horizons")?;
        let mut horizons = Horizons::default();
        for (table, grain, Time(horizon)) in rows {
            match (&*table, Grain::parse(&grain)) {
                ("process_snapshots", _) => horizons.details = horizon,
                ("rejected_records", _) => horizons.rejected = horizon,
                (table, Some(grain)) => {
                    for set in GroupingSet::ALL {
                        if rollup_table(set) == table {
                            horizons.rollups[set as usize][grain as usize] = horizon;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(horizons)
    }

    /// Processes whose snapshot is not there: the snapshot's number and how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn orphans(&mut self) -> Result<Vec<(i64, i64)>, PostgresError> {
        sqlx::query_as(
            "SELECT o.snapshot_number, count(*) FROM rollcall.process_observations AS o \
             WHERE NOT EXISTS (SELECT FROM rollcall.process_snapshots AS s \
                 WHERE s.snapshot_number = o.snapshot_number) \
             GROUP BY 1 ORDER BY 1",
        )
        .fetch_all(&mut self.session.connection)
        .await
        .doing("look for processes without their snapshot")
    }

    /// How many rows the tables of rollups have.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_rollups(&mut self) -> Result<i64, PostgresError> {
        sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM rollcall.user_rollups) + (SELECT count(*) FROM rollcall.faculty_rollups) \
                 + (SELECT count(*) FROM rollcall.application_rollups)",
        )
        .fetch_one(&mut self.session.connection)
        .await
        .doing("count rollups")
    }

    /// Begins to read snapshots and letters from their first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rewind(&mut self) -> Result<(), PostgresError> {
        self.snapshots.clear();
        self.letters.clear();
        // Only numbers are sorted: the rows may hold whole listings.
        sqlx::raw_sql(
            "CLOSE ALL; \
             DECLARE audit_snapshots NO SCROLL CURSOR FOR SELECT snapshot_number FROM rollcall.process_snapshots \
                 ORDER BY source_partition, source_offset, snapshot_number; \
             DECLARE audit_letters NO SCROLL CURSOR FOR SELECT source_topic, source_partition, source_offset, \
                 ingested_at, line, whole_record, reason, machine_id, snapshot_id, raw, raw_length \
                 FROM rollcall.rejected_records ORDER BY source_partition, source_offset, line NULLS FIRST",
        )
        .execute(&mut self.session.connection)
        .await
        .doing("begin to read details")?;
        Ok(())
    }

    /// The next snapshot by source partition, source offset and number, with its processes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn next_snapshot(&mut self) -> Result<Option<StoredSnapshot>, PostgresError> {
        if self.snapshots.is_empty() {
            let numbers: Vec<i64> =
                sqlx::query_scalar(AssertSqlSafe(format!("FETCH {CHUNK} FROM audit_snapshots")))
                    .fetch_all(&mut self.session.connection)
                    .await
                    .doing("read snapshots")?;
            self.snapshots = self.read_snapshots(&numbers).await?;
        }
        Ok(self.snapshots.pop_front())
    }

    async fn read_snapshots(
        &mut self,
        numbers: &[i64],
    ) -> Result<VecDeque<StoredSnapshot>, PostgresError> {
        if numbers.is_empty() {
            return Ok(VecDeque::new());
        }
        let rows = sqlx::query(
            "SELECT s.*, s.attributes::text AS attributes_text, m.machine_id, m.os FROM rollcall.process_snapshots AS s \
             LEFT JOIN rollcall.machines AS m USING (machine_key) WHERE s.snapshot_number = ANY($1)",
        )
        .bind(numbers)
        .fetch_all(&mut self.session.connection)
        .await
        .doing("read snapshots")?;
        let snapshots: Result<HashMap<i64, StoredSnapshot>, sqlx::Error> = rows
            .iter()
            .map(|row| snapshot_row(row).map(|snapshot| (snapshot.number, snapshot)))
            .collect();
        let mut snapshots = snapshots.doing("read snapshots")?;
        self.read_processes(numbers, &mut snapshots).await?;
        Ok(numbers
            .iter()
            .filter_map(|number| snapshots.remove(number))
            .collect())
    }

    async fn read_processes(
        &mut self,
        numbers: &[i64],
        snapshots: &mut HashMap<i64, StoredSnapshot>,
    ) -> Result<(), PostgresError> {
        // The bounds are for the BRIN index and the partitions; IS TRUE makes a hash of the numbers, where an array
        // would be searched from its start for every row, and a join might look each of them up.
        let rows = sqlx::query(
            "SELECT * FROM rollcall.process_observations WHERE snapshot_number BETWEEN $2 AND $3 \
                 AND (snapshot_number IN (SELECT unnest($1::int8[]))) IS TRUE",
        )
        .bind(numbers)
        .bind(numbers.iter().min())
        .bind(numbers.iter().max())
        .fetch_all(&mut self.session.connection)
        .await
        .doing("read processes")?;
        let keys = |column: &str| -> Result<Vec<i32>, sqlx::Error> {
            rows.iter().map(|row| row.try_get(column)).collect()
        };
        let command_keys = keys("command_line_key").doing("read processes")?;
        let owner_keys = keys("owner_key").doing("read processes")?;
        self.read_commands(&command_keys).await?;
        self.read_owners(&owner_keys).await?;
        for (row, (command, owner)) in rows.iter().zip(command_keys.iter().zip(&owner_keys)) {
            let number: i64 = row.try_get("snapshot_number").doing("read processes")?;
            let mut process = process_row(row).doing("read processes")?;
            process.command = self.commands.get(command).cloned();
            process.owner = self.owners.get(owner).cloned();
            if let Some(snapshot) = snapshots.get_mut(&number) {
                snapshot.processes.push(process);
            }
        }
        Ok(())
    }

    async fn read_commands(&mut self, keys: &[i32]) -> Result<(), PostgresError> {
        let missing = missing_of(&mut self.commands, keys);
        let rows: Vec<CommandRow> = sqlx::query_as(
            "SELECT c.command_line_key, a.application, c.executable_name, c.executable_path, c.command_line, \
                 c.script \
             FROM rollcall.command_lines AS c JOIN rollcall.applications AS a USING (application_key) \
             WHERE c.command_line_key = ANY($1)",
        )
        .bind(missing)
        .fetch_all(&mut self.session.connection)
        .await
        .doing("read command lines")?;
        for (key, application, executable_name, executable_path, command_line, script) in rows {
            let command = StoredCommand {
                application,
                executable_name,
                executable_path,
                command_line,
                script,
            };
            self.commands.insert(key, Arc::new(command));
        }
        Ok(())
    }

    async fn read_owners(&mut self, keys: &[i32]) -> Result<(), PostgresError> {
        let missing = missing_of(&mut self.owners, keys);
        let rows: Vec<(i32, Option<String>, String, String)> = sqlx::query_as(
            "SELECT owner_key, owner, user_name, faculty FROM rollcall.owners WHERE owner_key = ANY($1)",
        )
        .bind(missing)
        .fetch_all(&mut self.session.connection)
        .await
        .doing("read owners")?;
        for (key, owner, user_name, faculty) in rows {
            let owner = StoredOwner {
                owner,
                user_name,
                faculty,
            };
            self.owners.insert(key, Arc::new(owner));
        }
        Ok(())
    }

    /// The next letter by source partition, source offset and line.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn next_letter(&mut self) -> Result<Option<StoredLetter>, PostgresError> {
        if self.letters.is_empty() {
            let fetch = format!("FETCH {CHUNK} FROM audit_letters");
            let rows = sqlx::query(AssertSqlSafe(fetch))
                .fetch_all(&mut self.session.connection)
                .await
                .doing("read rejected records")?;
            let letters: Result<_, sqlx::Error> = rows.iter().map(letter_row).collect();
            self.letters = letters.doing("read rejected records")?;
        }
        Ok(self.letters.pop_front())
    }

    /// Hands every row of a table of rollups to `take`.
    ///
    /// # Errors
    /// If the database fails, or a row holds what no rollup can.
    pub async fn each_rollup(
        &mut self,
        set: GroupingSet,
        mut take: impl FnMut(&StoredRollup),
    ) -> Result<(), PostgresError> {
        let select = format!("SELECT * FROM rollcall.{}", rollup_table(set));
        let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(&mut self.session.connection);
        while let Some(row) = rows.try_next().await.doing("read rollups")? {
            take(&rollup_row(set, &row).doing("read rollups")?);
        }
        Ok(())
    }
}

/// Key, application, executable's name and path, command line.
type CommandRow = (
    i32,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// The keys that are not known yet. Forgets all where too much is known.
fn missing_of<V>(known: &mut HashMap<i32, V>, keys: &[i32]) -> Vec<i32> {
    if known.len() > TEXTS_MAX {
        known.clear();
    }
    let mut missing: Vec<i32> = keys
        .iter()
        .copied()
        .filter(|key| !known.contains_key(key))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

fn time(row: &PgRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    Ok(row.try_get::<Time, _>(column)?.0)
}

fn optional_time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    Ok(row.try_get::<Option<Time>, _>(column)?.map(|time| time.0))
}

/// A column of type `"char"`.
fn code(row: &PgRow, column: &str) -> Result<Option<u8>, sqlx::Error> {
    Ok(row.try_get::<Option<i8>, _>(column)?.map(i8::cast_unsigned))
}

fn ledger_row(row: &PgRow) -> Result<(i32, StoredLedger), sqlx::Error> {
    let entry = StoredLedger {
        last_ingested_at: optional_time(row, "last_ingested_at")?,
        counts: TaskCounts {
            snapshots_read: row.try_get("snapshots_read")?,
            snapshots_accepted: row.try_get("snapshots_accepted")?,
            snapshots_duplicate: row.try_get("snapshots_duplicate")?,
            snapshots_rejected: row.try_get("snapshots_rejected")?,
            lines_accepted: row.try_get("lines_accepted")?,
            lines_rejected: row.try_get("lines_rejected")?,
        },
        stored: [
            row.try_get("stored_snapshots")?,
            row.try_get("stored_lines")?,
            row.try_get("stored_lines_rejected")?,
        ],
        expired: [
            row.try_get("expired_snapshots")?,
            row.try_get("expired_lines")?,
            row.try_get("expired_lines_rejected")?,
        ],
    };
    Ok((row.try_get("partition")?, entry))
}

fn snapshot_row(row: &PgRow) -> Result<StoredSnapshot, sqlx::Error> {
    let attributes: Option<String> = row.try_get("attributes_text")?;
    let attributes = attributes.map(|json| {
        // What is no map of texts was not written by SINK: it is shown as it is.
        serde_json::from_str(&json).unwrap_or_else(|_| BTreeMap::from([(String::new(), json)]))
    });
    Ok(StoredSnapshot {
        number: row.try_get("snapshot_number")?,
        source: SourceOffset {
            partition: row.try_get("source_partition")?,
            offset: row.try_get("source_offset")?,
        },
        snapshot_id: SnapshotId(row.try_get::<Id, _>("snapshot_id")?.0),
        observed_at: time(row, "observed_at")?,
        event_at: time(row, "event_at")?,
        ingested_at: time(row, "ingested_at")?,
        rules_digest: row.try_get::<i64, _>("rules_digest")?.cast_unsigned(),
        lines_rejected: row.try_get("lines_rejected")?,
        process_count: row.try_get("process_count")?,
        machine_id: row.try_get("machine_id")?,
        os: row.try_get("os")?,
        utc_offset_seconds: row.try_get("utc_offset_seconds")?,
        user_name: row.try_get("user_name")?,
        faculty: row.try_get("faculty")?,
        command: row.try_get("command")?,
        attributes,
        command_output: row.try_get("command_output")?,
        command_output_encoding: row.try_get("command_output_encoding")?,
        processes: Vec::new(),
    })
}

/// A process without what its keys point to.
fn process_row(row: &PgRow) -> Result<StoredProcess, sqlx::Error> {
    Ok(StoredProcess {
        pid: row.try_get("pid")?,
        parent_pid: row.try_get("parent_pid")?,
        created_at: optional_time(row, "created_at")?,
        created_precision: code(row, "created_precision")?,
        cpu_time_us: row.try_get("cpu_time_us")?,
        cpu_delta_us: row.try_get("cpu_delta_us")?,
        memory_usage_bytes: row.try_get("memory_usage_bytes")?,
        memory_usage_kib: row.try_get("memory_usage_kib")?,
        memory_virtual_bytes: row.try_get("memory_virtual_bytes")?,
        memory_virtual_kib: row.try_get("memory_virtual_kib")?,
        thread_count: row.try_get("thread_count")?,
        state: code(row, "state")?,
        command: None,
        owner: None,
    })
}

fn letter_row(row: &PgRow) -> Result<StoredLetter, sqlx::Error> {
    let snapshot_id: Option<Id> = row.try_get("snapshot_id")?;
    Ok(StoredLetter {
        source: SourceOffset {
            partition: row.try_get("source_partition")?,
            offset: row.try_get("source_offset")?,
        },
        source_topic: row.try_get("source_topic")?,
        line: row.try_get("line")?,
        whole_record: row.try_get("whole_record")?,
        reason: row.try_get("reason")?,
        ingested_at: time(row, "ingested_at")?,
        machine_id: row.try_get("machine_id")?,
        snapshot_id: snapshot_id.map(|id| SnapshotId(id.0)),
        raw: row.try_get("raw")?,
        raw_length: row.try_get("raw_length")?,
    })
}

/// Columns of one number that every table of rollups has.
const NUMBERS: [&str; 12] = [
    "snapshots",
    "processes",
    "machines",
    "machine_minutes",
    "cpu_time_us",
    "memory_count",
    "memory_sum_bytes",
    "memory_min_bytes",
    "memory_max_bytes",
    "memory_p50_bytes",
    "memory_p95_bytes",
    "memory_p99_bytes",
];

/// Distinct counts that not every table has.
const fn further_numbers(set: GroupingSet) -> &'static [&'static str] {
    match set {
        GroupingSet::User => &["applications"],
        GroupingSet::Faculty => &["users", "applications"],
        GroupingSet::Application => &["users"],
    }
}

const fn sketches(set: GroupingSet) -> &'static [&'static str] {
    match set {
        GroupingSet::User => &["machines_hll", "machine_minutes_hll", "applications_hll"],
        GroupingSet::Faculty => &[
            "machines_hll",
            "machine_minutes_hll",
            "users_hll",
            "applications_hll",
        ],
        GroupingSet::Application => &["machines_hll", "machine_minutes_hll", "users_hll"],
    }
}

fn rollup_row(set: GroupingSet, row: &PgRow) -> Result<StoredRollup, sqlx::Error> {
    let grain: &str = row.try_get("grain")?;
    let grain = Grain::parse(grain)
        .ok_or_else(|| sqlx::Error::Decode(format!("a grain {grain:?}").into()))?;
    let mut numbers = Vec::with_capacity(16);
    for &column in NUMBERS.iter().chain(further_numbers(set)) {
        numbers.push((column, row.try_get(column)?));
    }
    let micros =
        |column| Ok::<_, sqlx::Error>(optional_time(row, column)?.map(Timestamp::as_micros));
    numbers.push(("first_event_at_us", micros("first_event_at")?));
    numbers.push(("last_event_at_us", micros("last_event_at")?));
    let bytes = |column: &&'static str| Ok::<_, sqlx::Error>((*column, row.try_get(*column)?));
    Ok(StoredRollup {
        grouping_set: set,
        key: key_columns(set)
            .iter()
            .map(|column| row.try_get(*column))
            .collect::<Result<_, _>>()?,
        grain,
        window_start: time(row, "window_start")?,
        closed: row.try_get("closed")?,
        numbers,
        sketches: sketches(set).iter().map(bytes).collect::<Result<_, _>>()?,
        memory_sketch_indexes: row.try_get("memory_sketch_indexes")?,
        memory_sketch_counts: row.try_get("memory_sketch_counts")?,
    })
}
