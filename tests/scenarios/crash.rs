//! Each stage is killed at random moments, again and again; nothing is lost, doubled or wrong.

use crate::crowd::Crowd;
use crate::support::{Services, eventually, random_moment};
use crate::tables::Tables;
use rollcall_simulator::MischiefConfig;
use rollcall_stages::layout;
use std::time::Duration;

const STAGES: [&str; 3] = ["normalize", "rollup", "sink"];
const KILLS_EACH: usize = 20;
const RECORDS_PER_KILL: usize = 12;

/// Grows with every commit of a stage.
fn progress(services: &Services, tables: &mut Tables, stage: &str) -> i64 {
    match stage {
        "sink" => tables
            .number("SELECT sum(next_offset)::bigint FROM rollcall.sink_offsets")
            .unwrap_or(0),
        "rollup" => services.ends(layout::TASK_STATE, 6)[4..].iter().sum(),
        _ => services.ends(layout::TASK_STATE, 6)[..4].iter().sum(),
    }
}

#[test]
fn kill_9_at_random_moments_changes_nothing() {
    let services = Services::start();
    let mut crowd = Crowd::new(&services, 24, 60, MischiefConfig::default());
    let mut tables = Tables::new(&services.database_url);
    let mut running: Vec<_> = STAGES.iter().map(|stage| services.run(stage)).collect();
    for kill in 0..KILLS_EACH {
        for (at, stage) in STAGES.into_iter().enumerate() {
            crowd.send(RECORDS_PER_KILL);
            // A random moment, mostly after the restarted stage has committed something: in a restore, between commits
            // or in the middle of one.
            if kill % 4 != 0 {
                let before = progress(&services, &mut tables, stage);
                eventually("the stage commits", || {
                    progress(&services, &mut tables, stage) > before
                });
            }
            random_moment(Duration::from_millis(400));
            running.remove(at).kill9();
            running.insert(at, services.run(stage));
        }
        eprintln!("kill {} of each stage", kill + 1);
    }
    let ledger = crowd.ledger(&services);
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
