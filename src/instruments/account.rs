//! What this process did for one account.
//!
//! Flows in: its requests and polls. Flows out: counts, read when scraped. Invariant: plain numbers, because a thousand
//! accounts have a hundred counters each.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strum::VariantArray as _;

use crate::clock::Moment;
use crate::counting::zero_start;
use crate::names::{Operation, Source, Vendor};
use crate::native_histogram::NativeBuckets;
use crate::upstream::{Observe, Reason};

/// Upper bounds of the vendor requests' durations, in seconds.
const REQUEST_BOUNDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// HTTP codes of vendor requests that are to be expected.
const EXPECTED_CODES: [u16; 10] = [200, 400, 401, 403, 404, 422, 429, 500, 502, 503];

/// How long requests took, in seconds. The `prometheus` crate's histograms have no native buckets, and both kinds must show
/// the same requests.
#[derive(Clone, Debug)]
pub struct Durations {
    /// Upper bound and requests up to it.
    pub buckets: [(f64, u64); REQUEST_BOUNDS.len()],
    /// All of them.
    pub native: NativeBuckets,
    /// Their sum.
    pub sum: f64,
}

impl Default for Durations {
    fn default() -> Durations {
        Durations { buckets: REQUEST_BOUNDS.map(|bound| (bound, 0)), native: NativeBuckets::default(), sum: 0.0 }
    }
}

impl Durations {
    fn observe(&mut self, seconds: f64) {
        for (_, requests) in self.buckets.iter_mut().filter(|(bound, _)| seconds <= *bound) {
            *requests += 1;
        }
        self.native.observe(seconds);
        self.sum += seconds;
    }
}

/// Requests that ended in the same way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requests {
    /// How many.
    pub count: u64,
    /// From when on they are counted; `None` until they are first served.
    pub start: Option<Moment>,
}

/// What was done since the account was started.
#[derive(Debug, Default)]
pub struct AccountCounts {
    /// Requests by operation and HTTP code; `None` if there was no answer.
    pub requests: BTreeMap<(&'static str, Option<u16>), Requests>,
    /// Bytes read of answers by operation.
    pub bytes: BTreeMap<&'static str, u64>,
    /// How long requests took by operation.
    pub durations: BTreeMap<&'static str, Durations>,
    /// Attempts by source.
    pub polls: BTreeMap<&'static str, u64>,
    /// Failed attempts by source and reason.
    pub failures: BTreeMap<(&'static str, Reason), u64>,
}

/// The instruments of one account of a vendor.
#[derive(Debug)]
pub struct AccountInstruments {
    /// The label `account`.
    pub account: String,
    /// Whose account it is.
    pub vendor: Vendor,
    /// Since when they count.
    pub started: Moment,
    counts: Mutex<AccountCounts>,
}

impl AccountInstruments {
    /// For the sources that will be polled.
    #[must_use]
    pub fn new(
        account: &str,
        vendor: Vendor,
        sources: impl IntoIterator<Item = Source>,
        started: Moment,
    ) -> AccountInstruments {
        let mut counts = AccountCounts::default();
        for source in sources {
            let operation = source.operation.name;
            for code in EXPECTED_CODES.map(Some).into_iter().chain([None]) {
                counts.requests.insert((operation, code), Requests { count: 0, start: Some(started) });
            }
            counts.bytes.insert(operation, 0);
            counts.durations.insert(operation, Durations::default());
            counts.polls.insert(source.name, 0);
            counts.failures.extend(Reason::VARIANTS.iter().map(|reason| ((source.name, *reason), 0)));
        }
        AccountInstruments { account: account.to_owned(), vendor, started, counts: Mutex::new(counts) }
    }

    /// A source was polled; with the reason if that failed.
    pub fn polled(&self, source: Source, failed: Option<Reason>) {
        let mut counts = self.lock();
        *counts.polls.entry(source.name).or_default() += 1;
        if let Some(reason) = failed {
            *counts.failures.entry((source.name, reason)).or_default() += 1;
        }
    }

    /// Requests so far to an endpoint, answered or not.
    #[must_use]
    pub fn requests(&self, operation: Operation) -> u64 {
        self.lock().durations.get(operation.name).map_or(0, |durations| durations.native.count())
    }

    /// Bytes so far of the answers of an endpoint.
    #[must_use]
    pub fn response_bytes(&self, operation: Operation) -> u64 {
        self.lock().bytes.get(operation.name).copied().unwrap_or_default()
    }

    /// The counts as they are served `now`.
    pub fn counts(&self, now: Moment) -> MutexGuard<'_, AccountCounts> {
        let mut counts = self.lock();
        for requests in counts.requests.values_mut() {
            // They happened since the account was started; as any start, theirs lies at most half an hour back.
            requests.start.get_or_insert_with(|| zero_start::start(now.at_boot(self.started.boot), now.boot));
        }
        counts
    }

    fn lock(&self) -> MutexGuard<'_, AccountCounts> {
        // A panic while it was held left whole counts.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observe for AccountInstruments {
    fn request(&self, operation: Operation, code: Option<u16>, bytes: u64, took: Duration) {
        let mut counts = self.lock();
        counts.requests.entry((operation.name, code)).or_default().count += 1;
        *counts.bytes.entry(operation.name).or_default() += bytes;
        counts.durations.entry(operation.name).or_default().observe(took.as_secs_f64());
    }
}
