//! The demo, small: from nothing to an audit without differences, with exit code 0.

use crate::support::rollcall;

#[test]
fn the_demo_ends_with_an_audit_without_differences() {
    let output = rollcall(&[
        "demo",
        "--seconds",
        "8",
        "--machines",
        "40",
        "--users",
        "60",
    ])
    .args(["--interval-seconds", "2", "--mischief", "0.1"])
    .output()
    .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
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
