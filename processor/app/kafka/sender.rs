//! Sending records as a producer of snapshots does: idempotent, acknowledged by all replicas, kept until the broker
//! has them.
//!
//! Invariants: what was handed over is sent until it is acknowledged or refused, however long the broker is away;
//! records of a partition are appended in the order in which they were handed over.

use super::client::KafkaSettings;
use super::fetch::Header;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedHeaders, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What became of one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// What the sender called it.
    pub tag: usize,
    /// Where it was appended; `Err`: why it was not.
    pub place: Result<Place, String>,
}

/// Where a record was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// When, in milliseconds by the broker's clock; `None` where the topic's times are the producers'.
    pub append_time_ms: Option<i64>,
}

/// Counts what was delivered, and reports it where reports are wanted.
#[derive(Default)]
pub struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
    reports: Option<Mutex<Vec<Delivery>>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let place = match result {
            Ok(message) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                Ok(Place {
                    partition: message.partition(),
                    offset: message.offset(),
                    append_time_ms: match message.timestamp() {
                        Timestamp::LogAppendTime(ms) => Some(ms),
                        _ => None,
                    },
                })
            }
            Err((error, _)) => {
                // One warning tells as much as a hundred thousand.
                match self.failed.fetch_add(1, Ordering::Relaxed) {
                    0 => tracing::warn!(%error, "a record was not delivered"),
                    _ => tracing::debug!(%error, "a record was not delivered"),
                }
                Err(error.to_string())
            }
        };
        if let Some(reports) = &self.reports {
            let mut reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
            reports.push(Delivery { tag, place });
        }
    }
}

/// A producer of raw records.
pub struct Sender {
    producer: BaseProducer<Deliveries>,
}

impl Sender {
    /// A producer that counts deliveries; nothing is sent yet.
    ///
    /// # Errors
    /// If a client property is wrong.
    pub fn new(settings: &KafkaSettings, role: &str) -> Result<Self, KafkaError> {
        Self::with_context(settings, role, Deliveries::default())
    }

    /// A producer that reports each delivery too; [`Sender::take_reports`] must be called often.
    ///
    /// # Errors
    /// If a client property is wrong.
    pub fn with_reports(settings: &KafkaSettings, role: &str) -> Result<Self, KafkaError> {
        let context = Deliveries {
            reports: Some(Mutex::default()),
            ..Deliveries::default()
        };
        Self::with_context(settings, role, context)
    }

    fn with_context(
        settings: &KafkaSettings,
        role: &str,
        context: Deliveries,
    ) -> Result<Self, KafkaError> {
        Ok(Self {
            producer: BaseProducer::from_config_and_context(&config(settings, role), context)?,
        })
    }

    /// Hands a record over; waits while the queue is full.
    ///
    /// # Errors
    /// If the client refuses it, as when it is too large.
    pub fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), KafkaError> {
        while !self.offer(topic, partition, key, value, 0)? {
            self.poll(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Hands a record over under a tag for its delivery report; `false`: the queue is full, and it was not taken.
    ///
    /// # Errors
    /// If the client refuses it, as when it is too large.
    pub fn offer(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        tag: usize,
    ) -> Result<bool, KafkaError> {
        self.offer_with_headers(topic, partition, key, value, &[], tag)
    }

    /// As [`Sender::offer`], with headers.
    ///
    /// # Errors
    /// If the client refuses it, as when it is too large.
    pub fn offer_with_headers(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
        tag: usize,
    ) -> Result<bool, KafkaError> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, tag);
        if !headers.is_empty() {
            let list = OwnedHeaders::new_with_capacity(headers.len());
            record = record.headers(headers.iter().fold(list, |list, (key, value)| {
                list.insert(rdkafka::message::Header {
                    key,
                    value: value.as_deref(),
                })
            }));
        }
        if let Some(partition) = partition {
            record = record.partition(partition);
        }
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(value) = value {
            record = record.payload(value);
        }
        let taken = match self.producer.send(record) {
            Ok(()) => true,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => false,
            Err((error, _)) => return Err(error),
        };
        self.poll(Duration::ZERO);
        Ok(taken)
    }

    /// Serves delivery reports; waits up to `timeout` for the first.
    pub fn poll(&self, timeout: Duration) {
        self.producer.poll(timeout);
    }

    /// The reports since the last call, in the order of each partition's offsets.
    #[must_use]
    pub fn take_reports(&self) -> Vec<Delivery> {
        match &self.producer.context().reports {
            Some(reports) => {
                std::mem::take(&mut *reports.lock().unwrap_or_else(PoisonError::into_inner))
            }
            None => Vec::new(),
        }
    }

    /// Records acknowledged, and records refused for good, so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let deliveries = self.producer.context();
        (
            deliveries.delivered.load(Ordering::Relaxed),
            deliveries.failed.load(Ordering::Relaxed),
        )
    }

    /// Records handed over that are neither acknowledged nor refused yet.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// Waits until everything is acknowledged. Returns (delivered, failed) so far.
    ///
    /// # Errors
    /// If that takes longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<(u64, u64), KafkaError> {
        self.producer.flush(timeout)?;
        Ok(self.counts())
    }

    /// Why this producer sends nothing more, if that is so: a new one must take its place.
    #[must_use]
    pub fn fatal(&self) -> Option<String> {
        let (_, said) = self.producer.client().fatal_error()?;
        Some(said)
    }

    /// Whether the brokers know a topic.
    ///
    /// # Errors
    /// If they don't answer in time.
    pub fn knows_topic(&self, topic: &str, timeout: Duration) -> Result<bool, KafkaError> {
        // Asking for all topics makes none, as asking for one by its name may.
        let metadata = self.producer.client().fetch_metadata(None, timeout)?;
        let known = |found: &rdkafka::metadata::MetadataTopic| {
            found.name() == topic && found.error().is_none()
        };
        Ok(metadata.topics().iter().any(known))
    }
}

#[cfg(test)]
impl Sender {
    /// Breaks the producer as a fatal error does, by the means that the client library has for it.
    #[allow(unsafe_code)] // one call into librdkafka
    pub(crate) fn break_for_good(&self) {
        use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED as REFUSED;
        let client = self.producer.client().native_ptr();
        // SAFETY: the handle lives as long as `self`, and the text is copied before the call returns.
        unsafe {
            rdkafka::bindings::rd_kafka_test_fatal_error(
                client,
                REFUSED,
                c"broken by a test".as_ptr(),
            );
        }
    }
}

fn config(settings: &KafkaSettings, role: &str) -> ClientConfig {
    let mut config = settings.client(role);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        // The hash of Java's clients, so that a machine keeps to one partition whoever sends.
        .set("partitioner", "murmur2_random")
        // For ever: a snapshot is not lost because the broker was away for some minutes.
        .set("message.timeout.ms", "0")
        .set(
            "message.max.bytes",
            super::admin::MAX_MESSAGE_BYTES.to_string(),
        );
    settings.tune(&mut config);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuning_is_the_user_s() {
        let mut settings = KafkaSettings::of_tests("");
        let ours = config(&settings, "test");
        assert_eq!(ours.get("linger.ms"), Some("20"));
        assert_eq!(ours.get("acks"), Some("all"));
        settings.set("linger.ms", "7");
        settings.set("compression.type", "zstd");
        let tuned = config(&settings, "test");
        assert_eq!(tuned.get("linger.ms"), Some("7"));
        assert_eq!(tuned.get("compression.type"), Some("zstd"));
    }
}
