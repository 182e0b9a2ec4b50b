//! What this process did, counted with the `prometheus` crate.
//!
//! Flows in: requests, polls, failures. Flows out: families, gathered when scraped. Invariants: one registry for the
//! process and one for each account, dropped with it, so that no label has to be cleaned away; label values are from
//! fixed lists, whatever a client or a vendor sends, and expected ones exist from the start, so that the first failure
//! is seen as an increase. Status codes that are not expected come with their first answer, and are dated by that.

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
use crate::counting::zero_start;
use crate::names::{Operation, Source, Vendor};
use crate::native_histogram::NativeBuckets;
use crate::upstream::{Observe, Reason};

/// What HTTP requests are for, and the status codes that are to be expected: 23 series.
const HANDLERS: [(&str, &[&str]); 10] = [
    ("metrics", &["200"]),
    ("page", &["200"]),
    ("status", &["200"]),
    ("gate", &["200", "400", "404", "409"]),
    ("documentation", &["200"]),
    ("health", &["200", "503"]),
    ("reload", &["200", "500"]),
    ("poll", &["200", "202", "400", "404", "429", "502"]),
    ("webhook", &["200", "400", "404", "503"]),
    ("other", &["404"]),
];

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

/// The metrics of a registry by family, each with its start.
pub type Gathered = Vec<(String, Vec<(Metric, Moment)>)>;

/// The starts of label sets that did not exist from the beginning, by their label values.
#[derive(Debug, Default)]
struct LateStarts(Mutex<BTreeMap<Vec<String>, Moment>>);

impl LateStarts {
    /// The start of one that is served `now` and counts what happened since `started`: as of any series, at most half an hour
    /// before it is first served.
    fn of(&self, metric: &Metric, started: Moment, now: Moment) -> Moment {
        let values = metric.get_label().iter().map(|pair| pair.value().to_owned()).collect();
        // A panic while it was held left whole starts.
        let mut starts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *starts.entry(values).or_insert_with(|| zero_start::start(now.at_boot(started.boot), now.boot))
    }
}

/// What is in a registry; `start` tells the start of a metric by its family's name.
fn gather(registry: &Registry, start: impl Fn(&str, &Metric) -> Moment) -> Gathered {
    let with_starts = |mut family: MetricFamily| {
        let name = family.name().to_owned();
        let metrics = family.take_metric().into_iter().map(|metric| {
            let start = start(&name, &metric);
            (metric, start)
        });
        let metrics = metrics.collect();
        (name, metrics)
    };
    registry.gather().into_iter().map(with_starts).collect()
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
    late: LateStarts,
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
            late: LateStarts::default(),
        };
        for (handler, codes) in HANDLERS {
            for code in codes {
                process.http_requests.with_label_values(&[handler, code]);
            }
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

    /// A request was answered; `handler` is one of the names in `HANDLERS`.
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

    /// The families as they stand, of a process that `started` then.
    #[must_use]
    pub fn gather(&self, started: Moment, now: Moment) -> Gathered {
        let is_expected = |metric: &Metric| {
            let mut handlers = HANDLERS.iter();
            let codes = handlers.find(|(handler, _)| *handler == label(metric, "handler")).map(|(_, codes)| *codes);
            codes.is_some_and(|codes| codes.contains(&label(metric, "code")))
        };
        gather(&self.registry, |family, metric| match family == c::HTTP_REQUESTS.name && !is_expected(metric) {
            true => self.late.of(metric, started, now),
            false => started,
        })
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
    late: LateStarts,
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
            late: LateStarts::default(),
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
    pub fn gather(&self, now: Moment) -> Gathered {
        let is_expected = |metric: &Metric| EXPECTED_CODES.contains(&label(metric, "code"));
        gather(&self.registry, |family, metric| match family == c::VENDOR_REQUESTS.name && !is_expected(metric) {
            true => self.late.of(metric, self.started, now),
            false => self.started,
        })
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
