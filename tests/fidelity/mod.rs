//! The simulator's models and the real services play the same scripts, and must give the same transcripts
//! (`rollcall_world::fidelity`). `SCRIPTS` says how many generated ones, `SEED` which single one.

mod kafka;

use rollcall_world::fidelity::{self, Transcript};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many scripts are played side by side: they mostly wait for the service.
const PLAYERS: usize = 16;
/// How many scripts are generated where `SCRIPTS` says nothing.
const GENERATED: u64 = 100;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().expect("a number"))
}

/// The seeds of generated scripts.
fn seeds() -> std::ops::RangeInclusive<u64> {
    match number("SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SCRIPTS").unwrap_or(GENERATED),
    }
}

/// Plays `scripts` of a half, several at a time; `both` gives the model's transcript and the service's.
#[track_caller]
fn compare<S: Sync>(
    scripts: &[(String, S)],
    both: impl Fn(usize, &S) -> (Transcript, Transcript) + Sync,
) {
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let differences = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for player in 0..PLAYERS {
            let (next, differences, both) = (&next, &differences, &both);
            scope.spawn(move || {
                while let Some((name, script)) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (model, real) = both(player, script);
                    let difference = fidelity::difference(name, &model, &real);
                    let mut differences =
                        differences.lock().unwrap_or_else(PoisonError::into_inner);
                    differences.extend(difference);
                }
            });
        }
    });
    let differences = differences
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let (count, took) = (scripts.len(), begun.elapsed());
    eprintln!(
        "{count} scripts in {took:.1?}, {} differ",
        differences.len()
    );
    assert!(
        differences.is_empty(),
        "where they differ, the model is wrong:\n{}",
        differences.join("\n")
    );
}
