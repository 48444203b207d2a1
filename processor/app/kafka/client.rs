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
    /// A transaction that is open for this long is aborted by the broker.
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
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
    }
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
