//! Mirror types: one struct per Avro record, with the record's fields in the record's order.
//!
//! A mirror borrows from the domain value when it is written and from the datum when it is read, so neither way
//! copies text. Order matters for speed alone: the writer buffers a field that comes out of order.
//!
//! Invariants: reading a mirror checks the datum's form, [`FromRecord`] the values; no domain value leaves this
//! module unchecked.
//!
//! Must not know: wire format, registry, writers' schemas. What is read here was written with, or rewritten to, ours.

mod column;
mod dead_letter;
mod machine;
mod machine_state;
mod observations;
mod processes;
mod rollup;
mod rollup_messages;
mod snapshot;
mod symbol;
mod task_state;
mod text;

pub use rollup_messages::UpdateRecord;

use crate::error::DecodeError;
use serde::{Deserialize, Serialize};

/// A domain value that can be shown as an Avro record.
pub trait ToRecord {
    /// The record.
    type Record<'x>: Serialize
    where
        Self: 'x;

    /// Shows `self` as its record.
    fn to_record(&self) -> Self::Record<'_>;
}

/// A domain value that can be made of an Avro record.
pub trait FromRecord<'de>: Sized {
    /// The record.
    type Record: Deserialize<'de>;

    /// Checks the record's values.
    fn from_record(record: Self::Record) -> Result<Self, DecodeError>;
}

fn not_empty(field: &'static str, text: &str) -> Result<(), DecodeError> {
    if text.is_empty() {
        Err(DecodeError::invalid(field, "empty"))
    } else {
        Ok(())
    }
}

fn not_negative<T: Into<i64>>(field: &'static str, number: Option<T>) -> Result<(), DecodeError> {
    match number.map(Into::into) {
        Some(number) if number < 0 => Err(DecodeError::invalid(
            field,
            format_args!("negative: {number}"),
        )),
        _ => Ok(()),
    }
}
