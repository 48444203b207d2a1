//! What NORMALIZE makes of one snapshot: its processes in standard terms, and whom they count for.

use crate::identity::ResolvedUser;
use crate::process::Process;
use crate::snapshot::{CommandOutput, Machine, SnapshotId};
use crate::time::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One process of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation<'a> {
    /// The process.
    pub process: Process<'a>,
    /// CPU time since the machine's snapshot before, in microseconds; `None` for the first sight of a
    /// process, after an out-of-order snapshot, and where the listing shows no CPU time.
    pub cpu_delta_us: Option<i64>,
    /// Whom it counts for: an index into [`SnapshotObservations::users`].
    pub user: u32,
}

/// One accepted snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotObservations<'a> {
    /// The snapshot's id.
    pub snapshot_id: SnapshotId,
    /// Where it stands in the raw topic.
    pub source: SourceOffset,
    /// The producer's clock.
    pub observed_at: Timestamp,
    /// The broker's append time of the raw record.
    pub ingested_at: Timestamp,
    /// `observed_at`, or `ingested_at` where the former lies too far in the future.
    pub event_at: Timestamp,
    /// The producer's offset from UTC in seconds.
    pub utc_offset_seconds: Option<i32>,
    /// The machine.
    pub machine: Machine<'a>,
    /// The command whose output it was.
    pub command: Option<Cow<'a, str>>,
    /// The producer's attributes.
    pub attributes: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    /// The command output, where it is to be stored.
    pub command_output: Option<CommandOutput<'a>>,
    /// The users (with faculties) that its processes count for, distinct.
    pub users: Vec<ResolvedUser<'a>>,
    /// Digest of the normalization rules in force.
    pub rules_digest: u64,
    /// Lines of this snapshot that were rejected.
    pub lines_rejected: i64,
    /// Cumulative counts of the NORMALIZE task, this snapshot included.
    pub counts: TaskCounts,
    /// Its processes.
    pub observations: Vec<Observation<'a>>,
}

/// A place in a topic's partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceOffset {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// A NORMALIZE task's cumulative counts since the deployment began.
///
/// The books balance: `read = accepted + duplicate + rejected`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TaskCounts {
    /// Raw records read.
    pub snapshots_read: i64,
    /// Snapshots accepted.
    pub snapshots_accepted: i64,
    /// Snapshots recognized as sent before.
    pub snapshots_duplicate: i64,
    /// Records rejected whole.
    pub snapshots_rejected: i64,
    /// Processes of accepted snapshots.
    pub lines_accepted: i64,
    /// Rejected lines of accepted snapshots.
    pub lines_rejected: i64,
}

impl TaskCounts {
    /// Whether every record read is accounted for.
    #[must_use]
    pub const fn balanced(&self) -> bool {
        self.snapshots_read
            == self.snapshots_accepted + self.snapshots_duplicate + self.snapshots_rejected
    }
}
