//! Switches on one defect after the other, and runs worlds until one finds it: `rollcall-mutants SEEDS [DEFECT…]`.
//!
//! A defect that no world finds within so many seeds says that the simulator is blind there.

use rollcall_defects::{Defect, switch};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What became of a defect: the seed that found it, and how.
type Found = Option<(u64, String)>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(seeds) = arguments.next().and_then(|text| text.parse::<u64>().ok()) else {
        eprintln!("usage: rollcall-mutants SEEDS [DEFECT…]");
        return ExitCode::from(2);
    };
    let named: Vec<String> = arguments.collect();
    let chosen = |defect: &&Defect| named.is_empty() || named.iter().any(|n| n == defect.name());
    let defects: Vec<Defect> = Defect::ALL.iter().filter(chosen).copied().collect();
    // Worlds that fail by a panic are found as well; what they say would only clutter the table.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicUsize::new(0);
    let table: Mutex<Vec<(Defect, Found)>> = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&defect) = defects.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = find(defect, seeds);
                    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
                    table.push((defect, found));
                }
            });
        }
    });
    let mut table = table.into_inner().unwrap_or_else(PoisonError::into_inner);
    table.sort_by_key(|(defect, _)| *defect);
    println!("{:<28} {:>6}  found by", "defect", "seed");
    let mut missed = 0;
    for (defect, found) in &table {
        match found {
            Some((seed, how)) => {
                let how: String = how.chars().take(110).collect();
                println!("{:<28} {seed:>6}  {how}", defect.name());
            }
            None => {
                missed += 1;
                let what = defect.describe();
                println!("{:<28}      -  NOT FOUND: {what}", defect.name());
            }
        }
    }
    println!(
        "{} defects, {missed} not found within {seeds} seeds",
        table.len()
    );
    if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn find(defect: Defect, seeds: u64) -> Found {
    switch(Some(defect));
    let found = (1..=seeds).find_map(|seed| {
        let run = std::panic::catch_unwind(|| rollcall_world::run(seed, false));
        let failure = run.map_or(Some("a panic".to_owned()), |report| report.failure)?;
        Some((seed, failure))
    });
    switch(None);
    found
}
