//! The shell's two clocks. The rooms below take their times as arguments.
#![allow(
    clippy::disallowed_methods,
    reason = "the one place that asks what time it is"
)]

use rollcall_domain::Timestamp;
use std::sync::LazyLock;
use std::time::Instant;

/// The wall clock: for what people and other machines see. It may go back.
#[must_use]
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// Microseconds on a clock that never goes back: for intervals and deadlines.
#[must_use]
pub(crate) fn elapsed_us() -> i64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_micros() as i64
}
