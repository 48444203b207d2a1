//! Membership of a consumer group: who should run what. It moves no data; tasks fetch with clients of their own.
//!
//! The rebalance callback only records what the group says and returns; the caller acts on it after the poll,
//! while heartbeats go on. Fencing does not rest on this: claims do (DESIGN, section 5).

use super::client::KafkaSettings;
use crate::telemetry::troubles::Troubles;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(5);

/// A partition of a topic, by its full name.
pub type Place = (String, i32);

/// What the group said.
pub type Rebalance = rollcall_driver::ports::Rebalance<Place>;

/// Records rebalances instead of acting on them, until the member leaves: then they are obeyed at once, for closing
/// a consumer waits until what it was assigned is given back.
#[derive(Default)]
struct Recorder {
    said: Mutex<VecDeque<(bool, Vec<Place>)>>,
    leaving: AtomicBool,
}

impl ClientContext for Recorder {}

impl ConsumerContext for Recorder {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let assigned = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Ordering::Acquire) {
            // What comes late is taken, so that closing can ask for it back.
            let obeyed = match assigned {
                true => consumer.incremental_assign(list),
                false => consumer.incremental_unassign(list),
            };
            if let Err(error) = obeyed {
                tracing::debug!(%error, assigned, "leaving the group");
            }
            return;
        }
        let places = list
            .elements()
            .iter()
            .map(|e| (e.topic().to_owned(), e.partition()))
            .collect();
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back((assigned, places));
    }
}

/// One member of a group.
pub struct Membership {
    /// There until the member leaves.
    consumer: Option<BaseConsumer<Recorder>>,
    group: String,
    /// They are over once the group says something.
    troubles: RefCell<Troubles>,
}

impl Membership {
    /// Joins `group` for `topics`.
    ///
    /// # Errors
    /// If a client property is wrong.
    pub fn join(
        settings: &KafkaSettings,
        group: &str,
        topics: &[&str],
    ) -> Result<Self, KafkaError> {
        let session_ms = settings.session_timeout.as_millis();
        let mut config = settings.client(group);
        config
            .set("group.id", group)
            .set("session.timeout.ms", session_ms.to_string())
            .set(
                "heartbeat.interval.ms",
                (session_ms / 5).max(100).to_string(),
            )
            .set("max.poll.interval.ms", "300000")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Offsets are not the group's to say; nothing is fetched here.
            .set("auto.offset.reset", "latest")
            .set("queued.max.messages.kbytes", "1024")
            .set("fetch.message.max.bytes", "65536");
        settings.tune(&mut config);
        let consumer: BaseConsumer<Recorder> = config.create_with_context(Recorder::default())?;
        consumer.subscribe(topics)?;
        Ok(Self {
            consumer: Some(consumer),
            group: group.to_owned(),
            troubles: RefCell::default(),
        })
    }

    fn consumer(&self) -> &BaseConsumer<Recorder> {
        self.consumer
            .as_ref()
            .expect("a member until it is dropped")
    }

    /// Serves the group for `timeout` at most; what it said, if anything.
    pub fn poll(&self, timeout: Duration) -> Option<Rebalance> {
        // Records that slip through before the pause are nobody's loss: tasks fetch for themselves.
        if let Some(Err(error)) = self.consumer().poll(timeout) {
            self.tell(&error);
        }
        let said = self.said();
        if said.is_some() {
            self.troubles.borrow_mut().are_over();
        }
        said
    }

    /// The client tries again by itself, and fails in the same way again where only a person can help.
    fn tell(&self, error: &KafkaError) {
        let error = error.to_string();
        let is_new = self.troubles.borrow_mut().is_new(&error);
        match is_new {
            true => tracing::warn!(error, group = self.group, "the group can't be served now"),
            false => tracing::debug!(error, group = self.group, "the group still can't be served"),
        }
    }

    /// The next of what the group said.
    fn said(&self) -> Option<Rebalance> {
        let (assigned, places) = self
            .consumer()
            .context()
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()?;
        if assigned {
            Some(Rebalance::Assigned(places))
        } else {
            Some(Rebalance::Revoked {
                places,
                lost: self.consumer().assignment_lost(),
            })
        }
    }

    /// Accepts what was assigned.
    ///
    /// # Errors
    /// If the client refuses.
    pub fn accept(&self, places: &[Place]) -> Result<(), KafkaError> {
        let list = list_of(
            places
                .iter()
                .map(|(topic, partition)| (topic.as_str(), *partition, Offset::End)),
        )?;
        self.consumer().incremental_assign(&list)?;
        self.consumer().pause(&list)
    }

    /// Lets go of what was revoked, once its work is finished or aborted.
    ///
    /// # Errors
    /// If the client refuses.
    pub fn release(&self, places: &[Place]) -> Result<(), KafkaError> {
        let list = list_of(
            places
                .iter()
                .map(|(topic, partition)| (topic.as_str(), *partition, Offset::Invalid)),
        )?;
        self.consumer().incremental_unassign(&list)
    }

    /// Does what the group said, without any work in between: for what came while leaving.
    fn obey(&self, rebalance: &Rebalance) {
        let obeyed = match rebalance {
            Rebalance::Assigned(places) => self.accept(places),
            Rebalance::Revoked { places, .. } => self.release(places),
        };
        if let Err(error) = obeyed {
            tracing::debug!(%error, "leaving the group");
        }
    }

    /// Tells the group how far tasks have come: only for lag displays, lost without harm.
    pub fn report(&self, offsets: &[(Place, i64)]) {
        let list =
            list_of(offsets.iter().map(|((topic, partition), next)| {
                (topic.as_str(), *partition, Offset::Offset(*next))
            }));
        if let Ok(list) = list
            && let Err(error) = self.consumer().commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "offsets for lag displays were not taken");
        }
    }
}

impl Drop for Membership {
    /// Leaves, and waits for it a little. With the broker away, closing may wait for ever for what the group asked for
    /// last; the group then finds out by itself, after the session's timeout.
    fn drop(&mut self) {
        self.consumer()
            .context()
            .leaving
            .store(true, Ordering::Release);
        // What the group said and nobody has acted on; closing then serves the rest through the recorder.
        while let Some(rebalance) = self.said() {
            self.obey(&rebalance);
        }
        let consumer = self.consumer.take();
        let (left, leaving) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(consumer);
            let _ = left.send(());
        });
        if leaving.recv_timeout(LEAVE).is_err() {
            tracing::warn!("leaving a group takes too long; it will find out by itself");
        }
    }
}

fn list_of<'a>(
    places: impl Iterator<Item = (&'a str, i32, Offset)>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in places {
        list.add_partition_offset(topic, partition, offset)?;
    }
    Ok(list)
}
