//! Rollups: replaced, merged, expired, and written once.

use super::*;
use rollcall_domain::pipeline::{ClosedThrough, Progress};
use rollcall_domain::rollup::{Accumulator, Contribution};
use rollcall_domain::time::DAY_US;
use rollcall_domain::{Grain, GroupingSet, RollupKey, Window, hll};
use rollcall_stages::sink::{Flush, FlushOffset, PendingOp, PendingRollup};

pub(super) const UPDATES: &str = "rollup-updates-application";

/// The value of `users` users on as many machines, one snapshot each with two processes.
pub(super) fn value(users: std::ops::Range<u32>) -> Accumulator {
    let mut value = Accumulator::default();
    for user in users {
        let at = NOON.plus_micros(i64::from(user));
        value.add_snapshot(&Contribution::new(&format!("machine-{user}"), at));
        value
            .users
            .insert_hash(hll::hash_text(&format!("user-{user}")));
        value.applications.insert_hash(hll::hash_text("chrome"));
        value.add_process(Some(1_000), Some(i64::from(user + 1) * 1_000_000));
        value.add_process(None, None);
    }
    value
}

pub(super) fn application(name: &'static str) -> RollupKey<'static> {
    RollupKey::Application {
        faculty: "law".into(),
        os: Os::Windows,
        application: name.into(),
    }
}

pub(super) fn replace(
    key: RollupKey<'static>,
    window: Window,
    value: Accumulator,
    closed: bool,
) -> PendingRollup<'static> {
    row(key, window, PendingOp::Replace { value, closed })
}

pub(super) fn merge(
    key: RollupKey<'static>,
    window: Window,
    value: Accumulator,
) -> PendingRollup<'static> {
    row(key, window, PendingOp::Merge(value))
}

/// A flush borrows its rows; those of tests may live for ever.
fn row(key: RollupKey<'static>, window: Window, op: PendingOp) -> PendingRollup<'static> {
    PendingRollup {
        key: Box::leak(Box::new(key)),
        window,
        op: Box::leak(Box::new(op)),
    }
}

fn progress() -> Progress {
    Progress {
        stage_time: NOON,
        folded: vec![SourceOffset {
            partition: 0,
            offset: 12,
        }],
        closed_through: vec![ClosedThrough {
            grouping_set: GroupingSet::Application,
            grain: Grain::Hour,
            through: NOON,
            counted_from: Timestamp::MIN,
        }],
    }
}

/// Flushes rows as offset `claim.next_offset`, and moves the claim.
pub(super) async fn flush(
    sink: &mut Sink,
    claim: &mut Claim,
    mut rollups: Vec<PendingRollup<'_>>,
) -> RollupsFlushed {
    rollups.sort_by(|a, b| (a.window, a.key).cmp(&(b.window, b.key)));
    let flush = pending(rollups, claim.next_offset + 1);
    let advance = advance(UPDATES, 0, *claim, claim.next_offset + 1);
    let flushed = flush_rollups(sink, &flush, &[advance]).await.unwrap();
    claim.next_offset += 1;
    flushed
}

pub(super) fn pending(rollups: Vec<PendingRollup<'_>>, next_offset: i64) -> Flush<'_> {
    Flush {
        grouping_set: rollups
            .first()
            .map_or(GroupingSet::Application, |rollup| rollup.key.grouping_set()),
        rollups,
        offsets: vec![FlushOffset {
            partition: 0,
            next_offset,
            progress: progress(),
        }],
    }
}

const ROW: &str = "SELECT row(closed, snapshots, processes, machines, users, machine_minutes, cpu_time_us, memory_count, \
    memory_sum_bytes, memory_min_bytes, memory_max_bytes, memory_p50_bytes) FROM rollcall.application_rollups";

#[tokio::test]
async fn values_replace_and_corrections_merge() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let mut claim = claimed(&mut sink, UPDATES, 0).await;
    let hour = Grain::Hour.window_of(NOON);
    let chrome = || application("chrome");
    flush(
        &mut sink,
        &mut claim,
        vec![replace(chrome(), hour, value(0..9), false)],
    )
    .await;
    flush(
        &mut sink,
        &mut claim,
        vec![replace(chrome(), hour, value(0..4), true)],
    )
    .await;
    assert_eq!(
        text(sink.session(), ROW).await,
        "(t,4,8,4,4,4,4000,4,10000000,1000000,4000000,2003555)"
    );
    let flushed = flush(
        &mut sink,
        &mut claim,
        vec![merge(chrome(), hour, value(4..6))],
    )
    .await;
    assert_eq!((flushed.rows, flushed.merged), (1, 1));
    let merged = text(sink.session(), ROW).await;
    flush(
        &mut sink,
        &mut claim,
        vec![replace(chrome(), hour, value(0..6), true)],
    )
    .await;
    assert_eq!(
        text(sink.session(), ROW).await,
        merged,
        "as if all had come at once"
    );
    let sketches = "SELECT md5(row(machines_hll, users_hll, machine_minutes_hll, memory_sketch_indexes, \
        memory_sketch_counts, first_event_at, last_event_at)::text) FROM rollcall.application_rollups";
    let replaced = text(sink.session(), sketches).await;
    execute(sink.session(), "DELETE FROM rollcall.application_rollups")
        .await
        .unwrap();
    flush(
        &mut sink,
        &mut claim,
        vec![merge(chrome(), hour, value(0..2))],
    )
    .await;
    flush(
        &mut sink,
        &mut claim,
        vec![merge(chrome(), hour, value(2..6))],
    )
    .await;
    assert_eq!(
        text(sink.session(), ROW).await,
        merged,
        "a correction of nothing is closed"
    );
    assert_eq!(text(sink.session(), sketches).await, replaced);
    let stored = read_progress(sink.session()).await.unwrap();
    assert_eq!(
        (stored[0].topic.as_str(), &stored[0].progress),
        (UPDATES, &progress())
    );
    database.drop_it().await;
}

#[tokio::test]
async fn a_flush_that_is_sent_twice_counts_once() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let mut claim = claimed(&mut sink, UPDATES, 0).await;
    let hour = Grain::Hour.window_of(NOON);
    let correction = || vec![merge(application("chrome"), hour, value(0..3))];
    flush(&mut sink, &mut claim, correction()).await;
    let before = Claim {
        next_offset: 0,
        ..claim
    };
    let again = pending(correction(), 1);
    let error = flush_rollups(&mut sink, &again, &[advance(UPDATES, 0, before, 1)]).await;
    assert!(matches!(error, Err(FlushError::Fenced { .. })), "{error:?}");
    let row = text(
        sink.session(),
        "SELECT snapshots FROM rollcall.application_rollups",
    )
    .await;
    assert_eq!(row, "3");
    let wrong = flush_rollups(
        &mut sink,
        &pending(Vec::new(), 9),
        &[advance(UPDATES, 0, claim, 8)],
    )
    .await;
    assert!(
        matches!(wrong, Err(FlushError::Failed(_))),
        "offsets that differ are a mistake"
    );
    database.drop_it().await;
}

#[tokio::test]
async fn every_grouping_set_and_grain_has_its_rows() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let huge: &'static str = String::leak("\0u".repeat(50_000));
    let keys = |name: &'static str| {
        [
            RollupKey::User(name.into()),
            RollupKey::Faculty(name.into()),
            RollupKey::Application {
                faculty: name.into(),
                os: Os::Macos,
                application: name.into(),
            },
        ]
    };
    let mut claim = claimed(&mut sink, UPDATES, 0).await;
    for round in 0..2 {
        for (plain, long) in keys("ada").into_iter().zip(keys(huge)) {
            let rows = Grain::ALL
                .into_iter()
                .flat_map(|grain| {
                    let window = grain.window_of(NOON);
                    [
                        replace(plain.clone(), window, value(0..50), false),
                        merge(long.clone(), window, value(0..700)),
                    ]
                })
                .collect();
            let flushed = flush(&mut sink, &mut claim, rows).await;
            assert_eq!((flushed.rows, flushed.merged), (6, 3 * round));
        }
    }
    for table in ["user_rollups", "faculty_rollups", "application_rollups"] {
        let counts = format!(
            "SELECT row(count(*), sum(snapshots), count(DISTINCT tableoid)) FROM rollcall.{table}"
        );
        assert_eq!(text(sink.session(), &counts).await, "(6,4350,3)", "{table}");
    }
    let user = "SELECT row(user_name, window_end - window_start) FROM analytics.user_rollups \
        WHERE user_name = 'ada' AND grain = 'minute'";
    assert_eq!(text(sink.session(), user).await, "(ada,00:01:00)");
    database.drop_it().await;
}

#[tokio::test]
async fn what_is_forgotten_does_not_come_back() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let mut claim = claimed(&mut sink, UPDATES, 0).await;
    let mut details = claimed(&mut sink, TOPIC, 0).await;
    let window = |days: i64| Grain::Hour.window_of(NOON.plus_micros(days * DAY_US));
    let rows = |days| {
        vec![replace(
            application("chrome"),
            window(days),
            value(0..1),
            true,
        )]
    };
    flush(&mut sink, &mut claim, rows(-200)).await;
    flush(&mut sink, &mut claim, rows(-1)).await;
    let mut old = snapshot(0, 0, "m", 1);
    old.ingested_at = NOON.plus_micros(-31 * DAY_US);
    for one in [old.clone(), snapshot(0, 1, "m", 1)] {
        let snapshots = [one];
        let batch = DetailsBatch {
            advance: advance(TOPIC, 0, details, details.next_offset + 1),
            snapshots: &snapshots,
        };
        flush_details(&mut sink, &[batch]).await.unwrap();
        details.next_offset += 1;
    }
    execute(
        sink.session(),
        "UPDATE rollcall.ledger SET last_ingested_at = '2026-03-10 12:00+00'",
    )
    .await
    .unwrap();
    let outcome = enforce_retention(sink.session(), &RetentionPolicy::default())
        .await
        .unwrap();
    assert_eq!(
        outcome.dropped,
        [
            "process_observations_d20260207",
            "process_snapshots_d20260207",
            "application_rollups_hour_m202508"
        ]
    );
    assert_eq!(outcome.postponed, Vec::<&str>::new());
    let again = enforce_retention(sink.session(), &RetentionPolicy::default())
        .await
        .unwrap();
    assert_eq!(again, RetentionOutcome::default());

    let flushed = flush(&mut sink, &mut claim, rows(-200)).await;
    assert_eq!((flushed.rows, flushed.expired), (0, 1));
    // Another connection, which never knew the partition, does not make it again.
    let mut other = database.sink().await;
    details = claimed(&mut other, TOPIC, 0).await;
    old.counts.snapshots_accepted = 3;
    old.counts.snapshots_read = 3;
    old.counts.lines_accepted = 3;
    let snapshots = [old];
    let batch = DetailsBatch {
        advance: advance(TOPIC, 0, details, 3),
        snapshots: &snapshots,
    };
    let flushed = flush_details(&mut other, &[batch]).await.unwrap();
    assert_eq!((flushed.snapshots, flushed.snapshots_expired), (0, 1));
    assert_eq!(flushed.differences, [], "expired is accounted for");
    database.drop_it().await;
}

/// A flush with a correction, by whoever the connection is.
pub(super) async fn values_as_the_sink(sink: &mut Sink) {
    let mut claim = claimed(sink, UPDATES, 0).await;
    let hour = Grain::Hour.window_of(NOON);
    let rows = || vec![merge(application("chrome"), hour, value(0..2))];
    flush(sink, &mut claim, rows()).await;
    assert_eq!(flush(sink, &mut claim, rows()).await.merged, 1);
}
