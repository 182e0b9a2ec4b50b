//! What is known now, ready to be shown.
//!
//! Flows in: updates from the polls. Flows out: one immutable [`Snapshot`] at a time.
//! Invariant: readers never wait and never see half an update; what a snapshot shows of the counters is durable already.

mod account;
mod cell;
mod gate;
mod source;
mod state;
mod status;

pub use account::{AccountError, AccountView, Facts, Prepaid};
pub use cell::SnapshotCell;
pub use gate::{Gate, GateQuestion, GateReason};
pub use source::{Failure, SourceView};
pub use state::{ReloadView, Snapshot, StorageView};
pub use status::*;
