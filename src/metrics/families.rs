//! A snapshot as metric families.
//!
//! Flows in: a snapshot and the time. Flows out: families, and until when they hold. Invariant: a pure function of both;
//! what is unknown or too old is absent.

mod exporter;
mod rightfoot;
mod sources;
mod wallet;

use std::time::Duration;

use super::encode::Encoder;
use crate::clock::{BootTime, Moment};
use crate::snapshot::Snapshot;
use chrono::{DateTime, Utc};

/// Writes the families of `snapshot` as it is at `now`.
pub(super) fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    wallet::write(out, snapshot, now);
    rightfoot::write(out, snapshot, now);
    sources::write(out, snapshot, now);
    exporter::write(out, snapshot, now);
}

/// The next moment at which something in it ends.
pub(super) fn expires(snapshot: &Snapshot, now: BootTime) -> Option<BootTime> {
    let ages = snapshot.sources.iter().filter_map(|source| {
        let last = source.last_success?;
        // Just beyond `max_age`: at exactly that age values are still shown.
        Some(last.boot + source.max_age + Duration::from_millis(1))
    });
    let midnights =
        snapshot.wallets.iter().filter_map(|wallet| Some(wallet.consumption.as_ref()?.periods.as_ref()?.valid_until));
    ages.chain(midnights).filter(|moment| *moment > now).min()
}

/// A time as Prometheus wants it.
fn seconds(time: DateTime<Utc>) -> f64 {
    // Microseconds since the epoch stay below 2^53 for two centuries.
    time.timestamp_micros() as f64 / 1e6
}
