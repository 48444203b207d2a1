//! Examples whose results were worked out by hand.

use super::*;
use crate::form::Form;
use rollcall_domain::Os;

/// 2026-11-21T13:59:30Z.
const NOW: i64 = 1_795_269_570 * SECOND_US;

fn row(pid: i32, identity: u64, application: &str, cpu_s: i64, memory: i64) -> TruthRow {
    TruthRow {
        identity,
        pid,
        parent_pid: None,
        executable_name: application.to_owned(),
        application: application.to_owned(),
        owner: None,
        state: None,
        started_at: Timestamp::default(),
        cpu_time_us: Some(cpu_s * SECOND_US),
        memory_usage_bytes: Some(memory),
        memory_virtual_bytes: None,
        thread_count: None,
        command_line: None,
    }
}

fn owned(row: TruthRow, owner: &str) -> TruthRow {
    TruthRow {
        owner: Some(owner.to_owned()),
        ..row
    }
}

fn truth(id: u128, machine: &str, after_s: i64, user: Option<&str>, rows: Vec<TruthRow>) -> Truth {
    Truth {
        snapshot_id: SnapshotId(id),
        machine_id: machine.to_owned(),
        machine_name: "PC7".to_owned(),
        os: Os::Linux,
        cpu_count: 2,
        form: Form::LinuxPsAux,
        observed_at: at(after_s),
        user: user.map(str::to_owned),
        faculty: None,
        rows,
        rejected_lines: Vec::new(),
    }
}

fn at(after_s: i64) -> Timestamp {
    Timestamp::from_micros(NOW + after_s * SECOND_US)
}

fn ledger() -> Ledger {
    Ledger::new([("ada", Some("law")), ("bob", Some("arts")), ("eve", None)])
}

fn id(set: GroupingSet, dimensions: &[&str], grain: Grain, start_s: i64) -> RollupId {
    let dimensions = dimensions.iter().map(|text| (*text).to_owned()).collect();
    RollupId {
        set,
        dimensions,
        grain,
        start: Timestamp::from_micros(start_s * SECOND_US),
    }
}

#[test]
fn two_snapshots_of_one_user() {
    let mut ledger = ledger();
    let first = vec![row(1, 11, "word", 10, 500), row(2, 12, "chrome", 0, 300)];
    let second = vec![row(1, 11, "word", 14, 700), row(3, 13, "chrome", 1, 100)];
    // 13:59:30 and 14:00:10: two minutes, two hours, one day.
    ledger.add(&truth(1, "m1", 0, Some("ada"), first), at(1));
    ledger.add(&truth(2, "m1", 40, Some("ada"), second), at(41));
    assert_eq!((ledger.accepted(), ledger.duplicates()), (2, 0));
    let deltas: Vec<_> = ledger
        .details()
        .iter()
        .map(|detail| detail.cpu_delta_us)
        .collect();
    assert_eq!(deltas, [None, None, Some(4 * SECOND_US), None]);

    let day = &ledger.rollups()[&id(GroupingSet::User, &["ada"], Grain::Day, 1_795_219_200)];
    assert_eq!(
        (day.snapshots, day.processes, day.cpu_time_us),
        (2, 4, 4 * SECOND_US)
    );
    assert_eq!(day.memory_sum_bytes, 1_600);
    assert_eq!(
        (day.memory_min_bytes, day.memory_max_bytes, day.memory_count),
        (Some(100), Some(700), 4)
    );
    // Of 100, 300, 500 and 700: ranks 0, 1, 2 (not the 3 that a nearest rank would have) and 3.
    let quantiles = [0.0, 0.5, 0.95, 1.0].map(|share| day.memory_quantile(share));
    assert_eq!(quantiles, [100, 300, 500, 700].map(Some));
    let minutes: Vec<_> = day
        .machine_minutes
        .iter()
        .map(|(machine, minute)| (&**machine, *minute))
        .collect();
    assert_eq!(minutes, [("m1", 29_921_159), ("m1", 29_921_160)]);
    assert_eq!((day.first_event_at, day.last_event_at), (at(0), at(40)));

    let law = ["law", "linux", "word"];
    let hour = &ledger.rollups()[&id(GroupingSet::Application, &law, Grain::Hour, 1_795_269_600)];
    assert_eq!(
        (hour.snapshots, hour.processes, hour.cpu_time_us),
        (1, 1, 4 * SECOND_US)
    );
    // User and faculty: 2 minutes, 2 hours, 1 day each. Two applications: 2 hours, 1 day each.
    assert_eq!(ledger.rollups().len(), 2 * 5 + 2 * 3);
}

#[test]
fn a_shared_host_counts_once_for_each_key() {
    let mut ledger = ledger();
    let rows = vec![
        owned(row(1, 1, "bash", 0, 10), "ada"),
        owned(row(2, 2, "bash", 0, 20), "bob"),
        owned(row(3, 3, "vim", 0, 30), "ada"),
        owned(row(4, 4, "ssh", 0, 40), "root"),
        owned(row(5, 5, "ssh", 0, 40), "longnam+"),
        owned(row(6, 6, "ssh", 0, 40), "UNI\\ada"),
        owned(row(7, 7, "ssh", 0, 40), "pc7\\ada"),
        owned(row(8, 8, "ssh", 0, 40), "NT AUTHORITY\\SYSTEM"),
        owned(row(9, 9, "ssh", 0, 40), "eve"),
        row(10, 10, "ssh", 0, 40),
    ];
    ledger.add(&truth(1, "host", 0, None, rows), at(0));
    let users: Vec<_> = ledger
        .details()
        .iter()
        .map(|detail| (&*detail.user, &*detail.faculty))
        .collect();
    let expect = [
        ("ada", "law"),
        ("bob", "arts"),
        ("ada", "law"),
        ("root@host", "(unknown)"),
        ("longnam+@host", "(unknown)"),
        ("UNI\\ada", "(unknown)"),
        ("pc7\\ada@host", "(unknown)"),
        ("NT AUTHORITY\\SYSTEM@host", "(unknown)"),
        ("eve", "(unknown)"),
        ("(unknown)", "(unknown)"),
    ];
    assert_eq!(users, expect);
    let minute = 1_795_269_540;
    let law = &ledger.rollups()[&id(GroupingSet::Faculty, &["law"], Grain::Minute, minute)];
    assert_eq!(
        (law.snapshots, law.processes, law.memory_sum_bytes),
        (1, 2, 40)
    );
    let unknown =
        &ledger.rollups()[&id(GroupingSet::Faculty, &["(unknown)"], Grain::Minute, minute)];
    assert_eq!(
        (unknown.snapshots, unknown.processes, unknown.users.len()),
        (1, 7, 7)
    );
}

#[test]
fn the_snapshots_faculty_goes_before_the_directorys() {
    let mut ledger = ledger();
    let mut truth = truth(1, "m", 0, Some("ada"), vec![row(1, 1, "word", 0, 1)]);
    truth.faculty = Some("arts".to_owned());
    ledger.add(&truth, at(0));
    assert_eq!(ledger.details()[0].faculty, "arts");
}

#[test]
fn repeated_and_out_of_order_snapshots() {
    let mut ledger = ledger();
    let mut add = |id, after_s, cpu_s| {
        let truth = truth(
            id,
            "m",
            after_s,
            Some("ada"),
            vec![row(1, 1, "word", cpu_s, 1)],
        );
        ledger.add(&truth, at(100))
    };
    assert_eq!(add(1, 0, 10), Outcome::Accepted);
    assert_eq!(add(2, 20, 12), Outcome::Accepted);
    assert_eq!(add(1, 0, 10), Outcome::Duplicate);
    assert_eq!(
        add(3, 10, 11),
        Outcome::Accepted,
        "older than the second: no delta, no new baseline"
    );
    assert_eq!(
        add(4, 20, 13),
        Outcome::Accepted,
        "not later than the second"
    );
    assert_eq!(add(5, 30, 15), Outcome::Accepted);
    let deltas: Vec<_> = ledger
        .details()
        .iter()
        .map(|detail| detail.cpu_delta_us.map(|us| us / SECOND_US))
        .collect();
    assert_eq!(deltas, [None, Some(2), None, None, Some(3)]);
    assert_eq!((ledger.accepted(), ledger.duplicates()), (5, 1));
}

#[test]
fn another_process_with_the_same_pid_has_no_delta() {
    let check = |second: TruthRow, expect: Option<i64>| {
        let mut ledger = ledger();
        ledger.add(
            &truth(1, "m", 0, None, vec![row(7, 1, "word", 10, 1)]),
            at(0),
        );
        ledger.add(&truth(2, "m", 10, None, vec![second]), at(10));
        assert_eq!(
            ledger.details()[1].cpu_delta_us.map(|us| us / SECOND_US),
            expect
        );
    };
    check(row(7, 1, "word", 11, 1), Some(1));
    check(row(7, 2, "word", 11, 1), None);
    check(row(7, 1, "excel", 11, 1), None);
    check(row(8, 1, "word", 11, 1), None);
    check(row(7, 1, "word", 9, 1), None);
    check(
        TruthRow {
            cpu_time_us: None,
            ..row(7, 1, "word", 11, 1)
        },
        None,
    );
    // Ten seconds on two CPUs, and one of rounding.
    check(row(7, 1, "word", 31, 1), Some(21));
    check(row(7, 1, "word", 32, 1), None);
}

#[test]
fn clocks_that_are_wrong() {
    let mut ledger = ledger();
    let mut add = |id, observed_s, ingested_s| {
        let truth = truth(
            id,
            "m",
            observed_s,
            Some("ada"),
            vec![row(1, 1, "word", 0, 1)],
        );
        ledger.add(&truth, at(ingested_s))
    };
    const DAY: i64 = 86_400;
    assert_eq!(add(1, 300, 0), Outcome::Accepted);
    assert_eq!(add(2, 301, 0), Outcome::Accepted);
    assert_eq!(add(3, -30 * DAY, 0), Outcome::Accepted);
    assert_eq!(
        add(4, -30 * DAY - 1, 0),
        Outcome::Rejected(RejectionReason::TooOld)
    );
    assert_eq!(
        add(4, -30 * DAY - 1, 0),
        Outcome::Rejected(RejectionReason::TooOld)
    );
    let events: Vec<_> = ledger
        .details()
        .iter()
        .map(|detail| detail.event_at)
        .collect();
    assert_eq!(events, [at(300), at(0), at(-30 * DAY)]);
    assert_eq!(
        ledger.rejected().collect::<Vec<_>>(),
        [(RejectionReason::TooOld, 2)]
    );
}

#[test]
fn a_list_without_processes_still_counts_for_its_user() {
    let mut ledger = ledger();
    ledger.add(&truth(1, "m", 0, Some("ada"), Vec::new()), at(0));
    ledger.add(&truth(2, "host", 0, None, Vec::new()), at(0));
    let rollup = &ledger.rollups()[&id(GroupingSet::User, &["ada"], Grain::Minute, 1_795_269_540)];
    assert_eq!(
        (rollup.snapshots, rollup.processes, rollup.memory_count),
        (1, 0, 0)
    );
    assert_eq!(ledger.rollups().len(), 6);
}
