//! What the tables hold, row by row, and how it is pulled.

use rollcall_domain::observation::SourceOffset;
use rollcall_domain::{Grain, GroupingSet, SnapshotId, TaskCounts, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rows that are compared along with the raw records, in their order.
pub trait Tables {
    /// Why a row can't be had.
    type Error;

    /// The next row of `process_snapshots` with its processes, by source partition, source offset, snapshot number.
    ///
    /// # Errors
    /// If the rows can't be read.
    fn next_snapshot(&mut self) -> Result<Option<StoredSnapshot>, Self::Error>;

    /// The next row of `rejected_records`, by source partition and offset.
    ///
    /// # Errors
    /// If the rows can't be read.
    fn next_letter(&mut self) -> Result<Option<StoredLetter>, Self::Error>;
}

/// A row of `process_snapshots`, with its rows of `process_observations`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredSnapshot {
    /// Its number in the database.
    pub number: i64,
    /// The raw record's place.
    pub source: SourceOffset,
    /// Its id.
    pub snapshot_id: SnapshotId,
    /// The producer's clock.
    pub observed_at: Timestamp,
    /// The event time.
    pub event_at: Timestamp,
    /// The raw record's append time.
    pub ingested_at: Timestamp,
    /// Digest of the rules that made it.
    pub rules_digest: u64,
    /// Its lines that were rejected.
    pub lines_rejected: i64,
    /// How many processes it says it has.
    pub process_count: i32,
    /// The machine; `None` where its key points nowhere.
    pub machine_id: Option<String>,
    /// The machine's operating system, as it is known last.
    pub os: Option<String>,
    /// The machine's offset from UTC.
    pub utc_offset_seconds: Option<i32>,
    /// The user, where there is one for all of it.
    pub user_name: Option<String>,
    /// The faculty, where there is one user for all of it.
    pub faculty: Option<String>,
    /// The command.
    pub command: Option<String>,
    /// The attributes; `None` where there are none.
    pub attributes: Option<BTreeMap<String, String>>,
    /// The command's output, where it is stored.
    pub command_output: Option<String>,
    /// The encoding that its producer named.
    pub command_output_encoding: Option<String>,
    /// Its processes, in any order.
    pub processes: Vec<StoredProcess>,
}

/// A row of `process_observations`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredProcess {
    /// `process.pid`.
    pub pid: i32,
    /// `process.parent_pid`.
    pub parent_pid: Option<i32>,
    /// When it began.
    pub created_at: Option<Timestamp>,
    /// The code of how exactly that is known.
    pub created_precision: Option<u8>,
    /// Cumulative CPU time.
    pub cpu_time_us: Option<i64>,
    /// CPU time since the snapshot before.
    pub cpu_delta_us: Option<i64>,
    /// Resident memory in bytes, where KiB can't hold it.
    pub memory_usage_bytes: Option<i64>,
    /// Resident memory in KiB.
    pub memory_usage_kib: Option<i32>,
    /// Virtual memory in bytes, where KiB can't hold it.
    pub memory_virtual_bytes: Option<i64>,
    /// Virtual memory in KiB.
    pub memory_virtual_kib: Option<i32>,
    /// Threads.
    pub thread_count: Option<i32>,
    /// The code of its state.
    pub state: Option<u8>,
    /// What it executes; `None` where the key points nowhere.
    pub command: Option<Arc<StoredCommand>>,
    /// Whom it counts for; `None` where the key points nowhere.
    pub owner: Option<Arc<StoredOwner>>,
}

/// A row of `command_lines`, with its application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCommand {
    /// The canonical name.
    pub application: String,
    /// The file's name.
    pub executable_name: String,
    /// The file's path.
    pub executable_path: Option<String>,
    /// The command line.
    pub command_line: Option<String>,
    /// What an interpreter runs.
    pub script: Option<String>,
}

/// A row of `owners`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredOwner {
    /// The owner as printed.
    pub owner: Option<String>,
    /// The user.
    pub user_name: String,
    /// The faculty.
    pub faculty: String,
}

/// A row of `rejected_records`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredLetter {
    /// The raw record's place.
    pub source: SourceOffset,
    /// The raw topic.
    pub source_topic: String,
    /// The rejected line; `None` where the whole record was rejected.
    pub line: Option<i64>,
    /// Whether the row says that the whole record was rejected.
    pub whole_record: bool,
    /// The reason's word.
    pub reason: String,
    /// The raw record's append time.
    pub ingested_at: Timestamp,
    /// The machine.
    pub machine_id: Option<String>,
    /// The snapshot.
    pub snapshot_id: Option<SnapshotId>,
    /// The beginning of the rejected bytes.
    pub raw: Vec<u8>,
    /// How many there were.
    pub raw_length: i64,
}

/// A row of one of the rollup tables. Distinct counts that a table lacks are `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRollup {
    /// Of which table.
    pub grouping_set: GroupingSet,
    /// The key columns: user; faculty; or faculty, os and application.
    pub key: Vec<String>,
    /// The window's length.
    pub grain: Grain,
    /// The window's start.
    pub window_start: Timestamp,
    /// Whether it is closed.
    pub closed: bool,
    /// Columns that hold one integer: name and value.
    pub numbers: Vec<(&'static str, Option<i64>)>,
    /// Columns that hold a HyperLogLog: name and bytes.
    pub sketches: Vec<(&'static str, Vec<u8>)>,
    /// DDSketch's buckets.
    pub memory_sketch_indexes: Vec<i32>,
    /// DDSketch's counts.
    pub memory_sketch_counts: Vec<i64>,
}

/// A row of `ledger`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoredLedger {
    /// Largest append time stored.
    pub last_ingested_at: Option<Timestamp>,
    /// What NORMALIZE says, as of the last stored message.
    pub counts: TaskCounts,
    /// Snapshots, processes and rejected lines stored.
    pub stored: [i64; 3],
    /// The same of what was older than what is kept.
    pub expired: [i64; 3],
}
