//! Domain types as parameters and columns: `timestamptz` and `uuid` in their binary forms.
//!
//! Invariant: [`Timestamp::MIN`] is `-infinity` and [`Timestamp::MAX`] is `infinity`; all other times are finite.

use rollcall_domain::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, Postgres,
};
use sqlx::{Decode, Encode, Type};

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's times begin.
const EPOCH_OFFSET_US: i64 = 946_684_800_000_000;

/// A time as a parameter or column of type `timestamptz`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Time(pub(crate) Timestamp);

/// A UUID as a parameter or column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Id(pub(crate) u128);

/// A time's binary form.
pub(crate) fn time_to_wire(time: Timestamp) -> i64 {
    match time {
        Timestamp::MIN => i64::MIN,
        Timestamp::MAX => i64::MAX,
        finite => finite.as_micros() - EPOCH_OFFSET_US,
    }
}

fn time_from_wire(wire: i64) -> Timestamp {
    match wire {
        i64::MIN => Timestamp::MIN,
        i64::MAX => Timestamp::MAX,
        finite => Timestamp::from_micros(finite.saturating_add(EPOCH_OFFSET_US)),
    }
}

fn binary<const N: usize>(value: &PgValueRef<'_>) -> Result<[u8; N], BoxDynError> {
    match value.format() {
        PgValueFormat::Binary => Ok(value.as_bytes()?.try_into()?),
        PgValueFormat::Text => {
            Err("a value in text form where the binary form was asked for".into())
        }
    }
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend(&time_to_wire(self.0).to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Time {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Time(time_from_wire(i64::from_be_bytes(binary(&value)?))))
    }
}

impl Type<Postgres> for Id {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(2950))
    }
}

impl PgHasArrayType for Id {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(2951))
    }
}

impl Encode<'_, Postgres> for Id {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Id {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Id(u128::from_be_bytes(binary(&value)?)))
    }
}
