//! One task's transactional producer: claim, write a batch, commit, and what came of it.
//!
//! Order of calls: [`TransactionalProducer::claim`] once, then per batch [`TransactionalProducer::commit`].
//! After anything but [`Outcome::Committed`] the producer is dropped with the task's state.

use super::client::{Class, KafkaSettings, classify};
use crate::clock::elapsed_us;
use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How long one look for delivery reports takes: all of it, whatever comes.
const REPORTS: Duration = Duration::from_millis(1);

/// One record to write.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The topic's full name.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// What came of a transaction.
#[derive(Debug)]
pub enum Outcome {
    /// It is committed.
    Committed {
        /// The earliest time that the broker gave to a record of the observed topic, in milliseconds.
        append_time_ms: Option<i64>,
    },
    /// It is aborted, or never began.
    Aborted(KafkaError),
    /// A newer owner has claimed the task.
    Fenced(KafkaError),
    /// Whether it is committed can't be told.
    Unknown(KafkaError),
}

/// Remembers the append time of one topic's records.
pub struct AppendTimes {
    topic: Option<String>,
    earliest_ms: AtomicI64,
}

impl ClientContext for AppendTimes {}

impl ProducerContext for AppendTimes {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        // What was not delivered, the transaction's end tells.
        if let Ok(message) = result
            && self.topic.as_deref() == Some(message.topic())
            && let Timestamp::LogAppendTime(ms) = message.timestamp()
        {
            self.earliest_ms.fetch_min(ms, Ordering::Relaxed);
        }
    }
}

/// The transactional producer of one task.
pub struct TransactionalProducer {
    producer: BaseProducer<AppendTimes>,
    timeout: Duration,
}

impl TransactionalProducer {
    /// Claims `transactional_id`: every older transaction of it is ended and every older owner fenced when this
    /// returns. `observed_topic` is the topic whose append times are wanted, if any; `timeout` is for writing and committing one transaction.
    ///
    /// # Errors
    /// What the broker or the client said; the caller backs off and tries again.
    pub fn claim(
        settings: &KafkaSettings,
        transactional_id: &str,
        observed_topic: Option<String>,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        let timeout_ms = timeout.as_millis().to_string();
        // The broker ends what nobody claims; a claim ends it at once. Long, so that a broker that comes back finds
        // nothing to end before it leads its partitions (decision 0005).
        let abandoned_ms = settings.transaction_timeout.max(timeout).as_millis();
        let mut config = settings.client(transactional_id);
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", abandoned_ms.to_string())
            .set("message.timeout.ms", &timeout_ms)
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("batch.size", "1048576")
            .set(
                "message.max.bytes",
                super::admin::MAX_MESSAGE_BYTES.to_string(),
            )
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "262144");
        settings.tune(&mut config);
        let context = AppendTimes {
            topic: observed_topic,
            earliest_ms: AtomicI64::new(i64::MAX),
        };
        let producer = BaseProducer::from_config_and_context(&config, context)?;
        producer.init_transactions(timeout)?;
        Ok(Self { producer, timeout })
    }

    /// Writes `records` in one transaction.
    pub fn commit<'a>(&self, records: impl Iterator<Item = Outgoing<'a>>) -> Outcome {
        let context = self.producer.context();
        context.earliest_ms.store(i64::MAX, Ordering::Relaxed);
        if let Err(error) = self.producer.begin_transaction() {
            return self.failed(error);
        }
        for record in records {
            if let Err(error) = self.send(record) {
                return self.failed(error);
            }
        }
        if let Err(error) = self.flush() {
            return self.failed(error);
        }
        self.end()
    }

    /// Waits until every record is delivered, and serves the delivery reports, which commit_transaction alone does not. Not by
    /// one long flush of the binding's: it polls for a tenth of a second each time, however soon the reports are there.
    fn flush(&self) -> Result<(), KafkaError> {
        let begun_us = elapsed_us();
        loop {
            match self.producer.flush(Duration::ZERO) {
                Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut))
                    if elapsed_us() - begun_us < self.timeout.as_micros() as i64 =>
                {
                    self.producer.poll(REPORTS);
                }
                flushed => return flushed,
            }
        }
    }

    fn send(&self, record: Outgoing<'_>) -> Result<(), KafkaError> {
        let mut pending = BaseRecord::<[u8], [u8]>::to(record.topic).partition(record.partition);
        if let Some(key) = record.key {
            pending = pending.key(key);
        }
        if let Some(value) = record.value {
            pending = pending.payload(value);
        }
        let timeout_us = self.timeout.as_micros() as i64;
        let mut full_since_us = None;
        loop {
            match self.producer.send(pending) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if elapsed_us() - *full_since_us.get_or_insert_with(elapsed_us)
                        < timeout_us =>
                {
                    pending = back;
                    self.producer.poll(Duration::from_millis(20));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Ends the transaction. A commit that times out or is retriable is asked again: it is idempotent.
    fn end(&self) -> Outcome {
        let mut attempts = 0;
        loop {
            match self.producer.commit_transaction(self.timeout) {
                Ok(()) => {
                    let earliest = self.producer.context().earliest_ms.load(Ordering::Relaxed);
                    return Outcome::Committed {
                        append_time_ms: (earliest != i64::MAX).then_some(earliest),
                    };
                }
                Err(error) => match classify(&error) {
                    Class::Retriable if attempts < 3 => attempts += 1,
                    Class::Fenced => return Outcome::Fenced(error),
                    Class::RequiresAbort => return self.failed(error),
                    Class::Retriable | Class::Fatal => return Outcome::Unknown(error),
                },
            }
        }
    }

    fn failed(&self, error: KafkaError) -> Outcome {
        if classify(&error) == Class::Fenced {
            return Outcome::Fenced(error);
        }
        // The abort is best effort: the next claim ends the transaction in any case.
        match self.producer.abort_transaction(self.timeout) {
            Ok(()) => Outcome::Aborted(error),
            Err(abort) if classify(&abort) == Class::Fenced => Outcome::Fenced(abort),
            Err(_) => Outcome::Unknown(error),
        }
    }
}
