//! Rollup updates that wait for the next flush, coalesced per key and window.
//!
//! Invariants: a flush of a topic partition ends at a PROGRESS, so it holds whole ROLLUP transactions and the
//! stored progress describes the tables exactly; it takes everything up to there, in the partition's order;
//! a correction folds into whatever is pending for its row.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use rollcall_defects::{Defect, is_on};
use rollcall_domain::pipeline::{Progress, RollupUpdate, UpdateKind};
use rollcall_domain::rollup::{Accumulator, GroupingSet, RollupKey};
use rollcall_domain::window::Window;
use std::collections::BTreeMap;

/// What becomes of one row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PendingOp {
    /// The row is this.
    Replace {
        /// The value.
        value: Accumulator,
        /// Whether the window is closed.
        closed: bool,
    },
    /// The row, if there is one, and this.
    Merge(Accumulator),
}

/// One row of a flush.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PendingRollup<'a> {
    /// What it is of.
    pub key: &'a RollupKey<'static>,
    /// Its window.
    pub window: Window,
    /// What becomes of it.
    pub op: &'a PendingOp,
}

/// How far a flush brings one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlushOffset {
    /// The partition of the grouping set's updates topic.
    pub partition: i32,
    /// The offset after the last message that the flush holds.
    pub next_offset: i64,
    /// The last PROGRESS.
    pub progress: Progress,
}

/// Everything that waits of one grouping set. It borrows the rows: there are thousands, of several KiB each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flush<'a> {
    /// The grouping set.
    pub grouping_set: GroupingSet,
    /// The rows, each key and window once, sorted.
    pub rollups: Vec<PendingRollup<'a>>,
    /// The partitions, ascending.
    pub offsets: Vec<FlushOffset>,
}

type Rows = HashMap<(RollupKey<'static>, Window), PendingOp, FixedState>;

/// One partition's pending messages.
#[derive(Debug, Default)]
struct PartitionPending {
    /// Up to the last PROGRESS.
    whole: Rows,
    through: Option<(i64, Progress)>,
    /// After it: part of a transaction whose end is not here yet.
    open: Vec<(RollupKey<'static>, Window, PendingOp)>,
}

/// The pending updates of one grouping set's topic.
#[derive(Debug)]
pub struct PendingRollups {
    grouping_set: GroupingSet,
    partitions: BTreeMap<i32, PartitionPending>,
}

impl PendingRollups {
    /// Nothing pending.
    #[must_use]
    pub fn new(grouping_set: GroupingSet) -> Self {
        Self {
            grouping_set,
            partitions: BTreeMap::new(),
        }
    }

    /// Takes one message of the topic.
    pub fn handle_update(&mut self, partition: i32, offset: i64, update: RollupUpdate<'_>) {
        let pending = self.partitions.entry(partition).or_default();
        match update {
            RollupUpdate::Value {
                kind,
                key,
                window,
                accumulator,
            } => {
                let op = match kind {
                    UpdateKind::Update => PendingOp::Replace {
                        value: accumulator,
                        closed: false,
                    },
                    UpdateKind::Closed => PendingOp::Replace {
                        value: accumulator,
                        closed: true,
                    },
                    UpdateKind::Correction => PendingOp::Merge(accumulator),
                };
                if is_on(Defect::FlushNotCutAtProgress) {
                    apply(&mut pending.whole, key.into_owned(), window, op);
                } else {
                    pending.open.push((key.into_owned(), window, op));
                }
            }
            RollupUpdate::Progress(progress) => {
                for (key, window, op) in pending.open.drain(..) {
                    apply(&mut pending.whole, key, window, op);
                }
                pending.through = Some((offset + 1, progress));
            }
        }
    }

    /// Forgets a partition that is no longer ours.
    pub fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// Rows that a flush would write.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.partitions
            .values()
            .map(|pending| pending.whole.len())
            .sum()
    }

    /// Messages that wait for their transaction's end.
    #[must_use]
    pub fn open_messages(&self) -> usize {
        self.partitions
            .values()
            .map(|pending| pending.open.len())
            .sum()
    }

    /// Whether a flush would move any offset.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions
            .values()
            .all(|pending| pending.through.is_none())
    }

    /// What a flush has to write now; it stays pending until [`PendingRollups::flushed`].
    #[must_use]
    pub fn flush(&self) -> Flush<'_> {
        let mut rollups = Vec::with_capacity(self.rows());
        let mut offsets = Vec::new();
        for (&partition, pending) in &self.partitions {
            let Some((next_offset, progress)) = &pending.through else {
                continue;
            };
            offsets.push(FlushOffset {
                partition,
                next_offset: *next_offset,
                progress: progress.clone(),
            });
            rollups.extend(
                pending
                    .whole
                    .iter()
                    .map(|((key, window), op)| PendingRollup {
                        key,
                        window: *window,
                        op,
                    }),
            );
        }
        rollups.sort_unstable_by(|a, b| (a.window, a.key).cmp(&(b.window, b.key)));
        Flush {
            grouping_set: self.grouping_set,
            rollups,
            offsets,
        }
    }

    /// The flush is known to be committed.
    pub fn flushed(&mut self) {
        for pending in self.partitions.values_mut() {
            pending.whole.clear();
            pending.through = None;
        }
    }
}

fn apply(rows: &mut Rows, key: RollupKey<'static>, window: Window, op: PendingOp) {
    match rows.entry((key, window)) {
        Entry::Vacant(entry) => {
            entry.insert(op);
        }
        Entry::Occupied(mut entry) => match op {
            PendingOp::Replace { .. } => *entry.get_mut() = op,
            PendingOp::Merge(_) if is_on(Defect::CorrectionReplacesPending) => {
                *entry.get_mut() = op
            }
            PendingOp::Merge(correction) => match entry.get_mut() {
                PendingOp::Replace { value, .. } | PendingOp::Merge(value) => {
                    value.merge(&correction)
                }
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_domain::time::Timestamp;
    use rollcall_domain::window::Grain;

    fn window() -> Window {
        Window {
            grain: Grain::Hour,
            start: Timestamp::from_micros(0),
        }
    }

    fn value(snapshots: i64) -> Accumulator {
        Accumulator {
            snapshots,
            ..Accumulator::default()
        }
    }

    fn message(kind: UpdateKind, snapshots: i64) -> RollupUpdate<'static> {
        RollupUpdate::Value {
            kind,
            key: RollupKey::User("ada".into()),
            window: window(),
            accumulator: value(snapshots),
        }
    }

    fn progress() -> RollupUpdate<'static> {
        RollupUpdate::Progress(Progress {
            stage_time: Timestamp::MIN,
            folded: Vec::new(),
            closed_through: Vec::new(),
        })
    }

    #[track_caller]
    fn check(
        messages: Vec<RollupUpdate<'static>>,
        expect: Option<PendingOp>,
        next_offset: Option<i64>,
    ) {
        let mut pending = PendingRollups::new(GroupingSet::User);
        for (offset, message) in messages.into_iter().enumerate() {
            pending.handle_update(0, offset as i64, message);
        }
        let flush = pending.flush();
        assert_eq!(flush.rollups.first().map(|row| row.op), expect.as_ref());
        assert_eq!(
            flush.offsets.first().map(|offset| offset.next_offset),
            next_offset
        );
    }

    #[test]
    fn nothing_is_flushed_before_its_transactions_end() {
        check(vec![message(UpdateKind::Update, 1)], None, None);
        check(
            vec![
                message(UpdateKind::Update, 1),
                progress(),
                message(UpdateKind::Update, 2),
            ],
            Some(PendingOp::Replace {
                value: value(1),
                closed: false,
            }),
            Some(2),
        );
    }

    #[test]
    fn a_correction_folds_into_what_is_pending() {
        check(
            vec![
                message(UpdateKind::Closed, 5),
                message(UpdateKind::Correction, 2),
                progress(),
            ],
            Some(PendingOp::Replace {
                value: value(7),
                closed: true,
            }),
            Some(3),
        );
        check(
            vec![
                message(UpdateKind::Correction, 5),
                message(UpdateKind::Correction, 2),
                progress(),
            ],
            Some(PendingOp::Merge(value(7))),
            Some(3),
        );
    }

    #[test]
    fn a_later_value_replaces() {
        check(
            vec![
                message(UpdateKind::Update, 5),
                progress(),
                message(UpdateKind::Closed, 6),
                progress(),
            ],
            Some(PendingOp::Replace {
                value: value(6),
                closed: true,
            }),
            Some(4),
        );
    }

    #[test]
    fn what_was_flushed_is_gone_and_the_open_part_stays() {
        let mut pending = PendingRollups::new(GroupingSet::User);
        pending.handle_update(0, 0, message(UpdateKind::Update, 1));
        pending.handle_update(0, 1, progress());
        pending.handle_update(0, 2, message(UpdateKind::Update, 2));
        pending.flushed();
        assert!(pending.is_empty());
        assert_eq!(pending.open_messages(), 1);
        pending.handle_update(0, 3, progress());
        assert_eq!(
            *pending.flush().rollups[0].op,
            PendingOp::Replace {
                value: value(2),
                closed: false
            }
        );
    }
}
