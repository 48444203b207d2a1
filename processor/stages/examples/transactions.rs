//! What a snapshot costs NORMALIZE and a changed window ROLLUP, the fastest of a few runs:
//! `cargo run --release -p rollcall-stages --example transactions`.

use rollcall_codec::{Encoder, RecordType, SchemaIds};
use rollcall_domain::hll::hash_text;
use rollcall_domain::pipeline::{Partial, RollupPartials};
use rollcall_domain::rollup::Contribution;
use rollcall_domain::snapshot::{LinuxProcess, LinuxProcesses};
use rollcall_domain::{
    Accumulator, Directory, Grain, Machine, Os, Payload, RollupKey, Snapshot, SnapshotId, Timestamp,
};
use rollcall_engine::{Batch, InputRecord, TopicIndex, WindowLimits};
use rollcall_normalize::ApplicationRules;
use rollcall_stages::layout::{self, Partitions};
use rollcall_stages::{
    NormalizeConfig, NormalizeStage, RollupConfig, RollupStage, SchemaLookup, Stage,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const T0: i64 = 1_800_000_000_000_000;
const PROCESSES: usize = 250;
/// Transactions of ROLLUP.
const ROUNDS: u32 = 10;
const RUNS: usize = 15;
/// Snapshots or partials of one transaction.
const PER_TRANSACTION: usize = 500;
const PARTITIONS: Partitions = Partitions {
    snapshots: 1,
    rollups: 1,
};

struct Nobody;

impl Directory for Nobody {
    fn faculty_of(&self, _: &str) -> Option<Option<&str>> {
        None
    }
}

fn encoder() -> Encoder {
    let ids = RecordType::ALL.into_iter();
    Encoder::new(&ids.fold(SchemaIds::default(), |ids, record| {
        ids.with(record, record as u32)
    }))
}

fn snapshot(id: u128, at: i64, owners: usize) -> Snapshot<'static> {
    let process = |at: usize| LinuxProcess {
        pid: 1_000 + at as i64,
        parent_pid: Some(1),
        comm: format!("app-{}", at % 40).into(),
        executable_path: None,
        arguments: vec!["--type=renderer".into()],
        owner: Some(format!("user-{}", at % owners).into()),
        state: Some("S".into()),
        utime_ticks: Some(1_000),
        stime_ticks: Some(234),
        start_time_ticks: Some(5_678_901),
        resident_pages: Some(45_000 + at as i64),
        virtual_bytes: Some(34_567_890_944),
        thread_count: Some(17),
    };
    Snapshot {
        id: SnapshotId(id),
        observed_at: Timestamp::from_micros(at),
        utc_offset_seconds: Some(0),
        machine: Machine {
            id: format!("machine-{}", id % 100).into(),
            name: None,
            os: Os::Linux,
            os_version: None,
            cpu_count: Some(16),
            memory_bytes: None,
        },
        user: None,
        faculty: None,
        command: None,
        attributes: BTreeMap::new(),
        payload: Payload::Linux(LinuxProcesses {
            clock_ticks_per_second: 100,
            page_size_bytes: 4096,
            boot_time_seconds: Some(1_699_000_000),
            processes: (0..PROCESSES).map(process).collect(),
        }),
    }
}

fn normalize() -> NormalizeStage {
    let config = NormalizeConfig {
        deployment: "d".to_owned(),
        partition: 0,
        partitions: PARTITIONS,
        source_topic: "process-snapshots".to_owned(),
        future_tolerance_us: 0,
        acceptance_us: i64::MAX,
        store_command_output: false,
        finest_grains: [Grain::Minute, Grain::Minute, Grain::Hour],
        max_message_bytes: 8 << 20,
    };
    let rules = Arc::new(ApplicationRules::builtin());
    NormalizeStage::new(config, rules, encoder(), Arc::new(Nobody))
}

fn rollup() -> RollupStage {
    let config = RollupConfig {
        deployment: "d".to_owned(),
        partition: 0,
        partitions: PARTITIONS,
        grains: [
            vec![Grain::Minute, Grain::Hour],
            vec![Grain::Minute, Grain::Hour],
            vec![Grain::Hour],
        ],
        grace_us: [i64::MAX / 4; 3],
        limits: WindowLimits::default(),
    };
    RollupStage::new(config, encoder())
}

/// Contributions of this many machines, users and applications.
fn accumulator(distinct: usize) -> Accumulator {
    let mut accumulator = Accumulator::default();
    for at in 0..distinct {
        let machine = format!("machine-{at}");
        accumulator.add_snapshot(&Contribution::new(&machine, Timestamp::from_micros(T0)));
        accumulator.users.insert_hash(hash_text(&machine));
        accumulator.applications.insert_hash(hash_text(&machine));
        accumulator.add_process(Some(1), Some(1 << (at % 30)));
    }
    accumulator
}

fn partials(next_offset: i64, distinct: usize) -> RollupPartials<'static> {
    let start = Timestamp::from_micros(T0);
    let accumulator = accumulator(distinct);
    let partial = |at: usize| Partial {
        key: RollupKey::Application {
            faculty: "law".into(),
            os: Os::Linux,
            application: format!("app-{at}").into(),
        },
        window: Grain::Hour.window_of(start),
        accumulator: accumulator.clone(),
    };
    RollupPartials {
        source_partition: 0,
        next_offset,
        stage_time: start,
        more: false,
        partials: (0..PER_TRANSACTION).map(partial).collect(),
    }
}

/// A record's key and value.
type KeyValue = (String, Vec<u8>);

fn time<S: Stage>(what: &str, stage: fn() -> S, input: TopicIndex, transactions: &[Vec<KeyValue>]) {
    let runs = (0..RUNS).map(|_| seconds(stage(), input, transactions));
    let each = runs.fold(f64::MAX, f64::min) / (transactions.len() * PER_TRANSACTION) as f64;
    println!("{what:<60} {:>8.1} us each", each * 1e6);
}

/// Runs the transactions.
fn seconds(mut stage: impl Stage, input: TopicIndex, transactions: &[Vec<KeyValue>]) -> f64 {
    let mut batch = Batch::new();
    let mut offset = 0;
    stage.restored().expect("nothing to restore");
    #[allow(clippy::disallowed_methods, reason = "a measurement needs a clock")]
    let begin = std::time::Instant::now();
    for transaction in transactions {
        for (key, value) in transaction {
            if let Some(schema) = stage.schema_needed(input, Some(value), None) {
                let ours = RecordType::ALL
                    .into_iter()
                    .find(|record| rollcall_codec::SchemaRef::Id(*record as u32) == schema)
                    .expect("one of ours");
                let json = ours.schema_json().to_owned();
                stage.learn_schema(input, schema, &SchemaLookup::Known(json));
            }
            let record = InputRecord {
                partition: 0,
                offset,
                timestamp_us: T0,
                key: Some(key.as_bytes()),
                value: Some(value),
                schema_header: None,
            };
            stage.process(&record, &mut batch).expect("it is ours");
            offset += 1;
        }
        stage.seal(offset, &mut batch).expect("sealed");
        batch.clear();
        stage.committed();
    }
    begin.elapsed().as_secs_f64()
}

fn main() {
    let mut encoder = encoder();
    for owners in [1, 4, PROCESSES] {
        let mut id = 0;
        let mut one = || {
            id += 1;
            let snapshot = snapshot(id, T0, owners);
            let mut value = Vec::new();
            encoder
                .encode_snapshot(&snapshot, &mut value)
                .expect("it fits its schema");
            (snapshot.machine.id.into_owned(), value)
        };
        let transaction = (0..PER_TRANSACTION).map(|_| one()).collect();
        let what = format!("NORMALIZE, snapshots of {PROCESSES} processes, {owners} owners");
        time(&what, normalize, layout::SNAPSHOTS.index, &[transaction]);
    }
    for distinct in [1, 20, 300, 2000] {
        let transactions: Vec<_> = (0..ROUNDS)
            .map(|round| {
                let mut value = Vec::new();
                encoder
                    .encode_partials(&partials(i64::from(round), distinct), &mut value)
                    .expect("it fits its schema");
                vec![("0".to_owned(), value)]
            })
            .collect();
        let what = format!("ROLLUP, partials of {distinct} machines, users, applications");
        time(&what, rollup, layout::PARTIALS.index, &transactions);
    }
}
