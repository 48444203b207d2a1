//! The tasks' Kafka: topics by index on their side, by full name on the client's.

use super::World;
use crate::kafka::fetch::{self, Fetched, Incoming};
use crate::kafka::transaction::{self, Outgoing, TransactionalProducer};
use crate::kafka::{membership, restore};
use rollcall_driver::ports::{
    Fetcher, Kafka, Membership, Outcome, Place, Polled, Rebalance, Received, Transactions,
};
use rollcall_engine::record::{InputRecord, OutputRecord, TopicIndex};
use std::sync::Arc;
use std::time::Duration;

/// Full topic names by the topology's index.
type Names = Arc<[String]>;

fn name(names: &Names, topic: TopicIndex) -> &str {
    &names[usize::from(topic.0)]
}

fn index(names: &Names, name: &str) -> Option<TopicIndex> {
    let at = names.iter().position(|known| known == name)?;
    Some(TopicIndex(at as u16))
}

impl Kafka for World {
    type Transactions = Producer;
    type Fetcher = Consumer;
    type Membership = Member;

    fn deployment(&self) -> &str {
        &self.shared.kafka.deployment
    }

    fn topic_name(&self, topic: TopicIndex) -> &str {
        name(&self.topics, topic)
    }

    async fn claim(
        &self,
        transactional_id: &str,
        observed: Option<TopicIndex>,
        timeout: Duration,
    ) -> anyhow::Result<Producer> {
        let observed = observed.map(|topic| self.topic_name(topic).to_owned());
        let kafka = &self.shared.kafka;
        let producer = TransactionalProducer::claim(kafka, transactional_id, observed, timeout)?;
        Ok(Producer {
            producer,
            names: Arc::clone(&self.topics),
        })
    }

    async fn uncommitted_watermarks(
        &self,
        (topic, partition): Place,
        timeout: Duration,
    ) -> anyhow::Result<(i64, i64)> {
        let (kafka, name) = (&self.shared.kafka, self.topic_name(topic));
        let marks = restore::uncommitted_watermarks(kafka, name, partition, timeout)?;
        Ok(marks)
    }

    fn fetcher(&self, role: &str) -> anyhow::Result<Consumer> {
        Ok(Consumer {
            fetcher: fetch::Fetcher::new(&self.shared.kafka, role)?,
            names: Arc::clone(&self.topics),
        })
    }

    fn join(&self, stage: &str, topics: &[TopicIndex]) -> anyhow::Result<Member> {
        let kafka = &self.shared.kafka;
        let topics: Vec<&str> = topics.iter().map(|topic| self.topic_name(*topic)).collect();
        Ok(Member {
            membership: membership::Membership::join(kafka, &kafka.group(stage), &topics)?,
            names: Arc::clone(&self.topics),
        })
    }
}

/// The producer of one claim.
pub(in crate::driver) struct Producer {
    producer: TransactionalProducer,
    names: Names,
}

impl Transactions for Producer {
    async fn commit(&self, records: &[OutputRecord]) -> Outcome {
        let records = records.iter().map(|record| Outgoing {
            topic: name(&self.names, record.topic),
            partition: record.partition,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
        });
        match self.producer.commit(records) {
            transaction::Outcome::Committed { append_time_ms } => Outcome::Committed {
                append_time_us: append_time_ms.map(|ms| ms.saturating_mul(1_000)),
            },
            transaction::Outcome::Aborted(error) => Outcome::Aborted(error.into()),
            transaction::Outcome::Fenced(error) => Outcome::Fenced(error.into()),
            transaction::Outcome::Unknown(error) => Outcome::Unknown(error.into()),
        }
    }
}

/// A consumer of explicitly assigned partitions.
pub(in crate::driver) struct Consumer {
    fetcher: fetch::Fetcher,
    names: Names,
}

impl Fetcher for Consumer {
    type Record<'a> = Record<'a>;

    fn assign(&self, places: &[(Place, i64)]) -> anyhow::Result<()> {
        let named = |((topic, partition), offset): &(Place, i64)| {
            (name(&self.names, *topic).to_owned(), *partition, *offset)
        };
        let places: Vec<_> = places.iter().map(named).collect();
        Ok(self.fetcher.assign(&places)?)
    }

    async fn poll(&self, timeout: Duration) -> Polled<Record<'_>> {
        match self.fetcher.poll(timeout) {
            fetch::Polled::Record(message) => {
                match index(&self.names, Incoming::of(&message).topic) {
                    Some(topic) => Polled::Record(Record { topic, message }),
                    None => Polled::Nothing,
                }
            }
            fetch::Polled::Nothing => Polled::Nothing,
            fetch::Polled::OutOfRange => Polled::OutOfRange,
            fetch::Polled::Trouble(error) => Polled::Trouble(error.into()),
        }
    }

    fn position(&self, (topic, partition): Place) -> Option<i64> {
        self.fetcher.position(name(&self.names, topic), partition)
    }

    async fn watermarks(
        &self,
        (topic, partition): Place,
        timeout: Duration,
    ) -> anyhow::Result<(i64, i64)> {
        let topic = name(&self.names, topic);
        Ok(self.fetcher.watermarks(topic, partition, timeout)?)
    }
}

/// A record in the client's memory.
pub(in crate::driver) struct Record<'a> {
    topic: TopicIndex,
    message: Fetched<'a>,
}

impl Received for Record<'_> {
    fn topic(&self) -> TopicIndex {
        self.topic
    }

    fn record(&self) -> InputRecord<'_> {
        let incoming = Incoming::of(&self.message);
        InputRecord {
            partition: incoming.partition,
            offset: incoming.offset,
            timestamp_us: incoming.timestamp_us,
            key: incoming.key,
            value: incoming.value,
            schema_header: incoming.schema_header,
        }
    }
}

/// A member of a stage's group.
pub(in crate::driver) struct Member {
    membership: membership::Membership,
    names: Names,
}

impl Member {
    fn indexed(&self, places: Vec<membership::Place>) -> Vec<Place> {
        let places = places.into_iter();
        places
            .filter_map(|(topic, partition)| Some((index(&self.names, &topic)?, partition)))
            .collect()
    }

    fn named(&self, places: &[Place]) -> Vec<membership::Place> {
        let named = |(topic, partition): &Place| (name(&self.names, *topic).to_owned(), *partition);
        places.iter().map(named).collect()
    }
}

impl Membership for Member {
    async fn poll(&self, timeout: Duration) -> Option<Rebalance> {
        Some(match self.membership.poll(timeout)? {
            membership::Rebalance::Assigned(places) => Rebalance::Assigned(self.indexed(places)),
            membership::Rebalance::Revoked { places, lost } => Rebalance::Revoked {
                places: self.indexed(places),
                lost,
            },
        })
    }

    fn accept(&self, places: &[Place]) -> anyhow::Result<()> {
        Ok(self.membership.accept(&self.named(places))?)
    }

    fn release(&self, places: &[Place]) -> anyhow::Result<()> {
        Ok(self.membership.release(&self.named(places))?)
    }

    fn report(&self, offsets: &[(Place, i64)]) {
        let named = |((topic, partition), offset): &(Place, i64)| {
            ((name(&self.names, *topic).to_owned(), *partition), *offset)
        };
        let offsets: Vec<_> = offsets.iter().map(named).collect();
        self.membership.report(&offsets);
    }
}
