//! Apache Avro's own implementation as a second opinion, and other producers' schemas.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use rollcall_codec::RecordType;
use serde_json::{Map, Value as Json, json};

pub fn parse(json: &str) -> apache_avro::Schema {
    apache_avro::Schema::parse_str(json).unwrap()
}

/// Reads a datum to its end.
pub fn read(schema: &apache_avro::Schema, mut datum: &[u8]) -> Value {
    let value = GenericDatumReader::builder(schema)
        .build()
        .unwrap()
        .read_value(&mut datum);
    assert!(datum.is_empty(), "{} bytes follow the datum", datum.len());
    value.unwrap()
}

pub fn write(schema: &apache_avro::Schema, value: Value) -> Vec<u8> {
    GenericDatumWriter::builder(schema)
        .build()
        .unwrap()
        .write_value_to_vec(value)
        .unwrap()
}

/// A record's schema as another producer may have it: each record's fields are given to `edit`, innermost first.
pub fn edited(record: RecordType, edit: &dyn Fn(&str, &mut Vec<Json>)) -> String {
    let schema: Json = serde_json::from_str(record.schema_json()).unwrap();
    let mut types = Map::new();
    collect(&schema, &mut types);
    let mut written = vec![];
    let mut schema = emit(&schema, &types, &mut written, edit);
    schema["namespace"] = json!("rollcall.v1");
    schema.to_string()
}

/// The schema with the fields of every record in reverse order, and one field more.
pub fn reversed(record: RecordType) -> String {
    edited(record, &|_, fields| {
        fields.reverse();
        fields.insert(
            0,
            json!({"name": "extra", "type": ["null", "string"], "default": null}),
        );
    })
}

/// A value of our schema as one of [`reversed`].
pub fn reverse(value: Value, extra: &str) -> Value {
    match value {
        Value::Record(fields) => {
            let fields = fields
                .into_iter()
                .rev()
                .map(|(name, value)| (name, reverse(value, extra)));
            let extra = Value::Union(1, Box::new(Value::String(extra.to_owned())));
            Value::Record(
                std::iter::once(("extra".to_owned(), extra))
                    .chain(fields)
                    .collect(),
            )
        }
        Value::Union(branch, value) => Value::Union(branch, Box::new(reverse(*value, extra))),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| reverse(item, extra)).collect())
        }
        other => other,
    }
}

fn collect(schema: &Json, types: &mut Map<String, Json>) {
    match schema {
        Json::Array(branches) => branches.iter().for_each(|branch| collect(branch, types)),
        Json::Object(object) => {
            if let Some(name) = object.get("name").and_then(Json::as_str)
                && matches!(object["type"].as_str(), Some("record" | "enum"))
            {
                types.insert(name.to_owned(), schema.clone());
            }
            object.values().for_each(|value| collect(value, types));
        }
        _ => {}
    }
}

/// The schema with each named type where it is first met.
fn emit(
    schema: &Json,
    types: &Map<String, Json>,
    written: &mut Vec<String>,
    edit: &dyn Fn(&str, &mut Vec<Json>),
) -> Json {
    match schema {
        Json::Array(branches) => branches
            .iter()
            .map(|branch| emit(branch, types, written, edit))
            .collect(),
        Json::String(name) => match types.get(name) {
            Some(named) if !written.contains(name) => emit(named, types, written, edit),
            _ => schema.clone(),
        },
        Json::Object(object) => {
            let mut object = object.clone();
            if let Some(name) = object.get("name").and_then(Json::as_str).map(str::to_owned) {
                if written.contains(&name) {
                    return Json::String(name);
                }
                written.push(name.clone());
                if let Some(Json::Array(fields)) = object.get_mut("fields") {
                    edit(&name, fields);
                    for field in fields {
                        field["type"] = emit(&field["type"], types, written, edit);
                    }
                }
            }
            for part in ["items", "values"] {
                if let Some(inner) = object.get(part) {
                    let inner = emit(inner, types, written, edit);
                    object.insert(part.to_owned(), inner);
                }
            }
            Json::Object(object)
        }
        other => other.clone(),
    }
}
