//! Keyed state of one task: a base that equals what is committed, and an overlay per transaction.
//!
//! Order of calls: [`Overlay::restore`] until the state is whole; then any reads and changes; before the
//! commit, [`Overlay::dirty`] yields what to write to the state topic; after a *known* commit,
//! [`Overlay::commit`]. After an abort or an unknown outcome there is no call: drop the whole overlay with
//! its task and restore another, since the base may already be behind the state topic.
//!
//! Invariants: the base changes in `restore` and `commit` only; `dirty` has each touched key once, in the
//! order of first touch; a read sees the overlay first. It must not know what keys and values are.

use crate::hash::hash_of;
use core::borrow::Borrow;
use core::hash::Hash;
use hashbrown::HashTable;

/// One key that this transaction touched. `None` is a tombstone.
#[derive(Debug)]
struct Touched<K, V> {
    hash: u64,
    key: K,
    value: Option<V>,
}

/// A map that changes on commit.
#[derive(Debug)]
pub struct Overlay<K, V> {
    base: HashTable<(K, V)>,
    touched: Vec<Touched<K, V>>,
    /// Positions in `touched`, by key.
    index: HashTable<usize>,
    len: usize,
}

impl<K, V> Default for Overlay<K, V> {
    fn default() -> Self {
        Overlay {
            base: HashTable::new(),
            touched: Vec::new(),
            index: HashTable::new(),
            len: 0,
        }
    }
}

impl<K: Hash + Eq, V: Clone> Overlay<K, V> {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts (or, with `None`, removes) what the state topic says straight into the base. Only before
    /// anything is dirty.
    pub fn restore(&mut self, key: K, value: Option<V>) {
        debug_assert!(self.touched.is_empty(), "restore after a change");
        self.write_base(hash_of(&key), key, value);
        self.len = self.base.len();
    }

    /// The value as this transaction sees it.
    #[must_use]
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let hash = hash_of(key);
        match self.find_touched(hash, key) {
            Some(at) => self.touched[at].value.as_ref(),
            None => self.find_base(hash, key),
        }
    }

    /// The value to change in place: the overlay's, else a clone of the base's, else `default()`. Marks the
    /// key as touched. The key is cloned on its first touch only.
    pub fn get_mut_or_insert_with<Q>(&mut self, key: &Q, default: impl FnOnce() -> V) -> &mut V
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = hash_of(key);
        let at = match self.find_touched(hash, key) {
            Some(at) => at,
            None => {
                let value = self.find_base(hash, key).cloned();
                self.push_touched(hash, key.to_owned(), value)
            }
        };
        let slot = &mut self.touched[at].value;
        if slot.is_none() {
            self.len += 1;
        }
        slot.get_or_insert_with(default)
    }

    /// Sets the value. Marks the key as touched.
    pub fn insert(&mut self, key: K, value: V) {
        let hash = hash_of(&key);
        let was_live = self.set(hash, key, Some(value));
        self.len += usize::from(!was_live);
    }

    /// Leaves a tombstone. Marks the key as touched; whether there was a value.
    pub fn remove<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = hash_of(key);
        let was_live = match self.find_touched(hash, key) {
            Some(at) => self.touched[at].value.take().is_some(),
            None => {
                let was_live = self.find_base(hash, key).is_some();
                self.push_touched(hash, key.to_owned(), None);
                was_live
            }
        };
        self.len -= usize::from(was_live);
        was_live
    }

    /// What this transaction touched, in the order of first touch; `None` is a tombstone.
    pub fn dirty(&self) -> impl ExactSizeIterator<Item = (&K, Option<&V>)> {
        self.touched
            .iter()
            .map(|touched| (&touched.key, touched.value.as_ref()))
    }

    /// The transaction is known to be committed: the overlay becomes part of the base.
    pub fn commit(&mut self) {
        self.index.clear();
        let mut touched = core::mem::take(&mut self.touched);
        for Touched { hash, key, value } in touched.drain(..) {
            self.write_base(hash, key, value);
        }
        self.touched = touched;
        debug_assert_eq!(self.len, self.base.len());
    }

    /// All that is committed, in no order.
    pub fn iter_committed(&self) -> impl Iterator<Item = (&K, &V)> {
        self.base.iter().map(|(key, value)| (key, value))
    }

    /// The committed value, whatever this transaction does.
    #[must_use]
    pub fn committed<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.find_base(hash_of(key), key)
    }

    /// How many keys have a value, as this transaction sees it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn find_touched<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        self.index
            .find(hash, |&at| self.touched[at].key.borrow() == key)
            .copied()
    }

    fn find_base<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.base
            .find(hash, |(found, _)| found.borrow() == key)
            .map(|(_, value)| value)
    }

    /// Sets a touched value; whether the key had one before.
    fn set(&mut self, hash: u64, key: K, value: Option<V>) -> bool {
        if let Some(at) = self.find_touched(hash, &key) {
            return core::mem::replace(&mut self.touched[at].value, value).is_some();
        }
        let was_live = self.find_base(hash, &key).is_some();
        self.push_touched(hash, key, value);
        was_live
    }

    /// Appends a key that is not in the overlay yet. Counts a value of the base as live, which it is.
    fn push_touched(&mut self, hash: u64, key: K, value: Option<V>) -> usize {
        let at = self.touched.len();
        self.touched.push(Touched { hash, key, value });
        let touched = &self.touched;
        self.index.insert_unique(hash, at, |&at| touched[at].hash);
        at
    }

    fn write_base(&mut self, hash: u64, key: K, value: Option<V>) {
        let entry = self
            .base
            .entry(hash, |(found, _)| *found == key, |(key, _)| hash_of(key));
        match (entry, value) {
            (hashbrown::hash_table::Entry::Occupied(mut entry), Some(value)) => {
                entry.get_mut().1 = value;
            }
            (hashbrown::hash_table::Entry::Occupied(entry), None) => {
                entry.remove();
            }
            (hashbrown::hash_table::Entry::Vacant(entry), Some(value)) => {
                entry.insert((key, value));
            }
            (hashbrown::hash_table::Entry::Vacant(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests;
