//! The topics, who reads and writes them, and which partition belongs to which task.

use rollcall_domain::rollup::GroupingSet;
use rollcall_engine::record::TopicIndex;

/// How many partitions the two kinds of input have. Fixed by `bootstrap` for a deployment's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Partitions {
    /// Of `process-snapshots`, and so of NORMALIZE's tasks.
    pub snapshots: i32,
    /// Of `rollup-partials`, and so of ROLLUP's tasks.
    pub rollups: i32,
}

/// Everything about one topic that does not depend on settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicLayout {
    /// Its index in the topology.
    pub index: TopicIndex,
    /// Its name without the deployment's prefix.
    pub name: &'static str,
    /// Its partition count's source.
    pub partitions: PartitionCount,
    /// Whether it keeps the latest value per key, or everything for a time.
    pub compacted: bool,
    /// Whether the broker stamps the records.
    pub log_append_time: bool,
    /// What its keys are.
    pub key: &'static str,
    /// What it holds.
    pub holds: &'static str,
}

impl TopicLayout {
    /// Whether others write there, with schemas that need not be ours.
    #[must_use]
    pub const fn is_external(self) -> bool {
        self.index.0 == SNAPSHOTS.index.0 || self.index.0 == DIRECTORY_USERS.index.0
    }
}

/// Where a topic's partition count comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartitionCount {
    /// One per raw partition.
    Snapshots,
    /// One per rollup partition.
    Rollups,
    /// One per task of either stage.
    Tasks,
    /// One.
    One,
}

impl PartitionCount {
    /// The count for these partitions.
    #[must_use]
    pub const fn of(self, partitions: Partitions) -> i32 {
        match self {
            PartitionCount::Snapshots => partitions.snapshots,
            PartitionCount::Rollups => partitions.rollups,
            PartitionCount::Tasks => partitions.snapshots + partitions.rollups,
            PartitionCount::One => 1,
        }
    }
}

/// A topic has another number of partitions than settings say.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "topic {topic} has {found} partitions, but settings say {expected}; partition counts are fixed for a deployment's life: \
     growing means a new deployment beside the old one"
)]
pub struct WrongPartitionCount {
    /// The topic.
    pub topic: String,
    /// What it has.
    pub found: i32,
    /// What settings say.
    pub expected: i32,
}

macro_rules! topics {
    ($($name:ident = $index:literal, $text:literal, $count:ident, $compacted:literal, $append:literal, $key:literal, $holds:literal;)*) => {
        $(#[doc = concat!("The topic `", $text, "`: ", $holds, ".")]
        pub const $name: TopicLayout = TopicLayout {
            index: TopicIndex($index),
            name: $text,
            partitions: PartitionCount::$count,
            compacted: $compacted,
            log_append_time: $append,
            key: $key,
            holds: $holds,
        };)*

        /// Every topic, by index.
        pub const TOPICS: &[TopicLayout] = &[$($name,)*];
    };
}

topics! {
    SNAPSHOTS = 0, "process-snapshots", Snapshots, false, true, "machine id", "raw snapshots, as machines send them";
    OBSERVATIONS = 1, "process-observations", Snapshots, false, false, "machine id", "normalized snapshots";
    PARTIALS = 2, "rollup-partials", Rollups, false, true, "source partition", "pre-aggregated contributions";
    UPDATES_USER = 3, "rollup-updates-user", Rollups, false, false, "rollup key", "rollups per user";
    UPDATES_FACULTY = 4, "rollup-updates-faculty", Rollups, false, false, "rollup key", "rollups per faculty";
    UPDATES_APPLICATION = 5, "rollup-updates-application", Rollups, false, false, "rollup key", "rollups per faculty, os and application";
    DEAD_LETTERS = 6, "dead-letters", Snapshots, false, false, "source place", "what was rejected, and why";
    STATE_NORMALIZE = 7, "state-normalize", Snapshots, true, false, "machine id", "CPU times and snapshot ids per machine";
    STATE_ROLLUP = 8, "state-rollup", Rollups, true, false, "window and rollup key", "open windows";
    TASK_STATE = 9, "task-state", Tasks, true, false, "stage and partition", "where each task goes on";
    DIRECTORY_USERS = 10, "directory-users", One, true, false, "user", "the faculty of each user";
}

/// NORMALIZE's name in topics, groups and transactional ids.
pub const NORMALIZE: &str = "normalize";
/// ROLLUP's name.
pub const ROLLUP: &str = "rollup";
/// SINK's name.
pub const SINK: &str = "sink";

/// The topic that holds a grouping set's updates.
#[must_use]
pub const fn updates_topic(set: GroupingSet) -> TopicLayout {
    match set {
        GroupingSet::User => UPDATES_USER,
        GroupingSet::Faculty => UPDATES_FACULTY,
        GroupingSet::Application => UPDATES_APPLICATION,
    }
}

/// The partition of `task-state` that is NORMALIZE task `partition`'s own.
#[must_use]
pub const fn normalize_task_partition(partition: i32) -> i32 {
    partition
}

/// The partition of `task-state` that is ROLLUP task `partition`'s own. No partition is shared by two tasks,
/// so that one task's open transaction never holds up another's restore.
#[must_use]
pub const fn rollup_task_partition(partitions: Partitions, partition: i32) -> i32 {
    partitions.snapshots + partition
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_stands_at_its_index() {
        for (i, topic) in TOPICS.iter().enumerate() {
            assert_eq!(usize::from(topic.index.0), i, "{}", topic.name);
        }
    }

    #[test]
    fn state_is_compacted_and_outputs_are_not() {
        // State deleted with time would be forgotten; an output that is compacted would lose values before a slow SINK
        // has read them.
        let compacted = TOPICS.iter().filter(|topic| topic.compacted);
        let names: Vec<&str> = compacted.map(|topic| topic.name).collect();
        let state = ["state-normalize", "state-rollup", "task-state"];
        assert_eq!(names, [&state[..], &["directory-users"]].concat());
    }

    #[test]
    fn no_two_tasks_share_a_partition_of_task_state() {
        let partitions = Partitions {
            snapshots: 3,
            rollups: 2,
        };
        let mut used: Vec<i32> = (0..3).map(normalize_task_partition).collect();
        used.extend((0..2).map(|q| rollup_task_partition(partitions, q)));
        used.sort_unstable();
        assert_eq!(
            used,
            (0..PartitionCount::Tasks.of(partitions)).collect::<Vec<_>>()
        );
    }
}
