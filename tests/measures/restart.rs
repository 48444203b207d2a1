//! `kill -9` of a processor whose ROLLUP task has a million windows open, with a state topic that was never compacted, and
//! how long its successor takes to that task's first commit.

use super::{Row, live_windows, median, seconds};
use crate::metrics::{Metrics, run_stages};
use crate::support::{Processor, SNAPSHOT_PARTITIONS, Services, Setup, eventually};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rollcall_domain::Timestamp;
use rollcall_stages::layout;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// With windows of a minute, an hour and a day for each: a million.
const USERS: usize = 334_000;
/// How often each window was written.
const VERSIONS: u32 = 3;
/// Kills with the session's timeout apart.
const KILLS: usize = 5;
/// Only the stages in question: SINK has nothing to restore.
const STAGES: &str = "normalize,rollup";
const REQUEST: Duration = Duration::from_secs(10);

/// One restart.
struct Restart {
    /// From the start of the process, or from the kill, to the first commit of ROLLUP's task.
    first_commit: Duration,
    /// From its claim until it runs, as it says itself.
    restore: f64,
    /// Records that it read back.
    records: f64,
    cpu_seconds: f64,
}

pub fn measure() -> Vec<Row> {
    let services = Services::start_with(Setup {
        hard_working: true,
        // Nothing is compacted: every version of every key is read back.
        kafka_settings: vec![("log.cleaner.enable", "false")],
        environment: vec![
            ("ROLLCALL_PARTITIONS_ROLLUPS", "1".to_owned()),
            ("ROLLCALL_ROLLUP_MINUTE_GRACE_SECONDS", "86400".to_owned()),
        ],
        ..Setup::default()
    });
    let (mut processor, mut address) = run_stages(&services, STAGES, &[]);
    let at = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    for version in 0..VERSIONS {
        live_windows::send(&services, USERS, at, version, SNAPSHOT_PARTITIONS);
        await_level(address, USERS * (version as usize + 1));
    }
    let windows = Metrics::scrape(address).sum("rollcall_state_entries", "\"rollup\"");
    assert!(windows >= 1e6, "{windows} live windows");
    let mut restarts = Vec::new();
    for _ in 0..KILLS {
        processor.kill9();
        await_empty_group(&services);
        let begun = Instant::now();
        (processor, address) = run_stages(&services, STAGES, &[]);
        restarts.push(await_commit(address, begun));
        await_level(address, 0);
    }
    let begun = Instant::now();
    processor.kill9();
    let (processor, address) = run_stages(&services, STAGES, &[]);
    let with_session = await_commit(address, begun);
    let restored = Metrics::scrape(address).sum("rollcall_state_entries", "\"rollup\"");
    assert_eq!(restored, windows, "live windows after the restart");
    let rows = rows(&services, windows, &restarts, &with_session);
    drop::<Processor>(processor);
    rows
}

/// Waits until ROLLUP has folded so many snapshots and everything is read.
fn await_level(address: SocketAddr, snapshots: usize) {
    eventually("the stages are level", || {
        let metrics = Metrics::scrape(address);
        let lag = |stage| {
            let lags: Vec<f64> = metrics
                .of("rollcall_consumer_lag_records", stage)
                .map(|(_, lag)| lag)
                .collect();
            !lags.is_empty() && lags.iter().all(|lag| *lag == 0.0)
        };
        let accepted = metrics.sum("rollcall_snapshots_total", "accepted");
        accepted >= snapshots as f64 && lag("\"normalize\"") && lag("\"rollup\"")
    });
}

/// Waits until the group has noticed that its member is dead.
fn await_empty_group(services: &Services) {
    let client: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &services.kafka.brokers)
        .create()
        .expect("a client");
    for stage in [layout::NORMALIZE, layout::ROLLUP] {
        let group = services.kafka.group(stage);
        eventually("the group is empty", || {
            let list = client.fetch_group_list(Some(&group), REQUEST);
            list.is_ok_and(|list| list.groups().iter().all(|group| group.members().is_empty()))
        });
    }
}

fn await_commit(address: SocketAddr, begun: Instant) -> Restart {
    let label = "outcome=\"committed\",stage=\"rollup\"";
    eventually("ROLLUP's task commits", || {
        let metrics = Metrics::try_scrape(address);
        metrics.is_some_and(|metrics| metrics.sum("rollcall_transactions_total", label) > 0.0)
    });
    let first_commit = begun.elapsed();
    let metrics = Metrics::scrape(address);
    Restart {
        first_commit,
        restore: metrics.sum("rollcall_restore_seconds_sum", "\"rollup\""),
        records: metrics.sum("rollcall_restored_records_total", "\"rollup\""),
        cpu_seconds: metrics.sum("process_cpu_seconds_total", ""),
    }
}

/// Bytes of the state's log as the broker holds it.
fn state_bytes(services: &Services) -> u64 {
    let folder = format!("{}-0", services.kafka.topic(layout::STATE_ROLLUP.name));
    let mut bytes = 0;
    let mut folders = vec![services.stack.dir().join("kafka")];
    while let Some(at) = folders.pop() {
        let entries = std::fs::read_dir(&at).expect("the broker's folder");
        for entry in entries.map(|entry| entry.expect("an entry")) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if at.ends_with(&folder) && path.extension().is_some_and(|kind| kind == "log") {
                bytes += entry.metadata().map_or(0, |data| data.len());
            }
        }
    }
    bytes
}

fn rows(services: &Services, windows: f64, restarts: &[Restart], last: &Restart) -> Vec<Row> {
    let middle = |of: fn(&Restart) -> f64| median(restarts.iter().map(of).collect());
    let bytes = state_bytes(services) as f64;
    let worst = restarts.iter().map(|restart| restart.first_commit).max();
    let figure = |what: &str, figure: String| (what.to_owned(), figure);
    vec![
        figure("live windows", format!("{windows:.0}")),
        figure(
            "state read back",
            format!(
                "{:.0} records, {:.0} MB",
                middle(|r| r.records),
                bytes / 1e6
            ),
        ),
        figure(
            &format!("start of the process to the first commit (median of {KILLS})"),
            format!("{:.2} s", middle(|r| r.first_commit.as_secs_f64())),
        ),
        figure("the longest of them", seconds(worst.unwrap_or_default())),
        figure(
            "of that, the restore (rollcall_restore_seconds)",
            format!("{:.2} s", middle(|r| r.restore)),
        ),
        figure(
            "CPU time of the process until then",
            format!("{:.2} s", middle(|r| r.cpu_seconds)),
        ),
        figure(
            "kill -9 to the first commit, with a session timeout of 2 s",
            seconds(last.first_commit),
        ),
    ]
}
