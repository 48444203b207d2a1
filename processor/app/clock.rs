//! The shell's two clocks, and its dice. The rooms below take their times as arguments.
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

/// Something between 0 and 1, another each time.
#[must_use]
pub(crate) fn jitter() -> f64 {
    (uuid::Uuid::new_v4().as_u128() & 0xffff) as f64 / f64::from(0xffff)
}

/// Microseconds on a clock that never goes back: for intervals and deadlines.
#[must_use]
pub(crate) fn elapsed_us() -> i64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_micros() as i64
}
