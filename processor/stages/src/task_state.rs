//! A task's own state record: reading, checking and writing it.

use crate::layout;
use crate::schemas::Reader;
use crate::stage::StageError;
use rollcall_codec::{Encoder, messages};
use rollcall_domain::observation::TaskCounts;
use rollcall_domain::pipeline::TaskState;
use rollcall_domain::time::Timestamp;
use rollcall_engine::batch::Batch;
use rollcall_engine::record::OutputRecord;

/// The state of a task that has never committed.
pub(crate) fn fresh(
    deployment: &str,
    stage: &str,
    partition: i32,
    input_partitions: i32,
) -> TaskState {
    TaskState {
        deployment: deployment.to_owned(),
        stage: stage.to_owned(),
        partition,
        input_partitions,
        sequence: 0,
        next_offset: -1,
        stage_time: Timestamp::MIN,
        upstream: Vec::new(),
        closed_through: Vec::new(),
        counts: TaskCounts::default(),
    }
}

/// What the record says; `None`: a tombstone, which says nothing. Refuses state of another deployment, task or partition count.
pub(crate) fn read(
    reader: &Reader<messages::TaskState>,
    key: &str,
    value: Option<&[u8]>,
    expected: &TaskState,
) -> Result<Option<TaskState>, StageError> {
    let Some(value) = value else {
        return Ok(None);
    };
    let found = reader
        .read(Some(value), None)
        .map_err(|error| StageError::unreadable(key, error))?;
    check(&found, expected)?;
    Ok(Some(found))
}

/// Writes the state as of this transaction to `partition` of `task-state`.
pub(crate) fn write(
    state: &TaskState,
    partition: i32,
    encoder: &mut Encoder,
    batch: &mut Batch,
) -> Result<(), StageError> {
    let mut value = Vec::new();
    encoder
        .encode_task_state(state, &mut value)
        .map_err(StageError::unencodable)?;
    batch.push(OutputRecord {
        topic: layout::TASK_STATE.index,
        partition,
        key: Some(format!("{}/{}", state.stage, state.partition).into_bytes()),
        value: Some(value),
    });
    Ok(())
}

fn check(found: &TaskState, expected: &TaskState) -> Result<(), StageError> {
    let differs = |what: &'static str, found: &dyn ToString, wanted: &dyn ToString| {
        let (found, wanted) = (found.to_string(), wanted.to_string());
        if found == wanted {
            return Ok(());
        }
        Err(StageError::ForeignState {
            stage: expected.stage.clone(),
            partition: expected.partition,
            what,
            found,
            expected: wanted,
        })
    };
    differs("deployment", &found.deployment, &expected.deployment)?;
    differs("stage", &found.stage, &expected.stage)?;
    differs("partition", &found.partition, &expected.partition)?;
    differs(
        "input partition count",
        &found.input_partitions,
        &expected.input_partitions,
    )
}
