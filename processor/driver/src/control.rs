//! What a thread is told to do from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What a thread is to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Signal {
    /// Go on.
    Run,
    /// Finish what was begun, commit, end.
    Drain,
    /// End at once, commit nothing: others may own the work already.
    Abandon,
}

/// A signal that is set from one thread and read from others. It only ever becomes more urgent.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<AtomicU8>);

impl Control {
    /// A control that says [`Signal::Run`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a signal.
    pub fn send(&self, signal: Signal) {
        self.0.fetch_max(signal as u8, Ordering::AcqRel);
    }

    /// The signal in force.
    #[must_use]
    pub fn signal(&self) -> Signal {
        match self.0.load(Ordering::Acquire) {
            0 => Signal::Run,
            1 => Signal::Drain,
            _ => Signal::Abandon,
        }
    }
}
