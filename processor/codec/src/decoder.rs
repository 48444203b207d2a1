//! Reads the datums of one writer's schema.

use crate::error::{DecodeError, IncompatibleSchema};
use crate::limits::DATUM_DEPTH_MAX;
use crate::messages::Message;
use crate::mirror::FromRecord;
use crate::plan::Plan;
use crate::schemas::RecordType;
use serde::Deserialize as _;
use serde_avro_fast::de::read::{ReadSlice, ReaderRead, SliceRead};
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};
use std::io::BufRead;
use std::marker::PhantomData;

/// Reads messages `M` that were written with one schema, ours or another.
#[derive(Clone, Debug)]
pub struct Decoder<M> {
    /// How to rewrite a datum as ours; `None` where it is as ours would be.
    plan: Option<Plan>,
    message: PhantomData<fn() -> M>,
}

impl<M: Message> Decoder<M> {
    /// A decoder of what was written with `writer_schema_json`.
    pub fn new(writer_schema_json: &str) -> Result<Self, IncompatibleSchema> {
        if writer_schema_json == M::RECORD.schema_json() {
            return Ok(Self::ours());
        }
        let plan = Plan::new(writer_schema_json, M::RECORD.schema_json())?;
        Ok(Self {
            plan: (!plan.is_identity()).then_some(plan),
            message: PhantomData,
        })
    }

    /// A decoder of what was written with our own schema.
    #[must_use]
    pub const fn ours() -> Self {
        Self {
            plan: None,
            message: PhantomData,
        }
    }

    /// Whether datums are read in place, for their bytes are what our schema would have given.
    #[must_use]
    pub const fn reads_in_place(&self) -> bool {
        self.plan.is_none()
    }

    /// Reads a datum: a value without its wire format prefix.
    pub fn decode<'a>(&self, datum: &'a [u8]) -> Result<M::Value<'a>, DecodeError> {
        match &self.plan {
            None => read(M::RECORD, SliceRead::new(datum), datum.len()),
            Some(plan) => {
                let ours = plan.rewrite(datum)?;
                read(M::RECORD, ReaderRead::new(ours.as_slice()), ours.len())
            }
        }
    }
}

/// Reads a datum of our own schema, of `length` bytes, to its end.
fn read<'a, T, R>(record: RecordType, reader: R, length: usize) -> Result<T, DecodeError>
where
    T: FromRecord<'a>,
    R: ReadSlice<'a> + BufRead,
{
    let mut config = DeserializerConfig::new(record.fast_schema());
    // Every element of our arrays and maps takes at least a byte: a test says so.
    config.max_seq_size = length;
    config.allowed_depth = DATUM_DEPTH_MAX;
    let mut state = DeserializerState::with_config(reader, config);
    let read = T::Record::deserialize(state.deserializer()).map_err(DecodeError::undecodable)?;
    let value = T::from_record(read)?;
    let left = state.into_reader().fill_buf().map_or(0, <[u8]>::len);
    if left > 0 {
        return Err(DecodeError::undecodable(format_args!(
            "{left} bytes follow the datum"
        )));
    }
    Ok(value)
}
