//! Kafka as a process sees it: producers, consumers and members over the models of broker and groups.

use super::{DEPLOYMENT, World};
use crate::broker::{Broker, Bytes, Refusal};
use crate::group::{Group, MemberId};
use anyhow::anyhow;
use rollcall_driver::ports::{
    Fetcher, Kafka, Membership, Outcome, Place, Polled, Rebalance, Received, Transactions,
};
use rollcall_engine::record::{InputRecord, OutputRecord, TopicIndex};
use rollcall_stages::layout::TOPICS;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

impl Kafka for World {
    type Transactions = Producer;
    type Fetcher = Consumer;
    type Membership = Member;

    fn deployment(&self) -> &str {
        DEPLOYMENT
    }

    fn topic_name(&self, topic: TopicIndex) -> &str {
        TOPICS[usize::from(topic.0)].name
    }

    async fn claim(
        &self,
        transactional_id: &str,
        observed: Option<TopicIndex>,
        timeout: Duration,
    ) -> anyhow::Result<Producer> {
        let timeout_us = timeout.as_micros() as i64;
        let deadline_us = self.now_us() + timeout_us;
        // A coordinator may be busy with something else at first.
        let busy_us = {
            let mut random = self.shared.random.borrow_mut();
            let is_busy = random.chance(200_000);
            if is_busy {
                random.between(0, 3_000_000)
            } else {
                0
            }
        };
        self.pause(busy_us).await;
        loop {
            let claim = |broker: &mut Broker| broker.claim(transactional_id);
            match self.ask(deadline_us, claim).await {
                Some(Ok(epoch)) => {
                    return Ok(Producer {
                        world: self.clone(),
                        task: transactional_id.to_owned(),
                        epoch,
                        observed,
                        timeout_us,
                        batches: Cell::new(0),
                        broken: Cell::new(None),
                    });
                }
                Some(Err(Refusal::Busy)) if self.now_us() < deadline_us => self.pause(20_000).await,
                Some(Err(refusal)) => anyhow::bail!("the claim is refused: {refusal:?}"),
                None => anyhow::bail!("the coordinator does not answer"),
            }
        }
    }

    async fn uncommitted_watermarks(
        &self,
        place: Place,
        timeout: Duration,
    ) -> anyhow::Result<(i64, i64)> {
        let marks = |broker: &mut Broker| (broker.log(place).begin, broker.log(place).end);
        self.ask_in_time(timeout, marks).await
    }

    fn fetcher(&self, _role: &str) -> anyhow::Result<Consumer> {
        Ok(Consumer {
            world: self.clone(),
            positions: RefCell::default(),
        })
    }

    fn join(&self, stage: &str, topics: &[TopicIndex]) -> anyhow::Result<Member> {
        let mut groups = self.shared.groups.borrow_mut();
        let broker = self.shared.broker.borrow();
        let places = topics.iter().flat_map(|topic| broker.partitions(*topic));
        let group = groups
            .entry(stage.to_owned())
            .or_insert_with(|| Group::new(places, 6_000_000));
        Ok(Member {
            world: self.clone(),
            stage: stage.to_owned(),
            id: group.join(self.process, self.now_us()),
        })
    }
}

/// Why a client begins no transaction any more.
#[derive(Clone, Copy, Debug)]
enum Broken {
    Fenced,
    Unknown,
}

/// A claim's producer.
pub(crate) struct Producer {
    world: World,
    task: String,
    epoch: i64,
    observed: Option<TopicIndex>,
    timeout_us: i64,
    batches: Cell<u64>,
    /// How the last transaction ended, if not as it should: the client begins no other.
    broken: Cell<Option<Broken>>,
}

impl Producer {
    /// Aborts as far as that can be done, and says what is known then.
    async fn abort(&self, error: anyhow::Error) -> Outcome {
        let deadline_us = self.world.now_us() + self.timeout_us;
        match self.end(false, deadline_us).await {
            Some(Ok(())) => Outcome::Aborted(error),
            Some(Err(_)) => Outcome::Fenced(error),
            None => Outcome::Unknown(error),
        }
    }
}

impl Transactions for Producer {
    async fn commit(&self, records: &[OutputRecord]) -> Outcome {
        match self.broken.replace(Some(Broken::Unknown)) {
            None => {}
            Some(Broken::Fenced) => {
                self.broken.set(Some(Broken::Fenced));
                return Outcome::Fenced(anyhow!("fenced before"));
            }
            Some(Broken::Unknown) => {
                return Outcome::Unknown(anyhow!("the transaction before has not ended"));
            }
        }
        let outcome = self.write(records).await;
        // After an abort a client may begin anew.
        self.broken.set(match outcome {
            Outcome::Committed { .. } | Outcome::Aborted(_) => None,
            Outcome::Fenced(_) => Some(Broken::Fenced),
            Outcome::Unknown(_) => Some(Broken::Unknown),
        });
        outcome
    }
}

impl Producer {
    async fn write(&self, records: &[OutputRecord]) -> Outcome {
        if records.is_empty() {
            // Of a transaction without records no broker hears.
            let append_time_us = None;
            return Outcome::Committed { append_time_us };
        }
        let shared = &self.world.shared;
        let deadline_us = self.world.now_us() + self.timeout_us;
        let mut batches: BTreeMap<Place, Vec<(Bytes, Bytes)>> = BTreeMap::new();
        for record in records {
            let bytes = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(Rc::from);
            let place = (record.topic, record.partition);
            let of_place = batches.entry(place).or_default();
            of_place.push((bytes(&record.key), bytes(&record.value)));
        }
        // Partitions are written side by side, in any order.
        let mut batches: Vec<_> = batches.into_iter().collect();
        for last in (1..batches.len()).rev() {
            let other = shared.random.borrow_mut().below(last as u64 + 1) as usize;
            batches.swap(last, other);
        }
        let mut append_time_us: Option<i64> = None;
        for (place, records) in &batches {
            match self.deliver(*place, records, deadline_us).await {
                Ok(time_us) if self.observed == Some(place.0) => {
                    let earliest = append_time_us.unwrap_or(time_us).min(time_us);
                    append_time_us = Some(earliest);
                }
                Ok(_) => {}
                Err(Some(Refusal::Fenced)) => return Outcome::Fenced(anyhow!("fenced")),
                Err(Some(Refusal::Busy) | None) => {
                    return self.abort(anyhow!("a batch was not delivered")).await;
                }
            }
        }
        match self.end(true, deadline_us).await {
            Some(Ok(())) => Outcome::Committed { append_time_us },
            Some(Err(_)) => Outcome::Fenced(anyhow!("fenced")),
            None => Outcome::Unknown(anyhow!("the commit was not answered")),
        }
    }

    /// Appends a batch in the producer's transaction; the append time of the transaction's first one there. An error says
    /// what was refused, or that no answer came.
    pub(crate) async fn deliver(
        &self,
        place: Place,
        records: &[(Bytes, Bytes)],
        deadline_us: i64,
    ) -> Result<i64, Option<Refusal>> {
        let batch = self.batches.replace(self.batches.get() + 1) + 1;
        loop {
            let produce = |broker: &mut Broker| {
                let now_us = self.world.shared.broker_time_us();
                broker.produce(&self.task, self.epoch, (place, batch), now_us, records)
            };
            match self.world.ask(deadline_us, produce).await {
                Some(Err(Refusal::Busy)) if self.world.now_us() < deadline_us => {
                    self.world.pause(10_000).await;
                }
                Some(answer) => return answer.map_err(Some),
                None => return Err(None),
            }
        }
    }

    /// Ends the producer's transaction; `None`: no answer came.
    pub(crate) async fn end(&self, commit: bool, deadline_us: i64) -> Option<Result<(), Refusal>> {
        let end = |broker: &mut Broker| broker.end(&self.task, self.epoch, commit);
        self.world.ask(deadline_us, end).await
    }
}

/// A consumer's place in a partition.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// What is fetched next.
    fetch: i64,
    /// What the client calls its position: the offset after the last record or marker. What was aborted, or compacted
    /// away, does not move it.
    told: Option<i64>,
}

/// A consumer of explicitly assigned partitions.
pub(crate) struct Consumer {
    world: World,
    positions: RefCell<BTreeMap<Place, Position>>,
}

/// A record that was fetched.
pub(crate) struct Record {
    place: Place,
    offset: i64,
    timestamp_us: i64,
    key: Bytes,
    value: Bytes,
}

impl Received for Record {
    fn topic(&self) -> TopicIndex {
        self.place.0
    }

    fn record(&self) -> InputRecord<'_> {
        InputRecord {
            partition: self.place.1,
            offset: self.offset,
            timestamp_us: self.timestamp_us,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            schema_header: None,
        }
    }
}

impl Consumer {
    /// The next committed record of any partition, past markers and what was aborted.
    fn next(&self) -> Option<Polled<Record>> {
        let broker = self.world.shared.broker.borrow();
        let mut positions = self.positions.borrow_mut();
        // Which partition's fetch was answered first is chance.
        let count = positions.len();
        let first = self.world.shared.random.borrow_mut().below(count as u64);
        let turns = (0..count).map(|turn| (turn + first as usize) % count);
        let places: Vec<Place> = positions.keys().copied().collect();
        for place in turns.map(|turn| &places[turn]) {
            let Some(position) = positions.get_mut(place) else {
                continue;
            };
            let log = broker.log(*place);
            if position.fetch < log.begin || position.fetch > log.end {
                return Some(Polled::OutOfRange);
            }
            let stable = broker.last_stable_offset(*place);
            for entry in log.from(position.fetch) {
                if entry.offset >= stable {
                    break;
                }
                position.fetch = entry.offset + 1;
                let Some((key, value)) = &entry.record else {
                    position.told = Some(position.fetch);
                    continue;
                };
                if broker.is_committed(entry) {
                    position.told = Some(position.fetch);
                    return Some(Polled::Record(Record {
                        place: *place,
                        offset: entry.offset,
                        timestamp_us: entry.timestamp_us,
                        key: key.clone(),
                        value: value.clone(),
                    }));
                }
            }
            position.fetch = position.fetch.max(stable);
        }
        None
    }
}

impl Fetcher for Consumer {
    type Record<'a> = Record;

    fn assign(&self, places: &[(Place, i64)]) -> anyhow::Result<()> {
        let broker = self.world.shared.broker.borrow();
        let position = |&(place, offset): &(Place, i64)| {
            let fetch = match offset {
                -1 => broker.log(place).begin,
                offset => offset,
            };
            (place, Position { fetch, told: None })
        };
        *self.positions.borrow_mut() = places.iter().map(position).collect();
        Ok(())
    }

    async fn poll(&self, timeout: Duration) -> Polled<Record> {
        self.world.pause(50).await;
        // A fetch may be under way while nothing is at hand.
        let is_late = self
            .world
            .shared
            .random
            .borrow_mut()
            .chance(self.world.shared.weather.borrow().late);
        if is_late || !self.world.shared.is_fed(self.world.process) {
            self.world.pause(timeout.as_micros() as i64).await;
            return Polled::Nothing;
        }
        if let Some(polled) = self.next() {
            return polled;
        }
        self.world.pause(timeout.as_micros() as i64).await;
        self.next().unwrap_or(Polled::Nothing)
    }

    fn position(&self, place: Place) -> Option<i64> {
        self.positions.borrow().get(&place)?.told
    }

    async fn watermarks(&self, place: Place, timeout: Duration) -> anyhow::Result<(i64, i64)> {
        let marks =
            |broker: &mut Broker| (broker.log(place).begin, broker.last_stable_offset(place));
        self.world.ask_in_time(timeout, marks).await
    }
}

/// A member of a stage's group.
pub(crate) struct Member {
    world: World,
    stage: String,
    id: MemberId,
}

impl Member {
    fn group<T>(&self, with: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let mut groups = self.world.shared.groups.borrow_mut();
        groups.get_mut(&self.stage).map(with)
    }
}

impl Membership for Member {
    async fn poll(&self, timeout: Duration) -> Option<Rebalance> {
        let now_us = self.world.now_us();
        if let Some(said) = self.group(|group| group.poll(self.id, now_us)).flatten() {
            return Some(said);
        }
        self.world.pause(timeout.as_micros() as i64).await;
        let now_us = self.world.now_us();
        self.group(|group| group.poll(self.id, now_us)).flatten()
    }

    fn accept(&self, _places: &[Place]) -> anyhow::Result<()> {
        self.group(|group| group.accept(self.id));
        Ok(())
    }

    fn release(&self, places: &[Place]) -> anyhow::Result<()> {
        self.group(|group| group.release(self.id, places));
        Ok(())
    }

    fn report(&self, _offsets: &[(Place, i64)]) {}
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.world.shared.executor.is_alive(self.world.process) {
            self.group(|group| group.leave(self.id));
        }
    }
}
