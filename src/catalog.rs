//! Every metric family.
//!
//! Flows out: names, types, labels and help texts, for the code that fills the families and for the tests that hold the
//! documentation, the dashboards and the rules to them. Invariant: a family is defined once, here; a counter's name ends
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

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> FamilySpec {
    FamilySpec { name, kind: MetricType::Gauge, labels, help }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> FamilySpec {
    FamilySpec { name, kind: MetricType::Counter, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> FamilySpec {
    FamilySpec { name, kind: MetricType::Histogram, labels, help }
}

const ACCOUNT: &[&str] = &["account"];
const SOURCE: &[&str] = &["account", "vendor", "source"];
const WINDOW: &[&str] = &["account", "window"];
const CARD_EVENT: &[&str] = &["account", "kind", "status", "card_brand"];

macro_rules! families {
    ($(#[$list_doc:meta])* $list:ident: $($constant:ident = $spec:expr;)*) => {
        $(#[doc = concat!("Family ", stringify!($constant), "; see its help text.")]
        pub static $constant: FamilySpec = $spec;)*
        $(#[$list_doc])*
        pub static $list: &[&FamilySpec] = &[$(&$constant),*];
    };
}

/// All of them, in the order of the exposition.
pub fn all() -> impl Iterator<Item = &'static FamilySpec> {
    FACTS.iter().chain(INSTRUMENTS).chain(PROCESS).copied()
}

families! {
    /// What is known of the vendors' accounts and of the exporter, built from a snapshot.
    FACTS:
    BALANCE = gauge("batchdata_wallet_balance_usd", ACCOUNT, "Wallet balance in US dollars, as the vendor last computed it.");
    BALANCE_AS_OF = gauge("batchdata_wallet_balance_as_of_timestamp_seconds", ACCOUNT, "When the vendor computed the wallet balance.");
    BALANCE_THRESHOLD = gauge("batchdata_wallet_balance_threshold_usd", &["account", "severity"], "Configured balance in US dollars below which the alert of this severity fires.");
    DEBIT = counter("batchdata_wallet_debit_usd_total", ACCOUNT, "Spend in US dollars; the highest total that the vendor has reported since counting began.");
    CREDIT = counter("batchdata_wallet_credit_usd_total", ACCOUNT, "Credits to the wallet in US dollars; the highest total that the vendor has reported since counting began.");
    ORIGIN_DEBIT = counter("batchdata_wallet_origin_debit_usd_total", &["account", "origin"], "Spend in US dollars by origin; the parts need not add up to the total.");
    ORIGIN_CREDIT = counter("batchdata_wallet_origin_credit_usd_total", &["account", "origin"], "Credits in US dollars by origin; the parts need not add up to the total.");
    PATH_DEBIT = counter("batchdata_wallet_api_path_debit_usd_total", &["account", "api_path"], "Spend in US dollars by API path; the parts need not add up to the total.");
    UNATTRIBUTED = gauge("batchdata_wallet_unattributed_usd", &["account", "report"], "Counted total minus the sum of its parts in US dollars; may be negative.");
    REVISED_DOWN = gauge("batchdata_wallet_revised_down_usd", &["account", "report"], "What the counters of a report hold back in US dollars because the vendor restated it downward.");
    WALLET_COUNT_SINCE = gauge("batchdata_wallet_count_since_timestamp_seconds", ACCOUNT, "From when on the spend counters count.");
    PERIOD_DEBIT = gauge("batchdata_wallet_period_debit_usd", &["account", "period"], "Spend in US dollars over a period of UTC days, exactly as the vendor reports it now.");
    PERIOD_CREDIT = gauge("batchdata_wallet_period_credit_usd", &["account", "period"], "Credits in US dollars over a period of UTC days, exactly as the vendor reports them now.");
    BURN = gauge("batchdata_wallet_burn_usd_per_hour", WINDOW, "Spend in US dollars an hour over the window that ends at the last report, from the vendor's own hours and days.");
    RUNWAY = gauge("batchdata_wallet_runway_seconds", WINDOW, "Seconds from the poll of the balance until it is used up at the burn of the window; 0 if nothing is left, absent if nothing is spent.");
    EMPTY = gauge("batchdata_wallet_empty_timestamp_seconds", WINDOW, "When the balance is used up at the burn of the window.");
    CARD_TRANSACTIONS = counter("batchdata_card_transactions_total", CARD_EVENT, "Card transactions, each counted once under each state in which it was seen.");
    CARD_CREDITS = counter("batchdata_card_amount_usd_total", CARD_EVENT, "Credits of card transactions in US dollars, without sign.");
    CARD_PENDING = gauge("batchdata_card_transactions_pending", &["account", "kind", "card_brand"], "Card transactions that have not ended.");
    CARD_OLDEST_PENDING = gauge("batchdata_card_oldest_pending_timestamp_seconds", ACCOUNT, "When the oldest pending card transaction was made; absent if none is pending.");
    CARD_SALES_TAX = counter("batchdata_card_sales_tax_usd_total", &["account", "card_brand"], "Sales tax on paid card transactions in US dollars.");
    CARD_FEES = counter("batchdata_card_processing_fees_usd_total", &["account", "card_brand"], "Processing fees on paid card transactions in US dollars.");
    CARD_LAST = gauge("batchdata_card_last_transaction_timestamp_seconds", &["account", "kind", "status"], "When the newest card transaction of this kind and status was made.");
    CHECKS = counter("rightfoot_balance_checks_total", &["account", "status", "submitted_via"], "Balance checks of settled batches.");
    CHECKS_BY_INSTITUTION = counter("rightfoot_balance_checks_by_institution_total", &["account", "institution", "status"], "Balance checks of settled batches by institution.");
    CHECK_BALANCE = histogram("rightfoot_balance_check_balance_usd", ACCOUNT, "Balances in US dollars found by successful checks of settled batches; a negative one adds nothing to the sum.");
    ROWS_REJECTED = counter("rightfoot_balance_check_rows_rejected_total", &["account", "reason"], "Rows of the export that could not be used, counted when first met.");
    OPEN_CHECKS = gauge("rightfoot_open_balance_checks", &["account", "status", "submitted_via"], "Balance checks of batches that have not settled.");
    BATCHES = gauge("rightfoot_batches", &["account", "state"], "Batches by state.");
    BATCH_RESULTS = gauge("rightfoot_batch_results", &["account", "batch_id", "status"], "Results by status of the 20 batches with the newest results.");
    BATCH_LAST_RESULT = gauge("rightfoot_batch_last_result_timestamp_seconds", &["account", "batch_id"], "Newest result of the 20 batches with the newest results.");
    OLDEST_OPEN_BATCH = gauge("rightfoot_oldest_open_batch_timestamp_seconds", ACCOUNT, "When the oldest batch that has not settled was first seen; absent if there is none.");
    CHECKS_COUNT_SINCE = gauge("rightfoot_count_since_timestamp_seconds", ACCOUNT, "From when on balance checks count, by their own time.");
    WEBHOOK_EVENTS = counter("rightfoot_webhook_events_total", &["account", "result"], "Webhook events by what became of them.");
    WEBHOOK_UNMATCHED = counter("wallet_exporter_webhook_unmatched_total", &[], "Requests to the webhook with a wrong secret.");
    SOURCE_UP = gauge("wallet_exporter_source_up", SOURCE, "1 if the last attempt of the source succeeded, 0 if it failed.");
    SOURCE_FAILING = gauge("wallet_exporter_source_failing", &["account", "vendor", "source", "reason"], "1 for the reason for which the last attempt of the source failed, 0 for the others.");
    SOURCE_LAST_SUCCESS = gauge("wallet_exporter_source_last_success_timestamp_seconds", SOURCE, "Last success of the source.");
    SOURCE_LAST_ATTEMPT = gauge("wallet_exporter_source_last_attempt_timestamp_seconds", SOURCE, "Last attempt of the source.");
    SOURCE_NEXT_ATTEMPT = gauge("wallet_exporter_source_next_attempt_timestamp_seconds", SOURCE, "Next attempt of the source.");
    SOURCE_INTERVAL = gauge("wallet_exporter_source_interval_seconds", SOURCE, "Configured polling interval of the source.");
    SOURCE_MAX_AGE = gauge("wallet_exporter_source_max_age_seconds", SOURCE, "How long the source's last good values are served while it fails.");
    SOURCE_CONSECUTIVE_FAILURES = gauge("wallet_exporter_source_consecutive_failures", SOURCE, "Failed attempts of the source since its last success.");
    SOURCE_LAST_DURATION = gauge("wallet_exporter_source_last_poll_duration_seconds", SOURCE, "How long the last attempt of the source took.");
    SERIES_OVERFLOW = counter("wallet_exporter_series_overflow_total", &["account", "metric"], "Distinct label values that were counted under other.");
    CLOCK_SKEW = gauge("wallet_exporter_clock_skew_seconds", &["account", "vendor"], "The vendor's clock minus this machine's, by the vendor's Date headers.");
    STORAGE_UP = gauge("wallet_exporter_storage_up", &[], "1 if the last write of each kind to the storage succeeded.");
    RELOAD_SUCCESSFUL = gauge("wallet_exporter_config_last_reload_successful", &[], "1 if the last reload of the configuration succeeded.");
    RELOAD_TIME = gauge("wallet_exporter_config_last_reload_success_timestamp_seconds", &[], "Last successful reload of the configuration; the start counts as one.");
    BUILD_INFO = gauge("wallet_exporter_build_info", &["version", "revision", "rustc"], "Always 1; the labels say what was built.");
}

families! {
    /// What this process did, gathered from registries.
    INSTRUMENTS:
    SOURCE_POLLS = counter("wallet_exporter_source_polls_total", SOURCE, "Attempts of the source.");
    SOURCE_FAILURES = counter("wallet_exporter_source_failures_total", &["account", "vendor", "source", "reason"], "Failed attempts of the source by reason.");
    VENDOR_REQUESTS = counter("wallet_exporter_vendor_requests_total", &["account", "vendor", "operation", "code"], "Requests to the vendor by HTTP code; error if no answer came.");
    VENDOR_REQUEST_DURATION = histogram("wallet_exporter_vendor_request_duration_seconds", &["account", "vendor", "operation"], "How long requests to the vendor took.");
    STORAGE_FAILURES = counter("wallet_exporter_storage_failures_total", &[], "Failed writes to the storage.");
    HTTP_REQUESTS = counter("wallet_exporter_http_requests_total", &["handler", "code"], "Requests answered, by what they were for and the status code. A scrape counts in the next one.");
    HTTP_IN_FLIGHT = gauge("wallet_exporter_http_requests_in_flight", &[], "Requests being answered, this scrape included.");
    HTTP_CONNECTIONS = gauge("wallet_exporter_http_connections", &[], "Open connections to both addresses.");
    HTTP_CLOSED = counter("wallet_exporter_http_connections_closed_total", &["reason"], "Connections that the server ended: idle or too slow, or to make room for others at the connection limit.");
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
