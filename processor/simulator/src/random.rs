//! Seeded draws: one stream per machine of the fleet, one per world of the deterministic simulator.
//!
//! Invariant: integers and exactly rounded products only, no logarithms or roots, so that a seed gives the same
//! bytes on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// One million: chances are given in parts of it.
pub const MILLION: u64 = 1_000_000;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// Stream `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(mix(seed ^ mix(stream))))
    }

    /// Any 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both possible.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low).max(0) as u64 + 1) as i64
    }

    /// True `per_million` times in a million.
    pub fn chance(&mut self, per_million: u64) -> bool {
        self.below(MILLION) < per_million
    }

    /// True for this share of draws.
    pub fn share(&mut self, share: f64) -> bool {
        self.chance((share.clamp(0.0, 1.0) * MILLION as f64) as u64)
    }

    /// One of `items`, which are not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// One of `items`, which are not empty, by their weights.
    pub fn weighted<'a, T>(&mut self, items: &'a [(T, u32)]) -> &'a T {
        let total: u64 = items.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut at = self.below(total);
        for (item, weight) in items {
            match at.checked_sub(u64::from(*weight)) {
                Some(rest) => at = rest,
                None => return item,
            }
        }
        &items[items.len() - 1].0
    }
}

/// A fixed mixing of 64 bits (the finalizer of SplitMix64).
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_range_and_repeat() {
        let draw = |seed| {
            let mut random = Random::new(seed, 3);
            (0..1000).map(|_| random.between(-5, 5)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!((-5..=5).all(|n| draw(1).contains(&n)));
        assert!(draw(1).iter().all(|n| (-5..=5).contains(n)));
    }

    #[test]
    fn weights_of_nothing_are_never_picked() {
        let mut random = Random::new(7, 0);
        for _ in 0..200 {
            assert_eq!(*random.weighted(&[('a', 0), ('b', 3), ('c', 0)]), 'b');
        }
    }
}
