//! What every task is doing, for readiness and for people.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One task's condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TaskStatus {
    /// Claiming or restoring.
    Starting,
    /// At work.
    Running,
    /// Waiting to claim again, and why.
    Waiting(String),
    /// Stopped until a person helps, and why.
    Halted(String),
}

/// All tasks of this process, by stage and partition.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(Arc<Mutex<BTreeMap<(&'static str, i32), TaskStatus>>>);

impl StatusBoard {
    /// Notes a task's condition.
    pub fn set(&self, stage: &'static str, partition: i32, status: TaskStatus) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((stage, partition), status);
    }

    /// Forgets a task that this process no longer has.
    pub fn remove(&self, stage: &'static str, partition: i32) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(stage, partition));
    }

    /// All tasks.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<(&'static str, i32), TaskStatus> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
