//! What the vendors' records mean.
//!
//! Flows in: typed records. Flows out: exact sums, counters that never lie, and the state of batches.
//! Invariant: pure. No I/O, no async, no clock of its own: time is an argument. Each part has a `plan` that looks and a
//! `commit` that changes, so that the store can make a plan durable before anybody sees it.
#![deny(clippy::float_arithmetic)]

pub mod batches;
pub mod burn;
pub mod cards;
pub mod checks;
pub mod consumption;
pub mod counter;
pub mod labels;
pub mod periods;
pub mod tally;
pub mod zero_start;
