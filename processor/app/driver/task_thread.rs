//! One task, from claim to close, on a thread of its own.
//!
//! Claim (which fences every older owner), restore, then fetch and commit as the engine says. After anything but
//! a known commit everything is dropped, and the task is claimed again after a backoff if it is still ours.

use super::Shared;
use super::backoff::Backoff;
use super::control::{Control, Signal};
use super::kinds::StageKind;
use super::task_meter::{self, TaskMeter};
use crate::clock::elapsed_us;
use crate::kafka::fetch::{Fetcher, Incoming, Polled};
use crate::kafka::restore::uncommitted_watermarks;
use crate::kafka::transaction::{Outcome, Outgoing, TransactionalProducer};
use crate::telemetry::health::TaskStatus;
use anyhow::Context as _;
use rollcall_codec::{Encoder, SchemaIds};
use rollcall_engine::record::{InputRecord, TopicIndex};
use rollcall_engine::task::{
    Action, CommitOutcome, LostReason, RestoreStatus, RestoreTarget, State, Task, TaskError,
};
use rollcall_stages::layout::TOPICS;
use rollcall_stages::{SchemaLookup, Stage};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How long one request to a broker may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a transaction may take to be written and committed, at first. The broker's own timeout is longer.
const TRANSACTION: Duration = Duration::from_secs(10);
/// How often the time for a transaction may be doubled, after ones that did not commit.
const DOUBLINGS_MAX: u32 = 3;
/// How long a schema counts as unknown before the registry is asked again: a registry's follower may have lagged.
const ASK_AGAIN_US: i64 = 30_000_000;
/// Records that are restored between two looks at how far the client has read, while more keep coming.
const RECORDS_PER_POSITION: u64 = 1_000;
/// How soon a signal is noticed.
const STEP: Duration = Duration::from_millis(50);

/// Everything that one task's thread works with.
pub(crate) struct TaskThread<K: StageKind> {
    pub(crate) kind: Arc<K>,
    pub(crate) partition: i32,
    pub(crate) shared: Shared,
    pub(crate) control: Control,
    /// The next input offset as committed, for lag displays; −1 before the first commit.
    pub(crate) committed: Arc<AtomicI64>,
}

/// What is known of how claims fare, from one to the next.
struct Fortune {
    backoff: Backoff,
    /// How often the time for a transaction has been doubled: what did not fit into it is tried again whole.
    doublings: u32,
}

/// Clients that live as long as a claim.
struct Clients {
    /// Whether this claim has committed anything.
    has_committed: Cell<bool>,
    producer: TransactionalProducer,
    input: Fetcher,
    input_topic: String,
    topics: Vec<String>,
    meter: RefCell<TaskMeter>,
    /// When schemas that the registry did not know are looked up anew.
    ask_again_us: Cell<Option<i64>>,
}

impl<K: StageKind> TaskThread<K> {
    /// Runs until the control says otherwise.
    pub(crate) fn run(self) {
        let mut fortune = Fortune {
            backoff: Backoff::new(),
            doublings: 0,
        };
        while self.control.signal() == Signal::Run {
            if !self.kind.is_ready() {
                self.wait_for("the directory of users is being read", &mut fortune.backoff);
                continue;
            }
            self.status(TaskStatus::Starting);
            let mut task = Task::new(self.kind.task_config());
            match self.live(&mut task, &mut fortune) {
                Ok(()) if task.state() == State::Closed => break,
                Ok(()) => {}
                Err(error) => {
                    let _ = task.handle_lost(LostReason::ClaimFailed);
                    self.count_loss(task.lost_reason());
                    tracing::warn!(
                        stage = self.kind.name(),
                        partition = self.partition,
                        error = format!("{error:#}"),
                        "the task stopped; claiming it again"
                    );
                    self.wait_for(&format!("{error:#}"), &mut fortune.backoff);
                    continue;
                }
            }
            if let Some(reason) = task.halt_reason() {
                self.halt(reason);
                break;
            }
            self.count_loss(task.lost_reason());
            let reason = format!("{:?}", task.lost_reason());
            tracing::warn!(
                stage = self.kind.name(),
                partition = self.partition,
                reason,
                "the task lost its state; claiming it again"
            );
            self.wait_for(&reason, &mut fortune.backoff);
        }
    }

    fn count_loss(&self, reason: Option<LostReason>) {
        if let Some(reason) = reason {
            let telemetry = &self.shared.telemetry;
            task_meter::lost(telemetry, self.kind.name(), self.partition, reason);
        }
    }

    fn status(&self, status: TaskStatus) {
        let health = &self.shared.telemetry.health;
        health.set(self.kind.name(), self.partition, status);
    }

    fn wait_for(&self, what: &str, backoff: &mut Backoff) {
        self.status(TaskStatus::Waiting(what.to_owned()));
        backoff.wait(&self.control);
    }

    /// Stands still until a person helps, still a member of the group, so that nobody else halts in turn.
    fn halt(&self, reason: &str) {
        tracing::error!(
            stage = self.kind.name(),
            partition = self.partition,
            reason,
            "the task halted; it needs a person"
        );
        self.status(TaskStatus::Halted(reason.to_owned()));
        while self.control.signal() == Signal::Run {
            std::thread::sleep(STEP);
        }
    }

    /// One claim's life. Ends with the task closed, lost or halted, or with an error on the way there.
    fn live(&self, task: &mut Task<K::Stage>, fortune: &mut Fortune) -> anyhow::Result<()> {
        let ids = self.shared.registry.schema_ids()?;
        let timeout = TRANSACTION * 2_u32.pow(fortune.doublings);
        let clients = self.claim(task, &ids, timeout)?;
        if !self.restore(task, &clients)? {
            return Ok(());
        }
        self.status(TaskStatus::Running);
        while task.state().has_processor() {
            self.obey(task);
            self.step(task, &clients)?;
            if clients.has_committed.get() {
                fortune.backoff.reset();
                fortune.doublings = 0;
            }
        }
        if task.lost_reason().is_some() && !clients.has_committed.get() {
            fortune.doublings = (fortune.doublings + 1).min(DOUBLINGS_MAX);
        }
        Ok(())
    }

    fn claim(
        &self,
        task: &mut Task<K::Stage>,
        ids: &SchemaIds,
        timeout: Duration,
    ) -> anyhow::Result<Clients> {
        let kafka = &self.shared.kafka;
        let id = format!(
            "{}-{}-{}",
            kafka.deployment,
            self.kind.name(),
            self.partition
        );
        let meter = TaskMeter::begin(&self.shared.telemetry, self.kind.name(), self.partition);
        task.claim(self.kind.make(self.partition, Encoder::new(ids)))?;
        let observed = self.kind.observed().map(|topic| kafka.topic(topic.name));
        let producer = TransactionalProducer::claim(kafka, &id, observed, timeout)
            .with_context(|| format!("{id} can't be claimed"))?;
        let mut targets = Vec::new();
        for (topic, partition) in self.kind.state(self.partition) {
            let name = kafka.topic(topic.name);
            let (begin_offset, end_offset) =
                uncommitted_watermarks(kafka, &name, partition, REQUEST)
                    .with_context(|| format!("the ends of {name}[{partition}] can't be read"))?;
            targets.push(RestoreTarget {
                topic: topic.index,
                partition,
                begin_offset,
                end_offset,
            });
        }
        task.handle_claimed(elapsed_us(), targets)?;
        let input = Fetcher::new(kafka, &id).context("the input's consumer can't be made")?;
        Ok(Clients {
            has_committed: Cell::new(false),
            producer,
            input,
            input_topic: kafka.topic(self.kind.input().name),
            topics: self.shared.topic_names(),
            meter: RefCell::new(meter),
            ask_again_us: Cell::new(None),
        })
    }

    /// Reads the state back. `false`: the task ended on the way.
    fn restore(&self, task: &mut Task<K::Stage>, clients: &Clients) -> anyhow::Result<bool> {
        let fetcher = Fetcher::new(&self.shared.kafka, "restore")
            .context("the restore's consumer can't be made")?;
        let sources: Vec<(TopicIndex, String, i32)> = self
            .kind
            .state(self.partition)
            .into_iter()
            .map(|(topic, partition)| (topic.index, self.shared.kafka.topic(topic.name), partition))
            .collect();
        let assignment: Vec<_> = sources
            .iter()
            .map(|(_, topic, partition)| (topic.clone(), *partition, -1))
            .collect();
        fetcher.assign(&assignment)?;
        let mut records: u64 = 0;
        loop {
            self.obey(task);
            if task.state() != State::Restoring {
                return Ok(false);
            }
            if let Some(next_offset) = self.poll_restored(task)? {
                return self
                    .start(task, clients, next_offset)
                    .map(|()| task.state() == State::Running);
            }
            if let Polled::Record(message) = fetcher.poll(Duration::from_millis(20)) {
                let incoming = Incoming::of(&message);
                let index = sources
                    .iter()
                    .find(|(_, topic, _)| topic == incoming.topic)
                    .map(|(index, ..)| *index);
                if let Some(index) = index {
                    clients.meter.borrow_mut().restored_record();
                    if !self.learn(task, clients, index, incoming.value, None) {
                        return Ok(false);
                    }
                    accept(task.handle_restore_record(
                        index,
                        incoming.key.unwrap_or_default(),
                        incoming.value,
                    ))?;
                }
                records += 1;
                // The client answers from another of its threads, and not for nothing.
                if !records.is_multiple_of(RECORDS_PER_POSITION) {
                    continue;
                }
            }
            for (index, topic, partition) in &sources {
                if task.state() == State::Restoring
                    && let Some(position) = fetcher.position(topic, *partition)
                {
                    task.handle_restore_position(elapsed_us(), *index, position)?;
                }
            }
        }
    }

    /// `Some`: restored, and where to begin.
    fn poll_restored(&self, task: &mut Task<K::Stage>) -> anyhow::Result<Option<Option<i64>>> {
        match task.poll_restored(elapsed_us()) {
            Ok(RestoreStatus::Restored { next_offset }) => Ok(Some(next_offset)),
            Ok(RestoreStatus::Restoring { .. }) => Ok(None),
            Ok(RestoreStatus::Stalled(stalled)) => Err(anyhow::anyhow!(
                "restoring {topic}[{partition}] stands at offset {} of {}: its broker is away, or a transaction was left open there (decision 0005); \
                 `kafka-transactions.sh describe-producers --topic {topic} --partition {partition}` shows which",
                stalled
                    .position
                    .map_or_else(|| "none".to_owned(), |position| position.to_string()),
                stalled.target.end_offset,
                topic = self.shared.topic_names()[usize::from(stalled.target.topic.0)],
                partition = stalled.target.partition,
            )),
            Err(error) => accept(Err(error)).map(|()| None),
        }
    }

    /// Points the input at where the task goes on.
    fn start(
        &self,
        task: &mut Task<K::Stage>,
        clients: &Clients,
        next_offset: Option<i64>,
    ) -> anyhow::Result<()> {
        let offset = match next_offset {
            Some(offset) => offset,
            None => {
                clients
                    .input
                    .watermarks(&clients.input_topic, self.partition, REQUEST)?
                    .0
            }
        };
        task.handle_input_position(offset)?;
        clients
            .input
            .assign(&[(clients.input_topic.clone(), self.partition, offset)])?;
        let mut meter = clients.meter.borrow_mut();
        meter.runs(task.processor(), &clients.input_topic, offset);
        tracing::info!(
            stage = self.kind.name(),
            partition = self.partition,
            offset,
            "the task runs"
        );
        Ok(())
    }

    fn obey(&self, task: &mut Task<K::Stage>) {
        let obeyed = match self.control.signal() {
            Signal::Run => return,
            Signal::Drain => task.handle_revoked(),
            Signal::Abandon => task.handle_abandoned(),
        };
        if let Err(error) = obeyed {
            tracing::debug!(%error, "the task is ending already");
        }
    }

    fn step(&self, task: &mut Task<K::Stage>, clients: &Clients) -> anyhow::Result<()> {
        match task.poll_action(elapsed_us()) {
            Action::Commit => self.commit(task, clients),
            Action::Fetch { until_us } => self.fetch(task, clients, until_us),
            Action::QueryEndOffset => {
                let end = clients
                    .input
                    .watermarks(&clients.input_topic, self.partition, REQUEST)
                    .ok()
                    .map(|(_, end)| end);
                accept(task.handle_end_offset(end))
            }
            Action::Wait { until_us } => {
                std::thread::sleep(wait(until_us));
                Ok(())
            }
        }
    }

    fn fetch(
        &self,
        task: &mut Task<K::Stage>,
        clients: &Clients,
        until_us: i64,
    ) -> anyhow::Result<()> {
        match clients.input.poll(wait(until_us)) {
            Polled::Record(message) => {
                let incoming = Incoming::of(&message);
                let topic = self.kind.input().index;
                let (value, header) = (incoming.value, incoming.schema_header);
                if !self.learn(task, clients, topic, value, header) {
                    return Ok(());
                }
                let record = InputRecord {
                    partition: incoming.partition,
                    offset: incoming.offset,
                    timestamp_us: incoming.timestamp_us,
                    key: incoming.key,
                    value: incoming.value,
                    schema_header: incoming.schema_header,
                };
                match task.handle_record(&record, elapsed_us()) {
                    Err(TaskError::Full) => {
                        self.commit(task, clients)?;
                        if task.state() == State::Running {
                            accept(task.handle_record(&record, elapsed_us()))?;
                            clients.meter.borrow_mut().received(record.timestamp_us);
                        }
                        Ok(())
                    }
                    handled => {
                        accept(handled)?;
                        clients.meter.borrow_mut().received(record.timestamp_us);
                        Ok(())
                    }
                }
            }
            Polled::Nothing => {
                // The position also counts what is no record: the markers of transactions.
                match clients.input.position(&clients.input_topic, self.partition) {
                    Some(position) => accept(task.handle_input_position(position)),
                    None => Ok(()),
                }
            }
            Polled::OutOfRange => accept(task.handle_halt(self.out_of_range(task, clients))),
            Polled::Trouble(error) => {
                tracing::debug!(%error, stage = self.kind.name(), partition = self.partition, "fetching goes on");
                Ok(())
            }
        }
    }

    /// Why the input can't be read on, in words: the log begins behind the task's offset, or ends before it.
    fn out_of_range(&self, task: &Task<K::Stage>, clients: &Clients) -> String {
        let (offset, topic) = (task.next_offset(), &clients.input_topic);
        let place = format!("offset {offset} of {topic}[{}]", self.partition);
        let marks = clients.input.watermarks(topic, self.partition, REQUEST);
        match marks {
            Ok((_, end)) if end < offset => format!(
                "{place} lies behind the end of the log, {end}: the topic was made anew or has lost records; \
                 restore it or begin a new deployment"
            ),
            _ => format!(
                "{place} is no longer in the log: retention has overtaken this task, and what lies between is lost; \
                 restore the topic or begin a new deployment"
            ),
        }
    }

    /// Looks a writer's schema up before its first record; waits as long as the registry can't tell. `false`: told to stop
    /// before that, and the task is abandoned.
    fn learn(
        &self,
        task: &mut Task<K::Stage>,
        clients: &Clients,
        topic: TopicIndex,
        value: Option<&[u8]>,
        header: Option<&[u8]>,
    ) -> bool {
        let ask_again_us = &clients.ask_again_us;
        if ask_again_us
            .get()
            .is_some_and(|at_us| at_us <= elapsed_us())
        {
            ask_again_us.set(None);
            if let Some(stage) = task.processor_mut_for_shell() {
                stage.forget_unknown_schemas();
            }
        }
        let mut backoff = Backoff::new();
        let mut waited = false;
        while let Some(schema) = task
            .processor()
            .and_then(|stage| stage.schema_needed(topic, value, header))
        {
            let layout = &TOPICS[usize::from(topic.0)];
            match self.shared.registry.lookup(layout, schema) {
                Ok(lookup) => {
                    if lookup == SchemaLookup::Unknown && ask_again_us.get().is_none() {
                        ask_again_us.set(Some(elapsed_us() + ASK_AGAIN_US));
                    }
                    if let Some(stage) = task.processor_mut_for_shell() {
                        stage.learn_schema(topic, schema, &lookup);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, stage = self.kind.name(), partition = self.partition, "waiting for the registry");
                    self.wait_for(&error.to_string(), &mut backoff);
                    waited = true;
                    if self.control.signal() != Signal::Run {
                        // The record is not taken: what is uncommitted is dropped, and nothing is lost.
                        let _ = task.handle_abandoned();
                        return false;
                    }
                }
            }
        }
        if waited && task.state() == State::Running {
            self.status(TaskStatus::Running);
        }
        true
    }

    fn commit(&self, task: &mut Task<K::Stage>, clients: &Clients) -> anyhow::Result<()> {
        if let Some(stage) = task.processor_mut_for_shell() {
            self.kind.refresh(stage);
        }
        match task.seal() {
            Ok(_) => {}
            Err(error) => return accept(Err(error)),
        }
        let next_offset = task.next_offset();
        let topics = task.batch().records().iter();
        let topics = topics.map(|record| usize::from(record.topic.0));
        let mut meter = clients.meter.borrow_mut();
        let sealed = meter.sealed(task.processor(), next_offset, topics);
        let begun_us = elapsed_us();
        let records = task.batch().records().iter().map(|record| Outgoing {
            topic: &clients.topics[usize::from(record.topic.0)],
            partition: record.partition,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
        });
        let outcome = match clients.producer.commit(records) {
            Outcome::Committed { append_time_ms } => {
                self.committed.store(next_offset, Ordering::Relaxed);
                clients.has_committed.set(true);
                let now_us = elapsed_us();
                if let Some(sealed) = sealed {
                    meter.committed(sealed, now_us - begun_us);
                }
                accept(task.handle_commit(CommitOutcome::Committed, now_us))?;
                meter.counted(task.processor());
                if let (Some(ms), true) = (append_time_ms, task.state() == State::Running) {
                    accept(task.handle_append_time(ms.saturating_mul(1_000)))?;
                }
                return Ok(());
            }
            Outcome::Aborted(error) => (CommitOutcome::Aborted, error),
            Outcome::Fenced(error) => (CommitOutcome::Fenced, error),
            Outcome::Unknown(error) => (CommitOutcome::Unknown, error),
        };
        meter.not_committed(outcome.0);
        tracing::warn!(error = %outcome.1, outcome = ?outcome.0, stage = self.kind.name(), partition = self.partition, "a transaction did not commit");
        accept(task.handle_commit(outcome.0, elapsed_us()))
    }
}

/// How long to wait until then, at most until the next look at the control.
fn wait(until_us: i64) -> Duration {
    let left = until_us.saturating_sub(elapsed_us()).max(0);
    Duration::from_micros(left as u64).min(STEP)
}

/// A processor's failure has ended the task already; the task's state says how.
fn accept<E>(result: Result<(), TaskError<E>>) -> anyhow::Result<()>
where
    E: std::fmt::Debug + std::fmt::Display + Send + Sync + 'static,
{
    match result {
        Ok(()) => Ok(()),
        Err(TaskError::Processor(error)) => {
            tracing::error!(%error, "the stage failed");
            Ok(())
        }
        Err(error) => Err(anyhow::anyhow!("{error}")),
    }
}
