//! What is known of an account's batches.
//!
//! Flows in: what the polls and the webhook learnt. Flows out: the facts of its account in the snapshot. Invariant:
//! bounded, however many batches there have been.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::batches::batch::BatchState;
use super::batches::tally::StatusCounts;
use super::batches::totals::CheckTotals;
use crate::clock::Moment;

/// A Rightfoot account.
#[derive(Clone, Debug)]
pub struct RightfootView {
    /// The batches.
    pub checks: Arc<ChecksView>,
    /// The webhook, if it is open.
    pub webhook: Option<WebhookView>,
}

/// A batch with series of its own: id, results, newest result.
pub type NewestBatch = (Uuid, Arc<StatusCounts>, DateTime<Utc>);

/// What is known of an account's batches.
#[derive(Clone, Debug, Default)]
pub struct ChecksView {
    /// Sums over settled batches, durable.
    pub totals: CheckTotals,
    /// From when on rows are counted.
    pub count_since: Option<DateTime<Utc>>,
    /// Rows of batches that have not settled.
    pub open_rows: StatusCounts,
    /// Batches by state.
    pub states: BTreeMap<BatchState, u64>,
    /// The batches with the newest results.
    pub newest: Vec<NewestBatch>,
    /// When the oldest batch that has not settled was first seen.
    pub oldest_open: Option<Moment>,
    /// Those that a person should look at, oldest first.
    pub needing_attention: Vec<(Uuid, BatchState, Moment)>,
}

/// Webhook events of this run.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebhookView {
    /// New and durable.
    pub accepted: u64,
    /// Seen before.
    pub duplicate: u64,
    /// Of another type, or beyond what is taken.
    pub ignored: u64,
    /// Not understood.
    pub malformed: u64,
}
