//! Kafka's half: one broker for all scripts.

mod barrier;
mod group;
mod real;
mod stepwise;
mod topics;

use real::RealCluster;
use rollcall::kafka::KafkaSettings;
use rollcall_stack::{Stack, StackOptions};
use rollcall_world::fidelity::kafka::{ModelCluster, Script, Step, generate, handwritten, play};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;
use topics::Topics;

#[test]
fn the_model_of_kafka_answers_as_kafka_does() {
    let mut scripts: Vec<Script> = super::seeds().map(generate).collect();
    if super::number("SEED").is_none() {
        // First: some of them wait for long.
        scripts.splice(0..0, handwritten());
    }
    let broker = start();
    let settings = settings(&broker);
    let topics = Topics::make(&settings, &scripts);
    let barriers = [const { OnceLock::new() }; super::PLAYERS];
    let barrier =
        |player: usize| barriers[player].get_or_init(|| topics.barrier(&settings, player as i32));
    // The first claim makes the broker ready for claims, which may take a while.
    barrier(0);
    let named: Vec<_> = scripts
        .iter()
        .map(|script| (script.name.clone(), script))
        .collect();
    super::compare(&named, |player, script| {
        let model = play(script, &mut ModelCluster::new(script, 1));
        let names = topics.of(script, player);
        let mut real = RealCluster::new(&settings, script, names, barrier(player));
        (model, play(script, &mut real))
    });
}

fn start() -> Stack {
    let quick = [
        ("group.min.session.timeout.ms", "500"),
        // How often the broker looks for transactions that are open for too long, and for what can be compacted.
        (
            "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            "100",
        ),
        ("log.cleaner.backoff.ms", "100"),
    ];
    let options = StackOptions {
        registry: false,
        postgres: false,
        kafka_settings: quick
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        ..StackOptions::for_tests()
    };
    Stack::start(options).unwrap_or_else(|error| panic!("Kafka does not start: {error}"))
}

fn settings(broker: &Stack) -> KafkaSettings {
    let tuned = [
        // A reader is told when it has come to the end, and soon.
        ("enable.partition.eof", "true"),
        ("fetch.wait.max.ms", "10"),
    ];
    let properties: BTreeMap<String, String> = tuned
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    KafkaSettings {
        brokers: broker.kafka_brokers().to_owned(),
        properties,
        topic_prefix: String::new(),
        deployment: "fidelity".to_owned(),
        session_timeout: Duration::from_secs(6),
        transaction_timeout: Duration::from_secs(60),
    }
}

/// Whether a script is about a group; it writes nothing then.
fn is_of_group(script: &Script) -> bool {
    script.has(|step| matches!(step, Step::Join(_)))
}
