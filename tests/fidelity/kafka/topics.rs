//! The topics of all scripts, made in one request.
//!
//! A script from a seed uses those of the player that plays it, one after the other: offsets count from their ends. One
//! that was written by hand has its own. Groups share topics by their number of partitions, for nothing is written there.

use super::barrier::Barrier;
use super::is_of_group;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rollcall::kafka::KafkaSettings;
use rollcall_world::fidelity::kafka::{Script, Step};
use std::collections::BTreeMap;

/// What topics have that a script compacts: whatever is written begins a new segment, and is compacted at once.
const COMPACTED: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "1"),
    ("min.cleanable.dirty.ratio", "0"),
    ("min.compaction.lag.ms", "0"),
    ("delete.retention.ms", "3600000"),
];

/// The two topics of a script.
pub type Names = [String; 2];

pub struct Topics {
    barrier: String,
}

impl Topics {
    /// Makes the topics of these scripts.
    pub fn make(settings: &KafkaSettings, scripts: &[Script]) -> Self {
        let barrier = "barrier".to_owned();
        let topics = Self { barrier };
        // By name: the number of partitions, and whether it is compacted.
        let mut wanted: BTreeMap<String, (i32, bool)> = BTreeMap::new();
        for script in scripts {
            let is_compacted = script.has(|step| matches!(step, Step::Compact(_)));
            for player in 0..crate::fidelity::PLAYERS {
                let names = topics.of(script, player).into_iter();
                for (name, partitions) in names.zip(script.partitions) {
                    wanted.insert(name, (partitions, is_compacted));
                }
            }
        }
        wanted.insert(
            topics.barrier.clone(),
            (crate::fidelity::PLAYERS as i32, false),
        );
        let new = wanted.iter().map(|(name, (partitions, is_compacted))| {
            let topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(1))
                .set("message.timestamp.type", "LogAppendTime");
            let settings = COMPACTED.iter().filter(|_| *is_compacted);
            settings.fold(topic, |topic, (key, value)| topic.set(key, value))
        });
        let new: Vec<NewTopic<'_>> = new.collect();
        let admin: AdminClient<DefaultClientContext> =
            settings.client("topics").create().expect("a client");
        let made = block_on(admin.create_topics(&new, &AdminOptions::new()));
        for result in made.expect("the broker answers") {
            result.expect("a topic");
        }
        topics
    }

    /// The barrier of a player.
    pub fn barrier(&self, settings: &KafkaSettings, player: i32) -> Barrier {
        Barrier::new(settings, &self.barrier, player)
    }

    /// The topics of a script.
    pub fn of(&self, script: &Script, player: usize) -> Names {
        let stem = if is_of_group(script) {
            format!("members-{}", script.partitions[0])
        } else if script.name.starts_with("seed-") {
            format!("player-{player}")
        } else {
            script.name.clone()
        };
        ["x", "y"].map(|topic| format!("{stem}-{topic}"))
    }
}

/// Waits for what the client does on a thread of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}
