//! When to try again.
//!
//! Flows in: how an attempt ended. Flows out: the time of the next. Invariant: the one place that decides on retries;
//! a pause that the vendor asks for is honoured, within a cap.

use std::time::Duration;

use crate::clock::BootTime;
use crate::upstream::{Reason, RequestError};

/// The longest pause of our own choosing.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);
/// The longest after a 403: who grants a permission at the vendor looks whether it works.
const LONGEST_FORBIDDEN: Duration = Duration::from_secs(2 * 60);
/// The first pause after a transient failure; it doubles from there.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
/// The same after a 429: the vendor has said that it is too much.
const FIRST_BACKOFF_LIMITED: Duration = Duration::from_secs(30);
/// No retry comes sooner.
const SHORTEST_BACKOFF: Duration = Duration::from_secs(1);
/// Share of an interval by which polls are spread, so that sources and replicas do not march in step.
const JITTER: f64 = 0.05;

/// The first polls of many accounts are spread over an interval, or over this time if that is shorter.
const LONGEST_SPREAD: Duration = Duration::from_secs(15 * 60);

/// Decides when to try again.
#[derive(Debug)]
pub struct Schedule {
    interval: Duration,
    random: fastrand::Rng,
}

impl Schedule {
    /// A schedule with its own source of chance.
    #[must_use]
    pub fn new(interval: Duration, random: fastrand::Rng) -> Schedule {
        Schedule { interval, random }
    }

    /// The first attempt of an account whose turn is this share of an interval.
    #[must_use]
    pub fn first(&self, now: BootTime, turn: f64) -> BootTime {
        now + self.interval.min(LONGEST_SPREAD).mul_f64(turn)
    }

    /// After a success: the interval, a little more or less.
    pub fn after_success(&mut self, now: BootTime) -> BootTime {
        now + (self.interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * self.random.f64()))
    }

    /// After a failure, the `failures`th in a row.
    pub fn after_failure(&mut self, now: BootTime, error: &RequestError, failures: u64) -> BootTime {
        let pause = if error.is_permanent() && failures > 1 {
            // Somebody has to act first, and a new secret or a reload wakes the source. Slow, once a second try has shown
            // that it was no stray answer.
            let longest = if error.reason == Reason::Forbidden { LONGEST_FORBIDDEN } else { LONGEST_BACKOFF };
            longest.mul_f64(0.5 + 0.5 * self.random.f64())
        } else {
            let first = if error.reason == Reason::RateLimited { FIRST_BACKOFF_LIMITED } else { FIRST_BACKOFF };
            let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
            let ceiling = first.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
            ceiling.mul_f64(self.random.f64()).max(SHORTEST_BACKOFF)
        };
        let asked = error.retry_after;
        // A little later than asked, never sooner: the vendor counts on its own clock.
        let asked = asked.map(|asked| asked + Duration::from_secs(1).mul_f64(self.random.f64()));
        now + pause.max(asked.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Operation, Vendor};

    const VENDOR: Vendor = Vendor { name: "test", title: "Test", secret_variable: "TEST_TOKEN" };
    const OPERATION: Operation = Operation { vendor: &VENDOR, name: "test", path: "/test", if_forbidden: "" };

    fn pause(reason: Reason, failures: u64, retry_after: Option<u64>, seed: u64) -> Duration {
        let mut schedule = Schedule::new(Duration::from_secs(60), fastrand::Rng::with_seed(seed));
        let mut error = RequestError::new(OPERATION, reason, "");
        error.retry_after = retry_after.map(Duration::from_secs);
        let now = BootTime::default();
        schedule.after_failure(now, &error, failures).since(now)
    }

    #[test]
    fn pauses_grow_and_stay_below_their_cap() {
        for seed in 0..200 {
            assert!(pause(Reason::Timeout, 1, None, seed) <= FIRST_BACKOFF);
            assert!(pause(Reason::Timeout, 4, None, seed) <= Duration::from_secs(40));
            for failures in [10, 100, u64::MAX] {
                let pause = pause(Reason::ServerError, failures, None, seed);
                assert!((SHORTEST_BACKOFF..=LONGEST_BACKOFF).contains(&pause));
            }
        }
        let spread: std::collections::HashSet<_> = (0..20).map(|seed| pause(Reason::Timeout, 20, None, seed)).collect();
        assert!(spread.len() > 10, "full jitter spreads");
    }

    #[test]
    fn what_the_vendor_asks_for_is_honoured() {
        for seed in 0..50 {
            let asked = pause(Reason::RateLimited, 1, Some(120), seed);
            assert!(asked >= Duration::from_secs(120) && asked <= Duration::from_secs(121));
        }
    }

    #[test]
    fn permanent_failures_are_retried_slowly_after_one_quick_second_try() {
        for seed in 0..50 {
            assert!(pause(Reason::Unauthorized, 1, None, seed) <= FIRST_BACKOFF);
            assert!(pause(Reason::Unauthorized, 2, None, seed) >= LONGEST_BACKOFF / 2);
            assert!(pause(Reason::Forbidden, 1_000, None, seed) <= LONGEST_FORBIDDEN, "a permission is noticed soon");
        }
    }

    #[test]
    fn successes_keep_the_interval() {
        let mut schedule = Schedule::new(Duration::from_secs(100), fastrand::Rng::with_seed(1));
        for _ in 0..100 {
            let pause = schedule.after_success(BootTime::default()).since(BootTime::default()).as_millis();
            assert!((95_000..=105_000).contains(&pause));
        }
    }
}
