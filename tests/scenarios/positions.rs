//! Where a task goes on: `task-state` alone says so (decision 5.2). The group's offsets may be lost; another
//! deployment's state, another shape, or input that retention has taken is refused with a clear sentence.

use crate::crowd::Crowd;
use crate::support::{Processor, ROLLUP_PARTITIONS, SNAPSHOT_PARTITIONS, Services, eventually};
use crate::tables::Tables;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};
use rollcall::kafka::sender::Sender;
use rollcall_codec::RecordType;
use rollcall_domain::GroupingSet;
use rollcall_simulator::MischiefConfig;
use rollcall_stages::layout::{self, TopicLayout, updates_topic};
use std::process::Stdio;
use std::time::Duration;

const ALL: &str = "normalize,rollup,sink";
const RECORDS: usize = 150;
/// How long a sentence is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

fn admin(services: &Services) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", &services.kafka.brokers)
        .create()
        .expect("a client")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn finish(crowd: &Crowd, tables: &mut Tables, processor: Processor) {
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
    assert_eq!(processor.terminate(), Some(0));
}

/// Empties topics as retention does.
fn empty(services: &Services, topics: &[(TopicLayout, i32)]) {
    let mut taken = TopicPartitionList::new();
    for &(topic, partitions) in topics {
        for (partition, end) in (0..).zip(services.ends(topic, partitions)) {
            taken
                .add_partition_offset(topic.name, partition, Offset::Offset(end))
                .expect("an offset");
        }
    }
    block_on(admin(services).delete_records(&taken, &AdminOptions::new())).expect("it is taken");
}

/// The brokers forget the groups' offsets, and retention takes all that SINK has stored, markers of transactions too.
#[test]
fn a_quiet_week_changes_nothing() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let stages = services.run("normalize,rollup");
    let sink = services.run("sink");
    crowd.send(RECORDS);
    finish(&crowd, &mut tables, stages);
    // The last PROGRESS that ROLLUP wrote in its drain is stored as well, and only its marker may be lacking.
    let ends = |topic| services.ends(topic, ROLLUP_PARTITIONS).iter().sum::<i64>();
    let ends: i64 = GroupingSet::ALL.map(updates_topic).map(ends).iter().sum();
    let places = i64::from(ROLLUP_PARTITIONS) * GroupingSet::ALL.len() as i64;
    eventually("SINK is level", || {
        let stored = "SELECT sum(next_offset)::bigint FROM rollcall.sink_offsets WHERE topic LIKE 'rollup-updates-%'";
        tables.number(stored) >= Some(ends - places)
    });
    assert_eq!(sink.terminate(), Some(0));

    let groups = [
        "normalize",
        "rollup",
        "sink-details",
        "sink-rollups",
        "sink-dead-letters",
    ]
    .map(|part| services.kafka.group(part));
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    // A group that still has a member can't be deleted; the last one leaves while its process ends.
    let admin = admin(&services);
    eventually("the groups are deleted", || {
        let deleted = block_on(admin.delete_groups(&names, &AdminOptions::new()));
        let gone =
            |result: &Result<String, (String, rdkafka::error::RDKafkaErrorCode)>| match result {
                Ok(_) => true,
                Err((_, code)) => *code == rdkafka::error::RDKafkaErrorCode::GroupIdNotFound,
            };
        deleted.expect("the broker answers").iter().all(gone)
    });

    empty(
        &services,
        &[
            (layout::OBSERVATIONS, SNAPSHOT_PARTITIONS),
            (layout::DEAD_LETTERS, SNAPSHOT_PARTITIONS),
            (layout::UPDATES_USER, ROLLUP_PARTITIONS),
            (layout::UPDATES_FACULTY, ROLLUP_PARTITIONS),
            (layout::UPDATES_APPLICATION, ROLLUP_PARTITIONS),
        ],
    );
    let processor = services.run(ALL);
    crowd.send(RECORDS);
    finish(&crowd, &mut tables, processor);
}

/// What a process with these further arguments says before it is told to stop, once it says `expect`.
#[track_caller]
fn says(services: &Services, arguments: &[&str], expect: &str) {
    use std::io::{BufRead, BufReader};
    let mut command = services.command(&[
        "run",
        "--log-level",
        "warn",
        "--http-address",
        "127.0.0.1:0",
    ]);
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let errors = child.stderr.take().expect("it is piped");
    let processor = Processor::of(child);
    // Its output ends with it, so that a sentence that is never said is not waited for.
    let (heard, hears) = std::sync::mpsc::channel::<()>();
    let end = std::thread::spawn(move || {
        let _ = hears.recv_timeout(PATIENCE);
        processor.kill9();
    });
    let mut said = Vec::new();
    let found = BufReader::new(errors)
        .lines()
        .map_while(Result::ok)
        .any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains(expect))
        });
    drop(heard);
    end.join().expect("it is ended");
    assert!(found, "{expect:?} is not among {said:#?}");
}

/// A fleet whose first records are stored, and nothing runs.
fn after_a_first_run() -> (Services, Crowd, Tables) {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let processor = services.run(ALL);
    crowd.send(RECORDS);
    finish(&crowd, &mut tables, processor);
    (services, crowd, tables)
}

#[test]
fn retention_that_overtakes_a_task_halts_it() {
    let (services, mut crowd, _) = after_a_first_run();

    // What comes now is gone before NORMALIZE has read it.
    crowd.send(RECORDS);
    empty(&services, &[(layout::SNAPSHOTS, SNAPSHOT_PARTITIONS)]);
    says(
        &services,
        &["--stages", "normalize"],
        "retention has overtaken this task",
    );
}

#[test]
fn another_shape_and_another_deployment_are_refused() {
    let (services, crowd, mut tables) = after_a_first_run();
    says(
        &services,
        &["--partitions-snapshots", "8"],
        "topic process-snapshots has 4 partitions, but settings say 8",
    );
    says(
        &services,
        &["--deployment", "other"],
        "a changed deployment or partition count needs a new deployment beside the old one",
    );
    let demo = services.command(&["demo", "--seconds", "1"]).output();
    let demo = demo.expect("the binary runs");
    let said = String::from_utf8_lossy(&demo.stderr);
    let expect = "this database belongs to the deployment test, and this is demo";
    assert!(!demo.status.success() && said.contains(expect), "{said}");
    // None has written anything.
    finish(&crowd, &mut tables, services.run(ALL));
}

#[test]
fn what_only_a_newer_version_knows_halts_sink() {
    let (services, crowd, mut tables) = after_a_first_run();
    let ids = services.registry.schema_ids().expect("registered schemas");
    let framed = |record, datum: &[u8]| {
        let mut value = vec![0];
        value.extend_from_slice(&ids.get(record).expect("an id").to_be_bytes());
        value.extend_from_slice(datum);
        value
    };
    // A kind of update that resolves to UNKNOWN, and a reason that nobody knows.
    let update = framed(RecordType::RollupUpdate, &[0, 0, 0]);
    let mut letter = vec![6];
    letter.extend_from_slice(b"new");
    letter.extend_from_slice(&[0; 10]);
    let letter = framed(RecordType::DeadLetter, &letter);
    let sender = Sender::new(&services.kafka, "newer").expect("a producer");
    for (topic, value) in [
        (layout::UPDATES_FACULTY, update),
        (layout::DEAD_LETTERS, letter),
    ] {
        let end = services.ends(topic, 1)[0];
        let name = services.kafka.topic(topic.name);
        let sent = sender.send(&name, Some(0), Some(b"k"), Some(&value));
        sent.expect("it is taken");
        sender.flush(Duration::from_secs(30)).expect("it arrives");
        let expect = format!("offset {end} says what this version of rollcall does not know");
        says(&services, &["--stages", "sink"], &expect);
        let at = format!(
            "SELECT next_offset FROM rollcall.sink_offsets WHERE topic = '{name}' AND partition = 0"
        );
        assert!(tables.number(&at) <= Some(end));
    }
    tables.assert_equal(&crowd.ledger());
}

#[test]
fn a_topic_that_grows_under_a_running_process_stops_it() {
    let (services, _, mut tables) = after_a_first_run();
    let claims = "SELECT sum(epoch)::bigint FROM rollcall.sink_offsets";
    let before = tables.number(claims);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("it runs", || tables.number(claims) > before);
            let name = services.kafka.topic(layout::SNAPSHOTS.name);
            let more = NewPartitions::new(&name, 5);
            let grown = block_on(admin(&services).create_partitions([&more], &AdminOptions::new()));
            assert!(grown.expect("an answer").iter().all(Result::is_ok));
        });
        says(
            &services,
            &["--kafka-property", "topic.metadata.refresh.interval.ms=500"],
            "topic process-snapshots has 5 partitions, but settings say 4",
        );
    });
}
