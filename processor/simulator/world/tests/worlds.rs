//! A few worlds, so that `cargo test` alone says something; `make test` and `make simulate` run thousands.

use rollcall_world::run;
use std::collections::BTreeSet;

#[test]
fn worlds_end_as_they_must() {
    for seed in 1..=40 {
        let report = run(seed, false);
        assert_eq!(report.failure, None, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1..=8 {
        let (first, again) = (run(seed, true), run(seed, true));
        assert_eq!(first.trace, again.trace, "seed {seed}");
        assert_eq!(first.hash, again.hash);
        assert_eq!(first.hash, run(seed, false).hash, "a trace changes nothing");
    }
    let hashes: BTreeSet<u64> = (1..=8).map(|seed| run(seed, false).hash).collect();
    assert_eq!(hashes.len(), 8);
}

/// Faults that are never injected find nothing.
#[test]
fn every_kind_of_fault_and_loss_comes_up() {
    let mut seen = BTreeSet::new();
    for seed in 1..=150 {
        seen.extend(run(seed, false).counts.into_keys());
    }
    for kind in [
        "brokers away",
        "claims that failed",
        "compactions",
        "processes cut off",
        "processes ended in order",
        "processes that the group does not hear",
        "processes killed",
        "processes stopped for a while",
        "processes that nothing is fetched for",
        "registries away",
        "tasks lost: aborted",
        "tasks lost: fenced",
        "tasks lost: unknown outcome",
    ] {
        assert!(seen.contains(kind), "{kind}: never in {seen:?}");
    }
}
