//! Plays a script: says its steps to a cluster and notes the answers, without what is chance in them.

use super::balance::Owners;
use super::cluster::{Cluster, Following, Reading, Said};
use super::script::{Script, Step, Topic, Write};
use crate::fidelity::Transcript;
use std::collections::BTreeMap;

/// Plays a script; a line for each step and what it gave.
pub fn play(script: &Script, cluster: &mut impl Cluster) -> Transcript {
    let mut player = Player {
        script,
        cluster,
        owners: Owners::default(),
        appended: Vec::new(),
    };
    let steps = script.steps.iter();
    steps
        .map(|(step, _)| match player.step(step) {
            answer if answer.is_empty() => step.to_string(),
            answer => format!("{step} -> {answer}"),
        })
        .collect()
}

struct Player<'a, C> {
    script: &'a Script,
    cluster: &'a mut C,
    owners: Owners,
    /// Of each transaction that committed: its append time, and the values it wrote to [`Topic::Y`].
    appended: Vec<(i64, Vec<String>)>,
}

impl<C: Cluster> Player<'_, C> {
    /// What the step gives; nothing where there is nothing to say.
    fn step(&mut self, step: &Step) -> String {
        let cluster = &mut *self.cluster;
        let said = match step {
            Step::Claim(producer, id, claimant) => cluster.claim(producer, id, *claimant),
            Step::Transact(producer, writes) => {
                let (said, append_time_us) = cluster.transact(producer, writes);
                let to_y = |write: &&Write| write.place.0 == Topic::Y;
                let is_timed = said == Said::Committed && writes.iter().any(|w| to_y(&w));
                if append_time_us.is_some() != is_timed {
                    return format!("{said}, with append time {append_time_us:?}");
                }
                if let Some(time_us) = append_time_us {
                    let values = writes.iter().filter(to_y).filter_map(|w| w.value.clone());
                    self.appended.push((time_us, values.collect()));
                }
                said
            }
            Step::Send(producer, write) => cluster.send(producer, write),
            Step::Commit(producer) => cluster.end(producer, true),
            Step::Abort(producer) => cluster.end(producer, false),
            _ => return self.look(step),
        };
        said.to_string()
    }

    /// A step that is no producer's.
    fn look(&mut self, step: &Step) -> String {
        let cluster = &mut *self.cluster;
        match step {
            Step::Expire(producer) => cluster.expire(producer),
            Step::Marks(place) => {
                let marks = cluster.marks(*place);
                let (begin, high, stable) = (marks.begin, marks.high, marks.stable);
                return format!("{begin} to {high}, stable {stable}");
            }
            Step::Read(place, from) => return of_reading(&cluster.read(*place, *from)),
            Step::Trim(place, before) => cluster.trim(*place, *before),
            Step::Compact(place) => cluster.compact(*place),
            Step::Times => return self.times(),
            Step::Join(member) => {
                cluster.join(member);
                self.owners.join(member);
            }
            Step::Leave(member) => {
                cluster.leave(member);
                self.owners.leave(member);
            }
            Step::Silence(member) => {
                cluster.silence(member);
                self.owners.silence(member);
            }
            Step::Wake(member) => {
                cluster.wake(member);
                self.owners.wake(member);
            }
            Step::Balance => return self.owners.balance(cluster, self.script.partitions[0]),
            _ => {}
        }
        String::new()
    }

    /// Times ascend, and what a commit says of append times is what readers see.
    fn times(&mut self) -> String {
        let mut times_us: BTreeMap<String, i64> = BTreeMap::new();
        let mut faults = Vec::new();
        for place in self.script.places() {
            let records = self.cluster.read(place, Some(0)).records;
            if !records.is_sorted_by_key(|record| record.timestamp_us) {
                faults.push("times go back".to_owned());
            }
            let records = records.into_iter();
            times_us.extend(records.filter_map(|r| Some((r.value?, r.timestamp_us))));
        }
        for (time_us, values) in &self.appended {
            let seen = values.iter().filter_map(|value| times_us.get(value)).min();
            if seen.is_some_and(|seen| seen != time_us) {
                faults.push(format!("{values:?} were not appended when it was said"));
            }
        }
        match faults.is_empty() {
            true => "ascend".to_owned(),
            false => faults.join(", "),
        }
    }
}

fn of_reading(reading: &Reading) -> String {
    let mut text = String::new();
    for record in &reading.records {
        let value = record.value.as_deref().unwrap_or("-");
        text += &format!("{}:{}={value} ", record.offset, record.key);
    }
    text += &match reading.following {
        Following::Position(offset) => format!("next {offset}"),
        Following::Unknown => "no position".to_owned(),
        Following::OutOfRange => "out of range".to_owned(),
        Following::NotReached => "the end is not reached".to_owned(),
    };
    text
}
