//! Resident memory of processes: count, sum, extremes, and DDSketch's buckets as plain counts.

use rollcall_domain::ddsketch::{bucket_of, value_of};

/// What is known of some sizes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) count: i64,
    /// Wider than the column, which stops at its largest value.
    sum: i128,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    /// By bucket, ascending.
    buckets: Vec<(i32, i64)>,
}

impl Sizes {
    pub(crate) fn record(&mut self, bytes: i64) {
        self.count += 1;
        self.sum += i128::from(bytes);
        self.min = Some(self.min.map_or(bytes, |min| min.min(bytes)));
        self.max = Some(self.max.map_or(bytes, |max| max.max(bytes)));
        self.fill(bucket_of(bytes), 1);
    }

    fn fill(&mut self, bucket: i32, count: i64) {
        match self.buckets.binary_search_by_key(&bucket, |known| known.0) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    pub(crate) fn sum(&self) -> i64 {
        i64::try_from(self.sum).unwrap_or(i64::MAX)
    }

    /// The value that stands for the bucket of the size at rank ⌊share · (count − 1)⌋, from 0, as the column rounds it.
    pub(crate) fn quantile(&self, share: f64) -> Option<i64> {
        let rank = (share * (self.count - 1) as f64).floor() as i64;
        let mut below = 0;
        self.buckets.iter().find_map(|&(bucket, count)| {
            below += count;
            (below > rank).then(|| value_of(bucket).round() as i64)
        })
    }

    pub(crate) fn bucket_indexes(&self) -> Vec<i32> {
        self.buckets.iter().map(|bucket| bucket.0).collect()
    }

    pub(crate) fn bucket_counts(&self) -> Vec<i64> {
        self.buckets.iter().map(|bucket| bucket.1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against all the sizes, sorted.
        #[test]
        fn quantiles_and_sums_are_those_of_the_sizes(sizes in proptest::collection::vec(0..1_i64 << 44, 1..200)) {
            let mut all = Sizes::default();
            sizes.iter().for_each(|size| all.record(*size));
            let mut sorted = sizes.clone();
            sorted.sort_unstable();
            prop_assert_eq!(all.sum(), sizes.iter().sum::<i64>());
            prop_assert_eq!((all.min, all.max), (sorted.first().copied(), sorted.last().copied()));
            prop_assert_eq!(all.bucket_counts().iter().sum::<i64>(), sizes.len() as i64);
            for share in [0.5, 0.95, 0.99] {
                let exact = sorted[(share * (sizes.len() - 1) as f64).floor() as usize];
                let found = all.quantile(share).expect("there are sizes");
                prop_assert!((found - exact).abs() as f64 <= exact as f64 * 0.0101 + 1.0, "{found} for {exact}");
            }
        }
    }

    #[test]
    fn nothing_has_no_quantile_and_a_sum_stops_at_what_the_column_holds() {
        let mut sizes = Sizes::default();
        assert_eq!((sizes.quantile(0.5), sizes.sum()), (None, 0));
        sizes.record(i64::MAX);
        sizes.record(i64::MAX);
        assert_eq!((sizes.sum(), sizes.count), (i64::MAX, 2));
    }
}
