//! What is known now, ready to be shown.
//!
//! Flows in: updates from the polls. Flows out: one immutable [`Snapshot`] at a time.
//! Invariant: readers never wait and never see half an update; what a snapshot shows of the counters is durable already.

mod cell;
mod report;
mod source;
mod status;
mod views;

pub use cell::SnapshotCell;
pub use source::{Failure, SourceView};
pub use status::*;
pub use views::{
    BurnView, CardsView, ChecksView, ConsumptionView, NewestBatch, Periods, ReloadView, RightfootView, Snapshot,
    StorageView, WalletView, WebhookView,
};
