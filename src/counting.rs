//! What all counters have in common.
//!
//! Flows in: totals and names as vendors report them, and the time. Flows out: counters that never fall, label values
//! within bounds, series that start at zero. Invariant: pure. No I/O, no async, no clock of its own: time is an argument.
#![deny(clippy::float_arithmetic)]

pub mod amounts;
pub mod counter;
pub mod labels;
pub mod zero_start;
