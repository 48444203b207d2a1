//! How far the restore of a task's state has come.
//!
//! A topic is restored when the *position* of its reader reaches the end offset that was taken after the
//! claim. Not when its last record comes: offsets are also spent on control records, and compaction may
//! have removed the last one. Standing still for too long is a failure that names its cause.

use crate::limits::MAX_RESTORE_TARGETS;
use crate::record::TopicIndex;

/// A state topic to read before the task may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestoreTarget {
    /// The topic.
    pub topic: TopicIndex,
    /// Its partition.
    pub partition: i32,
    /// Where reading begins: its reader's position before anything was delivered.
    pub begin_offset: i64,
    /// Its end, asked after the claim, open transactions included.
    pub end_offset: i64,
}

/// A restore that stood still.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "restore of topic {}, partition {}, made no progress for {idle_us} µs: its position is {}, its end {}",
    .target.topic.0, .target.partition, position_text(.position), .target.end_offset
)]
pub struct RestoreStalled {
    /// The topic that is not at its end.
    pub target: RestoreTarget,
    /// Where its reader is, if it ever said.
    pub position: Option<i64>,
    /// For how long no position has moved.
    pub idle_us: i64,
}

fn position_text(position: &Option<i64>) -> String {
    position.map_or_else(|| "unknown".to_owned(), |position| position.to_string())
}

/// Restore targets that a task can't take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadTargets {
    /// More than [`MAX_RESTORE_TARGETS`].
    #[error("{0} restore targets, at most {MAX_RESTORE_TARGETS}")]
    TooMany(usize),
    /// A task reads one partition of a state topic, its own.
    #[error("topic {} is to be restored twice", .0.0)]
    Twice(TopicIndex),
}

#[derive(Debug, Default)]
pub(super) struct Restore {
    targets: Vec<(RestoreTarget, Option<i64>)>,
    progress_us: i64,
}

impl Restore {
    pub(super) fn new(targets: Vec<RestoreTarget>, now_us: i64) -> Result<Self, BadTargets> {
        if targets.len() > MAX_RESTORE_TARGETS {
            return Err(BadTargets::TooMany(targets.len()));
        }
        for (at, target) in targets.iter().enumerate() {
            if targets[..at]
                .iter()
                .any(|other| other.topic == target.topic)
            {
                return Err(BadTargets::Twice(target.topic));
            }
        }
        let targets = targets.into_iter().map(|target| (target, None)).collect();
        Ok(Restore {
            targets,
            progress_us: now_us,
        })
    }

    /// The end of a topic; `None`: there is no such target.
    pub(super) fn end_of(&self, topic: TopicIndex) -> Option<i64> {
        let mut targets = self.targets.iter().map(|(target, _)| target);
        targets
            .find(|target| target.topic == topic)
            .map(|target| target.end_offset)
    }

    /// Whether there is such a target.
    pub(super) fn advance(&mut self, now_us: i64, topic: TopicIndex, position: i64) -> bool {
        let Some((_, before)) = self
            .targets
            .iter_mut()
            .find(|(target, _)| target.topic == topic)
        else {
            return false;
        };
        if Some(position) > *before {
            *before = Some(position);
            self.progress_us = self.progress_us.max(now_us);
        }
        true
    }

    /// The first target that is not at its end. One that holds nothing is from the start.
    pub(super) fn behind(&self) -> Option<(RestoreTarget, Option<i64>)> {
        let behind = |&&(target, position): &&(RestoreTarget, Option<i64>)| {
            position.unwrap_or(target.begin_offset) < target.end_offset
        };
        self.targets.iter().find(behind).copied()
    }

    /// When a position moved last.
    pub(super) fn progress_us(&self) -> i64 {
        self.progress_us
    }
}
