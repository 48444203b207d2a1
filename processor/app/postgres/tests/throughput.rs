//! How fast details and rollups go in, and how much room they take. Not run by default:
//! `cargo test --release --lib -- --ignored --nocapture throughput`.

use super::*;
use rollcall_domain::{CreationTime, Precision, ProcessState};
use std::time::Duration;

const MACHINES: i64 = 600;
const PROCESSES: i32 = 250;
const FLUSHES: i64 = 20;

/// What listings of the three operating systems show: `ps auxww` twice and `tasklist /v`.
fn listed(os: Os, machine: i64, pid: i32) -> Process<'static> {
    let application = ["chrome", "word", "sshd", "python", "bash"][pid as usize % 5];
    let windows = os == Os::Windows;
    // One command line in 50 is the machine's own.
    let own = if pid % 50 == 0 { machine } else { 0 };
    let arguments = "--type=renderer --field-trial-handle=1718379636 --lang=de --enable-features=NetworkService";
    Process {
        pid: pid * 7 + 4,
        parent_pid: None,
        created_at: (!windows).then_some(CreationTime {
            at: NOON,
            precision: if os == Os::Linux {
                Precision::Minute
            } else {
                Precision::Hour
            },
        }),
        executable_name: application.into(),
        executable_path: (!windows).then(|| format!("/usr/lib/{application}/{application}").into()),
        command_line: (!windows).then(|| {
            format!("/usr/lib/{application}/{application} {arguments} --id={own}-{pid}").into()
        }),
        owner: Some(format!("owner{}", pid % 7).into()),
        state: Some(ProcessState::Sleeping),
        cpu_time_us: Some(i64::from(pid) * 1_000_000),
        memory_usage_bytes: Some(i64::from(pid + 1) * 123 * 1_024),
        memory_virtual_bytes: (!windows).then_some(i64::from(pid + 1) * 4_567 * 1_024),
        thread_count: None,
        application: application.into(),
        script: None,
    }
}

fn fleet_snapshot(number: i64) -> SnapshotObservations<'static> {
    let machine = number % MACHINES;
    let os = Os::ALL[machine as usize % 3];
    let mut one = snapshot(0, number, "", 0);
    one.ingested_at = NOON.plus_micros(number * 20_000);
    one.event_at = one.ingested_at;
    one.machine.id = format!("machine-{machine}").into();
    one.machine.os = os;
    one.counts.lines_accepted = (number + 1) * i64::from(PROCESSES);
    one.observations = (0..PROCESSES)
        .map(|pid| Observation {
            process: listed(os, machine, pid),
            cpu_delta_us: (pid % 20 > 0).then_some(1_000_000),
            user: 0,
        })
        .collect();
    one
}

/// Snapshots per flush: `SNAPSHOTS`, or 400.
fn snapshots_per_flush() -> i64 {
    std::env::var("SNAPSHOTS").map_or(400, |text| text.parse().unwrap())
}

#[tokio::test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)] // it measures time
async fn throughput_of_details() {
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let per_flush = snapshots_per_flush();
    let mut claim = claimed(&mut sink, TOPIC, 0).await;
    let (mut spent, mut first, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    for flush in 0..FLUSHES {
        let numbers = flush * per_flush..(flush + 1) * per_flush;
        let snapshots: Vec<_> = numbers.map(fleet_snapshot).collect();
        let to = claim.next_offset + per_flush;
        let batch = DetailsBatch {
            advance: advance(TOPIC, 0, claim, to),
            snapshots: &snapshots,
        };
        let begun = std::time::Instant::now();
        let flushed = flush_details(&mut sink, &[batch]).await.unwrap();
        claim.next_offset = to;
        assert_eq!(flushed.differences, []);
        bytes += flushed.copied_bytes;
        // The first flushes meet new command lines.
        if flush * per_flush < MACHINES {
            first += begun.elapsed();
        } else {
            spent += begun.elapsed();
        }
    }
    let rows = per_flush * i64::from(PROCESSES);
    let warm = FLUSHES - (MACHINES + per_flush - 1) / per_flush;
    println!(
        "details: {:.0} rows/s warm, {:.0} rows/s while dimension rows are new, {} bytes of COPY a row",
        (warm * rows) as f64 / spent.as_secs_f64(),
        ((FLUSHES - warm) * rows) as f64 / first.as_secs_f64(),
        bytes as i64 / (FLUSHES * rows),
    );
    let sizes = "SELECT string_agg(c.relname || ': ' || round(pg_total_relation_size(c.oid)::numeric / n, 2), ', ') \
        FROM pg_class AS c, (SELECT count(*) AS n FROM rollcall.process_observations) AS o \
        WHERE c.relname ~ '^(process_(observations|snapshots)_d[0-9]+|command_lines|owners|machines)$'";
    println!(
        "bytes per observation, indexes included: {}",
        text(sink.session(), sizes).await
    );
    if std::env::var_os("KEEP").is_none() {
        database.drop_it().await;
    }
}

#[tokio::test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)] // it measures time
async fn throughput_of_rollups() {
    use super::rollups::{application, flush, merge, replace, value};
    use rollcall_domain::Grain;
    let database = TestDatabase::create().await;
    let mut sink = database.sink().await;
    let mut claim = claimed(&mut sink, super::rollups::UPDATES, 0).await;
    let names: Vec<&'static str> = (0..10_000)
        .map(|n| &*String::leak(format!("application-{n}")))
        .collect();
    let window = Grain::Hour.window_of(NOON);
    for (round, what) in ["inserted", "replaced", "replaced", "merged", "merged"]
        .iter()
        .enumerate()
    {
        let value = value(0..40 + 10 * round as u32);
        let rows = names
            .iter()
            .map(|name| match *what {
                "merged" => merge(application(name), window, value.clone()),
                _ => replace(application(name), window, value.clone(), false),
            })
            .collect();
        let begun = std::time::Instant::now();
        let flushed = flush(&mut sink, &mut claim, rows).await;
        println!(
            "rollups: {} rows {what} at {:.0} rows/s, {} bytes of COPY a row",
            flushed.rows,
            flushed.rows as f64 / begun.elapsed().as_secs_f64(),
            flushed.copied_bytes / flushed.rows,
        );
    }
    database.drop_it().await;
}
