//! Whatever the order, the lateness and the restarts: the last value of a window and the corrections after it
//! add up to everything that was said of it.

use crate::harness::{MINUTE, Outputs, Roller, T0, roller};
use crate::rollup::{message, partial};
use proptest::prelude::*;
use rollcall_domain::pipeline::{RollupUpdate, UpdateKind};
use rollcall_domain::{Accumulator, Grain, GroupingSet, RollupKey, Window};
use rollcall_stages::layout;
use std::collections::BTreeMap;

type Totals = BTreeMap<(RollupKey<'static>, Window), i64>;

fn apply(totals: &mut Totals, outputs: &Outputs) {
    let updates = GroupingSet::ALL
        .into_iter()
        .flat_map(|set| outputs.updates(layout::updates_topic(set).index));
    for update in updates {
        let RollupUpdate::Value {
            kind,
            key,
            window,
            accumulator: Accumulator { snapshots, .. },
        } = update
        else {
            continue;
        };
        let total = totals.entry((key, window)).or_default();
        match kind {
            UpdateKind::Update | UpdateKind::Closed => *total = snapshots,
            UpdateKind::Correction => *total += snapshots,
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Partials of (user, minute, snapshots) from an upstream, whose time moves on by so many minutes.
    Message(usize, i64, Vec<(u8, i64, i64)>, bool),
    Commit,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let partials = prop::collection::vec((0..4_u8, 0..200_i64, 1..9_i64), 0..5);
    prop_oneof![
        6 => (0..2_usize, 0..30_i64, partials, any::<bool>())
            .prop_map(|(source, minutes, partials, more)| Step::Message(source, minutes, partials, more)),
        3 => Just(Step::Commit),
        1 => Just(Step::Restart),
    ]
}

/// The log of `rollup-partials`, as a broker keeps it.
struct Log {
    messages: Vec<rollcall_domain::pipeline::RollupPartials<'static>>,
}

impl Log {
    fn feed(&self, roller: &mut Roller) {
        while let Some(message) = self.messages.get(roller.next_offset as usize) {
            roller.send(message);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn totals_equal_a_naive_fold(steps in prop::collection::vec(step(), 1..40)) {
        let mut roller = roller();
        let mut log = Log { messages: Vec::new() };
        let (mut found, mut expect) = (Totals::new(), Totals::new());
        let mut times = [T0; 2];
        let mut offsets = [0_i64; 2];
        let mut more_before = [false; 2];
        let ends = (0..2).map(|source| Step::Message(source, 0, Vec::new(), false));
        for step in steps.into_iter().chain(ends).chain([Step::Commit]) {
            match step {
                Step::Message(source, minutes, rows, more) => {
                    // The messages of one transaction share their offset and time.
                    if !more_before[source] {
                        offsets[source] += 1;
                        times[source] += minutes * MINUTE;
                    }
                    more_before[source] = more;
                    let mut partials = Vec::new();
                    for (user, minute, snapshots) in rows {
                        let key = RollupKey::User(format!("u{user}").into());
                        let one = partial(key.clone(), Grain::Minute, T0 + minute * MINUTE, snapshots);
                        for grain in [Grain::Minute, Grain::Hour] {
                            let window = grain.window_of(one.window.start);
                            *expect.entry((key.clone(), window)).or_default() += snapshots;
                        }
                        partials.push(one);
                    }
                    let mut message = message(source as i32, offsets[source], times[source], partials);
                    message.more = more;
                    log.messages.push(message);
                }
                Step::Commit => {
                    log.feed(&mut roller);
                    apply(&mut found, &roller.commit());
                }
                Step::Restart => {
                    // What was read since the last commit is lost, and read again.
                    log.feed(&mut roller);
                    roller.restart();
                }
            }
        }
        prop_assert_eq!(found, expect);
    }
}
