//! Where completed-batch events come in.
//!
//! Flows in: a batch id from the webhook. Flows out: a durable note that the batch exists and was said to be complete,
//! and a wake-up for the poll. Invariant: an event is acknowledged only once its id is durable.

use async_trait::async_trait;
use uuid::Uuid;

/// What became of an event that said "this batch is complete".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// New, and durable now.
    Accepted,
    /// Seen before; nothing changed.
    Duplicate,
    /// Too many ids wait for the vendor's confirmation: not taken.
    Full,
}

/// The event could not be written; the sender should try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the storage cannot be written")]
pub struct NotDurable;

/// Takes completed-batch events.
#[async_trait]
pub trait WebhookSink: Send + Sync + 'static {
    /// A batch was said to be complete.
    ///
    /// # Errors
    /// [`NotDurable`] if it could not be written down.
    async fn completed(&self, event: Uuid, batch: Uuid) -> Result<Received, NotDurable>;
    /// An event of another type, counted as `ignored`.
    fn ignored(&self);
    /// A body that was not understood, counted as `malformed`.
    fn malformed(&self);
    /// A request with a wrong secret, counted apart.
    fn unmatched(&self);
}
