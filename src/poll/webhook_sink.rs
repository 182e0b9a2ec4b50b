//! Where a webhook's events go.
//!
//! Flows in: the body of a request that knew the secret. Flows out: what to answer. Invariant: an event is acknowledged
//! only once what it says is durable.

use async_trait::async_trait;

use crate::names::Vendor;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is durable, or means nothing here.
    Done,
    /// It was not understood.
    Malformed,
    /// It cannot be taken now, for this reason: the sender should try again.
    Later(&'static str),
}

/// Takes a vendor's events.
#[async_trait]
pub trait WebhookSink: Send + Sync + 'static {
    /// Whose events. They are sent to `/webhooks/<its name>/<secret>`.
    fn vendor(&self) -> Vendor;
    /// Takes the body of a request.
    async fn receive(&self, body: &[u8]) -> Received;
}
