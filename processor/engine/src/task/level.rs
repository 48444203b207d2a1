//! The idle rule: how the stage time of a task moves on while no input comes.
//!
//! A task's own append at log time *a*, and then an answer, asked for *after* that append, that the input
//! ends where the task's position is: so every record appended up to *a* has been read, and the stage time
//! may be *a*. A record that came between the two makes the end larger than the position, and the stage time
//! stays.
//!
//! Invariants: an answer speaks for the append that was known when it was asked for, never for a later one;
//! one question is out at a time; one question per append.

/// The newest append, and the question that is out.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// Of the last batch, unless it was asked about already.
    append_time_us: Option<i64>,
    /// For which append an answer is awaited.
    asked_us: Option<i64>,
}

impl Level {
    pub(super) fn handle_append_time(&mut self, append_time_us: i64) {
        self.append_time_us = self.append_time_us.max(Some(append_time_us));
    }

    pub(super) fn may_ask(&self) -> bool {
        self.append_time_us.is_some() && self.asked_us.is_none()
    }

    /// The question goes out.
    pub(super) fn ask(&mut self) {
        self.asked_us = self.append_time_us.take();
    }

    /// The append that the answer speaks for; `None` if nothing was asked.
    pub(super) fn take_asked(&mut self) -> Option<i64> {
        self.asked_us.take()
    }
}
