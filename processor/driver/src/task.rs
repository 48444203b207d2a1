//! One task, from claim to close.
//!
//! Claim (which fences every older owner), restore, then fetch and commit as the engine says. After anything but
//! a known commit everything is dropped, and the task is claimed again after a backoff if it is still ours.

use crate::backoff::Backoff;
use crate::control::{Control, Signal};
use crate::kinds::StageKind;
use crate::ports::{
    Fetcher, Outcome, Place, Polled, Received, TaskMeter, TaskStatus, Transactions, World,
};
use anyhow::Context as _;
use rollcall_codec::{Encoder, SchemaIds};
use rollcall_defects::{Defect, is_on};
use rollcall_engine::record::TopicIndex;
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

/// Everything that one task works with.
pub struct TaskRunner<K: StageKind, W> {
    pub(crate) kind: Arc<K>,
    pub(crate) partition: i32,
    pub(crate) world: W,
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
struct Clients<W: World> {
    /// Whether this claim has committed anything.
    has_committed: Cell<bool>,
    producer: W::Transactions,
    input: W::Fetcher,
    meter: RefCell<W::Meter>,
    /// When schemas that the registry did not know are looked up anew.
    ask_again_us: Cell<Option<i64>>,
}

impl<K: StageKind, W: World> TaskRunner<K, W> {
    /// The stage's name.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        self.kind.name()
    }

    /// The input partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Runs until the control says otherwise.
    pub async fn run(self) {
        let mut fortune = Fortune {
            backoff: Backoff::new(),
            doublings: 0,
        };
        while self.control.signal() == Signal::Run {
            if !self.kind.is_ready() {
                let why = "the directory of users is being read";
                self.wait_for(why, &mut fortune.backoff).await;
                continue;
            }
            self.status(TaskStatus::Starting);
            let mut task = Task::new(self.kind.task_config());
            match self.live(&mut task, &mut fortune).await {
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
                    self.wait_for(&format!("{error:#}"), &mut fortune.backoff)
                        .await;
                    continue;
                }
            }
            if let Some(reason) = task.halt_reason() {
                self.halt(reason).await;
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
            self.wait_for(&reason, &mut fortune.backoff).await;
        }
    }

    fn count_loss(&self, reason: Option<LostReason>) {
        if let Some(reason) = reason {
            self.world.lost(self.kind.name(), self.partition, reason);
        }
    }

    fn status(&self, status: TaskStatus) {
        self.world.status(self.kind.name(), self.partition, status);
    }

    async fn wait_for(&self, what: &str, backoff: &mut Backoff) {
        self.status(TaskStatus::Waiting(what.to_owned()));
        backoff.wait(&self.world, &self.control).await;
    }

    /// Stands still until a person helps, still a member of the group, so that nobody else halts in turn.
    async fn halt(&self, reason: &str) {
        tracing::error!(
            stage = self.kind.name(),
            partition = self.partition,
            reason,
            "the task halted; it needs a person"
        );
        self.status(TaskStatus::Halted(reason.to_owned()));
        while self.control.signal() == Signal::Run {
            self.world.sleep(STEP).await;
        }
    }

    /// One claim's life. Ends with the task closed, lost or halted, or with an error on the way there.
    async fn live(&self, task: &mut Task<K::Stage>, fortune: &mut Fortune) -> anyhow::Result<()> {
        let ids = self.world.schema_ids().await?;
        let timeout = TRANSACTION * 2_u32.pow(fortune.doublings);
        let clients = self.claim(task, &ids, timeout).await?;
        if !self.restore(task, &clients).await? {
            return Ok(());
        }
        self.status(TaskStatus::Running);
        while task.state().has_processor() {
            self.obey(task);
            self.step(task, &clients).await?;
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

    async fn claim(
        &self,
        task: &mut Task<K::Stage>,
        ids: &SchemaIds,
        timeout: Duration,
    ) -> anyhow::Result<Clients<W>> {
        let world = &self.world;
        let id = format!(
            "{}-{}-{}",
            world.deployment(),
            self.kind.name(),
            self.partition
        );
        let meter = world.meter(self.kind.name(), self.partition);
        task.claim(self.kind.make(self.partition, Encoder::new(ids)))?;
        let observed = self.kind.observed().map(|topic| topic.index);
        if is_on(Defect::RestoreBeforeClaim) {
            let targets = self.restore_targets().await?;
            let producer = world.claim(&id, observed, timeout).await?;
            return self.claimed(task, producer, targets, meter, &id);
        }
        let producer = world
            .claim(&id, observed, timeout)
            .await
            .with_context(|| format!("{id} can't be claimed"))?;
        let targets = self.restore_targets().await?;
        self.claimed(task, producer, targets, meter, &id)
    }

    /// The state's partitions and their ends.
    async fn restore_targets(&self) -> anyhow::Result<Vec<RestoreTarget>> {
        let world = &self.world;
        let mut targets = Vec::new();
        for (topic, partition) in self.kind.state(self.partition) {
            let topic = topic.index;
            let (begin_offset, end_offset) = world
                .uncommitted_watermarks((topic, partition), REQUEST)
                .await
                .with_context(|| {
                    let name = world.topic_name(topic);
                    format!("the ends of {name}[{partition}] can't be read")
                })?;
            targets.push(RestoreTarget {
                topic,
                partition,
                begin_offset,
                end_offset,
            });
        }
        Ok(targets)
    }

    /// The claim is made, and the ends are known.
    fn claimed(
        &self,
        task: &mut Task<K::Stage>,
        producer: W::Transactions,
        targets: Vec<RestoreTarget>,
        meter: W::Meter,
        id: &str,
    ) -> anyhow::Result<Clients<W>> {
        let world = &self.world;
        task.handle_claimed(world.elapsed_us(), targets)?;
        let input = world
            .fetcher(id)
            .context("the input's consumer can't be made")?;
        Ok(Clients {
            has_committed: Cell::new(false),
            producer,
            input,
            meter: RefCell::new(meter),
            ask_again_us: Cell::new(None),
        })
    }

    /// Reads the state back. `false`: the task ended on the way.
    async fn restore(
        &self,
        task: &mut Task<K::Stage>,
        clients: &Clients<W>,
    ) -> anyhow::Result<bool> {
        let fetcher = self
            .world
            .fetcher("restore")
            .context("the restore's consumer can't be made")?;
        let sources = self
            .kind
            .state(self.partition)
            .map(|(topic, partition)| (topic.index, partition));
        fetcher.assign(&sources.map(|place| (place, -1)))?;
        let mut records: u64 = 0;
        loop {
            self.obey(task);
            if task.state() != State::Restoring {
                return Ok(false);
            }
            if let Some(next_offset) = self.poll_restored(task)? {
                self.start(task, clients, next_offset).await?;
                return Ok(task.state() == State::Running);
            }
            if let Polled::Record(received) = fetcher.poll(Duration::from_millis(20)).await {
                let (topic, record) = (received.topic(), received.record());
                if sources.iter().any(|(source, _)| *source == topic) {
                    clients.meter.borrow_mut().restored_record();
                    if !self.learn(task, clients, topic, record.value, None).await {
                        return Ok(false);
                    }
                    let key = record.key.unwrap_or_default();
                    accept(task.handle_restore_record(topic, record.offset, key, record.value))?;
                }
                records += 1;
                // The client answers from another of its threads, and not for nothing.
                if !records.is_multiple_of(RECORDS_PER_POSITION) {
                    continue;
                }
            }
            for place in sources {
                if task.state() == State::Restoring
                    && let Some(position) = fetcher.position(place)
                {
                    task.handle_restore_position(self.world.elapsed_us(), place.0, position)?;
                }
            }
        }
    }

    /// `Some`: restored, and where to begin.
    fn poll_restored(&self, task: &mut Task<K::Stage>) -> anyhow::Result<Option<Option<i64>>> {
        match task.poll_restored(self.world.elapsed_us()) {
            Ok(RestoreStatus::Restored { next_offset }) => Ok(Some(next_offset)),
            Ok(RestoreStatus::Restoring { .. }) => Ok(None),
            Ok(RestoreStatus::Stalled(stalled)) => Err(anyhow::anyhow!(
                "restoring {topic}[{partition}] stands at offset {} of {}: its broker is away, or a transaction was left open there (decision 0005); \
                 `kafka-transactions.sh describe-producers --topic {topic} --partition {partition}` shows which",
                stalled
                    .position
                    .map_or_else(|| "none".to_owned(), |position| position.to_string()),
                stalled.target.end_offset,
                topic = self.world.topic_name(stalled.target.topic),
                partition = stalled.target.partition,
            )),
            Err(error) => accept(Err(error)).map(|()| None),
        }
    }

    /// Where the input is.
    fn input(&self) -> Place {
        (self.kind.input().index, self.partition)
    }

    /// Points the input at where the task goes on.
    async fn start(
        &self,
        task: &mut Task<K::Stage>,
        clients: &Clients<W>,
        next_offset: Option<i64>,
    ) -> anyhow::Result<()> {
        let input = &clients.input;
        let offset = match next_offset {
            Some(offset) => offset,
            None if is_on(Defect::StartsAtTheEnd) => {
                input.watermarks(self.input(), REQUEST).await?.1
            }
            None => input.watermarks(self.input(), REQUEST).await?.0,
        };
        task.handle_input_position(offset)?;
        input.assign(&[(self.input(), offset)])?;
        let topic = self.world.topic_name(self.input().0);
        let mut meter = clients.meter.borrow_mut();
        meter.runs(task.processor(), topic, offset);
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

    async fn step(&self, task: &mut Task<K::Stage>, clients: &Clients<W>) -> anyhow::Result<()> {
        match task.poll_action(self.world.elapsed_us()) {
            Action::Commit => self.commit(task, clients).await,
            Action::Fetch { until_us } => self.fetch(task, clients, until_us).await,
            Action::QueryEndOffset => {
                let marks = clients.input.watermarks(self.input(), REQUEST).await;
                accept(task.handle_end_offset(marks.ok().map(|(_, end)| end)))
            }
            Action::Wait { until_us } => {
                self.world.sleep(self.wait(until_us)).await;
                Ok(())
            }
        }
    }

    async fn fetch(
        &self,
        task: &mut Task<K::Stage>,
        clients: &Clients<W>,
        until_us: i64,
    ) -> anyhow::Result<()> {
        match clients.input.poll(self.wait(until_us)).await {
            Polled::Record(received) => {
                let topic = self.kind.input().index;
                let record = received.record();
                let (value, header) = (record.value, record.schema_header);
                if !self.learn(task, clients, topic, value, header).await {
                    return Ok(());
                }
                match task.handle_record(&record, self.world.elapsed_us()) {
                    Err(TaskError::Full) => {
                        self.commit(task, clients).await?;
                        if task.state() == State::Running {
                            accept(task.handle_record(&record, self.world.elapsed_us()))?;
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
                match clients.input.position(self.input()) {
                    Some(position) => accept(task.handle_input_position(position)),
                    None => Ok(()),
                }
            }
            Polled::OutOfRange => {
                let why = self.out_of_range(task, clients).await;
                accept(task.handle_halt(why))
            }
            Polled::Trouble(error) => {
                tracing::debug!(%error, stage = self.kind.name(), partition = self.partition, "fetching goes on");
                Ok(())
            }
        }
    }

    /// How long to wait until then, at most until the next look at the control.
    fn wait(&self, until_us: i64) -> Duration {
        let left = until_us.saturating_sub(self.world.elapsed_us()).max(0);
        Duration::from_micros(left as u64).min(STEP)
    }

    /// Why the input can't be read on, in words: the log begins behind the task's offset, or ends before it.
    async fn out_of_range(&self, task: &Task<K::Stage>, clients: &Clients<W>) -> String {
        let (offset, topic) = (task.next_offset(), self.world.topic_name(self.input().0));
        let place = format!("offset {offset} of {topic}[{}]", self.partition);
        let marks = clients.input.watermarks(self.input(), REQUEST).await;
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
    async fn learn(
        &self,
        task: &mut Task<K::Stage>,
        clients: &Clients<W>,
        topic: TopicIndex,
        value: Option<&[u8]>,
        header: Option<&[u8]>,
    ) -> bool {
        let ask_again_us = &clients.ask_again_us;
        if ask_again_us
            .get()
            .is_some_and(|at_us| at_us <= self.world.elapsed_us())
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
            match self.world.lookup(layout, schema).await {
                Ok(lookup) => {
                    if lookup == SchemaLookup::Unknown && ask_again_us.get().is_none() {
                        ask_again_us.set(Some(self.world.elapsed_us() + ASK_AGAIN_US));
                    }
                    if let Some(stage) = task.processor_mut_for_shell() {
                        stage.learn_schema(topic, schema, &lookup);
                    }
                }
                Err(_) if is_on(Defect::RegistryAwayTakenForUnknown) => {
                    if let Some(stage) = task.processor_mut_for_shell() {
                        stage.learn_schema(topic, schema, &SchemaLookup::Unknown);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, stage = self.kind.name(), partition = self.partition, "waiting for the registry");
                    self.wait_for(&error.to_string(), &mut backoff).await;
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

    async fn commit(&self, task: &mut Task<K::Stage>, clients: &Clients<W>) -> anyhow::Result<()> {
        if let Some(stage) = task.processor_mut_for_shell() {
            self.kind.refresh(stage);
        }
        match task.seal() {
            Ok(_) => {}
            Err(error) => return accept(Err(error)),
        }
        let next_offset = task.next_offset();
        let records = task.batch().records();
        let topics = records.iter().map(|record| usize::from(record.topic.0));
        let meter = &clients.meter;
        let sealed = meter.borrow().sealed(task.processor(), next_offset, topics);
        let begun_us = self.world.elapsed_us();
        let outcome = match clients.producer.commit(records).await {
            Outcome::Committed { append_time_us } => {
                self.committed.store(next_offset, Ordering::Relaxed);
                clients.has_committed.set(true);
                let now_us = self.world.elapsed_us();
                let mut meter = meter.borrow_mut();
                if let Some(sealed) = sealed {
                    meter.committed(sealed, now_us - begun_us);
                }
                accept(task.handle_commit(CommitOutcome::Committed, now_us))?;
                meter.counted(task.processor());
                if let (Some(append_time_us), State::Running) = (append_time_us, task.state()) {
                    accept(task.handle_append_time(append_time_us))?;
                }
                return Ok(());
            }
            Outcome::Aborted(error) => (CommitOutcome::Aborted, error),
            Outcome::Fenced(error) => (CommitOutcome::Fenced, error),
            Outcome::Unknown(error) => (CommitOutcome::Unknown, error),
        };
        meter.borrow().not_committed(outcome.0);
        tracing::warn!(error = %outcome.1, outcome = ?outcome.0, stage = self.kind.name(), partition = self.partition, "a transaction did not commit");
        accept(task.handle_commit(outcome.0, self.world.elapsed_us()))
    }
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
