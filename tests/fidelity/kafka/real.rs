//! A real broker behind the program's own clients.

use super::barrier::Barrier;
use super::group::Members;
use super::stepwise::{REQUEST, Stepwise};
use super::topics::{Names, block_on};
use crate::support::eventually;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use rollcall::kafka::KafkaSettings;
use rollcall::kafka::client::{Class, classify};
use rollcall::kafka::fetch::{Fetcher, Incoming, Polled};
use rollcall::kafka::restore::uncommitted_watermarks;
use rollcall::kafka::transaction::{Outcome, Outgoing, TransactionalProducer};
use rollcall_driver::ports::Rebalance;
use rollcall_world::fidelity::kafka::{
    Claimant, Cluster, Following, Marks, Place, Reading, Said, Script, Seen, Topic, Write,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long an expiring producer may leave a transaction open.
const EXPIRING: Duration = Duration::from_secs(2);
/// How long a reader that is told nothing is given to see something.
const QUIET: Duration = Duration::from_millis(200);

enum Claimed {
    Task(TransactionalProducer),
    Stepwise(Stepwise),
}

/// See the module.
pub struct RealCluster<'a> {
    settings: KafkaSettings,
    /// Part of every transactional id and group.
    script: String,
    names: Names,
    /// Where each partition ended when the script began.
    bases: BTreeMap<Place, i64>,
    /// Asked for last stable offsets; it reads nothing.
    marks: Fetcher,
    producers: BTreeMap<String, Claimed>,
    members: Members,
    barrier: &'a Barrier,
    /// Whether a transaction has ended whose markers may be missing.
    is_ending: bool,
    begun: Instant,
}

impl<'a> RealCluster<'a> {
    pub fn new(
        settings: &KafkaSettings,
        script: &Script,
        names: Names,
        barrier: &'a Barrier,
    ) -> Self {
        let mut cluster = Self {
            settings: settings.clone(),
            script: script.name.clone(),
            members: Members::new(settings, script, &names[0]),
            names,
            bases: BTreeMap::new(),
            marks: Fetcher::new(settings, "marks").expect("a consumer"),
            producers: BTreeMap::new(),
            barrier,
            is_ending: false,
            begun: Instant::now(),
        };
        if !super::is_of_group(script) {
            for place in script.places() {
                // Nothing is open there: this end is the end.
                let base = cluster.stable(place);
                cluster.bases.insert(place, base);
            }
        }
        cluster
    }

    fn topic(&self, topic: Topic) -> &str {
        match topic {
            Topic::X => &self.names[0],
            Topic::Y => &self.names[1],
        }
    }

    fn base(&self, place: Place) -> i64 {
        self.bases.get(&place).copied().unwrap_or(0)
    }

    /// Begin and end of a partition, as a read_uncommitted client is told.
    fn high(&self, (topic, partition): Place) -> (i64, i64) {
        let name = self.topic(topic);
        let marks = uncommitted_watermarks(&self.settings, name, partition, REQUEST);
        marks.expect("the broker answers")
    }

    fn stable(&self, (topic, partition): Place) -> i64 {
        let marks = self.marks.watermarks(self.topic(topic), partition, REQUEST);
        marks.expect("the broker answers").1
    }

    fn settle(&mut self) {
        if std::mem::take(&mut self.is_ending) {
            self.barrier.pass();
        }
    }

    fn stepwise(&self, id: &str, open: Duration) -> Result<Claimed, KafkaError> {
        Stepwise::claim(&self.settings, id, open).map(Claimed::Stepwise)
    }
}

fn said_of(error: &KafkaError) -> Said {
    match classify(error) {
        Class::Fenced => Said::Fenced,
        _ => Said::Unknown,
    }
}

impl Cluster for RealCluster<'_> {
    fn claim(&mut self, producer: &str, id: &str, claimant: Claimant) -> Said {
        let id = format!("{}-{id}", self.script);
        let claimed = match claimant {
            Claimant::Task => {
                let observed = Some(self.topic(Topic::Y).to_owned());
                TransactionalProducer::claim(&self.settings, &id, observed, REQUEST)
                    .map(Claimed::Task)
            }
            Claimant::Stepwise => self.stepwise(&id, self.settings.transaction_timeout),
            Claimant::Expiring => self.stepwise(&id, EXPIRING),
        };
        self.producers.remove(producer);
        match claimed {
            Ok(claimed) => {
                self.producers.insert(producer.to_owned(), claimed);
                Said::Claimed
            }
            Err(error) => said_of(&error),
        }
    }

    fn transact(&mut self, producer: &str, writes: &[Write]) -> (Said, Option<i64>) {
        self.settle();
        let Some(Claimed::Task(claimed)) = self.producers.get(producer) else {
            return (Said::Gone, None);
        };
        let records = writes.iter().map(|write| Outgoing {
            topic: self.topic(write.place.0),
            partition: write.place.1,
            key: Some(write.key.as_bytes()),
            value: write.value.as_deref().map(str::as_bytes),
        });
        let outcome = claimed.commit(records);
        self.is_ending = true;
        match outcome {
            Outcome::Committed { append_time_ms } => {
                (Said::Committed, append_time_ms.map(|ms| ms * 1_000))
            }
            Outcome::Aborted(_) => (Said::Aborted, None),
            Outcome::Fenced(_) => (Said::Fenced, None),
            Outcome::Unknown(_) => (Said::Unknown, None),
        }
    }

    fn send(&mut self, producer: &str, write: &Write) -> Said {
        self.settle();
        let topic = self.topic(write.place.0).to_owned();
        let base = self.base(write.place);
        let Some(Claimed::Stepwise(claimed)) = self.producers.get_mut(producer) else {
            return Said::Gone;
        };
        let at = (topic.as_str(), write.place.1);
        match claimed.send(at, &write.key, write.value.as_deref()) {
            Ok(offset) => Said::At(offset - base),
            Err(_) => Said::Refused,
        }
    }

    fn end(&mut self, producer: &str, commit: bool) -> Said {
        let Some(Claimed::Stepwise(claimed)) = self.producers.get_mut(producer) else {
            return Said::Gone;
        };
        self.is_ending = true;
        match claimed.end(commit) {
            Ok(()) if commit => Said::Committed,
            Ok(()) => Said::Aborted,
            Err(error) => said_of(&error),
        }
    }

    fn expire(&mut self, _producer: &str) {
        let places: Vec<Place> = self.bases.keys().copied().collect();
        for place in places {
            eventually("what was open for too long is aborted", || {
                self.stable(place) == self.high(place).1
            });
        }
    }

    fn marks(&mut self, place: Place) -> Marks {
        self.settle();
        let (base, (begin, high)) = (self.base(place), self.high(place));
        Marks {
            // What stood there before the script began is none of its business.
            begin: begin.max(base) - base,
            high: high - base,
            stable: self.stable(place) - base,
        }
    }

    fn read(&mut self, place: Place, from: Option<i64>) -> Reading {
        self.settle();
        let base = self.base(place);
        let from = from.map_or(-1, |from| from + base);
        // The client tells the end, or that the offset is out of range; of what lies between it says nothing.
        let is_blind = from > self.stable(place) && from <= self.high(place).1;
        let (name, partition) = (self.topic(place.0).to_owned(), place.1);
        // A client of its own: what one says of an assignment may come after the next one.
        let fetcher = Fetcher::new(&self.settings, "reader").expect("a consumer");
        let assigned = fetcher.assign(&[(name.clone(), partition, from)]);
        assigned.expect("an assignment");
        let following = |position: Option<i64>| match position {
            Some(position) => Following::Position(position - base),
            None => Following::Unknown,
        };
        let begun = Instant::now();
        let mut records = Vec::new();
        let following = loop {
            match fetcher.poll(Duration::from_millis(50)) {
                Polled::Record(message) => {
                    let incoming = Incoming::of(&message);
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    records.push(Seen {
                        offset: incoming.offset - base,
                        timestamp_us: incoming.timestamp_us,
                        key: incoming.key.map(text).unwrap_or_default(),
                        value: incoming.value.map(text),
                    });
                }
                Polled::OutOfRange => break Following::OutOfRange,
                Polled::Trouble(KafkaError::PartitionEOF(_)) => {
                    break following(fetcher.position(&name, partition));
                }
                Polled::Nothing if is_blind && begun.elapsed() > QUIET => {
                    break following(fetcher.position(&name, partition));
                }
                Polled::Nothing | Polled::Trouble(_) if begun.elapsed() > REQUEST => {
                    break Following::NotReached;
                }
                Polled::Nothing | Polled::Trouble(_) => {}
            }
        };
        Reading { records, following }
    }

    fn trim(&mut self, place: Place, before: i64) {
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(before + self.base(place));
        list.add_partition_offset(self.topic(place.0), place.1, offset)
            .expect("an offset");
        let admin: AdminClient<DefaultClientContext> =
            self.settings.client("trim").create().expect("a client");
        let trimmed = block_on(admin.delete_records(&list, &AdminOptions::new()));
        trimmed.expect("the broker removes records");
    }

    /// Of the key `plug` a script writes two records, after all that it looks at: once the first is gone, so is whatever
    /// was written before it and is to go.
    fn compact(&mut self, place: Place) {
        eventually("the partition is compacted", || {
            let records = self.read(place, Some(0)).records;
            records.iter().filter(|record| record.key == "plug").count() == 1
        });
    }

    fn join(&mut self, member: &str) {
        self.members.join(member);
    }

    fn leave(&mut self, member: &str) {
        self.members.leave(member);
    }

    /// The client gives up by itself when it is not polled.
    fn silence(&mut self, _member: &str) {}

    fn wake(&mut self, _member: &str) {}

    fn poll(&mut self, member: &str) -> Option<Rebalance<i32>> {
        self.members.poll(member)
    }

    fn obey(&mut self, member: &str, said: &Rebalance<i32>) {
        self.members.obey(member, said);
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}
