//! The analysts' questions get the right answers.

use super::rollups::{UPDATES, application, flush, replace, value};
use super::*;
use crate::postgres::queries::{
    Period, TopApplication, TopApplicationsQuery, TopBy, application_memory, machine_processes,
    top_applications, user_rollups,
};
use crate::postgres::types::Time;
use rollcall_domain::time::{DAY_US, HOUR_US};
use rollcall_domain::{Grain, RollupKey};

/// Ten hours of chrome and word around a whole day that only its day row tells of.
async fn fill(sink: &mut Sink) {
    let mut claim = claimed(sink, UPDATES, 0).await;
    let hour = |hours: i64| Grain::Hour.window_of(NOON.plus_micros(hours * HOUR_US));
    let tomorrow = Grain::Day.window_of(NOON.plus_micros(DAY_US));
    let rows = vec![
        replace(application("chrome"), hour(0), value(0..10), true),
        replace(application("chrome"), hour(1), value(0..10), true),
        replace(application("word"), hour(1), value(0..15), true),
        replace(application("chrome"), tomorrow, value(5..20), true),
        // Counted by the day already, so not to be read.
        replace(application("chrome"), hour(20), value(5..20), true),
        replace(application("chrome"), hour(36), value(0..1), false),
    ];
    flush(sink, &mut claim, rows).await;
}

/// A row of `analytics.top_applications`.
type SqlTop = (String, i64, Option<i64>, Option<i64>, i64, i64, i64, i64);

fn sql_top(row: TopApplication) -> SqlTop {
    (
        row.application,
        row.cpu_time_us,
        row.memory_bytes_per_machine,
        row.memory_max_bytes,
        row.users,
        row.machines,
        row.machine_minutes,
        row.snapshots,
    )
}

/// The same question to the function that analysts have.
async fn top_in_sql(session: &mut Session, query: &TopApplicationsQuery<'_>) -> Vec<SqlTop> {
    sqlx::query_as("SELECT * FROM analytics.top_applications($1, $2, $3, $4, $5, $6)")
        .bind(query.faculty)
        .bind(query.os.map(Os::as_str))
        .bind(Time(query.period.from))
        .bind(Time(query.period.to))
        .bind(query.by.as_str())
        .bind(query.limit as i32)
        .fetch_all(&mut session.connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn top_applications_unite_users_over_windows() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    fill(&mut sink).await;
    let mut session = database.session().await;
    let query = |by| TopApplicationsQuery {
        faculty: Some("law"),
        os: Some(Os::Windows),
        period: Period {
            from: NOON,
            to: NOON.plus_micros(40 * HOUR_US),
        },
        by,
        limit: 5,
    };
    let top = top_applications(&mut session, &query(TopBy::Users))
        .await
        .unwrap();
    let names: Vec<_> = top
        .iter()
        .map(|row| (&*row.application, row.users, row.snapshots))
        .collect();
    assert_eq!(names, [("chrome", 20, 36), ("word", 15, 15)]);
    assert_eq!(top[0].cpu_time_us, 36_000);
    for by in TopBy::ALL {
        let top = top_applications(&mut session, &query(by)).await.unwrap();
        assert_eq!(top.len(), 2, "{by:?}");
        assert_eq!(top[0].application, "chrome", "{by:?}");
        let one = TopApplicationsQuery {
            limit: 1,
            ..query(by)
        };
        assert_eq!(
            top_applications(&mut session, &one).await.unwrap(),
            top[..1]
        );
        assert_eq!(TopBy::parse(by.as_str()), Some(by));
        for limit in [1, 5] {
            let query = TopApplicationsQuery { limit, ..query(by) };
            let ours: Vec<SqlTop> = top_applications(&mut session, &query)
                .await
                .unwrap()
                .into_iter()
                .map(sql_top)
                .collect();
            assert_eq!(top_in_sql(&mut session, &query).await, ours, "{by:?}");
        }
    }
    let arts = TopApplicationsQuery {
        faculty: Some("arts"),
        ..query(TopBy::CpuTime)
    };
    assert_eq!(top_applications(&mut session, &arts).await.unwrap(), []);
    database.drop_it().await;
}

#[tokio::test]
async fn memory_is_merged_over_windows() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    fill(&mut sink).await;
    let period = Period {
        from: NOON,
        to: NOON.plus_micros(2 * HOUR_US),
    };
    let memory = application_memory(sink.session(), "chrome", None, period)
        .await
        .unwrap();
    assert_eq!(memory.len(), 1);
    assert_eq!(
        (
            memory[0].os.as_str(),
            memory[0].processes,
            memory[0].machines
        ),
        ("windows", 20, 10)
    );
    assert_eq!(memory[0].memory_max_bytes, Some(10_000_000));
    assert_eq!(memory[0].memory_bytes_per_machine, Some(5_500_000));
    let p50 = memory[0].memory_p50_bytes.unwrap();
    assert!((4_900_000..=6_100_000).contains(&p50), "{p50}");
    let ours = &memory[0];
    type SqlMemory = (String, i64, Option<i64>, Option<i64>, Option<i64>, i64);
    let in_sql: Vec<SqlMemory> = sqlx::query_as(
        "SELECT os, processes, memory_p50_bytes, memory_p95_bytes, memory_bytes_per_machine, machines \
         FROM analytics.application_memory('chrome', NULL, $1, $2)",
    )
    .bind(Time(period.from))
    .bind(Time(period.to))
    .fetch_all(&mut sink.session().connection)
    .await
    .unwrap();
    assert_eq!(
        in_sql,
        [(
            ours.os.clone(),
            ours.processes,
            ours.memory_p50_bytes,
            ours.memory_p95_bytes,
            ours.memory_bytes_per_machine,
            ours.machines
        )]
    );
    database.drop_it().await;
}

#[tokio::test]
async fn what_ran_on_a_machine_and_a_users_windows() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let claim = claimed(&mut sink, TOPIC, 0).await;
    let snapshots: Vec<_> = (0..4)
        .map(|n| snapshot(0, n, if n == 3 { "other" } else { "m" }, 3))
        .collect();
    let batch = DetailsBatch {
        advance: advance(TOPIC, 0, claim, 4),
        snapshots: &snapshots,
    };
    flush_details(&mut sink, &[batch]).await.unwrap();
    let period = Period {
        from: NOON.plus_micros(1),
        to: NOON.plus_micros(HOUR_US),
    };
    let ran = machine_processes(sink.session(), "m", period, 10)
        .await
        .unwrap();
    assert_eq!(ran.len(), 3);
    assert_eq!((ran[0].application.as_str(), ran[0].snapshots), ("bash", 2));
    assert_eq!(ran[0].cpu_time_us, Some(1_000_000));
    assert_eq!(ran[0].first_seen, NOON.plus_micros(MINUTE_US));
    let both = machine_processes(sink.session(), "PC", period, 10)
        .await
        .unwrap();
    assert_eq!(
        both.iter().map(|row| row.snapshots).sum::<i64>(),
        9,
        "by name"
    );

    let mut updates = claimed(&mut sink, UPDATES, 0).await;
    let ada = || RollupKey::User("ada".into());
    let rows = (0..3)
        .map(|minute| {
            let window = Grain::Minute.window_of(NOON.plus_micros(minute * MINUTE_US));
            replace(ada(), window, value(0..2), minute < 2)
        })
        .collect();
    flush(&mut sink, &mut updates, rows).await;
    let windows = user_rollups(sink.session(), "ada", Grain::Minute, period, 10)
        .await
        .unwrap();
    assert_eq!(
        windows.iter().map(|row| row.closed).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(windows[0].machines, 2);
    database.drop_it().await;
}
