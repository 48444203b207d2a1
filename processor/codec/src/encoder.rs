//! Writes domain values with our own schemas.

use crate::error::EncodeError;
use crate::mirror::{ToRecord, UpdateRecord};
use crate::schemas::{RecordType, SchemaIds};
use crate::wire;
use rollcall_domain::pipeline::{
    DeadLetter, DirectoryUser, NormalizeState, RollupPartials, RollupUpdate, TaskState, UpdateKind,
};
use rollcall_domain::{Accumulator, RollupKey, Snapshot, SnapshotObservations, Window};
use serde::Serialize;
use serde_avro_fast::ser::SerializerConfig;

/// Before the rollup in a `RollupUpdate`: the symbol of `kind`, then that `rollup` is not null; a byte each.
const BEFORE_ROLLUP: usize = wire::PREFIX_BYTES + 2;
/// After it: that `progress` is null.
const AFTER_ROLLUP: usize = 1;

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

    /// Appends a value as a `RollupUpdate` to `update` and, where one is wanted, as a `RollupState` to `state`.
    ///
    /// Most of a value are sketches, which take a while to be written. An update holds the value as its state does,
    /// for Avro writes a record as its fields and nothing more: so the state's bytes are taken from the update's.
    pub fn encode_rollup(
        &mut self,
        kind: UpdateKind,
        key: &RollupKey<'_>,
        window: Window,
        accumulator: &Accumulator,
        update: &mut Vec<u8>,
        state: Option<&mut Vec<u8>>,
    ) -> Result<(), EncodeError> {
        let state_id = self.id(RecordType::RollupState)?;
        let before = update.len();
        let record = UpdateRecord::of(kind, key, window, accumulator);
        self.append_record(RecordType::RollupUpdate, &record, update)?;
        if let Some(state) = state {
            let rollup = &update[before + BEFORE_ROLLUP..update.len() - AFTER_ROLLUP];
            state.reserve(wire::PREFIX_BYTES + rollup.len());
            wire::prefix(state_id, state);
            state.extend_from_slice(rollup);
        }
        Ok(())
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
        self.append_record(record, &value.to_record(), out)
    }

    fn id(&self, record: RecordType) -> Result<u32, EncodeError> {
        let id = self.ids.get(record);
        id.ok_or(EncodeError::NoSchemaId(record))
    }

    fn append_record(
        &mut self,
        record: RecordType,
        value: &impl Serialize,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let id = self.id(record)?;
        let before = out.len();
        wire::prefix(id, out);
        let config = &mut self.configs[record as usize];
        match serde_avro_fast::to_datum(value, &mut *out, config) {
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
