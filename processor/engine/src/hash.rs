//! One fixed hash for the tables in memory.
//!
//! Invariant: nothing that leaves the engine depends on it. Tables are walked in the order of first touch,
//! never in hash order, and no hash is persisted.

use core::hash::{BuildHasher, Hash};
use foldhash::fast::FixedState;

const STATE: FixedState = FixedState::with_seed(0x0526_f111_ca11_ed00);

/// The hash of a key.
pub(crate) fn hash_of<Q: Hash + ?Sized>(key: &Q) -> u64 {
    STATE.hash_one(key)
}
