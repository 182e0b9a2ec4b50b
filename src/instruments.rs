//! What this process did: for its HTTP clients, counted with the `prometheus` crate, and for each account.
//!
//! Flows in: requests, polls, failures. Flows out: families, gathered when scraped. Invariants: the counts of an account end
//! with it, so that no label has to be cleaned away; label values are from fixed lists, whatever a client or a vendor
//! sends, and expected ones exist from the start, so that the first failure is seen as an increase. Status codes that are
//! not expected come with their first answer, and are dated by that.

pub mod account;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::{Metric, MetricFamily};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::catalog::{self as c, FamilySpec};
use crate::clock::Moment;
use crate::counting::zero_start;
use crate::names::Label as _;

/// What an HTTP request is for: the label `handler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Handler {
    /// The exposition.
    Metrics,
    /// The page for people.
    Page,
    /// The status as JSON, and the targets.
    Status,
    /// Whether there is enough money.
    Gate,
    /// The documentation and the runbooks.
    Documentation,
    /// The probes.
    Health,
    /// A reload of the configuration.
    Reload,
    /// A poll at once.
    Poll,
    /// An event of a vendor.
    Webhook,
    /// No path that there is.
    Other,
}

impl Handler {
    /// The status codes that are to be expected: 23 series.
    const fn expected_codes(self) -> &'static [&'static str] {
        match self {
            Handler::Metrics | Handler::Page | Handler::Status | Handler::Documentation => &["200"],
            Handler::Gate => &["200", "400", "404", "409"],
            Handler::Health => &["200", "503"],
            Handler::Reload => &["200", "500"],
            Handler::Poll => &["200", "202", "400", "404", "429", "502"],
            Handler::Webhook => &["200", "400", "404", "503"],
            Handler::Other => &["404"],
        }
    }
}

/// Why the server closed a connection: the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Closed {
    /// No request for long.
    Idle,
    /// Headers, TLS handshake, body or reading of the answer took too long.
    Slow,
    /// Made room for another.
    Room,
}

/// The metrics of a registry by family, each with its start.
pub type Gathered = BTreeMap<String, Vec<(Metric, Moment)>>;

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

/// What the process counts as a whole, in one registry.
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
        for handler in Handler::VARIANTS {
            for code in handler.expected_codes() {
                process.http_requests.with_label_values(&[handler.as_str(), code]);
            }
        }
        for reason in Closed::VARIANTS {
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

    /// A request was answered.
    pub fn answered(&self, handler: Handler, code: &str) {
        self.http_requests.with_label_values(&[handler.as_str(), code]).inc();
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
            let handler: Result<Handler, _> = label(metric, "handler").parse();
            handler.is_ok_and(|handler| handler.expected_codes().contains(&label(metric, "code")))
        };
        gather(&self.registry, |family, metric| match family == c::HTTP_REQUESTS.name && !is_expected(metric) {
            true => self.late.of(metric, started, now),
            false => started,
        })
    }
}

/// The value of a label of a gathered metric; empty if there is none.
#[must_use]
pub fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    metric.get_label().iter().find(|pair| pair.name() == name).map_or("", |pair| pair.value())
}
