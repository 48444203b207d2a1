//! The lifecycle, pair by pair, and what is left after a loss.

use super::*;
use crate::record::OutputRecord;
use std::cell::RefCell;
use std::rc::Rc;

mod timing;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
enum Failure {
    #[error("it may pass")]
    Passes,
    #[error("another deployment's state")]
    NeedsPerson,
}

/// Writes down what it is told, and that it was dropped.
#[derive(Debug)]
struct Scribe {
    calls: Rc<RefCell<Vec<String>>>,
    next_offset: i64,
    pending: usize,
}

impl Scribe {
    fn note(&self, call: impl Into<String>) {
        self.calls.borrow_mut().push(call.into());
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.note("dropped");
    }
}

fn failure(value: Option<&[u8]>) -> Result<(), Failure> {
    match value {
        Some(b"passes") => Err(Failure::Passes),
        Some(b"needs a person") => Err(Failure::NeedsPerson),
        _ => Ok(()),
    }
}

impl Processor for Scribe {
    type Error = Failure;

    fn restore(&mut self, _: TopicIndex, key: &[u8], value: Option<&[u8]>) -> Result<(), Failure> {
        self.note(format!("restore {}", String::from_utf8_lossy(key)));
        failure(value)
    }

    fn restored(&mut self) -> Result<i64, Failure> {
        match self.next_offset {
            -9 => Err(Failure::NeedsPerson),
            next_offset => Ok(next_offset),
        }
    }

    fn process(&mut self, record: &InputRecord<'_>, batch: &mut Batch) -> Result<(), Failure> {
        self.note(format!("process {}", record.offset));
        let (topic, value) = (TopicIndex(0), record.value.map(<[u8]>::to_vec));
        if record.value != Some(b"quiet") {
            batch.push(OutputRecord {
                topic,
                partition: 0,
                key: None,
                value,
            });
        }
        failure(record.value)
    }

    fn seal(&mut self, next_offset: i64, batch: &mut Batch) -> Result<(), Failure> {
        self.note(format!("seal {next_offset}"));
        let topic = TopicIndex(1);
        batch.push(OutputRecord {
            topic,
            partition: 0,
            key: None,
            value: None,
        });
        match next_offset {
            666 => Err(Failure::Passes),
            _ => Ok(()),
        }
    }

    fn committed(&mut self) {
        self.note("committed");
    }

    fn idle_append(&mut self, append_time_us: i64) {
        self.note(format!("idle append {append_time_us}"));
    }

    fn pending_records(&self) -> usize {
        self.pending
    }

    fn needs_person(error: &Failure) -> bool {
        *error == Failure::NeedsPerson
    }
}

const CONFIG: TaskConfig = TaskConfig {
    commit_interval_us: 500,
    idle_commit_interval_us: 1_000,
    max_batch_bytes: 10_000,
    max_batch_records: 3,
    restore_no_progress_us: 100,
};
const STATE_TOPIC: TopicIndex = TopicIndex(7);

/// A task under test and what its processors were told.
struct Bench {
    task: Task<Scribe>,
    calls: Rc<RefCell<Vec<String>>>,
}

impl Bench {
    fn new() -> Self {
        Bench {
            task: Task::new(CONFIG),
            calls: Rc::default(),
        }
    }

    fn scribe(&self) -> Scribe {
        self.scribe_at(10)
    }

    fn scribe_at(&self, next_offset: i64) -> Scribe {
        Scribe {
            calls: Rc::clone(&self.calls),
            next_offset,
            pending: 0,
        }
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.borrow_mut())
    }

    fn record(&mut self, offset: i64, now_us: i64) -> Outcome<Scribe> {
        self.value(offset, b"fine", now_us)
    }

    fn value(&mut self, offset: i64, value: &[u8], now_us: i64) -> Outcome<Scribe> {
        let record = InputRecord {
            offset,
            value: Some(value),
            ..InputRecord::default()
        };
        self.task.handle_record(&record, now_us)
    }

    fn commit(&mut self, now_us: i64) {
        self.task.seal().unwrap();
        self.task
            .handle_commit(CommitOutcome::Committed, now_us)
            .unwrap();
    }

    fn claimed(targets: &[(TopicIndex, i64)]) -> Self {
        let mut bench = Bench::new();
        bench.task.claim(bench.scribe()).unwrap();
        let target = |&(topic, end_offset)| RestoreTarget {
            topic,
            partition: 3,
            begin_offset: 0,
            end_offset,
        };
        bench
            .task
            .handle_claimed(0, targets.iter().map(target).collect())
            .unwrap();
        bench
    }

    /// In Running, level at offset 10, the first commit at 0.
    fn running() -> Self {
        let mut bench = Bench::claimed(&[]);
        assert_eq!(
            bench.task.poll_restored(0),
            Ok(RestoreStatus::Restored {
                next_offset: Some(10)
            })
        );
        assert_eq!(
            bench.task.poll_action(0),
            Action::Commit,
            "each task reports at its start"
        );
        bench.commit(0);
        bench.calls();
        bench
    }

    /// By the shortest way, with an end offset asked for wherever one can be.
    fn in_state(state: State) -> Self {
        let mut bench = match state {
            State::Created => Bench::new(),
            State::Claiming => {
                let mut bench = Bench::new();
                bench.task.claim(bench.scribe()).unwrap();
                bench
            }
            State::Restoring => Bench::claimed(&[(STATE_TOPIC, 0)]),
            _ => {
                let mut bench = Bench::running();
                bench.task.handle_append_time(1).unwrap();
                assert_eq!(bench.task.poll_action(500), Action::QueryEndOffset);
                bench
            }
        };
        let task = &mut bench.task;
        match state {
            State::Created | State::Claiming | State::Restoring | State::Running => {}
            State::Committing => drop(task.seal().unwrap()),
            State::Draining | State::Closing => {
                bench.record(10, 500).unwrap();
                bench.task.handle_revoked().unwrap();
                if state == State::Closing {
                    bench.task.seal().unwrap();
                }
            }
            State::Lost => task.handle_lost(LostReason::Fenced).unwrap(),
            State::Halted => task.handle_halt("why").unwrap(),
            State::Closed => task.handle_abandoned().unwrap(),
        }
        assert_eq!(bench.task.state(), state);
        bench
    }

    fn feed(&mut self, input: Input) -> Outcome<Scribe> {
        if input == Input::Claim {
            return self.task.claim(self.scribe());
        }
        let task = &mut self.task;
        match input {
            Input::Claim => Ok(()),
            Input::Claimed => task.handle_claimed(0, Vec::new()),
            Input::RestoreRecord => task.handle_restore_record(STATE_TOPIC, 0, b"key", None),
            Input::RestorePosition => task.handle_restore_position(0, STATE_TOPIC, 5),
            Input::Restored => task.poll_restored(0).map(drop),
            Input::Record => self.record(10, 0),
            Input::InputPosition => task.handle_input_position(11),
            Input::AppendTime => task.handle_append_time(1),
            Input::EndOffset => task.handle_end_offset(Some(10)),
            Input::Seal => task.seal().map(drop),
            Input::Committed => task.handle_commit(CommitOutcome::Committed, 0),
            Input::NotCommitted => task.handle_commit(CommitOutcome::Unknown, 0),
            Input::Lose => task.handle_lost(LostReason::Fenced),
            Input::Halt => task.handle_halt("why"),
            Input::RevokeClean => task.handle_revoked(),
            Input::RevokeDirty => {
                if task.state() == State::Running {
                    self.record(10, 0)?;
                }
                self.task.handle_revoked()
            }
            Input::Abandon => task.handle_abandoned(),
        }
    }
}

/// The module's table, written a second time: rows are states, columns [`Input::ALL`], `-` is refused.
#[rustfmt::skip]
const TABLE: [(State, &str); 10] = [
    // cl cd rr rp rd rec pos app end seal com not lose halt clean dirty abandon
    (State::Created,    "Cl -  -  -  -  -  -  -  -  -  -  -  -  Ha X  X  X"),
    (State::Claiming,   "-  Re -  -  -  -  -  -  -  -  -  -  Lo Ha X  X  X"),
    (State::Restoring,  "-  -  Re Re Ru -  -  -  -  -  -  -  Lo Ha X  X  X"),
    (State::Running,    "-  -  -  -  -  Ru Ru Ru Ru Co -  -  Lo Ha X  Dr X"),
    (State::Committing, "-  -  -  -  -  -  -  Co Co -  Ru Lo Lo Ha Cg Cg X"),
    (State::Draining,   "-  -  -  -  -  -  -  Dr Dr Cg -  -  X  X  Dr Dr X"),
    (State::Closing,    "-  -  -  -  -  -  -  Cg Cg -  X  X  X  X  Cg Cg X"),
    (State::Lost,       "Cl -  -  -  -  -  -  -  -  -  -  -  Lo Ha X  X  X"),
    (State::Halted,     "-  -  -  -  -  -  -  -  -  -  -  -  -  -  X  X  X"),
    (State::Closed,     "-  -  -  -  -  -  -  -  -  -  -  -  -  -  X  X  X"),
];

fn expected(cell: &str) -> Option<State> {
    Some(match cell {
        "Cl" => State::Claiming,
        "Re" => State::Restoring,
        "Ru" => State::Running,
        "Co" => State::Committing,
        "Dr" => State::Draining,
        "Cg" => State::Closing,
        "Lo" => State::Lost,
        "Ha" => State::Halted,
        "X" => State::Closed,
        _ => return None,
    })
}

#[test]
fn every_state_takes_the_inputs_of_the_table_and_refuses_the_others() {
    for (position, (state, row)) in TABLE.into_iter().enumerate() {
        assert_eq!(State::ALL[position], state);
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!(cells.len(), Input::ALL.len());
        for (input, cell) in Input::ALL.into_iter().zip(cells) {
            let mut bench = Bench::in_state(state);
            let result = bench.feed(input);
            match expected(cell) {
                Some(after) => {
                    assert_eq!(result, Ok(()), "{state:?}, {input:?}");
                    assert_eq!(bench.task.state(), after, "{state:?}, {input:?}");
                }
                None => {
                    assert_eq!(
                        result,
                        Err(TaskError::Refused { state, input }),
                        "{state:?}, {input:?}"
                    );
                    assert_eq!(bench.task.state(), state);
                }
            }
            let task = &bench.task;
            assert_eq!(
                task.processor().is_some(),
                task.state().has_processor(),
                "{input:?}"
            );
            bench.task.poll_action(0);
        }
    }
}

#[test]
fn a_commit_that_is_not_known_drops_everything() {
    let outcomes = [
        (CommitOutcome::Aborted, LostReason::Aborted),
        (CommitOutcome::Fenced, LostReason::Fenced),
        (CommitOutcome::Unknown, LostReason::UnknownOutcome),
    ];
    for (outcome, reason) in outcomes {
        let mut bench = Bench::running();
        bench.record(10, 1).unwrap();
        bench.task.seal().unwrap();
        bench.task.handle_commit(outcome, 2).unwrap();
        assert_eq!(bench.task.state(), State::Lost);
        assert_eq!(bench.task.lost_reason(), Some(reason));
        assert!(bench.task.batch().is_empty());
        assert_eq!(bench.task.next_offset(), -1);
        assert_eq!(bench.calls(), ["process 10", "seal 11", "dropped"]);
        bench.task.claim(bench.scribe()).unwrap();
        assert_eq!(bench.task.lost_reason(), None);
    }
}

#[test]
fn an_error_drops_the_state_and_halts_if_it_needs_a_person() {
    for (value, state) in [("passes", State::Lost), ("needs a person", State::Halted)] {
        let mut bench = Bench::running();
        assert!(matches!(
            bench.value(10, value.as_bytes(), 1),
            Err(TaskError::Processor(_))
        ));
        assert_eq!(
            (bench.task.state(), bench.task.batch().is_empty()),
            (state, true)
        );

        let mut bench = Bench::claimed(&[(STATE_TOPIC, 1)]);
        let restored =
            bench
                .task
                .handle_restore_record(STATE_TOPIC, 0, b"k", Some(value.as_bytes()));
        assert!(matches!(restored, Err(TaskError::Processor(_))));
        assert_eq!(bench.task.state(), state);
    }
    let mut bench = Bench::running();
    bench.record(665, 1).unwrap();
    assert!(bench.task.seal().is_err());
    assert_eq!(bench.task.lost_reason(), Some(LostReason::Processor));
}

#[test]
fn an_error_while_leaving_ends_in_closed() {
    let mut bench = Bench::running();
    bench.record(665, 1).unwrap();
    bench.task.handle_revoked().unwrap();
    assert!(bench.task.seal().is_err());
    assert_eq!(bench.task.state(), State::Closed);
}

#[test]
fn state_of_another_deployment_halts() {
    let mut bench = Bench::new();
    bench.task.claim(bench.scribe_at(-9)).unwrap();
    bench.task.handle_claimed(0, Vec::new()).unwrap();
    assert_eq!(
        bench.task.poll_restored(0),
        Err(TaskError::Processor(Failure::NeedsPerson))
    );
    assert_eq!(bench.task.halt_reason(), Some("another deployment's state"));
}

#[test]
fn a_restore_ends_when_every_position_is_at_its_end() {
    let mut bench = Bench::claimed(&[(STATE_TOPIC, 5), (TopicIndex(8), 0)]);
    let task = &mut bench.task;
    task.handle_restore_record(STATE_TOPIC, 0, b"a", None)
        .unwrap();
    assert_eq!(
        task.poll_restored(10),
        Ok(RestoreStatus::Restoring { until_us: 100 })
    );
    // Records up to offset 3, then a control record that only the position counts.
    task.handle_restore_position(50, STATE_TOPIC, 4).unwrap();
    assert_eq!(
        task.poll_restored(60),
        Ok(RestoreStatus::Restoring { until_us: 150 })
    );
    assert_eq!(task.poll_action(60), Action::Wait { until_us: 150 });
    task.handle_restore_position(70, STATE_TOPIC, 5).unwrap();
    assert_eq!(
        task.poll_restored(80),
        Ok(RestoreStatus::Restored {
            next_offset: Some(10)
        })
    );
}

/// A newer owner may write while an older one still restores.
#[test]
fn what_stands_beyond_its_end_is_not_restored() {
    let mut bench = Bench::claimed(&[(STATE_TOPIC, 5)]);
    for offset in [0, 4, 5, 6] {
        let key = offset.to_string();
        let restored = bench
            .task
            .handle_restore_record(STATE_TOPIC, offset, key.as_bytes(), None);
        assert_eq!(restored, Ok(()));
    }
    assert_eq!(bench.calls(), ["restore 0", "restore 4"]);
}

#[test]
fn a_topic_that_was_emptied_is_restored_from_the_start() {
    let mut bench = Bench::in_state(State::Claiming);
    let emptied = RestoreTarget {
        topic: STATE_TOPIC,
        partition: 3,
        begin_offset: 7,
        end_offset: 7,
    };
    bench.task.handle_claimed(0, vec![emptied]).unwrap();
    assert!(matches!(
        bench.task.poll_restored(10),
        Ok(RestoreStatus::Restored { .. })
    ));
}

#[test]
fn a_restore_that_stands_still_is_given_up_and_says_where() {
    let mut bench = Bench::claimed(&[(STATE_TOPIC, 5)]);
    bench
        .task
        .handle_restore_position(50, STATE_TOPIC, 4)
        .unwrap();
    bench
        .task
        .handle_restore_position(120, STATE_TOPIC, 4)
        .unwrap();
    assert!(matches!(
        bench.task.poll_restored(149),
        Ok(RestoreStatus::Restoring { .. })
    ));
    let Ok(RestoreStatus::Stalled(stalled)) = bench.task.poll_restored(150) else {
        panic!("not given up")
    };
    assert_eq!(
        stalled.to_string(),
        "restore of topic 7, partition 3, made no progress for 100 µs: its position is 4, its end 5"
    );
    assert_eq!(bench.task.state(), State::Lost);
    assert_eq!(bench.task.lost_reason(), Some(LostReason::RestoreFailed));
}

#[test]
fn restore_targets_are_checked() {
    use crate::limits::MAX_RESTORE_TARGETS;
    let targets = |count: usize| -> Vec<RestoreTarget> {
        let target = |topic| RestoreTarget {
            topic: TopicIndex(topic as u16),
            partition: 0,
            begin_offset: 0,
            end_offset: 0,
        };
        (0..count).map(target).collect()
    };
    let claim = |targets| {
        Bench::in_state(State::Claiming)
            .task
            .handle_claimed(0, targets)
    };
    assert!(claim(targets(MAX_RESTORE_TARGETS)).is_ok());
    let count = MAX_RESTORE_TARGETS + 1;
    assert_eq!(
        claim(targets(count)),
        Err(BadTargets::TooMany(count).into())
    );
    let twice = [targets(1), targets(1)].concat();
    assert_eq!(claim(twice), Err(BadTargets::Twice(TopicIndex(0)).into()));
    let mut bench = Bench::claimed(&[(STATE_TOPIC, 1)]);
    let other = TopicIndex(1);
    let refused = Err(TaskError::NotRestored(other));
    assert_eq!(
        bench.task.handle_restore_record(other, 0, b"k", None),
        refused
    );
    assert_eq!(bench.task.handle_restore_position(0, other, 1), refused);
}

#[test]
fn draining_commits_what_was_read_and_nothing_else() {
    let mut bench = Bench::running();
    bench.record(10, 1).unwrap();
    bench.task.handle_revoked().unwrap();
    assert_eq!(bench.task.poll_action(1), Action::Commit);
    bench.commit(2);
    assert_eq!(bench.task.state(), State::Closed);
    assert_eq!(
        bench.calls(),
        ["process 10", "seal 11", "committed", "dropped"]
    );
}
