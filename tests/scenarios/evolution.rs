//! Producers whose schema has moved on: a field added, in other places than ours; ids in headers are the codec's tests'.
//! And one whose schema nobody knows, in the directory.

use crate::crowd::Crowd;
use crate::support::{Services, eventually};
use crate::tables::Tables;
use rollcall::kafka::sender::Sender;
use rollcall_codec::RecordType;
use rollcall_simulator::MischiefConfig;
use rollcall_stages::layout;
use std::time::Duration;

/// Our schema with a field more at its end, a nullable text.
pub(super) fn evolved(field: &str) -> String {
    let mut schema: serde_json::Value =
        serde_json::from_str(RecordType::ProcessSnapshot.schema_json()).expect("JSON");
    let added = serde_json::json!({
        "name": field, "type": ["null", "string"], "default": null, "doc": "Where the machine stands."
    });
    let fields = schema["fields"].as_array_mut().expect("fields");
    fields.push(added);
    schema.to_string()
}

/// Registers a schema as any producer does; returns its id.
pub(super) fn register(services: &Services, schema: &str) -> u32 {
    let subject = rollcall_codec::schemas::value_subject(layout::SNAPSHOTS.name);
    let url = format!(
        "{}/subjects/{subject}/versions",
        services.stack.registry_url()
    );
    let response = reqwest::blocking::Client::new()
        .post(url)
        .header("Content-Type", "application/vnd.schemaregistry.v1+json")
        .body(serde_json::json!({ "schema": schema }).to_string())
        .send()
        .and_then(reqwest::blocking::Response::error_for_status)
        .expect("the registry takes it");
    let answer: serde_json::Value =
        serde_json::from_slice(&response.bytes().expect("an answer")).expect("JSON");
    answer["id"].as_u64().expect("an id") as u32
}

#[test]
fn a_producer_with_an_added_field_is_read() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 12, 40, MischiefConfig::none());
    let mut tables = Tables::new(&services.database_url);
    // The directory may hold what nobody can read, too.
    let directory = services.kafka.topic(layout::DIRECTORY_USERS.name);
    let sender = Sender::new(&services.kafka, "stranger").expect("a producer");
    for id in [999_999_u32, u32::MAX] {
        let value = [&[0][..], &id.to_be_bytes(), b"?"].concat();
        let sent = sender.send(&directory, Some(0), Some(b"nobody"), Some(&value));
        sent.expect("it is taken");
    }
    sender.flush(Duration::from_secs(30)).expect("it arrives");
    let processor = services.run("normalize,rollup,sink");
    crowd.send(60);
    let id = register(&services, &evolved("campus"));
    // What follows is written with the new schema: its id, and the field at the datum's end.
    crowd.change_values(Box::new(move |value| {
        value[1..5].copy_from_slice(&id.to_be_bytes());
        value.extend_from_slice(&[2, 10]);
        value.extend_from_slice(b"north");
    }));
    crowd.send(60);
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    // Restarted, the processor reads both again, by look-ups.
    assert_eq!(processor.terminate(), Some(0));
    let processor = services.run("normalize,rollup,sink");
    crowd.send(60);
    // Who writes with our schema names ours, though another is the subject's latest.
    let agent = services.command(&["agent", "--once"]).status();
    assert!(agent.expect("the agent").success());
    let stored = "SELECT sum(stored_snapshots)::bigint FROM rollcall.ledger";
    eventually("the rest is stored", || tables.number(stored) == Some(181));
    assert_eq!(processor.terminate(), Some(0));
}
