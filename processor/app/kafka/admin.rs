//! Topics: made by `bootstrap`, checked by every stage before it starts.

use super::client::KafkaSettings;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rollcall_stages::layout::{Partitions, TOPICS, TopicLayout};
use std::time::Duration;

/// The largest message of our topics.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// The largest observations of one snapshot: what is left after headers and compression overhead.
pub const MAX_OBSERVATIONS_BYTES: usize = MAX_MESSAGE_BYTES - 64 * 1024;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is wrong with Kafka or its topics.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The brokers don't answer.
    #[error(
        "Kafka at {brokers} does not answer: {source}; is kafka.brokers right and the broker up?"
    )]
    Away {
        /// The brokers.
        brokers: String,
        /// The cause.
        source: KafkaError,
    },
    /// A topic can't be made.
    #[error("topic {topic} can't be made: {code}")]
    Create {
        /// The topic.
        topic: String,
        /// Kafka's code.
        code: RDKafkaErrorCode,
    },
    /// A topic is missing.
    #[error("topic {topic} does not exist; run `rollcall bootstrap`")]
    Missing {
        /// The topic.
        topic: String,
    },
    /// A topic has another number of partitions.
    #[error(
        "topic {topic} has {found} partitions, but settings say {expected}; partition counts are fixed for a \
         deployment's life: growing means a new deployment beside the old one"
    )]
    PartitionCount {
        /// The topic.
        topic: String,
        /// What it has.
        found: i32,
        /// What settings say.
        expected: i32,
    },
    /// A topic's timestamps are the producers'.
    #[error(
        "topic {topic} has message.timestamp.type={found}, but only LogAppendTime is accepted: times must be the \
         broker's; change the topic's configuration"
    )]
    TimestampType {
        /// The topic.
        topic: String,
        /// What it has.
        found: String,
    },
}

/// What new topics are made with.
#[derive(Clone, Copy, Debug)]
pub struct TopicOptions {
    /// Partition counts.
    pub partitions: Partitions,
    /// Replicas; −1 for the broker's default.
    pub replication: i32,
    /// How long raw snapshots are kept.
    pub raw_retention: Duration,
    /// How long derived records are kept.
    pub derived_retention: Duration,
}

/// A client for topics.
pub struct Admin<'a> {
    settings: &'a KafkaSettings,
    client: AdminClient<DefaultClientContext>,
}

impl<'a> Admin<'a> {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// If a client property is wrong.
    pub fn new(settings: &'a KafkaSettings) -> Result<Self, AdminError> {
        let client = settings
            .client("admin")
            .create()
            .map_err(|source| away(settings, source))?;
        Ok(Self { settings, client })
    }

    /// Makes what is missing; what is there already is left as it is, and checked.
    ///
    /// # Errors
    /// If Kafka is away or refuses.
    pub async fn create_topics(&self, options: &TopicOptions) -> Result<Vec<String>, AdminError> {
        let names: Vec<String> = TOPICS
            .iter()
            .map(|topic| self.settings.topic(topic.name))
            .collect();
        let configs: Vec<Vec<(&str, String)>> = TOPICS
            .iter()
            .map(|topic| topic_config(topic, options))
            .collect();
        let topics: Vec<NewTopic<'_>> = TOPICS
            .iter()
            .zip(&names)
            .zip(&configs)
            .map(|((topic, name), config)| {
                let partitions = topic.partitions.of(options.partitions);
                let topic = NewTopic::new(
                    name,
                    partitions,
                    TopicReplication::Fixed(options.replication),
                );
                config
                    .iter()
                    .fold(topic, |topic, (key, value)| topic.set(key, value))
            })
            .collect();
        let request = AdminOptions::new()
            .operation_timeout(Some(TIMEOUT))
            .request_timeout(Some(TIMEOUT));
        let results = self
            .client
            .create_topics(&topics, &request)
            .await
            .map_err(|e| away(self.settings, e))?;
        let mut made = Vec::new();
        for result in results {
            match result {
                Ok(topic) => made.push(topic),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(AdminError::Create { topic, code }),
            }
        }
        Ok(made)
    }

    /// Checks that every topic is there with the right number of partitions, and the times the broker's.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn check_topics(&self, partitions: Partitions) -> Result<(), AdminError> {
        let metadata = self
            .client
            .inner()
            .fetch_metadata(None, TIMEOUT)
            .map_err(|source| away(self.settings, source))?;
        for topic in TOPICS {
            let name = self.settings.topic(topic.name);
            let found = metadata
                .topics()
                .iter()
                .find(|found| found.name() == name && found.error().is_none())
                .ok_or_else(|| AdminError::Missing {
                    topic: name.clone(),
                })?;
            let (found, expected) = (
                found.partitions().len() as i32,
                topic.partitions.of(partitions),
            );
            if found != expected {
                return Err(AdminError::PartitionCount {
                    topic: name,
                    found,
                    expected,
                });
            }
        }
        for topic in TOPICS.iter().filter(|topic| topic.log_append_time) {
            self.check_timestamps(&self.settings.topic(topic.name))
                .await?;
        }
        Ok(())
    }

    /// For how long a topic keeps records, in milliseconds; `None` is for ever.
    ///
    /// # Errors
    /// If Kafka is away.
    pub async fn retention_ms(&self, topic: &str) -> Result<Option<i64>, AdminError> {
        let kept = self.setting(topic, "retention.ms").await?;
        Ok(kept.parse().ok().filter(|kept| *kept >= 0))
    }

    async fn check_timestamps(&self, topic: &str) -> Result<(), AdminError> {
        let found = self.setting(topic, "message.timestamp.type").await?;
        if found == "LogAppendTime" {
            Ok(())
        } else {
            Err(AdminError::TimestampType {
                topic: topic.to_owned(),
                found,
            })
        }
    }

    /// One of a topic's settings; empty where there is none of this name.
    async fn setting(&self, topic: &str, name: &str) -> Result<String, AdminError> {
        let request = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let specifier = [ResourceSpecifier::Topic(topic)];
        let configs = self
            .client
            .describe_configs(&specifier, &request)
            .await
            .map_err(|e| away(self.settings, e))?;
        let entries = configs.into_iter().flatten();
        let mut entries = entries.flat_map(|resource| resource.entries);
        let found = entries.find(|entry| entry.name == name);
        Ok(found.and_then(|entry| entry.value).unwrap_or_default())
    }
}

fn away(settings: &KafkaSettings, source: KafkaError) -> AdminError {
    AdminError::Away {
        brokers: settings.brokers.clone(),
        source,
    }
}

fn topic_config(topic: &TopicLayout, options: &TopicOptions) -> Vec<(&'static str, String)> {
    let mut config = vec![("max.message.bytes", MAX_MESSAGE_BYTES.to_string())];
    if topic.log_append_time {
        config.push(("message.timestamp.type", "LogAppendTime".to_owned()));
    }
    if topic.compacted {
        // Small segments, a low dirty ratio and a bounded lag keep a restore in proportion to the live keys.
        config.push(("cleanup.policy", "compact".to_owned()));
        config.push(("segment.bytes", (32 * 1024 * 1024).to_string()));
        config.push(("segment.ms", "600000".to_owned()));
        config.push(("min.cleanable.dirty.ratio", "0.1".to_owned()));
        config.push(("max.compaction.lag.ms", "3600000".to_owned()));
        config.push(("delete.retention.ms", "86400000".to_owned()));
    } else {
        let raw = topic.index == rollcall_stages::layout::SNAPSHOTS.index;
        let retention = if raw {
            options.raw_retention
        } else {
            options.derived_retention
        };
        config.push(("cleanup.policy", "delete".to_owned()));
        config.push(("retention.ms", retention.as_millis().to_string()));
    }
    config
}
