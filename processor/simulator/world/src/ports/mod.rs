//! The driver's ports, filled with models: each call takes time, may lose its request or its answer, and is where another
//! job may go on, or this one end.

mod database;
mod kafka;
mod telemetry;

use crate::broker::Broker;
use crate::database::Postgres;
use crate::executor::{Executor, JobId, ProcessId};
use crate::group::Group;
use crate::schemas;
use crate::watch::Watch;
use anyhow::anyhow;
use rollcall_codec::{SchemaIds, SchemaRef};
use rollcall_driver::ports::{Clock, Crew, Job, Registry};
use rollcall_driver::{StageKind, TaskRunner};
use rollcall_simulator::random::Random;
use rollcall_stages::SchemaLookup;
use rollcall_stages::layout::TopicLayout;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// When the world begins: 2027-01-15T08:00:00Z, a whole hour.
pub(crate) const BEGIN_US: i64 = 1_800_000_000_000_000;
/// The deployment.
pub(crate) const DEPLOYMENT: &str = "world";

/// How the network and the services misbehave now.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    /// Requests and answers that are lost, in parts of a million.
    pub(crate) loss: u64,
    /// Polls that give nothing though something is there, in parts of a million.
    pub(crate) late: u64,
    /// The longest time that a request or an answer takes.
    pub(crate) delay_us: u64,
    /// Processes that nothing is fetched for until then, though all else reaches them.
    pub(crate) starved_until_us: BTreeMap<ProcessId, i64>,
    /// Processes that the group does not hear until then, though all else reaches them.
    pub(crate) unheard_until_us: BTreeMap<ProcessId, i64>,
    /// Processes that reach nobody until then.
    pub(crate) cut_until_us: BTreeMap<ProcessId, i64>,
    /// Processes that do not reach the database until then, though all else reaches them.
    pub(crate) database_cut_until_us: BTreeMap<ProcessId, i64>,
    /// The database does not answer until then.
    pub(crate) database_away_until_us: i64,
    /// The registry does not answer until then.
    pub(crate) registry_away_until_us: i64,
    /// The broker does not answer until then.
    pub(crate) broker_away_until_us: i64,
}

/// What all processes share.
pub(crate) struct Shared {
    pub(crate) executor: Rc<Executor>,
    pub(crate) random: RefCell<Random>,
    pub(crate) broker: RefCell<Broker>,
    pub(crate) database: RefCell<Postgres>,
    pub(crate) groups: RefCell<BTreeMap<String, Group>>,
    pub(crate) weather: RefCell<Weather>,
    pub(crate) watch: RefCell<Watch>,
}

impl Shared {
    /// The broker's clock, as it writes it: milliseconds, in microseconds.
    pub(crate) fn broker_time_us(&self) -> i64 {
        BEGIN_US + self.executor.now_us() / 1_000 * 1_000
    }

    /// Whether the group hears of a process.
    pub(crate) fn is_heard(&self, process: ProcessId) -> bool {
        let now_us = self.executor.now_us();
        let weather = self.weather.borrow();
        let until_us = weather.unheard_until_us.get(&process);
        until_us.is_none_or(|until_us| *until_us <= now_us) && self.is_reached(process)
    }

    /// Whether anything is fetched for a process.
    fn is_fed(&self, process: ProcessId) -> bool {
        let now_us = self.executor.now_us();
        let weather = self.weather.borrow();
        let until_us = weather.starved_until_us.get(&process);
        until_us.is_none_or(|until_us| *until_us <= now_us) && self.is_reached(process)
    }

    /// Whether nothing gets through between a process and the database.
    fn is_cut_from_database(&self, process: ProcessId) -> bool {
        let now_us = self.executor.now_us();
        let weather = self.weather.borrow();
        let cuts = [&weather.cut_until_us, &weather.database_cut_until_us];
        let mut cuts = cuts.iter().filter_map(|cut| cut.get(&process));
        cuts.any(|until_us| *until_us > now_us)
    }

    /// Whether the database is away.
    fn is_database_away(&self) -> bool {
        self.weather.borrow().database_away_until_us > self.executor.now_us()
    }

    /// Whether the broker's partitions and coordinators reach a process.
    fn is_reached(&self, process: ProcessId) -> bool {
        let weather = self.weather.borrow();
        let now_us = self.executor.now_us();
        weather.broker_away_until_us <= now_us
            && (weather.cut_until_us.get(&process)).is_none_or(|until_us| *until_us <= now_us)
    }
}

/// The world as one process sees it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) shared: Rc<Shared>,
    pub(crate) process: ProcessId,
}

impl World {
    fn now_us(&self) -> i64 {
        self.shared.executor.now_us()
    }

    async fn pause(&self, time_us: i64) {
        self.shared.executor.sleep(time_us).await;
    }

    /// One way of a message; `false`: it gets lost.
    async fn travel(&self) -> bool {
        let (delay_us, is_lost) = {
            let weather = self.shared.weather.borrow();
            let mut random = self.shared.random.borrow_mut();
            let delay_us = random.below(weather.delay_us.max(1)) as i64;
            (delay_us, random.chance(weather.loss))
        };
        self.pause(delay_us).await;
        !is_lost && self.shared.is_reached(self.process)
    }

    /// A request to the broker and its answer, tried again until `deadline_us`; `None`: no answer came, and whether the
    /// request had its effect is unknown.
    async fn ask<T>(
        &self,
        deadline_us: i64,
        mut effect: impl FnMut(&mut Broker) -> T,
    ) -> Option<T> {
        loop {
            if self.travel().await {
                let answer = effect(&mut self.shared.broker.borrow_mut());
                if self.travel().await {
                    return Some(answer);
                }
            }
            self.pause(100_000).await;
            if self.now_us() >= deadline_us {
                return None;
            }
        }
    }

    async fn ask_in_time<T>(
        &self,
        timeout: Duration,
        effect: impl FnMut(&mut Broker) -> T,
    ) -> anyhow::Result<T> {
        let deadline_us = self.now_us() + timeout.as_micros() as i64;
        let answer = self.ask(deadline_us, effect).await;
        answer.ok_or_else(|| anyhow!("the broker does not answer"))
    }
}

impl Clock for World {
    fn elapsed_us(&self) -> i64 {
        self.now_us()
    }

    async fn sleep(&self, time: Duration) {
        self.pause(time.as_micros() as i64).await;
    }

    fn jitter(&self) -> f64 {
        self.shared.random.borrow_mut().below(1_001) as f64 / 1_000.0
    }
}

impl Registry for World {
    async fn schema_ids(&self) -> anyhow::Result<SchemaIds> {
        self.ask_registry().await?;
        Ok(schemas::ids())
    }

    async fn lookup(
        &self,
        _topic: &TopicLayout,
        schema: SchemaRef,
    ) -> anyhow::Result<SchemaLookup> {
        self.ask_registry().await?;
        Ok(schemas::lookup(schema))
    }
}

impl World {
    async fn ask_registry(&self) -> anyhow::Result<()> {
        self.pause(1_000).await;
        let away_until_us = self.shared.weather.borrow().registry_away_until_us;
        anyhow::ensure!(away_until_us <= self.now_us(), "the registry is away");
        Ok(())
    }
}

impl Crew for World {
    type Job = Running;

    fn start<K: StageKind>(&self, task: TaskRunner<K, Self>) -> anyhow::Result<Running> {
        let executor = Rc::clone(&self.shared.executor);
        let job = executor.spawn(self.process, task.run());
        Ok(Running { executor, job })
    }
}

/// A task at work.
pub(crate) struct Running {
    executor: Rc<Executor>,
    job: JobId,
}

impl Job for Running {
    fn has_ended(&self) -> bool {
        self.executor.has_ended(self.job)
    }

    fn join(self) -> bool {
        true
    }
}
