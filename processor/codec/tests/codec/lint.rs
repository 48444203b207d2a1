//! What every schema promises to those who write and read with it, checked; and the checks, checked.

use apache_avro::Schema;
use rollcall_codec::RecordType;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Everything that is wrong with a schema.
fn lint(json: &str) -> Vec<String> {
    let mut problems = vec![];
    if let Err(error) = Schema::parse_str(json) {
        problems.push(format!("apache-avro: {error}"));
    }
    if let Err(error) = json.parse::<serde_avro_fast::Schema>() {
        problems.push(format!("serde_avro_fast: {error}"));
    }
    let Ok(schema) = serde_json::from_str::<Json>(json) else {
        return problems;
    };
    if schema["namespace"] != "rollcall.v1" {
        problems.push("root: its namespace is not rollcall.v1".to_owned());
    }
    lint_type(&schema, "root", &mut problems);
    problems
}

fn lint_type(schema: &Json, at: &str, problems: &mut Vec<String>) {
    match schema {
        Json::Array(branches) => {
            if branches.iter().skip(1).any(|branch| branch == "null") {
                problems.push(format!("{at}: null is not the first of the union"));
            }
            branches
                .iter()
                .for_each(|branch| lint_type(branch, at, problems));
        }
        Json::Object(object) => match object["type"].as_str() {
            Some("record") => lint_record(schema, problems),
            Some("enum") => lint_enum(schema, problems),
            Some("array") => lint_type(&schema["items"], at, problems),
            Some("map") => lint_type(&schema["values"], at, problems),
            Some("fixed") => problems.push(format!("{at}: a fixed type")),
            _ => {}
        },
        _ => {}
    }
}

fn lint_record(record: &Json, problems: &mut Vec<String>) {
    let name = record["name"].as_str().unwrap_or("?");
    lint_doc(record, name, problems);
    let fields = record["fields"].as_array().map_or(&[][..], Vec::as_slice);
    if fields.is_empty() {
        problems.push(format!("{name}: no fields, so its values take no bytes"));
    }
    for field in fields {
        let at = format!("{name}.{}", field["name"].as_str().unwrap_or("?"));
        lint_doc(field, &at, problems);
        lint_field(field, &at, problems);
        lint_type(&field["type"], &at, problems);
    }
}

fn lint_field(field: &Json, at: &str, problems: &mut Vec<String>) {
    let schema = &field["type"];
    let nullable = schema
        .as_array()
        .is_some_and(|branches| branches.contains(&json!("null")));
    if nullable && field.get("default") != Some(&Json::Null) {
        problems.push(format!("{at}: nullable without the default null"));
    }
    if schema == "null" {
        problems.push(format!("{at}: always null, so its values take no bytes"));
    }
    let inner = match schema.as_array() {
        Some(branches) => branches
            .iter()
            .find(|branch| *branch != "null")
            .unwrap_or(schema),
        None => schema,
    };
    let name = field["name"].as_str().unwrap_or("");
    let is_time = ["_at", "_time", "through", "counted_from", "start"]
        .iter()
        .any(|ending| name.ends_with(ending));
    let logical = inner.get("logicalType").and_then(Json::as_str);
    let is_list = inner["type"] == "array";
    if is_time && !is_list && logical != Some("timestamp-micros") {
        problems.push(format!("{at}: a time that is no timestamp-micros"));
    }
    if name == "snapshot_id" && logical != Some("uuid") {
        problems.push(format!("{at}: an id that is no uuid"));
    }
    lint_units(field, name, logical, at, problems);
}

/// A number's doc says its unit where its name does.
fn lint_units(
    field: &Json,
    name: &str,
    logical: Option<&str>,
    at: &str,
    problems: &mut Vec<String>,
) {
    let doc = field["doc"].as_str().unwrap_or("").to_lowercase();
    let units = [
        ("_us", "microseconds"),
        ("_seconds", "seconds"),
        ("_bytes", "bytes"),
        ("_ticks", "clock ticks"),
        ("_pages", "pages"),
        ("_100ns", "100 ns"),
    ];
    for (ending, unit) in units {
        let size = ending == "_bytes" && doc.contains("size");
        if name.ends_with(ending) && !doc.contains(unit) && !size {
            problems.push(format!("{at}: its doc does not say {unit}"));
        }
    }
    if logical == Some("timestamp-micros") && !doc.contains("microseconds since the epoch") {
        problems.push(format!(
            "{at}: its doc does not say microseconds since the epoch"
        ));
    }
}

fn lint_enum(schema: &Json, problems: &mut Vec<String>) {
    let name = schema["name"].as_str().unwrap_or("?");
    lint_doc(schema, name, problems);
    if schema["symbols"].get(0) != Some(&json!("UNKNOWN")) {
        problems.push(format!("{name}: UNKNOWN is not its first symbol"));
    }
    if schema["default"] != "UNKNOWN" {
        problems.push(format!("{name}: its default is not UNKNOWN"));
    }
}

fn lint_doc(schema: &Json, at: &str, problems: &mut Vec<String>) {
    match schema["doc"].as_str() {
        None | Some("") => problems.push(format!("{at}: no doc")),
        Some(doc) if !doc.ends_with('.') => problems.push(format!("{at}: its doc is no sentence")),
        Some(_) => {}
    }
}

#[test]
fn our_schemas_keep_the_rules() {
    for record in RecordType::ALL {
        assert_eq!(
            lint(record.schema_json()),
            Vec::<String>::new(),
            "{record:?}"
        );
        let name = Schema::parse_str(record.schema_json())
            .unwrap()
            .name()
            .unwrap()
            .to_string();
        assert_eq!(name, record.full_name());
    }
}

/// One type has one definition, in whatever files it stands.
#[test]
fn types_of_one_name_are_one_type() {
    fn collect(schema: &Json, types: &mut BTreeMap<String, String>) {
        match schema {
            Json::Array(items) => items.iter().for_each(|item| collect(item, types)),
            Json::Object(object) => {
                let is_type = matches!(
                    object.get("type").and_then(Json::as_str),
                    Some("record" | "enum")
                );
                if let (true, Some(name)) = (is_type, schema["name"].as_str()) {
                    // Only its own level: which type is defined here and which is named differs by file.
                    let mut own = schema.clone();
                    let mut fields = own["fields"].take();
                    for field in fields.as_array_mut().into_iter().flatten() {
                        field["type"] = Json::Null;
                    }
                    own["fields"] = fields;
                    if let Some(object) = own.as_object_mut() {
                        object.remove("namespace");
                    }
                    let own = own.to_string();
                    let before = types.insert(name.to_owned(), own.clone());
                    assert!(
                        before.is_none_or(|before| before == own),
                        "{name} has two definitions"
                    );
                }
                object.values().for_each(|value| collect(value, types));
            }
            _ => {}
        }
    }
    let mut types = BTreeMap::new();
    for record in RecordType::ALL {
        collect(
            &serde_json::from_str(record.schema_json()).unwrap(),
            &mut types,
        );
    }
    assert!(types.len() > 20);
}

#[track_caller]
fn check_broken(fields: Json, expect: &str) {
    let schema = json!({
        "type": "record", "name": "R", "namespace": "rollcall.v1", "doc": "A record.", "fields": fields
    });
    let problems = lint(&schema.to_string());
    assert!(
        problems.iter().any(|problem| problem.contains(expect)),
        "{problems:?}"
    );
}

#[test]
fn broken_schemas_are_caught() {
    check_broken(json!([]), "R: no fields");
    check_broken(json!([{"name": "a", "type": "long"}]), "R.a: no doc");
    check_broken(
        json!([{"name": "a", "type": "long", "doc": "A"}]),
        "R.a: its doc is no sentence",
    );
    check_broken(
        json!([{"name": "a", "type": "loong", "doc": "A."}]),
        "apache-avro",
    );
    check_broken(
        json!([{"name": "a", "type": "null", "doc": "A."}]),
        "R.a: always null",
    );
    check_broken(
        json!([{"name": "a", "type": ["long", "null"], "doc": "A.", "default": 0}]),
        "R.a: null is not the first",
    );
    check_broken(
        json!([{"name": "a", "type": ["null", "long"], "doc": "A."}]),
        "R.a: nullable without the default null",
    );
    check_broken(
        json!([{"name": "event_at", "type": "long", "doc": "A."}]),
        "no timestamp-micros",
    );
    check_broken(
        json!([{"name": "snapshot_id", "type": "string", "doc": "A."}]),
        "no uuid",
    );
    check_broken(
        json!([{"name": "cpu_time_us", "type": "long", "doc": "A."}]),
        "does not say microseconds",
    );
    let symbols = |symbols: Json, default: Json| {
        json!([{"name": "a", "doc": "A.", "type": {
            "type": "enum", "name": "E", "doc": "E.", "symbols": symbols, "default": default
        }}])
    };
    check_broken(
        symbols(json!(["A", "UNKNOWN"]), json!("UNKNOWN")),
        "E: UNKNOWN is not its first",
    );
    check_broken(
        symbols(json!(["UNKNOWN", "A"]), json!("A")),
        "E: its default is not UNKNOWN",
    );
    check_broken(
        json!([{"name": "a", "doc": "A.", "type": {"type": "array", "items": {
            "type": "fixed", "name": "F", "size": 0
        }}}]),
        "a fixed type",
    );
    assert!(
        lint(
            &RecordType::TaskState
                .schema_json()
                .replace("rollcall.v1", "other")
        )[0]
        .contains("namespace")
    );
}
