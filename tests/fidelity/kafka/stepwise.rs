//! A transactional producer that is led step by step: the library itself, for the program's own does whole transactions.

use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rollcall::kafka::KafkaSettings;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long the broker may take to answer.
pub const REQUEST: Duration = Duration::from_secs(60);

/// What the broker said of the last record.
#[derive(Default)]
struct Report(Mutex<Option<Result<i64, KafkaError>>>);

impl ClientContext for Report {}

impl ProducerContext for Report {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let result = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        *self.0.lock().expect("nobody panics") = Some(result);
    }
}

/// See the module.
pub struct Stepwise {
    producer: BaseProducer<Report>,
    is_open: bool,
}

impl Stepwise {
    /// Claims a transactional id.
    pub fn claim(settings: &KafkaSettings, id: &str, open: Duration) -> Result<Self, KafkaError> {
        let mut config = settings.client("stepwise");
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", open.as_millis().to_string())
            .set("linger.ms", "0");
        let producer = BaseProducer::from_config_and_context(&config, Report::default())?;
        producer.init_transactions(REQUEST)?;
        Ok(Self {
            producer,
            is_open: false,
        })
    }

    /// Writes a record, in a transaction that begins with it if need be; its offset.
    pub fn send(
        &mut self,
        (topic, partition): (&str, i32),
        key: &str,
        value: Option<&str>,
    ) -> Result<i64, KafkaError> {
        self.begin()?;
        let record = BaseRecord::to(topic).partition(partition).key(key);
        let record = match value {
            Some(value) => record.payload(value),
            None => record,
        };
        self.producer.send(record).map_err(|(error, _)| error)?;
        let begun = Instant::now();
        loop {
            // A flush would wait for whole tenths of seconds.
            self.producer.poll(Duration::from_millis(1));
            let report = self
                .producer
                .context()
                .0
                .lock()
                .expect("nobody panics")
                .take();
            if let Some(report) = report {
                return report;
            }
            assert!(begun.elapsed() < REQUEST, "no report of a record");
        }
    }

    /// Ends the transaction; one that has sent nothing begins now.
    pub fn end(&mut self, commit: bool) -> Result<(), KafkaError> {
        self.begin()?;
        self.is_open = false;
        match commit {
            true => self.producer.commit_transaction(REQUEST),
            false => self.producer.abort_transaction(REQUEST),
        }
    }

    fn begin(&mut self) -> Result<(), KafkaError> {
        if !self.is_open {
            self.producer.begin_transaction()?;
            self.is_open = true;
        }
        Ok(())
    }
}
