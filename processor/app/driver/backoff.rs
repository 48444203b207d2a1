//! Waiting longer after each failure, with jitter, so that workers don't come back in step.

use super::control::{Control, Signal};
use std::time::Duration;

/// The first wait, at most.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);
/// How soon a signal is noticed.
const STEP: Duration = Duration::from_millis(25);

/// How long to wait after a failure.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// Something worked: the next failure waits shortly again.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// How long to wait now: between half of the present step and the whole; the next step is twice as long.
    fn next(&mut self) -> Duration {
        let jitter = (uuid::Uuid::new_v4().as_u128() & 0xffff) as f64 / f64::from(0xffff);
        let wait = self.next.mul_f64(0.5 + 0.5 * jitter);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }

    /// The same in microseconds, for those who do something else meanwhile.
    pub(crate) fn next_us(&mut self) -> i64 {
        self.next().as_micros() as i64
    }

    /// Waits; returns early on a signal.
    pub(crate) fn wait(&mut self, control: &Control) {
        let mut left = self.next();
        while !left.is_zero() && control.signal() == Signal::Run {
            let step = left.min(STEP);
            std::thread::sleep(step);
            left -= step;
        }
    }
}
