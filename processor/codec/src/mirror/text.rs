//! Text, bytes and ids that borrow from the datum where they can.
//!
//! Serde borrows a `Cow` only where it stands alone, not inside an `Option` or a `Vec`; these types always do.

use super::{FromRecord, ToRecord};
use crate::error::{DecodeError, bounded};
use apache_avro::Uuid;
use rollcall_domain::SnapshotId;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// An Avro `string`.
#[derive(Clone, Debug)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'a> Text<'a> {
    pub fn of(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }

    pub fn maybe(text: &'a Option<Cow<'_, str>>) -> Option<Self> {
        text.as_deref().map(Text::of)
    }
}

/// The text of a nullable field.
pub fn maybe(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0)
}

/// The text of a nullable field in which producers also write nothing as an empty text.
pub fn not_empty_or_none(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    maybe(text).filter(|text| !text.is_empty())
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl ToRecord for Cow<'_, str> {
    type Record<'x>
        = Text<'x>
    where
        Self: 'x;

    fn to_record(&self) -> Text<'_> {
        Text::of(self)
    }
}

impl<'de: 'a, 'a> FromRecord<'de> for Cow<'a, str> {
    type Record = Text<'a>;

    fn from_record(record: Text<'a>) -> Result<Self, DecodeError> {
        Ok(record.0)
    }
}

/// An Avro `bytes`.
#[derive(Clone, Debug)]
pub struct Bytes<'a>(pub Cow<'a, [u8]>);

impl<'a> Bytes<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Bytes(Cow::Borrowed(bytes))
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl<'de> Visitor<'de> for BytesVisitor {
            type Value = Bytes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Bytes<'de>, E> {
                Ok(Bytes(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes<'de>, E> {
                Ok(Bytes(Cow::Owned(bytes.to_owned())))
            }
        }
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

/// An Avro map of strings.
#[derive(Clone, Debug)]
pub enum TextMap<'a> {
    /// To be written.
    Of(&'a BTreeMap<Cow<'a, str>, Cow<'a, str>>),
    /// As read.
    Read(BTreeMap<Cow<'a, str>, Cow<'a, str>>),
}

impl<'a> TextMap<'a> {
    pub fn into_map(self) -> BTreeMap<Cow<'a, str>, Cow<'a, str>> {
        match self {
            TextMap::Of(map) => map.clone(),
            TextMap::Read(map) => map,
        }
    }
}

impl Serialize for TextMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map = match self {
            TextMap::Of(map) => map,
            TextMap::Read(map) => map,
        };
        serializer.collect_map(
            map.iter()
                .map(|(key, value)| (Text::of(key), Text::of(value))),
        )
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TextMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;
        impl<'de> Visitor<'de> for MapVisitor {
            type Value = TextMap<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut entries: A,
            ) -> Result<TextMap<'de>, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((key, value)) = entries.next_entry::<Text<'de>, Text<'de>>()? {
                    map.insert(key.0, value.0);
                }
                Ok(TextMap::Read(map))
            }
        }
        deserializer.deserialize_map(MapVisitor)
    }
}

/// An Avro `string` of logical type `uuid`: the id, or the text that is none.
#[derive(Clone, Debug)]
pub struct IdText(Result<SnapshotId, String>);

impl IdText {
    pub fn of(id: SnapshotId) -> Self {
        IdText(Ok(id))
    }

    pub fn check(self, field: &'static str) -> Result<SnapshotId, DecodeError> {
        self.0
            .map_err(|text| DecodeError::invalid(field, format_args!("no UUID: {text:?}")))
    }
}

impl Serialize for IdText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let id = self
            .0
            .as_ref()
            .map_err(|_| serde::ser::Error::custom("no UUID"))?;
        let mut text = Uuid::encode_buffer();
        serializer.serialize_str(Uuid::from_u128(id.0).hyphenated().encode_lower(&mut text))
    }
}

impl<'de> Deserialize<'de> for IdText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?.0;
        Ok(IdText(match Uuid::try_parse(&text) {
            Ok(uuid) => Ok(SnapshotId(uuid.as_u128())),
            Err(_) => Err(bounded(text.into_owned())),
        }))
    }
}
