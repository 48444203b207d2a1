//! A cluster of models: the driver's ports over them, as the simulator fills these, in a world without faults.

use super::cluster::{Cluster, Following, Marks, Reading, Said, Seen};
use super::script::{Claimant, Place, Script, Topic, Write};
use crate::broker::{Broker, Bytes, Refusal};
use crate::executor::{ENVIRONMENT, Executor, ProcessId};
use crate::ports::{Shared, Weather, World};
use crate::run::serve;
use crate::watch::Watch;
use rollcall_driver::ports::{self, Fetcher as _, Kafka as _, Membership as _, Polled, Rebalance};
use rollcall_driver::ports::{Outcome, Received as _, Transactions as _};
use rollcall_engine::record::{OutputRecord, TopicIndex};
use rollcall_simulator::random::Random;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_US: i64 = 10_000_000;
/// How long a transaction may stay open.
const OPEN_US: i64 = 60_000_000;
/// How long tombstones stay.
const TOMBSTONES_US: i64 = 3_600_000_000;
/// For how long a silent member is not heard: until it is woken.
const SILENT_US: i64 = i64::MAX;

type Producer = <World as ports::Kafka>::Transactions;
type Consumer = <World as ports::Kafka>::Fetcher;
type Member = <World as ports::Kafka>::Membership;

/// See the module.
pub struct ModelCluster {
    shared: Rc<Shared>,
    producers: BTreeMap<String, Claimed>,
    members: BTreeMap<String, Joined>,
}

struct Claimed {
    producer: Rc<Producer>,
    /// Whether a stepwise producer has a transaction.
    is_open: bool,
}

struct Joined {
    process: ProcessId,
    member: Rc<Member>,
}

impl ModelCluster {
    /// The models for a script.
    #[must_use]
    pub fn new(script: &Script, seed: u64) -> Self {
        let shared = Rc::new(Shared {
            executor: Executor::new(),
            random: RefCell::new(Random::new(seed, 0)),
            broker: RefCell::new(Broker::new(&script.partitions, OPEN_US)),
            database: RefCell::default(),
            groups: RefCell::default(),
            weather: RefCell::new(Weather {
                delay_us: 1_000,
                ..Weather::default()
            }),
            watch: RefCell::new(Watch::new(false)),
        });
        let executor = Rc::clone(&shared.executor);
        executor.spawn(ENVIRONMENT, serve(Rc::clone(&shared)));
        Self {
            shared,
            producers: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }

    fn world(&self, process: ProcessId) -> World {
        World {
            shared: Rc::clone(&self.shared),
            process,
        }
    }

    /// Lets the world go on until this is done.
    fn wait<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let done = Rc::new(RefCell::new(None));
        let result = Rc::clone(&done);
        self.shared.executor.spawn(ENVIRONMENT, async move {
            let value = future.await;
            *result.borrow_mut() = Some(value);
        });
        loop {
            if let Some(value) = done.borrow_mut().take() {
                return value;
            }
            assert!(self.shared.executor.step(), "the broker never rests");
        }
    }

    fn pause(&self, time_us: i64) {
        let executor = Rc::clone(&self.shared.executor);
        self.wait(async move { executor.sleep(time_us).await });
    }

    /// Waits until the markers of all transactions that have ended are written.
    fn settle(&self) {
        while self.shared.broker.borrow().is_ending() {
            self.pause(1_000);
        }
    }

    fn deadline_us(&self) -> i64 {
        self.shared.executor.now_us() + TIMEOUT_US
    }
}

fn index(topic: Topic) -> TopicIndex {
    match topic {
        Topic::X => TopicIndex(0),
        Topic::Y => TopicIndex(1),
    }
}

fn at((topic, partition): Place) -> ports::Place {
    (index(topic), partition)
}

fn outgoing(write: &Write) -> OutputRecord {
    OutputRecord {
        topic: index(write.place.0),
        partition: write.place.1,
        key: Some(write.key.clone().into_bytes()),
        value: write.value.clone().map(String::into_bytes),
    }
}

fn bytes(text: &str) -> Bytes {
    Some(Rc::from(text.as_bytes()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Cluster for ModelCluster {
    fn claim(&mut self, producer: &str, id: &str, claimant: Claimant) -> Said {
        let (world, id) = (self.world(ENVIRONMENT), id.to_owned());
        let observed = (claimant == Claimant::Task).then(|| index(Topic::Y));
        let claim = self.wait(async move { world.claim(&id, observed, TIMEOUT).await });
        self.producers.remove(producer);
        let Ok(claim) = claim else {
            return Said::Unknown;
        };
        let claimed = Claimed {
            producer: Rc::new(claim),
            is_open: false,
        };
        self.producers.insert(producer.to_owned(), claimed);
        Said::Claimed
    }

    fn transact(&mut self, producer: &str, writes: &[Write]) -> (Said, Option<i64>) {
        self.settle();
        let Some(claimed) = self.producers.get(producer) else {
            return (Said::Gone, None);
        };
        let claim = Rc::clone(&claimed.producer);
        let records: Vec<OutputRecord> = writes.iter().map(outgoing).collect();
        match self.wait(async move { claim.commit(&records).await }) {
            Outcome::Committed { append_time_us } => (Said::Committed, append_time_us),
            Outcome::Aborted(_) => (Said::Aborted, None),
            Outcome::Fenced(_) => (Said::Fenced, None),
            Outcome::Unknown(_) => (Said::Unknown, None),
        }
    }

    fn send(&mut self, producer: &str, write: &Write) -> Said {
        self.settle();
        let deadline_us = self.deadline_us();
        let Some(claimed) = self.producers.get_mut(producer) else {
            return Said::Gone;
        };
        claimed.is_open = true;
        let claim = Rc::clone(&claimed.producer);
        let place = at(write.place);
        let record = (bytes(&write.key), write.value.as_deref().and_then(bytes));
        let sent = self.wait(async move { claim.deliver(place, &[record], deadline_us).await });
        match sent {
            Ok(_) => Said::At(self.shared.broker.borrow().log(place).end - 1),
            Err(_) => Said::Refused,
        }
    }

    fn end(&mut self, producer: &str, commit: bool) -> Said {
        let deadline_us = self.deadline_us();
        let Some(claimed) = self.producers.get_mut(producer) else {
            return Said::Gone;
        };
        let claim = Rc::clone(&claimed.producer);
        // Of a transaction without records only its client knows.
        let ended = match std::mem::take(&mut claimed.is_open) {
            true => self.wait(async move { claim.end(commit, deadline_us).await }),
            false => Some(Ok(())),
        };
        match (ended, commit) {
            (Some(Ok(())), true) => Said::Committed,
            (Some(Ok(())), false) => Said::Aborted,
            (Some(Err(Refusal::Fenced)), _) => Said::Fenced,
            (Some(Err(Refusal::Busy)) | None, _) => Said::Unknown,
        }
    }

    fn expire(&mut self, _producer: &str) {
        self.pause(OPEN_US + 1_000_000);
    }

    fn marks(&mut self, place: Place) -> Marks {
        self.settle();
        let (world, place) = (self.world(ENVIRONMENT), at(place));
        self.wait(async move {
            let committed = world.fetcher("marks").expect("models make no trouble");
            let marks = committed.watermarks(place, TIMEOUT).await;
            let (_, stable) = marks.expect("the broker is there");
            let marks = world.uncommitted_watermarks(place, TIMEOUT).await;
            let (begin, high) = marks.expect("the broker is there");
            Marks {
                begin,
                high,
                stable,
            }
        })
    }

    fn read(&mut self, place: Place, from: Option<i64>) -> Reading {
        self.settle();
        let (world, place) = (self.world(ENVIRONMENT), at(place));
        let consumer = world.fetcher("read").expect("models make no trouble");
        let assigned = consumer.assign(&[(place, from.unwrap_or(-1))]);
        assigned.expect("models make no trouble");
        self.wait(read_on(consumer, place))
    }

    fn trim(&mut self, place: Place, before: i64) {
        let mut broker = self.shared.broker.borrow_mut();
        broker.trim(at(place), before);
    }

    fn compact(&mut self, place: Place) {
        self.settle();
        let now_us = self.shared.broker_time_us();
        let mut broker = self.shared.broker.borrow_mut();
        broker.compact(at(place), now_us, 1, TOMBSTONES_US);
    }

    fn join(&mut self, member: &str) {
        let process = self.shared.executor.new_process();
        let joined = self.world(process).join("group", &[index(Topic::X)]);
        let joined = Joined {
            process,
            member: Rc::new(joined.expect("models make no trouble")),
        };
        self.members.insert(member.to_owned(), joined);
    }

    fn leave(&mut self, member: &str) {
        self.members.remove(member);
    }

    fn silence(&mut self, member: &str) {
        if let Some(joined) = self.members.get(member) {
            let mut weather = self.shared.weather.borrow_mut();
            weather.unheard_until_us.insert(joined.process, SILENT_US);
        }
    }

    fn wake(&mut self, member: &str) {
        if let Some(joined) = self.members.get(member) {
            let mut weather = self.shared.weather.borrow_mut();
            weather.unheard_until_us.remove(&joined.process);
        }
    }

    fn poll(&mut self, member: &str) -> Option<Rebalance<i32>> {
        let member = Rc::clone(&self.members.get(member)?.member);
        let timeout = Duration::from_millis(20);
        let said = self.wait(async move { member.poll(timeout).await })?;
        let partitions = |places: Vec<ports::Place>| places.into_iter().map(|p| p.1).collect();
        Some(match said {
            Rebalance::Assigned(places) => Rebalance::Assigned(partitions(places)),
            Rebalance::Revoked { places, lost } => Rebalance::Revoked {
                places: partitions(places),
                lost,
            },
        })
    }

    fn obey(&mut self, member: &str, said: &Rebalance<i32>) {
        let Some(joined) = self.members.get(member) else {
            return;
        };
        let places = |partitions: &[i32]| -> Vec<ports::Place> {
            let of_x = |partition: &i32| (index(Topic::X), *partition);
            partitions.iter().map(of_x).collect()
        };
        joined.member.obey(&match said {
            Rebalance::Assigned(partitions) => Rebalance::Assigned(places(partitions)),
            Rebalance::Revoked {
                places: partitions,
                lost,
            } => Rebalance::Revoked {
                places: places(partitions),
                lost: *lost,
            },
        });
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.shared.executor.now_us() as u64)
    }
}

/// Reads until nothing more comes.
async fn read_on(consumer: Consumer, place: ports::Place) -> Reading {
    let mut records = Vec::new();
    let following = loop {
        match consumer.poll(Duration::from_millis(100)).await {
            Polled::Record(received) => {
                let record = received.record();
                records.push(Seen {
                    offset: record.offset,
                    timestamp_us: record.timestamp_us,
                    key: record.key.map(text).unwrap_or_default(),
                    value: record.value.map(text),
                });
            }
            Polled::OutOfRange => break Following::OutOfRange,
            Polled::Nothing => {
                let position = consumer.position(place);
                break position.map_or(Following::Unknown, Following::Position);
            }
            Polled::Trouble(_) => break Following::NotReached,
        }
    };
    Reading { records, following }
}
