//! `SnapshotObservations` and its processes.

use super::column::List;
use super::machine::{CommandOutputRecord, MachineRecord, check_utc_offset};
use super::symbol::{Symbol, creation_fields, creation_time};
use super::text::{IdText, Text, TextMap, maybe};
use super::{FromRecord, ToRecord, not_empty, not_negative};
use crate::error::DecodeError;
use rollcall_domain::observation::{Observation, SnapshotObservations, SourceOffset, TaskCounts};
use rollcall_domain::snapshot::CommandOutput;
use rollcall_domain::{Machine, Precision, Process, ProcessState, ResolvedUser, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct ObservationsRecord<'a> {
    snapshot_id: IdText,
    source_partition: i32,
    source_offset: i64,
    observed_at: i64,
    ingested_at: i64,
    event_at: i64,
    utc_offset_seconds: Option<i32>,
    #[serde(borrow)]
    machine: MachineRecord<'a>,
    #[serde(borrow)]
    command: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: TextMap<'a>,
    #[serde(borrow)]
    command_output: Option<CommandOutputRecord<'a>>,
    #[serde(borrow)]
    users: List<'a, ResolvedUser<'a>>,
    rules_digest: i64,
    lines_rejected: i64,
    counts: CountsRecord,
    #[serde(borrow)]
    observations: List<'a, Observation<'a>>,
}

impl ToRecord for SnapshotObservations<'_> {
    type Record<'x>
        = ObservationsRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> ObservationsRecord<'_> {
        ObservationsRecord {
            snapshot_id: IdText::of(self.snapshot_id),
            source_partition: self.source.partition,
            source_offset: self.source.offset,
            observed_at: self.observed_at.as_micros(),
            ingested_at: self.ingested_at.as_micros(),
            event_at: self.event_at.as_micros(),
            utc_offset_seconds: self.utc_offset_seconds,
            machine: self.machine.to_record(),
            command: Text::maybe(&self.command),
            attributes: TextMap::Of(&self.attributes),
            command_output: self
                .command_output
                .as_ref()
                .map(|output| output.to_record()),
            users: List::of(&self.users),
            rules_digest: self.rules_digest.cast_signed(),
            lines_rejected: self.lines_rejected,
            counts: self.counts.to_record(),
            observations: List::of(&self.observations),
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for SnapshotObservations<'a> {
    type Record = ObservationsRecord<'a>;

    fn from_record(record: ObservationsRecord<'a>) -> Result<Self, DecodeError> {
        not_negative("lines_rejected", Some(record.lines_rejected))?;
        let users = record.users.into_vec();
        let observations = record.observations.into_vec();
        check_users(&observations, users.len())?;
        Ok(SnapshotObservations {
            snapshot_id: record.snapshot_id.check("snapshot_id")?,
            source: SourceOffset {
                partition: record.source_partition,
                offset: record.source_offset,
            },
            observed_at: Timestamp::from_micros(record.observed_at),
            ingested_at: Timestamp::from_micros(record.ingested_at),
            event_at: Timestamp::from_micros(record.event_at),
            utc_offset_seconds: check_utc_offset(record.utc_offset_seconds)?,
            machine: Machine::from_record(record.machine)?,
            command: maybe(record.command),
            attributes: record.attributes.into_map(),
            command_output: record
                .command_output
                .map(CommandOutput::from_record)
                .transpose()?,
            users,
            rules_digest: record.rules_digest.cast_unsigned(),
            lines_rejected: record.lines_rejected,
            counts: TaskCounts::from_record(record.counts)?,
            observations,
        })
    }
}

fn check_users(observations: &[Observation<'_>], users: usize) -> Result<(), DecodeError> {
    match observations
        .iter()
        .find(|observation| observation.user as usize >= users)
    {
        Some(stray) => Err(DecodeError::invalid(
            "observations.user",
            format_args!("index {} of {users} users", stray.user),
        )),
        None => Ok(()),
    }
}

#[derive(Serialize, Deserialize)]
pub struct ObservationRecord<'a> {
    pid: i32,
    parent_pid: Option<i32>,
    creation_time: Option<i64>,
    creation_time_precision: Symbol<Precision>,
    #[serde(borrow)]
    executable_name: Text<'a>,
    #[serde(borrow)]
    executable_path: Option<Text<'a>>,
    #[serde(borrow)]
    command_line: Option<Text<'a>>,
    #[serde(borrow)]
    owner: Option<Text<'a>>,
    state: Symbol<ProcessState>,
    cpu_time_us: Option<i64>,
    cpu_delta_us: Option<i64>,
    memory_usage_bytes: Option<i64>,
    memory_virtual_bytes: Option<i64>,
    thread_count: Option<i32>,
    #[serde(borrow)]
    application: Text<'a>,
    #[serde(borrow)]
    script: Option<Text<'a>>,
    user: u32,
}

impl ToRecord for Observation<'_> {
    type Record<'x>
        = ObservationRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> ObservationRecord<'_> {
        let process = &self.process;
        let (creation_time, creation_time_precision) = creation_fields(process.created_at);
        ObservationRecord {
            pid: process.pid,
            parent_pid: process.parent_pid,
            creation_time,
            creation_time_precision,
            executable_name: Text::of(&process.executable_name),
            executable_path: Text::maybe(&process.executable_path),
            command_line: Text::maybe(&process.command_line),
            owner: Text::maybe(&process.owner),
            state: Symbol(process.state),
            cpu_time_us: process.cpu_time_us,
            cpu_delta_us: self.cpu_delta_us,
            memory_usage_bytes: process.memory_usage_bytes,
            memory_virtual_bytes: process.memory_virtual_bytes,
            thread_count: process.thread_count,
            application: Text::of(&process.application),
            script: Text::maybe(&process.script),
            user: self.user,
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for Observation<'a> {
    type Record = ObservationRecord<'a>;

    fn from_record(record: ObservationRecord<'a>) -> Result<Self, DecodeError> {
        not_negative("pid", Some(record.pid))?;
        not_empty("executable_name", &record.executable_name.0)?;
        not_empty("application", &record.application.0)?;
        not_negative("cpu_time_us", record.cpu_time_us)?;
        not_negative("memory_usage_bytes", record.memory_usage_bytes)?;
        not_negative("memory_virtual_bytes", record.memory_virtual_bytes)?;
        let process = Process {
            pid: record.pid,
            parent_pid: record.parent_pid,
            created_at: creation_time(record.creation_time, record.creation_time_precision)?,
            executable_name: record.executable_name.0,
            executable_path: maybe(record.executable_path),
            command_line: maybe(record.command_line),
            owner: maybe(record.owner),
            state: record.state.0,
            cpu_time_us: record.cpu_time_us,
            memory_usage_bytes: record.memory_usage_bytes,
            memory_virtual_bytes: record.memory_virtual_bytes,
            thread_count: record.thread_count,
            application: record.application.0,
            script: maybe(record.script),
        };
        Ok(Observation {
            process,
            cpu_delta_us: record.cpu_delta_us,
            user: record.user,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub struct UserRecord<'a> {
    #[serde(borrow)]
    user: Text<'a>,
    #[serde(borrow)]
    faculty: Text<'a>,
}

impl ToRecord for ResolvedUser<'_> {
    type Record<'x>
        = UserRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> UserRecord<'_> {
        UserRecord {
            user: Text::of(&self.user),
            faculty: Text::of(&self.faculty),
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for ResolvedUser<'a> {
    type Record = UserRecord<'a>;

    fn from_record(record: UserRecord<'a>) -> Result<Self, DecodeError> {
        Ok(ResolvedUser {
            user: record.user.0,
            faculty: record.faculty.0,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub struct CountsRecord {
    snapshots_read: i64,
    snapshots_accepted: i64,
    snapshots_duplicate: i64,
    snapshots_rejected: i64,
    lines_accepted: i64,
    lines_rejected: i64,
}

impl ToRecord for TaskCounts {
    type Record<'x> = CountsRecord;

    fn to_record(&self) -> CountsRecord {
        CountsRecord {
            snapshots_read: self.snapshots_read,
            snapshots_accepted: self.snapshots_accepted,
            snapshots_duplicate: self.snapshots_duplicate,
            snapshots_rejected: self.snapshots_rejected,
            lines_accepted: self.lines_accepted,
            lines_rejected: self.lines_rejected,
        }
    }
}

impl FromRecord<'_> for TaskCounts {
    type Record = CountsRecord;

    fn from_record(record: CountsRecord) -> Result<Self, DecodeError> {
        Ok(TaskCounts {
            snapshots_read: record.snapshots_read,
            snapshots_accepted: record.snapshots_accepted,
            snapshots_duplicate: record.snapshots_duplicate,
            snapshots_rejected: record.snapshots_rejected,
            lines_accepted: record.lines_accepted,
            lines_rejected: record.lines_rejected,
        })
    }
}
