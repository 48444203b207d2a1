//! Details: what is flushed is what people read.

use super::*;
use rollcall_domain::pipeline::{DeadLetter, Rejection};
use rollcall_domain::snapshot::CommandOutput;
use rollcall_domain::{CreationTime, LineReason, Precision, ProcessState, RejectionReason};

async fn flush(
    sink: &mut Sink,
    claim: &mut Claim,
    snapshots: &[SnapshotObservations<'_>],
) -> DetailsFlushed {
    let to = claim.next_offset + snapshots.len() as i64;
    let batch = DetailsBatch {
        advance: advance(TOPIC, 0, *claim, to),
        snapshots,
    };
    let flushed = flush_details(sink, &[batch]).await.unwrap();
    claim.next_offset = to;
    flushed
}

fn rich_snapshot() -> SnapshotObservations<'static> {
    let mut rich = snapshot(0, 0, "m-1", 1);
    rich.observed_at = Timestamp::MAX;
    rich.attributes = BTreeMap::from([("room".into(), "B\0 12".into())]);
    rich.command_output = Some(CommandOutput {
        text: b"caf\x82".as_slice().into(),
        encoding: Some("cp850".into()),
    });
    let observation = &mut rich.observations[0];
    observation.process = Process {
        pid: 42,
        parent_pid: Some(1),
        created_at: Some(CreationTime {
            at: NOON,
            precision: Precision::Minute,
        }),
        executable_name: "chrome".into(),
        executable_path: Some("/opt/chrome".into()),
        command_line: Some("chrome\0--x".into()),
        owner: None,
        state: Some(ProcessState::Waiting),
        cpu_time_us: Some(7),
        memory_usage_bytes: Some(1_025),
        memory_virtual_bytes: Some(1 << 50),
        thread_count: Some(9),
        application: "chrome".into(),
        script: Some("x\0.py".into()),
    };
    rich
}

#[tokio::test]
async fn a_flush_reads_back_through_the_view() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let mut claim = claimed(&mut sink, TOPIC, 0).await;
    let flushed = flush(&mut sink, &mut claim, &[rich_snapshot()]).await;
    assert_eq!((flushed.snapshots, flushed.observations), (1, 1));
    assert_eq!(flushed.differences, []);
    let columns = "machine_id, machine_name, os, event_at, application, executable_path, command_line, script, \
        user_name, faculty, owner, pid, parent_pid, created_at, created_precision, state, cpu_time_us, cpu_delta_us, \
        memory_usage_bytes, memory_virtual_bytes, thread_count, observed_at, rules_digest, source_offset";
    let row = format!("SELECT row({columns}) FROM analytics.processes");
    assert_eq!(
        text(sink.session(), &row).await,
        "(m-1,PC,linux,\"2026-03-10 12:00:00+00\",chrome,/opt/chrome,chrome\u{FFFD}--x,x\u{FFFD}.py,ada,law,,42,1,\
         \"2026-03-10 12:00:00+00\",minute,waiting,7,500000,1025,1125899906842624,9,\
         \"9999-12-31 23:59:59.999999+00\",ffffffffffffffff,0)"
    );
    let row = "SELECT row(user_name, attributes, command, command_output, command_output_encoding, \
        utc_offset_seconds, process_count) FROM analytics.snapshots";
    assert_eq!(
        text(sink.session(), row).await,
        "(ada,\"{\"\"room\"\": \"\"B\u{FFFD} 12\"\"}\",\"ps auxww\",café,cp850,3600,1)"
    );
    let numbers = "SELECT bool_and(snapshot_number >= analytics.first_snapshot_number(ingested_at) \
        AND snapshot_number < analytics.first_snapshot_number(ingested_at + interval '1 day')) \
        FROM analytics.snapshots";
    assert_eq!(text(sink.session(), numbers).await, "true");
    database.drop_it().await;
}

#[tokio::test]
async fn numbers_grow_and_the_books_balance_over_many_flushes() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let mut claim = claimed(&mut sink, TOPIC, 0).await;
    let snapshots: Vec<_> = (0..2_600).map(|n| snapshot(0, n, "m", 2)).collect();
    let mut moved = 0;
    for chunk in snapshots.chunks(700) {
        let flushed = flush(&mut sink, &mut claim, chunk).await;
        assert_eq!(flushed.differences, []);
        moved += flushed.machines_moved;
    }
    assert_eq!(moved, 0);
    let order = "SELECT bool_and(ordered) FROM (SELECT snapshot_number > lag(snapshot_number) \
        OVER (ORDER BY source_offset) AS ordered FROM rollcall.process_snapshots) AS o";
    assert_eq!(text(sink.session(), order).await, "true");
    let counts = "SELECT row(count(*), count(DISTINCT snapshot_number), count(DISTINCT command_line)) \
        FROM analytics.processes";
    assert_eq!(text(sink.session(), counts).await, "(5200,2600,2)");
    let health =
        "SELECT row(balanced, stored_snapshots, stored_lines) FROM analytics.pipeline_health";
    assert_eq!(text(sink.session(), health).await, "(t,2600,5200)");
    let parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'rollcall.process_observations'::regclass";
    assert_eq!(text(sink.session(), parts).await, "3", "two days and a bit");
    database.drop_it().await;
}

#[tokio::test]
async fn a_loss_shows_in_the_books() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let mut claim = claimed(&mut sink, TOPIC, 0).await;
    flush(&mut sink, &mut claim, &[snapshot(0, 0, "m", 2)]).await;
    let flushed = flush(&mut sink, &mut claim, &[snapshot(0, 2, "m", 2)]).await;
    assert_eq!(flushed.differences.len(), 1);
    let difference = &flushed.differences[0];
    assert_eq!(
        (difference.snapshots_missing, difference.lines_missing),
        (1, 2)
    );
    // Whoever claims it next is told, too.
    let books = sink.session().read_books(TOPIC, 0).await.unwrap();
    assert_eq!(books.as_ref(), Some(difference));
    let others = sink.session().read_books(TOPIC, 1).await.unwrap();
    assert_eq!(others, None);
    database.drop_it().await;
}

#[tokio::test]
async fn two_connections_with_the_same_new_texts_agree() {
    let database = TestDatabase::create().await;
    let mut tasks = Vec::new();
    for partition in 0..4 {
        let settings = database.settings();
        tasks.push(tokio::spawn(async move {
            let mut sink = connect(&settings).await;
            let claim = claimed(&mut sink, TOPIC, partition).await;
            let mut one = snapshot(partition, 0, "shared", 1_500);
            if partition % 2 == 0 {
                one.observations.reverse();
            }
            let snapshots = [one];
            let batch = DetailsBatch {
                advance: advance(TOPIC, partition, claim, 1),
                snapshots: &snapshots,
            };
            flush_details(&mut sink, &[batch]).await.unwrap()
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap().observations, 1_500);
    }
    let mut session = database.session().await;
    let counts = "SELECT row((SELECT count(*) FROM rollcall.command_lines), (SELECT count(*) FROM rollcall.owners), \
        (SELECT count(*) FROM rollcall.applications), (SELECT count(*) FROM rollcall.machines), \
        (SELECT count(DISTINCT pid) FROM analytics.processes), (SELECT count(*) FROM analytics.processes))";
    assert_eq!(text(&mut session, counts).await, "(1500,1,2,1,1500,6000)");
    assert_ne!(
        text(&mut session, "SELECT moved FROM rollcall.machines").await,
        "0"
    );
    database.drop_it().await;
}

/// Other rules may find another script in the same command line.
#[tokio::test]
async fn a_script_tells_command_lines_apart() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let mut claim = claimed(&mut sink, TOPIC, 0).await;
    let scripts = [None, Some("a.py"), Some("b.py"), Some("a.py"), None];
    let snapshots = (0..).zip(scripts).map(|(number, script)| {
        let mut one = snapshot(0, number, "m", 1);
        one.observations[0].process.script = script.map(Into::into);
        one
    });
    for one in snapshots.collect::<Vec<_>>() {
        flush(&mut sink, &mut claim, &[one]).await;
    }
    let stored = "SELECT row(count(*), count(DISTINCT script)) FROM rollcall.command_lines";
    assert_eq!(text(sink.session(), stored).await, "(3,2)");
    let shown = "SELECT string_agg(coalesce(script, '-'), ' ' ORDER BY snapshot_number) FROM analytics.processes";
    assert_eq!(text(sink.session(), shown).await, "- a.py b.py a.py -");
    database.drop_it().await;
}

#[tokio::test]
async fn machines_follow_their_latest_snapshot() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let mut claim = claimed(&mut sink, TOPIC, 0).await;
    flush(&mut sink, &mut claim, &[snapshot(0, 0, "m", 0)]).await;
    let mut renamed = snapshot(0, 1, "m", 0);
    renamed.machine.name = Some("PC-2".into());
    flush(
        &mut sink,
        &mut claim,
        &[renamed, snapshot(0, 2, "other", 0)],
    )
    .await;
    let mut elsewhere = snapshot(3, 3, "m", 0);
    elsewhere.machine.name = Some("PC-2".into());
    let flushed = flush(&mut sink, &mut claim, &[elsewhere]).await;
    assert_eq!(flushed.machines_moved, 1);
    let row = "SELECT row(name, source_partition, moved, first_seen, last_seen) FROM analytics.machines \
        WHERE machine_id = 'm'";
    assert_eq!(
        text(sink.session(), row).await,
        "(PC-2,3,1,\"2026-03-10 12:00:00.25+00\",\"2026-03-10 12:03:00.25+00\")"
    );
    // A partition that lags has old news.
    let mut older = snapshot(0, 4, "m", 0);
    older.ingested_at = snapshot(0, 2, "m", 0).ingested_at;
    older.machine.name = Some("PC-1".into());
    let flushed = flush(&mut sink, &mut claim, &[older]).await;
    assert_eq!(flushed.machines_moved, 0);
    assert_eq!(
        text(sink.session(), row).await,
        "(PC-2,3,1,\"2026-03-10 12:00:00.25+00\",\"2026-03-10 12:03:00.25+00\")"
    );
    database.drop_it().await;
}

#[tokio::test]
async fn nothing_in_a_snapshot_makes_a_flush_fail() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let mut claim = claimed(&mut sink, TOPIC, 0).await;
    let mut hostile = snapshot(0, 0, "m\0", 1);
    let huge: &'static str = String::leak("\0x".repeat(200_000));
    hostile.machine.name = Some(huge.into());
    hostile.observed_at = Timestamp::MIN;
    hostile.command = Some(huge.into());
    hostile.attributes =
        BTreeMap::from([(huge.into(), huge.into()), ("\u{FFFD}x".into(), "".into())]);
    hostile.users = vec![ResolvedUser {
        user: huge.into(),
        faculty: huge.into(),
    }];
    hostile.command_output = Some(CommandOutput {
        text: [0u8, 159, 146, 150].as_slice().into(),
        encoding: Some("no such\0encoding".into()),
    });
    let process = &mut hostile.observations[0].process;
    process.application = huge.into();
    process.executable_name = huge.into();
    process.executable_path = Some(huge.into());
    process.command_line = Some(huge.into());
    process.owner = Some(huge.into());
    process.memory_usage_bytes = Some(i64::MAX);
    process.cpu_time_us = Some(i64::MAX);
    process.created_at = Some(CreationTime {
        at: Timestamp::MAX,
        precision: Precision::Exact,
    });
    let flushed = flush(&mut sink, &mut claim, &[hostile.clone()]).await;
    assert_eq!(flushed.observations, 1);
    hostile.ingested_at = Timestamp::MIN;
    flush(&mut sink, &mut claim, &[hostile.clone()]).await;
    hostile.ingested_at = Timestamp::MAX;
    flush(&mut sink, &mut claim, &[hostile]).await;
    assert_eq!(
        text(sink.session(), "SELECT count(*) FROM analytics.processes").await,
        "3"
    );
    database.drop_it().await;
}

/// A rejected record and a rejected line.
pub(super) fn letters() -> [DeadLetter<'static>; 2] {
    let letter = |offset, rejection| DeadLetter {
        rejection,
        detail: "bad\0".into(),
        source_topic: "process-snapshots".into(),
        source: SourceOffset {
            partition: 2,
            offset,
        },
        ingested_at: NOON,
        machine_id: (offset > 1).then(|| "m".into()),
        snapshot_id: (offset > 1).then_some(SnapshotId(9)),
        raw: b"\0\xff".as_slice().into(),
        raw_length: 77,
    };
    [
        letter(1, Rejection::Record(RejectionReason::BadMagic)),
        letter(2, Rejection::Line(LineReason::BadPid, 4)),
    ]
}

/// Flushes [`letters`] once, and in vain a second time.
pub(super) async fn flush_letters(sink: &mut Sink) {
    let claim = claimed(sink, "dead-letters", 0).await;
    let batch = [DeadLetterBatch {
        advance: advance("dead-letters", 0, claim, 2),
        letters: &letters(),
    }];
    let flushed = flush_dead_letters(sink, &batch).await.unwrap();
    assert_eq!((flushed.rows, flushed.expired), (2, 0));
    let again = flush_dead_letters(sink, &batch).await.unwrap_err();
    assert!(matches!(again, FlushError::Fenced { .. }));
}

#[tokio::test]
async fn dead_letters_read_back() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    flush_letters(&mut sink).await;
    let query = RejectedRecordsQuery {
        limit: 10,
        ..RejectedRecordsQuery::default()
    };
    let rows = rejected_records(sink.session(), &query).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].line, rows[0].snapshot_id),
        (Some(4), Some(SnapshotId(9)))
    );
    assert_eq!(
        (rows[0].reason.as_str(), rows[0].detail.as_str()),
        ("bad_pid", "bad\u{FFFD}")
    );
    assert_eq!(
        (rows[0].raw.as_slice(), rows[0].raw_length),
        (b"\0\xff".as_slice(), 77)
    );
    let whole = RejectedRecordsQuery {
        whole_records_only: true,
        ..query
    };
    let rows = rejected_records(sink.session(), &whole).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].reason.as_str(), rows[0].ingested_at),
        ("bad_magic", NOON)
    );
    database.drop_it().await;
}
