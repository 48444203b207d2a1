//! Stage time: how far a task's input has been read, on the log's own clock.
//!
//! It decides when windows close, so it must never run ahead of input that is still to come. Both kinds
//! only ever go forward, and both start at −∞ (`None`): a time that nobody has reported yet closes nothing.
//! They must not know a worker's clock; every time comes from a log's append.

use crate::limits::MAX_UPSTREAMS;
use rollcall_defects::{Defect, is_on};

/// The time of a task that reads a log directly: the largest append time seen.
///
/// An idle task has no record to go by. Then [`Task`](crate::task::Task) establishes that the input was
/// level after the task's own previous append, and reports that append's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StageTime {
    now_us: Option<i64>,
}

impl StageTime {
    /// As persisted; `None` is −∞.
    #[must_use]
    pub fn new(now_us: Option<i64>) -> Self {
        StageTime { now_us }
    }

    /// A record was read.
    pub fn handle_record(&mut self, timestamp_us: i64) {
        self.raise(timestamp_us);
    }

    /// The input was level after this append of the task's own.
    pub fn handle_idle_append(&mut self, append_time_us: i64) {
        self.raise(append_time_us);
    }

    /// The stage time, in microseconds since the epoch; `None` is −∞.
    #[must_use]
    pub fn now(&self) -> Option<i64> {
        self.now_us
    }

    fn raise(&mut self, time_us: i64) {
        self.now_us = self.now_us.max(Some(time_us));
    }
}

/// An upstream partition that does not exist reported a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("upstream partition {upstream} is out of range: there are {count}")]
pub struct UnknownUpstream {
    /// The partition that was named.
    pub upstream: usize,
    /// How many there are.
    pub count: usize,
}

/// The time of a task that reads what other tasks derived: the least of their times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamTimes {
    times_us: Vec<Option<i64>>,
}

impl UpstreamTimes {
    /// Of so many upstream partitions, none of which has reported.
    ///
    /// # Panics
    /// With more than [`MAX_UPSTREAMS`].
    #[must_use]
    pub fn new(upstreams: usize) -> Self {
        assert!(
            upstreams <= MAX_UPSTREAMS,
            "{upstreams} upstreams, at most {MAX_UPSTREAMS}"
        );
        UpstreamTimes {
            times_us: vec![None; upstreams],
        }
    }

    /// An upstream partition reported its stage time. An older one than it reported before has no effect.
    ///
    /// # Errors
    /// If there is no such partition; then nothing changes.
    pub fn observe(&mut self, upstream: usize, time_us: i64) -> Result<(), UnknownUpstream> {
        let count = self.times_us.len();
        let slot = self
            .times_us
            .get_mut(upstream)
            .ok_or(UnknownUpstream { upstream, count })?;
        *slot = (*slot).max(Some(time_us));
        Ok(())
    }

    /// The least of the upstream times; `None` (−∞) while one has not reported, or if there are none.
    #[must_use]
    pub fn now(&self) -> Option<i64> {
        if is_on(Defect::StageTimeAsMaximum) {
            return self.times_us.iter().copied().max().flatten();
        }
        self.times_us.iter().copied().min().flatten()
    }

    /// What each upstream partition reported, to be persisted.
    #[must_use]
    pub fn times(&self) -> &[Option<i64>] {
        &self.times_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn own_time_is_the_largest_seen_and_starts_at_minus_infinity() {
        let mut time = StageTime::default();
        assert_eq!(time.now(), None);
        time.handle_record(-5);
        assert_eq!(time.now(), Some(-5));
        time.handle_record(7);
        time.handle_record(3);
        assert_eq!(time.now(), Some(7));
        time.handle_idle_append(9);
        time.handle_idle_append(8);
        assert_eq!(time.now(), Some(9));
    }

    #[test]
    fn an_upstream_that_never_reported_is_minus_infinity() {
        let mut times = UpstreamTimes::new(2);
        times.observe(0, 100).unwrap();
        assert_eq!(times.now(), None);
        times.observe(1, 50).unwrap();
        assert_eq!(times.now(), Some(50));
        assert_eq!(
            times.observe(2, 1),
            Err(UnknownUpstream {
                upstream: 2,
                count: 2
            })
        );
        assert_eq!(UpstreamTimes::new(0).now(), None);
    }

    #[test]
    fn upstreams_are_bounded() {
        assert_eq!(
            UpstreamTimes::new(MAX_UPSTREAMS).times().len(),
            MAX_UPSTREAMS
        );
        assert!(std::panic::catch_unwind(|| UpstreamTimes::new(MAX_UPSTREAMS + 1)).is_err());
    }

    proptest! {
        #[test]
        fn the_least_upstream_time_counts_and_never_goes_back(
            reports in prop::collection::vec((0_usize..4, -50_i64..50), 0..60),
        ) {
            let mut times = UpstreamTimes::new(4);
            let mut model = [i64::MIN; 4];
            let mut before = None;
            for (upstream, time_us) in reports {
                times.observe(upstream, time_us).unwrap();
                model[upstream] = model[upstream].max(time_us);
                let least = *model.iter().min().unwrap();
                prop_assert_eq!(times.now(), (least != i64::MIN).then_some(least));
                prop_assert!(times.now() >= before);
                before = times.now();
            }
        }
    }
}
