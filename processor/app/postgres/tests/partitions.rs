//! Partitions come when they are needed, however many want them.

use super::*;
use crate::postgres::partitions::{TimeTable, ensure_partitions};
use rollcall_domain::time::DAY_US;
use rollcall_domain::{Grain, GroupingSet};

#[tokio::test]
async fn connections_that_race_for_a_partition_all_get_it() {
    let database = TestDatabase::create().await;
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let settings = database.settings();
        tasks.push(tokio::spawn(async move {
            let mut sink = connect(&settings).await;
            let days = (0..5).map(|day| NOON.plus_micros(day * DAY_US));
            for table in [TimeTable::Snapshots, TimeTable::Observations] {
                ensure_partitions(
                    &mut sink.connection,
                    &mut sink.memory.partitions,
                    table,
                    days.clone(),
                )
                .await
                .unwrap();
            }
            let minutes = TimeTable::Rollups(GroupingSet::User, Grain::Minute);
            ensure_partitions(
                &mut sink.connection,
                &mut sink.memory.partitions,
                minutes,
                days,
            )
            .await
            .unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut session = database.session().await;
    for parent in [
        "process_snapshots",
        "process_observations",
        "user_rollups_minute",
    ] {
        let count = format!(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'rollcall.{parent}'::regclass"
        );
        assert_eq!(text(&mut session, &count).await, "5", "{parent}");
    }
    database.drop_it().await;
}

#[tokio::test]
async fn partitions_are_made_ahead() {
    let database = TestDatabase::create().await;
    let mut session = database.session().await;
    for _ in 0..2 {
        create_partitions_ahead(&mut session, NOON).await.unwrap();
    }
    let names = "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class AS c \
        WHERE c.relname ~ '^(process_observations|rejected_records|user_rollups_(minute|hour|day))_[dmy][0-9]+$'";
    assert_eq!(
        text(&mut session, names).await,
        "process_observations_d20260310 process_observations_d20260311 rejected_records_d20260310 \
         rejected_records_d20260311 user_rollups_day_y2026 user_rollups_day_y2027 user_rollups_hour_m202603 \
         user_rollups_hour_m202604 user_rollups_minute_d20260310 user_rollups_minute_d20260311"
    );
    database.drop_it().await;
}

#[tokio::test]
async fn retention_gives_way_to_readers() {
    let database = TestDatabase::create().await;
    let (mut session, mut reader) = (database.session().await, database.session().await);
    create_partitions_ahead(&mut session, NOON.plus_micros(-60 * DAY_US))
        .await
        .unwrap();
    execute(
        &mut session,
        "INSERT INTO rollcall.ledger (last_ingested_at, stored_snapshots, stored_lines, stored_lines_rejected, \
         expired_snapshots, expired_lines, expired_lines_rejected, snapshots_read, snapshots_accepted, \
         snapshots_duplicate, snapshots_rejected, lines_accepted, lines_rejected, partition, topic) \
         VALUES ('2026-03-10', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 't')",
    )
    .await
    .unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM rollcall.process_snapshots")
        .execute(&mut reader.connection)
        .await
        .unwrap();
    let policy = RetentionPolicy::default();
    let outcome = enforce_retention(&mut session, &policy).await.unwrap();
    assert_eq!(outcome.postponed, ["process_snapshots"]);
    assert!(
        outcome
            .dropped
            .contains(&"user_rollups_minute_d20260109".to_owned())
    );
    reader.close().await;
    let outcome = enforce_retention(&mut session, &policy).await.unwrap();
    assert_eq!(outcome.postponed, Vec::<&str>::new());
    assert_eq!(outcome.dropped.len(), 4, "{:?}", outcome.dropped);
    database.drop_it().await;
}
