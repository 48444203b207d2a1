//! `Machine` and `CommandOutput`, which snapshots and observations share.

use super::symbol::Symbol;
use super::text::{Bytes, Text, maybe};
use super::{FromRecord, ToRecord, not_empty, not_negative};
use crate::error::DecodeError;
use rollcall_domain::snapshot::CommandOutput;
use rollcall_domain::{Machine, Os};
use serde::{Deserialize, Serialize};

/// The farthest that local time may be from UTC, either way; the limit of java.time's `ZoneOffset`.
const UTC_OFFSET_SECONDS_MAX: u32 = 18 * 3600;

/// Checks `utc_offset_seconds`.
pub fn check_utc_offset(seconds: Option<i32>) -> Result<Option<i32>, DecodeError> {
    match seconds {
        Some(seconds) if seconds.unsigned_abs() > UTC_OFFSET_SECONDS_MAX => {
            Err(DecodeError::invalid(
                "utc_offset_seconds",
                format_args!("out of range: {seconds}"),
            ))
        }
        _ => Ok(seconds),
    }
}

#[derive(Serialize, Deserialize)]
pub struct MachineRecord<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    os: Symbol<Os>,
    #[serde(borrow)]
    os_version: Option<Text<'a>>,
    cpu_count: Option<i32>,
    memory_bytes: Option<i64>,
}

impl ToRecord for Machine<'_> {
    type Record<'x>
        = MachineRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> MachineRecord<'_> {
        MachineRecord {
            id: Text::of(&self.id),
            name: Text::maybe(&self.name),
            os: Symbol::of(self.os),
            os_version: Text::maybe(&self.os_version),
            cpu_count: self.cpu_count,
            memory_bytes: self.memory_bytes,
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for Machine<'a> {
    type Record = MachineRecord<'a>;

    fn from_record(record: MachineRecord<'a>) -> Result<Self, DecodeError> {
        not_empty("machine.id", &record.id.0)?;
        not_negative("machine.cpu_count", record.cpu_count)?;
        not_negative("machine.memory_bytes", record.memory_bytes)?;
        Ok(Machine {
            id: record.id.0,
            name: maybe(record.name),
            os: record.os.0.ok_or(DecodeError::UnknownOs)?,
            os_version: maybe(record.os_version),
            cpu_count: record.cpu_count,
            memory_bytes: record.memory_bytes,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub struct CommandOutputRecord<'a> {
    #[serde(borrow)]
    text: Bytes<'a>,
    #[serde(borrow)]
    encoding: Option<Text<'a>>,
}

impl ToRecord for CommandOutput<'_> {
    type Record<'x>
        = CommandOutputRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> CommandOutputRecord<'_> {
        CommandOutputRecord {
            text: Bytes::of(&self.text),
            encoding: Text::maybe(&self.encoding),
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for CommandOutput<'a> {
    type Record = CommandOutputRecord<'a>;

    fn from_record(record: CommandOutputRecord<'a>) -> Result<Self, DecodeError> {
        Ok(CommandOutput {
            text: record.text.0,
            encoding: maybe(record.encoding),
        })
    }
}
