//! Reading and checking a task's own state record.

use crate::stage::StageError;
use rollcall_domain::observation::TaskCounts;
use rollcall_domain::pipeline::TaskState;
use rollcall_domain::time::Timestamp;

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

/// The task's key in `task-state`.
pub(crate) fn key(stage: &str, partition: i32) -> Vec<u8> {
    format!("{stage}/{partition}").into_bytes()
}

/// Refuses state of another deployment, task or partition count.
pub(crate) fn check(found: &TaskState, expected: &TaskState) -> Result<(), StageError> {
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
