//! PostgreSQL is away while an hour's traffic of a fleet comes in, with logs that are kept for minutes only: whether the
//! metric of the headroom warns, how long SINK takes to be level, and whether anything is lost.
//!
//! An hour does not fit into a measurement. It is the hour's traffic that is real, sent as fast as it goes, and the broker's
//! cleaning, every second; the time for which the logs are kept is shortened in proportion.

use super::{Row, seconds};
use crate::crowd::Crowd;
use crate::metrics::{Metrics, run};
use crate::support::{SNAPSHOT_PARTITIONS, Services, Setup, eventually};
use crate::tables::Tables;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rollcall::kafka::fetch::Fetcher;
use rollcall_simulator::MischiefConfig;
use rollcall_stages::layout;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Machines, each asked every ten seconds.
const MACHINES: u32 = 40;
/// Snapshots of an hour.
const HOUR: usize = MACHINES as usize * 360;
/// For how long what SINK reads is kept.
const KEPT: Duration = Duration::from_secs(120);
/// The outage goes on until so little is left: an alert's threshold.
const WARNING: Duration = Duration::from_secs(60);
/// How long the broker may take to answer.
const REQUEST: Duration = Duration::from_secs(10);
/// The lanes of SINK, as metrics name them.
const SINK: &str = "stage=\"sink-";

pub fn measure() -> Vec<Row> {
    let mut services = Services::start_with(Setup {
        hard_working: true,
        kafka_settings: vec![
            ("log.retention.check.interval.ms", "1000"),
            ("log.segment.delete.delay.ms", "1000"),
            ("log.initial.task.delay.ms", "1000"),
        ],
        ..Setup::default()
    });
    keep_for_minutes(&services);
    let mut crowd = Crowd::new(&services, MACHINES, 400, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let (processor, address) = run(&services, &[]);
    crowd.send(MACHINES as usize);
    tables.await_everything(&crowd.ends(), &crowd.ledger());
    eventually("the headroom is known", || headroom(address).is_some());
    let at_peace = headroom(address).expect("it is known");

    services.stack.postgres().stop().expect("it stops");
    let away = Instant::now();
    crowd.send(HOUR);
    let sent = away.elapsed();
    let ledger = crowd.ledger();
    eventually("the metric warns", || {
        headroom(address).is_some_and(|left| left < WARNING.as_secs_f64())
    });
    let warned = away.elapsed();
    services.stack.postgres().start().expect("it starts");
    let back = Instant::now();
    tables.await_everything(&crowd.ends(), &ledger);
    let level = back.elapsed();
    eventually("the headroom is what it was", || {
        headroom(address).is_some_and(|left| left > at_peace - 5.0)
    });
    tables.assert_equal(&ledger);
    // What is stored goes, so the broker did clean up meanwhile.
    eventually("retention drops what is stored", || begins(&services) > 0);
    assert_eq!(processor.terminate(), Some(0));
    let rate = HOUR as f64 / level.as_secs_f64();
    let row = |what: &str, figure: String| (what.to_owned(), figure);
    vec![
        row(
            "traffic while PostgreSQL was away",
            format!(
                "{HOUR} snapshots, {} rows, sent in {}",
                ledger.details().len(),
                seconds(sent)
            ),
        ),
        row(
            "headroom at peace; its logs are kept for",
            format!("{at_peace:.0} s; {}", seconds(KEPT)),
        ),
        row(
            &format!(
                "outage until the headroom warned (below {})",
                seconds(WARNING)
            ),
            seconds(warned),
        ),
        row(
            "from its return until all is stored",
            format!(
                "{}: {rate:.0} snapshots/s, {:.0} times the fleet's pace",
                seconds(level),
                rate * 3_600.0 / HOUR as f64
            ),
        ),
        row(
            "lost, doubled or wrong, by the fleet's ledger",
            "nothing".to_owned(),
        ),
    ]
}

/// The least headroom of SINK's lanes.
fn headroom(address: SocketAddr) -> Option<f64> {
    let metrics = Metrics::scrape(address);
    let lanes = metrics.of("rollcall_retention_headroom_seconds", SINK);
    lanes.map(|(_, left)| left).min_by(f64::total_cmp)
}

/// Records of observations that retention has dropped.
fn begins(services: &Services) -> i64 {
    let fetcher = Fetcher::new(&services.kafka, "begins").expect("a consumer");
    let begin = |partition| fetcher.watermarks(layout::OBSERVATIONS.name, partition, REQUEST);
    (0..SNAPSHOT_PARTITIONS)
        .map(|partition| begin(partition).expect("the broker answers").0)
        .sum()
}

/// Has the broker keep what SINK reads for minutes only.
fn keep_for_minutes(services: &Services) {
    let kept = KEPT.as_millis().to_string();
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &services.kafka.brokers)
        .create()
        .expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let topics = [
        layout::OBSERVATIONS,
        layout::DEAD_LETTERS,
        layout::UPDATES_USER,
        layout::UPDATES_FACULTY,
        layout::UPDATES_APPLICATION,
    ];
    for topic in topics {
        // This call sets all settings anew: those that bootstrap made come along.
        let config = AlterConfig::new(ResourceSpecifier::Topic(topic.name))
            .set("max.message.bytes", "4194304")
            .set("cleanup.policy", "delete")
            .set("segment.ms", "5000")
            .set("retention.ms", &kept);
        let altered = runtime.block_on(admin.alter_configs([&config], &AdminOptions::new()));
        for outcome in altered.expect("the broker answers") {
            outcome.expect("it is altered");
        }
    }
}
