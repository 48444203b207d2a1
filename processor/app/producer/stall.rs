//! Noticing that nothing is acknowledged any more, so that a producer says why it seems to hang.

/// How long nothing may be acknowledged before it is said.
const PATIENCE_US: i64 = 5_000_000;

/// Watches acknowledgements.
#[derive(Debug)]
pub(crate) struct StallWatch {
    acknowledged: u64,
    since_us: i64,
    stalled: bool,
}

/// What a look at the acknowledgements says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// Nothing new.
    Same,
    /// Nothing has been acknowledged for too long.
    Stalled,
    /// It goes on again.
    Recovered,
}

impl StallWatch {
    pub(crate) fn new(now_us: i64) -> Self {
        Self {
            acknowledged: 0,
            since_us: now_us,
            stalled: false,
        }
    }

    /// Looks at the counts at `now_us` of a clock that never goes back.
    pub(crate) fn look(&mut self, acknowledged: u64, waiting: u64, now_us: i64) -> Look {
        if waiting == 0 || acknowledged != self.acknowledged {
            self.acknowledged = acknowledged;
            self.since_us = now_us;
            return match std::mem::take(&mut self.stalled) {
                true => Look::Recovered,
                false => Look::Same,
            };
        }
        if !self.stalled && now_us - self.since_us >= PATIENCE_US {
            self.stalled = true;
            return Look::Stalled;
        }
        Look::Same
    }

    /// Whether it is stalled now.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Looks, and says what changed.
    pub(crate) fn say(&mut self, brokers: &str, acknowledged: u64, waiting: u64, now_us: i64) {
        match self.look(acknowledged, waiting, now_us) {
            Look::Same => {}
            Look::Stalled => tracing::warn!(
                waiting,
                "Kafka at {brokers} has acknowledged nothing for {} s; going on trying",
                PATIENCE_US / 1_000_000
            ),
            Look::Recovered => tracing::info!("Kafka acknowledges again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(looks: &[(u64, u64, i64)], expect: &[Look]) {
        let mut watch = StallWatch::new(0);
        let seen: Vec<Look> = looks
            .iter()
            .map(|(acknowledged, waiting, seconds)| {
                watch.look(*acknowledged, *waiting, seconds * 1_000_000)
            })
            .collect();
        assert_eq!(seen, expect);
    }

    #[test]
    fn silence_is_said_once_and_its_end_too() {
        use Look::{Recovered, Same, Stalled};
        check(
            &[(0, 3, 1), (0, 3, 5), (0, 4, 9), (2, 2, 10), (2, 2, 14)],
            &[Same, Stalled, Same, Recovered, Same],
        );
    }

    #[test]
    fn nothing_to_wait_for_is_no_silence() {
        use Look::Same;
        check(&[(5, 0, 1), (5, 0, 60), (5, 1, 61)], &[Same, Same, Same]);
    }
}
