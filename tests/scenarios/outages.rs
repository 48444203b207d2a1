//! Kafka, the registry or PostgreSQL is away at the start or in the middle, or hangs: the pipeline waits, goes on, loses nothing.

use crate::crowd::Crowd;
use crate::support::{SNAPSHOT_PARTITIONS, Services, eventually, random_moment};
use crate::tables::Tables;
use rollcall_simulator::MischiefConfig;
use rollcall_stages::layout;
use sqlx::Row as _;
use std::time::Duration;

const ALL: &str = "normalize,rollup,sink";
const RECORDS: usize = 150;
/// Where every partition begins.
const BEGINNING: [i64; SNAPSHOT_PARTITIONS as usize] = [0; SNAPSHOT_PARTITIONS as usize];

#[track_caller]
fn finish(crowd: &Crowd, tables: &mut Tables) {
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    tables.assert_equal(&ledger);
}

#[test]
fn postgres_goes_and_comes_back() {
    let mut services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    // Away at the start.
    services.stack.postgres().stop().expect("it stops");
    let processor = services.run(ALL);
    crowd.send(RECORDS);
    services.stack.postgres().start().expect("it starts");
    tables.await_something_since(&BEGINNING);
    // Away in the middle, in order and by force, while flushes are under way.
    for by_force in [false, true, true] {
        crowd.send(RECORDS);
        if by_force {
            services.stack.postgres().kill9().expect("it dies");
        } else {
            services.stack.postgres().stop().expect("it stops");
        }
        crowd.send(RECORDS);
        services.stack.postgres().start().expect("it starts");
    }
    finish(&crowd, &mut tables);
    assert_eq!(processor.terminate(), Some(0));
}

/// Its connections stay open, and nobody answers on them: as a server whose disk or host hangs.
#[test]
fn a_database_that_hangs_is_waited_for() {
    let mut services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let processor = services.run(ALL);
    for _ in 0..3 {
        let before = crowd.ends();
        crowd.send(RECORDS);
        tables.await_something_since(&before);
        // Most of it is on its way into the tables.
        services.stack.postgres().pause().expect("it hangs");
        crowd.send(RECORDS);
        let accepted = crowd.ledger().accepted();
        eventually("NORMALIZE goes on", || {
            let observations = services.read_all(layout::OBSERVATIONS, SNAPSHOT_PARTITIONS);
            observations.len() as u64 == accepted
        });
        random_moment(Duration::from_secs(3));
        services.stack.postgres().resume().expect("it goes on");
    }
    finish(&crowd, &mut tables);
    assert_eq!(processor.terminate(), Some(0));
}

/// A standby that lagged behind takes over, while nothing new comes that SINK would need its connection for.
#[test]
fn a_standby_that_lacks_the_last_flushes_takes_over() {
    let mut services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let processor = services.run(ALL);
    crowd.send(RECORDS);
    finish(&crowd, &mut tables);
    let data: String = tables.rows("SHOW data_directory")[0].get(0);
    let copy = format!("{data}.standby");
    services.stack.postgres().stop().expect("it stops");
    copy_folder(&data, &copy);
    services.stack.postgres().start().expect("it starts");
    crowd.send(RECORDS);
    finish(&crowd, &mut tables);
    // Who leaves brings its offsets behind the last markers; the next one has nothing at all to store.
    assert_eq!(processor.terminate(), Some(0));
    let processor = services.run(ALL);
    eventually("everything is claimed again", || {
        let free = "SELECT count(*) FROM rollcall.sink_offsets WHERE backend_pid IS NULL";
        tables.number(free) == Some(0)
    });
    services.stack.postgres().kill9().expect("it dies");
    std::fs::remove_dir_all(&data).expect("it can be removed");
    std::fs::rename(&copy, &data).expect("it can be renamed");
    services.stack.postgres().start().expect("it starts");
    finish(&crowd, &mut tables);
    assert_eq!(processor.terminate(), Some(0));
}

/// With owners and rights, which the server insists on.
fn copy_folder(from: &str, to: &str) {
    let copied = std::process::Command::new("cp")
        .args(["-a", from, to])
        .status();
    assert!(copied.expect("cp is there").success());
}

#[test]
fn the_broker_goes_and_comes_back() {
    let mut services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    // Away at the start.
    services.stack.kafka().stop().expect("it stops");
    let processor = services.run(ALL);
    services.stack.kafka().start().expect("it starts");
    crowd.send(RECORDS);
    tables.await_something_since(&BEGINNING);
    // Away in the middle, while transactions are open. Neither by kill -9 nor while they are being ended: a broker without
    // fellows then loses markers of transactions, whoever wrote them (decision 0005).
    for _ in 0..3 {
        crowd.send(RECORDS);
        random_moment(Duration::from_millis(700));
        services.stop_broker(&processor);
        services.stack.kafka().start().expect("it starts");
        crowd.send(RECORDS);
    }
    finish(&crowd, &mut tables);
    assert_eq!(processor.terminate(), Some(0));
}

#[test]
fn a_processor_can_leave_while_the_broker_is_away() {
    let mut services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let processor = services.run(ALL);
    crowd.send(RECORDS);
    tables.await_something_since(&BEGINNING);
    crowd.send(RECORDS);
    services.stop_broker(&processor);
    assert_eq!(processor.terminate(), Some(0));
    services.stack.kafka().start().expect("it starts");
    let processor = services.run(ALL);
    finish(&crowd, &mut tables);
    assert_eq!(processor.terminate(), Some(0));
}

#[test]
fn the_registry_is_away_at_the_start() {
    let mut services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 40, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    services.stack.registry().stop().expect("it stops");
    let processor = services.run(ALL);
    // Good records must not become dead letters, though no schema can be looked up.
    crowd.send(RECORDS);
    services.stack.registry().start().expect("it starts");
    finish(&crowd, &mut tables);
    // In the middle, schemas are known, and nothing needs the registry.
    services.stack.registry().kill9().expect("it dies");
    crowd.send(RECORDS);
    finish(&crowd, &mut tables);
    services.stack.registry().start().expect("it starts");
    crowd.send(RECORDS);
    finish(&crowd, &mut tables);
    assert_eq!(processor.terminate(), Some(0));
}
