//! The entries of one window: accumulators by key, walked in the order in which the keys first came.
//!
//! What an entry costs beside its accumulator: a fat pointer to the key (16 bytes), the key's text with two
//! reference counts (16 bytes and its length, shared by all grains and windows that hold it at the time),
//! 8 bytes of bookkeeping, and an index cell of 8 bytes and a control byte in a table that is between 7/16
//! and 7/8 full: 50 to 60 bytes and the text.

use super::{Aggregate, Change, ChangeKind};
use hashbrown::HashTable;
use std::sync::Arc;

/// One key's accumulator.
#[derive(Debug)]
pub(super) struct Slot<A> {
    pub(super) key: Arc<str>,
    pub(super) value: A,
    /// Heap bytes of `value` when it was last accounted for.
    heap_bytes: u32,
    touched: bool,
}

impl<A> Slot<A> {
    pub(super) fn change(
        &self,
        grain: usize,
        window_start_us: i64,
        kind: ChangeKind,
    ) -> Change<'_, A> {
        Change {
            grain,
            window_start_us,
            key: &self.key,
            kind,
            value: &self.value,
        }
    }
}

/// An index cell. Of the hash, 32 bits are kept: growing the index then reads no key.
#[derive(Debug)]
struct Cell {
    hash: u32,
    slot: u32,
}

/// The hash that the index uses: it looks at the lowest and at the topmost bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[derive(Debug)]
pub(super) struct Table<A> {
    slots: Vec<Slot<A>>,
    index: HashTable<Cell>,
    touched: Vec<u32>,
    bytes: usize,
}

impl<A> Default for Table<A> {
    fn default() -> Self {
        Table {
            slots: Vec::new(),
            index: HashTable::new(),
            touched: Vec::new(),
            bytes: 0,
        }
    }
}

impl<A: Aggregate> Table<A> {
    /// Merges into the key's accumulator. A new key's text is taken from `shared`, or else allocated.
    /// Returns the key's text, for the next table to share, and whether this is its first touch.
    pub(super) fn merge<'a>(
        &'a mut self,
        hash: u32,
        key: &str,
        shared: Option<&Arc<str>>,
        value: &A,
    ) -> (&'a Arc<str>, bool) {
        let at = match self.find(hash, key) {
            Some(at) => {
                self.slots[at as usize].value.merge(value);
                at
            }
            None => {
                let key = shared.map_or_else(|| Arc::from(key), Arc::clone);
                self.push(hash, key, value.clone())
            }
        };
        let slot = &mut self.slots[at as usize];
        let first_touch = !core::mem::replace(&mut slot.touched, true);
        if first_touch {
            self.touched.push(at);
        }
        (&slot.key, first_touch)
    }

    /// Puts or removes a restored value.
    pub(super) fn restore(&mut self, hash: u32, key: &str, value: Option<A>) {
        match (self.find(hash, key), value) {
            (Some(at), Some(value)) => {
                self.slots[at as usize].value = value;
                self.account(at as usize);
            }
            (None, Some(value)) => {
                let at = self.push(hash, Arc::from(key), value);
                self.account(at as usize);
            }
            (Some(at), None) => self.remove(hash, at),
            (None, None) => {}
        }
    }

    /// Brings [`Table::bytes`] up to date with what was touched.
    pub(super) fn account_touched(&mut self) {
        for position in 0..self.touched.len() {
            self.account(self.touched[position] as usize);
        }
    }

    /// The transaction is over: nothing is touched any more.
    pub(super) fn settle(&mut self) {
        self.account_touched();
        for at in self.touched.drain(..) {
            self.slots[at as usize].touched = false;
        }
    }

    /// Every entry, or the touched ones only.
    pub(super) fn entries(&self, all: bool) -> impl Iterator<Item = &Slot<A>> {
        let count = if all {
            self.slots.len()
        } else {
            self.touched.len()
        };
        (0..count).map(move |position| {
            let at = if all {
                position
            } else {
                self.touched[position] as usize
            };
            &self.slots[at]
        })
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// About what it takes, each key counted in full though it may be shared.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn find(&self, hash: u32, key: &str) -> Option<u32> {
        self.index
            .find(spread(hash), |cell| {
                cell.hash == hash && &*self.slots[cell.slot as usize].key == key
            })
            .map(|cell| cell.slot)
    }

    fn push(&mut self, hash: u32, key: Arc<str>, value: A) -> u32 {
        let at = u32::try_from(self.slots.len()).expect("at most MAX_ENTRIES_PER_WINDOW entries");
        self.bytes += Self::fixed_bytes(&key);
        self.slots.push(Slot {
            key,
            value,
            heap_bytes: 0,
            touched: false,
        });
        self.index
            .insert_unique(spread(hash), Cell { hash, slot: at }, |cell| {
                spread(cell.hash)
            });
        at
    }

    /// Only while restoring, when nothing is touched. The last slot takes the place of the removed one.
    fn remove(&mut self, hash: u32, at: u32) {
        debug_assert!(self.touched.is_empty(), "restore after a change");
        if let Ok(entry) = self.index.find_entry(spread(hash), |cell| cell.slot == at) {
            entry.remove();
        }
        let removed = self.slots.swap_remove(at as usize);
        self.bytes -= Self::fixed_bytes(&removed.key) + removed.heap_bytes as usize;
        if let Some(moved) = self.slots.get(at as usize) {
            let last = self.slots.len() as u32;
            let hash = spread(super::key_hash(&moved.key));
            if let Some(cell) = self.index.find_mut(hash, |cell| cell.slot == last) {
                cell.slot = at;
            }
        }
    }

    fn account(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        let heap_bytes = u32::try_from(slot.value.heap_bytes()).unwrap_or(u32::MAX);
        self.bytes = self.bytes - slot.heap_bytes as usize + heap_bytes as usize;
        slot.heap_bytes = heap_bytes;
    }

    fn fixed_bytes(key: &str) -> usize {
        const KEY_COUNTS: usize = 16;
        const INDEX_CELL: usize = 12;
        size_of::<Slot<A>>() + KEY_COUNTS + INDEX_CELL + key.len()
    }
}
