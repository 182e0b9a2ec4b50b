//! The webhook's server.
//!
//! Flows in: completed-batch events, sent to a path that ends in the secret. Flows out: ids to the webhook_sink; an answer once
//! they are durable. Invariants: without the secret every answer is the same 404, whatever the method or the path; the
//! secret is compared in constant time and is in no message; nothing else is served here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::ExposeSecret;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::guard::ConnectionLimits;
use super::layers::{METHOD_NOT_ALLOWED, NOT_FOUND, common};
use super::listener;
use super::server::ServeError;
use super::web::Web;
use crate::config::secret::Secret;
use crate::instruments::Process;
use crate::poll::webhook_sink::{NotDurable, Received, WebhookSink};

const PATH: &str = "/webhooks/rightfoot/";
const COMPLETED: &str = "BALANCE_BATCH_COMPLETED";
/// The largest event. The documented ones have a few hundred bytes.
const LARGEST: usize = 64 * 1024;

/// How to serve the webhook.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Where to listen.
    pub listen: String,
    /// The secret in the path; more than one while it is being replaced.
    pub secrets: Vec<Secret>,
    /// A web configuration file, for TLS alone.
    pub web_config: Option<PathBuf>,
    /// How long clients may take, and how many there may be.
    pub limits: ConnectionLimits,
    /// How long open requests may go on after the order to stop.
    pub drain: Duration,
}

impl WebhookOptions {
    /// The usual limits.
    #[must_use]
    pub fn new(listen: String, secrets: Vec<Secret>) -> WebhookOptions {
        // One vendor calls, now and then.
        let limits =
            ConnectionLimits { connections: 128, idle: Duration::from_secs(30), ..ConnectionLimits::default() };
        WebhookOptions { listen, secrets, web_config: None, limits, drain: Duration::from_secs(10) }
    }
}

/// A webhook server that listens and does not answer yet.
#[derive(Debug)]
pub struct WebhookServer {
    listener: TcpListener,
    address: SocketAddr,
    web: Web,
    options: WebhookOptions,
}

impl WebhookServer {
    /// Reads the TLS configuration and listens.
    ///
    /// # Errors
    /// If the address or the file cannot be used.
    pub async fn bind(options: WebhookOptions) -> Result<WebhookServer, ServeError> {
        let web = Web::load_for_webhook(options.web_config.as_deref())?;
        let listener = listener::bind(&options.listen).await?;
        let address = listener::local_address(&listener, &options.listen)?;
        Ok(WebhookServer { listener, address, web, options })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The web configuration, to be read again on a signal.
    #[must_use]
    pub fn web(&self) -> Web {
        self.web.clone()
    }

    /// Answers until `shutdown`, then finishes what is open. Requests are counted by `process`.
    pub async fn run(self, webhook_sink: Arc<dyn WebhookSink>, process: Arc<Process>, shutdown: CancellationToken) {
        let WebhookServer { listener, web, options, .. } = self;
        let (limits, drain) = (options.limits, options.drain);
        let hook = Arc::new(Hook { webhook_sink, secrets: options.secrets });
        // One handler for every path, so that a wrong one cannot be told from a wrong secret.
        let router = Router::new().fallback(move |request: Request| async move { hook.answer(request).await });
        let router = common(router, &process, Arc::new(|_| "webhook"));
        listener::serve(listener, router, Some(web), process, limits, shutdown, drain).await;
    }
}

struct Hook {
    webhook_sink: Arc<dyn WebhookSink>,
    secrets: Vec<Secret>,
}

/// What the body of a request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookEvent {
    /// A batch is complete.
    Completed {
        /// The event's own id.
        event: Uuid,
        /// The batch.
        batch: Uuid,
    },
    /// Another event, which means nothing here.
    Other,
}

impl WebhookEvent {
    /// Reads a body; `None` if it is no event, or one whose ids are none.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<WebhookEvent> {
        // The rest is the vendor's.
        #[derive(Deserialize)]
        struct Event {
            #[serde(rename = "type")]
            kind: String,
            event_uuid: Option<String>,
            batch_id: Option<String>,
        }
        let event: Event = serde_json::from_slice(body).ok()?;
        if event.kind != COMPLETED {
            return Some(WebhookEvent::Other);
        }
        let uuid = |text: Option<String>| Uuid::try_parse(&text?).ok();
        Some(WebhookEvent::Completed { event: uuid(event.event_uuid)?, batch: uuid(event.batch_id)? })
    }
}

impl Hook {
    /// Whether the path is the webhook's. Digests have one length, so the comparison takes the same time for any guess.
    fn is_ours(&self, path: &str) -> bool {
        let Some(guess) = path.strip_prefix(PATH) else { return false };
        let guess = Sha256::digest(guess.as_bytes());
        let matches = self.secrets.iter().map(|secret| {
            Sha256::digest(secret.current().expose_secret().as_bytes()).as_slice().ct_eq(guess.as_slice())
        });
        bool::from(matches.fold(Choice::from(0), |any, matches| any | matches))
    }

    async fn answer(&self, request: Request) -> Response {
        if !self.is_ours(request.uri().path()) {
            self.webhook_sink.unmatched();
            return NOT_FOUND.into_response();
        }
        if *request.method() != Method::POST {
            return ([(ALLOW, "POST")], METHOD_NOT_ALLOWED).into_response();
        }
        let body = match body(request).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let (event, batch) = match WebhookEvent::read(&body) {
            Some(WebhookEvent::Completed { event, batch }) => (event, batch),
            Some(WebhookEvent::Other) => {
                self.webhook_sink.ignored();
                return received();
            }
            None => return self.malformed(),
        };
        match self.webhook_sink.completed(event, batch).await {
            Ok(Received::Accepted | Received::Duplicate) => received(),
            Ok(Received::Full) => later("Too many batches wait for confirmation.\n"),
            Err(NotDurable) => later("The event could not be stored.\n"),
        }
    }

    fn malformed(&self) -> Response {
        self.webhook_sink.malformed();
        (StatusCode::BAD_REQUEST, "Not a webhook event.\n").into_response()
    }
}

/// The request's body, or the answer that refuses it.
async fn body(request: Request) -> Result<Bytes, Response> {
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, "The event is larger than 64 KiB.\n").into_response();
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > LARGEST as u64) {
        return Err(too_large());
    }
    match Limited::new(request.into_body(), LARGEST).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err((StatusCode::BAD_REQUEST, "The event did not arrive whole.\n").into_response()),
    }
}

fn received() -> Response {
    Json(serde_json::json!({ "status": "received" })).into_response()
}

fn later(text: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "60")], text).into_response()
}
