//! `DeadLetter` and `DirectoryUser`, the small records that people and other programs read and write.

use super::text::{Bytes, IdText, Text, maybe, not_empty_or_none};
use super::{FromRecord, ToRecord, not_negative};
use crate::error::DecodeError;
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::pipeline::{DeadLetter, DirectoryUser, Rejection};
use rollcall_domain::{LineReason, RejectionReason, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct DeadLetterRecord<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    line: Option<i64>,
    #[serde(borrow)]
    detail: Text<'a>,
    #[serde(borrow)]
    source_topic: Text<'a>,
    source_partition: i32,
    source_offset: i64,
    ingested_at: i64,
    #[serde(borrow)]
    machine_id: Option<Text<'a>>,
    snapshot_id: Option<IdText>,
    #[serde(borrow)]
    raw: Bytes<'a>,
    raw_length: i64,
}

impl ToRecord for DeadLetter<'_> {
    type Record<'x>
        = DeadLetterRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> DeadLetterRecord<'_> {
        DeadLetterRecord {
            reason: Text::of(self.rejection.as_str()),
            line: match self.rejection {
                Rejection::Record(_) => None,
                Rejection::Line(_, line) => Some(line),
            },
            detail: Text::of(&self.detail),
            source_topic: Text::of(&self.source_topic),
            source_partition: self.source.partition,
            source_offset: self.source.offset,
            ingested_at: self.ingested_at.as_micros(),
            machine_id: Text::maybe(&self.machine_id),
            snapshot_id: self.snapshot_id.map(IdText::of),
            raw: Bytes::of(&self.raw),
            raw_length: self.raw_length,
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for DeadLetter<'a> {
    type Record = DeadLetterRecord<'a>;

    fn from_record(record: DeadLetterRecord<'a>) -> Result<Self, DecodeError> {
        not_negative("raw_length", Some(record.raw_length))?;
        Ok(DeadLetter {
            rejection: rejection(&record.reason.0, record.line)?,
            detail: record.detail.0,
            source_topic: record.source_topic.0,
            source: SourceOffset {
                partition: record.source_partition,
                offset: record.source_offset,
            },
            ingested_at: Timestamp::from_micros(record.ingested_at),
            machine_id: maybe(record.machine_id),
            snapshot_id: record
                .snapshot_id
                .map(|id| id.check("snapshot_id"))
                .transpose()?,
            raw: record.raw.0,
            raw_length: record.raw_length,
        })
    }
}

fn rejection(reason: &str, line: Option<i64>) -> Result<Rejection, DecodeError> {
    let rejection = match line {
        None => RejectionReason::parse(reason).map(Rejection::Record),
        Some(line) => LineReason::parse(reason).map(|reason| Rejection::Line(reason, line)),
    };
    rejection.ok_or_else(|| DecodeError::invalid("reason", format_args!("unknown: {reason:?}")))
}

#[derive(Serialize, Deserialize)]
pub struct DirectoryUserRecord<'a> {
    #[serde(borrow)]
    faculty: Option<Text<'a>>,
}

impl ToRecord for DirectoryUser<'_> {
    type Record<'x>
        = DirectoryUserRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> DirectoryUserRecord<'_> {
        DirectoryUserRecord {
            faculty: Text::maybe(&self.faculty),
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for DirectoryUser<'a> {
    type Record = DirectoryUserRecord<'a>;

    fn from_record(record: DirectoryUserRecord<'a>) -> Result<Self, DecodeError> {
        Ok(DirectoryUser {
            faculty: not_empty_or_none(record.faculty),
        })
    }
}
