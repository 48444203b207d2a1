//! Topics: made by `bootstrap`, checked by every stage before it starts.

use super::client::KafkaSettings;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rollcall_stages::layout::{self, Partitions, TOPICS, TopicLayout, WrongPartitionCount};
use std::collections::HashMap;
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
        "Kafka at {brokers} does not answer: {said}; is kafka.brokers right and the broker up?"
    )]
    Away {
        /// The brokers.
        brokers: String,
        /// What the client says.
        said: KafkaError,
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
    #[error(transparent)]
    PartitionCount(#[from] WrongPartitionCount),
    /// One of a topic's settings would lose or hold up records.
    #[error("topic {topic} has {setting}={found}, but {why}; change the topic's configuration")]
    Setting {
        /// The topic.
        topic: String,
        /// The setting.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it must be, and why.
        why: &'static str,
    },
    /// A topic's settings are not for us to see.
    #[error(
        "the settings of topic {topic} can't be read: {code}; let this user describe the configuration of topics"
    )]
    Hidden {
        /// The topic.
        topic: String,
        /// Kafka's code.
        code: RDKafkaErrorCode,
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
            .map_err(|said| away(settings, said))?;
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

    /// Checks that every topic is there with the right number of partitions, and with settings that lose no record.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn check_topics(&self, partitions: Partitions) -> Result<(), AdminError> {
        let metadata = self
            .client
            .inner()
            .fetch_metadata(None, TIMEOUT)
            .map_err(|said| away(self.settings, said))?;
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
                return Err(AdminError::from(WrongPartitionCount {
                    topic: name,
                    found,
                    expected,
                }));
            }
        }
        let names: Vec<String> = TOPICS
            .iter()
            .map(|topic| self.settings.topic(topic.name))
            .collect();
        let configs = self.configs(&names).await?;
        TOPICS
            .iter()
            .zip(names)
            .zip(&configs)
            .try_for_each(|((topic, name), config)| check_config(topic, name, config))
    }

    /// For how long a topic keeps records, in milliseconds; `None` is for ever.
    ///
    /// # Errors
    /// If Kafka is away.
    pub async fn retention_ms(&self, topic: &str) -> Result<Option<i64>, AdminError> {
        let kept = self.setting(topic, "retention.ms").await?;
        Ok(kept.parse().ok().filter(|kept| *kept >= 0))
    }

    /// One of a topic's settings; empty where there is none of this name.
    async fn setting(&self, topic: &str, name: &str) -> Result<String, AdminError> {
        let mut configs = self.configs(&[topic.to_owned()]).await?;
        let config = configs.pop().unwrap_or_default();
        Ok(config.get(name).cloned().unwrap_or_default())
    }

    /// The settings of topics, in their order.
    async fn configs(&self, topics: &[String]) -> Result<Vec<Config>, AdminError> {
        let request = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let specifiers: Vec<_> = topics
            .iter()
            .map(|topic| ResourceSpecifier::Topic(topic))
            .collect();
        let answers = self
            .client
            .describe_configs(&specifiers, &request)
            .await
            .map_err(|e| away(self.settings, e))?;
        let mut configs: Vec<Config> = Vec::new();
        for (answer, topic) in answers.into_iter().zip(topics) {
            let topic = topic.clone();
            let entries = match answer {
                Ok(resource) => resource.entries.into_iter(),
                Err(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                    return Err(AdminError::Missing { topic });
                }
                Err(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => {
                    return Err(AdminError::Hidden { topic, code });
                }
                Err(code) => return Err(away(self.settings, KafkaError::AdminOp(code))),
            };
            configs.push(
                entries
                    .filter_map(|entry| Some((entry.name, entry.value?)))
                    .collect(),
            );
        }
        Ok(configs)
    }
}

/// A topic's settings.
type Config = HashMap<String, String>;

/// Refuses settings that would lose records, or hold them up for ever.
fn check_config(topic: &TopicLayout, name: String, config: &Config) -> Result<(), AdminError> {
    let found = |setting| config.get(setting).map_or("", String::as_str);
    let mut checks = Vec::new();
    if topic.log_append_time {
        let good = found("message.timestamp.type") == "LogAppendTime";
        let why = "only LogAppendTime is accepted: times must be the broker's";
        checks.push(("message.timestamp.type", good, why));
    }
    let mut policies = found("cleanup.policy").split(',').map(str::trim);
    checks.push(match topic.compacted {
        true => (
            "cleanup.policy",
            policies.all(|policy| policy == "compact"),
            "only compact is accepted: the latest value of each key is needed, however old it is",
        ),
        false => (
            "cleanup.policy",
            policies.all(|policy| policy != "compact"),
            "compact is not accepted: every record counts, not only the latest of each key",
        ),
    });
    if !topic.is_external() {
        let bytes = found("max.message.bytes").parse::<usize>();
        let good = bytes.is_ok_and(|bytes| bytes >= MAX_MESSAGE_BYTES);
        let why = "rollcall's transactions there need 4194304 or more";
        checks.push(("max.message.bytes", good, why));
    }
    match checks.into_iter().find(|(_, good, _)| !good) {
        None => Ok(()),
        Some((setting, _, why)) => Err(AdminError::Setting {
            found: found(setting).to_owned(),
            topic: name,
            setting,
            why,
        }),
    }
}

/// Whether stages write it. What others write into is as large as they need.
fn away(settings: &KafkaSettings, said: KafkaError) -> AdminError {
    AdminError::Away {
        brokers: settings.brokers.clone(),
        said,
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
        let raw = topic.index == layout::SNAPSHOTS.index;
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

#[cfg(test)]
mod tests {
    use super::*;
    use layout::{DIRECTORY_USERS, OBSERVATIONS, PARTIALS, SNAPSHOTS, STATE_ROLLUP};

    fn options() -> TopicOptions {
        TopicOptions {
            partitions: Partitions {
                snapshots: 1,
                rollups: 1,
            },
            replication: 1,
            raw_retention: TIMEOUT,
            derived_retention: TIMEOUT,
        }
    }

    /// What is said of a topic as bootstrap makes it, with one setting changed.
    #[track_caller]
    fn check(topic: TopicLayout, setting: &str, value: &str, expect: &str) {
        let made = topic_config(&topic, &options());
        let mut config: Config = made
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        config.insert(setting.to_owned(), value.to_owned());
        let said = check_config(&topic, topic.name.to_owned(), &config);
        let said = said.err().map(|error| error.to_string());
        assert_eq!(said.unwrap_or_default(), expect);
    }

    #[test]
    fn what_bootstrap_makes_is_right() {
        for topic in TOPICS {
            check(*topic, "retention.ms", "1", "");
        }
    }

    #[test]
    fn times_must_be_the_broker_s() {
        let expect = "topic process-snapshots has message.timestamp.type=CreateTime, but only LogAppendTime is accepted: \
                      times must be the broker's; change the topic's configuration";
        check(SNAPSHOTS, "message.timestamp.type", "CreateTime", expect);
        check(OBSERVATIONS, "message.timestamp.type", "CreateTime", "");
    }

    #[test]
    fn messages_must_fit() {
        let expect = "topic rollup-partials has max.message.bytes=1048588, but rollcall's transactions there need 4194304 \
                      or more; change the topic's configuration";
        assert_eq!(MAX_MESSAGE_BYTES, 4_194_304);
        check(PARTIALS, "max.message.bytes", "1048588", expect);
        check(PARTIALS, "max.message.bytes", "4194304", "");
        // What others write is as large as they need.
        check(SNAPSHOTS, "max.message.bytes", "1048588", "");
        check(DIRECTORY_USERS, "max.message.bytes", "1048588", "");
    }

    #[test]
    fn nothing_needed_is_cleaned_up() {
        for policy in ["delete", "compact,delete"] {
            let expect = format!(
                "topic state-rollup has cleanup.policy={policy}, but only compact is accepted: the latest value of each \
                 key is needed, however old it is; change the topic's configuration"
            );
            check(STATE_ROLLUP, "cleanup.policy", policy, &expect);
        }
        for policy in ["compact", "delete,compact"] {
            let expect = format!(
                "topic process-observations has cleanup.policy={policy}, but compact is not accepted: every record \
                 counts, not only the latest of each key; change the topic's configuration"
            );
            check(OBSERVATIONS, "cleanup.policy", policy, &expect);
        }
        check(OBSERVATIONS, "cleanup.policy", "", "");
    }
}
