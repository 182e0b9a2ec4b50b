//! A snapshot as metric families.
//!
//! Flows in: a snapshot and the time. Flows out: the rendered exposition, and until when it holds. Invariant: a pure
//! function of both; what is unknown or too old is absent, and money becomes a float in one place, [`float`].

mod exporter;
mod rightfoot;
mod sources;
mod wallet;

use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::prelude::ToPrimitive as _;

use super::body::Rendered;
use super::encode::Encoder;
use crate::clock::{BootTime, Moment};
use crate::money::Usd;
use crate::snapshot::Snapshot;

/// Renders `snapshot` as it is at `now`. The second value is when the same snapshot will have to be rendered anew
/// because a value will have become too old.
#[must_use]
pub fn render(snapshot: &Snapshot, now: Moment) -> (Rendered, Option<BootTime>) {
    let mut out = Encoder::new();
    wallet::write(&mut out, snapshot, now);
    rightfoot::write(&mut out, snapshot, now);
    sources::write(&mut out, snapshot, now);
    exporter::write(&mut out, snapshot, now);
    (out.finish(), expires(snapshot, now.boot))
}

/// The next moment at which something disappears.
fn expires(snapshot: &Snapshot, now: BootTime) -> Option<BootTime> {
    let ages = snapshot.sources.iter().filter_map(|source| {
        let last = source.last_success?;
        // Just beyond `max_age`: at exactly that age values are still shown.
        Some(last.boot + source.max_age + Duration::from_millis(1))
    });
    let midnights =
        snapshot.wallets.iter().filter_map(|wallet| Some(wallet.consumption.as_ref()?.periods.as_ref()?.valid_until));
    ages.chain(midnights).filter(|moment| *moment > now).min()
}

/// Money, exact until here.
fn float(amount: Usd) -> f64 {
    let decimal = amount.decimal();
    // Through text, which rounds once and correctly; the decimal's own conversion may be off by one in the last place.
    decimal.normalize().to_string().parse().ok().or_else(|| decimal.to_f64()).unwrap_or(f64::NAN)
}

/// A time as Prometheus wants it.
fn seconds(time: DateTime<Utc>) -> f64 {
    // Microseconds since the epoch stay below 2^53 for two centuries.
    time.timestamp_micros() as f64 / 1e6
}

/// A count; exact below 2^53.
fn count(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_ten_times_shows_one() {
        let sum: Usd = std::iter::repeat_n(Usd::parse("0.1").unwrap(), 10).sum();
        assert_eq!(float(sum).to_string(), "1");
        assert_eq!(float(Usd::parse("42.5000").unwrap()).to_string(), "42.5");
        assert_eq!(float(Usd::parse("123456789012.3456").unwrap()).to_string(), "123456789012.3456");
    }
}
