//! What a sample's value can be.
//!
//! Flows in: numbers, amounts, times, histograms. Flows out: their text. Invariant: a value is written in its shortest
//! decimal form, and its number is what that form reads as.

use std::io::Write as _;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::money::Usd;
use crate::native_histogram::NativeBuckets;

/// What a sample can be.
pub trait Value: Copy {
    /// Whether it is written at all.
    fn is_known(self) -> bool {
        true
    }
    /// Writes its shortest decimal form that reads back as the same value.
    fn write(self, out: &mut Vec<u8>);
    /// The number that the written form reads as.
    fn number(self) -> f64 {
        let mut written = Vec::new();
        self.write(&mut written);
        std::str::from_utf8(&written).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    }
}

// Writing to a vector cannot fail, so the results below are dropped.
impl Value for f64 {
    fn is_known(self) -> bool {
        self.is_finite()
    }

    fn write(self, out: &mut Vec<u8>) {
        let plain = self == 0.0 || (1e-7..1e17).contains(&self.abs());
        let _ = if plain { write!(out, "{self}") } else { write!(out, "{self:e}") };
    }

    fn number(self) -> f64 {
        self
    }
}

impl Value for u64 {
    fn write(self, out: &mut Vec<u8>) {
        let _ = write!(out, "{self}");
    }
}

impl Value for Decimal {
    fn write(self, out: &mut Vec<u8>) {
        let _ = write!(out, "{}", self.normalize());
    }
}

/// Seconds since the epoch, as Prometheus wants a time.
impl Value for DateTime<Utc> {
    fn write(self, out: &mut Vec<u8>) {
        Decimal::new(self.timestamp_micros(), 6).write(out);
    }
}

impl Value for Usd {
    fn write(self, out: &mut Vec<u8>) {
        self.decimal().write(out);
    }
}

/// A histogram's buckets without the last, and its totals.
#[derive(Clone, Copy, Debug)]
pub struct HistogramValue<'a, S> {
    /// Upper bound and observations up to it, ascending; `+Inf` is implied.
    pub buckets: &'a [(f64, u64)],
    /// All observations.
    pub count: u64,
    /// Sum of the observations.
    pub sum: S,
    /// The same observations in native buckets, which are shown in protobuf only.
    pub native: Option<&'a NativeBuckets>,
    /// From when on it counts, if that can be told.
    pub start: StartTimestamp,
}

/// From when on a counter or a histogram counts. It is shown in protobuf only.
pub type StartTimestamp = Option<DateTime<Utc>>;
