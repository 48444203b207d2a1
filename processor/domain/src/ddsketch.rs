//! DDSketch: quantiles of non-negative integers with 1 % relative accuracy, on integers only.
//!
//! Source: Masson, Rim, Lee, "DDSketch", VLDB 2019. With γ = 1.01 / 0.99, bucket i ≥ 0 holds the values in
//! (γ^(i−1), γ^i], and stands for 2γ^i / (γ + 1); zero has a bucket of its own, [`ZERO_BUCKET`].
//!
//! Invariant: a value's bucket is found by comparing integers with boundaries made by multiplication alone, which
//! IEEE 754 fixes to the bit; so the same values give the same buckets on every platform.

use std::sync::LazyLock;

/// The bucket of zero.
pub const ZERO_BUCKET: i32 = -1;
/// γ.
pub const GAMMA: f64 = 1.01 / 0.99;

/// Mantissa bits that the first guess looks at.
const GUESS_BITS: u32 = 6;

struct Boundaries {
    /// The largest value of each bucket, ascending.
    upper: Vec<i64>,
    /// Per exponent and leading mantissa bits: the bucket of the smallest such value.
    guess: Vec<u16>,
}

static BOUNDARIES: LazyLock<Boundaries> = LazyLock::new(|| {
    let mut upper = Vec::new();
    let mut power = 1.0f64;
    while power < i64::MAX as f64 {
        upper.push(power as i64);
        power *= GAMMA;
    }
    upper.push(i64::MAX);
    let guess = (0..63u32)
        .flat_map(|exponent| (0..1u64 << GUESS_BITS).map(move |mantissa| (exponent, mantissa)))
        .map(|(exponent, mantissa)| {
            let smallest = (1u64 << exponent) + ((mantissa << exponent) >> GUESS_BITS);
            upper.partition_point(|&bound| (bound as u64) < smallest) as u16
        })
        .collect();
    Boundaries { upper, guess }
});

/// The bucket of a value; negative values count as zero.
#[must_use]
pub fn bucket_of(value: i64) -> i32 {
    if value <= 0 {
        return ZERO_BUCKET;
    }
    let exponent = 63 - value.leading_zeros();
    // The bits below the leading one, as a fraction of GUESS_BITS bits.
    let mantissa = (((value as u128) << GUESS_BITS >> exponent) as usize) & ((1 << GUESS_BITS) - 1);
    let boundaries = &*BOUNDARIES;
    let mut bucket = usize::from(boundaries.guess[(exponent as usize) << GUESS_BITS | mantissa]);
    while boundaries.upper[bucket] < value {
        bucket += 1;
    }
    bucket as i32
}

/// The value that stands for a bucket.
#[must_use]
pub fn value_of(bucket: i32) -> f64 {
    if bucket < 0 {
        0.0
    } else {
        2.0 * GAMMA.powi(bucket) / (GAMMA + 1.0)
    }
}

/// The last bucket.
#[must_use]
pub fn last_bucket() -> i32 {
    BOUNDARIES.upper.len() as i32 - 1
}

/// Why buckets are no sketch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DdSketchError {
    /// The bucket's index is out of range.
    Index(i32),
    /// The count is not positive.
    Count(i64),
    /// Indexes are not ascending and distinct.
    Order(i32),
}

impl std::fmt::Display for DdSketchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DdSketchError::Index(found) => write!(
                f,
                "bucket {found} is not within {ZERO_BUCKET} and {}",
                last_bucket()
            ),
            DdSketchError::Count(found) => write!(f, "a bucket's count is {found}, not positive"),
            DdSketchError::Order(found) => {
                write!(f, "bucket {found} is not above the one before it")
            }
        }
    }
}

impl std::error::Error for DdSketchError {}

/// A quantile sketch.
///
/// Buckets are kept sparse and sorted: a fleet's memory sizes spread over some 600 buckets, of which a key
/// mostly fills 20 to 150, and there are many keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DdSketch {
    buckets: Vec<(i32, i64)>,
}

impl DdSketch {
    /// No values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a value; negative ones count as zero.
    pub fn record(&mut self, value: i64) {
        self.add(bucket_of(value), 1);
    }

    fn add(&mut self, bucket: i32, count: i64) {
        match self.buckets.binary_search_by_key(&bucket, |entry| entry.0) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    /// Counts the values of `other` too.
    pub fn merge(&mut self, other: &DdSketch) {
        if other.buckets.len() <= 2 {
            for &(bucket, count) in &other.buckets {
                self.add(bucket, count);
            }
            return;
        }
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        let (a, b) = (&self.buckets, &other.buckets);
        let mut merged = Vec::with_capacity(a.len() + b.len());
        let (mut i, mut j) = (0, 0);
        while i < a.len() && j < b.len() {
            match a[i].0.cmp(&b[j].0) {
                std::cmp::Ordering::Less => {
                    merged.push(a[i]);
                    i += 1;
                }
                std::cmp::Ordering::Greater => {
                    merged.push(b[j]);
                    j += 1;
                }
                std::cmp::Ordering::Equal => {
                    merged.push((a[i].0, a[i].1.saturating_add(b[j].1)));
                    i += 1;
                    j += 1;
                }
            }
        }
        merged.extend_from_slice(&a[i..]);
        merged.extend_from_slice(&b[j..]);
        self.buckets = merged;
    }

    /// Values counted.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.buckets
            .iter()
            .fold(0i64, |sum, bucket| sum.saturating_add(bucket.1))
    }

    /// The q-quantile, 0 ≤ q ≤ 1: the bucket that holds the value of rank ⌊q (n − 1)⌋, counted from 0 in
    /// ascending order. `None` without values.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = (q * (count - 1) as f64).floor() as i64;
        let mut seen = 0i64;
        for &(bucket, count) in &self.buckets {
            seen = seen.saturating_add(count);
            if seen > rank {
                return Some(value_of(bucket));
            }
        }
        self.buckets.last().map(|&(bucket, _)| value_of(bucket))
    }

    /// The buckets that hold values, ascending, with their counts.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (i32, i64)> {
        self.buckets.iter().copied()
    }

    /// A sketch from its buckets.
    ///
    /// # Errors
    /// If an index is out of range or not ascending, or a count not positive.
    pub fn from_buckets(
        buckets: impl IntoIterator<Item = (i32, i64)>,
    ) -> Result<Self, DdSketchError> {
        let last = last_bucket();
        let mut read: Vec<(i32, i64)> = Vec::new();
        for (bucket, count) in buckets {
            if !(ZERO_BUCKET..=last).contains(&bucket) {
                return Err(DdSketchError::Index(bucket));
            }
            if count <= 0 {
                return Err(DdSketchError::Count(count));
            }
            if read.last().is_some_and(|before| before.0 >= bucket) {
                return Err(DdSketchError::Order(bucket));
            }
            read.push((bucket, count));
        }
        Ok(Self { buckets: read })
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(i32, i64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_values_have_exact_buckets() {
        assert_eq!(
            (bucket_of(-5), bucket_of(0), bucket_of(1)),
            (ZERO_BUCKET, ZERO_BUCKET, 0)
        );
        assert_eq!(bucket_of(2), 35); // γ^34 = 1.974, γ^35 = 2.014
        assert_eq!(bucket_of(i64::MAX), last_bucket());
    }

    proptest! {
        #[test]
        fn a_bucket_stands_for_its_values(value in prop_oneof![1i64..100_000, any::<i64>().prop_map(|v| v.saturating_abs().max(1))]) {
            let bucket = bucket_of(value);
            prop_assert!(BOUNDARIES.upper[bucket as usize] >= value);
            prop_assert!(bucket == 0 || BOUNDARIES.upper[bucket as usize - 1] < value);
            let error = (value_of(bucket) - value as f64).abs() / value as f64;
            prop_assert!(error <= 0.010_000_1, "{} for {}", value_of(bucket), value);
        }

        #[test]
        fn quantiles_are_within_one_percent(mut values in prop::collection::vec(0i64..10_000_000_000, 1..400), q in 0.0f64..=1.0) {
            let mut sketch = DdSketch::new();
            for &value in &values {
                sketch.record(value);
            }
            values.sort_unstable();
            let exact = values[(q * (values.len() - 1) as f64).floor() as usize] as f64;
            let estimate = sketch.quantile(q).unwrap_or(-1.0);
            prop_assert!((estimate - exact).abs() <= 0.010_000_1 * exact, "{estimate} for {exact}");
            prop_assert_eq!(sketch.count(), values.len() as i64);
        }

        #[test]
        fn merging_is_counting_together(a in prop::collection::vec(0i64..1 << 40, 0..200), b in prop::collection::vec(0i64..1 << 40, 0..200)) {
            let of = |values: &[i64]| values.iter().fold(DdSketch::new(), |mut sketch, &v| { sketch.record(v); sketch });
            let both: Vec<i64> = a.iter().chain(&b).copied().collect();
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &of(&both));
            prop_assert_eq!(&ba, &ab);
            prop_assert_eq!(DdSketch::from_buckets(ab.buckets()), Ok(ab));
        }
    }

    #[test]
    fn broken_buckets_are_refused() {
        assert_eq!(
            DdSketch::from_buckets([(3, 1), (3, 1)]),
            Err(DdSketchError::Order(3))
        );
        assert_eq!(
            DdSketch::from_buckets([(3, 0)]),
            Err(DdSketchError::Count(0))
        );
        assert_eq!(
            DdSketch::from_buckets([(-2, 1)]),
            Err(DdSketchError::Index(-2))
        );
    }
}
