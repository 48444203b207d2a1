//! What operators see: readiness follows the services, metrics are true, lost partitions leave no numbers behind.

use crate::crowd::Crowd;
use crate::metrics::{Metrics, get, run};
use crate::support::{SNAPSHOT_PARTITIONS, Services, eventually, rollcall};
use crate::tables::Tables;
use rollcall_simulator::{Ledger, MischiefConfig};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

fn is_ready(address: SocketAddr) -> bool {
    get(address, "/ready").is_some_and(|(status, _)| status == 200)
}

/// Differences between what is counted and what was sent and stored.
fn differences(metrics: &Metrics, ledger: &Ledger, tables: &mut Tables) -> Vec<String> {
    let stored = |tables: &mut Tables, table: &str| {
        let count = tables.number(&format!("SELECT count(*) FROM rollcall.{table}"));
        count.expect("a number") as f64
    };
    let accepted = ledger.accepted() as f64;
    let mut expected = vec![
        ("rollcall_snapshots_total", "accepted".to_owned(), accepted),
        (
            "rollcall_lines_total",
            "accepted".to_owned(),
            ledger.details().len() as f64,
        ),
        (
            "rollcall_lines_total",
            "rejected".to_owned(),
            ledger.rejected_lines() as f64,
        ),
        (
            "rollcall_event_time_lag_seconds_count",
            String::new(),
            accepted,
        ),
        (
            "rollcall_records_received_total",
            "sink-details".to_owned(),
            accepted,
        ),
        (
            "rollcall_records_emitted_total",
            "process-observations".to_owned(),
            accepted,
        ),
        (
            "rollcall_batch_rows_sum",
            "sink-details".to_owned(),
            stored(tables, "process_observations"),
        ),
        (
            "rollcall_batch_rows_sum",
            "sink-dead-letters".to_owned(),
            stored(tables, "rejected_records"),
        ),
        (
            "rollcall_state_entries",
            "normalize".to_owned(),
            stored(tables, "machines"),
        ),
        ("rollcall_consumer_lag_records", "normalize".to_owned(), 0.0),
        (
            "rollcall_consumer_lag_records",
            "sink-details".to_owned(),
            0.0,
        ),
        (
            "rollcall_consumer_lag_records",
            "sink-dead-letters".to_owned(),
            0.0,
        ),
        ("rollcall_consumer_lag_seconds", "normalize".to_owned(), 0.0),
        // A week, the topics' retention, as the pipeline is level with its input.
        (
            "rollcall_retention_headroom_seconds",
            "normalize".to_owned(),
            4.0 * 604_800.0,
        ),
        ("rollcall_freshness_seconds", "\"details\"".to_owned(), 0.0),
        ("rollcall_ledger_difference", String::new(), 0.0),
        ("rollcall_tasks", "waiting".to_owned(), 0.0),
        ("rollcall_sink_fenced_total", String::new(), 0.0),
        ("rollcall_service_up", String::new(), 3.0),
    ];
    for (reason, count) in ledger.rejected() {
        expected.push((
            "rollcall_records_rejected_total",
            reason.as_str().to_owned(),
            count as f64,
        ));
    }
    let all: f64 = ledger.rejected().map(|(_, count)| count as f64).sum();
    expected.push(("rollcall_snapshots_total", "rejected".to_owned(), all));
    expected
        .into_iter()
        .filter_map(|(name, label, expect)| {
            let found = metrics.sum(name, &label);
            (found != expect).then(|| format!("{name} {label}: {found}, expected {expect}"))
        })
        .collect()
}

#[test]
fn metrics_equal_the_tables_at_rest() {
    let services = Services::start();
    let mischief = MischiefConfig {
        repeated: 0.1,
        bad_lines: 0.1,
        poison: 0.1,
        ..MischiefConfig::default()
    };
    let mut crowd = Crowd::new(&services, 24, 40, mischief);
    let mut tables = Tables::new(&services.database_url);
    // More lanes than partitions: a member without work is ready too.
    let (processor, address) = run(&services, &["--details-lanes", "5"]);
    crowd.send(300);
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    assert!(
        ledger.rejected().count() > 1 && ledger.rejected_lines() > 0,
        "there was mischief"
    );
    let mut last = Vec::new();
    let equal = crate::support::holds_within(Duration::from_secs(20), || {
        last = differences(&Metrics::scrape(address), &ledger, &mut tables);
        last.is_empty()
    });
    assert!(equal, "{last:#?}");
    eventually("it is ready", || is_ready(address));
    // Sums of nothing are 0 as well: the gauges are there, once somebody has looked where the logs end.
    let partitions = SNAPSHOT_PARTITIONS as usize;
    let lags = ("rollcall_consumer_lag_records", "sink-details");
    eventually("every lag is told", || {
        Metrics::scrape(address).count(lags.0, lags.1) == partitions
    });
    let metrics = Metrics::scrape(address);
    let books = metrics.count("rollcall_ledger_difference", "");
    assert_eq!(books, 4 * partitions);
    let duplicates = metrics.sum("rollcall_snapshots_total", "duplicate");
    let sent: i64 = crowd.ends().iter().sum();
    let others = metrics.sum("rollcall_snapshots_total", "accepted")
        + metrics.sum("rollcall_snapshots_total", "rejected");
    assert_eq!(duplicates + others, sent as f64);
    assert!(duplicates > 0.0);
    for (name, at_most) in [("user_rollups", 60.0), ("application_rollups", 60.0)] {
        assert!(metrics.sum("rollcall_freshness_seconds", name) < at_most);
    }
    for name in [
        "rollcall_state_bytes",
        "rollcall_commit_seconds_count",
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.sum(name, "") > 0.0, "{name}");
    }
    lint(&metrics);
    assert_eq!(processor.terminate(), Some(0));
    // What the books lack is told before anything new is stored.
    let (processor, address) = run(&services, &[]);
    eventually("the books are told again", || {
        get(address, "/metrics").is_some()
            && Metrics::scrape(address).count("rollcall_ledger_difference", "") == 4 * partitions
    });
    assert_eq!(processor.terminate(), Some(0));
}

/// What is really served keeps the rules, whatever the definitions say.
fn lint(metrics: &Metrics) {
    const LABELS: [&str; 12] = [
        "stage",
        "topic",
        "reason",
        "outcome",
        "partition",
        "tables",
        "lane",
        "status",
        "service",
        "kind",
        "version",
        "le",
    ];
    for sample in metrics.samples() {
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        assert!(
            name.starts_with("rollcall_") || name.starts_with("process_"),
            "{sample}"
        );
        for label in labels
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty())
        {
            let label = label.split('=').next().expect("a label's name");
            assert!(LABELS.contains(&label), "{sample}");
        }
    }
}

#[test]
fn readiness_follows_the_services() {
    let mut services = Services::start();
    services.stack.registry().stop().expect("it stops");
    let (processor, address) = run(&services, &[]);
    let names = |word: &str| {
        get(address, "/ready").is_some_and(|(status, body)| status == 503 && body.contains(word))
    };
    eventually("it is not ready without the registry, and says so", || {
        names("the schema registry at ")
    });
    services.stack.registry().start().expect("it starts");
    eventually("it is ready", || is_ready(address));
    services.stack.registry().stop().expect("it stops");
    eventually("it says that the registry went away", || {
        names("registry: ")
    });
    services.stack.registry().start().expect("it starts");
    eventually("it is ready with it", || is_ready(address));
    services.stack.postgres().kill9().expect("it dies");
    eventually("it is not ready without PostgreSQL, and says so", || {
        names("postgres: ")
    });
    assert_eq!(get(address, "/live"), Some((200, "alive\n".to_owned())));
    assert_eq!(
        Metrics::scrape(address).sum("rollcall_service_up", "postgres"),
        0.0
    );
    services.stack.postgres().start().expect("it starts");
    eventually("it is ready again", || is_ready(address));
    services.stop_broker(&processor);
    eventually("it is not ready without Kafka, and says so", || {
        names("kafka: ")
    });
    assert_eq!(get(address, "/live"), Some((200, "alive\n".to_owned())));
    services.stack.kafka().start().expect("it starts");
    eventually("it is ready after Kafka's return", || is_ready(address));
    assert_eq!(processor.terminate(), Some(0));
}

#[test]
fn a_partition_that_is_lost_leaves_no_numbers() {
    let services = Services::start();
    let (first, first_address) = run(&services, &[]);
    let lags = |address| -> Vec<String> {
        if !is_ready(address) {
            return Vec::new();
        }
        let metrics = Metrics::scrape(address);
        let labels = metrics.of("rollcall_consumer_lag_records", "");
        labels.map(|(labels, _)| labels.to_owned()).collect()
    };
    // Partitions of NORMALIZE, ROLLUP, details, dead letters, and three topics of rollups.
    let all = 4 + 2 + 4 + 4 + 3 * 2;
    eventually("one process has all partitions", || {
        lags(first_address).len() == all
    });
    let (second, second_address) = run(&services, &[]);
    eventually("two processes share them", || {
        let (mut ours, theirs) = (lags(first_address), lags(second_address));
        let shared = !ours.is_empty() && !theirs.is_empty() && ours.len() + theirs.len() == all;
        ours.extend(theirs);
        ours.sort();
        ours.dedup();
        shared && ours.len() == all
    });
    assert_eq!(first.terminate(), Some(0));
    eventually("the other has all of them", || {
        lags(second_address).len() == all
    });
    assert_eq!(second.terminate(), Some(0));
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let mut command = rollcall(&["run", "--http-address", &address]);
    command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let ended = crate::support::holds_within(Duration::from_secs(20), || {
        child.try_wait().expect("its state").is_some()
    });
    let _ = child.kill();
    assert!(ended, "it runs without its port");
    let output = child.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    let expect = format!(
        "rollcall: setting http-address = {address:?} is wrong; allowed is an address of this machine with a free port \
         (Address already in use (os error 98))"
    );
    assert_eq!(
        (output.status.code(), said.trim()),
        (Some(2), expect.as_str())
    );
}
