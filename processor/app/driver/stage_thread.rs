//! One stage of this process: a member of the stage's group that starts and ends task threads.

use super::Shared;
use super::control::{Control, Signal};
use super::kinds::StageKind;
use super::task_thread::TaskThread;
use crate::kafka::admin::AdminError;
use crate::kafka::membership::{Membership, Place, Rebalance};
use anyhow::Context as _;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long one poll of the group waits.
const POLL: Duration = Duration::from_millis(50);
/// How many polls pass between two reports of offsets to the group: about five seconds.
const POLLS_PER_REPORT: u32 = 100;

struct RunningTask {
    control: Control,
    committed: Arc<AtomicI64>,
    thread: JoinHandle<()>,
}

/// Runs a stage until `stop` says otherwise, then lets its tasks finish, and leaves the group.
///
/// # Errors
/// If the group can't be joined at all, for a setting is wrong; if a task's thread can't be started or panics.
pub fn run_stage<K: StageKind>(
    kind: &Arc<K>,
    shared: &Shared,
    stop: &Control,
) -> anyhow::Result<()> {
    let topic = shared.kafka.topic(kind.input().name);
    let membership = Membership::join(&shared.kafka, &shared.kafka.group(kind.name()), &[&topic])?;
    let mut stage = StageThread {
        kind,
        shared,
        membership,
        tasks: BTreeMap::new(),
        waiting: VecDeque::new(),
        joined: false,
    };
    let mut polls = 0;
    let mut ended = Ok(());
    while ended.is_ok() && stop.signal() == Signal::Run {
        ended = stage.poll();
        polls += 1;
        if polls % POLLS_PER_REPORT == 0 {
            stage.report(&topic);
        }
    }
    shared.telemetry.health.stopping();
    let all: Vec<i32> = stage.tasks.keys().copied().collect();
    stage.end(&all, || stop.signal().max(Signal::Drain));
    stage.report(&topic);
    // Closing a consumer waits until all that it said has been obeyed.
    for rebalance in std::mem::take(&mut stage.waiting) {
        stage.membership.obey(&rebalance);
    }
    ended
}

struct StageThread<'a, K: StageKind> {
    kind: &'a Arc<K>,
    shared: &'a Shared,
    membership: Membership,
    tasks: BTreeMap<i32, RunningTask>,
    /// What the group said while tasks were ending.
    waiting: VecDeque<Rebalance>,
    /// Whether the group has said anything since we came, or were thrown out.
    joined: bool,
}

impl<K: StageKind> StageThread<'_, K> {
    fn poll(&mut self) -> anyhow::Result<()> {
        // Tasks end when they are told to; a panic is the only other way.
        if let Some((partition, _)) = self
            .tasks
            .iter()
            .find(|(_, task)| task.thread.is_finished())
        {
            anyhow::bail!(
                "the task {}[{partition}] panicked; the log says where; please report it",
                self.kind.name()
            );
        }
        let rebalance = self
            .waiting
            .pop_front()
            .or_else(|| self.membership.poll(POLL));
        match rebalance {
            None => {}
            Some(Rebalance::Assigned(places)) => {
                if !std::mem::replace(&mut self.joined, true) {
                    self.shared.telemetry.health.joined(self.kind.name());
                }
                self.membership.accept(&places)?;
                for (topic, partition) in places {
                    self.refuse_a_new_partition(&topic, partition)?;
                    self.start(partition)?;
                }
            }
            Some(Rebalance::Revoked { places, lost }) => {
                if lost && std::mem::replace(&mut self.joined, false) {
                    self.shared.telemetry.health.left(self.kind.name());
                }
                let partitions: Vec<i32> = places.iter().map(|(_, partition)| *partition).collect();
                self.end(&partitions, || {
                    if lost { Signal::Abandon } else { Signal::Drain }
                });
                self.membership.release(&places)?;
            }
        }
        Ok(())
    }

    /// A topic that has grown while we run has its keys on other partitions now.
    fn refuse_a_new_partition(&self, topic: &str, partition: i32) -> Result<(), AdminError> {
        let expected = self.kind.input().partitions.of(self.shared.partitions);
        if partition < expected {
            return Ok(());
        }
        Err(AdminError::PartitionCount {
            topic: topic.to_owned(),
            found: partition + 1,
            expected,
        })
    }

    fn start(&mut self, partition: i32) -> anyhow::Result<()> {
        tracing::info!(stage = self.kind.name(), partition, "assigned");
        let control = Control::new();
        let committed = Arc::new(AtomicI64::new(-1));
        let task = TaskThread {
            kind: Arc::clone(self.kind),
            partition,
            shared: self.shared.clone(),
            control: control.clone(),
            committed: Arc::clone(&committed),
        };
        let name = format!("{}-{partition}", self.kind.name());
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || task.run())
            .with_context(|| {
                format!(
                    "no thread can be started for the task {}[{partition}]",
                    self.kind.name()
                )
            })?;
        let task = RunningTask {
            control,
            committed,
            thread,
        };
        self.tasks.insert(partition, task);
        Ok(())
    }

    /// Ends tasks as `signal` says, which may become more urgent; the group is served meanwhile, so that nobody takes
    /// this member for dead.
    fn end(&mut self, partitions: &[i32], signal: impl Fn() -> Signal) {
        let ending: Vec<RunningTask> = partitions
            .iter()
            .filter_map(|partition| self.tasks.remove(partition))
            .collect();
        while ending.iter().any(|task| !task.thread.is_finished()) {
            for task in &ending {
                task.control.send(signal());
            }
            if let Some(rebalance) = self.membership.poll(Duration::from_millis(5)) {
                self.waiting.push_back(rebalance);
            }
        }
        for task in ending {
            if task.thread.join().is_err() {
                tracing::error!(
                    stage = self.kind.name(),
                    "a task's thread panicked; its state is with whoever claims it next"
                );
            }
        }
        for &partition in partitions {
            let telemetry = &self.shared.telemetry;
            telemetry.health.remove(self.kind.name(), partition);
            telemetry.places.remove((self.kind.name(), partition));
        }
    }

    fn report(&self, topic: &str) {
        let offsets: Vec<(Place, i64)> = self
            .tasks
            .iter()
            .map(|(partition, task)| {
                (
                    (topic.to_owned(), *partition),
                    task.committed.load(Ordering::Relaxed),
                )
            })
            .filter(|(_, offset)| *offset >= 0)
            .collect();
        if !offsets.is_empty() {
            self.membership.report(&offsets);
        }
    }
}
