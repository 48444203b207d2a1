//! Waiting longer after each failure, with jitter, so that workers don't come back in step.

use crate::control::{Control, Signal};
use crate::ports::Clock;
use std::time::Duration;

/// The first wait, at most.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);
/// How soon a signal is noticed.
const STEP: Duration = Duration::from_millis(25);

/// How long to wait after a failure.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Before the first failure.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Something worked: the next failure waits shortly again.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    /// How long to wait now: between half of the present step and the whole, as `jitter` from 0 to 1 says; the next step
    /// is twice as long.
    pub fn next(&mut self, jitter: f64) -> Duration {
        let wait = self.next.mul_f64(0.5 + 0.5 * jitter);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }

    /// Waits; returns early on a signal.
    pub async fn wait(&mut self, clock: &impl Clock, control: &Control) {
        let mut left = self.next(clock.jitter());
        while !left.is_zero() && control.signal() == Signal::Run {
            let step = left.min(STEP);
            clock.sleep(step).await;
            left -= step;
        }
    }
}
