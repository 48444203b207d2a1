//! How far each partition that is worked on here has come in its input: lag, headroom, freshness, stage time, state.
//!
//! A task or a lane tells what it has committed or stored; a watcher tells where the input's log begins and ends. Both
//! at their own pace, neither per record; the sums are done when somebody scrapes.
//!
//! Invariant: a place that was removed leaves no gauge behind.
//!
//! Lag in seconds is an upper bound: the oldest record that was not taken came after the last one that was, and after
//! the last look that found nothing left to take.

use super::metrics::Metrics;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stage or a part of SINK, and a partition of its input.
pub type Place = (&'static str, i32);

/// The kinds of difference in the books, in the order of [`Advance::books`].
pub const BOOKS: [&str; 4] = [
    "snapshots_unaccounted",
    "snapshots_missing",
    "lines_missing",
    "lines_rejected_missing",
];

/// What is new of a place; `None` leaves what was known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Advance {
    /// Everything below this input offset is committed or stored.
    pub next_offset: i64,
    /// Nothing waits below this input offset: there are only markers of transactions since `next_offset`, if it is larger.
    pub passed_offset: i64,
    /// The log's time of the last record below it, or a time before that.
    pub reached_us: Option<i64>,
    /// The stage time.
    pub stage_time_us: Option<i64>,
    /// Entries and bytes of the state.
    pub state: Option<(usize, usize)>,
    /// What the books lack.
    pub books: Option<[i64; 4]>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// The input topic's full name.
    topic: String,
    advance: Advance,
    /// Where its log begins and ends.
    log: Option<(i64, i64)>,
    /// When a look last found nothing left to take.
    level_at_us: Option<i64>,
}

#[derive(Debug, Default)]
struct Board {
    places: BTreeMap<Place, Known>,
    /// By topic: for how long it keeps records; `None` is for ever.
    retention_ms: BTreeMap<String, Option<i64>>,
}

/// All places of this process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Mutex<Board>>);

impl Known {
    fn lag(&self) -> Option<i64> {
        let (_, end) = self.log?;
        let passed = self.advance.next_offset.max(self.advance.passed_offset);
        Some((end - passed).max(0))
    }

    fn lag_us(&self, now_us: i64) -> Option<i64> {
        if self.lag()? == 0 {
            return Some(0);
        }
        let since = self.advance.reached_us.max(self.level_at_us)?;
        Some((now_us - since).max(0))
    }
}

impl Places {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place is ours, and goes on from this offset of its input.
    pub fn begin(&self, place: Place, topic: &str, next_offset: i64) {
        let known = Known {
            topic: topic.to_owned(),
            advance: Advance {
                next_offset,
                ..Advance::default()
            },
            ..Known::default()
        };
        self.board().places.insert(place, known);
    }

    /// A place has come further. One that is not ours stays unknown.
    pub fn advance(&self, place: Place, to: Advance) {
        if let Some(Known { advance, .. }) = self.board().places.get_mut(&place) {
            *advance = Advance {
                next_offset: advance.next_offset.max(to.next_offset),
                passed_offset: advance.passed_offset.max(to.passed_offset),
                reached_us: advance.reached_us.max(to.reached_us),
                stage_time_us: advance.stage_time_us.max(to.stage_time_us),
                state: to.state.or(advance.state),
                books: to.books.or(advance.books),
            };
        }
    }

    /// A place is not ours any more.
    pub fn remove(&self, place: Place) {
        self.board().places.remove(&place);
    }

    /// The places whose logs are to be looked at, with the topic's full name.
    #[must_use]
    pub fn watched(&self) -> Vec<(Place, String)> {
        let board = self.board();
        let places = board.places.iter();
        places
            .map(|(place, known)| (*place, known.topic.clone()))
            .collect()
    }

    /// Where a place's log begins and ends, as of this wall-clock time.
    pub fn saw_log(&self, place: Place, begin: i64, end: i64, now_us: i64) {
        if let Some(known) = self.board().places.get_mut(&place) {
            known.log = Some((begin, end));
            if known.lag() == Some(0) {
                known.level_at_us = Some(now_us);
            }
        }
    }

    /// For how long a topic keeps records; `None` is for ever.
    pub fn saw_retention(&self, topic: &str, retention_ms: Option<i64>) {
        self.board()
            .retention_ms
            .insert(topic.to_owned(), retention_ms);
    }

    /// Makes the gauges of all places anew.
    pub(super) fn measure(&self, metrics: &Metrics, now_us: i64) {
        for gauges in [
            &metrics.consumer_lag_records,
            &metrics.consumer_lag_seconds,
            &metrics.retention_headroom_records,
            &metrics.retention_headroom_seconds,
            &metrics.stage_time_seconds,
            &metrics.state_entries,
            &metrics.state_bytes,
            &metrics.ledger_difference,
            &metrics.freshness_seconds,
        ] {
            gauges.reset();
        }
        let board = self.board();
        let mut behind = BTreeMap::new();
        for (&(stage, partition), known) in &board.places {
            let retention_ms = board.retention_ms.get(&known.topic).copied();
            measure_place(metrics, stage, partition, known, retention_ms, now_us);
            if let (Some(tables), Some(us)) = (tables_of(stage), freshness_us(stage, known, now_us))
            {
                let worst: &mut i64 = behind.entry(tables).or_default();
                *worst = us.max(*worst);
            }
        }
        for (tables, us) in behind {
            metrics
                .freshness_seconds
                .with_label_values(&[tables])
                .set(seconds(us));
        }
    }
}

fn measure_place(
    metrics: &Metrics,
    stage: &str,
    partition: i32,
    known: &Known,
    retention_ms: Option<Option<i64>>,
    now_us: i64,
) {
    let partition = partition.to_string();
    let labels = [stage, &partition];
    if let (Some((begin, _)), Some(lag)) = (known.log, known.lag()) {
        metrics
            .consumer_lag_records
            .with_label_values(&labels)
            .set(lag as f64);
        let headroom = known.advance.next_offset - begin;
        metrics
            .retention_headroom_records
            .with_label_values(&labels)
            .set(headroom as f64);
    }
    if let Some(lag_us) = known.lag_us(now_us) {
        metrics
            .consumer_lag_seconds
            .with_label_values(&labels)
            .set(seconds(lag_us));
        let headroom = retention_ms
            .map(|kept| kept.map_or(f64::INFINITY, |ms| ms as f64 / 1e3 - seconds(lag_us)));
        if let Some(headroom) = headroom {
            metrics
                .retention_headroom_seconds
                .with_label_values(&labels)
                .set(headroom);
        }
    }
    let advance = &known.advance;
    if let Some(us) = advance.stage_time_us {
        metrics
            .stage_time_seconds
            .with_label_values(&labels)
            .set(seconds(us));
    }
    if let Some((entries, bytes)) = advance.state {
        metrics
            .state_entries
            .with_label_values(&labels)
            .set(entries as f64);
        metrics
            .state_bytes
            .with_label_values(&labels)
            .set(bytes as f64);
    }
    for (kind, lacking) in BOOKS.iter().zip(advance.books.into_iter().flatten()) {
        let gauge = metrics
            .ledger_difference
            .with_label_values(&[&partition, *kind]);
        gauge.set(lacking as f64);
    }
}

fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

/// The tables that a part of SINK writes.
fn tables_of(stage: &str) -> Option<&'static str> {
    Some(match stage {
        "sink-details" => "details",
        "sink-dead-letters" => "dead_letters",
        "sink-rollups-user" => "user_rollups",
        "sink-rollups-faculty" => "faculty_rollups",
        "sink-rollups-application" => "application_rollups",
        _ => return None,
    })
}

/// Rollups say themselves up to what time they are whole, whoever is behind; of the others only SINK's own lag is known.
fn freshness_us(stage: &str, known: &Known, now_us: i64) -> Option<i64> {
    if stage.starts_with("sink-rollups") {
        return Some((now_us - known.advance.stage_time_us?).max(0));
    }
    known.lag_us(now_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = ("normalize", 1);
    const SECOND: i64 = 1_000_000;

    fn known() -> (Places, Metrics) {
        let places = Places::default();
        places.begin(PLACE, "snapshots", 10);
        places.saw_log(PLACE, 4, 10, 100 * SECOND);
        places.saw_retention("snapshots", Some(600_000));
        (places, Metrics::default())
    }

    #[track_caller]
    fn check(change: impl FnOnce(&Places), now_s: i64, expect: &[&str]) {
        let (places, metrics) = known();
        change(&places);
        places.measure(&metrics, now_s * SECOND);
        let text = metrics.render().expect("it renders");
        for line in expect {
            assert!(text.lines().any(|found| found == *line), "{line} in {text}");
        }
    }

    const LAG: &str = "rollcall_consumer_lag_records{partition=\"1\",stage=\"normalize\"}";
    const LAG_SECONDS: &str = "rollcall_consumer_lag_seconds{partition=\"1\",stage=\"normalize\"}";
    const HEADROOM: &str =
        "rollcall_retention_headroom_seconds{partition=\"1\",stage=\"normalize\"}";
    const HEADROOM_RECORDS: &str =
        "rollcall_retention_headroom_records{partition=\"1\",stage=\"normalize\"}";

    #[test]
    fn nothing_left_is_no_lag_however_old_the_last_record_is() {
        check(
            |_| {},
            5_000,
            &[
                &format!("{LAG} 0"),
                &format!("{LAG_SECONDS} 0"),
                &format!("{HEADROOM} 600"),
                &format!("{HEADROOM_RECORDS} 6"),
            ],
        );
    }

    #[test]
    fn lag_counts_from_the_last_level_or_the_last_record() {
        check(
            |places| places.saw_log(PLACE, 4, 15, 130 * SECOND),
            150,
            &[
                &format!("{LAG} 5"),
                &format!("{LAG_SECONDS} 50"),
                &format!("{HEADROOM} 550"),
            ],
        );
        check(
            |places| {
                places.saw_log(PLACE, 4, 15, 130 * SECOND);
                places.advance(
                    PLACE,
                    Advance {
                        next_offset: 12,
                        reached_us: Some(120 * SECOND),
                        ..Advance::default()
                    },
                );
            },
            150,
            &[
                &format!("{LAG} 3"),
                &format!("{LAG_SECONDS} 30"),
                &format!("{HEADROOM} 570"),
            ],
        );
    }

    #[test]
    fn markers_are_no_lag_and_no_headroom() {
        check(
            |places| {
                places.saw_log(PLACE, 4, 11, 130 * SECOND);
                let advance = Advance {
                    next_offset: 10,
                    passed_offset: 11,
                    ..Advance::default()
                };
                places.advance(PLACE, advance);
            },
            150,
            &[
                &format!("{LAG} 0"),
                &format!("{LAG_SECONDS} 0"),
                &format!("{HEADROOM_RECORDS} 6"),
            ],
        );
    }

    #[test]
    fn a_topic_that_keeps_everything_has_endless_headroom() {
        check(
            |places| places.saw_retention("snapshots", None),
            150,
            &[&format!("{HEADROOM} +Inf")],
        );
    }

    #[test]
    fn a_place_that_is_lost_leaves_no_gauge() {
        let shown = |metrics: &Metrics| {
            let text = metrics.render().expect("it renders");
            text.contains("partition=\"1\"")
        };
        let (places, metrics) = known();
        places.measure(&metrics, 0);
        assert!(shown(&metrics));
        places.remove(PLACE);
        places.measure(&metrics, 0);
        assert!(!shown(&metrics));
        // A late word about it does not bring it back.
        places.advance(PLACE, Advance::default());
        places.saw_log(PLACE, 0, 1, 0);
        places.measure(&metrics, 0);
        assert!(!shown(&metrics));
    }

    #[test]
    fn rollups_are_as_fresh_as_their_stage_time_and_details_as_their_lag() {
        let (places, metrics) = known();
        for (partition, stage_time_s) in [(0, 70), (1, 90)] {
            let place = ("sink-rollups-user", partition);
            places.begin(place, "updates", 0);
            let advance = Advance {
                stage_time_us: Some(stage_time_s * SECOND),
                ..Advance::default()
            };
            places.advance(place, advance);
        }
        places.begin(("sink-details", 0), "observations", 5);
        places.saw_log(("sink-details", 0), 0, 5, 0);
        places.measure(&metrics, 100 * SECOND);
        let fresh = |tables| metrics.freshness_seconds.with_label_values(&[tables]).get();
        assert_eq!([fresh("user_rollups"), fresh("details")], [30.0, 0.0]);
    }
}
