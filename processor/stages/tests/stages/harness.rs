//! A shell for one stage: looks up schemas, keeps compacted topics, decodes what was emitted.

use rollcall_codec::{Decoder, Encoder, Message, RecordType, SchemaIds, SchemaRef, messages, wire};
use rollcall_domain::pipeline::{DeadLetter, RollupPartials, RollupUpdate, TaskState};
use rollcall_domain::snapshot::{CommandOutput, LinuxProcess, LinuxProcesses};
use rollcall_domain::{
    Directory, Grain, Machine, Os, Payload, Snapshot, SnapshotId, SnapshotObservations, Timestamp,
};
use rollcall_engine::{Batch, InputRecord, OutputRecord, TopicIndex, WindowLimits};
use rollcall_normalize::ApplicationRules;
use rollcall_stages::layout::{self, Partitions};
use rollcall_stages::{
    NormalizeConfig, NormalizeStage, RollupConfig, RollupStage, SchemaLookup, Stage, StageError,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
/// 2027-01-15T08:00:00Z: a whole hour.
pub const T0: i64 = 1_800_000_000 * SECOND;

/// Made-up ids of our schemas.
pub fn schema_id(record: RecordType) -> u32 {
    100 + record as u32
}

pub fn encoder() -> Encoder {
    let ids = RecordType::ALL
        .into_iter()
        .fold(SchemaIds::default(), |ids, record| {
            ids.with(record, schema_id(record))
        });
    Encoder::new(&ids)
}

/// What the registry says: our schemas, and `extra`.
pub fn lookup(schema: SchemaRef, extra: &BTreeMap<u32, String>) -> SchemaLookup {
    let SchemaRef::Id(id) = schema else {
        return SchemaLookup::Unknown;
    };
    let ours = RecordType::ALL
        .into_iter()
        .find(|record| schema_id(*record) == id)
        .map(|record| record.schema_json().to_owned());
    ours.or_else(|| extra.get(&id).cloned())
        .map_or(SchemaLookup::Unknown, SchemaLookup::Known)
}

/// Reads a value that was written with our schema. What tests decode may live for ever.
pub fn decode<M: Message>(record: &OutputRecord) -> M::Value<'static> {
    let value: &'static [u8] = record.value.clone().expect("a value").leak();
    let (_, datum) = wire::split(value, None).expect("wire format");
    Decoder::<M>::ours().decode(datum).expect("our own value")
}

/// One stage, its input position and its compacted topics.
pub struct Driven<S> {
    pub stage: S,
    pub next_offset: i64,
    pub registry: BTreeMap<u32, String>,
    input: TopicIndex,
    batch: Batch,
    state: BTreeMap<(TopicIndex, Vec<u8>), Option<Vec<u8>>>,
}

impl<S: Stage> Driven<S> {
    pub fn new(stage: S, input: TopicIndex) -> Self {
        let mut driven = Self {
            stage,
            next_offset: 0,
            registry: BTreeMap::new(),
            input,
            batch: Batch::new(),
            state: BTreeMap::new(),
        };
        assert_eq!(driven.stage.restored().expect("fresh"), -1);
        driven
    }

    /// Drops the task and restores `stage` from what was committed; returns the offset to go on from.
    pub fn try_restart(&mut self, stage: S) -> Result<i64, StageError> {
        self.stage = stage;
        self.batch.clear();
        let state = std::mem::take(&mut self.state);
        let restored = state.iter().try_for_each(|((topic, key), value)| {
            self.learn(*topic, value.as_deref());
            self.stage.restore(*topic, key, value.as_deref())
        });
        self.state = state;
        restored?;
        let offset = self.stage.restored()?;
        self.next_offset = offset.max(0);
        Ok(offset)
    }

    fn learn(&mut self, topic: TopicIndex, value: Option<&[u8]>) {
        if let Some(schema) = self.stage.schema_needed(topic, value, None) {
            let answer = lookup(schema, &self.registry);
            self.stage.learn_schema(topic, schema, &answer);
        }
    }

    pub fn feed_at(
        &mut self,
        offset: i64,
        timestamp_us: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), StageError> {
        self.learn(self.input, value);
        self.next_offset = offset + 1;
        let record = InputRecord {
            partition: 1,
            offset,
            timestamp_us,
            key,
            value,
            schema_header: None,
        };
        self.stage.process(&record, &mut self.batch)
    }

    /// Ends the transaction.
    pub fn commit(&mut self) -> Outputs {
        self.stage
            .seal(self.next_offset, &mut self.batch)
            .expect("sealed");
        let records = self.batch.records().to_vec();
        self.batch.clear();
        for record in &records {
            if layout::TOPICS[usize::from(record.topic.0)].compacted {
                let key = (record.topic, record.key.clone().expect("a key"));
                self.state.insert(key, record.value.clone());
            }
        }
        self.stage.committed();
        Outputs { records }
    }
}

/// What one transaction emitted.
pub struct Outputs {
    pub records: Vec<OutputRecord>,
}

impl Outputs {
    pub fn of(&self, topic: TopicIndex) -> impl Iterator<Item = &OutputRecord> {
        self.records
            .iter()
            .filter(move |record| record.topic == topic)
    }

    pub fn observations(&self) -> Vec<SnapshotObservations<'static>> {
        self.of(layout::OBSERVATIONS.index)
            .map(decode::<messages::SnapshotObservations>)
            .collect()
    }

    pub fn letters(&self) -> Vec<DeadLetter<'static>> {
        self.of(layout::DEAD_LETTERS.index)
            .map(decode::<messages::DeadLetter>)
            .collect()
    }

    pub fn partials(&self) -> Vec<(i32, RollupPartials<'static>)> {
        self.of(layout::PARTIALS.index)
            .map(|record| (record.partition, decode::<messages::RollupPartials>(record)))
            .collect()
    }

    pub fn task_state(&self) -> TaskState {
        decode::<messages::TaskState>(self.records.last().expect("the task state comes last"))
    }

    pub fn updates(&self, topic: TopicIndex) -> Vec<RollupUpdate<'static>> {
        self.of(topic)
            .map(decode::<messages::RollupUpdate>)
            .collect()
    }
}

/// A small directory.
pub struct Campus;

impl Directory for Campus {
    fn faculty_of(&self, user: &str) -> Option<Option<&str>> {
        match user {
            "ada" | "bob" => Some(Some("law")),
            "eve" => Some(Some("arts")),
            "kim" => Some(None),
            _ => None,
        }
    }
}

pub const PARTITIONS: Partitions = Partitions {
    snapshots: 2,
    rollups: 3,
};

pub fn normalize_config() -> NormalizeConfig {
    NormalizeConfig {
        deployment: "d1".to_owned(),
        partition: 1,
        partitions: PARTITIONS,
        source_topic: "x.process-snapshots".to_owned(),
        future_tolerance_us: 5 * MINUTE,
        acceptance_us: 30 * DAY,
        store_command_output: true,
        finest_grains: [Grain::Minute, Grain::Minute, Grain::Hour],
        max_message_bytes: 900_000,
    }
}

pub type Normalizer = Driven<NormalizeStage>;

pub fn normalize_stage(config: NormalizeConfig) -> NormalizeStage {
    normalize_stage_with(config, encoder())
}

pub fn normalize_stage_with(config: NormalizeConfig, encoder: Encoder) -> NormalizeStage {
    let rules = Arc::new(ApplicationRules::builtin());
    NormalizeStage::new(config, rules, encoder, Arc::new(Campus))
}

pub fn normalizer() -> Normalizer {
    Driven::new(normalize_stage(normalize_config()), layout::SNAPSHOTS.index)
}

impl Normalizer {
    /// Sends a snapshot that arrives `latency` after it was taken.
    pub fn send_late(&mut self, snapshot: &Snapshot<'_>, latency: i64) {
        let at = snapshot.observed_at.as_micros() + latency;
        let key = snapshot.machine.id.as_bytes().to_vec();
        self.feed_at(self.next_offset, at, Some(&key), Some(&encoded(snapshot)))
            .expect("never an error");
    }

    pub fn send(&mut self, snapshot: &Snapshot<'_>) {
        self.send_late(snapshot, SECOND);
    }

    /// Sends a snapshot in a transaction of its own.
    pub fn take(&mut self, snapshot: &Snapshot<'_>) -> Outputs {
        self.send(snapshot);
        self.commit()
    }

    pub fn restart(&mut self) -> i64 {
        self.try_restart(normalize_stage(normalize_config()))
            .expect("restored")
    }
}

pub fn encoded(snapshot: &Snapshot<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    encoder()
        .encode_snapshot(snapshot, &mut value)
        .expect("encoded");
    value
}

/// A snapshot of a Linux machine; each process is (pid, name, owner, CPU ticks of 10 ms, pages of 4 KiB).
pub type Row = (i64, &'static str, &'static str, i64, i64);

pub fn snapshot(id: u128, machine: &'static str, at: i64, rows: &[Row]) -> Snapshot<'static> {
    let processes = rows
        .iter()
        .map(|&(pid, name, owner, ticks, pages)| LinuxProcess {
            pid,
            parent_pid: None,
            comm: name.into(),
            executable_path: Some(format!("/usr/bin/{name}").into()),
            arguments: vec![name.into()],
            owner: Some(owner.into()),
            state: None,
            utime_ticks: Some(ticks),
            stime_ticks: Some(0),
            start_time_ticks: Some(pid),
            resident_pages: Some(pages),
            virtual_bytes: None,
            thread_count: None,
        })
        .collect();
    let payload = Payload::Linux(LinuxProcesses {
        clock_ticks_per_second: 100,
        page_size_bytes: 4096,
        boot_time_seconds: Some(1_700_000_000),
        processes,
    });
    Snapshot {
        id: SnapshotId(id),
        observed_at: Timestamp::from_micros(at),
        utc_offset_seconds: Some(0),
        machine: Machine {
            id: machine.into(),
            name: None,
            os: Os::Linux,
            os_version: None,
            cpu_count: Some(8),
            memory_bytes: None,
        },
        user: None,
        faculty: None,
        command: None,
        attributes: BTreeMap::new(),
        payload,
    }
}

/// The same snapshot with a command's output.
pub fn with_text(id: u128, text: &'static [u8]) -> Snapshot<'static> {
    Snapshot {
        payload: Payload::CommandOutput(CommandOutput {
            text: text.into(),
            encoding: None,
        }),
        command: Some("ps aux".into()),
        ..snapshot(id, "m1", T0, &[])
    }
}

pub fn rollup_config() -> RollupConfig {
    RollupConfig {
        deployment: "d1".to_owned(),
        partition: 1,
        partitions: PARTITIONS,
        grains: [
            vec![Grain::Minute, Grain::Hour],
            vec![Grain::Minute, Grain::Hour],
            vec![Grain::Hour],
        ],
        grace_us: [5 * MINUTE, 30 * MINUTE, 2 * HOUR],
        limits: WindowLimits::default(),
    }
}

pub type Roller = Driven<RollupStage>;

pub fn roller() -> Roller {
    Driven::new(
        RollupStage::new(rollup_config(), encoder()),
        layout::PARTIALS.index,
    )
}

impl Roller {
    pub fn try_send(&mut self, message: &RollupPartials<'_>) -> Result<(), StageError> {
        let mut value = Vec::new();
        encoder()
            .encode_partials(message, &mut value)
            .expect("encoded");
        self.feed_at(self.next_offset, 0, Some(b"0"), Some(&value))
    }

    pub fn send(&mut self, message: &RollupPartials<'_>) {
        self.try_send(message).expect("folded");
    }

    pub fn restart(&mut self) -> i64 {
        self.restart_with(rollup_config())
    }

    pub fn restart_with(&mut self, config: RollupConfig) -> i64 {
        self.try_restart(RollupStage::new(config, encoder()))
            .expect("restored")
    }
}
