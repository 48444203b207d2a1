//! Points in time as every record carries them.

/// Microseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

/// Microseconds in a second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE_US: i64 = 60 * SECOND_US;
/// Microseconds in an hour.
pub const HOUR_US: i64 = 60 * MINUTE_US;
/// Microseconds in a day.
pub const DAY_US: i64 = 24 * HOUR_US;

impl Timestamp {
    /// The earliest time; stands for "never reported" (−∞) in stage times.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest time.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// A time from microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// A time from milliseconds since the epoch, as Kafka gives them.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The minute that holds this time, as whole minutes since the epoch.
    #[must_use]
    pub const fn minute(self) -> i64 {
        self.0.div_euclid(MINUTE_US)
    }

    /// The UTC day that holds this time, as whole days since the epoch.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY_US)
    }

    /// This time moved by `micros`, stopping at the ends of the range.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this time (negative when it is later), stopping at the ends of the range.
    #[must_use]
    pub const fn micros_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_round_down() {
        let t = Timestamp::from_micros(-1);
        assert_eq!((t.as_millis(), t.minute(), t.day()), (-1, -1, -1));
    }

    #[test]
    fn the_ends_of_the_range_hold() {
        assert_eq!(Timestamp::MIN.plus_micros(-5), Timestamp::MIN);
        assert_eq!(Timestamp::MAX.micros_since(Timestamp::MIN), i64::MAX);
    }
}
