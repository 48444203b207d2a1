//! How old the newest stored row is, looked at all the time, by way of no proxy.

use crate::tables::Tables;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(250);
/// When the newest stored snapshot of the raw partition that is furthest behind was appended, and up to when every rollup is
/// complete: both by the broker's clock, in microseconds.
const NEWEST: [&str; 2] = [
    "SELECT (extract(epoch FROM min(last_ingested_at)) * 1000000)::bigint FROM rollcall.ledger",
    "SELECT (extract(epoch FROM min(stage_time)) * 1000000)::bigint FROM rollcall.rollup_progress \
     WHERE isfinite(stage_time)",
];

/// How old details and rollups were at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub at: Instant,
    /// Of details, of rollups.
    pub ages: [Duration; 2],
}

/// A thread that looks. Ends with its value.
pub struct Freshness {
    samples: Arc<Mutex<Vec<Sample>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn lock(samples: &Mutex<Vec<Sample>>) -> MutexGuard<'_, Vec<Sample>> {
    samples.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Freshness {
    pub fn watch(database_url: &str) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (of_thread, until, url) = (
            Arc::clone(&samples),
            Arc::clone(&ended),
            database_url.to_owned(),
        );
        let thread = thread::spawn(move || {
            let mut tables = Tables::new(&url);
            // While the server is away, what was newest grows older.
            let mut newest = [None; 2];
            while !until.load(Ordering::Relaxed) {
                for (newest, sql) in newest.iter_mut().zip(NEWEST) {
                    *newest = tables.number(sql).or(*newest);
                }
                let now = jiff::Timestamp::now().as_microsecond();
                if let [Some(details), Some(rollups)] = newest {
                    let age = |us: i64| Duration::from_micros((now - us).max(0).unsigned_abs());
                    lock(&of_thread).push(Sample {
                        at: Instant::now(),
                        ages: [age(details), age(rollups)],
                    });
                }
                thread::sleep(EVERY);
            }
        });
        Self {
            samples,
            ended,
            thread: Some(thread),
        }
    }

    pub fn samples(&self) -> Vec<Sample> {
        lock(&self.samples).clone()
    }

    /// Whether everything stored is no older than this, by a look after `since`.
    pub fn is_fresher_than(&self, age: Duration, since: Instant) -> bool {
        let last = lock(&self.samples).last().copied();
        last.is_some_and(|last| last.at > since && last.is_fresher_than(age))
    }
}

impl Sample {
    pub fn is_fresher_than(&self, age: Duration) -> bool {
        self.ages.iter().all(|found| *found < age)
    }
}

impl Drop for Freshness {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
