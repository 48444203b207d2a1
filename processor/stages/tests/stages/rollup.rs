//! What ROLLUP makes of partials: windows, closings, corrections, progress.

use crate::harness::{DAY, HOUR, MINUTE, Outputs, Roller, SECOND, T0, roller, rollup_config};
use rollcall_domain::pipeline::{Partial, Progress, RollupPartials, RollupUpdate, UpdateKind};
use rollcall_domain::{Accumulator, Grain, GroupingSet, RollupKey, Timestamp};
use rollcall_stages::{StageError, layout};

pub fn partial(key: RollupKey<'static>, grain: Grain, at: i64, snapshots: i64) -> Partial<'static> {
    Partial {
        key,
        window: grain.window_of(Timestamp::from_micros(at)),
        accumulator: Accumulator {
            snapshots,
            ..Accumulator::default()
        },
    }
}

fn ada(at: i64, snapshots: i64) -> Partial<'static> {
    partial(RollupKey::User("ada".into()), Grain::Minute, at, snapshots)
}

pub fn message(
    source: i32,
    next_offset: i64,
    stage_time: i64,
    partials: Vec<Partial<'static>>,
) -> RollupPartials<'static> {
    RollupPartials {
        source_partition: source,
        next_offset,
        stage_time: Timestamp::from_micros(stage_time),
        more: false,
        partials,
    }
}

/// Both upstreams say that it is `at`; the second has nothing else to say.
fn both(
    roller: &mut Roller,
    next_offset: i64,
    at: i64,
    partials: Vec<Partial<'static>>,
) -> Outputs {
    roller.send(&message(0, next_offset, at, partials));
    roller.send(&message(1, -1, at, Vec::new()));
    roller.commit()
}

/// Kind, grain and snapshots of the updates of users, in order, without the last, which is PROGRESS.
fn users(outputs: &Outputs) -> Vec<(UpdateKind, Grain, i64)> {
    let mut updates = outputs.updates(layout::UPDATES_USER.index);
    assert!(matches!(updates.pop(), Some(RollupUpdate::Progress(_))));
    let value = |update| match update {
        RollupUpdate::Value {
            kind,
            window,
            accumulator,
            ..
        } => (kind, window.grain, accumulator.snapshots),
        RollupUpdate::Progress(_) => panic!("PROGRESS comes last, once"),
    };
    updates.into_iter().map(value).collect()
}

fn progress(outputs: &Outputs) -> Progress {
    let all = GroupingSet::ALL.map(|set| {
        let topic = layout::updates_topic(set).index;
        match outputs.updates(topic).pop() {
            Some(RollupUpdate::Progress(progress)) => progress,
            other => panic!("{other:?} comes last"),
        }
    });
    assert!(all.iter().all(|progress| *progress == all[0]));
    all[0].clone()
}

fn folded(outputs: &Outputs) -> Vec<i64> {
    progress(outputs)
        .folded
        .iter()
        .map(|at| at.offset)
        .collect()
}

use UpdateKind::{Closed, Correction, Update};

#[test]
fn updates_of_every_grain() {
    let mut roller = roller();
    let law = || RollupKey::Faculty("law".into());
    let vim = RollupKey::Application {
        faculty: "law".into(),
        os: rollcall_domain::Os::Linux,
        application: "vim".into(),
    };
    let mut config = rollup_config();
    config.grains[0] = Grain::ALL.to_vec();
    roller.restart_with(config);
    let outputs = both(
        &mut roller,
        5,
        T0,
        vec![
            ada(T0, 2),
            ada(T0 + MINUTE, 3),
            partial(law(), Grain::Minute, T0, 4),
            partial(vim, Grain::Hour, T0, 6),
        ],
    );
    assert_eq!(
        users(&outputs),
        [
            (Update, Grain::Minute, 2),
            (Update, Grain::Minute, 3),
            (Update, Grain::Hour, 5),
            (Update, Grain::Day, 5)
        ]
    );
    let count = |topic| outputs.updates(topic).len();
    assert_eq!(count(layout::UPDATES_FACULTY.index), 3);
    assert_eq!(count(layout::UPDATES_APPLICATION.index), 2);
    assert_eq!(outputs.of(layout::STATE_ROLLUP.index).count(), 7);
}

#[test]
fn stage_time_is_the_least_of_the_upstreams() {
    let mut roller = roller();
    let at = |outputs: &Outputs| progress(outputs).stage_time;
    roller.send(&message(0, 1, T0 + HOUR, Vec::new()));
    assert_eq!(at(&roller.commit()), Timestamp::MIN);
    roller.send(&message(1, -1, i64::MIN, Vec::new()));
    assert_eq!(at(&roller.commit()), Timestamp::MIN);
    roller.send(&message(1, 1, T0, Vec::new()));
    assert_eq!(at(&roller.commit()), Timestamp::from_micros(T0));
    roller.send(&message(1, 1, T0 + 2 * HOUR, Vec::new()));
    assert_eq!(at(&roller.commit()), Timestamp::from_micros(T0 + HOUR));
    roller.restart();
    assert_eq!(at(&roller.commit()), Timestamp::from_micros(T0 + HOUR));
}

#[test]
fn closing_and_what_comes_late() {
    let mut roller = roller();
    both(&mut roller, 1, T0, vec![ada(T0, 2)]);
    let outputs = both(&mut roller, 2, T0 + 6 * MINUTE - 1, vec![ada(T0, 1)]);
    assert_eq!(
        users(&outputs),
        [(Update, Grain::Minute, 3), (Update, Grain::Hour, 3)]
    );

    let outputs = both(&mut roller, 3, T0 + 6 * MINUTE, vec![]);
    assert_eq!(users(&outputs), [(Closed, Grain::Minute, 3)]);
    let state: Vec<_> = outputs.of(layout::STATE_ROLLUP.index).collect();
    assert_eq!(state.len(), 1);
    assert_eq!(state[0].value, None, "a tombstone");
    let key = format!("user/minute/{T0}/ada");
    assert_eq!(state[0].key.as_deref(), Some(key.as_bytes()));

    for restart in [false, true] {
        if restart {
            roller.restart();
        }
        let next_offset = 4 + i64::from(restart);
        let outputs = both(&mut roller, next_offset, T0 + 6 * MINUTE, vec![ada(T0, 7)]);
        let hour = 10 + 7 * i64::from(restart);
        assert_eq!(
            users(&outputs),
            [(Correction, Grain::Minute, 7), (Update, Grain::Hour, hour)]
        );
    }
}

#[test]
fn progress_holds_the_vector_and_ends_every_topic() {
    let mut roller = roller();
    let outputs = both(&mut roller, 5, T0, vec![ada(T0, 1)]);
    assert_eq!(folded(&outputs), [5, -1]);
    roller.send(&message(1, 9, T0, vec![ada(T0, 1)]));
    let outputs = roller.commit();
    assert_eq!(folded(&outputs), [5, 9]);
    assert_eq!(progress(&outputs).closed_through.len(), 5);
    assert_eq!(outputs.task_state().sequence, 2);
    assert_eq!(outputs.task_state().next_offset, 3);
    assert_eq!(folded(&roller.commit()), [5, 9], "an idle one says it too");
}

/// A ROLLUP transaction that ended between two messages of one NORMALIZE transaction said in PROGRESS that
/// nothing of it was folded, though its first message was.
#[test]
fn a_normalize_transaction_is_folded_whole() {
    for restart in [false, true] {
        let mut roller = roller();
        let first = RollupPartials {
            more: true,
            ..message(0, 5, T0, vec![ada(T0, 1)])
        };
        roller.send(&first);
        roller.send(&message(1, 7, T0, vec![ada(T0, 10)]));
        let outputs = roller.commit();
        assert_eq!(folded(&outputs), [-1, 7]);
        assert_eq!(
            users(&outputs),
            [(Update, Grain::Minute, 10), (Update, Grain::Hour, 10)]
        );
        assert_eq!(outputs.task_state().next_offset, 0, "it will be read again");
        if restart {
            assert_eq!(roller.restart(), 0);
            roller.send(&first);
            roller.send(&message(1, 7, T0, vec![ada(T0, 10)]));
        }
        roller.send(&message(0, 5, T0, vec![ada(T0, 100)]));
        let outputs = roller.commit();
        assert_eq!(folded(&outputs), [5, 7]);
        assert_eq!(
            users(&outputs),
            [(Update, Grain::Minute, 111), (Update, Grain::Hour, 111)]
        );
        assert_eq!(outputs.task_state().next_offset, roller.next_offset);
    }
}

#[track_caller]
fn counted_from(outputs: &Outputs, grain: Grain) -> Timestamp {
    let all = progress(outputs).closed_through;
    let found = all
        .iter()
        .find(|closed| closed.grouping_set == GroupingSet::User && closed.grain == grain);
    found.expect("recorded").counted_from
}

fn with_days() -> rollcall_stages::RollupConfig {
    let mut config = rollup_config();
    config.grains[0] = Grain::ALL.to_vec();
    config
}

#[test]
fn a_new_grain_starts_at_its_next_window() {
    let mut roller = roller();
    both(&mut roller, 1, T0, vec![ada(T0, 1)]);
    roller.restart_with(with_days());
    let tomorrow = T0 - T0 % DAY + DAY;
    let outputs = both(&mut roller, 2, T0, vec![ada(T0, 1), ada(tomorrow, 1)]);
    assert_eq!(
        counted_from(&outputs, Grain::Day),
        Timestamp::from_micros(tomorrow)
    );
    assert_eq!(counted_from(&outputs, Grain::Hour), Timestamp::MIN);
    let days: Vec<_> = users(&outputs)
        .into_iter()
        .filter(|(_, grain, _)| *grain == Grain::Day)
        .collect();
    assert_eq!(days, [(Update, Grain::Day, 1)]);
    roller.restart_with(with_days());
    assert_eq!(
        counted_from(&roller.commit(), Grain::Day),
        Timestamp::from_micros(tomorrow)
    );
}

/// One upstream was a day ahead of the stage time: the new grain's first window had lost what that one had said.
#[test]
fn a_new_grain_starts_after_all_that_was_folded() {
    let mut roller = roller();
    roller.send(&message(0, 1, T0 + 2 * DAY, vec![ada(T0 + 2 * DAY, 1)]));
    roller.send(&message(1, 1, T0, Vec::new()));
    roller.commit();
    roller.restart_with(with_days());
    let start = T0 - T0 % DAY + 3 * DAY;
    assert_eq!(
        counted_from(&roller.commit(), Grain::Day),
        Timestamp::from_micros(start)
    );
}

/// A grain that was taken out and put back went on with its old totals, without what was folded in between.
#[test]
fn a_grain_that_comes_back_is_a_new_one() {
    let mut roller = roller();
    both(&mut roller, 1, T0, vec![ada(T0, 1)]);
    let mut config = rollup_config();
    config.grains[0] = vec![Grain::Minute];
    roller.restart_with(config);
    let outputs = both(&mut roller, 2, T0, vec![ada(T0, 1)]);
    assert_eq!(users(&outputs), [(Update, Grain::Minute, 2)]);
    roller.restart();
    let outputs = both(&mut roller, 3, T0, vec![ada(T0, 1)]);
    assert_eq!(users(&outputs), [(Update, Grain::Minute, 3)]);
    assert_eq!(
        counted_from(&outputs, Grain::Hour),
        Timestamp::from_micros(T0 + HOUR)
    );
}

#[test]
fn a_longer_grace_reopens_nothing() {
    let mut roller = roller();
    both(&mut roller, 1, T0, vec![ada(T0, 2)]);
    both(&mut roller, 2, T0 + 6 * MINUTE, vec![]);
    let mut config = rollup_config();
    config.grace_us[0] = DAY;
    roller.restart_with(config);
    let outputs = both(&mut roller, 3, T0 + 6 * MINUTE + SECOND, vec![ada(T0, 1)]);
    assert_eq!(
        users(&outputs),
        [(Correction, Grain::Minute, 1), (Update, Grain::Hour, 3)]
    );
}

#[test]
fn messages_that_cannot_be() {
    let wrong_grain = partial(RollupKey::User("ada".into()), Grain::Hour, T0, 1);
    for (message, expect) in [
        (message(0, 1, T0, vec![wrong_grain]), "begins with minute"),
        (message(2, 1, T0, vec![]), "raw partition 2, of 2"),
        (message(-1, 1, T0, vec![]), "raw partition -1"),
    ] {
        let error = roller().try_send(&message).expect_err("refused");
        assert!(matches!(error, StageError::UnreadableInternal { .. }));
        assert!(error.to_string().contains(expect), "{error}");
    }
}

#[test]
fn windows_that_close_early_are_corrected() {
    let mut config = rollup_config();
    config.limits.live_entries = 1;
    let mut roller = roller();
    roller.restart_with(config);
    let outputs = both(&mut roller, 1, T0, vec![ada(T0, 1)]);
    assert_eq!(
        users(&outputs),
        [(Closed, Grain::Minute, 1), (Update, Grain::Hour, 1)]
    );
    let outputs = both(&mut roller, 2, T0, vec![ada(T0, 1)]);
    assert_eq!(
        users(&outputs),
        [(Correction, Grain::Minute, 1), (Update, Grain::Hour, 2)]
    );
}
