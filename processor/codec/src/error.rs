//! Why a value could not be decoded or encoded, and what dead-letter reason that is.

use crate::limits::DETAIL_BYTES_MAX;
use crate::schemas::RecordType;
use crate::wire::{SchemaRef, WireError};
use rollcall_domain::RejectionReason;

/// A writer's schema that can't be read as ours.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct IncompatibleSchema {
    /// Where the schemas differ and how, for a person.
    pub detail: String,
}

impl IncompatibleSchema {
    pub(crate) fn new(detail: impl Into<String>) -> Self {
        Self {
            detail: bounded(detail.into()),
        }
    }
}

/// Why a value could not be decoded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The value is not in the wire format.
    #[error("the value is not in the wire format")]
    Wire(#[from] WireError),
    /// The registry does not know the writer's schema.
    #[error("the registry does not know the schema {0}")]
    UnknownSchema(SchemaRef),
    /// The writer's schema can't be read as ours.
    #[error("the writer's schema can't be read as ours")]
    IncompatibleSchema(#[from] IncompatibleSchema),
    /// The bytes are no datum of the writer's schema.
    #[error("{detail}")]
    Undecodable {
        /// What exactly was wrong, for a person.
        detail: String,
    },
    /// An operating system that this version does not know.
    #[error("the operating system is unknown")]
    UnknownOs,
    /// A field breaks its contract.
    #[error("{field}: {detail}")]
    InvalidField {
        /// The field's name in the schema.
        field: &'static str,
        /// What exactly was wrong, for a person.
        detail: String,
    },
}

impl DecodeError {
    pub(crate) fn undecodable(detail: impl std::fmt::Display) -> Self {
        DecodeError::Undecodable {
            detail: bounded(detail.to_string()),
        }
    }

    pub(crate) fn invalid(field: &'static str, detail: impl std::fmt::Display) -> Self {
        DecodeError::InvalidField {
            field,
            detail: bounded(detail.to_string()),
        }
    }

    /// The reason under which a record with this error is rejected.
    #[must_use]
    pub fn reason(&self) -> RejectionReason {
        match self {
            DecodeError::Wire(error) => error.reason(),
            DecodeError::UnknownSchema(_) => RejectionReason::UnknownSchema,
            DecodeError::IncompatibleSchema(_) => RejectionReason::IncompatibleSchema,
            DecodeError::Undecodable { .. } => RejectionReason::Undecodable,
            DecodeError::UnknownOs => RejectionReason::UnknownOs,
            DecodeError::InvalidField { .. } => RejectionReason::InvalidField,
        }
    }

    /// The error and its cause as one line, for a dead letter's detail.
    #[must_use]
    pub fn detail(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

/// Why a value could not be encoded. Either is a fault of this program, not of its input.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// The encoder was built without the schema's id.
    #[error("no schema id is known for {}", .0.full_name())]
    NoSchemaId(RecordType),
    /// The value does not fit its schema.
    #[error("{} can't be encoded: {detail}", .record.full_name())]
    Unencodable {
        /// The record.
        record: RecordType,
        /// What exactly was wrong.
        detail: String,
    },
}

/// `text`, cut so that no input makes an error large.
pub(crate) fn bounded(mut text: String) -> String {
    if text.len() > DETAIL_BYTES_MAX {
        text.truncate(text.floor_char_boundary(DETAIL_BYTES_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_cut_at_the_limit_and_not_before() {
        let at = "é".repeat(DETAIL_BYTES_MAX / 2);
        assert_eq!(bounded(at.clone()), at);
        assert_eq!(bounded(format!("{at}x")), format!("{at}…"));
        assert_eq!(
            bounded(format!("x{at}")).len(),
            DETAIL_BYTES_MAX - 1 + '…'.len_utf8()
        );
    }

    #[test]
    fn a_detail_names_the_cause_once() {
        let error = DecodeError::from(WireError::BadMagic { found: 7 });
        assert_eq!(
            error.detail(),
            "the value is not in the wire format: it starts with byte 7, not with 0 or 1"
        );
        assert_eq!(error.reason(), RejectionReason::BadMagic);
    }
}
