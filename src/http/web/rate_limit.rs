//! `rate_limit`: how often requests are answered, by all clients together.
//!
//! Flows in: the times of requests. Flows out: whether the next is answered. Invariant: in any time no more are answered
//! than `burst` and one for each `interval`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::values::{LONGEST, duration};

/// The units of durations as Go writes them, in nanoseconds. `m` comes after `ms`, which begins like it.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads an interval as Go writes durations (`500ms`, `1.5s`, `1h30m`), or as the rest of the configuration does (`1d`).
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    if let Ok(duration) = duration(text) {
        return Ok(duration);
    }
    let wrong = || "write a duration such as 500ms, 1.5s, 30s or 1m30s".to_owned();
    let (mut rest, mut nanos) = (text, 0_u64);
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(end);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit)).ok_or_else(wrong)?;
        let part = scaled(number, *factor).ok_or_else(wrong)?;
        nanos = nanos.saturating_add(part);
        rest = after.strip_prefix(unit).unwrap_or_default();
    }
    let duration = Duration::from_nanos(nanos);
    match text.is_empty() || duration > LONGEST {
        true => Err(wrong()),
        false => Ok(duration),
    }
}

/// A decimal number of units of so many nanoseconds. What is below a nanosecond is left out, as Go does.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More digits than these are below a nanosecond of every unit.
    let mut nanos = whole.saturating_mul(factor);
    let mut place = factor;
    for digit in fraction.bytes().take(14) {
        nanos = nanos.saturating_add(u64::from(digit - b'0') * place / 10);
        place /= 10;
    }
    Some(nanos)
}

#[derive(Debug)]
pub(super) struct TokenBucket {
    interval: Duration,
    burst: u32,
    /// When the bucket will be full.
    full: Mutex<Option<Instant>>,
}

impl TokenBucket {
    /// A full bucket of `burst` requests, which gains one each `interval`.
    pub(super) fn new(interval: Duration, burst: u32) -> TokenBucket {
        TokenBucket { interval, burst, full: Mutex::new(None) }
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
    fn an_interval_is_written_as_in_go_or_as_elsewhere() {
        for (text, nanos) in [
            ("500ms", 500_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1m30.25s", 90_250_000_000),
            ("0.05h", 180_000_000_000),
            ("100us", 100_000),
            ("2\u{b5}s3ns", 2_003),
            ("0ms", 0),
            ("30s", 30_000_000_000),
            ("1d", 86_400_000_000_000),
        ] {
            assert_eq!(interval(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "5", "1.5", "-1s", "+1s", ".s", "1..5s", "s", "1x", "1s ", "99999999h", "1e3s"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let (limit, start) = (TokenBucket::new(Duration::from_secs(2), 3), Instant::now());
        let allowed = |seconds: &[u64]| -> Vec<bool> {
            seconds.iter().map(|second| limit.allows(start + Duration::from_secs(*second))).collect()
        };
        assert_eq!(allowed(&[0, 0, 0, 0, 1, 2, 3, 4]), [true, true, true, false, false, true, false, true]);
        assert_eq!(allowed(&[100, 100, 100, 100]), [true, true, true, false], "it is never more than full");
    }
}
