//! How every client is set up, and what an error means for us.

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::BaseProducer;
use std::collections::BTreeMap;
use std::time::Duration;

/// What all clients share.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// Further client properties, as `security.protocol`.
    pub properties: BTreeMap<String, String>,
    /// Prefix of every topic's name.
    pub topic_prefix: String,
    /// The deployment's id.
    pub deployment: String,
    /// A member that is silent for this long is taken for dead.
    pub session_timeout: Duration,
    /// A transaction that is open for this long, and that nobody claims, is aborted by the broker.
    pub transaction_timeout: Duration,
}

impl KafkaSettings {
    /// The full name of a topic.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }

    /// The consumer group of a stage or one of its parts.
    #[must_use]
    pub fn group(&self, part: &str) -> String {
        format!("rollcall-{}-{part}", self.deployment)
    }

    /// Whether a client can be made of these; nothing is sent.
    ///
    /// # Errors
    /// What the client library says of a property.
    pub fn check(&self) -> Result<(), String> {
        let made: Result<BaseProducer, KafkaError> = self.client("check").create();
        match made {
            Ok(_) => Ok(()),
            Err(KafkaError::ClientConfig(_, said, key, _)) => Err(format!("{key}: {said}")),
            Err(KafkaError::ClientCreation(said)) => Err(said),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sets the user's properties once more, over what a client has set for itself. What a client's work rests on is no
    /// property that a user can set; all else is tuning.
    pub(super) fn tune(&self, config: &mut ClientConfig) {
        for (key, value) in &self.properties {
            config.set(key, value);
        }
    }

    /// A configuration with what all clients share; `role` shows in the broker's logs.
    #[must_use]
    pub fn client(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("rollcall-{}-{role}", self.deployment))
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "2000")
            // The default lists every broker's disconnect; the driver says the same once, in words.
            .set("log.connection.close", "false");
        self.tune(&mut config);
        config
    }
}

#[cfg(test)]
impl KafkaSettings {
    /// Settings for these brokers.
    pub(crate) fn of_tests(brokers: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            properties: BTreeMap::new(),
            topic_prefix: String::new(),
            deployment: "test".to_owned(),
            session_timeout: Duration::from_secs(6),
            transaction_timeout: Duration::from_secs(6),
        }
    }

    /// Sets a property as a user does.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.properties.insert(key.to_owned(), value.to_owned());
    }
}

/// Properties that are ours to set: exactly-once, or a setting of our own, rests on them. With each, the setting that is
/// there in its stead.
const OWNED: [(&str, Option<&str>); 22] = [
    ("acks", None),
    ("auto.offset.reset", None),
    ("bootstrap.servers", Some("kafka.brokers")),
    ("delivery.report.only.error", None),
    ("enable.auto.commit", None),
    ("enable.auto.offset.store", None),
    ("enable.idempotence", None),
    ("enable.partition.eof", None),
    ("group.id", Some("deployment")),
    ("group.instance.id", None),
    ("group.protocol", None),
    ("heartbeat.interval.ms", Some("session-timeout-seconds")),
    ("isolation.level", None),
    ("max.poll.interval.ms", None),
    ("message.max.bytes", None),
    ("message.send.max.retries", None),
    ("message.timeout.ms", None),
    ("partition.assignment.strategy", None),
    ("partitioner", None),
    ("session.timeout.ms", Some("session-timeout-seconds")),
    (
        "transaction.timeout.ms",
        Some("transaction-timeout-seconds"),
    ),
    ("transactional.id", Some("deployment")),
];

/// Other names of properties that we set: were both set, chance would say which holds.
const ALIASES: [(&str, &str); 8] = [
    ("auto.commit.enable", "enable.auto.commit"),
    ("compression.codec", "compression.type"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
    ("retries", "message.send.max.retries"),
];

/// The name under which we set a property.
#[must_use]
pub fn canonical(property: &str) -> &str {
    let known = ALIASES.iter().find(|(alias, _)| *alias == property);
    known.map_or(property, |(_, name)| name)
}

/// What is allowed instead of a property that is ours to set; `None`: it is the user's.
#[must_use]
pub fn instead_of(property: &str) -> Option<String> {
    let (_, setting) = OWNED
        .iter()
        .find(|(owned, _)| *owned == canonical(property))?;
    Some(match setting {
        Some(setting) => format!("the setting {setting} in its stead"),
        None => {
            let names: Vec<&str> = OWNED.iter().map(|(owned, _)| *owned).collect();
            format!(
                "any property but those on which exactly-once or rollcall's own settings rest: {}",
                names.join(", ")
            )
        }
    })
}

/// What is to be done about an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Try the same again.
    Retriable,
    /// Abort the transaction, drop the task's state, claim again.
    RequiresAbort,
    /// A newer owner has claimed the task.
    Fenced,
    /// The producer is of no further use; drop it with the task's state, claim again.
    Fatal,
}

/// Classifies an error of a transactional producer.
#[must_use]
pub fn classify(error: &KafkaError) -> Class {
    if let Some(code) = error.rdkafka_error_code()
        && matches!(
            code,
            RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::ProducerFenced
                | RDKafkaErrorCode::InvalidProducerEpoch
        )
    {
        return Class::Fenced;
    }
    match error {
        KafkaError::Transaction(error) if error.is_fatal() => Class::Fatal,
        KafkaError::Transaction(error) if error.txn_requires_abort() => Class::RequiresAbort,
        KafkaError::Transaction(error) if error.is_retriable() => Class::Retriable,
        KafkaError::Transaction(_) => Class::Fatal,
        // A flush that times out or fails has no class of its own; the transaction is in doubt until it is aborted.
        _ => Class::RequiresAbort,
    }
}
