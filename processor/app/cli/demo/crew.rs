//! The demo's threads: the pipeline, the fleet and the agent, each as its own command runs it.

use super::DemoArgs;
use crate::driver::{Control, PipelineConfig, Shared, Signal, run_pipeline};
use crate::producer::{
    AgentPlan, AgentSummary, FleetPlan, FleetSummary, Pace, ProducerError, run_agent, run_fleet,
};
use anyhow::Context as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// The threads, and how to end them.
pub(super) struct Crew {
    stop_producers: Control,
    stop_pipeline: Control,
    /// Acknowledged snapshots: the fleet's, the agent's.
    delivered: Arc<[AtomicU64; 2]>,
    /// This machine, as the agent names it; there once it has begun.
    machine: Arc<OnceLock<String>>,
    pipeline: JoinHandle<anyhow::Result<()>>,
    fleet: JoinHandle<Result<FleetSummary, ProducerError>>,
    agent: JoinHandle<Result<AgentSummary, ProducerError>>,
}

/// What the producers sent.
pub(super) struct Sent {
    pub(super) fleet: FleetSummary,
    pub(super) agent: AgentSummary,
}

impl Sent {
    /// Acknowledged snapshots.
    pub(super) fn delivered(&self) -> u64 {
        self.fleet.progress.delivered + self.agent.delivered
    }

    /// Snapshots of which Kafka has not said that it holds them.
    pub(super) fn in_doubt(&self) -> u64 {
        let fleet = self.fleet.progress.failed + self.fleet.unacknowledged();
        fleet + self.agent.failed + self.agent.waiting
    }
}

impl Crew {
    /// Starts all threads.
    pub(super) fn start(arguments: &DemoArgs, config: PipelineConfig, shared: &Shared) -> Self {
        let stop_producers = Control::new();
        let stop_pipeline = Control::new();
        let delivered = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let machine = Arc::new(OnceLock::new());
        let pipeline = {
            let (shared, stop) = (shared.clone(), stop_pipeline.clone());
            std::thread::spawn(move || run_pipeline(&config, &shared, &stop))
        };
        let fleet = {
            let plan = FleetPlan {
                machines: arguments.machines,
                faculties: arguments.faculties,
                users: arguments.users,
                interval: Duration::from_secs(arguments.interval_seconds.into()),
                pace: Pace::RealTime,
                mischief: arguments.mischief,
                ..FleetPlan::default()
            };
            let (shared, stop) = (shared.clone(), stop_producers.clone());
            let delivered = Arc::clone(&delivered);
            std::thread::spawn(move || {
                run_fleet(
                    &shared.kafka,
                    &shared.registry,
                    &plan,
                    &stop,
                    &mut |progress| delivered[0].store(progress.delivered, Ordering::Relaxed),
                )
            })
        };
        let agent = {
            let plan = AgentPlan {
                interval: Duration::from_secs(5),
                ..AgentPlan::default()
            };
            let (shared, stop) = (shared.clone(), stop_producers.clone());
            let (delivered, machine) = (Arc::clone(&delivered), Arc::clone(&machine));
            let mut show = move |summary: &AgentSummary| {
                delivered[1].store(summary.delivered, Ordering::Relaxed);
                let name = summary.machine_name.as_ref().unwrap_or(&summary.machine_id);
                machine.get_or_init(|| name.clone());
            };
            std::thread::spawn(move || {
                run_agent(&shared.kafka, &shared.registry, &plan, &stop, &mut show)
            })
        };
        Self {
            stop_producers,
            stop_pipeline,
            delivered,
            machine,
            pipeline,
            fleet,
            agent,
        }
    }

    /// Snapshots that Kafka has acknowledged so far.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// This machine, as the agent names it.
    pub(super) fn machine(&self) -> Option<&str> {
        self.machine.get().map(String::as_str)
    }

    /// Whether something has ended that should go on: it says why when it is joined.
    pub(super) fn has_ended(&self) -> bool {
        self.pipeline.is_finished() || self.fleet.is_finished() || self.agent.is_finished()
    }

    /// Stops the producers, and waits for what is on its way. What remains is the pipeline.
    pub(super) fn end_producers(self) -> (anyhow::Result<Sent>, RunningPipeline) {
        self.stop_producers.send(Signal::Drain);
        let fleet = join(self.fleet).context("the simulated fleet");
        let agent = join(self.agent).context("the agent on this machine");
        let sent = fleet.and_then(|fleet| agent.map(|agent| Sent { fleet, agent }));
        let running = RunningPipeline {
            stop: self.stop_pipeline,
            thread: self.pipeline,
        };
        (sent, running)
    }
}

/// The pipeline, after its producers.
pub(super) struct RunningPipeline {
    stop: Control,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl RunningPipeline {
    /// Whether it has ended by itself: it says why when it is joined.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Drains it.
    pub(super) fn end(self) -> anyhow::Result<()> {
        self.stop.send(Signal::Drain);
        join(self.thread).context("the pipeline")
    }
}

fn join<T, E: Into<anyhow::Error>>(thread: JoinHandle<Result<T, E>>) -> anyhow::Result<T> {
    match thread.join() {
        Ok(ended) => ended.map_err(Into::into),
        Err(_) => Err(anyhow::anyhow!("its thread panicked")),
    }
}
