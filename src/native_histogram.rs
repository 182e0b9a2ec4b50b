//! The buckets of native histograms.
//!
//! Flows in: observations. Flows out: how many of them lie in each bucket. Invariants: each observation is in one bucket,
//! and their number is bounded, so that no bucket has to be given up and a histogram never resets but with its counter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The resolution: 2^3 buckets for each power of two, each 9 % wide.
pub const SCHEMA: i32 = 3;

/// What is no further from zero than this counts as zero: a millisecond, a tenth of a cent.
pub const ZERO_THRESHOLD: f64 = 1.0 / 1024.0;

/// The last bucket ends at 2^40: beyond what any amount may be.
const LAST: i32 = 40 << SCHEMA;

/// How many observations lie in each bucket. Bucket `i` holds what is above 2^((i-1)/8) and at most 2^(i/8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeBuckets {
    /// No further from zero than [`ZERO_THRESHOLD`].
    pub zero: u64,
    /// Above it.
    pub positive: BTreeMap<i32, u64>,
    /// Below it, by their distance from zero.
    pub negative: BTreeMap<i32, u64>,
}

impl NativeBuckets {
    /// Counts a finite observation.
    pub fn observe(&mut self, value: f64) {
        self.observe_times(value, 1);
    }

    /// Counts as many finite observations of one value.
    pub fn observe_times(&mut self, value: f64, times: u64) {
        let distance = value.abs();
        let count = if distance <= ZERO_THRESHOLD {
            &mut self.zero
        } else {
            let side = if value < 0.0 { &mut self.negative } else { &mut self.positive };
            let bucket = (distance.log2() * f64::from(1 << SCHEMA)).ceil() as i32;
            side.entry(bucket.min(LAST)).or_default()
        };
        *count += times;
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &NativeBuckets) {
        self.zero += other.zero;
        for (mine, theirs) in [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)] {
            for (bucket, count) in theirs {
                *mine.entry(*bucket).or_default() += count;
            }
        }
    }

    /// All observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.zero + self.positive.values().chain(self.negative.values()).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket(value: f64) -> i32 {
        let mut buckets = NativeBuckets::default();
        buckets.observe(value);
        *buckets.positive.keys().next().unwrap()
    }

    #[test]
    fn bounds_are_inclusive_and_powers_of_two_are_bounds() {
        for power in -9..=40 {
            let bound = 2.0_f64.powi(power);
            assert_eq!(bucket(bound), power * 8, "2^{power}");
            assert_eq!(bucket(bound * 1.000_001), (power * 8 + 1).min(LAST), "above 2^{power}");
        }
        let mut buckets = NativeBuckets::default();
        for value in [0.0, -0.0, ZERO_THRESHOLD, -ZERO_THRESHOLD] {
            buckets.observe(value);
        }
        buckets.observe(-2.0);
        assert_eq!((buckets.zero, buckets.negative.get(&8), buckets.positive.len()), (4, Some(&1), 0));
    }

    proptest! {
        #[test]
        fn each_observation_is_in_the_bucket_that_its_bounds_say(value in 0.001_f64..1e12) {
            let bucket = bucket(value);
            let bound = |bucket: i32| (f64::from(bucket) / 8.0).exp2();
            prop_assert!(value <= bound(bucket) * (1.0 + 1e-12) && value > bound(bucket - 1) * (1.0 - 1e-12));
        }

        #[test]
        fn sums_are_conserved_and_buckets_bounded(values in prop::collection::vec(any::<f64>(), 0..500)) {
            let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
            let (mut one, mut other) = (NativeBuckets::default(), NativeBuckets::default());
            for (place, value) in values.iter().enumerate() {
                if place % 2 == 0 { one.observe(*value) } else { other.observe(*value) }
            }
            one.add(&other);
            prop_assert_eq!(one.count(), values.len() as u64);
            let within = |side: &BTreeMap<i32, u64>| side.keys().all(|bucket| (-80..=LAST).contains(bucket));
            prop_assert!(within(&one.positive) && within(&one.negative));
        }
    }
}
