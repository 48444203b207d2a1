//! Runs worlds: `rollcall-world SEEDS [FIRST]`, or one with its trace: `rollcall-world --seed SEED`.
#![allow(
    clippy::disallowed_methods,
    reason = "it tells how many worlds it runs a second"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    if arguments.first().is_some_and(|first| first == "--seed") {
        let Some(seed) = number(1) else {
            eprintln!("--seed needs a number");
            return ExitCode::from(2);
        };
        let report = rollcall_world::run(seed, true);
        report.trace.iter().for_each(|line| println!("{line}"));
        println!("{:#?}\ntrace hash {:016x}", report.counts, report.hash);
        return match report.failure {
            Some(failure) => {
                println!("FAILED: {failure}");
                ExitCode::FAILURE
            }
            None => ExitCode::SUCCESS,
        };
    }
    let Some(seeds) = number(0) else {
        eprintln!("usage: rollcall-world SEEDS [FIRST], or rollcall-world --seed SEED");
        return ExitCode::from(2);
    };
    let first = number(1).unwrap_or(1);
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let shares: Vec<_> = (0..threads)
        .map(|share| std::thread::spawn(move || run_share(first, seeds, share, threads)))
        .collect();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut failures = Vec::new();
    for share in shares {
        let (its_counts, its_failures) = share.join().expect("worlds do not panic");
        for (what, count) in its_counts {
            *counts.entry(what).or_default() += count;
        }
        failures.extend(its_failures);
    }
    failures.sort();
    for (what, count) in &counts {
        println!("{count:>10}  {what}");
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{seeds} worlds in {seconds:.1} s, {:.0} a second; {} failed",
        seeds as f64 / seconds,
        failures.len()
    );
    for (seed, failure) in failures.iter().take(10) {
        println!("FAILED: seed {seed}: {failure}\n  `make simulate SEED={seed}` shows its trace");
    }
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

type Share = (BTreeMap<&'static str, u64>, Vec<(u64, String)>);

fn run_share(first: u64, seeds: u64, share: u64, of: u64) -> Share {
    let mut counts = BTreeMap::new();
    let mut failures = Vec::new();
    for seed in (first..first + seeds)
        .skip(share as usize)
        .step_by(of as usize)
    {
        let report = rollcall_world::run(seed, false);
        for (what, count) in report.counts {
            *counts.entry(what).or_default() += count;
        }
        if let Some(failure) = report.failure {
            failures.push((seed, failure));
        }
    }
    (counts, failures)
}
