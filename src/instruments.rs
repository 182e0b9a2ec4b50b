//! What this process did, counted with the `prometheus` crate.
//!
//! Flows in: requests, polls, failures. Flows out: families, gathered when scraped. Invariants: one registry for the
//! process and one for each account, dropped with it, so that no label has to be cleaned away; label values are from
//! fixed lists, whatever a client or a vendor sends, and expected ones exist from the start, so that the first failure
//! is seen as an increase.

use crate::names::Label as _;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use strum::VariantArray as _;

use prometheus::core::Collector;
use prometheus::proto::{Metric, MetricFamily};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::catalog::{self as c, FamilySpec};
use crate::clock::Moment;
use crate::names::{Operation, Source, Vendor};
use crate::native_histogram::NativeBuckets;
use crate::upstream::{Observe, Reason};

/// What HTTP requests are for.
pub const HANDLERS: [&str; 10] =
    ["metrics", "page", "status", "gate", "documentation", "health", "reload", "poll", "webhook", "other"];

/// Upper bounds of the vendor requests' durations, in seconds.
const REQUEST_BOUNDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Codes of vendor requests that are to be expected.
const EXPECTED_CODES: [&str; 11] = [NO_ANSWER, "200", "400", "401", "403", "404", "422", "429", "500", "502", "503"];
/// In the place of a code: no answer came.
const NO_ANSWER: &str = "error";

/// Why the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// No request for long.
    Idle,
    /// Headers, TLS handshake, body or reading of the answer took too long.
    Slow,
    /// Made room for another.
    Room,
}

impl Closed {
    const ALL: [Closed; 3] = [Closed::Idle, Closed::Slow, Closed::Room];

    const fn as_str(self) -> &'static str {
        match self {
            Closed::Idle => "idle",
            Closed::Slow => "slow",
            Closed::Room => "room",
        }
    }
}

fn opts(spec: &FamilySpec) -> Opts {
    Opts::new(spec.name, spec.help)
}

#[expect(clippy::expect_used, reason = "names and labels are constants of the catalog; every start would fail")]
fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("the catalog has valid names");
    registry.register(Box::new(metric.clone())).expect("each family is registered once");
    metric
}

/// The instruments of the process.
#[derive(Debug)]
pub struct ProcessInstruments {
    registry: Registry,
    http_requests: IntCounterVec,
    http_in_flight: IntGauge,
    http_connections: IntGauge,
    http_closed: IntCounterVec,
    /// Requests answered with 500 because of a defect in the program.
    pub http_panics: IntCounter,
    /// Failed writes to the storage.
    pub storage_failures: IntCounter,
}

impl Default for ProcessInstruments {
    fn default() -> ProcessInstruments {
        let registry = Registry::new();
        let process = ProcessInstruments {
            http_requests: registered(&registry, IntCounterVec::new(opts(&c::HTTP_REQUESTS), c::HTTP_REQUESTS.labels)),
            http_in_flight: registered(&registry, IntGauge::with_opts(opts(&c::HTTP_IN_FLIGHT))),
            http_connections: registered(&registry, IntGauge::with_opts(opts(&c::HTTP_CONNECTIONS))),
            http_closed: registered(&registry, IntCounterVec::new(opts(&c::HTTP_CLOSED), c::HTTP_CLOSED.labels)),
            http_panics: registered(&registry, IntCounter::with_opts(opts(&c::HTTP_PANICS))),
            storage_failures: registered(&registry, IntCounter::with_opts(opts(&c::STORAGE_FAILURES))),
            registry,
        };
        for handler in HANDLERS {
            process.http_requests.with_label_values(&[handler, "200"]);
        }
        for reason in Closed::ALL {
            process.http_closed.with_label_values(&[reason.as_str()]);
        }
        process
    }
}

/// Counts one thing as present for as long as it lives.
#[derive(Debug)]
pub struct Present(IntGauge);

impl Present {
    fn new(gauge: &IntGauge) -> Present {
        gauge.inc();
        Present(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ProcessInstruments {
    /// A request came in; it is over when the result is dropped.
    #[must_use]
    pub fn request(&self) -> Present {
        Present::new(&self.http_in_flight)
    }

    /// A request was answered; `handler` is one of [`HANDLERS`].
    pub fn answered(&self, handler: &str, code: &str) {
        self.http_requests.with_label_values(&[handler, code]).inc();
    }

    /// A connection was opened; it is over when the result is dropped.
    #[must_use]
    pub fn connected(&self) -> Present {
        Present::new(&self.http_connections)
    }

    /// The server closed a connection.
    pub fn closed(&self, reason: Closed) {
        self.http_closed.with_label_values(&[reason.as_str()]).inc();
    }

    /// The families as they stand.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

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

/// The instruments of one account of a vendor.
#[derive(Debug)]
pub struct AccountInstruments {
    /// The label `account`.
    pub account: String,
    /// Whose account it is.
    pub vendor: Vendor,
    /// Since when they count.
    pub started: Moment,
    registry: Registry,
    requests: IntCounterVec,
    bytes: IntCounterVec,
    /// By operation.
    durations: Mutex<BTreeMap<&'static str, Durations>>,
    polls: IntCounterVec,
    failures: IntCounterVec,
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
        let registry = Registry::new();
        let counter = |spec: &FamilySpec| registered(&registry, IntCounterVec::new(opts(spec), spec.labels));
        let instruments = AccountInstruments {
            account: account.to_owned(),
            vendor,
            started,
            requests: counter(&c::VENDOR_REQUESTS),
            bytes: counter(&c::VENDOR_RESPONSE_BYTES),
            durations: Mutex::default(),
            polls: counter(&c::SOURCE_POLLS),
            failures: counter(&c::SOURCE_FAILURES),
            registry,
        };
        for source in sources {
            let operation = source.operation.name;
            for code in EXPECTED_CODES {
                instruments.requests.with_label_values(&[account, vendor.name, operation, code]);
            }
            instruments.bytes.with_label_values(&[account, vendor.name, operation]);
            instruments.lock().entry(operation).or_default();
            instruments.polls.with_label_values(&[account, vendor.name, source.name]);
            for reason in Reason::VARIANTS.iter().copied() {
                instruments.failure(source, reason);
            }
        }
        instruments
    }

    fn failure(&self, source: Source, reason: Reason) -> IntCounter {
        self.failures.with_label_values(&[&self.account, self.vendor.name, source.name, reason.as_str()])
    }

    /// A source was polled; with the reason if that failed.
    pub fn polled(&self, source: Source, failed: Option<Reason>) {
        self.polls.with_label_values(&[&self.account, self.vendor.name, source.name]).inc();
        if let Some(reason) = failed {
            self.failure(source, reason).inc();
        }
    }

    /// Requests so far to an endpoint, answered or not.
    #[must_use]
    pub fn requests(&self, operation: Operation) -> u64 {
        self.lock().get(operation.name).map_or(0, |durations| durations.native.count())
    }

    /// Bytes so far of the answers of an endpoint.
    #[must_use]
    pub fn response_bytes(&self, operation: Operation) -> u64 {
        self.bytes.with_label_values(&[self.account.as_str(), self.vendor.name, operation.name]).get()
    }

    /// How long requests took, by operation.
    #[must_use]
    pub fn durations(&self) -> BTreeMap<&'static str, Durations> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Durations>> {
        // A panic while it was held left whole counts.
        self.durations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The families as they stand.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

impl Observe for AccountInstruments {
    fn request(&self, operation: Operation, code: Option<u16>, bytes: u64, took: Duration) {
        let code = code.map_or_else(|| NO_ANSWER.to_owned(), |code| code.to_string());
        let (vendor, operation) = (self.vendor.name, operation.name);
        self.requests.with_label_values(&[self.account.as_str(), vendor, operation, &code]).inc();
        self.bytes.with_label_values(&[self.account.as_str(), vendor, operation]).inc_by(bytes);
        self.lock().entry(operation).or_default().observe(took.as_secs_f64());
    }
}

/// The value of a label of a gathered metric; empty if there is none.
#[must_use]
pub fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    metric.get_label().iter().find(|pair| pair.name() == name).map_or("", |pair| pair.value())
}
