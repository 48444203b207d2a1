//! Measurements on the real stack. They assert that the tables are right, never that anything is fast, and print what they
//! found. Ignored as tests; `make bench-poison` and `make bench-recovery` run them, optimized.

mod commits;
mod leave;
mod live_windows;
mod outage;
mod poison;
mod restart;
mod stall;

use std::time::Duration;

/// What was measured, and how much it was.
type Row = (String, String);

fn print(title: &str, rows: &[Row]) {
    println!("\n| {title} | |\n|---|---|");
    for (what, figure) in rows {
        println!("| {what} | {figure} |");
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// The middle one; of an even number, the upper of the two.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[test]
#[ignore = "a measurement: make bench-poison"]
fn poison_costs() {
    print("one record in a hundred is poison", &poison::measure());
}

#[test]
#[ignore = "a measurement: make bench-recovery"]
fn recovery_after_kill_9() {
    print("restart with a million live windows", &restart::measure());
}

#[test]
#[ignore = "a measurement: make bench-recovery"]
fn recovery_from_a_leave() {
    print("one of three instances leaves", &leave::measure());
}

#[test]
#[ignore = "a measurement: make bench-recovery"]
fn recovery_from_an_abandoned_transaction() {
    print("an abandoned transaction", &stall::measure());
}

#[test]
#[ignore = "a measurement: make bench-recovery"]
fn recovery_from_an_outage() {
    print(
        "an hour's traffic while PostgreSQL is away",
        &outage::measure(),
    );
}
