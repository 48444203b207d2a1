//! Claims end what was before them, and who has lost something drops everything that hangs on it (decisions 5.1, 5.3,
//! 5.5, 5.6, 5.9): a task its claim, a connection what it remembers, a reader the transactions that were aborted.

use crate::crowd::Crowd;
use crate::metrics::{self, Metrics};
use crate::support::{ROLLUP_PARTITIONS, SNAPSHOT_PARTITIONS, Services, eventually, write_nothing};
use crate::tables::Tables;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rollcall::kafka::fetch::{Fetcher, Polled};
use rollcall::kafka::restore::uncommitted_watermarks;
use rollcall::kafka::transaction::{Outcome, TransactionalProducer};
use rollcall_simulator::MischiefConfig;
use rollcall_stages::layout;
use std::time::Duration;

const ALL: &str = "normalize,rollup,sink";
const RECORDS: usize = 150;
/// How often each task loses its claim.
const ROUNDS: i32 = 3;
const REQUEST: Duration = Duration::from_secs(10);

fn claim(services: &Services, id: &str) -> TransactionalProducer {
    TransactionalProducer::claim(&services.kafka, id, None, REQUEST).expect("a claim")
}

/// Takes a task's claim away; comes back when the task has claimed again, and so fenced us.
fn fence(services: &Services, stage: &str, partition: i32) {
    let id = format!("{}-{stage}-{partition}", services.kafka.deployment);
    let thief = claim(services, &id);
    eventually("the task claims again", || {
        matches!(write_nothing(&thief), Outcome::Fenced(_))
    });
}

#[test]
fn a_task_that_loses_its_claim_drops_everything_and_claims_again() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 60, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let (processor, address) = metrics::run(&services, &[]);
    // Every task is at work: a claim taken before its first one would fence nobody.
    crowd.send(RECORDS);
    tables.await_everything(&crowd.ends(), &crowd.ledger());
    for round in 0..ROUNDS {
        for partition in 0..SNAPSHOT_PARTITIONS {
            crowd.send(RECORDS / 10);
            fence(&services, layout::NORMALIZE, partition);
        }
        for partition in 0..ROLLUP_PARTITIONS {
            crowd.send(RECORDS / 10);
            fence(&services, layout::ROLLUP, partition);
        }
        eprintln!("round {round}");
    }
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    let metrics = Metrics::scrape(address);
    for (stage, partitions) in [
        (layout::NORMALIZE, SNAPSHOT_PARTITIONS),
        (layout::ROLLUP, ROLLUP_PARTITIONS),
    ] {
        let fenced = format!("outcome=\"fenced\",stage=\"{stage}\"");
        // At least: a claim that comes while a transaction is being ended fences twice, first for its end.
        assert!(
            metrics.sum("rollcall_transactions_total", &fenced) >= f64::from(ROUNDS * partitions),
            "{stage}: each claim that was taken away has fenced a transaction"
        );
    }
    assert_eq!(processor.terminate(), Some(0));
}

/// A partition that no task of this test writes to.
const STATE: (&str, i32) = (layout::STATE_NORMALIZE.name, 0);

fn stable_end(reader: &Fetcher) -> i64 {
    let ends = reader.watermarks(STATE.0, STATE.1, REQUEST);
    ends.expect("the broker answers").1
}

#[test]
fn a_claim_ends_what_is_open_before_the_end_is_asked_for() {
    let services = Services::start();
    let old: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &services.kafka.brokers)
        .set("transactional.id", "test-normalize-0")
        .create()
        .expect("a producer");
    old.init_transactions(REQUEST).expect("a claim");
    old.begin_transaction().expect("a transaction");
    for key in ["a", "b", "c"] {
        let record = BaseRecord::to(STATE.0).partition(STATE.1);
        old.send(record.key(key).payload("aborted"))
            .expect("it is taken");
    }
    old.flush(REQUEST).expect("it is written");

    let end = || {
        let marks = uncommitted_watermarks(&services.kafka, STATE.0, STATE.1, REQUEST);
        marks.expect("an answer").1
    };
    let reader = Fetcher::new(&services.kafka, "test-reader").expect("a consumer");
    assert_eq!(
        (end(), stable_end(&reader)),
        (3, 0),
        "the end counts what is open"
    );

    let new = claim(&services, "test-normalize-0");
    assert_eq!(stable_end(&reader), end(), "nothing is open any more");
    assert!(end() > 3, "the marker counts too");
    old.commit_transaction(REQUEST)
        .expect_err("the old owner is fenced");
    assert!(matches!(write_nothing(&new), Outcome::Committed { .. }));

    // A restore sees nothing of what was aborted, and ends nevertheless.
    reader
        .assign(&[(STATE.0.to_owned(), STATE.1, -1)])
        .expect("an assignment");
    let mut records = 0;
    eventually("the reader's position is the end", || {
        let polled = reader.poll(Duration::from_millis(50));
        records += usize::from(matches!(polled, Polled::Record(_)));
        reader.position(STATE.0, STATE.1) == Some(end())
    });
    assert_eq!(records, 0);
}

#[test]
fn windows_close_though_nothing_comes_any_more() {
    let services = Services::start();
    // A single machine: most partitions of the raw topic never hold a record. It has been at work for 20 minutes.
    let mut crowd = Crowd::new(&services, 1, 120, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let processor = services.run(ALL);
    crowd.send(60);
    let closed = "SELECT count(*) FROM rollcall.user_rollups WHERE grain = 'minute' AND closed";
    eventually("windows of minutes are closed", || {
        tables.number(closed).unwrap_or(0) > 0
    });
    assert_eq!(processor.terminate(), Some(0));
}

#[test]
fn a_new_connection_remembers_nothing_of_the_one_before() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let processor = services.run(ALL);
    crowd.send(RECORDS);
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);

    // As after a fail-over to a server that has given other numbers to the same texts.
    for statement in [
        "BEGIN",
        "LOCK TABLE rollcall.command_lines, rollcall.process_observations IN ACCESS EXCLUSIVE MODE",
        "ALTER TABLE rollcall.command_lines ALTER command_line_key SET GENERATED BY DEFAULT",
        "UPDATE rollcall.command_lines SET command_line_key = command_line_key + 1000000",
        "UPDATE rollcall.process_observations SET command_line_key = command_line_key + 1000000",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'rollcall test sink%'",
        "COMMIT",
    ] {
        tables.rows(statement);
    }
    crowd.send(RECORDS);
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    assert_eq!(processor.terminate(), Some(0));
}
