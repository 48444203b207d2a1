//! `RollupKey`, `Window` and `Accumulator`, which partials, updates and state share.

use super::symbol::Symbol;
use super::text::{Text, maybe};
use super::{FromRecord, ToRecord, not_negative};
use crate::error::DecodeError;
use rollcall_domain::ddsketch::DdSketch;
use rollcall_domain::hll::Hll;
use rollcall_domain::rollup::MemoryStatistics;
use rollcall_domain::{Accumulator, Grain, GroupingSet, Os, RollupKey, Timestamp, Window};
use serde::de::{Deserializer, Visitor};
use serde::ser::{SerializeSeq as _, Serializer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

#[derive(Serialize, Deserialize)]
pub struct KeyRecord<'a> {
    grouping_set: Symbol<GroupingSet>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
    #[serde(borrow)]
    faculty: Option<Text<'a>>,
    os: Symbol<Os>,
    #[serde(borrow)]
    application: Option<Text<'a>>,
}

impl ToRecord for RollupKey<'_> {
    type Record<'x>
        = KeyRecord<'x>
    where
        Self: 'x;

    fn to_record(&self) -> KeyRecord<'_> {
        let mut record = KeyRecord {
            grouping_set: Symbol::of(self.grouping_set()),
            user: None,
            faculty: None,
            os: Symbol(None),
            application: None,
        };
        match self {
            RollupKey::User(user) => record.user = Some(Text::of(user)),
            RollupKey::Faculty(faculty) => record.faculty = Some(Text::of(faculty)),
            RollupKey::Application {
                faculty,
                os,
                application,
            } => {
                record.faculty = Some(Text::of(faculty));
                record.os = Symbol::of(*os);
                record.application = Some(Text::of(application));
            }
        }
        record
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for RollupKey<'a> {
    type Record = KeyRecord<'a>;

    fn from_record(record: KeyRecord<'a>) -> Result<Self, DecodeError> {
        let set = record.grouping_set.known("grouping_set")?;
        let fields = (
            set,
            maybe(record.user),
            maybe(record.faculty),
            record.os.0,
            maybe(record.application),
        );
        match fields {
            (GroupingSet::User, Some(user), None, None, None) => Ok(RollupKey::User(user)),
            (GroupingSet::Faculty, None, Some(faculty), None, None) => {
                Ok(RollupKey::Faculty(faculty))
            }
            (GroupingSet::Application, None, Some(faculty), Some(os), Some(application)) => {
                Ok(RollupKey::Application {
                    faculty,
                    os,
                    application,
                })
            }
            _ => Err(DecodeError::invalid(
                "key",
                format_args!("its fields are not those of grouping set {}", set.as_str()),
            )),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub struct WindowRecord {
    grain: Symbol<Grain>,
    start: i64,
}

impl ToRecord for Window {
    type Record<'x> = WindowRecord;

    fn to_record(&self) -> WindowRecord {
        WindowRecord {
            grain: Symbol::of(self.grain),
            start: self.start.as_micros(),
        }
    }
}

impl FromRecord<'_> for Window {
    type Record = WindowRecord;

    fn from_record(record: WindowRecord) -> Result<Self, DecodeError> {
        let grain = record.grain.known("window.grain")?;
        let window = Window {
            grain,
            start: Timestamp::from_micros(record.start),
        };
        if grain.window_of(window.start) != window {
            return Err(DecodeError::invalid(
                "window.start",
                format_args!(
                    "{} is not on a boundary of grain {}",
                    record.start,
                    grain.as_str()
                ),
            ));
        }
        Ok(window)
    }
}

#[derive(Serialize, Deserialize)]
pub struct AccumulatorRecord<'r> {
    snapshots: i64,
    processes: i64,
    #[serde(borrow)]
    machines: HllBytes<'r>,
    #[serde(borrow)]
    users: HllBytes<'r>,
    #[serde(borrow)]
    applications: HllBytes<'r>,
    #[serde(borrow)]
    machine_minutes: HllBytes<'r>,
    cpu_time_us: i64,
    memory_count: i64,
    memory_sum_bytes: i64,
    memory_min_bytes: Option<i64>,
    memory_max_bytes: Option<i64>,
    #[serde(borrow)]
    memory_sketch_indexes: BucketColumn<'r, i32>,
    #[serde(borrow)]
    memory_sketch_counts: BucketColumn<'r, i64>,
    first_event_at: Option<i64>,
    last_event_at: Option<i64>,
}

impl ToRecord for Accumulator {
    type Record<'x> = AccumulatorRecord<'x>;

    fn to_record(&self) -> AccumulatorRecord<'_> {
        let memory = &self.memory;
        AccumulatorRecord {
            snapshots: self.snapshots,
            processes: self.processes,
            machines: HllBytes(Cow::Borrowed(&self.machines)),
            users: HllBytes(Cow::Borrowed(&self.users)),
            applications: HllBytes(Cow::Borrowed(&self.applications)),
            machine_minutes: HllBytes(Cow::Borrowed(&self.machine_minutes)),
            cpu_time_us: self.cpu_time_us,
            memory_count: memory.count,
            memory_sum_bytes: memory.sum_bytes,
            memory_min_bytes: memory.min_bytes,
            memory_max_bytes: memory.max_bytes,
            memory_sketch_indexes: BucketColumn::Of(&memory.sketch, |(index, _)| index),
            memory_sketch_counts: BucketColumn::Of(&memory.sketch, |(_, count)| count),
            first_event_at: self.first_event_at.map(Timestamp::as_micros),
            last_event_at: self.last_event_at.map(Timestamp::as_micros),
        }
    }
}

impl<'de> FromRecord<'de> for Accumulator {
    type Record = AccumulatorRecord<'de>;

    fn from_record(record: AccumulatorRecord<'de>) -> Result<Self, DecodeError> {
        not_negative("snapshots", Some(record.snapshots))?;
        not_negative("processes", Some(record.processes))?;
        not_negative("memory_count", Some(record.memory_count))?;
        Ok(Accumulator {
            snapshots: record.snapshots,
            processes: record.processes,
            machines: record.machines.0.into_owned(),
            users: record.users.0.into_owned(),
            applications: record.applications.0.into_owned(),
            machine_minutes: record.machine_minutes.0.into_owned(),
            cpu_time_us: record.cpu_time_us,
            memory: MemoryStatistics {
                count: record.memory_count,
                sum_bytes: record.memory_sum_bytes,
                min_bytes: record.memory_min_bytes,
                max_bytes: record.memory_max_bytes,
                sketch: sketch(record.memory_sketch_indexes, record.memory_sketch_counts)?,
            },
            first_event_at: record.first_event_at.map(Timestamp::from_micros),
            last_event_at: record.last_event_at.map(Timestamp::from_micros),
        })
    }
}

fn sketch(
    indexes: BucketColumn<'_, i32>,
    counts: BucketColumn<'_, i64>,
) -> Result<DdSketch, DecodeError> {
    let (indexes, counts) = (indexes.into_vec(), counts.into_vec());
    if indexes.len() != counts.len() {
        return Err(DecodeError::invalid(
            "memory_sketch_counts",
            format_args!("{} counts for {} indexes", counts.len(), indexes.len()),
        ));
    }
    DdSketch::from_buckets(indexes.into_iter().zip(counts))
        .map_err(|error| DecodeError::invalid("memory_sketch_indexes", error))
}

/// One column of a sketch's buckets as an Avro array.
pub enum BucketColumn<'r, T> {
    /// To be written: this side of each bucket.
    Of(&'r DdSketch, fn((i32, i64)) -> T),
    /// As read.
    Read(Vec<T>),
}

impl<T> BucketColumn<'_, T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            BucketColumn::Of(sketch, side) => sketch.buckets().map(side).collect(),
            BucketColumn::Read(numbers) => numbers,
        }
    }
}

impl<T: Serialize> Serialize for BucketColumn<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            BucketColumn::Of(sketch, side) => {
                let mut array = serializer.serialize_seq(Some(sketch.buckets().len()))?;
                for bucket in sketch.buckets() {
                    array.serialize_element(&side(bucket))?;
                }
                array.end()
            }
            BucketColumn::Read(numbers) => numbers.serialize(serializer),
        }
    }
}

impl<'de: 'r, 'r, T: Deserialize<'de>> Deserialize<'de> for BucketColumn<'r, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(BucketColumn::Read)
    }
}

/// A HyperLogLog in its storage format as Avro `bytes`.
#[derive(Clone, Debug)]
pub struct HllBytes<'r>(Cow<'r, Hll>);

impl Serialize for HllBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        thread_local! {
            // Avro wants the length first, so the bytes need a place to stand in; this one is used again and again.
            static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        BYTES.with_borrow_mut(|bytes| {
            bytes.clear();
            self.0.to_bytes(bytes);
            serializer.serialize_bytes(bytes)
        })
    }
}

impl<'de: 'r, 'r> Deserialize<'de> for HllBytes<'r> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HllVisitor;
        impl Visitor<'_> for HllVisitor {
            type Value = Hll;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a HyperLogLog's bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Hll, E> {
                Hll::from_bytes(bytes).map_err(E::custom)
            }
        }
        deserializer
            .deserialize_bytes(HllVisitor)
            .map(|hll| HllBytes(Cow::Owned(hll)))
    }
}

/// `Rollup` and `RollupState`: the value of a key in a window.
#[derive(Serialize, Deserialize)]
pub struct RollupRecord<'a> {
    #[serde(borrow)]
    pub key: KeyRecord<'a>,
    pub window: WindowRecord,
    #[serde(borrow)]
    pub accumulator: AccumulatorRecord<'a>,
}

impl<'a> RollupRecord<'a> {
    pub fn of(key: &'a RollupKey<'_>, window: Window, accumulator: &'a Accumulator) -> Self {
        RollupRecord {
            key: key.to_record(),
            window: window.to_record(),
            accumulator: accumulator.to_record(),
        }
    }

    pub fn check(self) -> Result<(RollupKey<'a>, Window, Accumulator), DecodeError> {
        Ok((
            RollupKey::from_record(self.key)?,
            Window::from_record(self.window)?,
            Accumulator::from_record(self.accumulator)?,
        ))
    }
}
