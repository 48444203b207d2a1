//! `MachineState`, the domain's `NormalizeState`.

use super::column::List;
use super::symbol::{Symbol, creation_fields, creation_time};
use super::{FromRecord, ToRecord};
use crate::error::DecodeError;
use rollcall_domain::pipeline::{MachineCpu, NormalizeState, ProcessCpu, RecentIds};
use rollcall_domain::{Precision, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct MachineStateRecord<'a> {
    #[serde(borrow)]
    cpu: Option<MachineCpuRecord<'a>>,
    #[serde(borrow)]
    recent_ids: Option<RecentIdsRecord<'a>>,
}

impl ToRecord for NormalizeState {
    type Record<'x> = MachineStateRecord<'x>;

    fn to_record(&self) -> MachineStateRecord<'_> {
        match self {
            NormalizeState::Cpu(cpu) => MachineStateRecord {
                cpu: Some(MachineCpuRecord {
                    event_at: cpu.event_at.as_micros(),
                    processes: List::of(&cpu.processes),
                }),
                recent_ids: None,
            },
            NormalizeState::RecentIds(ids) => MachineStateRecord {
                cpu: None,
                recent_ids: Some(RecentIdsRecord {
                    first: ids.first,
                    hashes: List::of(&ids.hashes),
                }),
            },
        }
    }
}

impl<'de> FromRecord<'de> for NormalizeState {
    type Record = MachineStateRecord<'de>;

    fn from_record(record: MachineStateRecord<'de>) -> Result<Self, DecodeError> {
        match (record.cpu, record.recent_ids) {
            (Some(cpu), None) => Ok(NormalizeState::Cpu(MachineCpu {
                event_at: Timestamp::from_micros(cpu.event_at),
                processes: cpu.processes.into_vec(),
            })),
            (None, Some(ids)) => recent_ids(ids).map(NormalizeState::RecentIds),
            _ => Err(DecodeError::invalid(
                "cpu",
                "not exactly one of cpu and recent_ids is set",
            )),
        }
    }
}

fn recent_ids(record: RecentIdsRecord<'_>) -> Result<RecentIds, DecodeError> {
    let hashes = record.hashes.into_vec();
    if hashes.len() > RecentIds::CAPACITY {
        return Err(DecodeError::invalid(
            "recent_ids.hashes",
            format_args!("{} ids, more than {}", hashes.len(), RecentIds::CAPACITY),
        ));
    }
    Ok(RecentIds {
        first: record.first,
        hashes,
    })
}

#[derive(Serialize, Deserialize)]
pub struct MachineCpuRecord<'a> {
    event_at: i64,
    #[serde(borrow)]
    processes: List<'a, ProcessCpu>,
}

#[derive(Serialize, Deserialize)]
pub struct RecentIdsRecord<'a> {
    first: i64,
    #[serde(borrow)]
    hashes: List<'a, u64>,
}

#[derive(Serialize, Deserialize)]
pub struct ProcessCpuRecord {
    pid: i32,
    name_hash: i64,
    creation_time: Option<i64>,
    creation_time_precision: Symbol<Precision>,
    cpu_time_us: i64,
}

impl ToRecord for ProcessCpu {
    type Record<'x> = ProcessCpuRecord;

    fn to_record(&self) -> ProcessCpuRecord {
        let (creation_time, creation_time_precision) = creation_fields(self.created_at);
        ProcessCpuRecord {
            pid: self.pid,
            name_hash: self.name_hash.cast_signed(),
            creation_time,
            creation_time_precision,
            cpu_time_us: self.cpu_time_us,
        }
    }
}

impl FromRecord<'_> for ProcessCpu {
    type Record = ProcessCpuRecord;

    fn from_record(record: ProcessCpuRecord) -> Result<Self, DecodeError> {
        Ok(ProcessCpu {
            pid: record.pid,
            name_hash: record.name_hash.cast_unsigned(),
            created_at: creation_time(record.creation_time, record.creation_time_precision)?,
            cpu_time_us: record.cpu_time_us,
        })
    }
}

/// A hash, kept as the long of the same bits.
impl ToRecord for u64 {
    type Record<'x> = i64;

    fn to_record(&self) -> i64 {
        self.cast_signed()
    }
}

impl FromRecord<'_> for u64 {
    type Record = i64;

    fn from_record(record: i64) -> Result<Self, DecodeError> {
        Ok(record.cast_unsigned())
    }
}
