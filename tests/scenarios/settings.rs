//! Wrong settings: one clear sentence and exit code 2; services that are away: a clear sentence and no hang.

use crate::support::rollcall;

#[track_caller]
fn check(arguments: &[&str], code: i32, expect: &str) {
    let output = rollcall(arguments).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.trim()), (Some(code), expect));
}

#[test]
fn wrong_settings_exit_with_2() {
    check(
        &["run", "--partitions-snapshots", "0"],
        2,
        "rollcall: setting partitions-snapshots = \"0\" is wrong; allowed is 1 to 10000",
    );
    check(
        &["bootstrap", "--kafka-property", "group.id=x"],
        2,
        "rollcall: setting kafka-property = \"group.id=x\" is wrong; allowed is any property but those that rollcall sets \
         itself: transactional.id, group.id, enable.auto.commit, enable.idempotence, isolation.level, auto.offset.reset, \
         partition.assignment.strategy",
    );
}

#[test]
fn topology_prints_the_picture_from_the_code() {
    let output = rollcall(&["topology"]).output().expect("the binary runs");
    let golden = include_str!("topology.txt");
    assert_eq!(String::from_utf8_lossy(&output.stdout), golden);
}
