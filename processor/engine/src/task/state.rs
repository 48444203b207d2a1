//! The lifecycle of a task as data: its states, its inputs, and which leads where.
//!
//! [`State::after`] is the transition table that the module above draws. It knows nothing of what a
//! transition does.

/// Where a task is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Made, and nothing done.
    Created,
    /// The shell fences the previous owner.
    Claiming,
    /// The state topics are being read.
    Restoring,
    /// Input is read.
    Running,
    /// A sealed batch is being committed.
    Committing,
    /// The partition goes away: what was read is to be committed yet.
    Draining,
    /// The partition goes away: the last batch is being committed.
    Closing,
    /// The claim, the commit or the state was lost. Everything was dropped; it may be claimed again.
    Lost,
    /// A person is needed. Everything was dropped.
    Halted,
    /// Done.
    Closed,
}

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [State; 10] = [
        State::Created,
        State::Claiming,
        State::Restoring,
        State::Running,
        State::Committing,
        State::Draining,
        State::Closing,
        State::Lost,
        State::Halted,
        State::Closed,
    ];

    /// Whether the task has a processor, and so state.
    #[must_use]
    pub const fn has_processor(self) -> bool {
        !matches!(
            self,
            State::Created | State::Lost | State::Halted | State::Closed
        )
    }

    /// The transition table: the state after an input, or `None` if the input is refused.
    #[must_use]
    pub const fn after(self, input: Input) -> Option<State> {
        use State::{
            Claiming, Closed, Closing, Committing, Created, Draining, Halted, Lost, Restoring,
            Running,
        };
        Some(match (self, input) {
            (Created | Lost, Input::Claim) => Claiming,
            (Claiming, Input::Claimed) => Restoring,
            (Restoring, Input::RestoreRecord | Input::RestorePosition) => Restoring,
            (Restoring, Input::Restored) => Running,
            (Running, Input::Record | Input::InputPosition) => Running,
            (Running | Committing, Input::AppendTime | Input::EndOffset) => self,
            (Draining | Closing, Input::AppendTime | Input::EndOffset) => self,
            (Running, Input::Seal) => Committing,
            (Draining, Input::Seal) => Closing,
            (Committing, Input::Committed) => Running,
            (Committing, Input::NotCommitted) => Lost,
            (Closing, Input::Committed | Input::NotCommitted) => Closed,
            (Claiming | Restoring | Running | Committing | Lost, Input::Lose) => Lost,
            (Created | Claiming | Restoring | Running | Committing | Lost, Input::Halt) => Halted,
            (Draining | Closing, Input::Lose | Input::Halt) => Closed,
            (Running, Input::RevokeDirty) => Draining,
            (Committing, Input::RevokeClean | Input::RevokeDirty) => Closing,
            (Draining | Closing, Input::RevokeClean | Input::RevokeDirty) => self,
            (_, Input::RevokeClean) => Closed,
            (_, Input::Abandon) => Closed,
            _ => return None,
        })
    }
}

/// What happens to a task.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// [`claim`](super::Task::claim).
    Claim,
    /// [`handle_claimed`](super::Task::handle_claimed).
    Claimed,
    /// [`handle_restore_record`](super::Task::handle_restore_record).
    RestoreRecord,
    /// [`handle_restore_position`](super::Task::handle_restore_position).
    RestorePosition,
    /// [`poll_restored`](super::Task::poll_restored).
    Restored,
    /// [`handle_record`](super::Task::handle_record).
    Record,
    /// [`handle_input_position`](super::Task::handle_input_position).
    InputPosition,
    /// [`handle_append_time`](super::Task::handle_append_time).
    AppendTime,
    /// [`handle_end_offset`](super::Task::handle_end_offset).
    EndOffset,
    /// [`seal`](super::Task::seal).
    Seal,
    /// [`handle_commit`](super::Task::handle_commit), committed.
    Committed,
    /// [`handle_commit`](super::Task::handle_commit), anything else.
    NotCommitted,
    /// [`handle_lost`](super::Task::handle_lost), and errors that pass.
    Lose,
    /// [`handle_halt`](super::Task::handle_halt), and errors that need a person.
    Halt,
    /// [`handle_revoked`](super::Task::handle_revoked) with nothing to commit.
    RevokeClean,
    /// [`handle_revoked`](super::Task::handle_revoked) with uncommitted input: only where input was read.
    RevokeDirty,
    /// [`handle_abandoned`](super::Task::handle_abandoned).
    Abandon,
}

impl Input {
    /// Every input.
    pub const ALL: [Input; 17] = [
        Input::Claim,
        Input::Claimed,
        Input::RestoreRecord,
        Input::RestorePosition,
        Input::Restored,
        Input::Record,
        Input::InputPosition,
        Input::AppendTime,
        Input::EndOffset,
        Input::Seal,
        Input::Committed,
        Input::NotCommitted,
        Input::Lose,
        Input::Halt,
        Input::RevokeClean,
        Input::RevokeDirty,
        Input::Abandon,
    ];
}
