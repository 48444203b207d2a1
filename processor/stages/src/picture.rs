//! The pipeline as data: what `rollcall topology` prints and a test pins.

use crate::layout::{
    DEAD_LETTERS, DIRECTORY_USERS, NORMALIZE, OBSERVATIONS, PARTIALS, PartitionCount, Partitions,
    ROLLUP, SINK, SNAPSHOTS, STATE_NORMALIZE, STATE_ROLLUP, TASK_STATE, TOPICS, TopicLayout,
    UPDATES_APPLICATION, UPDATES_FACULTY, UPDATES_USER,
};
use rollcall_engine::topology::{self, Cleanup, SinkSpec, StageSpec, TopicSpec, Topology};

/// Topics, stages and sinks with these partition counts.
#[must_use]
pub fn topology(partitions: Partitions) -> Topology {
    let topics = TOPICS
        .iter()
        .map(|topic| topic_spec(topic, partitions))
        .collect();
    let indexes = |list: &[TopicLayout]| list.iter().map(|topic| topic.index).collect();
    Topology {
        topics,
        stages: vec![
            StageSpec {
                name: NORMALIZE.to_owned(),
                group: NORMALIZE.to_owned(),
                reads: indexes(&[SNAPSHOTS]),
                reads_whole: indexes(&[DIRECTORY_USERS]),
                writes: indexes(&[OBSERVATIONS, PARTIALS, DEAD_LETTERS]),
                state: indexes(&[STATE_NORMALIZE, TASK_STATE]),
                sinks: Vec::new(),
            },
            StageSpec {
                name: ROLLUP.to_owned(),
                group: ROLLUP.to_owned(),
                reads: indexes(&[PARTIALS]),
                writes: indexes(&[UPDATES_USER, UPDATES_FACULTY, UPDATES_APPLICATION]),
                state: indexes(&[STATE_ROLLUP, TASK_STATE]),
                ..StageSpec::default()
            },
            StageSpec {
                name: SINK.to_owned(),
                group: SINK.to_owned(),
                reads: indexes(&[
                    OBSERVATIONS,
                    UPDATES_USER,
                    UPDATES_FACULTY,
                    UPDATES_APPLICATION,
                    DEAD_LETTERS,
                ]),
                sinks: vec![0],
                ..StageSpec::default()
            },
        ],
        sinks: vec![SinkSpec {
            name: "PostgreSQL".to_owned(),
        }],
    }
}

fn topic_spec(topic: &TopicLayout, partitions: Partitions) -> TopicSpec {
    let same_as = |of: TopicLayout| {
        if of.index == topic.index {
            topology::Partitions::Count(topic.partitions.of(partitions))
        } else {
            topology::Partitions::SameAs(of.index)
        }
    };
    TopicSpec {
        name: topic.name.to_owned(),
        partitions: match topic.partitions {
            PartitionCount::Snapshots => same_as(SNAPSHOTS),
            PartitionCount::Rollups => same_as(PARTIALS),
            count => topology::Partitions::Count(count.of(partitions)),
        },
        cleanup: if topic.compacted {
            Cleanup::Compact
        } else {
            Cleanup::Delete
        },
        key: topic.key.to_owned(),
        external: topic.is_external(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipeline_is_sound() {
        let topology = topology(Partitions {
            snapshots: 4,
            rollups: 2,
        });
        assert_eq!(topology.validate(), Ok(()));
    }
}
