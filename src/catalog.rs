//! Metric families: their shape, and those that belong to no vendor.
//!
//! Flows out: names, types, labels and help texts, for the code that fills the families and for the tests that hold the
//! documentation, the dashboards and the rules to them. Invariant: a family is defined once, here or in its vendor's folder; a counter's name ends
//! in `_total`.

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// A value that goes up and down.
    Gauge,
    /// A value that only rises; its name ends in `_total`.
    Counter,
    /// Counts by upper bound.
    Histogram,
}

impl MetricType {
    /// The word in a `# TYPE` line, the same in both formats.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            MetricType::Gauge => "gauge",
            MetricType::Counter => "counter",
            MetricType::Histogram => "histogram",
        }
    }
}

/// A family: everything about it but its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilySpec {
    /// The full name, `_total` included for a counter.
    pub name: &'static str,
    /// The type.
    pub kind: MetricType,
    /// Label names in output order, `account` first where there is one. A histogram's `le` is not among them.
    pub labels: &'static [&'static str],
    /// The help text: one plain sentence.
    pub help: &'static str,
}

impl FamilySpec {
    /// The family's name in OpenMetrics, where `_total` belongs to a counter's sample and not to its family.
    #[must_use]
    pub fn openmetrics_name(&self) -> &'static str {
        match self.kind {
            MetricType::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            MetricType::Gauge | MetricType::Histogram => self.name,
        }
    }
}

pub(crate) const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> FamilySpec {
    FamilySpec { name, kind: MetricType::Gauge, labels, help }
}

pub(crate) const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> FamilySpec {
    FamilySpec { name, kind: MetricType::Counter, labels, help }
}

pub(crate) const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> FamilySpec {
    FamilySpec { name, kind: MetricType::Histogram, labels, help }
}

/// The labels of a family with one series an account.
pub(crate) const ACCOUNT: &[&str] = &["account"];
const SOURCE: &[&str] = &["account", "vendor", "source"];

/// Defines families, and a list of them in this order.
macro_rules! families {
    ($(#[$list_doc:meta])* $list:ident: $($constant:ident = $spec:expr;)*) => {
        $(#[doc = concat!("Family ", stringify!($constant), "; see its help text.")]
        pub static $constant: $crate::catalog::FamilySpec = $spec;)*
        $(#[$list_doc])*
        pub static $list: &[&$crate::catalog::FamilySpec] = &[$(&$constant),*];
    };
}
pub(crate) use families;

/// Those that belong to no vendor, in the order of the exposition.
pub fn of_exporter() -> impl Iterator<Item = &'static FamilySpec> {
    FACTS.iter().chain(ACCOUNT_INSTRUMENTS).chain(PROCESS_INSTRUMENTS).chain(PROCESS).copied()
}

families! {
    /// What is known of the accounts' sources and of the exporter, built from a snapshot.
    FACTS:
    WEBHOOK_UNMATCHED = counter("wallet_exporter_webhook_unmatched_total", &[], "Requests to the webhook with a wrong secret.");
    ACCOUNT_INFO = gauge("wallet_exporter_account_info", &["account", "vendor"], "Always 1; it also has the labels that the accounts file gives the account.");
    SOURCE_UP = gauge("wallet_exporter_source_up", SOURCE, "1 if the last attempt of the source succeeded, 0 if it failed.");
    SOURCE_FAILING = gauge("wallet_exporter_source_failing", &["account", "vendor", "source", "reason"], "1 for the reason for which the last attempt of the source failed, 0 for the others.");
    SOURCE_LAST_SUCCESS = gauge("wallet_exporter_source_last_success_timestamp_seconds", SOURCE, "Last success of the source.");
    SOURCE_LAST_ATTEMPT = gauge("wallet_exporter_source_last_attempt_timestamp_seconds", SOURCE, "Last attempt of the source.");
    SOURCE_NEXT_ATTEMPT = gauge("wallet_exporter_source_next_attempt_timestamp_seconds", SOURCE, "Next attempt of the source.");
    SOURCE_INTERVAL = gauge("wallet_exporter_source_interval_seconds", SOURCE, "Polling interval of the source: as configured, or longer where its downloads are limited.");
    SOURCE_MAX_AGE = gauge("wallet_exporter_source_max_age_seconds", SOURCE, "How long the source's last good values are served while it fails.");
    SOURCE_CONSECUTIVE_FAILURES = gauge("wallet_exporter_source_consecutive_failures", SOURCE, "Failed attempts of the source since its last success.");
    SOURCE_LAST_DURATION = gauge("wallet_exporter_source_last_poll_duration_seconds", SOURCE, "How long the last attempt of the source took.");
    SERIES_OVERFLOW = counter("wallet_exporter_series_overflow_total", &["account", "metric"], "Distinct label values that were counted under other.");
    CLOCK_SKEW = gauge("wallet_exporter_clock_skew_seconds", &["account", "vendor"], "The vendor's clock minus this machine's, by the vendor's Date headers.");
    STORAGE_UP = gauge("wallet_exporter_storage_up", &[], "1 if the last write of each kind to the storage succeeded.");
    RELOAD_SUCCESSFUL = gauge("wallet_exporter_config_last_reload_successful", &[], "1 if the last reload of the configuration succeeded.");
    RELOAD_TIME = gauge("wallet_exporter_config_last_reload_success_timestamp_seconds", &[], "Last successful reload of the configuration; the start counts as one.");
    SHARD_INFO = gauge("wallet_exporter_shard_info", &["shard", "shards"], "Always 1; the labels give the number of this shard, from 0, and the count of shards. Absent without shards.");
    BUILD_INFO = gauge("wallet_exporter_build_info", &["version", "revision", "rustc"], "Always 1; the labels say what was built.");
}

families! {
    /// What this process did for its accounts.
    ACCOUNT_INSTRUMENTS:
    SOURCE_POLLS = counter("wallet_exporter_source_polls_total", SOURCE, "Attempts of the source.");
    SOURCE_FAILURES = counter("wallet_exporter_source_failures_total", &["account", "vendor", "source", "reason"], "Failed attempts of the source by reason.");
    VENDOR_REQUESTS = counter("wallet_exporter_vendor_requests_total", &["account", "vendor", "operation", "code"], "Requests to the vendor by HTTP code; error if there was no answer.");
    VENDOR_RESPONSE_BYTES = counter("wallet_exporter_vendor_response_bytes_total", &["account", "vendor", "operation"], "Bytes read from the bodies of the vendor's answers.");
    VENDOR_REQUEST_DURATION = histogram("wallet_exporter_vendor_request_duration_seconds", &["account", "vendor", "operation"], "How long requests to the vendor took.");
}

families! {
    /// What this process did, gathered from its registry.
    PROCESS_INSTRUMENTS:
    STORAGE_FAILURES = counter("wallet_exporter_storage_failures_total", &[], "Failed writes to the storage.");
    HTTP_REQUESTS = counter("wallet_exporter_http_requests_total", &["handler", "code"], "Requests answered, by handler and status code. A scrape is included from the next scrape on.");
    HTTP_IN_FLIGHT = gauge("wallet_exporter_http_requests_in_flight", &[], "Requests being answered, this scrape included.");
    HTTP_CONNECTIONS = gauge("wallet_exporter_http_connections", &[], "Open connections to both addresses.");
    HTTP_CLOSED = counter("wallet_exporter_http_connections_closed_total", &["reason"], "Connections that the server closed, because they were idle or too slow or to make room at the connection limit.");
    HTTP_PANICS = counter("wallet_exporter_http_panics_total", &[], "Requests answered with 500 because of a defect in the program.");
}

families! {
    /// The process, read from `/proc`.
    PROCESS:
    PROCESS_CPU = counter("process_cpu_seconds_total", &[], "User and system processor time spent, in seconds.");
    PROCESS_OPEN_FDS = gauge("process_open_fds", &[], "Open file descriptors.");
    PROCESS_MAX_FDS = gauge("process_max_fds", &[], "Limit of open file descriptors.");
    PROCESS_VIRTUAL = gauge("process_virtual_memory_bytes", &[], "Virtual memory, in bytes.");
    PROCESS_RESIDENT = gauge("process_resident_memory_bytes", &[], "Resident memory, in bytes.");
    PROCESS_START = gauge("process_start_time_seconds", &[], "When the process started, in seconds since the epoch.");
    PROCESS_THREADS = gauge("process_threads", &[], "Operating system threads.");
}
