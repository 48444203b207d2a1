//! Tumbling windows: half-open, UTC, of three grains.

use crate::time::{DAY_US, HOUR_US, MINUTE_US, Timestamp};

/// The length of a window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Grain {
    /// One minute.
    Minute,
    /// One hour.
    Hour,
    /// One UTC day.
    Day,
}

impl Grain {
    /// Every grain, finest first.
    pub const ALL: [Grain; 3] = [Grain::Minute, Grain::Hour, Grain::Day];

    /// Its name in settings, tables and topics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Grain::Minute => "minute",
            Grain::Hour => "hour",
            Grain::Day => "day",
        }
    }

    /// The inverse of [`Grain::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Grain> {
        Grain::ALL.into_iter().find(|grain| grain.as_str() == text)
    }

    /// Its length in microseconds.
    #[must_use]
    pub const fn length_us(self) -> i64 {
        match self {
            Grain::Minute => MINUTE_US,
            Grain::Hour => HOUR_US,
            Grain::Day => DAY_US,
        }
    }

    /// The window of this grain that holds `time`.
    #[must_use]
    pub const fn window_of(self, time: Timestamp) -> Window {
        let length = self.length_us();
        let micros = time.as_micros();
        Window {
            grain: self,
            start: Timestamp::from_micros(micros.saturating_sub(micros.rem_euclid(length))),
        }
    }
}

/// One window: `[start, start + grain)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Window {
    /// Its length.
    pub grain: Grain,
    /// Its first instant, a multiple of the grain since the epoch.
    pub start: Timestamp,
}

impl Window {
    /// Its first instant that is no longer inside.
    #[must_use]
    pub const fn end(self) -> Timestamp {
        self.start.plus_micros(self.grain.length_us())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_half_open_and_hold_before_the_epoch() {
        let at = |us| {
            Grain::Minute
                .window_of(Timestamp::from_micros(us))
                .start
                .as_micros()
        };
        assert_eq!(at(MINUTE_US - 1), 0);
        assert_eq!(at(MINUTE_US), MINUTE_US);
        assert_eq!(at(-1), -MINUTE_US);
    }
}
