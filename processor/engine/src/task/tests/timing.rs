//! When a task commits, its limits, and the idle rule.

use super::*;

#[test]
fn input_is_committed_an_interval_after_its_first_record() {
    let mut bench = Bench::running();
    assert_eq!(
        bench.task.poll_action(100),
        Action::Fetch { until_us: 1_000 }
    );
    bench.record(10, 200).unwrap();
    bench.record(11, 400).unwrap();
    assert_eq!(bench.task.poll_action(699), Action::Fetch { until_us: 700 });
    assert_eq!(bench.task.poll_action(700), Action::Commit);
    bench.commit(710);
    assert_eq!(
        bench.calls(),
        ["process 10", "process 11", "seal 12", "committed"]
    );
    assert!(bench.task.batch().is_empty());
    assert_eq!(
        bench.task.poll_action(711),
        Action::Fetch { until_us: 1_710 }
    );
}

#[test]
fn an_idle_task_commits_once_an_idle_interval() {
    let mut bench = Bench::running();
    assert_eq!(
        bench.task.poll_action(999),
        Action::Fetch { until_us: 1_000 }
    );
    assert_eq!(bench.task.poll_action(1_000), Action::Commit);
    bench.commit(1_010);
    assert_eq!(
        bench.task.poll_action(1_011),
        Action::Fetch { until_us: 2_010 }
    );
}

#[test]
fn a_transaction_is_limited_in_records_read_or_written() {
    for value in ["fine", "quiet"] {
        let mut bench = Bench::running();
        for offset in 10..13 {
            assert!(matches!(bench.task.poll_action(1), Action::Fetch { .. }));
            bench.value(offset, value.as_bytes(), 1).unwrap();
        }
        assert_eq!(bench.task.poll_action(1), Action::Commit);
        assert_eq!(bench.record(13, 1), Err(TaskError::Full));
        bench.commit(2);
        bench.record(13, 3).unwrap();
    }
}

#[test]
fn a_transaction_is_limited_in_bytes_and_in_what_its_end_will_add() {
    for (config, full) in [
        (
            TaskConfig {
                max_batch_bytes: 69,
                ..CONFIG
            },
            false,
        ),
        (
            TaskConfig {
                max_batch_bytes: 68,
                ..CONFIG
            },
            true,
        ),
    ] {
        let mut bench = Bench::running();
        bench.record(10, 1).unwrap();
        assert_eq!(bench.task.batch().bytes(), 68);
        bench.task.config = config;
        assert_eq!(bench.record(11, 1) == Err(TaskError::Full), full);
    }
    for (pending, full) in [(1, false), (2, true)] {
        let mut bench = Bench::running();
        bench.record(10, 1).unwrap();
        bench.task.processor.as_mut().unwrap().pending = pending;
        assert_eq!(bench.record(11, 1) == Err(TaskError::Full), full);
    }
}

#[test]
fn a_record_is_taken_once_and_gaps_are_fine() {
    let mut bench = Bench::running();
    assert_eq!(
        bench.record(9, 1),
        Err(TaskError::OutOfOrder {
            next_offset: 10,
            offset: 9
        })
    );
    bench.record(12, 1).unwrap();
    assert_eq!(
        bench.record(12, 1),
        Err(TaskError::OutOfOrder {
            next_offset: 13,
            offset: 12
        })
    );
    bench.task.handle_input_position(15).unwrap();
    bench.task.handle_input_position(14).unwrap();
    bench.commit(2);
    assert_eq!(bench.calls(), ["process 12", "seal 15", "committed"]);
}

/// Running, idle, its last batch appended at log time 70, and asked for the end.
fn asked() -> Bench {
    let mut bench = Bench::running();
    bench.task.handle_append_time(70).unwrap();
    assert_eq!(bench.task.poll_action(499), Action::Fetch { until_us: 500 });
    assert_eq!(bench.task.poll_action(500), Action::QueryEndOffset);
    assert_eq!(
        bench.task.poll_action(500),
        Action::Fetch { until_us: 1_000 },
        "asked once"
    );
    bench
}

#[test]
fn an_idle_task_takes_the_append_time_of_its_previous_batch() {
    let mut bench = asked();
    bench.task.handle_end_offset(Some(10)).unwrap();
    assert_eq!(bench.calls(), ["idle append 70"]);
    assert_eq!(
        bench.task.handle_end_offset(Some(10)),
        Err(TaskError::NotAsked)
    );
    assert_eq!(
        bench.task.poll_action(600),
        Action::Fetch { until_us: 1_000 }
    );
    bench.commit(1_000);
    assert_eq!(
        bench.task.poll_action(1_600),
        Action::Fetch { until_us: 2_000 },
        "no append"
    );
}

#[test]
fn a_record_between_the_append_and_the_question_holds_the_stage_time_back() {
    let mut bench = asked();
    bench.task.handle_end_offset(Some(11)).unwrap();
    bench.record(10, 600).unwrap();
    bench.commit(1_100);
    assert_eq!(bench.calls(), ["process 10", "seal 11", "committed"]);
}

#[test]
fn a_record_that_was_read_before_the_answer_does_not_hold_it_back() {
    let mut bench = asked();
    bench.record(10, 600).unwrap();
    bench.task.handle_end_offset(Some(11)).unwrap();
    assert_eq!(bench.calls(), ["process 10", "idle append 70"]);
}

#[test]
fn an_answer_speaks_for_the_append_before_its_question_only() {
    let mut bench = asked();
    bench.commit(1_000);
    bench.task.handle_append_time(90).unwrap();
    bench.task.handle_end_offset(Some(10)).unwrap();
    assert_eq!(bench.calls(), ["seal 10", "committed", "idle append 70"]);
    assert_eq!(
        bench.task.poll_action(1_500),
        Action::QueryEndOffset,
        "for the append at 90"
    );
    bench.task.handle_end_offset(Some(10)).unwrap();
    assert_eq!(bench.calls(), ["idle append 90"]);
}

#[test]
fn one_question_is_out_at_a_time() {
    let mut bench = asked();
    bench.commit(1_000);
    bench.task.handle_append_time(90).unwrap();
    assert_eq!(
        bench.task.poll_action(1_500),
        Action::Fetch { until_us: 2_000 }
    );
}

#[test]
fn an_answer_during_a_commit_waits_for_its_end() {
    let mut bench = asked();
    bench.task.seal().unwrap();
    bench.task.handle_end_offset(Some(10)).unwrap();
    assert_eq!(bench.calls(), ["seal 10"]);
    bench
        .task
        .handle_commit(CommitOutcome::Committed, 1_000)
        .unwrap();
    assert_eq!(bench.calls(), ["committed", "idle append 70"]);
}

#[test]
fn a_question_without_an_answer_changes_nothing() {
    let mut bench = asked();
    bench.task.handle_end_offset(None).unwrap();
    assert_eq!(bench.calls(), Vec::<String>::new());
}

#[test]
fn a_busy_task_asks_nothing() {
    let mut bench = Bench::running();
    bench.task.handle_append_time(70).unwrap();
    bench.record(10, 300).unwrap();
    assert_eq!(bench.task.poll_action(600), Action::Fetch { until_us: 800 });
}

#[test]
fn an_input_that_was_never_written_is_level() {
    let mut bench = Bench::new();
    bench.task.claim(bench.scribe_at(-1)).unwrap();
    bench.task.handle_claimed(0, Vec::new()).unwrap();
    let restored = bench.task.poll_restored(0);
    assert_eq!(restored, Ok(RestoreStatus::Restored { next_offset: None }));
    bench.commit(0);
    bench.task.handle_append_time(70).unwrap();
    assert_eq!(bench.task.poll_action(500), Action::QueryEndOffset);
    bench.task.handle_end_offset(Some(0)).unwrap();
    assert_eq!(bench.calls(), ["seal -1", "committed", "idle append 70"]);
}
