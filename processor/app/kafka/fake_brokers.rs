//! Brokers for tests, that err as they are told: librdkafka's own.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

/// A broker that lives as long as this.
pub(crate) struct FakeBrokers(MockCluster<'static, DefaultProducerContext>);

impl FakeBrokers {
    /// One broker with a topic.
    pub(crate) fn start(topic: &str) -> Self {
        let cluster = MockCluster::new(1).expect("a broker");
        cluster.create_topic(topic, 1, 1).expect("a topic");
        Self(cluster)
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// The next idempotent producer comes to a fatal error.
    pub(crate) fn refuse_next_producer(&self) {
        let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED];
        self.0
            .request_errors(RDKafkaApiKey::InitProducerId, &refused);
    }
}
