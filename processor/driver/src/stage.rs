//! One stage of a process: a member of the stage's group that starts and ends tasks.

use crate::control::{Control, Signal};
use crate::kinds::StageKind;
use crate::ports::{Job, Membership, Place, Rebalance, World};
use crate::task::TaskRunner;
use anyhow::Context as _;
use rollcall_stages::layout::WrongPartitionCount;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How long one poll of the group waits.
const POLL: Duration = Duration::from_millis(50);
/// How many polls pass between two reports of offsets to the group: about five seconds.
const POLLS_PER_REPORT: u32 = 100;

struct RunningTask<J> {
    control: Control,
    committed: Arc<AtomicI64>,
    job: J,
}

/// Runs a stage until `stop` says otherwise, then lets its tasks finish, and leaves the group.
///
/// # Errors
/// If the group can't be joined at all, for a setting is wrong; if a task can't be started or panics; if the input topic has
/// grown.
pub async fn run_stage<K: StageKind, W: World>(
    kind: &Arc<K>,
    world: &W,
    stop: &Control,
) -> anyhow::Result<()> {
    let membership = world.join(kind.name(), &[kind.input().index])?;
    let mut stage = StageRunner {
        kind,
        world,
        membership,
        tasks: BTreeMap::new(),
        waiting: VecDeque::new(),
        joined: false,
    };
    let mut polls = 0;
    let mut ended = Ok(());
    while ended.is_ok() && stop.signal() == Signal::Run {
        ended = stage.poll().await;
        polls += 1;
        if polls % POLLS_PER_REPORT == 0 {
            stage.report();
        }
    }
    world.stopping();
    let all: Vec<i32> = stage.tasks.keys().copied().collect();
    stage.end(&all, || stop.signal().max(Signal::Drain)).await;
    stage.report();
    // Closing a consumer waits until all that it said has been obeyed.
    for rebalance in std::mem::take(&mut stage.waiting) {
        stage.membership.obey(&rebalance);
    }
    ended
}

struct StageRunner<'a, K: StageKind, W: World> {
    kind: &'a Arc<K>,
    world: &'a W,
    membership: W::Membership,
    tasks: BTreeMap<i32, RunningTask<W::Job>>,
    /// What the group said while tasks were ending.
    waiting: VecDeque<Rebalance>,
    /// Whether the group has said anything since we came, or were thrown out.
    joined: bool,
}

impl<K: StageKind, W: World> StageRunner<'_, K, W> {
    async fn poll(&mut self) -> anyhow::Result<()> {
        // Tasks end when they are told to; a panic is the only other way.
        if let Some((partition, _)) = self.tasks.iter().find(|(_, task)| task.job.has_ended()) {
            anyhow::bail!(
                "the task {}[{partition}] panicked; the log says where; please report it",
                self.kind.name()
            );
        }
        let rebalance = match self.waiting.pop_front() {
            Some(rebalance) => Some(rebalance),
            None => self.membership.poll(POLL).await,
        };
        match rebalance {
            None => {}
            Some(Rebalance::Assigned(places)) => {
                if !std::mem::replace(&mut self.joined, true) {
                    self.world.joined(self.kind.name());
                }
                self.membership.accept(&places)?;
                for (_, partition) in places {
                    self.refuse_a_new_partition(partition)?;
                    self.start(partition)?;
                }
            }
            Some(Rebalance::Revoked { places, lost }) => {
                if lost && std::mem::replace(&mut self.joined, false) {
                    self.world.left(self.kind.name());
                }
                let partitions: Vec<i32> = places.iter().map(|(_, partition)| *partition).collect();
                self.end(&partitions, || {
                    if lost { Signal::Abandon } else { Signal::Drain }
                })
                .await;
                self.membership.release(&places)?;
            }
        }
        Ok(())
    }

    /// A topic that has grown while we run has its keys on other partitions now.
    fn refuse_a_new_partition(&self, partition: i32) -> Result<(), WrongPartitionCount> {
        let input = self.kind.input();
        let expected = input.partitions.of(self.kind.partitions());
        if partition < expected {
            return Ok(());
        }
        Err(WrongPartitionCount {
            topic: self.world.topic_name(input.index).to_owned(),
            found: partition + 1,
            expected,
        })
    }

    fn start(&mut self, partition: i32) -> anyhow::Result<()> {
        let stage = self.kind.name();
        tracing::info!(stage, partition, "assigned");
        let control = Control::new();
        let committed = Arc::new(AtomicI64::new(-1));
        let task = TaskRunner {
            kind: Arc::clone(self.kind),
            partition,
            world: self.world.clone(),
            control: control.clone(),
            committed: Arc::clone(&committed),
        };
        let job = self
            .world
            .start(task)
            .with_context(|| format!("the task {stage}[{partition}] can't be started"))?;
        let task = RunningTask {
            control,
            committed,
            job,
        };
        self.tasks.insert(partition, task);
        Ok(())
    }

    /// Ends tasks as `signal` says, which may become more urgent; the group is served meanwhile, so that nobody takes
    /// this member for dead.
    async fn end(&mut self, partitions: &[i32], signal: impl Fn() -> Signal) {
        let ending: Vec<RunningTask<W::Job>> = partitions
            .iter()
            .filter_map(|partition| self.tasks.remove(partition))
            .collect();
        while ending.iter().any(|task| !task.job.has_ended()) {
            for task in &ending {
                task.control.send(signal());
            }
            if let Some(rebalance) = self.membership.poll(Duration::from_millis(5)).await {
                self.waiting.push_back(rebalance);
            }
        }
        for task in ending {
            if !task.job.join() {
                tracing::error!(
                    stage = self.kind.name(),
                    "a task panicked; its state is with whoever claims it next"
                );
            }
        }
        for &partition in partitions {
            self.world.ended(self.kind.name(), partition);
        }
    }

    fn report(&self) {
        let topic = self.kind.input().index;
        let offsets: Vec<(Place, i64)> = self
            .tasks
            .iter()
            .map(|(partition, task)| {
                let offset = task.committed.load(Ordering::Relaxed);
                ((topic, *partition), offset)
            })
            .filter(|(_, offset)| *offset >= 0)
            .collect();
        if !offsets.is_empty() {
            self.membership.report(&offsets);
        }
    }
}
