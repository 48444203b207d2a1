//! Producers on a real Kafka: what `simulate` says in its ledger is what the topics hold; what `agent` sends is what runs.

use crate::support::{Record, Services, rollcall};
use rollcall::producer::{LedgerLine, LedgerRecord, read_ledger};
use rollcall_codec::{Decoder, Message, messages, wire};
use rollcall_domain::snapshot::Payload;
use rollcall_domain::{Snapshot, Timestamp};
use rollcall_normalize::{ApplicationRules, Context, decode_text, parse_text};
use rollcall_stages::layout;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const PARTITIONS: i32 = 4;

#[test]
fn producers_send_what_they_say() {
    let services = Services::start();
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("ledger.jsonl");
    simulate(&services, &ledger);

    let lines = read_ledger(&ledger).expect("a ledger");
    the_directory_is_published(&services, &lines);
    every_record_is_where_the_ledger_says(&services, &lines);
    the_agent_sends_what_runs_here(&services);
}

fn simulate(services: &Services, ledger: &Path) {
    let arguments = [
        "simulate",
        "--machines=40",
        "--users=100",
        "--unpaced",
        "--count=600",
        "--mischief=0.4",
        "--format=json",
        "--ledger",
    ];
    let output = services
        .command(&arguments)
        .arg(ledger)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a summary");
    let counts = ["sent", "acknowledged", "refused", "in_doubt"].map(|key| summary[key].as_u64());
    assert_eq!(counts, [Some(600), Some(600), Some(0), Some(0)]);
}

fn the_directory_is_published(services: &Services, lines: &[LedgerLine]) {
    let expect: BTreeMap<String, Option<String>> = lines
        .iter()
        .filter_map(|line| match line {
            LedgerLine::User { user, faculty } => Some((user.clone(), faculty.clone())),
            LedgerLine::Record(_) => None,
        })
        .collect();
    assert!(expect.len() > 100 && expect.values().any(Option::is_none));
    let found: BTreeMap<String, Option<String>> = services
        .read_all(layout::DIRECTORY_USERS, 1)
        .iter()
        .map(|record| {
            let entry = decode::<messages::DirectoryUser>(record).expect("a user");
            (key(record).expect("a key"), entry.faculty.map(Into::into))
        })
        .collect();
    assert_eq!(found, expect);
}

fn every_record_is_where_the_ledger_says(services: &Services, lines: &[LedgerLine]) {
    let expect: BTreeMap<(i32, i64), &LedgerRecord> = lines
        .iter()
        .filter_map(|line| match line {
            LedgerLine::Record(record) => Some(record),
            LedgerLine::User { .. } => None,
        })
        .map(|record| {
            let partition = record.partition.expect("acknowledged");
            ((partition, record.offset.expect("acknowledged")), &**record)
        })
        .collect();
    let found = services.read_all(layout::SNAPSHOTS, PARTITIONS);
    assert_eq!((found.len(), expect.len()), (600, 600));
    for record in &found {
        let said = expect[&(record.partition, record.offset)];
        assert_eq!(key(record), said.key);
        assert_eq!(Some(record.timestamp_us / 1_000), said.append_time_ms);
        if let Some(key) = &record.key {
            assert_eq!(
                record.partition,
                partition_of(key),
                "as Java's clients hash"
            );
        }
        let truth = said.truth().expect("a truth");
        if said.kind != "poison" {
            let snapshot = decode::<messages::ProcessSnapshot>(record).expect("a snapshot");
            assert_eq!(
                (snapshot.id, &*snapshot.machine.id, snapshot.observed_at),
                (truth.snapshot_id, &*truth.machine_id, truth.observed_at)
            );
        }
        let late_us = record.timestamp_us - truth.observed_at.as_micros();
        if said.kind == "plain" && late_us > 0 {
            assert!(
                late_us < 60_000_000,
                "plain records are of now: {late_us} µs"
            );
        }
    }
    assert!(found.iter().any(|record| record.value.is_none()), "poison");
    let now = Timestamp::from_micros(found[0].timestamp_us);
    assert!(
        expect
            .values()
            .any(|said| said.truth().expect("a truth").observed_at > now)
    );
}

fn the_agent_sends_what_runs_here(services: &Services) {
    let before = services.read_all(layout::SNAPSHOTS, PARTITIONS).len();
    let mut machine_ids = BTreeSet::new();
    for _ in 0..2 {
        let output = services
            .command(&["agent", "--once", "--user=ada", "--faculty=law"])
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        machine_ids.insert(said);
    }
    assert_eq!(
        machine_ids.len(),
        1,
        "an id is not invented anew: {machine_ids:?}"
    );

    let records = services.read_all(layout::SNAPSHOTS, PARTITIONS);
    assert_eq!(records.len(), before + 2);
    let sent: Vec<Snapshot<'_>> = records
        .iter()
        .filter_map(decode::<messages::ProcessSnapshot>)
        .filter(|snapshot| snapshot.user.as_deref() == Some("ada") && !is_simulated(snapshot))
        .collect();
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0].id, sent[1].id);
    assert_eq!(sent[0].machine.id, sent[1].machine.id);
    for snapshot in &sent {
        assert_eq!(snapshot.faculty.as_deref(), Some("law"));
        assert!(snapshot.machine.cpu_count > Some(0) && snapshot.machine.memory_bytes > Some(0));
        let names = names_listed(snapshot);
        assert!(
            names.contains("ps") && names.contains("rollcall"),
            "{names:?}"
        );
    }
}

fn is_simulated(snapshot: &Snapshot<'_>) -> bool {
    snapshot.machine.id.starts_with("machine-")
}

/// The executables that a snapshot's listing shows.
fn names_listed(snapshot: &Snapshot<'_>) -> BTreeSet<String> {
    let Payload::CommandOutput(output) = &snapshot.payload else {
        panic!("the agent sends text");
    };
    let context = Context {
        os: Some(snapshot.machine.os),
        format: None,
        observed_at: snapshot.observed_at,
        utc_offset_seconds: snapshot.utc_offset_seconds,
    };
    let text = decode_text(&output.text, output.encoding.as_deref()).expect("text");
    let rules = ApplicationRules::builtin();
    let listing = parse_text(&text, &context, &rules).expect("a listing");
    assert_eq!(listing.rejected.len(), 0, "{:?}", listing.rejected);
    let names = listing
        .processes
        .iter()
        .map(|process| process.executable_name.to_string());
    names.collect()
}

fn key(record: &Record) -> Option<String> {
    let key = record.key.clone()?;
    Some(String::from_utf8(key).expect("plain UTF-8"))
}

fn decode<M: Message>(record: &Record) -> Option<M::Value<'_>> {
    let (_, datum) = wire::split(record.value.as_deref()?, None).ok()?;
    Decoder::<M>::ours().decode(datum).ok()
}

/// The partition that Java's default partitioner chooses.
fn partition_of(key: &[u8]) -> i32 {
    (murmur2(key) & 0x7fff_ffff) % PARTITIONS
}

/// MurmurHash2 as `org.apache.kafka.common.utils.Utils.murmur2` has it.
fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c_u32 ^ data.len() as u32;
    let words = data.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    (h ^ (h >> 15)) as i32
}

#[test]
fn the_hash_is_javas() {
    // From Kafka's own UtilsTest.
    let vectors: [(&[u8], i32); 5] = [
        (b"21", -973_932_308),
        (b"foobar", -790_332_482),
        (b"a-little-bit-long-string", -985_981_536),
        (b"a-little-bit-longer-string", -1_486_304_829),
        (b"abc", 479_470_107),
    ];
    for (text, hash) in vectors {
        assert_eq!(murmur2(text), hash);
    }
}

#[test]
fn wrong_plans_exit_with_2() {
    let output = rollcall(&["simulate", "--machines", "0"])
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), said.trim()),
        (
            Some(2),
            "rollcall: setting machines = \"0\" is wrong; allowed is 1 to 100000"
        )
    );
}
