//! When the markers of transactions that have ended are written.
//!
//! A broker that answers the end of a transaction writes its markers a little later, in the order of the ends. Those of two
//! transactions that begin and end now are the last: two, for the first may be queued beside the one that is waited for.

use super::stepwise::{REQUEST, Stepwise};
use crate::support::eventually;
use rollcall::kafka::KafkaSettings;
use rollcall::kafka::fetch::Fetcher;
use std::sync::Mutex;

pub struct Barrier {
    topic: String,
    partition: i32,
    producer: Mutex<Stepwise>,
    fetcher: Fetcher,
}

impl Barrier {
    /// One for a partition that nobody else writes.
    pub fn new(settings: &KafkaSettings, topic: &str, partition: i32) -> Self {
        let id = format!("barrier-{partition}");
        let producer = Stepwise::claim(settings, &id, REQUEST).expect("a claim");
        Self {
            topic: topic.to_owned(),
            partition,
            producer: Mutex::new(producer),
            fetcher: Fetcher::new(settings, "barrier").expect("a consumer"),
        }
    }

    /// Returns when the markers of all that has ended are written.
    pub fn pass(&self) {
        let mut producer = self.producer.lock().expect("nobody panics");
        let mut last = 0;
        for _ in 0..2 {
            let at = (self.topic.as_str(), self.partition);
            last = producer.send(at, "key", None).expect("a record");
            producer.end(true).expect("a commit");
        }
        eventually("the marker is written", || {
            let marks = self
                .fetcher
                .watermarks(&self.topic, self.partition, REQUEST);
            matches!(marks, Ok((_, stable)) if stable > last)
        });
    }
}
