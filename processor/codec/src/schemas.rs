//! Our own schemas, compiled in, and the ids that a registry gave them.

use std::sync::LazyLock;

/// A record that stands alone as a Kafka value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(usize)]
pub enum RecordType {
    /// `process-snapshots`.
    ProcessSnapshot,
    /// `process-observations`.
    SnapshotObservations,
    /// `rollup-partials`.
    RollupPartials,
    /// `rollup-updates-user`, `-faculty` and `-application`.
    RollupUpdate,
    /// `state-normalize`; the domain's `NormalizeState`.
    MachineState,
    /// `state-rollup`.
    RollupState,
    /// `task-state`.
    TaskState,
    /// `dead-letters`.
    DeadLetter,
    /// `directory-users`.
    DirectoryUser,
}

impl RecordType {
    /// How many there are.
    pub const COUNT: usize = 9;

    /// Every record, in a fixed order.
    pub const ALL: [RecordType; Self::COUNT] = [
        RecordType::ProcessSnapshot,
        RecordType::SnapshotObservations,
        RecordType::RollupPartials,
        RecordType::RollupUpdate,
        RecordType::MachineState,
        RecordType::RollupState,
        RecordType::TaskState,
        RecordType::DeadLetter,
        RecordType::DirectoryUser,
    ];

    /// Its schema as it stands in `schemas/`.
    #[must_use]
    pub const fn schema_json(self) -> &'static str {
        match self {
            RecordType::ProcessSnapshot => include_str!("../../../schemas/process_snapshot.avsc"),
            RecordType::SnapshotObservations => {
                include_str!("../../../schemas/snapshot_observations.avsc")
            }
            RecordType::RollupPartials => include_str!("../../../schemas/rollup_partials.avsc"),
            RecordType::RollupUpdate => include_str!("../../../schemas/rollup_update.avsc"),
            RecordType::MachineState => include_str!("../../../schemas/machine_state.avsc"),
            RecordType::RollupState => include_str!("../../../schemas/rollup_state.avsc"),
            RecordType::TaskState => include_str!("../../../schemas/task_state.avsc"),
            RecordType::DeadLetter => include_str!("../../../schemas/dead_letter.avsc"),
            RecordType::DirectoryUser => include_str!("../../../schemas/directory_user.avsc"),
        }
    }

    /// Its Avro name with the namespace.
    #[must_use]
    pub const fn full_name(self) -> &'static str {
        match self {
            RecordType::ProcessSnapshot => "rollcall.v1.ProcessSnapshot",
            RecordType::SnapshotObservations => "rollcall.v1.SnapshotObservations",
            RecordType::RollupPartials => "rollcall.v1.RollupPartials",
            RecordType::RollupUpdate => "rollcall.v1.RollupUpdate",
            RecordType::MachineState => "rollcall.v1.MachineState",
            RecordType::RollupState => "rollcall.v1.RollupState",
            RecordType::TaskState => "rollcall.v1.TaskState",
            RecordType::DeadLetter => "rollcall.v1.DeadLetter",
            RecordType::DirectoryUser => "rollcall.v1.DirectoryUser",
        }
    }

    /// The schema in the form that the fast reader and writer walk.
    pub(crate) fn fast_schema(self) -> &'static serde_avro_fast::Schema {
        static SCHEMAS: LazyLock<[serde_avro_fast::Schema; RecordType::COUNT]> =
            LazyLock::new(|| {
                RecordType::ALL.map(|record| {
                    record
                        .schema_json()
                        .parse()
                        .expect("a compiled-in schema parses; a test says so")
                })
            });
        &SCHEMAS[self as usize]
    }
}

/// The registry's subject for a topic's values (topic name strategy).
#[must_use]
pub fn value_subject(topic: &str) -> String {
    format!("{topic}-value")
}

/// The ids that a registry gave to our schemas. A stage needs those of the records that it writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SchemaIds([Option<u32>; RecordType::COUNT]);

impl SchemaIds {
    /// These ids, and `id` for `record`.
    #[must_use]
    pub const fn with(mut self, record: RecordType, id: u32) -> Self {
        self.0[record as usize] = Some(id);
        self
    }

    /// The id of `record`'s schema, where it is known.
    #[must_use]
    pub const fn get(&self, record: RecordType) -> Option<u32> {
        self.0[record as usize]
    }
}
