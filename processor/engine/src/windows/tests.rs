//! Windows against a naive fold. Every contribution has a number, and an accumulator is the list of numbers
//! that it holds, so that a lost or doubled one shows.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The contributions folded in, sorted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Ids(Vec<u32>);

impl Aggregate for Ids {
    fn merge(&mut self, other: &Self) {
        self.0.extend(&other.0);
        self.0.sort_unstable();
    }

    fn heap_bytes(&self) -> usize {
        self.0.len() * 4
    }
}

/// Grain, window start, key.
type Place = (usize, i64, String);

const LENGTHS: [i64; 3] = [10, 50, 200];
const COUNTED_FROM: [i64; 3] = [i64::MIN, 50, i64::MIN];
const WIDE: WindowLimits = WindowLimits {
    live_entries: usize::MAX,
    live_bytes: usize::MAX,
    closings_per_transaction: usize::MAX,
};

fn windows_of(length_us: i64, grace_us: i64, limits: WindowLimits) -> Windows<Ids> {
    let grain = GrainSpec {
        length_us,
        grace_us,
        closed_through_us: None,
        counted_from_us: i64::MIN,
    };
    Windows::new(vec![grain], limits)
}

fn ids(number: u32) -> Ids {
    Ids(vec![number])
}

/// What changes say, in short: grain, start, key, kind, contributions.
fn emitted(windows: &Windows<Ids>) -> Vec<(usize, i64, &str, ChangeKind, Vec<u32>)> {
    let mut emitted = Vec::new();
    for Change {
        grain,
        window_start_us,
        key,
        kind,
        value,
    } in windows.changes()
    {
        emitted.push((grain, window_start_us, key, kind, value.0.clone()));
    }
    emitted
}

#[test]
fn a_contribution_reaches_every_grain_and_closes_by_grain() {
    let grains = [10, 50].map(|length_us| GrainSpec {
        length_us,
        grace_us: 5,
        closed_through_us: None,
        counted_from_us: i64::MIN,
    });
    let mut windows = Windows::new(grains.to_vec(), WIDE);
    windows.add("ann", 20, &ids(1));
    windows.add("ann", -10, &ids(2));
    windows.advance(Some(35));
    assert_eq!(
        emitted(&windows),
        [
            (0, -10, "ann", ChangeKind::Closed, vec![2]),
            (0, 20, "ann", ChangeKind::Closed, vec![1]),
            (1, -50, "ann", ChangeKind::Closed, vec![2]),
            (1, 0, "ann", ChangeKind::Update, vec![1]),
        ]
    );
    windows.commit();
    windows.add("ann", 20, &ids(3));
    assert_eq!(
        emitted(&windows),
        [
            (0, 20, "ann", ChangeKind::Correction, vec![3]),
            (1, 0, "ann", ChangeKind::Update, vec![1, 3]),
        ]
    );
    windows.commit();
    assert_eq!(windows.counters().corrections, 1);
    assert_eq!(emitted(&windows), []);
}

#[test]
fn a_window_is_closed_from_its_end_plus_grace_on() {
    for (stage_time_us, kind) in [(14, ChangeKind::Update), (15, ChangeKind::Closed)] {
        let mut windows = windows_of(10, 5, WIDE);
        windows.add("ann", 0, &ids(1));
        windows.advance(Some(stage_time_us));
        assert_eq!(emitted(&windows), [(0, 0, "ann", kind, vec![1])]);
        assert_eq!(windows.closed_through(0), Some(stage_time_us - 5));
    }
}

#[test]
fn minus_infinity_closes_nothing() {
    let mut windows = windows_of(10, 0, WIDE);
    windows.add("ann", -1_000, &ids(1));
    windows.advance(None);
    assert_eq!(
        emitted(&windows),
        [(0, -1_000, "ann", ChangeKind::Update, vec![1])]
    );
    assert_eq!(windows.closed_through(0), None);
}

#[test]
fn what_comes_between_advance_and_commit_is_part_of_the_closing() {
    let mut windows = windows_of(10, 0, WIDE);
    windows.add("ann", 0, &ids(1));
    windows.advance(Some(10));
    windows.add("ann", 0, &ids(2));
    windows.add("bob", 0, &ids(3));
    assert_eq!(
        emitted(&windows),
        [
            (0, 0, "ann", ChangeKind::Closed, vec![1, 2]),
            (0, 0, "bob", ChangeKind::Closed, vec![3])
        ]
    );
}

#[test]
fn an_untouched_window_is_closed_too() {
    let mut windows = windows_of(10, 0, WIDE);
    windows.restore(0, 0, "ann", Some(ids(1)));
    windows.restore(0, 0, "bob", Some(ids(2)));
    windows.restore(0, 0, "ann", None);
    windows.restore(0, 10, "cec", None);
    assert_eq!((windows.live_entries(), windows.pending_changes()), (1, 0));
    assert_eq!(emitted(&windows), []);
    windows.advance(Some(10));
    assert_eq!(
        emitted(&windows),
        [(0, 0, "bob", ChangeKind::Closed, vec![2])]
    );
}

#[test]
fn a_restored_tombstone_leaves_nothing_behind() {
    let mut windows = windows_of(10, 0, WIDE);
    let mut plain = windows_of(10, 0, WIDE);
    for (number, key) in [(1, "ann"), (2, "bob"), (3, "cec")] {
        windows.restore(0, 0, key, Some(ids(number)));
        if key != "ann" {
            plain.restore(0, 0, key, Some(ids(number)));
        }
    }
    windows.restore(0, 0, "ann", None);
    assert_eq!(windows.live_bytes(), plain.live_bytes());
    for key in ["cec", "bob"] {
        windows.add(key, 0, &ids(9));
    }
    assert_eq!(
        emitted(&windows),
        [
            (0, 0, "cec", ChangeKind::Update, vec![3, 9]),
            (0, 0, "bob", ChangeKind::Update, vec![2, 9])
        ]
    );
}

#[test]
fn restored_entries_of_a_closed_window_are_a_contradiction() {
    for (closed_through_us, fine) in [(9, true), (10, false)] {
        let mut windows = windows_of(10, 0, WIDE);
        windows.restore(0, 0, "ann", Some(ids(1)));
        windows.restore_grain(0, Some(closed_through_us), i64::MIN);
        assert_eq!(windows.finish_restore().is_ok(), fine);
    }
}

#[test]
fn catch_up_closes_in_steps_that_fit() {
    let limits = WindowLimits {
        closings_per_transaction: 3,
        ..WIDE
    };
    let mut windows = windows_of(10, 0, limits);
    for (start_us, keys) in [(0, 1), (10, 2), (20, 1), (30, 5), (50, 1)] {
        for key in 0..keys {
            windows.add(&format!("key-{key}"), start_us, &ids(key));
        }
    }
    // 1 + 2 fit exactly; one more does not; five go alone, since a window can't be half closed.
    for (closed_through_us, closings) in [(20, 3), (30, 1), (40, 5), (1_000, 1), (1_000, 0)] {
        windows.advance(Some(1_000));
        assert_eq!(windows.closed_through(0), Some(closed_through_us));
        let closed = |change: &Change<'_, Ids>| change.kind == ChangeKind::Closed;
        assert_eq!(windows.changes().filter(closed).count(), closings);
        windows.commit();
    }
}

#[test]
fn catch_up_takes_the_grains_in_the_order_of_window_ends() {
    let grains = [10, 20].map(|length_us| GrainSpec {
        length_us,
        grace_us: 0,
        closed_through_us: None,
        counted_from_us: i64::MIN,
    });
    let limits = WindowLimits {
        closings_per_transaction: 2,
        ..WIDE
    };
    let mut windows = Windows::new(grains.to_vec(), limits);
    for start_us in [0, 10, 20, 30] {
        windows.add("ann", start_us, &ids(1));
    }
    for expected in [[Some(20), None], [Some(30), Some(20)], [Some(99), Some(99)]] {
        windows.advance(Some(99));
        assert_eq!(
            [windows.closed_through(0), windows.closed_through(1)],
            expected
        );
        windows.commit();
    }
}

#[test]
fn live_entries_are_limited() {
    let limits = WindowLimits {
        live_entries: 3,
        ..WIDE
    };
    let mut windows = windows_of(10, 1_000, limits);
    for (number, start_us) in [(1, 0), (2, 0), (3, 10)] {
        windows.add(&format!("key-{number}"), start_us, &ids(number));
    }
    windows.enforce_limit();
    assert_eq!(
        (windows.live_entries(), windows.closed_through(0)),
        (3, None)
    );
    windows.add("key-4", 20, &ids(4));
    windows.enforce_limit();
    assert_eq!(
        (windows.live_entries(), windows.closed_through(0)),
        (2, Some(10))
    );
    assert_eq!(windows.counters().early_closings, 2);
}

#[test]
fn live_bytes_are_limited() {
    let mut windows = windows_of(10, 1_000, WIDE);
    windows.add("ann", 0, &ids(1));
    windows.add("ann", 10, &ids(2));
    windows.enforce_limit();
    let bytes = windows.live_bytes();
    for (live_bytes, live) in [(bytes, 2), (bytes - 1, 1)] {
        windows.limits.live_bytes = live_bytes;
        windows.enforce_limit();
        assert_eq!(windows.live_entries(), live);
    }
    windows.commit();
    assert!(windows.live_bytes() < bytes);
    windows.add("ann", 10, &Ids(vec![7; 100]));
    let before = windows.live_bytes();
    windows.limits.live_bytes = before + 399;
    windows.enforce_limit();
    assert_eq!(windows.live_entries(), 0, "growth of a known key counts");
}

#[test]
fn grains_are_limited() {
    let grains = |count: usize| -> Vec<GrainSpec> {
        let grain = |exponent| GrainSpec {
            length_us: 1_i64 << exponent,
            grace_us: 0,
            closed_through_us: None,
            counted_from_us: i64::MIN,
        };
        (0..count).map(grain).collect()
    };
    let made = |specs| std::panic::catch_unwind(|| Windows::<Ids>::new(specs, WIDE)).is_ok();
    assert!(made(grains(MAX_GRAINS)));
    assert!(!made(grains(MAX_GRAINS + 1)));
    assert!(!made(grains(0)));
    let mut uneven = grains(3);
    (uneven[0].length_us, uneven[1].length_us) = (2, 3);
    assert!(!made(uneven), "a coarser grain is a multiple of the finest");
    assert!(!made(vec![grains(2)[1], grains(1)[0]]), "finest first");
}

#[test]
fn grains_and_windows_share_a_keys_text() {
    let grains = [10, 50].map(|length_us| GrainSpec {
        length_us,
        grace_us: 0,
        closed_through_us: None,
        counted_from_us: i64::MIN,
    });
    let mut windows = Windows::new(grains.to_vec(), WIDE);
    windows.add("ann", 0, &ids(1));
    windows.add("ann", 10, &ids(2));
    let pointers: BTreeSet<_> = windows
        .changes()
        .map(|change| change.key.as_ptr())
        .collect();
    assert_eq!(pointers.len(), 1);
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Committed,
    /// The outcome was unknown to the task, which dropped its state; in truth it was committed or not.
    Unknown {
        committed: bool,
    },
}

#[derive(Clone, Debug)]
struct Transaction {
    /// Key and time of each contribution.
    adds: Vec<(u8, i64)>,
    stage_time_us: Option<i64>,
    enforce: bool,
    ending: Ending,
    /// The grace in force after a restore.
    grace_us: i64,
}

fn transactions() -> impl Strategy<Value = Vec<Transaction>> {
    let ending = prop_oneof![
        4 => Just(Ending::Committed),
        1 => any::<bool>().prop_map(|committed| Ending::Unknown { committed }),
    ];
    let adds = prop::collection::vec((0_u8..5, -100_i64..500), 0..12);
    let stage_time_us = prop::option::weighted(0.8, -100_i64..700);
    let transaction =
        (adds, stage_time_us, any::<bool>(), ending, 0_i64..120).prop_map(|parts| Transaction {
            adds: parts.0,
            stage_time_us: parts.1,
            enforce: parts.2,
            ending: parts.3,
            grace_us: parts.4,
        });
    prop::collection::vec(transaction, 1..25)
}

/// The windows, what is persisted of them, and a reader of what they emit.
struct Harness {
    windows: Windows<Ids>,
    limits: WindowLimits,
    state: BTreeMap<Place, Ids>,
    /// The state topic, not compacted: puts and tombstones.
    changelog: Vec<(Place, Option<Ids>)>,
    closed_through: [Option<i64>; 3],
    /// What a reader holds: replaced by Update and Closed, merged by Correction.
    tables: BTreeMap<Place, Ids>,
    closed: BTreeSet<Place>,
    naive: BTreeMap<Place, Ids>,
    next_id: u32,
}

impl Harness {
    fn new(limits: WindowLimits) -> Self {
        let mut harness = Harness {
            windows: windows_of(10, 0, limits),
            limits,
            state: BTreeMap::new(),
            changelog: Vec::new(),
            closed_through: [None; 3],
            tables: BTreeMap::new(),
            closed: BTreeSet::new(),
            naive: BTreeMap::new(),
            next_id: 0,
        };
        harness.restore(60);
        harness
    }

    fn restore(&mut self, grace_us: i64) {
        let grains = (0..3).map(|grain| GrainSpec {
            length_us: LENGTHS[grain],
            grace_us: grace_us * (grain as i64 + 1),
            closed_through_us: self.closed_through[grain],
            counted_from_us: COUNTED_FROM[grain],
        });
        self.windows = Windows::new(grains.collect(), self.limits);
        for ((grain, start_us, key), value) in &self.state {
            self.windows
                .restore(*grain, *start_us, key, Some(value.clone()));
        }
        self.windows.finish_restore().unwrap();
    }

    fn run(&mut self, transaction: &Transaction) {
        let mut naive = self.naive.clone();
        for &(key, time_us) in &transaction.adds {
            self.next_id += 1;
            let (key, id) = (format!("key-{key}"), ids(self.next_id));
            self.windows.add(&key, time_us.div_euclid(10) * 10, &id);
            for grain in 0..3 {
                let start_us = time_us.div_euclid(LENGTHS[grain]) * LENGTHS[grain];
                if start_us >= COUNTED_FROM[grain] {
                    naive
                        .entry((grain, start_us, key.clone()))
                        .or_default()
                        .merge(&id);
                }
            }
        }
        self.windows.advance(transaction.stage_time_us);
        if transaction.enforce {
            self.windows.enforce_limit();
            assert!(self.windows.live_entries() <= self.limits.live_entries);
        }
        let committed = matches!(
            transaction.ending,
            Ending::Committed | Ending::Unknown { committed: true }
        );
        if committed {
            self.apply();
            self.naive = naive;
            assert_eq!(self.tables, self.naive);
        }
        match transaction.ending {
            Ending::Committed => self.windows.commit(),
            Ending::Unknown { .. } => self.restore(transaction.grace_us),
        }
        self.check_memory();
    }

    /// What the log holds once the transaction is committed.
    fn apply(&mut self) {
        let mut emitted = BTreeSet::new();
        for change in self.windows.changes() {
            let place = (change.grain, change.window_start_us, change.key.to_owned());
            assert!(emitted.insert(place.clone()), "{place:?} twice");
            let was_closed = self.closed.contains(&place);
            match change.kind {
                ChangeKind::Update => {
                    assert!(!was_closed, "{place:?} was reopened");
                    self.changelog
                        .push((place.clone(), Some(change.value.clone())));
                    self.state.insert(place.clone(), change.value.clone());
                    self.tables.insert(place, change.value.clone());
                }
                ChangeKind::Closed => {
                    assert!(!was_closed, "{place:?} was closed twice");
                    self.changelog.push((place.clone(), None));
                    self.state.remove(&place);
                    self.tables.insert(place.clone(), change.value.clone());
                    self.closed.insert(place);
                }
                ChangeKind::Correction => {
                    let end_us = change.window_start_us + LENGTHS[change.grain];
                    assert!(Some(end_us) <= self.closed_through[change.grain]);
                    self.closed.insert(place.clone());
                    self.tables.entry(place).or_default().merge(change.value);
                }
            }
        }
        for grain in 0..3 {
            let closed_through = self.windows.closed_through(grain);
            assert!(
                closed_through >= self.closed_through[grain],
                "closed_through went back"
            );
            self.closed_through[grain] = closed_through;
        }
    }

    /// Memory holds what the state topic holds.
    fn check_memory(&self) {
        assert_eq!(self.windows.live_entries(), self.state.len());
        assert_eq!(self.windows.pending_changes(), 0);
        assert_eq!(self.windows.changes().count(), 0);
        let sum = self
            .windows
            .grains
            .iter()
            .flat_map(|grain| grain.windows.values());
        assert_eq!(sum.map(Table::len).sum::<usize>(), self.state.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn windows_are_a_naive_fold_whatever_happens_between(transactions in transactions()) {
        let mut harness = Harness::new(WIDE);
        for transaction in &transactions {
            harness.run(transaction);
        }
    }

    #[test]
    fn limits_never_change_a_total(
        transactions in transactions(),
        live_entries in 0_usize..12,
        closings_per_transaction in 0_usize..6,
    ) {
        let limits = WindowLimits { live_entries, closings_per_transaction, ..WIDE };
        let mut harness = Harness::new(limits);
        for transaction in &transactions {
            harness.run(transaction);
        }
    }

    #[test]
    fn the_same_calls_emit_the_same_changes_in_the_same_order(
        transactions in transactions(),
    ) {
        let trace = || {
            let mut harness = Harness::new(WIDE);
            let mut trace = Vec::new();
            for transaction in &transactions {
                for &(key, time_us) in &transaction.adds {
                    harness.windows.add(&format!("key-{key}"), time_us.div_euclid(10) * 10, &ids(1));
                }
                harness.windows.advance(transaction.stage_time_us);
                trace.push(format!("{:?}", emitted(&harness.windows)));
                harness.windows.commit();
            }
            trace
        };
        prop_assert_eq!(trace(), trace());
    }
}

#[test]
fn contributions_before_a_grain_was_added_are_not_counted_in_it() {
    let mut windows = windows_of(10, 0, WIDE);
    windows.restore_grain(0, None, 20);
    for (start_us, not_counted) in [(10, 1), (20, 1)] {
        windows.add("ann", start_us, &ids(1));
        assert_eq!(windows.counters().not_counted, not_counted);
    }
    assert_eq!(
        emitted(&windows),
        [(0, 20, "ann", ChangeKind::Update, vec![1])]
    );
}
