//! How a request leaves this process.
//!
//! Flows in: a URL and two headers. Flows out: the head of an answer, its body still to come. Invariant: answers
//! are not looked at here; only why none came is decided.

use async_trait::async_trait;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Client, Response};
use url::Url;

use super::error::Reason;
use super::transport_error;

/// A GET request.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where to.
    pub url: Url,
    /// `Accept`.
    pub accept: &'static str,
    /// `Authorization`; marked as sensitive.
    pub authorization: HeaderValue,
}

/// Why no answer came.
#[derive(Clone, Debug)]
pub struct NoAnswer {
    /// The class of the failure.
    pub reason: Reason,
    /// What happened, in words that are safe to show.
    pub detail: String,
}

/// Sends requests: over the network, or in a simulation to a vendor in the same process.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// If no head came. The caller decides how long to wait.
    async fn get(&self, request: Outgoing) -> Result<Response, NoAnswer>;
}

#[async_trait]
impl Transport for Client {
    async fn get(&self, request: Outgoing) -> Result<Response, NoAnswer> {
        let sent = Client::get(self, request.url)
            .header(ACCEPT, request.accept)
            .header(AUTHORIZATION, request.authorization)
            .send();
        sent.await.map_err(|error| {
            let (reason, detail) = transport_error::before_the_head(&error);
            NoAnswer { reason, detail }
        })
    }
}
