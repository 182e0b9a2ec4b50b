//! Histograms of amounts, exact in their sum.
//!
//! Flows in: amounts. Flows out: how many lie in each bucket, of both kinds, and their sum. Invariant: the sum never falls,
//! because an amount below zero adds nothing to it.

use serde::{Deserialize, Serialize};

use crate::money::Usd;
use crate::native_histogram::NativeBuckets;

/// How many amounts are in each bucket, and their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountHistogram {
    /// Per bucket, not cumulative; the last is unbounded. Empty before the first amount.
    pub counts: Vec<u64>,
    /// Sum of the amounts that are not negative, in text: exact.
    #[serde(with = "usd_text")]
    pub sum: Usd,
    /// The amounts in native buckets, the negative ones as they are. Histograms of before they were counted have none.
    #[serde(default)]
    pub native: NativeBuckets,
}

mod usd_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::money::Usd;

    pub(super) fn serialize<S: Serializer>(amount: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Usd, D::Error> {
        Usd::stored(&String::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom("not an amount"))
    }
}

impl AmountHistogram {
    /// As many observations of an amount, by these ascending upper bounds, which are always the same. A negative one falls
    /// in the first bucket and adds nothing to the sum.
    pub fn observe(&mut self, amount: Usd, times: u64, bounds: &[Usd]) {
        self.counts.resize(bounds.len() + 1, 0);
        let bucket = bounds.iter().take_while(|bound| amount > **bound).count();
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += times;
        }
        if !amount.is_negative() {
            self.sum += amount * times;
        }
        self.native.observe_times(amount.to_string().parse().unwrap_or_default(), times);
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &AmountHistogram) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.sum += other.sum;
        self.native.add(&other.native);
    }

    /// How many amounts are at most each of these bounds, and how many there are in all.
    #[must_use]
    pub fn cumulative(&self, bounds: &[f64]) -> (Vec<(f64, u64)>, u64) {
        let mut up_to = 0;
        let mut counts = self.counts.iter().copied().chain(std::iter::repeat(0));
        let buckets = bounds.iter().zip(&mut counts).map(|(bound, count)| {
            up_to += count;
            (*bound, up_to)
        });
        (buckets.collect(), self.counts.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_negatives_add_nothing_to_the_sum() {
        let bounds = [0, 100, 1_000].map(Usd::from_cents);
        let mut histogram = AmountHistogram::default();
        assert_eq!(histogram.cumulative(&[0.0, 1.0, 10.0]), (vec![(0.0, 0), (1.0, 0), (10.0, 0)], 0));
        for cents in [-500, 0, 1, 100, 101, 1_000] {
            histogram.observe(Usd::from_cents(cents), 1, &bounds);
        }
        histogram.observe(Usd::from_cents(1_001), 3, &bounds);
        assert_eq!(histogram.counts, [2, 2, 2, 3]);
        assert_eq!(histogram.cumulative(&[0.0, 1.0, 10.0]), (vec![(0.0, 2), (1.0, 4), (10.0, 6)], 9));
        assert_eq!(histogram.sum, Usd::from_cents(1 + 100 + 101 + 1_000 + 3_003));
        assert_eq!((histogram.native.count(), histogram.native.zero), (9, 1));
        assert_eq!(histogram.native.negative.get(&19), Some(&1), "5 dollars below zero");
        let mut sum = AmountHistogram::default();
        sum.add(&histogram);
        assert_eq!(sum, histogram);
    }
}
