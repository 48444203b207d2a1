//! What NORMALIZE hands to ROLLUP.

use crate::harness::{
    Driven, HOUR, MINUTE, Outputs, Row, T0, normalize_config, normalizer, snapshot,
};
use crate::naive;
use rollcall_domain::pipeline::RollupPartials;
use rollcall_domain::{Accumulator, Grain, RollupKey, Timestamp};
use std::collections::BTreeMap;

fn by_key(outputs: &Outputs) -> BTreeMap<(RollupKey<'static>, i64), Accumulator> {
    let partials = outputs.partials().into_iter().flat_map(|(_, m)| m.partials);
    partials
        .map(|partial| {
            let key = (partial.key, partial.window.start.as_micros());
            (key, partial.accumulator)
        })
        .collect()
}

/// Every target gets one message or more; only the last says that none follows.
#[track_caller]
fn check_ends(messages: &[(i32, RollupPartials<'static>)], next_offset: i64, stage_time: i64) {
    for target in 0..3 {
        let mut of_target = messages.iter().filter(|(at, _)| *at == target).peekable();
        assert!(of_target.peek().is_some(), "target {target}");
        while let Some((_, message)) = of_target.next() {
            assert_eq!(message.more, of_target.peek().is_some());
            assert_eq!(message.source_partition, 1);
            assert_eq!(message.next_offset, next_offset);
            assert_eq!(message.stage_time, Timestamp::from_micros(stage_time));
        }
    }
}

#[test]
fn counts_equal_a_naive_fold() {
    let mut normalizer = normalizer();
    let rows: [Row; 6] = [
        (1, "init", "root", 5, 3),
        (2, "vim", "ada", 6, 5),
        (3, "vim", "bob", 7, 7),
        (4, "chrome", "ada", 8, 11),
        (5, "chrome", "eve", 9, 13),
        (6, "sh", "kim", 1, 17),
    ];
    for step in 0..40_i64 {
        let machine = ["m1", "m2", "m3"][step as usize % 3];
        let mut rows: Vec<Row> = rows.to_vec();
        rows.iter_mut().for_each(|row| row.3 += step * row.0);
        rows.truncate(1 + step as usize % 6);
        let at = T0 + step * 7 * MINUTE / 2;
        normalizer.send(&snapshot(step as u128, machine, at, &rows));
    }
    let outputs = normalizer.commit();
    let expect = naive::fold(
        &outputs.observations(),
        [Grain::Minute, Grain::Minute, Grain::Hour],
    );
    assert!(expect.len() > 50);
    assert!(expect.values().any(|rollup| rollup.cpu_time_us > 0));
    naive::check(&by_key(&outputs), &expect);
    let stage_time = T0 + 39 * 7 * MINUTE / 2 + 1_000_000;
    check_ends(&outputs.partials(), 40, stage_time);
}

#[test]
fn a_faculty_counts_a_snapshot_once_for_all_of_its_members() {
    let mut normalizer = normalizer();
    let outputs = normalizer.take(&snapshot(
        1,
        "m1",
        T0,
        &[(1, "vim", "ada", 0, 1), (2, "vim", "bob", 0, 1)],
    ));
    let law = &by_key(&outputs)[&(RollupKey::Faculty("law".into()), T0)];
    assert_eq!((law.snapshots, law.processes), (1, 2));
    assert_eq!(law.users.cardinality(), 2);
}

#[test]
fn an_idle_transaction_reports_to_every_target() {
    let mut normalizer = normalizer();
    normalizer.next_offset = -1;
    let outputs = normalizer.commit();
    check_ends(&outputs.partials(), -1, i64::MIN);
    rollcall_engine::Processor::idle_append(&mut normalizer.stage, T0);
    let outputs = normalizer.commit();
    check_ends(&outputs.partials(), -1, T0);
    assert_eq!(outputs.partials().len(), 3);
}

/// Names were not counted, only accumulators: thousands of long names made a message of megabytes.
#[test]
fn large_partials_are_split() {
    for name_bytes in [0, 2000] {
        let mut normalizer = normalizer();
        for step in 0..40_u128 {
            let rows: Vec<Row> = (0..100)
                .map(|pid| {
                    let tail = "x".repeat(name_bytes);
                    let name: &'static str = format!("app-{step}-{pid}{tail}").leak();
                    (pid, name, "ada", 0, pid * 100)
                })
                .collect();
            normalizer.send(&snapshot(step, "m1", T0, &rows));
        }
        let outputs = normalizer.commit();
        let messages = outputs.partials();
        assert!(messages.len() > 3, "{} messages", messages.len());
        for record in outputs.of(rollcall_stages::layout::PARTIALS.index) {
            assert!(record.bytes() < 512 * 1024, "{} bytes", record.bytes());
        }
        check_ends(&messages, 40, T0 + 1_000_000);
        assert_eq!(by_key(&outputs).len(), 4000 + 2);
    }
}

#[test]
fn a_partition_is_the_keys_own() {
    let config = normalize_config();
    let mut first = Driven::new(
        crate::harness::normalize_stage(config),
        rollcall_stages::layout::SNAPSHOTS.index,
    );
    let mut where_is = BTreeMap::new();
    for step in 0..30_u128 {
        let at = T0 + step as i64 * HOUR;
        let outputs = first.take(&snapshot(
            step,
            "m1",
            at,
            &[(1, "vim", "ada", 0, 1), (2, "sh", "eve", 0, 1)],
        ));
        for (target, message) in outputs.partials() {
            for partial in message.partials {
                let known = *where_is.entry(partial.key.to_text()).or_insert(target);
                assert_eq!(known, target);
            }
        }
    }
}
