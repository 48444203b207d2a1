//! What NORMALIZE makes of good snapshots: times, CPU deltas, users, bad lines.

use crate::harness::{HOUR, MINUTE, Row, SECOND, T0, normalizer, snapshot, with_text};
use rollcall_domain::pipeline::Rejection;
use rollcall_domain::{LineReason, Payload, Snapshot, Timestamp};

fn deltas(outputs: &crate::harness::Outputs) -> Vec<Option<i64>> {
    outputs.observations()[0]
        .observations
        .iter()
        .map(|observation| observation.cpu_delta_us)
        .collect()
}

#[test]
fn the_books_balance_for_good_and_repeated_snapshots() {
    let mut normalizer = normalizer();
    let row: [Row; 2] = [(1, "sh", "ada", 0, 1), (2, "vim", "ada", 0, 1)];
    normalizer.send(&snapshot(1, "m1", T0, &row));
    normalizer.send(&snapshot(1, "m1", T0, &row));
    normalizer.send(&snapshot(1, "m2", T0, &row));
    let outputs = normalizer.commit();
    let counts = outputs.task_state().counts;
    assert_eq!(
        (
            counts.snapshots_read,
            counts.snapshots_accepted,
            counts.snapshots_duplicate,
            counts.lines_accepted
        ),
        (3, 2, 1, 4)
    );
    assert!(counts.balanced());
    let observations = outputs.observations();
    assert_eq!(observations.len(), 2, "the repeated one is gone");
    assert_eq!(observations[1].counts, counts, "each says the books so far");
    assert_eq!(
        (
            observations[1].source.partition,
            observations[1].source.offset
        ),
        (1, 2)
    );
}

#[test]
fn a_bad_line_costs_one_line() {
    let mut normalizer = normalizer();
    let outputs = normalizer.take(&with_text(
        1,
        b"USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND\n\
          root 1 0.0 0.1 100 2000 ? Ss 07:00 0:01 /sbin/init\n\
          root x 0.0 0.1 100 2000 ? Ss 07:00 0:01 /sbin/broken\n\
          ada 7 0.0 0.1 100 2000 ? Ss 07:00 0:01 /usr/bin/vim\n",
    ));
    let observations = &outputs.observations()[0];
    let pids: Vec<_> = observations
        .observations
        .iter()
        .map(|o| o.process.pid)
        .collect();
    assert_eq!((pids, observations.lines_rejected), (vec![1, 7], 1));
    let letters = outputs.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].rejection, Rejection::Line(LineReason::BadPid, 3));
    assert!(letters[0].raw.starts_with(b"root x"));
    assert_eq!(letters[0].raw_length, letters[0].raw.len() as i64);
    assert_eq!(letters[0].machine_id.as_deref(), Some("m1"));
    let counts = outputs.task_state().counts;
    assert_eq!((counts.lines_accepted, counts.lines_rejected), (2, 1));
    assert_eq!(counts.snapshots_rejected, 0);
}

#[test]
fn a_clock_too_far_ahead_gives_way_to_the_brokers() {
    let mut normalizer = normalizer();
    for (id, ahead, event_at) in [
        (1, 5 * MINUTE, T0),
        (2, 5 * MINUTE + 1, T0 - 5 * MINUTE - 1),
        (3, -HOUR, T0),
    ] {
        let row = snapshot(id, "m1", T0, &[(1, "sh", "ada", 0, 1)]);
        normalizer.send_late(&row, -ahead);
        let observations = normalizer.commit().observations();
        assert_eq!(observations[0].event_at, Timestamp::from_micros(event_at));
        assert_eq!(observations[0].observed_at, Timestamp::from_micros(T0));
    }
}

#[test]
fn cpu_deltas_and_what_comes_out_of_order() {
    let mut normalizer = normalizer();
    let at = |id, seconds, ticks| {
        snapshot(
            id,
            "m1",
            T0 + seconds * SECOND,
            &[(9, "vim", "ada", ticks, 1)],
        )
    };
    assert_eq!(deltas(&normalizer.take(&at(1, 0, 100))), [None]);
    assert_eq!(deltas(&normalizer.take(&at(2, 60, 150))), [Some(500_000)]);
    assert_eq!(deltas(&normalizer.take(&at(3, 30, 120))), [None]);
    assert_eq!(deltas(&normalizer.take(&at(4, 90, 250))), [Some(SECOND)]);
}

#[test]
fn cpu_deltas_within_one_transaction() {
    let mut normalizer = normalizer();
    normalizer.send(&snapshot(1, "m1", T0, &[(9, "vim", "ada", 100, 1)]));
    normalizer.send(&snapshot(
        2,
        "m1",
        T0 + MINUTE,
        &[(9, "vim", "ada", 170, 1)],
    ));
    let observations = normalizer.commit().observations();
    assert_eq!(observations[1].observations[0].cpu_delta_us, Some(700_000));
}

#[test]
fn a_shared_hosts_users_are_resolved_per_owner() {
    let mut normalizer = normalizer();
    let outputs = normalizer.take(&snapshot(
        1,
        "m1",
        T0,
        &[
            (1, "init", "root", 0, 1),
            (2, "vim", "ada", 0, 1),
            (3, "vim", "bob", 0, 1),
            (4, "vim", "kim", 0, 1),
            (5, "sh", "ada", 0, 1),
            (6, "sh", "UNI\\zoe", 0, 1),
        ],
    ));
    let observations = &outputs.observations()[0];
    let users: Vec<_> = observations
        .observations
        .iter()
        .map(|o| &observations.users[o.user as usize])
        .map(|user| (&*user.user, &*user.faculty))
        .collect();
    assert_eq!(
        users,
        [
            ("root@m1", "(unknown)"),
            ("ada", "law"),
            ("bob", "law"),
            ("kim", "(unknown)"),
            ("ada", "law"),
            ("UNI\\zoe", "(unknown)"),
        ]
    );
    assert_eq!(observations.users.len(), 5);
}

#[test]
fn a_snapshot_without_processes_counts_for_its_user() {
    let mut normalizer = normalizer();
    let outputs = normalizer.take(&Snapshot {
        user: Some("eve".into()),
        payload: Payload::Macos(Vec::new()),
        ..snapshot(1, "m1", T0, &[])
    });
    let partials: Vec<_> = outputs
        .partials()
        .into_iter()
        .flat_map(|(_, message)| message.partials)
        .map(|partial| (partial.key.to_text(), partial.accumulator.snapshots))
        .collect();
    let mut sorted = partials.clone();
    sorted.sort();
    assert_eq!(sorted, [("arts".to_owned(), 1), ("eve".to_owned(), 1)]);
}
