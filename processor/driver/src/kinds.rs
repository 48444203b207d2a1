//! What differs between NORMALIZE and ROLLUP, as far as running them goes.

use crate::directory::{SharedDirectory, Users};
use rollcall_codec::Encoder;
use rollcall_engine::task::TaskConfig;
use rollcall_normalize::ApplicationRules;
use rollcall_stages::layout::{self, Partitions, TopicLayout};
use rollcall_stages::{NormalizeConfig, NormalizeStage, RollupConfig, RollupStage, Stage};
use std::sync::Arc;

/// A kind of consume-transform-produce stage.
pub trait StageKind: Send + Sync + 'static {
    /// Its logic.
    type Stage: Stage;

    /// Its name.
    fn name(&self) -> &'static str;
    /// The topic that it reads.
    fn input(&self) -> TopicLayout;
    /// Partition counts.
    fn partitions(&self) -> Partitions;
    /// The topic to which it writes whose append times tell it the broker's time, if it needs to know.
    fn observed(&self) -> Option<TopicLayout>;
    /// Its own partitions of state topics, for task `partition`.
    fn state(&self, partition: i32) -> [(TopicLayout, i32); 2];
    /// When its tasks commit.
    fn task_config(&self) -> TaskConfig;
    /// Whether tasks may start.
    fn is_ready(&self) -> bool;
    /// The logic of task `partition`, without state.
    fn make(&self, partition: i32, encoder: Encoder) -> Self::Stage;
    /// Brings what the logic shares with other threads up to date, between transactions.
    fn refresh(&self, stage: &mut Self::Stage);
}

/// NORMALIZE.
pub struct NormalizeKind {
    /// Settings of every task; the partition is filled in.
    pub config: NormalizeConfig,
    /// When tasks commit.
    pub task: TaskConfig,
    /// Application names.
    pub rules: Arc<ApplicationRules>,
    /// Which faculty a user belongs to.
    pub directory: SharedDirectory,
}

impl StageKind for NormalizeKind {
    type Stage = NormalizeStage;

    fn name(&self) -> &'static str {
        layout::NORMALIZE
    }

    fn input(&self) -> TopicLayout {
        layout::SNAPSHOTS
    }

    fn partitions(&self) -> Partitions {
        self.config.partitions
    }

    fn observed(&self) -> Option<TopicLayout> {
        Some(layout::PARTIALS)
    }

    fn state(&self, partition: i32) -> [(TopicLayout, i32); 2] {
        [
            (layout::STATE_NORMALIZE, partition),
            (
                layout::TASK_STATE,
                layout::normalize_task_partition(partition),
            ),
        ]
    }

    fn task_config(&self) -> TaskConfig {
        self.task
    }

    fn is_ready(&self) -> bool {
        self.directory.is_complete()
    }

    fn make(&self, partition: i32, encoder: Encoder) -> NormalizeStage {
        let config = NormalizeConfig {
            partition,
            ..self.config.clone()
        };
        let directory: Arc<Users> = self.directory.current();
        NormalizeStage::new(config, Arc::clone(&self.rules), encoder, directory)
    }

    fn refresh(&self, stage: &mut NormalizeStage) {
        stage.set_directory(self.directory.current());
    }
}

/// ROLLUP.
pub struct RollupKind {
    /// Settings of every task; the partition is filled in.
    pub config: RollupConfig,
    /// When tasks commit.
    pub task: TaskConfig,
}

impl StageKind for RollupKind {
    type Stage = RollupStage;

    fn name(&self) -> &'static str {
        layout::ROLLUP
    }

    fn input(&self) -> TopicLayout {
        layout::PARTIALS
    }

    fn partitions(&self) -> Partitions {
        self.config.partitions
    }

    fn observed(&self) -> Option<TopicLayout> {
        None
    }

    fn state(&self, partition: i32) -> [(TopicLayout, i32); 2] {
        let own = layout::rollup_task_partition(self.config.partitions, partition);
        [(layout::STATE_ROLLUP, partition), (layout::TASK_STATE, own)]
    }

    fn task_config(&self) -> TaskConfig {
        self.task
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn make(&self, partition: i32, encoder: Encoder) -> RollupStage {
        RollupStage::new(
            RollupConfig {
                partition,
                ..self.config.clone()
            },
            encoder,
        )
    }

    fn refresh(&self, _stage: &mut RollupStage) {}
}
