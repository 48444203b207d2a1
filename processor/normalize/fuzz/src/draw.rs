//! Draws values from a fuzzer's bytes, hostile ones more often than chance would.

use rollcall_domain::{CreationTime, Precision, Timestamp};
use std::borrow::Cow;

/// Bytes to draw from; when they have run out, everything is zero or empty.
pub struct Draw<'a>(pub &'a [u8]);

impl<'a> Draw<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// Small numbers, numbers around limits, and any number.
    pub fn number(&mut self) -> i64 {
        const LIMITS: [i64; 8] = [
            0,
            i64::MAX,
            i64::MIN,
            i32::MAX as i64,
            i32::MAX as i64 + 1,
            -1,
            i64::MAX / 1_000_000,
            116_444_736_000_000_000,
        ];
        match self.byte() {
            kind @ 0..=7 => LIMITS[usize::from(kind)],
            8..=127 => i64::from(self.byte()),
            128..=191 => i64::from(self.byte()) << 8 | i64::from(self.byte()),
            _ => (0..8).fold(0, |number, _| number << 8 | i64::from(self.byte())),
        }
    }

    pub fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.byte() & 3 != 0).then(|| value(self))
    }

    /// Up to 31 bytes as they come.
    pub fn text(&mut self) -> Cow<'a, str> {
        let length = usize::from(self.byte() & 31).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text)
    }

    pub fn texts(&mut self) -> Vec<Cow<'a, str>> {
        (0..self.byte() & 3).map(|_| self.text()).collect()
    }

    pub fn creation_time(&mut self) -> CreationTime {
        let precision = Precision::ALL[usize::from(self.byte()) % Precision::ALL.len()];
        CreationTime {
            at: Timestamp::from_micros(self.number()),
            precision,
        }
    }
}
