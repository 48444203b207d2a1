//! The ends of a state partition, between which a task reads its state back.
//!
//! The end is the high watermark as a *read_uncommitted* client sees it, asked for after the claim: nothing of this task
//! is open any more, and a read_committed client would give the last stable offset, which may lie short.

use super::client::KafkaSettings;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use std::time::Duration;

/// First and end offset of a partition for a read_uncommitted client.
///
/// # Errors
/// If the broker does not answer in time.
pub fn uncommitted_watermarks(
    settings: &KafkaSettings,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<(i64, i64), KafkaError> {
    let consumer: BaseConsumer = settings
        .client("watermarks")
        .set("group.id", settings.group("unjoined"))
        .set("isolation.level", "read_uncommitted")
        .create()?;
    consumer.fetch_watermarks(topic, partition, timeout)
}
