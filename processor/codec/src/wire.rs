//! The Confluent wire format: which schema a value was written with, and where its datum begins.
//!
//! A value begins with a magic byte: 0 and a big-endian 32-bit id, or 1 and a 16-byte GUID; the datum follows.
//! Newer clients put the same bytes into the record header [`VALUE_SCHEMA_ID_HEADER`] instead, and the value is the
//! bare datum. Where there is such a header, it alone counts. The source of both is the deserializers of
//! Confluent's own clients.

use rollcall_domain::RejectionReason;
use std::fmt;

/// The record header in which a value's schema id may stand. Of several, the last counts.
pub const VALUE_SCHEMA_ID_HEADER: &str = "__value_schema_id";

/// Bytes before the datum where the schema is named by id.
pub const PREFIX_BYTES: usize = 5;

const MAGIC_ID: u8 = 0;
const MAGIC_GUID: u8 = 1;

/// How a value names its writer's schema.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SchemaRef {
    /// The registry's id.
    Id(u32),
    /// The registry's GUID, big-endian.
    Guid([u8; 16]),
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaRef::Id(id) => write!(f, "{id}"),
            SchemaRef::Guid(guid) => {
                for (at, byte) in guid.iter().enumerate() {
                    let dash = if matches!(at, 4 | 6 | 8 | 10) {
                        "-"
                    } else {
                        ""
                    };
                    write!(f, "{dash}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// Why a value's schema can't be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// There is no datum.
    #[error("it is empty")]
    Empty,
    /// The first byte is no magic byte.
    #[error("it starts with byte {found}, not with 0 or 1")]
    BadMagic {
        /// The first byte.
        found: u8,
    },
    /// The value ends within the schema's id.
    #[error("it ends within the schema id")]
    Truncated,
    /// The header is no schema id.
    #[error("the header {VALUE_SCHEMA_ID_HEADER} holds no schema id")]
    BadHeader,
}

impl WireError {
    /// The reason under which a record with this error is rejected.
    #[must_use]
    pub const fn reason(self) -> RejectionReason {
        match self {
            WireError::Empty => RejectionReason::EmptyValue,
            WireError::BadMagic { .. } | WireError::Truncated | WireError::BadHeader => {
                RejectionReason::BadMagic
            }
        }
    }
}

/// Splits a record's value into its writer's schema and its datum.
///
/// `header_schema_id` is the value of the last header [`VALUE_SCHEMA_ID_HEADER`], where there is one that is not
/// null. A null value is given as an empty one.
pub fn split<'a>(
    value: &'a [u8],
    header_schema_id: Option<&[u8]>,
) -> Result<(SchemaRef, &'a [u8]), WireError> {
    if value.is_empty() {
        return Err(WireError::Empty);
    }
    match header_schema_id {
        Some(header) => match read_ref(header) {
            Ok((schema, [])) => Ok((schema, value)),
            _ => Err(WireError::BadHeader),
        },
        None => read_ref(value),
    }
}

fn read_ref(bytes: &[u8]) -> Result<(SchemaRef, &[u8]), WireError> {
    match bytes.split_first() {
        Some((&MAGIC_ID, rest)) => {
            let (id, rest) = rest.split_first_chunk().ok_or(WireError::Truncated)?;
            Ok((SchemaRef::Id(u32::from_be_bytes(*id)), rest))
        }
        Some((&MAGIC_GUID, rest)) => {
            let (guid, rest) = rest.split_first_chunk().ok_or(WireError::Truncated)?;
            Ok((SchemaRef::Guid(*guid), rest))
        }
        Some((&found, _)) => Err(WireError::BadMagic { found }),
        None => Err(WireError::Empty),
    }
}

/// Appends what stands before a datum of schema `id`.
pub fn prefix(id: u32, out: &mut Vec<u8>) {
    out.push(MAGIC_ID);
    out.extend_from_slice(&id.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &[u8], header: Option<&[u8]>, expect: Result<(SchemaRef, &[u8]), WireError>) {
        assert_eq!(split(value, header), expect);
    }

    #[test]
    fn prefixes() {
        check(
            &[0, 0, 0, 1, 2, 9, 8],
            None,
            Ok((SchemaRef::Id(258), &[9, 8])),
        );
        check(
            &[0, 0xff, 0xff, 0xff, 0xff],
            None,
            Ok((SchemaRef::Id(u32::MAX), &[])),
        );
        let mut guid = vec![1];
        guid.extend(0..16);
        guid.push(9);
        let expect = std::array::from_fn(|at| at as u8);
        check(&guid, None, Ok((SchemaRef::Guid(expect), &[9])));
        check(&[], None, Err(WireError::Empty));
        check(&[0, 0, 0, 1], None, Err(WireError::Truncated));
        check(&guid[..16], None, Err(WireError::Truncated));
        check(b"{\"a\":1}", None, Err(WireError::BadMagic { found: b'{' }));
    }

    #[test]
    fn a_header_wins_and_the_value_is_the_datum() {
        let value = [0, 0, 0, 0, 1, 7];
        check(
            &value,
            Some(&[0, 0, 0, 0, 5]),
            Ok((SchemaRef::Id(5), &value)),
        );
        let guid = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        let expect = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        check(&value, Some(&guid), Ok((SchemaRef::Guid(expect), &value)));
        check(&value, Some(&[]), Err(WireError::BadHeader));
        check(&value, Some(&guid[..16]), Err(WireError::BadHeader));
        check(&value, Some(&[0, 0, 0, 0, 5, 6]), Err(WireError::BadHeader));
        check(&[], Some(&guid), Err(WireError::Empty));
    }

    #[test]
    fn what_prefix_writes_split_reads() {
        let mut value = vec![];
        prefix(77, &mut value);
        assert_eq!(value.len(), PREFIX_BYTES);
        value.push(3);
        check(&value, None, Ok((SchemaRef::Id(77), &[3])));
    }

    #[test]
    fn guids_print_as_people_know_them() {
        let guid = SchemaRef::Guid(std::array::from_fn(|at| at as u8));
        assert_eq!(guid.to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(SchemaRef::Id(4).to_string(), "4");
    }
}
