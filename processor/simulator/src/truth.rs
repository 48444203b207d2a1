//! What the fleet says of its own snapshots, in the precision of the form that each was printed in.
//!
//! A [`Truth`] is written by the same hand as the text, from the simulated processes, never read back from the text:
//! so that what a parser makes of the text can be compared with it.

use crate::form::Form;
use rollcall_domain::{Os, ProcessState, Snapshot, SnapshotId, Timestamp};

/// A snapshot ready to be sent, and what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SimulatedSnapshot {
    /// The snapshot.
    pub snapshot: Snapshot<'static>,
    /// What it says.
    pub truth: Truth,
}

/// What a snapshot says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Truth {
    /// The snapshot's id.
    pub snapshot_id: SnapshotId,
    /// The machine's id.
    pub machine_id: String,
    /// The machine's name, which decides whether an owner `NAME\user` is a local one.
    pub machine_name: String,
    /// The operating system.
    pub os: Os,
    /// The number of logical CPUs, which bounds CPU deltas.
    pub cpu_count: i32,
    /// The form of the list.
    pub form: Form,
    /// The producer's clock when the list was taken.
    pub observed_at: Timestamp,
    /// The user that the snapshot names.
    pub user: Option<String>,
    /// The faculty that the snapshot names.
    pub faculty: Option<String>,
    /// The processes, in the list's order.
    pub rows: Vec<TruthRow>,
    /// Lines (or structured records) that can't be read, in their order.
    pub rejected_lines: Vec<RejectedLine>,
}

/// A process as its snapshot shows it. What its form does not show is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TruthRow {
    /// Unique to the simulated process in its fleet, whatever its pid.
    pub identity: u64,
    /// `process.pid`.
    pub pid: i32,
    /// `process.parent_pid`.
    pub parent_pid: Option<i32>,
    /// `process.executable.name` as the form shows it: perhaps cut.
    pub executable_name: String,
    /// The canonical application that it should be given.
    pub application: String,
    /// The owner as printed: perhaps cut, or a UID.
    pub owner: Option<String>,
    /// `process.state`.
    pub state: Option<ProcessState>,
    /// When it really began, by the machine's clock; a form's creation time, if it has one, is an interval around it.
    pub started_at: Timestamp,
    /// Cumulative CPU time in microseconds, rounded down to what the form shows.
    pub cpu_time_us: Option<i64>,
    /// Resident bytes.
    pub memory_usage_bytes: Option<i64>,
    /// Virtual bytes.
    pub memory_virtual_bytes: Option<i64>,
    /// Threads.
    pub thread_count: Option<i32>,
    /// The command line.
    pub command_line: Option<String>,
}

/// A line that can't be read. Which reason it is given is the pipeline's to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectedLine {
    /// Number of the line, 1 for the first; of a structured record, its index plus 1.
    pub line: i64,
    /// The line without its end.
    pub text: String,
}
