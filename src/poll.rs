//! When to fetch.
//!
//! Flows in: ticks and wake-ups. Flows out: one pass of one source at a time: vendor, domain, store, then the snapshot.
//! Invariant: a pass takes no input and does the same full, repeatable work whatever woke it, so the common path and the
//! path after a crash are the same code. Retries are decided here and nowhere else.

pub mod account_storage;
pub mod attempts;
pub mod builder;
pub mod file_watcher;
pub mod blocking_call;
pub mod schedule;
pub mod source;
pub mod webhook_sink;
