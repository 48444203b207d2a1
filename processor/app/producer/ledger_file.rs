//! The ledger that `simulate --ledger` writes: what was sent, where it was appended, and what it says, so that an
//! independent oracle can expect exactly what the tables must hold.
//!
//! JSON lines: first each user of the directory, then each record as it is acknowledged (so in the order of each
//! partition's offsets), at the end those that never were.
//!
//! Invariant: a line read back gives the same truth; the structs below are mirrors, so that the domain needs no serde.

use super::link::ProducerError;
use crate::kafka::sender::Delivery;
use rollcall_domain::{Os, ProcessState, RejectionReason, SnapshotId, Timestamp};
use rollcall_simulator::{
    Expectation, Form, Kind, Ledger, Outcome, RejectedLine, Shipment, Truth, TruthRow,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A line of a ledger.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LedgerLine {
    /// A user of the directory.
    User {
        /// The user.
        user: String,
        /// The faculty.
        faculty: Option<String>,
    },
    /// A raw record.
    Record(Box<LedgerRecord>),
}

/// A raw record that was sent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// Its place among those that were sent, from 0.
    pub sequence: usize,
    /// Its key.
    pub key: Option<String>,
    /// The partition; `None` where it was not acknowledged.
    pub partition: Option<i32>,
    /// The offset.
    pub offset: Option<i64>,
    /// When the broker appended it, in milliseconds.
    pub append_time_ms: Option<i64>,
    /// Why it was sent: a word of [`Kind`].
    pub kind: String,
    /// What must become of it: accepted, duplicate, rejected.
    pub expectation: String,
    /// Why it must be rejected.
    pub reason: Option<String>,
    /// What it says.
    pub truth: TruthMirror,
}

/// Mirror of [`Truth`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TruthMirror {
    snapshot_id: uuid::Uuid,
    machine_id: String,
    machine_name: String,
    os: String,
    cpu_count: i32,
    form: String,
    observed_at_us: i64,
    user: Option<String>,
    faculty: Option<String>,
    rows: Vec<RowMirror>,
    rejected_lines: Vec<(i64, String)>,
}

/// Mirror of [`TruthRow`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct RowMirror {
    identity: u64,
    pid: i32,
    parent_pid: Option<i32>,
    executable_name: String,
    application: String,
    owner: Option<String>,
    state: Option<String>,
    started_at_us: i64,
    cpu_time_us: Option<i64>,
    memory_usage_bytes: Option<i64>,
    memory_virtual_bytes: Option<i64>,
    thread_count: Option<i32>,
    command_line: Option<String>,
}

impl LedgerRecord {
    fn of(sequence: usize, key: Option<&[u8]>, shipment: &Shipment) -> Self {
        let (expectation, reason) = match shipment.expectation {
            Expectation::Accepted => ("accepted", None),
            Expectation::Duplicate => ("duplicate", None),
            Expectation::Rejected(reason) => ("rejected", Some(reason.as_str().to_owned())),
        };
        Self {
            sequence,
            key: key.map(|key| String::from_utf8_lossy(key).into_owned()),
            partition: None,
            offset: None,
            append_time_ms: None,
            kind: shipment.kind.as_str().to_owned(),
            expectation: expectation.to_owned(),
            reason,
            truth: TruthMirror::of(&shipment.simulated.truth),
        }
    }

    /// Counts the record in `ledger` as appended when the broker said; `None` where it was never acknowledged, or a
    /// word is not one of ours. Records of a partition are to be counted in the order of their offsets.
    pub fn count_in(&self, ledger: &mut Ledger) -> Option<Outcome> {
        let ingested_at = Timestamp::from_millis(self.append_time_ms?);
        if Kind::parse(&self.kind)? == Kind::Poison {
            let reason = RejectionReason::parse(self.reason.as_deref()?)?;
            ledger.reject(reason);
            return Some(Outcome::Rejected(reason));
        }
        Some(ledger.add(&self.truth()?, ingested_at))
    }

    /// What the record says; `None` where a word is not one of ours.
    #[must_use]
    pub fn truth(&self) -> Option<Truth> {
        let mirror = &self.truth;
        let rejected = |(line, text): &(i64, String)| RejectedLine {
            line: *line,
            text: text.clone(),
        };
        Some(Truth {
            snapshot_id: SnapshotId(mirror.snapshot_id.as_u128()),
            machine_id: mirror.machine_id.clone(),
            machine_name: mirror.machine_name.clone(),
            os: Os::parse(&mirror.os)?,
            cpu_count: mirror.cpu_count,
            form: Form::parse(&mirror.form)?,
            observed_at: Timestamp::from_micros(mirror.observed_at_us),
            user: mirror.user.clone(),
            faculty: mirror.faculty.clone(),
            rows: mirror
                .rows
                .iter()
                .map(RowMirror::row)
                .collect::<Option<_>>()?,
            rejected_lines: mirror.rejected_lines.iter().map(rejected).collect(),
        })
    }
}

impl TruthMirror {
    fn of(truth: &Truth) -> Self {
        let rejected = |line: &RejectedLine| (line.line, line.text.clone());
        Self {
            snapshot_id: uuid::Uuid::from_u128(truth.snapshot_id.0),
            machine_id: truth.machine_id.clone(),
            machine_name: truth.machine_name.clone(),
            os: truth.os.as_str().to_owned(),
            cpu_count: truth.cpu_count,
            form: truth.form.as_str().to_owned(),
            observed_at_us: truth.observed_at.as_micros(),
            user: truth.user.clone(),
            faculty: truth.faculty.clone(),
            rows: truth.rows.iter().map(RowMirror::of).collect(),
            rejected_lines: truth.rejected_lines.iter().map(rejected).collect(),
        }
    }
}

impl RowMirror {
    fn of(row: &TruthRow) -> Self {
        Self {
            identity: row.identity,
            pid: row.pid,
            parent_pid: row.parent_pid,
            executable_name: row.executable_name.clone(),
            application: row.application.clone(),
            owner: row.owner.clone(),
            state: row.state.map(|state| state.as_str().to_owned()),
            started_at_us: row.started_at.as_micros(),
            cpu_time_us: row.cpu_time_us,
            memory_usage_bytes: row.memory_usage_bytes,
            memory_virtual_bytes: row.memory_virtual_bytes,
            thread_count: row.thread_count,
            command_line: row.command_line.clone(),
        }
    }

    fn row(&self) -> Option<TruthRow> {
        let state = match self.state.as_deref() {
            None => None,
            Some(word) => Some(
                ProcessState::ALL
                    .into_iter()
                    .find(|state| state.as_str() == word)?,
            ),
        };
        Some(TruthRow {
            identity: self.identity,
            pid: self.pid,
            parent_pid: self.parent_pid,
            executable_name: self.executable_name.clone(),
            application: self.application.clone(),
            owner: self.owner.clone(),
            state,
            started_at: Timestamp::from_micros(self.started_at_us),
            cpu_time_us: self.cpu_time_us,
            memory_usage_bytes: self.memory_usage_bytes,
            memory_virtual_bytes: self.memory_virtual_bytes,
            thread_count: self.thread_count,
            command_line: self.command_line.clone(),
        })
    }
}

/// A ledger being written.
pub(super) struct LedgerFile {
    path: PathBuf,
    out: BufWriter<File>,
    /// Records that are not acknowledged yet, by sequence.
    pending: BTreeMap<usize, LedgerRecord>,
}

impl LedgerFile {
    pub(super) fn create(path: &Path) -> Result<Self, ProducerError> {
        let file = File::create(path).map_err(|source| unusable(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::new(file),
            pending: BTreeMap::new(),
        })
    }

    pub(super) fn user(&mut self, user: &str, faculty: Option<&str>) -> Result<(), ProducerError> {
        self.write(&LedgerLine::User {
            user: user.to_owned(),
            faculty: faculty.map(str::to_owned),
        })
    }

    pub(super) fn sent(&mut self, sequence: usize, key: Option<&[u8]>, shipment: &Shipment) {
        let record = LedgerRecord::of(sequence, key, shipment);
        self.pending.insert(sequence, record);
    }

    /// It was not handed over after all.
    pub(super) fn withdrawn(&mut self, sequence: usize) {
        self.pending.remove(&sequence);
    }

    pub(super) fn delivered(&mut self, delivery: &Delivery) -> Result<(), ProducerError> {
        let Some(mut record) = self.pending.remove(&delivery.tag) else {
            return Ok(());
        };
        if let Ok(place) = &delivery.place {
            record.partition = Some(place.partition);
            record.offset = Some(place.offset);
            record.append_time_ms = place.append_time_ms;
        }
        self.write(&LedgerLine::Record(Box::new(record)))
    }

    pub(super) fn finish(mut self) -> Result<(), ProducerError> {
        for record in std::mem::take(&mut self.pending).into_values() {
            self.write(&LedgerLine::Record(Box::new(record)))?;
        }
        self.out
            .flush()
            .map_err(|source| unusable(&self.path, source))
    }

    fn write(&mut self, line: &LedgerLine) -> Result<(), ProducerError> {
        let written = serde_json::to_writer(&mut self.out, line)
            .map_err(std::io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|source| unusable(&self.path, source))
    }
}

fn unusable(path: &Path, source: std::io::Error) -> ProducerError {
    ProducerError::File {
        path: path.display().to_string(),
        source,
    }
}

/// Reads a ledger.
///
/// # Errors
/// If the file can't be read, or a line is none of a ledger's.
pub fn read_ledger(path: &Path) -> Result<Vec<LedgerLine>, ProducerError> {
    let file = File::open(path).map_err(|source| unusable(path, source))?;
    let mut lines = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|source| unusable(path, source))?;
        let read = serde_json::from_str(&line).map_err(|error| ProducerError::Ledger {
            path: path.display().to_string(),
            line: index + 1,
            detail: error.to_string(),
        })?;
        lines.push(read);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::sender::Place;
    use rollcall_simulator::{Fleet, FleetConfig, Mischief, MischiefConfig};

    /// Every form and kind: what is read back says what was sent.
    #[test]
    fn a_ledger_reads_back_as_it_was_written() {
        let config = FleetConfig {
            machines: 40,
            processes_per_machine: 8..=12,
            ..FleetConfig::default()
        };
        let mischief = MischiefConfig {
            oversized_bytes: 0,
            ..MischiefConfig::of_share(3, 0.6)
        };
        let shipments: Vec<Shipment> = Mischief::new(Fleet::new(config).into_stream(), mischief)
            .take(400)
            .collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.jsonl");
        let mut file = LedgerFile::create(&path).expect("a file");
        file.user("ada", Some("law")).expect("a line");
        for (sequence, shipment) in shipments.iter().enumerate() {
            file.sent(sequence, None, shipment);
            let place = Place {
                partition: 1,
                offset: sequence as i64,
                append_time_ms: Some(shipment.at.as_millis()),
            };
            let delivery = Delivery {
                tag: sequence,
                place: Ok(place),
            };
            if sequence != 7 {
                file.delivered(&delivery).expect("a line");
            }
        }
        file.finish().expect("the end");

        let lines = read_ledger(&path).expect("a ledger");
        assert_eq!(lines.len(), 401);
        let mut ledger = Ledger::new([("ada", Some("law"))]);
        let mut direct = ledger.clone();
        for line in &lines[1..] {
            let LedgerLine::Record(record) = line else {
                panic!("a record");
            };
            let shipment = &shipments[record.sequence];
            assert_eq!(record.truth().as_ref(), Some(&shipment.simulated.truth));
            let counted = record.count_in(&mut ledger);
            assert_eq!(counted.is_some(), record.sequence != 7);
            if counted.is_some() {
                let at = Timestamp::from_millis(shipment.at.as_millis());
                assert_eq!(counted, Some(direct.add_shipment(shipment, at)));
            }
        }
        assert_eq!(ledger.rollups(), direct.rollups());
        assert_eq!(
            lines
                .last()
                .map(|line| matches!(line, LedgerLine::Record(r) if r.offset.is_none())),
            Some(true)
        );
    }
}
