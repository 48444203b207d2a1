//! Tumbling windows of several grains over keyed accumulators, for one grouping set.
//!
//! Order of calls: [`Windows::restore`] and [`Windows::restore_grain`] until the state is whole, then
//! [`Windows::finish_restore`]; then per transaction [`Windows::add`] per contribution,
//! [`Windows::advance`], [`Windows::enforce_limit`], [`Windows::changes`] (what to write), and after a
//! *known* commit [`Windows::commit`]. After an abort or an unknown outcome there is no call: the windows
//! are dropped with their task and restored. That is why accumulators change in place: the transaction's
//! overlay is the list of what it touched, and nobody can see it half done.
//!
//! Invariants:
//! - A window `[start, start + length)` is closed iff its end is at most `closed_through` of its grain,
//!   which never goes back and is persisted with the transaction that moves it. Settings (grace) only say
//!   when it moves next: they never reopen a window.
//! - For each key and window the last Update or Closed, merged with the Corrections after it, is the fold
//!   of all contributions that count. One transaction emits at most one change per key and window.
//! - A Correction is emitted only for a window that was closed *before* this transaction; what comes for a
//!   window that closes in this transaction is part of its Closed.
//! - Closing early changes no total; it only turns later contributions into Corrections.
//! - Changes come in a fixed order: by grain, then window, then first touch. No hash order is visible.
//!
//! It must not know what is counted, what a key means, or any clock.

mod table;

use crate::hash::hash_of;
use crate::limits::MAX_GRAINS;
pub use crate::limits::WindowLimits;
use std::collections::BTreeMap;
use std::sync::Arc;
use table::Table;

/// What a window accumulates. `merge` must be commutative and associative.
pub trait Aggregate: Clone {
    /// Adds what the other holds.
    fn merge(&mut self, other: &Self);

    /// Bytes on the heap, about, beside `size_of::<Self>()`.
    fn heap_bytes(&self) -> usize;
}

/// One grain of a grouping set, with what was persisted of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrainSpec {
    /// The length of its windows, in microseconds.
    pub length_us: i64,
    /// How long after a window's end it is kept open, in microseconds.
    pub grace_us: i64,
    /// Through when windows are closed, as persisted; `None`: none is yet.
    pub closed_through_us: Option<i64>,
    /// Windows that start before it are not counted; `i64::MIN`: all are.
    pub counted_from_us: i64,
}

/// What happened to a key's window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ChangeKind {
    /// It is open; the value is its total so far. State: put.
    Update,
    /// It closed; the value is its total so far. State: tombstone.
    Closed,
    /// It was closed before; the value comes on top of its total. State: nothing.
    Correction,
}

/// One thing to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change<'a, A> {
    /// The grain, as an index into the grains.
    pub grain: usize,
    /// The window's first instant, in microseconds since the epoch.
    pub window_start_us: i64,
    /// The key.
    pub key: &'a str,
    /// What happened.
    pub kind: ChangeKind,
    /// Absolute, or for a Correction additive.
    pub value: &'a A,
}

/// What was counted since the windows were made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WindowCounters {
    /// Corrections in committed transactions.
    pub corrections: u64,
    /// Entries closed by [`Windows::enforce_limit`] before their time.
    pub early_closings: u64,
    /// Contributions to windows before `counted_from`.
    pub not_counted: u64,
}

/// An entry was restored for a window that is closed: state and `closed_through` contradict each other.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "restored {entries} entries of grain {grain} at {window_start_us} µs, in a window that is closed \
     through {closed_through_us} µs"
)]
pub struct ClosedWindowRestored {
    /// The grain's index.
    pub grain: usize,
    /// The window's first instant.
    pub window_start_us: i64,
    /// Through when the grain's windows are closed.
    pub closed_through_us: i64,
    /// How many keys it holds.
    pub entries: usize,
}

/// One grain's windows.
#[derive(Debug)]
struct Grain<A> {
    length_us: i64,
    grace_us: i64,
    counted_from_us: i64,
    /// Through when windows were closed before this transaction.
    committed_through_us: Option<i64>,
    /// Through when they are closed with this transaction.
    closed_through_us: Option<i64>,
    windows: BTreeMap<i64, Table<A>>,
    corrections: BTreeMap<i64, Table<A>>,
}

/// A window that may be closed next.
#[derive(Clone, Copy)]
struct Candidate {
    grain: usize,
    end_us: i64,
    entries: usize,
    bytes: usize,
}

/// The windows of one grouping set.
#[derive(Debug)]
pub struct Windows<A> {
    grains: Vec<Grain<A>>,
    limits: WindowLimits,
    counters: WindowCounters,
    pending: usize,
}

/// The 32 bits that tables keep of a key's hash.
fn key_hash(key: &str) -> u32 {
    (hash_of(key) >> 32) as u32
}

impl<A> Grain<A> {
    /// Whether the window's end is at most `through_us`.
    fn ends_by(&self, start_us: i64, through_us: Option<i64>) -> bool {
        through_us.is_some_and(|through_us| start_us <= through_us.saturating_sub(self.length_us))
    }

    fn window_of(&self, time_us: i64) -> i64 {
        time_us.saturating_sub(time_us.rem_euclid(self.length_us))
    }

    /// The first start of a window that is open.
    fn first_open_us(&self) -> i64 {
        self.closed_through_us.map_or(i64::MIN, |through_us| {
            through_us.saturating_sub(self.length_us).saturating_add(1)
        })
    }

    fn open(&self) -> impl Iterator<Item = (i64, &Table<A>)> {
        let open = self.windows.range(self.first_open_us()..);
        open.map(|(&start_us, table)| (start_us, table))
    }
}

impl<A: Aggregate> Windows<A> {
    /// No windows yet. Grains come finest first.
    ///
    /// # Panics
    /// Without a grain, with more than [`MAX_GRAINS`], with one that is not longer than the one before it or
    /// no multiple of the first, or with a negative grace: these come from settings that the caller checked.
    #[must_use]
    pub fn new(grains: Vec<GrainSpec>, limits: WindowLimits) -> Self {
        assert!(
            (1..=MAX_GRAINS).contains(&grains.len()),
            "1 to {MAX_GRAINS} grains"
        );
        let finest_us = grains[0].length_us;
        assert!(finest_us > 0, "a window has a length");
        assert!(
            grains.is_sorted_by(|a, b| a.length_us < b.length_us),
            "grains come finest first"
        );
        for grain in &grains {
            assert!(
                grain.length_us % finest_us == 0,
                "grains are multiples of the finest"
            );
            assert!(grain.grace_us >= 0, "grace is not negative");
        }
        let grains = grains.into_iter().map(|spec| Grain {
            length_us: spec.length_us,
            grace_us: spec.grace_us,
            counted_from_us: spec.counted_from_us,
            committed_through_us: spec.closed_through_us,
            closed_through_us: spec.closed_through_us,
            windows: BTreeMap::new(),
            corrections: BTreeMap::new(),
        });
        Windows {
            grains: grains.collect(),
            limits,
            counters: WindowCounters::default(),
            pending: 0,
        }
    }

    /// Puts (or, with `None`, removes) what the state topic says. Only before the first `add`.
    ///
    /// # Panics
    /// If there is no such grain.
    pub fn restore(&mut self, grain: usize, window_start_us: i64, key: &str, value: Option<A>) {
        debug_assert_eq!(self.pending, 0, "restore after a change");
        let windows = &mut self.grains[grain].windows;
        if value.is_none() && !windows.contains_key(&window_start_us) {
            return;
        }
        let table = windows.entry(window_start_us).or_default();
        table.restore(key_hash(key), key, value);
        if table.len() == 0 {
            windows.remove(&window_start_us);
        }
    }

    /// Sets what was persisted of a grain, where it becomes known only after [`Windows::new`].
    ///
    /// # Panics
    /// If there is no such grain.
    pub fn restore_grain(
        &mut self,
        grain: usize,
        closed_through_us: Option<i64>,
        counted_from_us: i64,
    ) {
        debug_assert_eq!(self.pending, 0, "restore after a change");
        let grain = &mut self.grains[grain];
        grain.committed_through_us = closed_through_us;
        grain.closed_through_us = closed_through_us;
        grain.counted_from_us = counted_from_us;
    }

    /// Checks that no restored entry is in a closed window. It would be closed, and its total overwritten, a
    /// second time.
    ///
    /// # Errors
    /// If one is.
    pub fn finish_restore(&self) -> Result<(), ClosedWindowRestored> {
        for (index, grain) in self.grains.iter().enumerate() {
            let (Some((&window_start_us, table)), Some(closed_through_us)) =
                (grain.windows.first_key_value(), grain.closed_through_us)
            else {
                continue;
            };
            if grain.ends_by(window_start_us, grain.closed_through_us) {
                let entries = table.len();
                return Err(ClosedWindowRestored {
                    grain: index,
                    window_start_us,
                    closed_through_us,
                    entries,
                });
            }
        }
        Ok(())
    }

    /// Merges a contribution into the window of every grain that holds it.
    ///
    /// Allocates only for a key that is new in a window; a key's text is allocated once and shared by the
    /// grains. One hash serves them all.
    pub fn add(&mut self, key: &str, finest_start_us: i64, value: &A) {
        debug_assert_eq!(
            finest_start_us,
            self.grains[0].window_of(finest_start_us),
            "not a start"
        );
        let hash = key_hash(key);
        let mut shared: Option<&Arc<str>> = None;
        // Coarsest first: a long window most likely knows the key already.
        for grain in self.grains.iter_mut().rev() {
            let start_us = grain.window_of(finest_start_us);
            if start_us < grain.counted_from_us {
                self.counters.not_counted += 1;
                continue;
            }
            let closed = grain.ends_by(start_us, grain.committed_through_us);
            let windows = if closed {
                &mut grain.corrections
            } else {
                &mut grain.windows
            };
            let table = windows.entry(start_us).or_default();
            let (text, first_touch) = table.merge(hash, key, shared, value);
            shared = Some(text);
            self.pending += usize::from(first_touch);
        }
    }

    /// Moves `closed_through` of every grain to the stage time less its grace, at the end of a transaction.
    ///
    /// Closes at most `closings_per_transaction` entries, windows that end first first, but at least one
    /// window. Where that is not enough, `closed_through` stops at the end of the last window closed, and
    /// the transactions to come go on from there.
    pub fn advance(&mut self, stage_time_us: Option<i64>) {
        let Some(stage_time_us) = stage_time_us else {
            return;
        };
        let mut closings = self.closing_entries();
        let mut fits = true;
        while fits {
            let Some(due) = self.oldest_open(Some(stage_time_us)) else {
                break;
            };
            fits = closings == 0 || closings + due.entries <= self.limits.closings_per_transaction;
            if fits {
                closings += due.entries;
                self.close_through(due.grain, due.end_us);
            }
        }
        for grain in &mut self.grains {
            let target_us = stage_time_us.saturating_sub(grain.grace_us);
            let due = grain
                .open()
                .next()
                .is_some_and(|(start, _)| grain.ends_by(start, Some(target_us)));
            if !due {
                grain.closed_through_us = grain.closed_through_us.max(Some(target_us));
            }
        }
    }

    /// Closes windows before their time, those that end first first, until what is left open is within the
    /// limits. Unlike [`Windows::advance`] it closes as much as it takes: what one transaction added, and a
    /// window more.
    pub fn enforce_limit(&mut self) {
        for table in self
            .grains
            .iter_mut()
            .flat_map(|grain| grain.windows.values_mut())
        {
            table.account_touched();
        }
        let (mut entries, mut bytes) = (self.live_entries(), self.live_bytes());
        while entries > self.limits.live_entries || bytes > self.limits.live_bytes {
            let Some(oldest) = self.oldest_open(None) else {
                break;
            };
            self.close_through(oldest.grain, oldest.end_us);
            entries -= oldest.entries;
            bytes -= oldest.bytes;
            self.counters.early_closings += oldest.entries as u64;
        }
    }

    /// What this transaction has to write, each key and window once.
    pub fn changes(&self) -> impl Iterator<Item = Change<'_, A>> {
        self.grains.iter().enumerate().flat_map(|(index, grain)| {
            let windows = grain.windows.iter().flat_map(move |(&start_us, table)| {
                let closed = grain.ends_by(start_us, grain.closed_through_us);
                let kind = if closed {
                    ChangeKind::Closed
                } else {
                    ChangeKind::Update
                };
                table
                    .entries(closed)
                    .map(move |slot| slot.change(index, start_us, kind))
            });
            let corrections = grain
                .corrections
                .iter()
                .flat_map(move |(&start_us, table)| {
                    let kind = ChangeKind::Correction;
                    table
                        .entries(true)
                        .map(move |slot| slot.change(index, start_us, kind))
                });
            windows.chain(corrections)
        })
    }

    /// The transaction is known to be committed: closed windows leave memory, corrections are done with.
    pub fn commit(&mut self) {
        for grain in &mut self.grains {
            let corrections = core::mem::take(&mut grain.corrections);
            self.counters.corrections += corrections
                .values()
                .map(|table| table.len() as u64)
                .sum::<u64>();
            grain.committed_through_us = grain.closed_through_us;
            grain.windows = grain.windows.split_off(&grain.first_open_us());
            grain.windows.values_mut().for_each(Table::settle);
        }
        self.pending = 0;
    }

    /// Through when the grain's windows are closed with this transaction: the value to persist with it.
    ///
    /// # Panics
    /// If there is no such grain.
    #[must_use]
    pub fn closed_through(&self, grain: usize) -> Option<i64> {
        self.grains[grain].closed_through_us
    }

    /// How many entries this transaction has touched or corrected so far: about what its end will write.
    #[must_use]
    pub fn pending_changes(&self) -> usize {
        self.pending
    }

    /// How many entries (keys times windows) are open.
    #[must_use]
    pub fn live_entries(&self) -> usize {
        self.open().map(Table::len).sum()
    }

    /// What open windows take, about, in bytes, as of the last [`Windows::enforce_limit`] or commit. A key
    /// that windows share is counted in each.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.open().map(Table::bytes).sum()
    }

    /// What was counted since the windows were made.
    #[must_use]
    pub fn counters(&self) -> WindowCounters {
        self.counters
    }

    fn open(&self) -> impl Iterator<Item = &Table<A>> {
        self.grains
            .iter()
            .flat_map(|grain| grain.open().map(|(_, table)| table))
    }

    /// How many entries this transaction closes so far.
    fn closing_entries(&self) -> usize {
        let all = self.grains.iter().flat_map(|grain| grain.windows.values());
        all.map(Table::len).sum::<usize>() - self.live_entries()
    }

    /// The open window that ends first, of the finest grain among equals; given a stage time, only among
    /// those that are due by then.
    fn oldest_open(&self, stage_time_us: Option<i64>) -> Option<Candidate> {
        let oldest = self.grains.iter().enumerate().filter_map(|(index, grain)| {
            let (start_us, table) = grain.open().next()?;
            let due = stage_time_us.is_none_or(|now_us| {
                grain.ends_by(start_us, Some(now_us.saturating_sub(grain.grace_us)))
            });
            due.then(|| Candidate {
                grain: index,
                end_us: start_us.saturating_add(grain.length_us),
                entries: table.len(),
                bytes: table.bytes(),
            })
        });
        oldest.min_by_key(|candidate| candidate.end_us)
    }

    fn close_through(&mut self, grain: usize, end_us: i64) {
        let closed_through_us = &mut self.grains[grain].closed_through_us;
        *closed_through_us = (*closed_through_us).max(Some(end_us));
    }
}

#[cfg(test)]
mod tests;
