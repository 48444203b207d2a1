//! `rollcall dlq`: every rejected record is listed with its reason, and sent again once, whatever happens in between.

use crate::crowd::Crowd;
use crate::support::{SNAPSHOT_PARTITIONS, Services, eventually, rollcall};
use crate::tables::Tables;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rollcall_domain::RejectionReason;
use rollcall_simulator::{Ledger, MischiefConfig};
use rollcall_stages::layout;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;

/// Reasons that a new key mends.
const KEYS: [RejectionReason; 2] = [RejectionReason::MissingKey, RejectionReason::KeyMismatch];
/// Reasons that nothing mends.
const HOPELESS: [RejectionReason; 2] = [RejectionReason::EmptyValue, RejectionReason::TooOld];

#[test]
fn rejected_records_are_sent_again_once() {
    let services = Services::start();
    let mischief = MischiefConfig {
        seed: 7,
        poison: 0.4,
        ..MischiefConfig::none()
    };
    let mut crowd = Crowd::new(&services, 20, 40, mischief);
    let processor = services.run("normalize,rollup,sink");
    crowd.send(500);
    let ledger = crowd.ledger();
    let mut tables = Tables::new(&services.database_url);
    tables.await_everything(&crowd.ends(), &ledger);

    let keyed = rejected(&ledger, |reason| KEYS.contains(&reason));
    let hopeless = rejected(&ledger, |reason| HOPELESS.contains(&reason));
    let other = rejected(&ledger, |reason| {
        !KEYS.contains(&reason) && !HOPELESS.contains(&reason)
    });
    assert!(
        keyed > 0 && hopeless > 0 && other > 32,
        "{keyed} {hopeless} {other}"
    );
    let dlq = Dlq {
        services: &services,
        tables,
    };
    dlq.lists_and_shows(&ledger);

    // A redrive that dies between sending and writing it down.
    let mut dlq = dlq.killed_after_sending();
    let dry = dlq.redrive(&["--dry-run"]);
    assert_eq!(number(&dry, "sent") + number(&dry, "found_sent"), other);
    let done = dlq.redrive(&[]);
    let found = number(&dry, "found_sent") + number(&done, "found_sent");
    assert!(found > 0, "{dry} {done}");
    assert_eq!(number(&done, "sent") + found, other);
    assert_eq!(done["left_out"]["needs_rekey"], keyed);
    assert_eq!(done["left_out"]["hopeless"], hopeless);
    dlq.each_was_sent_once(other);

    let keys = dlq.redrive(&["--rekey"]);
    assert_eq!(
        (number(&keys, "sent"), number(&keys, "rekeyed")),
        (keyed, keyed)
    );
    dlq.each_was_sent_once(other + keyed);
    let accepted = ledger.accepted() as i64 + keyed;
    dlq.await_rows("process_snapshots", accepted);
    dlq.await_rows("rejected_records", keyed + hopeless + 2 * other);

    // What was rejected again is not sent again, unless that is asked for.
    assert_eq!(number(&dlq.redrive(&["--rekey"]), "sent"), 0);
    assert_eq!(
        number(&dlq.redrive(&["--again", "--dry-run"]), "sent"),
        other
    );
    dlq.expire_everything();
    let expired = dlq.redrive(&["--again"]);
    assert_eq!(number(&expired, "sent"), 0);
    assert_eq!(expired["left_out"]["expired"], other);
    let said = dlq.said(&["redrive", "--again"]);
    assert!(
        said.contains("have expired: retention dropped them"),
        "{said}"
    );
    assert_eq!(processor.terminate(), Some(0));
}

#[test]
fn wrong_arguments_exit_with_2() {
    for (arguments, expect) in [
        ("show 5", "allowed is partition/offset, as 2/345"),
        ("redrive --reason bad_pid", "[possible values: empty_value"),
        ("list", "setting database-url = \"\" is wrong"),
    ] {
        let arguments: Vec<&str> = ["dlq"].into_iter().chain(arguments.split(' ')).collect();
        let output = rollcall(&arguments).output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expect), "{arguments:?}: {said}");
    }
}

fn rejected(ledger: &Ledger, which: impl Fn(RejectionReason) -> bool) -> i64 {
    let counts = ledger.rejected().filter(|(reason, _)| which(*reason));
    counts.map(|(_, count)| count as i64).sum()
}

pub(super) fn number(summary: &Value, key: &str) -> i64 {
    summary[key]
        .as_i64()
        .unwrap_or_else(|| panic!("{key} of {summary}"))
}

/// `rollcall dlq` with these arguments; returns what it prints.
fn said(services: &Services, arguments: &[&str]) -> String {
    let output = services.command(&["dlq"]).args(arguments).output();
    let output = output.expect("the binary runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("plain text")
}

/// Sends rejected records again; returns what it says of that.
pub(super) fn redrive(services: &Services, arguments: &[&str]) -> Value {
    let said = said(
        services,
        &[&["redrive", "--format", "json"], arguments].concat(),
    );
    serde_json::from_str(&said).expect("JSON")
}

struct Dlq<'a> {
    services: &'a Services,
    tables: Tables,
}

impl Dlq<'_> {
    fn said(&self, arguments: &[&str]) -> String {
        said(self.services, arguments)
    }

    fn redrive(&self, arguments: &[&str]) -> Value {
        redrive(self.services, arguments)
    }

    fn lists_and_shows(&self, ledger: &Ledger) {
        let said = self.said(&["list", "--limit", "100000", "--format", "json"]);
        let answer: Value = serde_json::from_str(&said).expect("JSON");
        let rows = answer["rows"].as_array().expect("rows");
        let mut found: BTreeMap<&str, u64> = BTreeMap::new();
        for row in rows {
            *found
                .entry(row["reason"].as_str().expect("a reason"))
                .or_default() += 1;
        }
        let expect: BTreeMap<&str, u64> = ledger
            .rejected()
            .map(|(reason, count)| (reason.as_str(), count))
            .collect();
        assert_eq!(found, expect);

        let row = rows.iter().find(|row| row["reason"] == "key_mismatch");
        let row = row.expect("a record with another key");
        let (place, machine) = (row["place"].as_str(), row["machine_id"].as_str());
        let (place, machine) = (place.expect("a place"), machine.expect("a machine"));
        let said = self.said(&["show", place]);
        let detail =
            format!("key_mismatch: the key \"not-{machine}\" is not the machine id \"{machine}\"");
        assert!(said.contains(&detail), "{said}");
        let listed = self.said(&["list", "--reason", "key_mismatch", "--limit", "1"]);
        assert!(listed.contains("All that is kept, by reason: "), "{listed}");
    }

    /// Kills a redrive after the broker has records of it, before the database knows.
    fn killed_after_sending(mut self) -> Self {
        for statement in [
            "CREATE FUNCTION public.stuck() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN PERFORM pg_sleep(3600); RETURN NULL; END'",
            "CREATE TRIGGER stuck BEFORE UPDATE ON rollcall.redriven \
             FOR EACH STATEMENT EXECUTE FUNCTION public.stuck()",
        ] {
            self.tables.rows(statement);
        }
        let before = self.raw_records();
        let mut redrive = self
            .services
            .command(&["dlq", "redrive"])
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary runs");
        eventually("records are sent again", || self.raw_records() > before);
        let busy = self.services.command(&["dlq", "redrive"]).output();
        let busy = busy.expect("the binary runs");
        let said = String::from_utf8_lossy(&busy.stderr).into_owned();
        assert!(said.contains("another redrive is running"), "{said}");
        redrive.kill().expect("it is there");
        redrive.wait().expect("its end");
        let backends = "FROM pg_stat_activity WHERE application_name = 'rollcall redrive'";
        self.tables
            .rows(&format!("SELECT pg_terminate_backend(pid) {backends}"));
        eventually("its backend is gone", || {
            self.tables.number(&format!("SELECT count(*) {backends}")) == Some(0)
        });
        self.tables.rows("DROP TRIGGER stuck ON rollcall.redriven");
        let open = "SELECT count(*) FROM rollcall.redriven WHERE target_offset IS NULL";
        assert!(
            self.tables.number(open) > Some(0),
            "nothing was written down"
        );
        self
    }

    fn raw_records(&self) -> i64 {
        self.services
            .ends(layout::SNAPSHOTS, SNAPSHOT_PARTITIONS)
            .iter()
            .sum()
    }

    /// Each rejected record stands in the raw topic a second time, and no third time.
    fn each_was_sent_once(&mut self, expect: i64) {
        let records = self
            .services
            .read_all(layout::SNAPSHOTS, SNAPSHOT_PARTITIONS);
        let value_at = |place: &str| {
            let mut parts = place
                .rsplit('/')
                .map(|part| part.parse::<i64>().expect("a number"));
            let (offset, partition) = (parts.next(), parts.next());
            let found = records.iter().find(|record| {
                Some(record.offset) == offset && Some(i64::from(record.partition)) == partition
            });
            found.expect("the rejected record").value.clone()
        };
        let mut copies: BTreeMap<String, i64> = BTreeMap::new();
        for record in &records {
            for (key, value) in &record.headers {
                assert_eq!(key, "rollcall-redriven-from");
                let origin = value.clone().expect("a place");
                let origin = String::from_utf8(origin).expect("plain text");
                let place = origin
                    .strip_prefix("process-snapshots/")
                    .expect("the topic");
                assert_eq!(value_at(place), record.value, "as it was");
                *copies.entry(origin).or_default() += 1;
            }
        }
        let twice: Vec<_> = copies.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "sent more than once: {twice:?}");
        assert_eq!(copies.len() as i64, expect);
        let open = "SELECT count(*) FROM rollcall.redriven WHERE target_offset IS NULL";
        assert_eq!(self.tables.number(open), Some(0));
    }

    fn await_rows(&mut self, table: &str, expect: i64) {
        eventually(&format!("{table} has {expect} rows"), || {
            let sql = format!("SELECT count(*) FROM rollcall.{table}");
            self.tables.number(&sql) == Some(expect)
        });
    }

    /// Does what retention does.
    fn expire_everything(&self) {
        let topic = layout::SNAPSHOTS.name;
        let mut before = TopicPartitionList::new();
        let ends = self.services.ends(layout::SNAPSHOTS, SNAPSHOT_PARTITIONS);
        for (partition, end) in (0..).zip(ends) {
            let added = before.add_partition_offset(topic, partition, Offset::Offset(end));
            added.expect("a place");
        }
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.services.kafka.brokers)
            .create()
            .expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let deleted = runtime.block_on(admin.delete_records(&before, &AdminOptions::new()));
        deleted.expect("records are deleted");
    }
}
