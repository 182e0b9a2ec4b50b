//! What stands around the exporter for alerting: rules, their cases, runbooks, Alertmanager's routes and texts.
//!
//! Flows in: the shipped files below `deploy/`. Flows out: what the programs that load them say (promtool, amtool),
//! and of a parser for what those do not look at. Invariant: nothing here knows a rule that the shipped files do not hold.

mod calendar;
mod end_to_end;
mod inhibitions;
mod notifications;
pub mod rules;
pub mod servers;
mod sink;
pub mod tools;

use std::path::PathBuf;

/// A file or folder of the repository.
fn shipped(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(shipped(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}
