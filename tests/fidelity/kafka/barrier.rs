//! When the markers of transactions that have ended are written.
//!
//! A broker that answers the end of a transaction writes its markers a little later, in the order of the ends. Those of two
//! transactions that begin and end now are the last: two, for the first may be queued beside the one that is waited for.

use crate::support::eventually;
use rollcall::kafka::KafkaSettings;
use rollcall::kafka::fetch::Fetcher;
use rollcall::kafka::restore::uncommitted_watermarks;
use rollcall::kafka::transaction::{Outcome, Outgoing, TransactionalProducer};
use std::time::Duration;

const REQUEST: Duration = Duration::from_secs(20);

pub struct Barrier {
    settings: KafkaSettings,
    topic: String,
    partition: i32,
    producer: TransactionalProducer,
    fetcher: Fetcher,
}

impl Barrier {
    /// One for a partition that nobody else writes.
    pub fn new(settings: &KafkaSettings, topic: &str, partition: i32) -> Self {
        let id = format!("barrier-{partition}");
        Self {
            settings: settings.clone(),
            topic: topic.to_owned(),
            partition,
            producer: TransactionalProducer::claim(settings, &id, None, REQUEST).expect("a claim"),
            fetcher: Fetcher::new(settings, "barrier").expect("a consumer"),
        }
    }

    /// Returns when the markers of all that has ended are written.
    pub fn pass(&self) {
        for _ in 0..2 {
            let record = Outgoing {
                topic: &self.topic,
                partition: self.partition,
                key: None,
                value: None,
            };
            let outcome = self.producer.commit(std::iter::once(record));
            assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
        }
        let end = uncommitted_watermarks(&self.settings, &self.topic, self.partition, REQUEST);
        let (_, end) = end.expect("the broker answers");
        eventually("the marker is written", || {
            let marks = self
                .fetcher
                .watermarks(&self.topic, self.partition, REQUEST);
            matches!(marks, Ok((_, stable)) if stable >= end)
        });
    }
}
