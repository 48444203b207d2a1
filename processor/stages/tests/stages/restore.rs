//! A task that is restored from what it wrote behaves as the one that wrote it.

use crate::harness::{
    Driven, MINUTE, Normalizer, Outputs, PARTITIONS, Row, T0, encoder, normalize_config,
    normalize_stage, normalizer, roller, rollup_config, snapshot,
};
use rollcall_domain::Timestamp;
use rollcall_domain::pipeline::{Partial, RollupPartials};
use rollcall_domain::{Accumulator, Grain, RollupKey};
use rollcall_engine::TopicIndex;
use rollcall_stages::layout::{self, Partitions};
use rollcall_stages::{RollupStage, StageError};

fn same_after(mut tested: Normalizer, machine: &'static str) {
    let row = |ticks| -> [Row; 1] { [(1, "vim", "ada", ticks, 1)] };
    for id in 0..70 {
        let at = T0 + id as i64 * MINUTE;
        tested.send(&snapshot(id, machine, at, &row(100 + id as i64)));
        if id % 9 == 0 {
            tested.commit();
        }
    }
    tested.commit();
    let before = rollcall_stages::Stage::task_state(&tested.stage).clone();
    assert_eq!(tested.restart(), 70);
    assert_eq!(rollcall_stages::Stage::task_state(&tested.stage), &before);

    for id in [0, 69] {
        tested.send(&snapshot(id, machine, T0 + 70 * MINUTE, &row(500)));
    }
    tested.send(&snapshot(70, machine, T0 + 70 * MINUTE, &row(200)));
    let outputs = tested.commit();
    let observations = outputs.observations();
    assert_eq!(observations.len(), 1, "two were sent before");
    assert_eq!(observations[0].observations[0].cpu_delta_us, Some(310_000));
    let state = outputs.task_state();
    assert_eq!(state.counts.snapshots_read, 73);
    assert_eq!(state.counts.snapshots_duplicate, 2);
    assert_eq!(state.sequence, before.sequence + 1);
    assert!(state.stage_time >= before.stage_time);
}

#[test]
fn normalize_goes_on_where_it_was() {
    same_after(normalizer(), "m1");
    same_after(normalizer(), "a/ids/b");
}

/// The CPU times of the machine `a/ids/0` stood under the key of the first ids of the machine `a`.
#[test]
fn machines_named_like_state_keys_take_nobodys_state() {
    let names = [
        "a",
        "a/ids/0",
        "a/ids/0/cpu",
        "a/ids/0/ids/0",
        "a/cpu",
        "a/ids/x",
    ];
    let mut normalizer = normalizer();
    for (id, name) in names.into_iter().enumerate() {
        let ticks = id as i64 * 100;
        normalizer.take(&snapshot(
            id as u128,
            name,
            T0,
            &[(1, "sh", "ada", ticks, 1)],
        ));
    }
    normalizer.restart();
    for (id, name) in names.into_iter().enumerate() {
        normalizer.send(&snapshot(id as u128, name, T0, &[]));
        let ticks = id as i64 * 100 + 7;
        let next = snapshot(99, name, T0 + MINUTE, &[(1, "sh", "ada", ticks, 1)]);
        normalizer.send(&next);
        let observations = normalizer.commit().observations();
        assert_eq!(observations.len(), 1, "{name}: the first was sent before");
        let delta = observations[0].observations[0].cpu_delta_us;
        assert_eq!(delta, Some(70_000), "{name}");
    }
}

#[track_caller]
fn check_foreign<S>(result: Result<S, StageError>, expect: &str) {
    match result {
        Err(error @ StageError::ForeignState { .. }) => {
            assert!(error.to_string().contains(expect), "{error}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[test]
fn foreign_state_is_refused() {
    let mut normalizer = normalizer();
    normalizer.take(&snapshot(1, "m1", T0, &[]));
    let mut config = normalize_config();
    config.deployment = "d2".to_owned();
    check_foreign(
        normalizer.try_restart(normalize_stage(config)),
        "deployment \"d1\"",
    );
    let mut config = normalize_config();
    config.partitions.snapshots = 4;
    check_foreign(
        normalizer.try_restart(normalize_stage(config)),
        "input partition count \"2\"",
    );
    let mut config = normalize_config();
    config.partition = 0;
    check_foreign(
        normalizer.try_restart(normalize_stage(config)),
        "says partition",
    );
    assert_eq!(normalizer.restart(), 1);

    let mut roller = roller();
    roller.commit();
    let with = |partitions: Partitions| {
        let mut config = rollup_config();
        config.partitions = partitions;
        RollupStage::new(config, encoder())
    };
    let rollups = Partitions {
        rollups: 4,
        ..PARTITIONS
    };
    check_foreign(
        roller.try_restart(with(rollups)),
        "input partition count \"3\"",
    );
    // Upstreams beyond the recorded ones had no place, and their first message was called unreadable.
    let snapshots = Partitions {
        snapshots: 3,
        ..PARTITIONS
    };
    check_foreign(
        roller.try_restart(with(snapshots)),
        "raw partition count \"2\"",
    );
    assert_eq!(roller.restart(), 0);
}

#[test]
fn unreadable_state_names_its_key() {
    let mut driven = Driven::new(
        normalize_stage(normalize_config()),
        rollcall_stages::layout::SNAPSHOTS.index,
    );
    let topic = rollcall_stages::layout::STATE_NORMALIZE.index;
    let error = rollcall_engine::Processor::restore(&mut driven.stage, topic, b"m1", Some(b"x"))
        .expect_err("it is no state");
    assert!(error.to_string().contains("\"m1\""), "{error}");
}

/// A restore reads the task's own partitions only: state records belong there, so many of them, and the task state
/// ends the transaction.
#[track_caller]
fn check_state(outputs: &Outputs, topic: TopicIndex, task_partition: i32, expect: usize) {
    let mut records = outputs.records.clone();
    let last = records.pop().map(|record| (record.topic, record.partition));
    assert_eq!(last, Some((layout::TASK_STATE.index, task_partition)));
    let is_state = |topic: TopicIndex| layout::TOPICS[usize::from(topic.0)].compacted;
    records.retain(|record| is_state(record.topic));
    let found: Vec<_> = records.iter().map(|r| (r.topic, r.partition)).collect();
    assert_eq!(found, vec![(topic, 1); expect]);
}

#[test]
fn state_goes_where_the_restore_looks_and_the_task_state_ends_every_transaction() {
    let mut tested = normalizer();
    let outputs = tested.take(&snapshot(1, "m", T0, &[(1, "vim", "ada", 1, 1)]));
    check_state(&outputs, layout::STATE_NORMALIZE.index, 1, 2);
    check_state(&tested.commit(), layout::STATE_NORMALIZE.index, 1, 0);

    let mut tested = roller();
    let own = PARTITIONS.snapshots + 1;
    tested.send(&RollupPartials {
        source_partition: 0,
        next_offset: 1,
        stage_time: Timestamp::from_micros(T0),
        more: false,
        partials: vec![Partial {
            key: RollupKey::User("ada".into()),
            window: Grain::Minute.window_of(Timestamp::from_micros(T0)),
            accumulator: Accumulator {
                snapshots: 1,
                ..Accumulator::default()
            },
        }],
    });
    check_state(&tested.commit(), layout::STATE_ROLLUP.index, own, 2);
    check_state(&tested.commit(), layout::STATE_ROLLUP.index, own, 0);
}
