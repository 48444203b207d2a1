//! A consumer of explicitly assigned partitions. Offsets are ours: no group, nothing stored, nothing reset.

use super::client::KafkaSettings;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rollcall_codec::wire::VALUE_SCHEMA_ID_HEADER;
use std::time::Duration;

/// How long the client waits when its queue is full, before it looks whether there is room again. Its own default is a
/// second, in which a task that restores has emptied the queue many times over: it then reads 100,000 records a second.
const QUEUE_BACKOFF_MS: &str = "10";

/// A message that the client holds for us, for code that must not know the client library: see [`Incoming::of`].
pub type Fetched<'a> = BorrowedMessage<'a>;

/// A header of a record: its key and its value.
pub type Header = (String, Option<Vec<u8>>);

/// A record's headers, in their order.
#[must_use]
pub fn headers_of(message: &Fetched<'_>) -> Vec<Header> {
    let Some(headers) = message.headers() else {
        return Vec::new();
    };
    let owned = |header: rdkafka::message::Header<'_, &[u8]>| {
        (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
    };
    headers.iter().map(owned).collect()
}

/// What a poll gave.
pub enum Polled<'a> {
    /// A record.
    Record(Fetched<'a>),
    /// Nothing within the time.
    Nothing,
    /// The offset that was asked for is not in the log.
    OutOfRange,
    /// The broker is away or the like; the client goes on trying.
    Trouble(KafkaError),
}

/// A consumer of explicitly assigned partitions.
pub struct Fetcher {
    consumer: BaseConsumer<DefaultConsumerContext>,
}

impl Fetcher {
    /// A consumer that sees committed records only.
    ///
    /// # Errors
    /// If a client property is wrong.
    pub fn new(settings: &KafkaSettings, role: &str) -> Result<Self, KafkaError> {
        Ok(Self {
            consumer: config(settings, role).create()?,
        })
    }

    /// Reads these partitions from these offsets on; −1 is a partition's beginning.
    ///
    /// # Errors
    /// If the client refuses.
    pub fn assign(&self, partitions: &[(String, i32, i64)]) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (topic, partition, offset) in partitions {
            let offset = if *offset < 0 {
                Offset::Beginning
            } else {
                Offset::Offset(*offset)
            };
            list.add_partition_offset(topic, *partition, offset)?;
        }
        self.consumer.assign(&list)
    }

    /// Polls for a record.
    pub fn poll(&self, timeout: Duration) -> Polled<'_> {
        match self.consumer.poll(timeout) {
            None => Polled::Nothing,
            Some(Ok(message)) => Polled::Record(message),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                    Polled::OutOfRange
                }
                _ => Polled::Trouble(error),
            },
        }
    }

    /// The position of a partition: the offset that comes next, control records counted; `None` before anything
    /// was delivered.
    #[must_use]
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        let list = self.consumer.position().ok()?;
        match list.find_partition(topic, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// First and end offset, from the broker; on this read_committed client the end is the last stable offset.
    ///
    /// # Errors
    /// If the broker does not answer in time.
    pub fn watermarks(
        &self,
        topic: &str,
        partition: i32,
        timeout: Duration,
    ) -> Result<(i64, i64), KafkaError> {
        self.consumer.fetch_watermarks(topic, partition, timeout)
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        // A consumer that is dropped with an assignment hangs.
        let _ = self.consumer.unassign();
    }
}

/// A record, for code that must not know the client library.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The topic's full name.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The log's time in microseconds; 0 where it has none.
    pub timestamp_us: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The value of the last header that names the value's schema.
    pub schema_header: Option<&'a [u8]>,
}

impl<'a> Incoming<'a> {
    /// A message's parts.
    #[must_use]
    pub fn of(message: &'a Fetched<'_>) -> Self {
        let header = |headers: &'a rdkafka::message::BorrowedHeaders| {
            headers
                .iter()
                .filter(|header| header.key == VALUE_SCHEMA_ID_HEADER)
                .last()?
                .value
        };
        Self {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_us: message
                .timestamp()
                .to_millis()
                .unwrap_or(0)
                .saturating_mul(1_000),
            key: message.key(),
            value: message.payload(),
            schema_header: message.headers().and_then(header),
        }
    }
}

fn config(settings: &KafkaSettings, role: &str) -> ClientConfig {
    let mut config = settings.client(role);
    config
        // librdkafka wants a group even where none is joined.
        .set("group.id", settings.group("unjoined"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "false")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.message.max.bytes", "4194304")
        .set("queued.max.messages.kbytes", "32768")
        .set("fetch.queue.backoff.ms", QUEUE_BACKOFF_MS);
    settings.tune(&mut config);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A restore of 3 million records took 30 s, of which it waited 24: `make bench-recovery` shows it.
    #[test]
    fn a_full_queue_is_looked_at_again_at_once() {
        let config = config(&KafkaSettings::of_tests(""), "test");
        let backoff_ms: Option<u32> = config
            .get("fetch.queue.backoff.ms")
            .and_then(|ms| ms.parse().ok());
        assert!(backoff_ms.is_some_and(|ms| ms <= 20), "{backoff_ms:?}");
    }

    #[test]
    fn tuning_is_the_user_s() {
        let mut settings = KafkaSettings::of_tests("");
        settings.set("fetch.message.max.bytes", "9000000");
        settings.set("queued.max.messages.kbytes", "1000");
        let tuned = config(&settings, "test");
        assert_eq!(tuned.get("fetch.message.max.bytes"), Some("9000000"));
        assert_eq!(tuned.get("queued.max.messages.kbytes"), Some("1000"));
        assert_eq!(tuned.get("fetch.wait.max.ms"), Some("100"));
    }
}
