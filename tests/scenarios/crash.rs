//! Each stage is killed at random moments, again and again; nothing is lost, doubled or wrong.

use crate::crowd::Crowd;
use crate::support::{Services, random_moment};
use crate::tables::Tables;
use rollcall_simulator::MischiefConfig;
use std::time::Duration;

const STAGES: [&str; 3] = ["normalize", "rollup", "sink"];
const KILLS_EACH: usize = 20;
const RECORDS_PER_KILL: usize = 12;

#[test]
fn kill_9_at_random_moments_changes_nothing() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 60, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let mut running: Vec<_> = STAGES.iter().map(|stage| services.run(stage)).collect();
    for kill in 0..KILLS_EACH {
        for (at, stage) in STAGES.into_iter().enumerate() {
            // Mostly after the restarted stage has committed something, with more coming in: in a restore, between
            // commits or in the middle of one.
            let before = crowd.ends();
            crowd.send(RECORDS_PER_KILL / 2);
            match (kill % 4, stage) {
                (0, _) => {}
                (_, "rollup") => tables.await_something_folded_since(&before),
                _ => tables.await_something_since(&before),
            }
            crowd.send(RECORDS_PER_KILL / 2);
            random_moment(Duration::from_millis(400));
            running.remove(at).kill9();
            running.insert(at, services.run(stage));
        }
        eprintln!("kill {} of each stage", kill + 1);
    }
    let ledger = crowd.ledger();
    tables.await_everything(&crowd.ends(), &ledger);
    for processor in running {
        assert_eq!(
            processor.terminate(),
            Some(0),
            "a drain ends with exit code 0"
        );
    }
    tables.assert_equal(&ledger);
}
