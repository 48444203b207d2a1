//! The demo, small: from nothing to an audit without differences, with exit code 0.

use crate::metrics;
use crate::support::rollcall;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

#[test]
fn the_demo_ends_with_an_audit_without_differences() {
    let mut demo = rollcall(&[
        "demo",
        "--seconds",
        "8",
        "--machines",
        "40",
        "--users",
        "60",
    ])
    .args(["--interval-seconds", "2", "--mischief", "0.1"])
    .stdout(Stdio::piped())
    .spawn()
    .expect("the binary runs");
    let mut said = String::new();
    let mut live = None;
    for line in BufReader::new(demo.stdout.take().expect("it is piped")).lines() {
        let line = line.expect("it is text");
        // What it says of its metrics is so: found not to be, for the port was never answered.
        if let Some((_, rest)) = line.split_once("http://")
            && let Some((address, _)) = rest.split_once("/metrics")
        {
            live = metrics::get(address.parse().expect("an address"), "/live");
        }
        said.push_str(&line);
        said.push('\n');
    }
    let ended = demo.wait().expect("it ends");
    assert_eq!(ended.code(), Some(0), "{said}");
    assert_eq!(live, Some((200, "alive\n".to_owned())), "{said}");
    for expect in [
        "rollcall query top",
        "rollcall query memory",
        "rollcall query machine",
        "rollcall query user",
        "psql 'postgres://",
        "audit: no difference",
    ] {
        assert!(said.contains(expect), "{expect:?} is not in {said}");
    }
}

#[test]
fn a_part_of_the_services_is_not_enough() {
    let output = rollcall(&["demo"])
        .env("ROLLCALL_KAFKA_BROKERS", "127.0.0.1:1")
        .output()
        .expect("the binary runs");
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        (
            Some(2),
            "rollcall: setting ROLLCALL_SCHEMA_REGISTRY_URL = \"\" is wrong; allowed is all of ROLLCALL_KAFKA_BROKERS, \
             ROLLCALL_SCHEMA_REGISTRY_URL and DATABASE_URL, or none of them: then the demo starts its own"
        )
    );
}
