//! `ConvertTo-Json`: an array of objects, one object, or an object a line; also PowerShell 5.1's `{"value":[…],"Count":n}`.
//!
//! Objects are found by their braces and read one by one, so that a broken one costs that one only. Of each, only the
//! properties that are known are kept.

use super::are_processes;
use super::dates::Order;
use super::property::Property;
use super::record::{Reader, Record, Value};
use crate::applications::ApplicationRules;
use crate::format::Format;
use crate::limits::{
    MAX_JSON_OBJECT_BYTES, MAX_LINE_BYTES, MAX_RECOGNITION_LINES, MAX_UNCLOSED_OBJECTS,
};
use crate::listing::{Builder, Listing, RowError};
use crate::local_clock::LocalClock;
use rollcall_domain::LineReason;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

pub(crate) fn parse<'a>(
    text: &'a str,
    mut builder: Builder<'a>,
    clock: &LocalClock,
    rules: &'a ApplicationRules,
) -> Listing<'a> {
    let mut order = Order::default();
    for (_, object) in objects(text) {
        if let Ok(record) = read(object)
            && let Some(date) = record.created_text()
        {
            order.see(date);
        }
    }
    let reader = Reader {
        order,
        clock,
        rules,
    };
    for (number, object) in objects(text) {
        builder.row(
            number,
            |slot| read(object)?.process(&reader, slot),
            || Cow::Borrowed(&object.as_bytes()[..object.len().min(MAX_LINE_BYTES)]),
        );
    }
    builder.finish()
}

fn read(object: &str) -> Result<Record<'_>, RowError> {
    if object.len() > MAX_JSON_OBJECT_BYTES {
        return Err(RowError::new(
            LineReason::TooLong,
            "the object is longer than 4 MiB",
        ));
    }
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let record = RecordSeed.deserialize(&mut deserializer);
    record
        .and_then(|record| deserializer.end().map(|()| record))
        .map_err(|_| RowError::new(LineReason::BadQuoting, "the object is no valid JSON"))
}

/// The objects of `text` and the numbers of their first lines. What is no object, between them or unclosed at the end, is
/// given as it stands up to its line's end.
fn objects(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let body = text.trim_start_matches('\u{feff}');
    let wrapper = wrapper(body);
    let mut at = text.len() - body.len() + wrapper;
    let mut counted = 0;
    let mut number = 1_u32;
    let mut searches = MAX_UNCLOSED_OBJECTS;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        at += rest.find(|character| !is_filler(character))?;
        let ends = memchr::memchr_iter(b'\n', &text.as_bytes()[counted..at]).count();
        number = number.saturating_add(u32::try_from(ends).unwrap_or(u32::MAX));
        counted = at;
        let rest = &text[at..];
        if wrapper > 0 && rest.starts_with("\"Count\"") {
            return None;
        }
        let line = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        // Objects that do not close are searched to the text's end so often, then to their line's end only.
        let limit = if searches > 0 { rest.len() } else { line };
        let length = if rest.starts_with('{') {
            object_length(&rest.as_bytes()[..limit])
        } else {
            Some(line)
        };
        searches -= usize::from(length.is_none() && searches > 0);
        let length = length.unwrap_or(line);
        at += length;
        Some((number, rest[..length].trim_end()))
    })
}

/// What stands between objects: blanks, as in all listings those of Unicode, and the commas and brackets of arrays.
const fn is_filler(character: char) -> bool {
    character.is_whitespace() || matches!(character, ',' | '[' | ']')
}

/// The length of a wrapper's `{"value":[` at the start of `text`, 0 where it begins otherwise. It ends in `],"Count":n}`.
fn wrapper(text: &str) -> usize {
    let after = |rest: &'_ str, token: &str| -> Option<usize> {
        let trimmed = rest.trim_start();
        let rest_len = trimmed.strip_prefix(token)?.len();
        Some(rest.len() - rest_len)
    };
    let mut at = 0;
    for token in ["{", "\"value\"", ":", "["] {
        match after(&text[at..], token) {
            Some(length) => at += length,
            None => return 0,
        }
    }
    at
}

/// Bytes of the object that `bytes` begin with, by its braces outside of strings.
fn object_length(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut at) = (0_usize, false, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The form of a text whose first object is a process.
pub(crate) fn recognize(text: &str) -> Option<Format> {
    // A prompt and the like may stand before it.
    let mut head = objects(text).take(MAX_RECOGNITION_LINES);
    let (_, object) = head.find(|(_, object)| object.starts_with('{'))?;
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let names = NamesSeed.deserialize(&mut deserializer).ok()?;
    are_processes(names.into_iter()).then_some(Format::PowershellJson)
}

/// Reads an object's properties.
struct RecordSeed;

impl<'de> DeserializeSeed<'de> for RecordSeed {
    type Value = Record<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Record<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed {
    type Value = Record<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
        let mut record = Record::default();
        while let Some(name) = map.next_key::<Text<'de>>()? {
            match Property::of(&name.0) {
                Some(property) => {
                    if let Some(value) = map.next_value_seed(ValueSeed)? {
                        record.set(property, value);
                    }
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(record)
    }
}

/// Reads which properties an object has.
struct NamesSeed;

impl<'de> DeserializeSeed<'de> for NamesSeed {
    type Value = Vec<Option<Property>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for NamesSeed {
    type Value = Vec<Option<Property>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<Text<'de>, IgnoredAny>()? {
            names.extend(Property::of(&name.0).map(Some));
        }
        Ok(names)
    }
}

/// A string, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a property's value; `None` for null.
struct ValueSeed;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Option<Value<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Option<Value<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(Value::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(
            i64::try_from(value).map_or(Value::Other, Value::Integer),
        ))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(Value::Double(value)))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Borrowed(value))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Owned(value.to_owned()))))
    }

    /// Threads: their number.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut count = 0;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Some(Value::Count(count)))
    }

    /// A time span has `Ticks`, a decorated date the date in `value`.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Some(Value::Other);
        while let Some(name) = map.next_key::<Text<'de>>()? {
            match &*name.0 {
                "Ticks" => match map.next_value_seed(ValueSeed)? {
                    Some(Value::Integer(ticks)) => found = Some(Value::Ticks(ticks)),
                    _ => found = Some(Value::Other),
                },
                "value" => found = map.next_value_seed(ValueSeed)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}
