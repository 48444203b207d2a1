//! `TaskState`.

use super::column::List;
use super::observations::CountsRecord;
use super::text::Text;
use super::{FromRecord, ToRecord, not_empty};
use crate::error::DecodeError;
use rollcall_domain::pipeline::{ClosedThrough, TaskState, Upstream};
use rollcall_domain::{TaskCounts, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct TaskStateRecord<'a> {
    #[serde(borrow)]
    deployment: Text<'a>,
    #[serde(borrow)]
    stage: Text<'a>,
    partition: i32,
    input_partitions: i32,
    sequence: i64,
    next_offset: i64,
    stage_time: i64,
    #[serde(borrow)]
    upstream: List<'a, Upstream>,
    #[serde(borrow)]
    closed_through: List<'a, ClosedThrough>,
    counts: CountsRecord,
}

impl ToRecord for TaskState {
    type Record<'x> = TaskStateRecord<'x>;

    fn to_record(&self) -> TaskStateRecord<'_> {
        TaskStateRecord {
            deployment: Text::of(&self.deployment),
            stage: Text::of(&self.stage),
            partition: self.partition,
            input_partitions: self.input_partitions,
            sequence: self.sequence,
            next_offset: self.next_offset,
            stage_time: self.stage_time.as_micros(),
            upstream: List::of(&self.upstream),
            closed_through: List::of(&self.closed_through),
            counts: self.counts.to_record(),
        }
    }
}

impl<'de> FromRecord<'de> for TaskState {
    type Record = TaskStateRecord<'de>;

    fn from_record(record: TaskStateRecord<'de>) -> Result<Self, DecodeError> {
        not_empty("deployment", &record.deployment.0)?;
        not_empty("stage", &record.stage.0)?;
        Ok(TaskState {
            deployment: record.deployment.0.into_owned(),
            stage: record.stage.0.into_owned(),
            partition: record.partition,
            input_partitions: record.input_partitions,
            sequence: record.sequence,
            next_offset: record.next_offset,
            stage_time: Timestamp::from_micros(record.stage_time),
            upstream: record.upstream.into_vec(),
            closed_through: record.closed_through.into_vec(),
            counts: TaskCounts::from_record(record.counts)?,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub struct UpstreamRecord {
    partition: i32,
    stage_time: i64,
    next_offset: i64,
}

impl ToRecord for Upstream {
    type Record<'x> = UpstreamRecord;

    fn to_record(&self) -> UpstreamRecord {
        UpstreamRecord {
            partition: self.partition,
            stage_time: self.stage_time.as_micros(),
            next_offset: self.next_offset,
        }
    }
}

impl FromRecord<'_> for Upstream {
    type Record = UpstreamRecord;

    fn from_record(record: UpstreamRecord) -> Result<Self, DecodeError> {
        Ok(Upstream {
            partition: record.partition,
            stage_time: Timestamp::from_micros(record.stage_time),
            next_offset: record.next_offset,
        })
    }
}
