//! What differs, told by table and column.

use super::*;

#[test]
fn truthful_tables_have_no_difference_in_one_pass_or_many() {
    for passes in [1, 2, 5] {
        check(|world| world.passes = passes, &[], &[]);
        let report = run(&World { passes, ..world() });
        assert_eq!(
            (report.differences(), report.compared(), report.records),
            (0, 2 + 2 + 1 + 1 + 3 + 10, 4)
        );
    }
}

#[test]
fn rows_that_are_missing_or_too_many() {
    check(
        |world| world.snapshots[1].processes.clear(),
        &[("process_observations", "")],
        &[],
    );
    check(
        |world| {
            let doubled = world.snapshots[0].processes[0].clone();
            world.snapshots[0].processes.push(doubled);
        },
        &[("process_observations", "")],
        &[],
    );
    check(
        |world| world.snapshots.push_back(stored(2, 1, process(3, None))),
        &[("process_snapshots", "")],
        &[],
    );
    check(
        |world| world.snapshots.push_back(stored(9, 1, process(3, None))),
        &[("process_snapshots", "")],
        &[],
    );
    check(
        |world| world.snapshots.insert(0, stored(0, 0, process(1, None))),
        &[("process_snapshots", "")],
        &[],
    );
    check(
        |world| drop(world.letters.pop_front()),
        &[("rejected_records", "")],
        &[],
    );
    check(
        |world| world.letters.push_back(letter(3, "bad_magic")),
        &[("rejected_records", "")],
        &[],
    );
    check(
        |world| world.facts.orphans.push((5, 3)),
        &[("process_observations", "")],
        &[],
    );
    check(
        |world| drop(world.rollups.pop()),
        &[("application_rollups/day", "")],
        &[],
    );
    check(
        |world| {
            let mut extra = world.rollups[0].clone();
            extra.key = vec!["nobody".to_owned()];
            world.rollups.push(extra);
        },
        &[("user_rollups/minute", "")],
        &[],
    );
    check(|world| world.facts.ledger.clear(), &[("ledger", "")], &[]);
    check(
        |world| drop(world.facts.progress.remove(1)),
        &[
            ("rollup_progress", ""),
            ("faculty_rollups/minute", ""),
            ("faculty_rollups/hour", ""),
            ("faculty_rollups/day", ""),
        ],
        &[],
    );
}

#[test]
fn a_lost_snapshot_is_one_difference_and_leaves_its_windows_uncompared() {
    check(
        |world| drop(world.snapshots.pop_back()),
        &[("process_snapshots", "")],
        &[(Apart::Unrecorded, 1), (Apart::RollupsOfUnrecorded, 8)],
    );
}

#[test]
fn every_column_of_details_is_compared() {
    type Change = fn(&mut StoredSnapshot);
    let changes: [(&str, Change); 13] = [
        ("snapshot_id", |row| row.snapshot_id = SnapshotId(77)),
        ("observed_at", |row| row.observed_at = at(3)),
        ("event_at", |row| row.event_at = at(3)),
        ("ingested_at", |row| row.ingested_at = at(3)),
        ("lines_rejected", |row| row.lines_rejected = 1),
        ("process_count", |row| row.process_count = 2),
        ("machine_id", |row| row.machine_id = None),
        ("utc_offset_seconds", |row| row.utc_offset_seconds = None),
        ("command", |row| row.command = None),
        ("attributes", |row| row.attributes = None),
        ("snapshot_number's day", |row| row.number += 1 << 40),
        ("user_name, faculty", |row| {
            row.faculty = Some("arts".to_owned())
        }),
        ("command_output", |row| {
            row.command_output = Some("ps".to_owned())
        }),
    ];
    for (column, change) in changes {
        check(
            |world| change(&mut world.snapshots[1]),
            &[("process_snapshots", column)],
            &[],
        );
    }
    type ProcessChange = fn(&mut StoredProcess);
    let changes: [(&str, ProcessChange); 14] = [
        ("parent_pid", |row| row.parent_pid = None),
        ("created_at", |row| row.created_at = Some(at(0))),
        ("created_precision", |row| {
            row.created_precision = Some(b's')
        }),
        ("cpu_time_us", |row| row.cpu_time_us = Some(1)),
        ("cpu_delta_us", |row| row.cpu_delta_us = None),
        ("memory_usage_bytes", |row| row.memory_usage_bytes = Some(1)),
        ("memory_usage_kib", |row| row.memory_usage_kib = Some(41)),
        ("memory_virtual_bytes", |row| {
            row.memory_virtual_bytes = Some(1026)
        }),
        ("memory_virtual_kib", |row| row.memory_virtual_kib = Some(1)),
        ("thread_count", |row| row.thread_count = None),
        ("state", |row| row.state = Some(b'R')),
        ("command_line_key", |row| row.command = None),
        ("application", |row| {
            Arc::make_mut(row.command.as_mut().expect("one")).application = "other".to_owned();
        }),
        ("script", |row| {
            Arc::make_mut(row.command.as_mut().expect("one")).script = Some("other".to_owned());
        }),
    ];
    for (column, change) in changes {
        let change = |world: &mut World| change(&mut world.snapshots[1].processes[0]);
        check(change, &[("process_observations", column)], &[]);
    }
}

#[test]
fn every_column_of_rollups_is_compared() {
    let day = |world: &World| world.rollups.len() - 1;
    let table = DAYS[2];
    let columns = world().rollups[day(&world())].numbers.len();
    for index in 0..columns {
        let name = world().rollups[day(&world())].numbers[index].0;
        let change = |world: &mut World| {
            let last = day(world);
            world.rollups[last].numbers[index].1 = Some(-1);
        };
        check(change, &[(table, name)], &[]);
    }
    for index in 0..3 {
        let name = world().rollups[day(&world())].sketches[index].0;
        let change = |world: &mut World| {
            let last = day(world);
            world.rollups[last].sketches[index].1[5] ^= 1;
        };
        check(change, &[(table, name)], &[]);
    }
    let last = |world: &mut World| world.rollups.pop().expect("a row");
    for (column, change) in [
        ("closed", (|row| row.closed = true) as fn(&mut StoredRollup)),
        ("memory_sketch_indexes", |row| {
            row.memory_sketch_indexes[0] += 1
        }),
        ("memory_sketch_counts", |row| {
            row.memory_sketch_counts[0] += 1
        }),
    ] {
        let change = |world: &mut World| {
            let mut row = last(world);
            change(&mut row);
            world.rollups.push(row);
        };
        check(change, &[(table, column)], &[]);
    }
}

#[test]
fn the_ledger_is_counted_and_must_balance() {
    let change = |change: fn(&mut StoredLedger)| {
        move |world: &mut World| change(world.facts.ledger.get_mut(&0).expect("a row"))
    };
    let read = |row: &mut StoredLedger| {
        row.counts.snapshots_read += 1;
        row.counts.snapshots_duplicate += 1;
    };
    check(
        change(read),
        &[
            ("ledger", "snapshots_read"),
            ("ledger", "snapshots_duplicate"),
        ],
        &[],
    );
    check(
        change(|row| row.stored[1] = 1),
        &[("ledger", "stored_lines")],
        &[],
    );
    check(
        change(|row| row.last_ingested_at = None),
        &[("ledger", "last_ingested_at")],
        &[],
    );
}
