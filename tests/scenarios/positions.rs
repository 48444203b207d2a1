//! Where a task goes on: `task-state` alone says so (decision 5.2). The group's offsets may be lost; another
//! deployment's state, another shape, or input that retention has taken is refused with a clear sentence.

use crate::crowd::Crowd;
use crate::support::{Processor, ROLLUP_PARTITIONS, SNAPSHOT_PARTITIONS, Services, eventually};
use crate::tables::Tables;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};
use rollcall_domain::GroupingSet;
use rollcall_simulator::MischiefConfig;
use rollcall_stages::layout::{self, TopicLayout, updates_topic};
use std::process::Stdio;

const ALL: &str = "normalize,rollup,sink";
const RECORDS: usize = 150;

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

fn finish(services: &Services, crowd: &Crowd, tables: &mut Tables, processor: Processor) {
    let ledger = crowd.ledger(services);
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
    finish(&services, &crowd, &mut tables, stages);
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
    finish(&services, &crowd, &mut tables, processor);
}

/// What a process with these further arguments says before it is told to stop, once it says `expect`.
#[track_caller]
fn says(services: &Services, arguments: &[&str], expect: &str) {
    use std::io::{BufRead, BufReader};
    let mut command = services.command(&["run", "--log-level", "warn"]);
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let errors = child.stderr.take().expect("it is piped");
    let processor = Processor::of(child);
    let mut said = Vec::new();
    let found = BufReader::new(errors)
        .lines()
        .map_while(Result::ok)
        .any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains(expect))
        });
    processor.kill9();
    assert!(found, "{expect:?} is not among {said:#?}");
}

/// A fleet whose first records are stored, and nothing runs.
fn after_a_first_run() -> (Services, Crowd, Tables) {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let processor = services.run(ALL);
    crowd.send(RECORDS);
    finish(&services, &crowd, &mut tables, processor);
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
    finish(&services, &crowd, &mut tables, services.run(ALL));
}
