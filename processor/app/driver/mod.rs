//! Runs stages: `rollcall_driver` says how tasks and lanes live, this gives them threads, Kafka and the registry ([`world`]).
//!
//! A stage has one thread that is a member of its group, and one thread per task; SINK has one per lane ([`sink`]).
//!
//! Must not know: Kafka's client library, SQL, what a record means.

mod pipeline;
pub mod sink;
mod task_meter;
mod watch;
mod world;

pub use pipeline::{PipelineConfig, run_pipeline};
pub(crate) use rollcall_driver::Backoff;
pub use rollcall_driver::{Control, Signal};

use crate::kafka::KafkaSettings;
use crate::kafka::registry::Registry;
use crate::telemetry::Telemetry;
use rollcall_normalize::ApplicationRules;
use rollcall_stages::layout::{Partitions, TOPICS};
use std::sync::Arc;

/// What every stage, and who folds again what they folded, must agree on about clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockRules {
    /// A producer's clock may be this far ahead of the broker's.
    pub future_tolerance_us: i64,
    /// How old a snapshot may be when it arrives.
    pub acceptance_us: i64,
}

/// What all threads of a stage share.
#[derive(Clone)]
pub struct Shared {
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// The schema registry.
    pub registry: Registry,
    /// Partition counts.
    pub partitions: Partitions,
    /// What is too early and too late.
    pub clock: ClockRules,
    /// What names applications.
    pub rules: Arc<ApplicationRules>,
    /// Where all of them tell how they fare.
    pub telemetry: Telemetry,
}

impl Shared {
    /// Full topic names by the topology's index.
    fn topic_names(&self) -> Vec<String> {
        TOPICS
            .iter()
            .map(|topic| self.kafka.topic(topic.name))
            .collect()
    }
}

/// How long to wait after a failure, in microseconds, for those who do something else meanwhile.
pub(crate) fn next_wait_us(backoff: &mut Backoff) -> i64 {
    backoff.next(crate::clock::jitter()).as_micros() as i64
}

/// Waits after a failure, on this thread; returns early on a signal.
pub(crate) fn back_off(backoff: &mut Backoff, control: &Control) {
    world::ready(backoff.wait(&world::Threads, control));
}
