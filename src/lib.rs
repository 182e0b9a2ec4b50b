//! wallet-exporter: a Prometheus exporter for prepaid data-API wallets.
//!
//! Each vendor is one folder: configuration, client, and for each report its wire format, meaning, tables, poll and
//! families. What belongs to no vendor is in shared modules. A module uses only modules above it in this list, a vendor's
//! folder never uses another's, and only `app` names them.
//!
//! ```text
//!  upstream     requests: credential, pause, errors, CSV         the only home of reqwest and csv-core
//!  counting     the counters' rule, label limits, zero starts    pure: no I/O, no clock
//!  store        what must survive a restart                      the only home of SQLite
//!  snapshot     last good values and their age, by account
//!  exposition   families, text, protobuf, when scraped           facts from snapshots, counts from instruments
//!  poll         when to fetch; one task per source
//!  batchdata    the wallet: balance, consumption, cards
//!  rightfoot    the balance checks: batches, webhook
//!  http         axum                                             never calls a vendor, waits for one at `/-/poll` only
//! ```
//!
//! Beside the flow: `money`, `native_histogram` (exponential buckets), `printable` (text for terminals), `clock`,
//! `names`, `config`, `telemetry`, `catalog` (metric families), `instruments` (what this process did: as a whole counted
//! with the `prometheus` crate, for each account in plain numbers), `integration` (what a vendor's folder offers), `app`
//! (the list of vendors, wiring, shutdown).
#![cfg_attr(feature = "testing", warn(unreachable_pub))]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::float_cmp)
)]

cfg_if::cfg_if! {
    if #[cfg(feature = "testing")] {
        pub mod money;
        pub mod native_histogram;
        pub mod printable;
        pub mod clock;
        pub mod names;
        pub mod config;
        pub mod healthcheck;
        pub mod telemetry;
        pub mod catalog;
        pub mod upstream;
        pub mod counting;
        pub mod instruments;
        pub mod store;
        pub mod snapshot;
        pub mod exposition;
        pub mod poll;
        pub mod integration;
        pub mod batchdata;
        pub mod rightfoot;
        pub mod http;
        pub mod app;
    } else {
        // Only what `main` uses is public, so that what nothing but a test uses shows as dead code.
        mod money;
        mod native_histogram;
        pub mod printable;
        mod clock;
        mod names;
        pub mod config;
        pub mod healthcheck;
        pub mod telemetry;
        mod catalog;
        mod upstream;
        mod counting;
        mod instruments;
        mod store;
        mod snapshot;
        mod exposition;
        mod poll;
        mod integration;
        mod batchdata;
        mod rightfoot;
        mod http;
        pub mod app;
    }
}
