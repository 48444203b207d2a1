//! Avro arrays, written from a slice and read into a vector without a second vector between.

use super::{FromRecord, ToRecord};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// An Avro array whose elements are shown as records one by one.
#[derive(Clone, Debug)]
pub struct List<'r, T: Clone>(Cow<'r, [T]>);

impl<'r, T: Clone> List<'r, T> {
    pub fn of(elements: &'r [T]) -> Self {
        List(Cow::Borrowed(elements))
    }

    pub fn into_vec(self) -> Vec<T> {
        self.0.into_owned()
    }
}

impl<T: Clone + ToRecord> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToRecord::to_record))
    }
}

impl<'de: 'r, 'r, T: Clone + FromRecord<'de>> Deserialize<'de> for List<'r, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: FromRecord<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<Vec<T>, A::Error> {
                let mut elements = Vec::new();
                while let Some(record) = records.next_element()? {
                    let element = T::from_record(record).map_err(A::Error::custom)?;
                    elements.push(element);
                }
                Ok(elements)
            }
        }
        deserializer
            .deserialize_seq(ListVisitor(PhantomData))
            .map(|vec| List(Cow::Owned(vec)))
    }
}
