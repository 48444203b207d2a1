//! Schemas of other versions and other producers: what is read as ours, and what is refused.

use crate::oracle;
use crate::round_trips::encoder;
use apache_avro::types::Value;
use rollcall_codec::{DecodeError, Decoder, RecordType, compatible, messages, wire};
use rollcall_domain::{Machine, Os, Payload, RejectionReason, Snapshot, SnapshotId, Timestamp};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

fn snapshot(payload: Payload<'static>) -> Snapshot<'static> {
    Snapshot {
        id: SnapshotId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        observed_at: Timestamp::from_micros(1_000_000),
        utc_offset_seconds: Some(3600),
        machine: Machine {
            id: "m1".into(),
            name: None,
            os: Os::Windows,
            os_version: Some("10".into()),
            cpu_count: Some(8),
            memory_bytes: Some(1 << 34),
        },
        user: Some("ada".into()),
        faculty: None,
        command: None,
        attributes: BTreeMap::from([("site".into(), "north".into())]),
        payload,
    }
}

/// The snapshot as Apache Avro's value, to be changed and written with another schema.
fn apache_value(snapshot: &Snapshot<'_>) -> Value {
    let mut out = vec![];
    encoder().encode_snapshot(snapshot, &mut out).unwrap();
    let ours = oracle::parse(RecordType::ProcessSnapshot.schema_json());
    oracle::read(&ours, &out[wire::PREFIX_BYTES..])
}

fn fields_of(value: &mut Value) -> &mut Vec<(String, Value)> {
    match value {
        Value::Record(fields) => fields,
        other => panic!("no record: {other:?}"),
    }
}

type Reader = Decoder<messages::ProcessSnapshot>;

#[test]
fn a_producer_with_fields_more_is_read() {
    let schema = oracle::reversed(RecordType::ProcessSnapshot);
    let expect = snapshot(Payload::Macos(vec![]));
    let value = oracle::reverse(apache_value(&expect), "more");
    let datum = oracle::write(&oracle::parse(&schema), value);
    assert_eq!(
        Reader::new(&schema).unwrap().decode(&datum).unwrap(),
        expect
    );
}

#[test]
fn an_older_producer_lacks_defaulted_fields() {
    let gone = [
        "utc_offset_seconds",
        "attributes",
        "faculty",
        "memory_bytes",
    ];
    let schema = oracle::edited(RecordType::ProcessSnapshot, &|_, fields| {
        fields.retain(|field| !gone.iter().any(|gone| field["name"] == *gone));
    });
    let mut expect = snapshot(Payload::Macos(vec![]));
    let mut value = apache_value(&expect);
    let fields = fields_of(&mut value);
    fields.retain(|(name, _)| !gone.contains(&&**name));
    let machine = fields
        .iter_mut()
        .find(|(name, _)| name == "machine")
        .unwrap();
    fields_of(&mut machine.1).retain(|(name, _)| !gone.contains(&&**name));
    let datum = oracle::write(&oracle::parse(&schema), value);

    expect.utc_offset_seconds = None;
    expect.attributes = BTreeMap::new();
    expect.faculty = None;
    expect.machine.memory_bytes = None;
    assert_eq!(
        Reader::new(&schema).unwrap().decode(&datum).unwrap(),
        expect
    );
}

#[test]
fn a_producer_without_unions_where_it_has_no_nulls() {
    let schema = oracle::edited(RecordType::ProcessSnapshot, &|_, fields| {
        for field in fields {
            if field["name"] == "user" {
                *field = json!({"name": "user", "type": "string"});
            }
        }
    });
    let expect = snapshot(Payload::Windows(vec![]));
    let mut value = apache_value(&expect);
    let user = fields_of(&mut value)
        .iter_mut()
        .find(|(name, _)| name == "user")
        .unwrap();
    user.1 = Value::String("ada".to_owned());
    let datum = oracle::write(&oracle::parse(&schema), value);
    assert_eq!(
        Reader::new(&schema).unwrap().decode(&datum).unwrap(),
        expect
    );
}

/// apache-avro resolves a union's records by shape: it would read the empty list as the first record that has one.
#[test]
fn an_empty_list_stays_with_its_operating_system() {
    let schema = oracle::reversed(RecordType::ProcessSnapshot);
    for expect in [Payload::Macos(vec![]), Payload::Windows(vec![])] {
        let expect = snapshot(expect);
        let value = oracle::reverse(apache_value(&expect), "");
        let datum = oracle::write(&oracle::parse(&schema), value);
        assert_eq!(
            Reader::new(&schema).unwrap().decode(&datum).unwrap(),
            expect
        );
    }
}

#[test]
fn docs_defaults_and_new_symbols_of_ours_keep_the_fast_path() {
    let bare = oracle::edited(RecordType::ProcessSnapshot, &|_, fields| {
        for field in fields {
            field.as_object_mut().unwrap().remove("doc");
            field.as_object_mut().unwrap().remove("default");
        }
    });
    assert!(Reader::new(&bare).unwrap().reads_in_place());
    let older = bare.replace(r#""LINUX","MACOS","WINDOWS""#, r#""LINUX","MACOS""#);
    assert_ne!(older, bare);
    assert!(Reader::new(&older).unwrap().reads_in_place());
    let renamed = bare.replace(
        r#""namespace":"rollcall.v1""#,
        r#""namespace":"com.example""#,
    );
    assert!(Reader::new(&renamed).unwrap().reads_in_place());
}

#[test]
fn a_new_operating_system_is_unknown_and_nothing_worse() {
    let schema = RecordType::ProcessSnapshot.schema_json().replace(
        r#""LINUX", "MACOS", "WINDOWS""#,
        r#""LINUX", "FREEBSD", "MACOS", "WINDOWS""#,
    );
    let reader = Reader::new(&schema).unwrap();
    assert!(!reader.reads_in_place());
    let expect = snapshot(Payload::Macos(vec![]));
    let with_os = |index, symbol: &str| {
        let mut value = apache_value(&expect);
        let machine = fields_of(&mut value)
            .iter_mut()
            .find(|(name, _)| name == "machine")
            .unwrap();
        let os = fields_of(&mut machine.1)
            .iter_mut()
            .find(|(name, _)| name == "os")
            .unwrap();
        os.1 = Value::Enum(index, symbol.to_owned());
        oracle::write(&oracle::parse(&schema), value)
    };
    assert_eq!(reader.decode(&with_os(4, "WINDOWS")).unwrap(), expect);
    let error = reader.decode(&with_os(2, "FREEBSD")).unwrap_err();
    assert_eq!(
        (&error, error.reason()),
        (&DecodeError::UnknownOs, RejectionReason::UnknownOs)
    );
}

#[test]
fn a_new_payload_is_undecodable_and_the_others_are_read() {
    let schema = oracle::edited(RecordType::ProcessSnapshot, &|_, fields| {
        for field in fields {
            if field["name"] == "payload" {
                let Some(branches) = field["type"].as_array_mut() else {
                    continue;
                };
                let name = "SolarisProcesses";
                let list = json!({"name": "zones", "type": {"type": "array", "items": "string"}});
                branches.insert(0, json!({"type": "record", "name": name, "fields": [list]}));
            }
        }
    });
    let reader = Reader::new(&schema).unwrap();
    let expect = snapshot(Payload::Windows(vec![]));
    let with_payload = |payload: Value| {
        let mut value = apache_value(&expect);
        fields_of(&mut value)
            .iter_mut()
            .find(|(name, _)| name == "payload")
            .unwrap()
            .1 = payload;
        oracle::write(&oracle::parse(&schema), value)
    };
    let list = |name: &str| Value::Record(vec![(name.to_owned(), Value::Array(vec![]))]);
    let windows = with_payload(Value::Union(4, Box::new(list("processes"))));
    assert_eq!(reader.decode(&windows).unwrap(), expect);
    let error = reader
        .decode(&with_payload(Value::Union(0, Box::new(list("zones")))))
        .unwrap_err();
    assert_eq!(error.reason(), RejectionReason::Undecodable, "{error}");
}

/// Changes the type of a field of `ProcessSnapshot`, or removes it.
fn with_field(name: &'static str, schema: Option<Json>) -> String {
    oracle::edited(RecordType::ProcessSnapshot, &|record, fields| {
        if record == "ProcessSnapshot" {
            match &schema {
                Some(schema) => {
                    let field = fields
                        .iter_mut()
                        .find(|field| field["name"] == name)
                        .unwrap();
                    field["type"] = schema.clone();
                    field.as_object_mut().unwrap().remove("default");
                }
                None => fields.retain(|field| field["name"] != name),
            }
        }
    })
}

#[test]
fn what_cannot_be_read_as_ours_is_refused_with_the_place() {
    #[track_caller]
    fn check(schema: &str, expect: &str) {
        let error = Reader::new(schema).unwrap_err();
        assert!(error.detail.contains(expect), "{}", error.detail);
        assert!(compatible(RecordType::ProcessSnapshot.schema_json(), schema).is_err());
    }
    check("no schema", "JSON");
    check("\"string\"", "a string can't be read as a ProcessSnapshot");
    check(
        RecordType::TaskState.schema_json(),
        "the writer's TaskState is not our ProcessSnapshot",
    );
    check(
        &with_field("observed_at", None),
        "the writer has no field observed_at",
    );
    check(
        &with_field("observed_at", Some(json!("string"))),
        "observed_at: a string can't be read",
    );
    let millis = json!({"type": "long", "logicalType": "timestamp-millis"});
    check(
        &with_field("observed_at", Some(millis)),
        "observed_at: a timestampmillis can't be read",
    );
    check(
        &with_field("utc_offset_seconds", Some(json!("long"))),
        "utc_offset_seconds",
    );
    let bytes = json!({"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"});
    check(&with_field("snapshot_id", Some(bytes)), "snapshot_id");
    check(
        &" ".repeat(rollcall_codec::limits::SCHEMA_BYTES_MAX + 1),
        "more than",
    );
}

#[test]
fn an_int_is_read_as_a_long_and_plain_types_as_logical_ones() {
    for plain in [json!("int"), json!("long")] {
        assert!(Reader::new(&with_field("observed_at", Some(plain))).is_ok());
    }
    assert!(Reader::new(&with_field("snapshot_id", Some(json!("string")))).is_ok());
}

#[test]
fn compatibility_goes_both_ways_over_an_optional_field() {
    for record in RecordType::ALL {
        let current = record.schema_json();
        compatible(current, current).unwrap();
        let newer = oracle::edited(record, &|_, fields| {
            fields.push(json!({"name": "added", "type": ["null", "long"], "default": null}));
        });
        compatible(&newer, current).unwrap();
        compatible(current, &newer).unwrap();
    }
}

#[test]
fn compatibility_breaks_over_a_required_field() {
    for record in RecordType::ALL {
        let current = record.schema_json();
        let newer = oracle::edited(record, &|_, fields| {
            fields.push(json!({"name": "added", "type": "long"}));
        });
        assert!(
            compatible(&newer, current)
                .unwrap_err()
                .detail
                .contains("added")
        );
        compatible(current, &newer).unwrap();
    }
}

#[test]
fn compatibility_wants_every_branch_and_symbol_read() {
    let current = RecordType::ProcessSnapshot.schema_json();
    let nullable = with_field("observed_at", Some(json!(["null", "long"])));
    assert!(compatible(current, &nullable).is_err());
    // A single datum may still be read.
    assert!(Reader::new(&nullable).is_ok());
    let undefaulted = current.replace(r#""default": "UNKNOWN""#, r#""aliases": []"#);
    let newer = current.replace(r#""WINDOWS"]"#, r#""WINDOWS", "FREEBSD"]"#);
    assert!(compatible(current, &newer).is_ok());
    assert!(compatible(&undefaulted, &newer).is_err());
}
