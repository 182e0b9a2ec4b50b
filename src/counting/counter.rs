//! The rule of a counter over a revisable report.
//!
//! Flows in: the true total as the vendor reports it now, relative to a base line. Flows out: the highest total seen so
//! far. Invariant: what is counted never falls and never exceeds the highest total that was reported.

use std::ops::{Add, Sub};

use crate::money::Usd;

/// A total that may be restated, and what is counted of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HighWater<T = Usd> {
    /// The total as last reported, less the base line; may fall, may be negative.
    pub reported: T,
    /// The highest `reported` so far, at least zero.
    pub counted: T,
}

impl<T: Copy + Ord + Add<Output = T> + Sub<Output = T>> HighWater<T> {
    /// The same counter once the reported total has changed by `change`.
    #[must_use]
    pub fn moved(self, change: T) -> HighWater<T> {
        let reported = self.reported + change;
        HighWater { reported, counted: self.counted.max(reported) }
    }

    /// What the counter holds back because the vendor restated downward.
    #[must_use]
    pub fn held_back(self) -> T {
        self.counted - self.reported
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_falls_and_is_the_highest_total_reported(changes in prop::collection::vec(-1_000_000_i64..1_000_000, 0..200)) {
            let mut counter = HighWater::default();
            let (mut total, mut highest) = (0_i64, 0_i64);
            for change in changes {
                let before = counter.counted;
                counter = counter.moved(Usd::from_ten_thousandths(change));
                total += change;
                highest = highest.max(total);
                prop_assert!(counter.counted >= before);
                prop_assert_eq!(counter.counted, Usd::from_ten_thousandths(highest));
                prop_assert_eq!(counter.held_back(), Usd::from_ten_thousandths(highest - total));
            }
        }
    }
}
