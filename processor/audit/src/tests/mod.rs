//! The audit of a world made by hand: three raw records, and the rows that must come of them, worked out on paper.

mod apart;
mod differences;

use crate::*;
use rollcall_codec::{DecodeError, SchemaRef};
use rollcall_domain::ddsketch::{bucket_of, value_of};
use rollcall_domain::hll::{Hll, hash_text};
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::pipeline::{ClosedThrough, Progress};
use rollcall_domain::snapshot::{LinuxProcess, LinuxProcesses, Machine};
use rollcall_domain::time::{HOUR_US, MINUTE_US, SECOND_US};
use rollcall_domain::{
    Grain, GroupingSet, Os, Payload, Snapshot, SnapshotId, TaskCounts, Timestamp,
};
use rollcall_normalize::ApplicationRules;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

/// 2026-08-01 12:00:00Z.
const NOON_US: i64 = 1_785_585_600 * SECOND_US;
const MEMORY: i64 = 40_960;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_micros(NOON_US + minutes * MINUTE_US)
}

/// Machine `m` runs `qqq` of `ada` in `law`, which has used so many seconds of CPU time.
fn snapshot(id: u128, minutes: i64, cpu_s: i64) -> Snapshot<'static> {
    Snapshot {
        id: SnapshotId(id),
        observed_at: at(minutes),
        utc_offset_seconds: Some(3600),
        machine: Machine {
            id: "m".into(),
            name: None,
            os: Os::Linux,
            os_version: None,
            cpu_count: Some(1),
            memory_bytes: None,
        },
        user: None,
        faculty: None,
        command: Some("probe".into()),
        attributes: BTreeMap::from([("room".into(), "1".into())]),
        payload: Payload::Linux(LinuxProcesses {
            clock_ticks_per_second: 100,
            page_size_bytes: 4096,
            boot_time_seconds: None,
            processes: vec![LinuxProcess {
                pid: 7,
                parent_pid: Some(1),
                comm: "qqq".into(),
                executable_path: None,
                arguments: Vec::new(),
                owner: Some("ada".into()),
                state: Some("S".into()),
                utime_ticks: Some(cpu_s * 100),
                stime_ticks: Some(0),
                start_time_ticks: None,
                resident_pages: Some(10),
                virtual_bytes: Some(1025),
                thread_count: Some(3),
            }],
        }),
    }
}

fn process(cpu_s: i64, delta_s: Option<i64>) -> StoredProcess {
    StoredProcess {
        pid: 7,
        parent_pid: Some(1),
        created_at: None,
        created_precision: None,
        cpu_time_us: Some(cpu_s * SECOND_US),
        cpu_delta_us: delta_s.map(|s| s * SECOND_US),
        memory_usage_bytes: None,
        memory_usage_kib: Some(40),
        memory_virtual_bytes: Some(1025),
        memory_virtual_kib: None,
        thread_count: Some(3),
        state: Some(b'S'),
        command: Some(Arc::new(StoredCommand {
            application: "qqq".to_owned(),
            executable_name: "qqq".to_owned(),
            executable_path: None,
            command_line: None,
            script: None,
        })),
        owner: Some(Arc::new(StoredOwner {
            owner: Some("ada".to_owned()),
            user_name: "ada".to_owned(),
            faculty: "law".to_owned(),
        })),
    }
}

fn stored(offset: i64, minutes: i64, process: StoredProcess) -> StoredSnapshot {
    StoredSnapshot {
        number: (at(minutes).day() << 40) + offset,
        source: SourceOffset {
            partition: 0,
            offset,
        },
        snapshot_id: SnapshotId(offset as u128 + 1),
        observed_at: at(minutes),
        event_at: at(minutes),
        ingested_at: at(minutes),
        rules_digest: ApplicationRules::builtin().digest(),
        lines_rejected: 0,
        process_count: 1,
        machine_id: Some("m".to_owned()),
        os: Some("linux".to_owned()),
        utc_offset_seconds: Some(3600),
        user_name: Some("ada".to_owned()),
        faculty: Some("law".to_owned()),
        command: Some("probe".to_owned()),
        attributes: Some(BTreeMap::from([("room".to_owned(), "1".to_owned())])),
        command_output: None,
        command_output_encoding: None,
        processes: vec![process],
    }
}

fn sketch(names: &[&str]) -> Vec<u8> {
    let mut hll = Hll::new();
    names
        .iter()
        .for_each(|name| hll.insert_hash(hash_text(name)));
    let mut bytes = Vec::new();
    hll.to_bytes(&mut bytes);
    bytes
}

/// The rollup of snapshots at these minutes with so much CPU time in all.
fn rollup(
    set: GroupingSet,
    grain: Grain,
    start_us: i64,
    minutes: &[i64],
    cpu_s: i64,
) -> StoredRollup {
    let count = minutes.len() as i64;
    let named: Vec<String> = minutes
        .iter()
        .map(|m| format!("{}@m", NOON_US / MINUTE_US + m))
        .collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let quantile = Some(value_of(bucket_of(MEMORY)).round() as i64);
    let mut numbers = vec![
        ("snapshots", Some(count)),
        ("processes", Some(count)),
        ("machines", Some(1)),
        ("machine_minutes", Some(count)),
        ("cpu_time_us", Some(cpu_s * SECOND_US)),
        ("memory_count", Some(count)),
        ("memory_sum_bytes", Some(count * MEMORY)),
        ("memory_min_bytes", Some(MEMORY)),
        ("memory_max_bytes", Some(MEMORY)),
        ("memory_p50_bytes", quantile),
        ("memory_p95_bytes", quantile),
        ("memory_p99_bytes", quantile),
        ("first_event_at_us", Some(at(minutes[0]).as_micros())),
        (
            "last_event_at_us",
            Some(at(minutes[minutes.len() - 1]).as_micros()),
        ),
    ];
    let mut sketches = vec![
        ("machines_hll", sketch(&["m"])),
        ("machine_minutes_hll", sketch(&named)),
    ];
    if set != GroupingSet::User {
        numbers.push(("users", Some(1)));
        sketches.push(("users_hll", sketch(&["ada"])));
    }
    if set != GroupingSet::Application {
        numbers.push(("applications", Some(1)));
        sketches.push(("applications_hll", sketch(&["qqq"])));
    }
    let key: &[&str] = match set {
        GroupingSet::User => &["ada"],
        GroupingSet::Faculty => &["law"],
        GroupingSet::Application => &["law", "linux", "qqq"],
    };
    StoredRollup {
        grouping_set: set,
        key: key.iter().map(|column| (*column).to_owned()).collect(),
        grain,
        window_start: Timestamp::from_micros(start_us),
        closed: false,
        numbers,
        sketches,
        memory_sketch_indexes: vec![bucket_of(MEMORY)],
        memory_sketch_counts: vec![count],
    }
}

fn rollups(minutes: &[(i64, i64)]) -> Vec<StoredRollup> {
    let (all, cpu_s): (Vec<i64>, Vec<i64>) = minutes.iter().copied().unzip();
    let cpu_s = cpu_s.into_iter().sum();
    let mut rows = Vec::new();
    for set in GroupingSet::ALL {
        if set != GroupingSet::Application {
            for &(minute, cpu_s) in minutes {
                rows.push(rollup(
                    set,
                    Grain::Minute,
                    at(minute).as_micros(),
                    &[minute],
                    cpu_s,
                ));
            }
        }
        rows.push(rollup(set, Grain::Hour, NOON_US, &all, cpu_s));
        rows.push(rollup(set, Grain::Day, NOON_US - 12 * HOUR_US, &all, cpu_s));
    }
    rows
}

fn progress(folded: i64) -> Vec<StoredProgress> {
    let closed = |grouping_set: GroupingSet| {
        grouping_set
            .default_grains()
            .iter()
            .map(move |&grain| ClosedThrough {
                grouping_set,
                grain,
                through: Timestamp::MIN,
                counted_from: Timestamp::MIN,
            })
    };
    let of = |grouping_set| StoredProgress {
        grouping_set,
        partition: 0,
        progress: Progress {
            stage_time: at(1),
            folded: vec![SourceOffset {
                partition: 0,
                offset: folded,
            }],
            closed_through: GroupingSet::ALL.into_iter().flat_map(closed).collect(),
        },
    };
    GroupingSet::ALL.map(of).to_vec()
}

type Raw = (i64, Timestamp, Result<Snapshot<'static>, DecodeError>);

/// Raw records and what the tables hold.
#[derive(Clone)]
struct World {
    raw: Vec<Raw>,
    snapshots: VecDeque<StoredSnapshot>,
    letters: VecDeque<StoredLetter>,
    rollups: Vec<StoredRollup>,
    facts: Facts,
    passes: u64,
}

impl Tables for World {
    type Error = Infallible;

    fn next_snapshot(&mut self) -> Result<Option<StoredSnapshot>, Infallible> {
        Ok(self.snapshots.pop_front())
    }

    fn next_letter(&mut self) -> Result<Option<StoredLetter>, Infallible> {
        Ok(self.letters.pop_front())
    }
}

fn letter(offset: i64, reason: &str) -> StoredLetter {
    StoredLetter {
        source: SourceOffset {
            partition: 0,
            offset,
        },
        source_topic: "raw".to_owned(),
        line: None,
        whole_record: true,
        reason: reason.to_owned(),
        ingested_at: at(1),
        machine_id: None,
        snapshot_id: None,
        raw: b"value".to_vec(),
        raw_length: 5,
    }
}

/// Two snapshots a minute apart, the second sent twice, and a record that can't be decoded.
fn world() -> World {
    let raw = vec![
        (0, at(0), Ok(snapshot(1, 0, 1))),
        (1, at(1), Ok(snapshot(2, 1, 3))),
        (2, at(1), Ok(snapshot(2, 1, 3))),
        (3, at(1), Err(DecodeError::UnknownSchema(SchemaRef::Id(9)))),
    ];
    let ledger = StoredLedger {
        last_ingested_at: Some(at(1)),
        counts: TaskCounts {
            snapshots_read: 2,
            snapshots_accepted: 2,
            lines_accepted: 2,
            ..TaskCounts::default()
        },
        stored: [2, 2, 0],
        expired: [0; 3],
    };
    World {
        raw,
        snapshots: VecDeque::from([
            stored(0, 0, process(1, None)),
            stored(1, 1, process(3, Some(2))),
        ]),
        letters: VecDeque::from([letter(3, "unknown_schema")]),
        rollups: rollups(&[(0, 0), (1, 2)]),
        facts: Facts {
            details: vec![DetailsReach::Through(1)],
            letters: vec![LettersReach::Through {
                offset: 3,
                line: None,
            }],
            ledger: BTreeMap::from([(0, ledger)]),
            progress: progress(4),
            published: progress(4),
            raw_begin: vec![0],
            raw_end: vec![4],
            ..Facts::default()
        },
        passes: 1,
    }
}

fn run(world: &World) -> AuditReport {
    let config = AuditConfig {
        raw_partitions: 1,
        rollup_partitions: 1,
        source_topic: "raw".to_owned(),
        future_tolerance_us: 5 * MINUTE_US,
        acceptance_us: 720 * HOUR_US,
        message_bytes_max: 1 << 20,
        examples: 100,
    };
    let rules = ApplicationRules::builtin();
    let mut auditor = Auditor::new(config, world.facts.clone(), &rules);
    for index in 0..world.passes {
        let mut tables = world.clone();
        auditor.begin_pass(Pass {
            index,
            of: world.passes,
        });
        auditor.begin_partition(0);
        for (offset, ingested_at, decoded) in &world.raw {
            let record = RawRecord {
                source: SourceOffset {
                    partition: 0,
                    offset: *offset,
                },
                ingested_at: *ingested_at,
                key: Some(b"m"),
                value: Some(b"value"),
            };
            let Ok(()) = auditor.handle_record(&record, decoded.clone(), &mut tables);
        }
        let Ok(()) = auditor.end_partition(0, &mut tables);
        let Ok(()) = auditor.end_records(&mut tables);
        world
            .rollups
            .iter()
            .for_each(|row| auditor.handle_rollup(row));
        auditor.end_pass();
    }
    auditor.finish()
}

/// Audits a changed world: expects these differences (table and column; no column: the row) and this set apart.
#[track_caller]
fn check(change: impl FnOnce(&mut World), differences: &[(&str, &str)], apart: &[(Apart, u64)]) {
    let mut world = world();
    change(&mut world);
    let report = run(&world);
    let mut found: Vec<_> = (report.examples.iter())
        .map(|example| (example.subject.name(), example.column.clone()))
        .collect();
    found.sort();
    found.dedup();
    let mut expect: Vec<_> = differences
        .iter()
        .map(|(table, column)| ((*table).to_owned(), (*column).to_owned()))
        .collect();
    expect.sort();
    assert_eq!(found, expect, "{:#?}", report.examples);
    assert_eq!(report.apart.into_iter().collect::<Vec<_>>(), apart);
}

const DAYS: [&str; 3] = [
    "user_rollups/day",
    "faculty_rollups/day",
    "application_rollups/day",
];
