//! Runs a stack until its standard input ends: to look at, and to measure.
#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::{io::Read, time::Instant};

use rollcall_stack::{Stack, StackError, StackOptions};

fn main() -> Result<(), StackError> {
    let begun = Instant::now();
    let mut stack = Stack::start(StackOptions {
        hard_working: true,
        ..StackOptions::for_tests()
    })?;
    eprintln!(
        "ready after {} ms in {}",
        begun.elapsed().as_millis(),
        stack.dir().display()
    );
    let pids = [
        stack.kafka().pid(),
        stack.registry().pid(),
        stack.postgres().pid(),
    ];
    println!(
        "{}",
        pids.map(|pid| pid.unwrap_or_default().to_string())
            .join(" ")
    );
    println!(
        "{}\n{}\n{}",
        stack.kafka_brokers(),
        stack.registry_url(),
        stack.database_url()
    );
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let begun = Instant::now();
    stack.stop()?;
    eprintln!("stopped after {} ms", begun.elapsed().as_millis());
    Ok(())
}
