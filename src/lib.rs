//! wallet-exporter: a Prometheus exporter for prepaid data-API wallets.
//!
//! Data goes one way, and a module uses only modules above it in this list:
//!
//! ```text
//!  vendor      HTTP answers -> typed records         the only home of reqwest and csv-core
//!  domain      exact sums, the counters' rule        pure: no I/O, no clock
//!  store       what must survive a restart           the only home of SQLite
//!  snapshot    last good values and their age
//!  poll        when to fetch; one task per source
//!  metrics     families and text, when scraped       facts from snapshots, instruments from registries
//!  http        axum                                  never calls a vendor, never waits for one
//! ```
//!
//! Beside the flow: `money`, `printable` (text for terminals), `clock`, `names`, `config`, `telemetry`, `catalog` (every
//! metric family), `instruments` (what this process did, counted with the `prometheus` crate), `app` (wiring, shutdown).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::float_cmp)
)]

pub mod money;
pub mod printable;
pub mod clock;
pub mod names;
pub mod config;
pub mod healthcheck;
pub mod telemetry;
pub mod catalog;
pub mod vendor;
pub mod instruments;
pub mod domain;
pub mod store;
pub mod snapshot;
pub mod poll;
pub mod metrics;
pub mod http;
pub mod app;
