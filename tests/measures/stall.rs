//! A transaction is left open: how long readers wait behind it once a new owner claims its task.

use super::{Row, median};
use crate::support::{DEADLINE, Services, eventually};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rollcall::kafka::fetch::{Fetcher, Polled};
use rollcall::kafka::restore::uncommitted_watermarks;
use rollcall::kafka::transaction::{Outcome, Outgoing, TransactionalProducer};
use rollcall_stages::layout;
use std::time::{Duration, Instant};

const ROUNDS: usize = 30;
const REQUEST: Duration = Duration::from_secs(10);
/// A partition that nothing else writes to here.
const PLACE: (&str, i32) = (layout::STATE_NORMALIZE.name, 0);

pub fn measure() -> Vec<Row> {
    let services = Services::start();
    let reader = Fetcher::new(&services.kafka, "reader").expect("a consumer");
    reader
        .assign(&[(PLACE.0.to_owned(), PLACE.1, -1)])
        .expect("an assignment");
    let mut claims = Vec::new();
    let mut stalls = Vec::new();
    for _ in 0..ROUNDS {
        let abandoned = leave_open(&services);
        let stuck_at = behind(&services);
        // The reader has come as far as it can.
        eventually("the reader stands before what is open", || {
            matches!(reader.poll(Duration::from_millis(50)), Polled::Nothing)
        });
        let begun = Instant::now();
        let owner = TransactionalProducer::claim(&services.kafka, "bench-owner", None, REQUEST);
        let claimed = Instant::now();
        while reader.position(PLACE.0, PLACE.1) < Some(stuck_at) {
            assert!(claimed.elapsed() < DEADLINE, "the reader stands");
            reader.poll(Duration::from_millis(1));
        }
        stalls.push(claimed.elapsed().as_secs_f64() * 1e3);
        claims.push((claimed - begun).as_secs_f64() * 1e3);
        owner.expect("a claim");
        drop(abandoned);
    }
    let figure = |figures: Vec<f64>| {
        let worst = figures.iter().copied().fold(0.0, f64::max);
        format!(
            "{:.0} ms; the worst of {ROUNDS} {worst:.0} ms",
            median(figures)
        )
    };
    vec![
        ("the claim itself".to_owned(), figure(claims)),
        (
            "from the claim until a reader has what stands behind the open transaction".to_owned(),
            figure(stalls),
        ),
    ]
}

/// Begins a transaction of the task, writes, and leaves it so.
fn leave_open(services: &Services) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &services.kafka.brokers)
        .set("transactional.id", "bench-owner")
        .create()
        .expect("a producer");
    producer.init_transactions(REQUEST).expect("a claim");
    producer.begin_transaction().expect("a transaction");
    let record = BaseRecord::to(PLACE.0).partition(PLACE.1);
    producer
        .send(record.key("open").payload("abandoned"))
        .expect("it is taken");
    producer.flush(REQUEST).expect("it is written");
    producer
}

/// Commits something behind the open transaction; returns the end after it.
fn behind(services: &Services) -> i64 {
    let other = TransactionalProducer::claim(&services.kafka, "bench-other", None, REQUEST);
    let record = Outgoing {
        topic: PLACE.0,
        partition: PLACE.1,
        key: Some(b"behind"),
        value: Some(b"committed"),
    };
    let outcome = other.expect("a claim").commit(std::iter::once(record));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    let marks = uncommitted_watermarks(&services.kafka, PLACE.0, PLACE.1, REQUEST);
    marks.expect("the broker answers").1
}
