//! A producer's connection: a sender, an encoder, and the waiting until there is something to connect to.

use crate::driver::{Backoff, Control, Signal, back_off};
use crate::kafka::KafkaSettings;
use crate::kafka::registry::Registry;
use crate::kafka::sender::Sender;
use rollcall_codec::{Encoder, RecordType};
use rollcall_stages::layout::TopicLayout;
use std::time::Duration;

/// How long the brokers may take to answer before it is said that they don't.
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a producer can't go on.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// The Kafka client can't be set up.
    #[error("the Kafka client can't be set up: {detail}; look at kafka.brokers and kafka-property")]
    Client {
        /// What the client says.
        detail: String,
    },
    /// A record was refused for good.
    #[error("Kafka refuses a record for topic {topic}: {detail}")]
    Refused {
        /// The topic.
        topic: String,
        /// What the client says.
        detail: String,
    },
    /// A value can't be written as Avro.
    #[error(transparent)]
    Encode(#[from] rollcall_codec::EncodeError),
    /// A file can't be read or written.
    #[error("the file {path} can't be used")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The tool that lists processes can't be run.
    #[error("{command} can't be run: {detail}")]
    Tool {
        /// The command.
        command: &'static str,
        /// Why, and what to do.
        detail: String,
    },
    /// A machine that can't be told from others.
    #[error(
        "this machine has neither an id (/etc/machine-id) nor a host name; name one with --machine-id"
    )]
    NoMachineId,
    /// A line of a ledger is none.
    #[error("line {line} of the ledger {path} can't be read: {detail}")]
    Ledger {
        /// The file.
        path: String,
        /// The line, 1 for the first.
        line: usize,
        /// What is wrong.
        detail: String,
    },
}

/// What a producer sends with.
pub(crate) struct Link {
    pub(crate) sender: Sender,
    pub(crate) encoder: Encoder,
}

/// Connects as soon as the brokers know `topics` and the registry knows the schemas of `records`; `None`: told to stop
/// before that. Says what it waits for.
///
/// # Errors
/// If a client property is wrong.
pub(crate) fn connect(
    kafka: &KafkaSettings,
    registry: &Registry,
    role: &str,
    topics: &[TopicLayout],
    records: &[RecordType],
    control: &Control,
) -> Result<Option<Link>, ProducerError> {
    let sender = sender(kafka, role)?;
    let mut backoff = Backoff::new();
    while control.signal() == Signal::Run {
        match look_for(&sender, kafka, registry, topics, records) {
            Ok(encoder) => return Ok(Some(Link { sender, encoder })),
            Err(reason) => {
                tracing::warn!("waiting: {reason}");
                back_off(&mut backoff, control);
            }
        }
    }
    Ok(None)
}

/// A client that is not connected yet.
///
/// # Errors
/// If a client property is wrong.
pub(crate) fn sender(kafka: &KafkaSettings, role: &str) -> Result<Sender, ProducerError> {
    Sender::with_reports(kafka, role).map_err(|error| ProducerError::Client {
        detail: error.to_string(),
    })
}

/// Looks for topics and schemas once; what is missing is said in a sentence.
pub(crate) fn look_for(
    sender: &Sender,
    kafka: &KafkaSettings,
    registry: &Registry,
    topics: &[TopicLayout],
    records: &[RecordType],
) -> Result<Encoder, String> {
    for topic in topics {
        let name = kafka.topic(topic.name);
        match sender.knows_topic(&name, METADATA_TIMEOUT) {
            Ok(true) => {}
            Ok(false) => {
                return Err(format!(
                    "topic {name} does not exist; run `rollcall bootstrap`"
                ));
            }
            Err(error) => {
                return Err(format!(
                    "Kafka at {} does not answer: {error}; is kafka.brokers right and the broker up?",
                    kafka.brokers
                ));
            }
        }
    }
    match registry.schema_ids_of(records) {
        Ok(ids) => Ok(Encoder::new(&ids)),
        Err(error) => Err(error.to_string()),
    }
}
