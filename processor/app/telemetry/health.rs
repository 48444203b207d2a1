//! What works here and what is missing: the words behind `/ready`, and the number of tasks per status.
//!
//! Ready means that every part that is to run here has joined its group, every task that the group has given to this
//! process is claimed, restored and at work, and the services that they need answered when last asked. A part without
//! tasks (there are more processes than partitions) is ready once it has joined.

use super::metrics::Metrics;
pub use rollcall_driver::ports::TaskStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stage or lane: by stage, in the order of the alphabet.
type Stage = &'static str;

#[derive(Clone, Copy, Default, Debug)]
struct Members {
    expected: usize,
    joined: usize,
}

#[derive(Default, Debug)]
struct Board {
    members: BTreeMap<Stage, Members>,
    tasks: BTreeMap<(Stage, i32), TaskStatus>,
    /// What ever had a task here: its gauges go to 0, not away.
    worked: BTreeSet<Stage>,
    /// Draining: no longer for new work.
    stopping: bool,
    /// By service: why it does not answer, if it doesn't.
    services: BTreeMap<&'static str, Option<String>>,
}

/// The condition of a process; clones share it.
#[derive(Clone, Default, Debug)]
pub struct Health(Arc<Mutex<Board>>);

/// What [`Health::readiness`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Readiness {
    /// What is missing, a sentence each; nothing: ready.
    pub missing: Vec<String>,
    /// The word for each task's condition.
    pub tasks: BTreeMap<String, &'static str>,
}

impl Health {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This process is to run `stage`, with so many members of its group.
    pub fn expect(&self, stage: &'static str, members: usize) {
        self.board().members.entry(stage).or_default().expected = members;
    }

    /// A member has heard from its group.
    pub fn joined(&self, stage: &'static str) {
        self.board().members.entry(stage).or_default().joined += 1;
    }

    /// A member is out of its group.
    pub fn left(&self, stage: &'static str) {
        let mut board = self.board();
        let members = board.members.entry(stage).or_default();
        members.joined = members.joined.saturating_sub(1);
    }

    /// Notes a task's condition; whether it is another than before.
    pub fn set(&self, stage: &'static str, partition: i32, status: TaskStatus) -> bool {
        let mut board = self.board();
        board.worked.insert(stage);
        let before = board.tasks.insert((stage, partition), status.clone());
        before != Some(status)
    }

    /// The process has been asked to stop.
    pub fn stopping(&self) {
        self.board().stopping = true;
    }

    /// Forgets a task that this process no longer has.
    pub fn remove(&self, stage: &'static str, partition: i32) {
        self.board().tasks.remove(&(stage, partition));
    }

    /// Notes whether a service answers (`None`) or why not; whether that is another answer than before. A service
    /// that was never noted is not needed here.
    pub fn service(&self, service: &'static str, trouble: Option<String>) -> bool {
        let now = trouble.is_some();
        let before = self.board().services.insert(service, trouble);
        before.is_none_or(|before| before.is_some() != now)
    }

    /// What is missing.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let board = self.board();
        let stopping = board.stopping.then(|| "stopping".to_owned());
        let services = board
            .services
            .iter()
            .filter_map(|(service, trouble)| Some(format!("{service}: {}", trouble.as_ref()?)));
        let members = board.members.iter().filter(|(_, m)| m.joined < m.expected);
        let members = members.map(|(stage, _)| format!("{stage}: has not joined its group yet"));
        let tasks = board
            .tasks
            .iter()
            .filter(|(_, status)| **status != TaskStatus::Running);
        let tasks = tasks.map(|((stage, partition), status)| {
            let why = status
                .why()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            format!("{stage}-{partition}: {}{why}", status.as_str())
        });
        Readiness {
            missing: stopping
                .into_iter()
                .chain(services)
                .chain(members)
                .chain(tasks)
                .collect(),
            tasks: board
                .tasks
                .iter()
                .map(|((stage, partition), status)| {
                    (format!("{stage}-{partition}"), status.as_str())
                })
                .collect(),
        }
    }

    /// Brings the gauges up to date.
    pub(super) fn measure(&self, metrics: &Metrics) {
        let board = self.board();
        for stage in &board.worked {
            for word in TaskStatus::ALL {
                let of_stage = board.tasks.iter().filter(|((of, _), _)| of == stage);
                let count = of_stage
                    .filter(|(_, status)| status.as_str() == word)
                    .count();
                let gauge = metrics.tasks.with_label_values(&[*stage, word]);
                gauge.set(count as f64);
            }
        }
        for (service, trouble) in &board.services {
            let up = if trouble.is_none() { 1.0 } else { 0.0 };
            metrics.service_up.with_label_values(&[*service]).set(up);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Health {
        let health = Health::default();
        health.expect("normalize", 1);
        health.joined("normalize");
        health.set("normalize", 0, TaskStatus::Running);
        health.service("kafka", None);
        health
    }

    #[track_caller]
    fn check(change: impl FnOnce(&Health), missing: &[&str]) {
        let health = running();
        change(&health);
        assert_eq!(health.readiness().missing, missing);
    }

    #[test]
    fn ready_once_all_have_joined_and_all_tasks_run() {
        check(|_| {}, &[]);
        check(
            |health| health.expect("rollup", 1),
            &["rollup: has not joined its group yet"],
        );
        check(
            |health| {
                health.expect("sink-details", 2);
                health.joined("sink-details");
            },
            &["sink-details: has not joined its group yet"],
        );
        check(
            |health| health.left("normalize"),
            &["normalize: has not joined its group yet"],
        );
        check(
            |health| {
                health.set("normalize", 1, TaskStatus::Starting);
            },
            &["normalize-1: starting"],
        );
        check(
            |health| {
                health.set(
                    "normalize",
                    0,
                    TaskStatus::Waiting("the broker is away".to_owned()),
                );
            },
            &["normalize-0: waiting: the broker is away"],
        );
        check(Health::stopping, &["stopping"]);
        check(
            |health| {
                health.service("postgres", Some("it does not answer".to_owned()));
            },
            &["postgres: it does not answer"],
        );
    }

    #[test]
    fn a_part_without_tasks_is_ready_once_it_has_joined() {
        check(|health| health.remove("normalize", 0), &[]);
    }

    #[test]
    fn what_changed_is_told_once() {
        let health = running();
        let waiting = || TaskStatus::Waiting("why".to_owned());
        assert!(health.set("normalize", 0, waiting()));
        assert!(!health.set("normalize", 0, waiting()));
        assert!(health.service("kafka", Some("one".to_owned())));
        assert!(!health.service("kafka", Some("two".to_owned())));
        assert!(health.service("kafka", None));
    }

    #[test]
    fn gauges_count_tasks_by_status() {
        let (health, metrics) = (running(), Metrics::default());
        health.set("normalize", 1, TaskStatus::Starting);
        health.measure(&metrics);
        let count = |word| metrics.tasks.with_label_values(&["normalize", word]).get() as i64;
        assert_eq!(TaskStatus::ALL.map(count), [1, 1, 0, 0]);
        health.remove("normalize", 1);
        health.measure(&metrics);
        assert_eq!(TaskStatus::ALL.map(count), [0, 1, 0, 0]);
    }
}
