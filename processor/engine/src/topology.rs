//! The topology as data: topics, stages and external sinks, checked as a whole and drawn.
//!
//! Invariants of a [`Topology::validate`]d topology: every index exists; names are unique; what a stage reads
//! is written by a stage or from outside; without state, stages form no cycle; state topics are compacted,
//! are nobody's input or output, and have a partition for every task; output topics are not compacted, as
//! compaction could remove what a slow reader has not seen.
//!
//! It must not know what the topics hold; names and key descriptions are the caller's.

mod render;

use crate::limits::{MAX_STAGES, MAX_TOPICS};
use crate::record::TopicIndex;

/// What happens to old records of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cleanup {
    /// They go after a time.
    Delete,
    /// The newest of each key stays.
    Compact,
}

impl Cleanup {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Cleanup::Delete => "delete",
            Cleanup::Compact => "compact",
        }
    }
}

/// How many partitions a topic has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Partitions {
    /// So many.
    Count(i32),
    /// As many as another topic.
    SameAs(TopicIndex),
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: Partitions,
    /// What happens to old records.
    pub cleanup: Cleanup,
    /// What its key is, for people.
    pub key: String,
    /// Whether it is written from outside.
    pub external: bool,
}

/// A stage: one task per partition of its inputs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StageSpec {
    /// Its name.
    pub name: String,
    /// The consumer group that spreads its tasks over workers.
    pub group: String,
    /// Topics of which each task reads its own partition.
    pub reads: Vec<TopicIndex>,
    /// Topics that each task reads whole.
    pub reads_whole: Vec<TopicIndex>,
    /// Output topics.
    pub writes: Vec<TopicIndex>,
    /// Topics that hold its state.
    pub state: Vec<TopicIndex>,
    /// External sinks that it writes, as indexes into the topology's.
    pub sinks: Vec<usize>,
}

/// Something that is written and is no topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkSpec {
    /// Its name.
    pub name: String,
}

/// Topics, stages and sinks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Topology {
    /// The topics; a [`TopicIndex`] counts from 0.
    pub topics: Vec<TopicSpec>,
    /// The stages, upstream first where there is an order.
    pub stages: Vec<StageSpec>,
    /// The external sinks.
    pub sinks: Vec<SinkSpec>,
}

/// What is wrong with a topology.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TopologyError {
    /// More topics than [`MAX_TOPICS`].
    #[error("{0} topics, at most {MAX_TOPICS}")]
    TooManyTopics(usize),
    /// More stages than [`MAX_STAGES`].
    #[error("{0} stages, at most {MAX_STAGES}")]
    TooManyStages(usize),
    /// Two topics, stages or sinks have one name, or one has none.
    #[error("the name {0:?} is empty or taken twice")]
    BadName(String),
    /// An index is out of range.
    #[error("{place} names topic or sink {index}, which does not exist")]
    UnknownIndex {
        /// Where.
        place: String,
        /// The index.
        index: usize,
    },
    /// A topic's partition count is less than 1, or defined by itself.
    #[error("topic {0} has no partition count")]
    NoPartitions(String),
    /// A stage reads what nobody writes.
    #[error("stage {stage} reads {topic}, which nobody writes")]
    Unwritten {
        /// The stage.
        stage: String,
        /// The topic.
        topic: String,
    },
    /// Nobody reads, writes or keeps state in it.
    #[error("topic {0} is not used")]
    Unused(String),
    /// Stages read, in a circle, what each other write.
    #[error("stages form a cycle: {}", .0.join(", "))]
    Cycle(Vec<String>),
    /// A state topic that is not compacted.
    #[error("state topic {0} is not compacted")]
    StateNotCompacted(String),
    /// A state topic that is also an input or output.
    #[error("state topic {0} is also read or written as input or output")]
    StateShared(String),
    /// A state topic with fewer partitions than the stage has tasks.
    #[error(
        "state topic {topic} has {partitions} partitions for the {tasks} tasks of stage {stage}"
    )]
    StateTooNarrow {
        /// The stage.
        stage: String,
        /// The topic.
        topic: String,
        /// The topic's partitions.
        partitions: i32,
        /// The stage's tasks.
        tasks: i32,
    },
    /// An output topic that is compacted.
    #[error("stage {stage} writes {topic}, which is compacted: a slow reader could miss records")]
    OutputCompacted {
        /// The stage.
        stage: String,
        /// The topic.
        topic: String,
    },
}

impl StageSpec {
    fn inputs(&self) -> impl Iterator<Item = TopicIndex> {
        self.reads.iter().chain(&self.reads_whole).copied()
    }

    fn topics(&self) -> impl Iterator<Item = TopicIndex> {
        self.inputs()
            .chain(self.writes.iter().chain(&self.state).copied())
    }
}

impl Topology {
    /// The topic of an index.
    #[must_use]
    pub fn topic(&self, index: TopicIndex) -> Option<&TopicSpec> {
        self.topics.get(usize::from(index.0))
    }

    /// The index of a topic, by name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TopicIndex> {
        let position = self.topics.iter().position(|topic| topic.name == name)?;
        u16::try_from(position).ok().map(TopicIndex)
    }

    /// How many partitions a topic has; `None` if that is not defined.
    #[must_use]
    pub fn partitions(&self, index: TopicIndex) -> Option<i32> {
        let mut at = index;
        for _ in 0..=self.topics.len() {
            match self.topic(at)?.partitions {
                Partitions::Count(count) => return (count > 0).then_some(count),
                Partitions::SameAs(other) => at = other,
            }
        }
        None
    }

    /// How many tasks a stage has: as many as the widest of its inputs has partitions.
    #[must_use]
    pub fn tasks(&self, stage: &StageSpec) -> i32 {
        stage
            .reads
            .iter()
            .filter_map(|&topic| self.partitions(topic))
            .max()
            .unwrap_or(0)
    }

    /// Checks the whole.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), TopologyError> {
        self.check_sizes()?;
        self.check_names()?;
        self.check_indexes()?;
        self.check_topics()?;
        for stage in &self.stages {
            self.check_flow(stage)?;
            self.check_state(stage)?;
        }
        self.check_cycles()
    }

    fn name(&self, index: TopicIndex) -> String {
        self.topic(index)
            .map_or_else(|| format!("topic {}", index.0), |topic| topic.name.clone())
    }

    fn check_sizes(&self) -> Result<(), TopologyError> {
        if self.topics.len() > MAX_TOPICS {
            return Err(TopologyError::TooManyTopics(self.topics.len()));
        }
        if self.stages.len() > MAX_STAGES {
            return Err(TopologyError::TooManyStages(self.stages.len()));
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), TopologyError> {
        unique(self.topics.iter().map(|topic| &*topic.name))?;
        unique(self.stages.iter().map(|stage| &*stage.name))?;
        unique(self.sinks.iter().map(|sink| &*sink.name))
    }

    fn check_indexes(&self) -> Result<(), TopologyError> {
        let check = |place: &str, index: usize, count: usize| {
            if index < count {
                return Ok(());
            }
            Err(TopologyError::UnknownIndex {
                place: place.to_owned(),
                index,
            })
        };
        for topic in &self.topics {
            if let Partitions::SameAs(other) = topic.partitions {
                check(&topic.name, usize::from(other.0), self.topics.len())?;
            }
        }
        for stage in &self.stages {
            for topic in stage.topics() {
                check(&stage.name, usize::from(topic.0), self.topics.len())?;
            }
            for &sink in &stage.sinks {
                check(&stage.name, sink, self.sinks.len())?;
            }
        }
        Ok(())
    }

    fn check_topics(&self) -> Result<(), TopologyError> {
        for (position, topic) in self.topics.iter().enumerate() {
            let index = TopicIndex(position as u16);
            if self.partitions(index).is_none() {
                return Err(TopologyError::NoPartitions(topic.name.clone()));
            }
            if !self
                .stages
                .iter()
                .any(|stage| stage.topics().any(|used| used == index))
            {
                return Err(TopologyError::Unused(topic.name.clone()));
            }
        }
        Ok(())
    }

    /// Inputs come from somewhere; outputs keep every record.
    fn check_flow(&self, stage: &StageSpec) -> Result<(), TopologyError> {
        for index in stage.inputs() {
            let external = self.topic(index).is_some_and(|topic| topic.external);
            if !external
                && !self
                    .stages
                    .iter()
                    .any(|other| other.writes.contains(&index))
            {
                let (stage, topic) = (stage.name.clone(), self.name(index));
                return Err(TopologyError::Unwritten { stage, topic });
            }
        }
        for &index in &stage.writes {
            if self
                .topic(index)
                .is_some_and(|topic| topic.cleanup == Cleanup::Compact)
            {
                let (stage, topic) = (stage.name.clone(), self.name(index));
                return Err(TopologyError::OutputCompacted { stage, topic });
            }
        }
        Ok(())
    }

    fn check_state(&self, stage: &StageSpec) -> Result<(), TopologyError> {
        let tasks = self.tasks(stage);
        for &index in &stage.state {
            let Some(topic) = self.topic(index) else {
                continue;
            };
            let flows = |other: &StageSpec| {
                other
                    .inputs()
                    .chain(other.writes.iter().copied())
                    .any(|used| used == index)
            };
            if topic.external || self.stages.iter().any(flows) {
                return Err(TopologyError::StateShared(topic.name.clone()));
            }
            if topic.cleanup != Cleanup::Compact {
                return Err(TopologyError::StateNotCompacted(topic.name.clone()));
            }
            let partitions = self.partitions(index).unwrap_or(0);
            if partitions < tasks {
                let (stage, topic) = (stage.name.clone(), topic.name.clone());
                return Err(TopologyError::StateTooNarrow {
                    stage,
                    topic,
                    partitions,
                    tasks,
                });
            }
        }
        Ok(())
    }

    /// Takes away, again and again, the stages that no remaining stage feeds; what stays is in a cycle or
    /// behind one.
    fn check_cycles(&self) -> Result<(), TopologyError> {
        let mut remaining: Vec<&StageSpec> = self.stages.iter().collect();
        loop {
            let fed = |stage: &StageSpec| {
                stage
                    .inputs()
                    .any(|index| remaining.iter().any(|from| from.writes.contains(&index)))
            };
            let left: Vec<_> = remaining
                .iter()
                .copied()
                .filter(|stage| fed(stage))
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            if left.len() == remaining.len() {
                let names = left.iter().map(|stage| stage.name.clone()).collect();
                return Err(TopologyError::Cycle(names));
            }
            remaining = left;
        }
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), TopologyError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if name.is_empty() || !seen.insert(name) {
            return Err(TopologyError::BadName(name.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
