//! What each of the registry's answers means.

use super::*;
use crate::kafka::fake_registry::FakeRegistry;

const NO_SUCH_SCHEMA: (u16, &str) = (404, r#"{"error_code":40403,"message":"no such schema"}"#);
const NO_SUCH_SUBJECT: (u16, &str) = (404, r#"{"error_code":40401,"message":"no such subject"}"#);
const OURS: (u16, &str) = (200, r#"{"subject":"s","version":1,"id":7,"schema":"{}"}"#);

/// Looks schema 9 up, with these answers to that and to what our own subject holds.
fn look_up(
    topic: &TopicLayout,
    schema: SchemaRef,
    of_schema: (u16, &'static str),
    of_subject: (u16, &'static str),
) -> Result<SchemaLookup, RegistryError> {
    let registry = FakeRegistry::start(move |call, _| {
        let (status, body) = if call.starts_with("GET /schemas/") {
            of_schema
        } else {
            assert_eq!(call, "POST /subjects/process-snapshots-value");
            of_subject
        };
        (status, body.to_owned())
    });
    registry.client().lookup(topic, schema)
}

/// What must be waited for, and what that says.
#[track_caller]
fn check_waits(
    topic: &TopicLayout,
    of_schema: (u16, &'static str),
    of_subject: (u16, &'static str),
    says: &str,
) {
    let found = look_up(topic, SchemaRef::Id(9), of_schema, of_subject);
    let error = found.expect_err("to be waited for").to_string();
    assert!(error.contains(says), "{error}");
}

#[track_caller]
fn check(schema: SchemaRef, of_schema: (u16, &'static str), expect: &SchemaLookup) {
    let found = look_up(&layout::SNAPSHOTS, schema, of_schema, OURS);
    assert_eq!(found.expect("an answer"), *expect);
}

#[test]
fn a_sound_registry_that_lacks_a_schema_makes_a_snapshot_s_unknown() {
    let known = SchemaLookup::Known("\"int\"".to_owned());
    let id = SchemaRef::Id(9);
    check(id, (200, r#"{"schema":"\"int\""}"#), &known);
    check(id, NO_SUCH_SCHEMA, &SchemaLookup::Unknown);
    // Beyond Java's `int`; Confluent's answers to it with a 404 without a code.
    check(SchemaRef::Id(1 << 31), (404, ""), &SchemaLookup::Unknown);
    // Registries without schemas by GUID.
    check(SchemaRef::Guid([9; 16]), (404, ""), &SchemaLookup::Unknown);
}

#[test]
fn odd_answers_are_waited_for() {
    let raw = &layout::SNAPSHOTS;
    for (status, says) in [
        (400, "HTTP 400"),
        (401, "HTTP 401"),
        (403, "HTTP 403"),
        (404, "HTTP 404"),
        (429, "HTTP 429 Too Many Requests"),
        (500, "HTTP 500"),
        (502, "HTTP 502"),
        (503, "HTTP 503"),
        (504, "HTTP 504"),
    ] {
        check_waits(raw, (status, "<html>"), OURS, says);
        check_waits(raw, NO_SUCH_SCHEMA, (status, "<html>"), says);
    }
    let told = (500, r#"{"error_code":50001,"message":"the store is away"}"#);
    check_waits(raw, told, OURS, "(the store is away)");
    check_waits(raw, NO_SUCH_SUBJECT, OURS, "HTTP 404");
    check_waits(
        raw,
        (200, "<html>please log in</html>"),
        OURS,
        "without JSON",
    );
    check_waits(raw, (200, "{}"), OURS, "without its text");
}

#[test]
fn a_registry_that_lost_its_schemas_is_waited_for() {
    let lost = "has no schema for process-snapshots-value; run `rollcall bootstrap`";
    check_waits(&layout::SNAPSHOTS, NO_SUCH_SCHEMA, NO_SUCH_SUBJECT, lost);
    check_waits(&layout::SNAPSHOTS, NO_SUCH_SCHEMA, NO_SUCH_SCHEMA, lost);
}

#[test]
fn only_what_others_write_may_have_unknown_schemas() {
    let directory = look_up(
        &layout::DIRECTORY_USERS,
        SchemaRef::Id(9),
        NO_SUCH_SCHEMA,
        OURS,
    );
    assert_eq!(directory.expect("an answer"), SchemaLookup::Unknown);
    for (topic, _) in SUBJECTS {
        if topic.is_external() {
            continue;
        }
        let says = format!("with which records of {} were written", topic.name);
        check_waits(&topic, NO_SUCH_SCHEMA, OURS, &says);
    }
}

#[test]
fn a_registry_that_is_away_is_named() {
    let registry = Registry::new("http://127.0.0.1:9", None, "").expect("a client");
    let found = registry.lookup(&layout::SNAPSHOTS, SchemaRef::Id(9));
    let error = found.expect_err("nobody is there").to_string();
    assert!(
        error.contains("http://127.0.0.1:9 does not answer"),
        "{error}"
    );
}

#[test]
fn our_id_is_that_of_our_text() {
    let registry = FakeRegistry::start(|call, body| {
        assert_eq!(call, "POST /subjects/directory-users-value");
        let sent: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(sent["schema"], RecordType::DirectoryUser.schema_json());
        (200, r#"{"id":7}"#.to_owned())
    });
    let ids = registry
        .client()
        .schema_ids_of(&[RecordType::DirectoryUser]);
    let expect = SchemaIds::default().with(RecordType::DirectoryUser, 7);
    assert_eq!(ids.expect("ids"), expect);
}

#[test]
fn bootstrap_tells_a_refused_schema_from_a_registry_in_trouble() {
    let check = |status, says: &str| {
        let registry = FakeRegistry::start(move |_, _| (status, String::new()));
        let error = registry.client().register_all().expect_err("refused");
        assert!(error.to_string().contains(says), "{error}");
    };
    check(
        409,
        "refused the schema for process-snapshots-value: HTTP request to schema registry failed with status 409",
    );
    check(
        422,
        "refused the schema for process-snapshots-value: HTTP request to schema registry failed with status 422",
    );
    check(
        500,
        "does not answer as it should: HTTP request to schema registry failed with status 500",
    );
    check(
        401,
        "does not answer as it should: HTTP request to schema registry failed with status 401",
    );
}
