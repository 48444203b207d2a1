//! NORMALIZE and ROLLUP are killed at random moments, again and again; nothing is lost, doubled or wrong.
//!
//! The expectation is counted here, from what was sent; it shares no code with the stages.

use crate::support::{Services, eventually};
use rollcall::kafka::sender::Sender;
use rollcall_codec::{Decoder, Encoder, messages, wire};
use rollcall_domain::pipeline::{RollupUpdate, UpdateKind};
use rollcall_domain::snapshot::{CommandOutput, Machine, Os, Payload, Snapshot, SnapshotId};
use rollcall_domain::time::Timestamp;
use rollcall_stages::layout;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MACHINES: u32 = 12;
const KILLS: u32 = 20;
const SNAPSHOTS_PER_ROUND: u32 = 3;

/// Snapshots and processes per user.
type PerUser = BTreeMap<String, (i64, i64)>;

/// Everything that was sent and how it is to come out.
#[derive(Default)]
struct Expected {
    accepted: BTreeSet<u128>,
    duplicates: usize,
    rejected: usize,
    users: PerUser,
}

struct Producer<'a> {
    services: &'a Services,
    sender: Sender,
    encoder: Encoder,
    topic: String,
    next_id: u128,
    expected: Expected,
}

impl<'a> Producer<'a> {
    fn new(services: &'a Services) -> Self {
        let ids = services.registry.schema_ids().expect("registered schemas");
        Self {
            services,
            sender: Sender::new(&services.kafka, "test-producer").expect("a producer"),
            encoder: Encoder::new(&ids),
            topic: services.kafka.topic(layout::SNAPSHOTS.name),
            next_id: 1,
            expected: Expected::default(),
        }
    }

    /// One snapshot of each machine, one of them twice, and one record of poison.
    fn round(&mut self) {
        for machine in 0..MACHINES {
            let id = self.next_id;
            self.next_id += 1;
            let processes = 1 + machine % 4;
            let user = format!("user-{}", machine % 5);
            let value = self.encode(machine, id, processes, &user);
            let key = format!("machine-{machine}");
            self.send(Some(key.as_bytes()), &value);
            self.expected.accepted.insert(id);
            let counted = self.expected.users.entry(user).or_default();
            counted.0 += 1;
            counted.1 += i64::from(processes);
            if machine == 3 {
                self.send(Some(key.as_bytes()), &value);
                self.expected.duplicates += 1;
            }
        }
        self.send(Some(b"machine-0"), b"no avro at all");
        self.expected.rejected += 1;
        self.sender
            .flush(Duration::from_secs(60))
            .expect("records are acknowledged");
    }

    fn send(&self, key: Option<&[u8]>, value: &[u8]) {
        let partition = key.map(|key| rollcall_domain::hash::partition_for(key, 4));
        self.sender
            .send(&self.topic, partition, key, Some(value))
            .expect("a record is taken");
    }

    fn encode(&mut self, machine: u32, id: u128, processes: u32, user: &str) -> Vec<u8> {
        let mut text =
            "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n"
                .to_owned();
        for pid in 1..=processes {
            text.push_str(&format!("root     {pid:7}  0.0  0.1   1000   {} ?        S    09:00   0:0{} /usr/bin/app-{pid} --flag\n", 100 * pid, id % 10));
        }
        let snapshot = Snapshot {
            id: SnapshotId(id),
            observed_at: Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()),
            utc_offset_seconds: Some(0),
            machine: Machine {
                id: format!("machine-{machine}").into(),
                name: None,
                os: Os::Linux,
                os_version: None,
                cpu_count: Some(4),
                memory_bytes: None,
            },
            user: Some(user.into()),
            faculty: Some("law".into()),
            command: Some("ps auxww".into()),
            attributes: BTreeMap::new(),
            payload: Payload::CommandOutput(CommandOutput {
                text: text.into_bytes().into(),
                encoding: Some("utf-8".into()),
            }),
        };
        let mut value = Vec::new();
        self.encoder
            .encode_snapshot(&snapshot, &mut value)
            .expect("it encodes");
        value
    }

    fn raw_ends(&self) -> Vec<i64> {
        let fetcher = rollcall::kafka::fetch::Fetcher::new(&self.services.kafka, "test-ends")
            .expect("a consumer");
        (0..4)
            .map(|p| {
                fetcher
                    .watermarks(&self.topic, p, Duration::from_secs(30))
                    .expect("the end")
                    .1
            })
            .collect()
    }
}

/// Grows with every commit of a NORMALIZE or ROLLUP task.
fn committed(services: &Services) -> i64 {
    let fetcher =
        rollcall::kafka::fetch::Fetcher::new(&services.kafka, "test-commits").expect("a consumer");
    let name = services.kafka.topic(layout::TASK_STATE.name);
    (0..6)
        .map(|partition| {
            fetcher
                .watermarks(&name, partition, Duration::from_secs(30))
                .expect("the end")
                .1
        })
        .sum()
}

/// Snapshots per id, as they stand in `process-observations`.
fn observed(services: &Services) -> BTreeMap<u128, usize> {
    let decoder = Decoder::<messages::SnapshotObservations>::ours();
    let mut observed = BTreeMap::new();
    for record in services.read_all(layout::OBSERVATIONS, 4) {
        let value = record.value.expect("a value");
        let (_, datum) = wire::split(&value, None).expect("the wire format");
        let snapshot = decoder.decode(datum).expect("it decodes");
        assert!(snapshot.counts.balanced(), "{:?}", snapshot.counts);
        *observed.entry(snapshot.snapshot_id.0).or_default() += 1;
    }
    observed
}

/// Per user, the day's snapshots and processes: the last value, and corrections after it. And how far it is folded.
fn rolled_up(services: &Services) -> (PerUser, BTreeMap<i32, Vec<i64>>) {
    let decoder = Decoder::<messages::RollupUpdate>::ours();
    let mut rows: BTreeMap<(String, i64), (i64, i64)> = BTreeMap::new();
    let mut folded = BTreeMap::new();
    for record in services.read_all(layout::UPDATES_USER, 2) {
        let value = record.value.expect("a value");
        let (_, datum) = wire::split(&value, None).expect("the wire format");
        match decoder.decode(datum).expect("it decodes") {
            RollupUpdate::Value {
                kind,
                key,
                window,
                accumulator,
            } if window.grain == rollcall_domain::Grain::Day => {
                let row = rows
                    .entry((key.to_text(), window.start.as_micros()))
                    .or_default();
                let value = (accumulator.snapshots, accumulator.processes);
                *row = if kind == UpdateKind::Correction {
                    (row.0 + value.0, row.1 + value.1)
                } else {
                    value
                };
            }
            RollupUpdate::Value { .. } => {}
            RollupUpdate::Progress(progress) => {
                folded.insert(
                    record.partition,
                    progress.folded.iter().map(|source| source.offset).collect(),
                );
            }
        }
    }
    let mut users: PerUser = BTreeMap::new();
    for ((user, _), (snapshots, processes)) in rows {
        let total = users.entry(user).or_default();
        total.0 += snapshots;
        total.1 += processes;
    }
    (users, folded)
}

#[test]
fn kill_9_at_random_moments_changes_nothing() {
    let services = Services::start();
    let mut producer = Producer::new(&services);
    let mut processor = services.run("normalize,rollup");
    for kill in 0..KILLS {
        for _ in 0..SNAPSHOTS_PER_ROUND {
            producer.round();
        }
        // A random moment, mostly after the restarted tasks have committed something: in a restore, between commits
        // or in the middle of one.
        let before = committed(&services);
        if kill % 4 != 0 {
            eventually("a task commits", || committed(&services) > before);
        }
        let random = uuid::Uuid::new_v4().as_u128() % 1_500;
        std::thread::sleep(Duration::from_millis(random as u64));
        processor.kill9();
        processor = services.run("normalize,rollup");
        eprintln!("kill {kill}");
    }
    let ends = producer.raw_ends();
    eventually("both ROLLUP tasks have folded everything", || {
        let (_, folded) = rolled_up(&services);
        folded.len() == 2 && folded.values().all(|vector| *vector == ends)
    });
    assert_eq!(
        processor.terminate(),
        Some(0),
        "a drain ends with exit code 0"
    );

    let expected = &producer.expected;
    let observed = observed(&services);
    assert_eq!(
        observed.keys().copied().collect::<BTreeSet<_>>(),
        expected.accepted
    );
    assert!(
        observed.values().all(|&count| count == 1),
        "no snapshot twice"
    );
    assert_eq!(
        services.read_all(layout::DEAD_LETTERS, 4).len(),
        expected.rejected
    );
    assert_eq!(rolled_up(&services).0, expected.users);
    assert_eq!(expected.duplicates, (KILLS * SNAPSHOTS_PER_ROUND) as usize);
}
