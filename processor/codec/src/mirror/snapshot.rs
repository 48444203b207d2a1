//! `ProcessSnapshot`.

use super::column::List;
use super::machine::{CommandOutputRecord, MachineRecord, check_utc_offset};
use super::text::{IdText, Text, TextMap, maybe, not_empty_or_none};
use super::{FromRecord, ToRecord};
use crate::error::DecodeError;
use rollcall_domain::snapshot::{
    CommandOutput, LinuxProcess, LinuxProcesses, MacosProcess, WindowsProcess,
};
use rollcall_domain::{Machine, Payload, Snapshot, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct SnapshotRecord<'a> {
    snapshot_id: IdText,
    observed_at: i64,
    utc_offset_seconds: Option<i32>,
    #[serde(borrow)]
    machine: MachineRecord<'a>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
    #[serde(borrow)]
    faculty: Option<Text<'a>>,
    #[serde(borrow)]
    command: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: TextMap<'a>,
    #[serde(borrow)]
    payload: PayloadRecord<'a>,
}

impl ToRecord for Snapshot<'_> {
    type Record<'x>
        = SnapshotRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> SnapshotRecord<'_> {
        SnapshotRecord {
            snapshot_id: IdText::of(self.id),
            observed_at: self.observed_at.as_micros(),
            utc_offset_seconds: self.utc_offset_seconds,
            machine: self.machine.to_record(),
            user: Text::maybe(&self.user),
            faculty: Text::maybe(&self.faculty),
            command: Text::maybe(&self.command),
            attributes: TextMap::Of(&self.attributes),
            payload: self.payload.to_record(),
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for Snapshot<'a> {
    type Record = SnapshotRecord<'a>;

    fn from_record(record: SnapshotRecord<'a>) -> Result<Self, DecodeError> {
        Ok(Snapshot {
            id: record.snapshot_id.check("snapshot_id")?,
            observed_at: Timestamp::from_micros(record.observed_at),
            utc_offset_seconds: check_utc_offset(record.utc_offset_seconds)?,
            machine: Machine::from_record(record.machine)?,
            user: not_empty_or_none(record.user),
            faculty: not_empty_or_none(record.faculty),
            command: maybe(record.command),
            attributes: record.attributes.into_map(),
            payload: Payload::from_record(record.payload)?,
        })
    }
}

/// The union of the payloads; a variant's name is its record's.
#[derive(Serialize, Deserialize)]
pub enum PayloadRecord<'a> {
    #[serde(borrow, rename = "rollcall.v1.CommandOutput")]
    CommandOutput(CommandOutputRecord<'a>),
    #[serde(borrow, rename = "rollcall.v1.LinuxProcesses")]
    Linux(LinuxProcessesRecord<'a>),
    #[serde(borrow, rename = "rollcall.v1.MacosProcesses")]
    Macos(MacosProcessesRecord<'a>),
    #[serde(borrow, rename = "rollcall.v1.WindowsProcesses")]
    Windows(WindowsProcessesRecord<'a>),
}

#[derive(Serialize, Deserialize)]
pub struct LinuxProcessesRecord<'a> {
    clock_ticks_per_second: i64,
    page_size_bytes: i64,
    boot_time_seconds: Option<i64>,
    #[serde(borrow)]
    processes: List<'a, LinuxProcess<'a>>,
}

#[derive(Serialize, Deserialize)]
pub struct MacosProcessesRecord<'a> {
    #[serde(borrow)]
    processes: List<'a, MacosProcess<'a>>,
}

#[derive(Serialize, Deserialize)]
pub struct WindowsProcessesRecord<'a> {
    #[serde(borrow)]
    processes: List<'a, WindowsProcess<'a>>,
}

impl ToRecord for Payload<'_> {
    type Record<'x>
        = PayloadRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> PayloadRecord<'_> {
        match self {
            Payload::CommandOutput(output) => PayloadRecord::CommandOutput(output.to_record()),
            Payload::Linux(linux) => PayloadRecord::Linux(LinuxProcessesRecord {
                clock_ticks_per_second: linux.clock_ticks_per_second,
                page_size_bytes: linux.page_size_bytes,
                boot_time_seconds: linux.boot_time_seconds,
                processes: List::of(&linux.processes),
            }),
            Payload::Macos(processes) => PayloadRecord::Macos(MacosProcessesRecord {
                processes: List::of(processes),
            }),
            Payload::Windows(processes) => PayloadRecord::Windows(WindowsProcessesRecord {
                processes: List::of(processes),
            }),
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for Payload<'a> {
    type Record = PayloadRecord<'a>;

    fn from_record(record: PayloadRecord<'a>) -> Result<Self, DecodeError> {
        Ok(match record {
            PayloadRecord::CommandOutput(output) => {
                Payload::CommandOutput(CommandOutput::from_record(output)?)
            }
            PayloadRecord::Linux(linux) => Payload::Linux(linux_processes(linux)?),
            PayloadRecord::Macos(macos) => Payload::Macos(macos.processes.into_vec()),
            PayloadRecord::Windows(windows) => Payload::Windows(windows.processes.into_vec()),
        })
    }
}

fn linux_processes(record: LinuxProcessesRecord<'_>) -> Result<LinuxProcesses<'_>, DecodeError> {
    at_least_one("clock_ticks_per_second", record.clock_ticks_per_second)?;
    at_least_one("page_size_bytes", record.page_size_bytes)?;
    Ok(LinuxProcesses {
        clock_ticks_per_second: record.clock_ticks_per_second,
        page_size_bytes: record.page_size_bytes,
        boot_time_seconds: record.boot_time_seconds,
        processes: record.processes.into_vec(),
    })
}

fn at_least_one(field: &'static str, number: i64) -> Result<(), DecodeError> {
    if number < 1 {
        return Err(DecodeError::invalid(
            field,
            format_args!("less than 1: {number}"),
        ));
    }
    Ok(())
}
