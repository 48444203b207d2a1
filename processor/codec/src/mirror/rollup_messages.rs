//! `RollupPartials`, `RollupUpdate` and `RollupState`.

use super::column::List;
use super::rollup::RollupRecord;
use super::symbol::{Symbol, Symbols};
use super::{FromRecord, ToRecord};
use crate::error::DecodeError;
use rollcall_domain::observation::SourceOffset;
use rollcall_domain::pipeline::{
    ClosedThrough, Partial, Progress, RollupPartials, RollupState, RollupUpdate, UpdateKind,
};
use rollcall_domain::{Accumulator, Grain, GroupingSet, RollupKey, Timestamp, Window};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct PartialsRecord<'a> {
    source_partition: i32,
    next_offset: i64,
    stage_time: i64,
    more: bool,
    #[serde(borrow)]
    partials: List<'a, Partial<'a>>,
}

impl ToRecord for RollupPartials<'_> {
    type Record<'x>
        = PartialsRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> PartialsRecord<'_> {
        PartialsRecord {
            source_partition: self.source_partition,
            next_offset: self.next_offset,
            stage_time: self.stage_time.as_micros(),
            more: self.more,
            partials: List::of(&self.partials),
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for RollupPartials<'a> {
    type Record = PartialsRecord<'a>;

    fn from_record(record: PartialsRecord<'a>) -> Result<Self, DecodeError> {
        Ok(RollupPartials {
            source_partition: record.source_partition,
            next_offset: record.next_offset,
            stage_time: Timestamp::from_micros(record.stage_time),
            more: record.more,
            partials: record.partials.into_vec(),
        })
    }
}

impl ToRecord for Partial<'_> {
    type Record<'x>
        = RollupRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> RollupRecord<'_> {
        RollupRecord::of(&self.key, self.window, &self.accumulator)
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for Partial<'a> {
    type Record = RollupRecord<'de>;

    fn from_record(record: RollupRecord<'de>) -> Result<Self, DecodeError> {
        let (key, window, accumulator) = record.check()?;
        Ok(Partial {
            key,
            window,
            accumulator,
        })
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for RollupState<'a> {
    type Record = RollupRecord<'de>;

    fn from_record(record: RollupRecord<'de>) -> Result<Self, DecodeError> {
        let (key, window, accumulator) = record.check()?;
        Ok(RollupState {
            key,
            window,
            accumulator,
        })
    }
}

/// The symbols of the Avro enum `UpdateKind`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Value(UpdateKind),
    Progress,
}

impl Symbols for Kind {
    const SYMBOLS: &'static [Self] = &[
        Kind::Value(UpdateKind::Update),
        Kind::Value(UpdateKind::Closed),
        Kind::Value(UpdateKind::Correction),
        Kind::Progress,
    ];
}

#[derive(Serialize, Deserialize)]
pub struct UpdateRecord<'a> {
    kind: Symbol<Kind>,
    #[serde(borrow)]
    rollup: Option<RollupRecord<'a>>,
    #[serde(borrow)]
    progress: Option<ProgressRecord<'a>>,
}

impl<'a> UpdateRecord<'a> {
    /// A value as an update.
    pub fn of(
        kind: UpdateKind,
        key: &'a RollupKey<'_>,
        window: Window,
        accumulator: &'a Accumulator,
    ) -> Self {
        UpdateRecord {
            kind: Symbol::of(Kind::Value(kind)),
            rollup: Some(RollupRecord::of(key, window, accumulator)),
            progress: None,
        }
    }
}

impl ToRecord for RollupUpdate<'_> {
    type Record<'x>
        = UpdateRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> UpdateRecord<'_> {
        match self {
            RollupUpdate::Value {
                kind,
                key,
                window,
                accumulator,
            } => UpdateRecord::of(*kind, key, *window, accumulator),
            RollupUpdate::Progress(progress) => UpdateRecord {
                kind: Symbol::of(Kind::Progress),
                rollup: None,
                progress: Some(progress.to_record()),
            },
        }
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for RollupUpdate<'a> {
    type Record = UpdateRecord<'de>;

    fn from_record(record: UpdateRecord<'de>) -> Result<Self, DecodeError> {
        match (record.kind.known("kind")?, record.rollup, record.progress) {
            (Kind::Value(kind), Some(rollup), None) => {
                let (key, window, accumulator) = rollup.check()?;
                Ok(RollupUpdate::Value {
                    kind,
                    key,
                    window,
                    accumulator,
                })
            }
            (Kind::Progress, None, Some(progress)) => {
                Progress::from_record(progress).map(RollupUpdate::Progress)
            }
            _ => Err(DecodeError::invalid(
                "kind",
                "the fields set are not those of this kind",
            )),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub struct ProgressRecord<'a> {
    stage_time: i64,
    #[serde(borrow)]
    folded: List<'a, SourceOffset>,
    #[serde(borrow)]
    closed_through: List<'a, ClosedThrough>,
}

impl ToRecord for Progress {
    type Record<'x> = ProgressRecord<'x>;

    fn to_record(&self) -> ProgressRecord<'_> {
        ProgressRecord {
            stage_time: self.stage_time.as_micros(),
            folded: List::of(&self.folded),
            closed_through: List::of(&self.closed_through),
        }
    }
}

impl<'de> FromRecord<'de> for Progress {
    type Record = ProgressRecord<'de>;

    fn from_record(record: ProgressRecord<'de>) -> Result<Self, DecodeError> {
        Ok(Progress {
            stage_time: Timestamp::from_micros(record.stage_time),
            folded: record.folded.into_vec(),
            closed_through: record.closed_through.into_vec(),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub struct PartitionOffsetRecord {
    partition: i32,
    offset: i64,
}

impl ToRecord for SourceOffset {
    type Record<'x> = PartitionOffsetRecord;

    fn to_record(&self) -> PartitionOffsetRecord {
        PartitionOffsetRecord {
            partition: self.partition,
            offset: self.offset,
        }
    }
}

impl FromRecord<'_> for SourceOffset {
    type Record = PartitionOffsetRecord;

    fn from_record(record: PartitionOffsetRecord) -> Result<Self, DecodeError> {
        Ok(SourceOffset {
            partition: record.partition,
            offset: record.offset,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub struct ClosedThroughRecord {
    grouping_set: Symbol<GroupingSet>,
    grain: Symbol<Grain>,
    through: i64,
    counted_from: i64,
}

impl ToRecord for ClosedThrough {
    type Record<'x> = ClosedThroughRecord;

    fn to_record(&self) -> ClosedThroughRecord {
        ClosedThroughRecord {
            grouping_set: Symbol::of(self.grouping_set),
            grain: Symbol::of(self.grain),
            through: self.through.as_micros(),
            counted_from: self.counted_from.as_micros(),
        }
    }
}

impl FromRecord<'_> for ClosedThrough {
    type Record = ClosedThroughRecord;

    fn from_record(record: ClosedThroughRecord) -> Result<Self, DecodeError> {
        Ok(ClosedThrough {
            grouping_set: record.grouping_set.known("closed_through.grouping_set")?,
            grain: record.grain.known("closed_through.grain")?,
            through: Timestamp::from_micros(record.through),
            counted_from: Timestamp::from_micros(record.counted_from),
        })
    }
}
