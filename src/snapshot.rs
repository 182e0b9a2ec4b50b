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
#[cfg(feature = "testing")]
pub use gate::GateReason;
pub use gate::{Gate, GateQuestion};
pub use source::SourceView;
pub use state::Snapshot;
pub use status::*;
