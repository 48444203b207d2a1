//! The tasks' world as it is: threads, librdkafka, the registry's HTTP, metrics.
//!
//! What a task waits for blocks its thread, so none of these futures is ever pending: [`ready`] runs them through. A lane of
//! SINK waits for PostgreSQL too, on a runtime of its thread's own.

mod kafka;

use super::Shared;
use super::sink;
use super::task_meter::{self, Meter};
use crate::clock;
use rollcall_codec::{SchemaIds, SchemaRef};
use rollcall_driver::ports::{Clock, Crew, Job, Registry, TaskStatus, Telemetry};
use rollcall_driver::{StageKind, TaskRunner};
use rollcall_engine::task::LostReason;
use rollcall_stages::SchemaLookup;
use rollcall_stages::layout::TopicLayout;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

/// Runs what never suspends.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the ports of threads block, they never suspend"),
    }
}

/// See the module.
#[derive(Clone)]
pub(super) struct World {
    shared: Shared,
    /// Full topic names by the topology's index.
    topics: Arc<[String]>,
}

impl World {
    /// The world of this process' tasks.
    pub(super) fn new(shared: &Shared) -> Self {
        Self {
            shared: shared.clone(),
            topics: shared.topic_names().into(),
        }
    }
}

/// The clock of threads.
pub(super) struct Threads;

impl Clock for Threads {
    fn elapsed_us(&self) -> i64 {
        clock::elapsed_us()
    }

    async fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn jitter(&self) -> f64 {
        clock::jitter()
    }
}

impl Clock for World {
    fn elapsed_us(&self) -> i64 {
        Threads.elapsed_us()
    }

    async fn sleep(&self, time: Duration) {
        Threads.sleep(time).await;
    }

    fn jitter(&self) -> f64 {
        Threads.jitter()
    }
}

impl Registry for World {
    async fn schema_ids(&self) -> anyhow::Result<SchemaIds> {
        apart(|| Ok(self.shared.registry.schema_ids()?))
    }

    async fn lookup(&self, topic: &TopicLayout, schema: SchemaRef) -> anyhow::Result<SchemaLookup> {
        apart(|| Ok(self.shared.registry.lookup(topic, schema)?))
    }
}

/// Does something on a thread of its own, and waits for it. The registry's client brings a runtime, which may not be entered
/// where another one is at work, as on a lane's thread; it is asked once per schema.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let done = std::thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Telemetry for World {
    type Meter = Meter;
    type LaneMeter = sink::Meter;

    fn joined(&self, stage: &'static str) {
        self.shared.telemetry.health.joined(stage);
    }

    fn left(&self, stage: &'static str) {
        self.shared.telemetry.health.left(stage);
    }

    fn stopping(&self) {
        self.shared.telemetry.health.stopping();
    }

    fn status(&self, stage: &'static str, partition: i32, status: TaskStatus) {
        self.shared.telemetry.health.set(stage, partition, status);
    }

    fn ended(&self, stage: &'static str, partition: i32) {
        self.shared.telemetry.health.remove(stage, partition);
        self.shared.telemetry.places.remove((stage, partition));
    }

    fn lost(&self, stage: &'static str, partition: i32, reason: LostReason) {
        task_meter::lost(&self.shared.telemetry, stage, partition, reason);
    }

    fn meter(&self, stage: &'static str, partition: i32) -> Meter {
        Meter::begin(&self.shared.telemetry, stage, partition)
    }

    fn lane_meter(&self, lane: &'static str) -> sink::Meter {
        sink::Meter::new(&self.shared.telemetry, lane)
    }
}

impl Crew for World {
    type Job = Thread;

    fn start<K: StageKind>(&self, task: TaskRunner<K, Self>) -> anyhow::Result<Thread> {
        let name = format!("{}-{}", task.stage(), task.partition());
        let thread = std::thread::Builder::new().name(name);
        Ok(Thread(thread.spawn(move || ready(task.run()))?))
    }
}

/// A task's thread.
pub(super) struct Thread(JoinHandle<()>);

impl Job for Thread {
    fn has_ended(&self) -> bool {
        self.0.is_finished()
    }

    fn join(self) -> bool {
        self.0.join().is_ok()
    }
}
