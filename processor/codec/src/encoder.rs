//! Writes domain values with our own schemas.

use crate::error::EncodeError;
use crate::mirror::ToRecord;
use crate::schemas::{RecordType, SchemaIds};
use crate::wire;
use rollcall_domain::pipeline::{
    DeadLetter, DirectoryUser, NormalizeState, RollupPartials, RollupState, RollupUpdate, TaskState,
};
use rollcall_domain::{Snapshot, SnapshotObservations};
use serde_avro_fast::ser::SerializerConfig;

/// Appends values in the wire format to a buffer that the caller reuses. One encoder serves one thread.
pub struct Encoder {
    ids: SchemaIds,
    configs: [SerializerConfig<'static>; RecordType::COUNT],
}

impl Encoder {
    /// An encoder that names our schemas by these ids.
    #[must_use]
    pub fn new(ids: &SchemaIds) -> Self {
        Self {
            ids: *ids,
            configs: RecordType::ALL.map(|record| SerializerConfig::new(record.fast_schema())),
        }
    }

    /// Appends a `ProcessSnapshot`.
    pub fn encode_snapshot(
        &mut self,
        snapshot: &Snapshot<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.append(RecordType::ProcessSnapshot, snapshot, out)
    }

    /// Appends a `SnapshotObservations`.
    pub fn encode_observations(
        &mut self,
        observations: &SnapshotObservations<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.append(RecordType::SnapshotObservations, observations, out)
    }

    /// Appends a `RollupPartials`.
    pub fn encode_partials(
        &mut self,
        partials: &RollupPartials<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.append(RecordType::RollupPartials, partials, out)
    }

    /// Appends a `RollupUpdate`.
    pub fn encode_update(
        &mut self,
        update: &RollupUpdate<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.append(RecordType::RollupUpdate, update, out)
    }

    /// Appends a `MachineState`.
    pub fn encode_normalize_state(
        &mut self,
        state: &NormalizeState,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.append(RecordType::MachineState, state, out)
    }

    /// Appends a `RollupState`.
    pub fn encode_rollup_state(
        &mut self,
        state: &RollupState<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.append(RecordType::RollupState, state, out)
    }

    /// Appends a `TaskState`.
    pub fn encode_task_state(
        &mut self,
        state: &TaskState,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.append(RecordType::TaskState, state, out)
    }

    /// Appends a `DeadLetter`.
    pub fn encode_dead_letter(
        &mut self,
        letter: &DeadLetter<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.append(RecordType::DeadLetter, letter, out)
    }

    /// Appends a `DirectoryUser`.
    pub fn encode_directory_user(
        &mut self,
        user: &DirectoryUser<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.append(RecordType::DirectoryUser, user, out)
    }

    fn append<T: ToRecord>(
        &mut self,
        record: RecordType,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let id = self
            .ids
            .get(record)
            .ok_or(EncodeError::NoSchemaId(record))?;
        let before = out.len();
        wire::prefix(id, out);
        let config = &mut self.configs[record as usize];
        match serde_avro_fast::to_datum(&value.to_record(), &mut *out, config) {
            Ok(_) => Ok(()),
            Err(error) => {
                out.truncate(before);
                Err(EncodeError::Unencodable {
                    record,
                    detail: error.to_string(),
                })
            }
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("ids", &self.ids)
            .finish_non_exhaustive()
    }
}
