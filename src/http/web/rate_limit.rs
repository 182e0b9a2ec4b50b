//! `rate_limit`: how often requests are answered, by all clients together.
//!
//! Flows in: the times of requests. Flows out: whether the next is answered. Invariant: in any time no more are answered
//! than `burst` and one for each `interval`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket.
#[derive(Debug)]
pub(super) struct RateLimit {
    interval: Duration,
    burst: u32,
    /// When the bucket will be full.
    full: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// A full bucket of `burst` requests, which gains one each `interval`.
    pub(super) fn new(interval: Duration, burst: u32) -> RateLimit {
        RateLimit { interval, burst, full: Mutex::new(None) }
    }

    /// Takes one, if there is one.
    pub(super) fn allows(&self, now: Instant) -> bool {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let next = full.map_or(now, |full| full.max(now)) + self.interval;
        let allowed = next - now <= self.interval * self.burst;
        if allowed {
            *full = Some(next);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let (limit, start) = (RateLimit::new(Duration::from_secs(2), 3), Instant::now());
        let allowed = |seconds: &[u64]| -> Vec<bool> {
            seconds.iter().map(|second| limit.allows(start + Duration::from_secs(*second))).collect()
        };
        assert_eq!(allowed(&[0, 0, 0, 0, 1, 2, 3, 4]), [true, true, true, false, false, true, false, true]);
        assert_eq!(allowed(&[100, 100, 100, 100]), [true, true, true, false], "it is never more than full");
    }
}
