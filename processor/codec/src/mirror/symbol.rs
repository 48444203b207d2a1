//! Avro enums, written and read by index. Index 0 is always `UNKNOWN`.

use crate::error::DecodeError;
use rollcall_domain::{CreationTime, Grain, GroupingSet, Os, Precision, ProcessState, Timestamp};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// A domain enum whose variants are, in this order, an Avro enum's symbols after `UNKNOWN`.
pub trait Symbols: Copy + PartialEq + 'static {
    const SYMBOLS: &'static [Self];
}

impl Symbols for Os {
    const SYMBOLS: &'static [Self] = &Os::ALL;
}

impl Symbols for ProcessState {
    const SYMBOLS: &'static [Self] = &ProcessState::ALL;
}

impl Symbols for Precision {
    const SYMBOLS: &'static [Self] = &Precision::ALL;
}

impl Symbols for GroupingSet {
    const SYMBOLS: &'static [Self] = &GroupingSet::ALL;
}

impl Symbols for Grain {
    const SYMBOLS: &'static [Self] = &Grain::ALL;
}

/// A symbol; `None` is `UNKNOWN`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symbol<T>(pub Option<T>);

impl<T> Symbol<T> {
    pub fn of(value: T) -> Self {
        Symbol(Some(value))
    }

    pub fn known(self, field: &'static str) -> Result<T, DecodeError> {
        self.0
            .ok_or_else(|| DecodeError::invalid(field, "a symbol that this version does not know"))
    }
}

impl<T: Symbols> Serialize for Symbol<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let index = match self.0 {
            None => 0,
            Some(value) => {
                let at = T::SYMBOLS.iter().position(|symbol| *symbol == value);
                at.ok_or_else(|| serde::ser::Error::custom("a symbol is missing"))? + 1
            }
        };
        serializer.serialize_u64(index as u64)
    }
}

impl<'de, T: Symbols> Deserialize<'de> for Symbol<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IndexVisitor<T>(PhantomData<T>);
        impl<T: Symbols> Visitor<'_> for IndexVisitor<T> {
            type Value = Symbol<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an enum's index, at most {}", T::SYMBOLS.len())
            }

            fn visit_u64<E: Error>(self, index: u64) -> Result<Symbol<T>, E> {
                let Some(at) = index.checked_sub(1) else {
                    return Ok(Symbol(None));
                };
                let symbol = usize::try_from(at).ok().and_then(|at| T::SYMBOLS.get(at));
                match symbol {
                    Some(symbol) => Ok(Symbol(Some(*symbol))),
                    None => Err(E::custom(format_args!("no symbol has the index {index}"))),
                }
            }
        }
        deserializer.deserialize_u64(IndexVisitor(PhantomData))
    }
}

/// The two fields of a creation time: both, or null and `UNKNOWN`.
pub fn creation_fields(created: Option<CreationTime>) -> (Option<i64>, Symbol<Precision>) {
    let at = created.map(|created| created.at.as_micros());
    (at, Symbol(created.map(|created| created.precision)))
}

/// The inverse of [`creation_fields`].
pub fn creation_time(
    at: Option<i64>,
    precision: Symbol<Precision>,
) -> Result<Option<CreationTime>, DecodeError> {
    match (at, precision.0) {
        (None, None) => Ok(None),
        (Some(at), Some(precision)) => Ok(Some(CreationTime {
            at: Timestamp::from_micros(at),
            precision,
        })),
        _ => Err(DecodeError::invalid(
            "creation_time_precision",
            "the time or its precision is given without the other",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemas::RecordType;

    /// The symbols of the enum `name`, wherever it first stands in `schema`.
    fn symbols(schema: &serde_json::Value, name: &str) -> Option<Vec<String>> {
        match schema {
            serde_json::Value::Array(items) => items.iter().find_map(|item| symbols(item, name)),
            serde_json::Value::Object(object) => {
                let symbols_here = object.get("symbols").filter(|_| object["name"] == name);
                match symbols_here.and_then(serde_json::Value::as_array) {
                    Some(all) => Some(
                        all.iter()
                            .filter_map(|s| s.as_str().map(str::to_owned))
                            .collect(),
                    ),
                    None => object.values().find_map(|value| symbols(value, name)),
                }
            }
            _ => None,
        }
    }

    #[track_caller]
    fn check<T: Symbols>(name: &str, word: fn(T) -> &'static str) {
        let mut expect = vec!["UNKNOWN".to_owned()];
        expect.extend(T::SYMBOLS.iter().map(|symbol| word(*symbol).to_uppercase()));
        let mut found = 0;
        for record in RecordType::ALL {
            let schema = serde_json::from_str(record.schema_json()).unwrap();
            if let Some(symbols) = symbols(&schema, name) {
                assert_eq!(symbols, expect, "{record:?}");
                found += 1;
            }
        }
        assert!(found > 0, "{name} stands in no schema");
    }

    #[test]
    fn symbols_are_the_domains_words_in_the_domains_order() {
        check("Os", Os::as_str);
        check("ProcessState", ProcessState::as_str);
        check("Precision", Precision::as_str);
        check("GroupingSet", GroupingSet::as_str);
        check("Grain", Grain::as_str);
    }
}
