//! Snapshots that wait for Kafka, bounded: the oldest goes when there is no more room.
//!
//! Order of calls: [`Outbox::push`] at any time; [`Outbox::next`] gives the oldest while none is on its way;
//! [`Outbox::settled`] when that one was acknowledged or refused.
//!
//! Invariant: the one on its way is never dropped, for it may have arrived.

use std::collections::VecDeque;

/// Waiting values, oldest first.
#[derive(Debug)]
pub(super) struct Outbox<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    on_its_way: bool,
    count_max: usize,
    bytes_max: usize,
}

impl<T> Outbox<T> {
    /// An empty one for this many values and bytes, at least one value whatever its size.
    pub(super) fn new(count_max: usize, bytes_max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            on_its_way: false,
            count_max,
            bytes_max,
        }
    }

    /// Adds the newest; returns how many of the oldest had to go.
    pub(super) fn push(&mut self, value: T, bytes: usize) -> u64 {
        self.waiting.push_back((value, bytes));
        self.bytes += bytes;
        let mut dropped = 0;
        let first = usize::from(self.on_its_way);
        // What is left at the end is the one on its way and the newest.
        while self.waiting.len() > first + 1
            && (self.waiting.len() > self.count_max || self.bytes > self.bytes_max)
        {
            if let Some((_, bytes)) = self.waiting.remove(first) {
                self.bytes -= bytes;
                dropped += 1;
            }
        }
        dropped
    }

    /// The oldest, which is on its way from now on; `None` where one is already, or nothing waits.
    pub(super) fn next(&mut self) -> Option<&T> {
        if self.on_its_way {
            return None;
        }
        let (value, _) = self.waiting.front()?;
        self.on_its_way = true;
        Some(value)
    }

    /// The one on its way could not be handed over; it is the next again.
    pub(super) fn put_back(&mut self) {
        self.on_its_way = false;
    }

    /// The one on its way is done with.
    pub(super) fn settled(&mut self) {
        if self.on_its_way {
            self.on_its_way = false;
            if let Some((_, bytes)) = self.waiting.pop_front() {
                self.bytes -= bytes;
            }
        }
    }

    /// How many wait, the one on its way included.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbox: &mut Outbox<u32>) -> Vec<u32> {
        let mut values = Vec::new();
        while let Some(value) = outbox.next().copied() {
            values.push(value);
            outbox.settled();
        }
        values
    }

    #[track_caller]
    fn check(count_max: usize, bytes_max: usize, sent_first: bool, expect: (u64, &[u32])) {
        let mut outbox = Outbox::new(count_max, bytes_max);
        let mut dropped = outbox.push(1, 10);
        if sent_first {
            assert_eq!(outbox.next(), Some(&1));
            assert_eq!(outbox.next(), None);
        }
        for value in 2..=5 {
            dropped += outbox.push(value, 10);
        }
        outbox.put_back();
        assert_eq!((dropped, drain(&mut outbox).as_slice()), expect);
        assert_eq!((outbox.len(), outbox.bytes), (0, 0));
    }

    #[test]
    fn limits_at_n_and_n_plus_1() {
        check(5, 1_000, false, (0, &[1, 2, 3, 4, 5]));
        check(4, 1_000, false, (1, &[2, 3, 4, 5]));
        check(100, 50, false, (0, &[1, 2, 3, 4, 5]));
        check(100, 49, false, (1, &[2, 3, 4, 5]));
    }

    #[test]
    fn the_one_on_its_way_and_the_newest_stay() {
        check(1, 0, true, (3, &[1, 5]));
        check(1, 0, false, (4, &[5]));
    }
}
