//! Sending records as a producer of snapshots does: idempotent, acknowledged by all replicas.

use super::client::KafkaSettings;
use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts what was delivered.
#[derive(Default)]
pub struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.delivered.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                tracing::warn!(%error, "a record was not delivered");
                self.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// A producer of raw records.
pub struct Sender {
    producer: BaseProducer<Deliveries>,
}

impl Sender {
    /// A producer; nothing is sent yet.
    ///
    /// # Errors
    /// If a client property is wrong.
    pub fn new(settings: &KafkaSettings, role: &str) -> Result<Self, KafkaError> {
        let mut config = settings.client(role);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("linger.ms", "20")
            .set(
                "message.max.bytes",
                super::admin::MAX_MESSAGE_BYTES.to_string(),
            );
        Ok(Self {
            producer: BaseProducer::from_config_and_context(&config, Deliveries::default())?,
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
        let mut pending = BaseRecord::<[u8], [u8]>::to(topic);
        if let Some(partition) = partition {
            pending = pending.partition(partition);
        }
        if let Some(key) = key {
            pending = pending.key(key);
        }
        if let Some(value) = value {
            pending = pending.payload(value);
        }
        loop {
            match self.producer.send(pending) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    pending = back;
                    self.producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => return Err(error),
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Waits until everything is acknowledged. Returns (delivered, failed) so far.
    ///
    /// # Errors
    /// If that takes longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<(u64, u64), KafkaError> {
        self.producer.flush(timeout)?;
        let deliveries = self.producer.context();
        Ok((
            deliveries.delivered.load(Ordering::Relaxed),
            deliveries.failed.load(Ordering::Relaxed),
        ))
    }
}
