//! The members of a script's group, as the program's clients.

use rollcall::kafka::KafkaSettings;
use rollcall::kafka::membership::{Membership, Place, Rebalance as Said};
use rollcall_driver::ports::Rebalance;
use rollcall_world::fidelity::kafka::{Script, Step};
use std::collections::BTreeMap;
use std::time::Duration;

pub struct Members {
    settings: KafkaSettings,
    group: String,
    topic: String,
    members: BTreeMap<String, Membership>,
}

impl Members {
    pub fn new(settings: &KafkaSettings, script: &Script, topic: &str) -> Self {
        let mut settings = settings.clone();
        // Rebalances are heard of by heartbeats.
        let mut tuned = vec![("heartbeat.interval.ms", "100")];
        if script.has(|step| matches!(step, Step::Silence(_))) {
            settings.session_timeout = Duration::from_secs(4);
            tuned.push(("max.poll.interval.ms", "4000"));
        }
        let tuned = tuned.into_iter();
        settings.properties = tuned
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self {
            group: settings.group(&script.name),
            settings,
            topic: topic.to_owned(),
            members: BTreeMap::new(),
        }
    }

    pub fn join(&mut self, member: &str) {
        let joined = Membership::join(&self.settings, &self.group, &[&self.topic]);
        self.members
            .insert(member.to_owned(), joined.expect("a member"));
    }

    pub fn leave(&mut self, member: &str) {
        self.members.remove(member);
    }

    pub fn poll(&mut self, member: &str) -> Option<Rebalance<i32>> {
        let said = self.members.get(member)?.poll(Duration::from_millis(20))?;
        let partitions = |places: Vec<Place>| places.into_iter().map(|place| place.1).collect();
        Some(match said {
            Said::Assigned(places) => Rebalance::Assigned(partitions(places)),
            Said::Revoked { places, lost } => Rebalance::Revoked {
                places: partitions(places),
                lost,
            },
        })
    }

    pub fn obey(&mut self, member: &str, said: &Rebalance<i32>) {
        let Some(member) = self.members.get(member) else {
            return;
        };
        let places = |partitions: &[i32]| -> Vec<Place> {
            let named = |partition: &i32| (self.topic.clone(), *partition);
            partitions.iter().map(named).collect()
        };
        let obeyed = match said {
            Rebalance::Assigned(partitions) => member.accept(&places(partitions)),
            Rebalance::Revoked {
                places: partitions, ..
            } => member.release(&places(partitions)),
        };
        obeyed.expect("the client obeys");
    }
}
