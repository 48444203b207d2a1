//! What a transaction of ROLLUP writes: changed windows, PROGRESS, the task's own state.

use super::RollupStage;
use super::state_key::state_key;
use crate::layout;
use crate::stage::StageError;
use crate::task_state;
use rollcall_defects::{Defect, is_on};
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::pipeline::{Progress, RollupUpdate, UpdateKind};
use rollcall_domain::rollup::{GroupingSet, RollupKey};
use rollcall_domain::time::Timestamp;
use rollcall_domain::window::Window;
use rollcall_engine::batch::Batch;
use rollcall_engine::record::OutputRecord;
use rollcall_engine::windows::ChangeKind;

impl RollupStage {
    pub(super) fn seal_set(
        &mut self,
        set: GroupingSet,
        batch: &mut Batch,
    ) -> Result<(), StageError> {
        let partition = self.config.partition;
        for change in self.windows[set as usize].changes() {
            let window = Window {
                grain: self.config.grains[set as usize][change.grain],
                start: Timestamp::from_micros(change.window_start_us),
            };
            let key = RollupKey::parse(set, change.key).ok_or_else(|| {
                StageError::Invariant(format!("rollup key {:?} can't be read", change.key))
            })?;
            let is_open = change.kind == ChangeKind::Update;
            let (mut update, mut state) = (Vec::new(), Vec::new());
            self.encoder
                .encode_rollup(
                    kind_of(change.kind),
                    &key,
                    window,
                    &change.value.0,
                    &mut update,
                    is_open.then_some(&mut state),
                )
                .map_err(StageError::unencodable)?;
            let is_late = change.kind == ChangeKind::Correction;
            if !(is_late && is_on(Defect::LateDropped)) {
                batch.push(OutputRecord {
                    topic: layout::updates_topic(set).index,
                    partition,
                    key: Some(change.key.as_bytes().to_vec()),
                    value: Some(update),
                });
            }
            if is_late || (!is_open && is_on(Defect::TombstoneForgotten)) {
                continue;
            }
            let keeps_state = is_open && !is_on(Defect::TombstoneTooEarly);
            batch.push(OutputRecord {
                topic: layout::STATE_ROLLUP.index,
                partition,
                key: Some(state_key(set, window, change.key).into_bytes()),
                value: keeps_state.then_some(state),
            });
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress {
            stage_time: self.state.stage_time,
            folded: self
                .state
                .upstream
                .iter()
                .map(|upstream| SourceOffset {
                    partition: upstream.partition,
                    offset: upstream.next_offset + i64::from(is_on(Defect::ProgressTooFar)),
                })
                .collect(),
            closed_through: self.state.closed_through.clone(),
        }
    }

    pub(super) fn seal_progress(&mut self, batch: &mut Batch) -> Result<(), StageError> {
        let mut value = Vec::new();
        let progress = RollupUpdate::Progress(self.progress());
        self.encoder
            .encode_update(&progress, &mut value)
            .map_err(StageError::unencodable)?;
        for set in GroupingSet::ALL {
            batch.push(OutputRecord {
                topic: layout::updates_topic(set).index,
                partition: self.config.partition,
                key: None,
                value: Some(value.clone()),
            });
        }
        let partition =
            layout::rollup_task_partition(self.config.partitions, self.config.partition);
        task_state::write(&self.state, partition, &mut self.encoder, batch)
    }
}

fn kind_of(kind: ChangeKind) -> UpdateKind {
    match kind {
        ChangeKind::Update => UpdateKind::Update,
        ChangeKind::Closed => UpdateKind::Closed,
        ChangeKind::Correction if is_on(Defect::CorrectionReplaces) => UpdateKind::Closed,
        ChangeKind::Correction => UpdateKind::Correction,
    }
}
