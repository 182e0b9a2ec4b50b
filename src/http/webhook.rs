//! The webhook's server.
//!
//! Flows in: completed-batch events, sent to a path that ends in the secret. Flows out: ids to the inbox; an answer once
//! they are durable. Invariants: without the secret every answer is the same 404, whatever the method or the path; the
//! secret is compared in constant time and is in no message; nothing else is served here.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::connection;
use super::guard::Limits;
use super::listener::{self, BindFault};
use super::payload::Payload;
use super::requests::{Handler, Requests};
use super::respond::{JSON, fit_method, method_not_allowed, not_found, sentence, set, with_body};
use crate::config::secret::Secret;
use crate::poll::inbox::{Inbox, NotDurable, Received};

const PATH: &str = "/webhooks/rightfoot/";
const COMPLETED: &str = "BALANCE_BATCH_COMPLETED";
/// The largest event. The documented ones have a few hundred bytes.
const LARGEST: usize = 64 * 1024;

/// How to serve the webhook.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Where to listen.
    pub listen: String,
    /// The secret in the path.
    pub secret: Secret,
    /// How long clients may take, and how many there may be.
    pub limits: Limits,
    /// How long open requests may go on after the order to stop.
    pub drain: Duration,
}

impl WebhookOptions {
    /// The usual limits.
    #[must_use]
    pub fn new(listen: String, secret: Secret) -> WebhookOptions {
        // One vendor calls, now and then.
        let limits = Limits { connections: 128, idle: Duration::from_secs(30), ..Limits::default() };
        WebhookOptions { listen, secret, limits, drain: Duration::from_secs(10) }
    }
}

/// A webhook server that listens and does not answer yet.
#[derive(Debug)]
pub struct WebhookServer {
    listener: TcpListener,
    address: SocketAddr,
    options: WebhookOptions,
}

impl WebhookServer {
    /// Listens.
    ///
    /// # Errors
    /// If the address cannot be used.
    pub async fn bind(options: WebhookOptions) -> Result<WebhookServer, BindFault> {
        let listener = listener::bind(&options.listen).await?;
        let address = listener::local_address(&listener, &options.listen)?;
        Ok(WebhookServer { listener, address, options })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`, then finishes what is open. `requests` come from [`super::Server::requests`].
    pub async fn run(self, inbox: Arc<dyn Inbox>, requests: Arc<Requests>, shutdown: CancellationToken) {
        let WebhookServer { listener, options, .. } = self;
        let (limits, drain) = (options.limits, options.drain);
        let hook = Hook { inbox, secret: options.secret, requests: Arc::clone(&requests) };
        listener::serve(listener, Arc::new(hook), None, requests, limits, shutdown, drain).await;
    }
}

struct Hook {
    inbox: Arc<dyn Inbox>,
    secret: Secret,
    requests: Arc<Requests>,
}

/// What is read of an event; the rest is the vendor's.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    event_uuid: Option<String>,
    batch_id: Option<String>,
}

impl Hook {
    /// Whether the path is the webhook's. Digests have one length, so the comparison takes the same time for any guess.
    fn is_ours(&self, path: &str) -> bool {
        let Some(guess) = path.strip_prefix(PATH) else { return false };
        let secret = Sha256::digest(self.secret.current().expose_secret().as_bytes());
        bool::from(secret.as_slice().ct_eq(Sha256::digest(guess.as_bytes()).as_slice()))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Payload> {
        if !self.is_ours(request.uri().path()) {
            self.inbox.unmatched();
            return not_found();
        }
        if *request.method() != Method::POST {
            return method_not_allowed("POST");
        }
        let body = match body(request).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let Ok(event) = serde_json::from_slice::<Event>(&body) else { return self.malformed() };
        if event.kind != COMPLETED {
            self.inbox.ignored();
            return received();
        }
        let uuid = |text: Option<String>| text.and_then(|text| Uuid::try_parse(&text).ok());
        let (Some(batch), Some(event)) = (uuid(event.batch_id), uuid(event.event_uuid)) else {
            return self.malformed();
        };
        match self.inbox.completed(event, batch).await {
            Ok(Received::Accepted | Received::Duplicate) => received(),
            Ok(Received::Full) => later("Too many batches wait for confirmation.\n"),
            Err(NotDurable) => later("The event could not be stored.\n"),
        }
    }

    fn malformed(&self) -> Response<Payload> {
        self.inbox.malformed();
        sentence(StatusCode::BAD_REQUEST, "Not a webhook event.\n")
    }
}

/// The request's body, or the answer that refuses it.
async fn body(request: Request<Incoming>) -> Result<Bytes, Response<Payload>> {
    let too_large = || sentence(StatusCode::PAYLOAD_TOO_LARGE, "The event is larger than 64 KiB.\n");
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > LARGEST as u64) {
        return Err(too_large());
    }
    match Limited::new(request.into_body(), LARGEST).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(sentence(StatusCode::BAD_REQUEST, "The event did not arrive whole.\n")),
    }
}

fn received() -> Response<Payload> {
    with_body(StatusCode::OK, JSON, Payload::from_bytes(Bytes::from_static(b"{\"status\":\"received\"}")))
}

fn later(text: &'static str) -> Response<Payload> {
    set(sentence(StatusCode::SERVICE_UNAVAILABLE, text), RETRY_AFTER, "60")
}

impl connection::Handler for Hook {
    async fn handle(&self, request: Request<Incoming>) -> Response<Payload> {
        let _present = self.requests.begin();
        let method = request.method().clone();
        let response = AssertUnwindSafe(self.answer(request)).catch_unwind().await.unwrap_or_else(|_| {
            self.requests.panicked();
            tracing::error!(handler = ?Handler::Webhook, "a handler panicked");
            sentence(StatusCode::INTERNAL_SERVER_ERROR, "Internal error.\n")
        });
        self.requests.answered(Handler::Webhook, response.status());
        fit_method(&method, response)
    }
}
