//! When each task and each partition of SINK committed, as others see it.

use crate::metrics::Metrics;
use crate::support::{ROLLUP_PARTITIONS, SNAPSHOT_PARTITIONS, Services};
use crate::tables::Tables;
use rollcall::kafka::fetch::{Fetcher, Incoming, Polled};
use rollcall_stages::layout;
use sqlx::Row;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often PostgreSQL is asked.
const EVERY: Duration = Duration::from_millis(10);

/// A stage, or a lane of SINK, and a partition.
pub type Part = (String, i32);

/// Moments of commits.
pub type Commits = BTreeMap<Part, Vec<Instant>>;

/// Every task's commits, each of which writes its own partition of `task-state`, until `stop`.
pub fn watch_tasks(services: &Services, stop: &AtomicBool) -> Commits {
    let fetcher = Fetcher::new(&services.kafka, "commits").expect("a consumer");
    let partitions = SNAPSHOT_PARTITIONS + ROLLUP_PARTITIONS;
    let name = services.kafka.topic(layout::TASK_STATE.name);
    let ends = (0..).zip(services.ends(layout::TASK_STATE, partitions));
    let places: Vec<_> = ends.map(|(at, end)| (name.clone(), at, end)).collect();
    fetcher.assign(&places).expect("an assignment");
    let mut commits = Commits::new();
    while !stop.load(Ordering::Relaxed) {
        if let Polled::Record(message) = fetcher.poll(EVERY) {
            let part = match Incoming::of(&message).partition {
                at if at < SNAPSHOT_PARTITIONS => (layout::NORMALIZE.to_owned(), at),
                at => (layout::ROLLUP.to_owned(), at - SNAPSHOT_PARTITIONS),
            };
            commits.entry(part).or_default().push(Instant::now());
        }
    }
    commits
}

/// The moments at which SINK's place in each partition moved, until `stop`.
pub fn watch_sink(services: &Services, stop: &AtomicBool) -> Commits {
    let mut tables = Tables::new(&services.database_url);
    let mut places: BTreeMap<Part, i64> = BTreeMap::new();
    let mut commits = Commits::new();
    while !stop.load(Ordering::Relaxed) {
        for row in tables.rows("SELECT topic, partition, next_offset FROM rollcall.sink_offsets") {
            let lane = match row.get::<&str, _>(0) {
                "process-observations" => "sink-details".to_owned(),
                updates => updates.replace("rollup-updates", "sink-rollups"),
            };
            let (part, next) = ((lane, row.get(1)), row.get(2));
            if places.insert(part.clone(), next) != Some(next) {
                commits.entry(part).or_default().push(Instant::now());
            }
        }
        std::thread::sleep(EVERY);
    }
    commits
}

/// What an instance works on; nothing before it answers.
pub fn parts_of(address: SocketAddr) -> BTreeSet<Part> {
    let Some(metrics) = Metrics::try_scrape(address) else {
        return BTreeSet::new();
    };
    let labels = metrics.of("rollcall_consumer_lag_records", "");
    labels
        .map(|(labels, _)| {
            let label = |name: &str| {
                let value = labels.split(name).nth(1).expect("the label");
                value.split('"').nth(1).expect("its value").to_owned()
            };
            (
                label("stage="),
                label("partition=").parse().expect("a number"),
            )
        })
        .collect()
}

/// The longest time between two commits, or without one, within a period.
pub fn longest_gap(commits: &[Instant], from: Instant, to: Instant) -> Duration {
    let within = commits.iter().filter(|at| (from..to).contains(at));
    let (mut last, mut longest) = (from, Duration::ZERO);
    for &at in within.chain([&to]) {
        longest = longest.max(at - last);
        last = at;
    }
    longest
}
