//! The webhook's server.
//!
//! Flows in: events, sent to a path that ends in the secret. Flows out: their bodies to the account's sink, and its answer. Invariants: without the secret every answer is the same 404, whatever the method or the path; the
//! secret is compared in constant time and is in no message; nothing else is served here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::guard::ConnectionLimits;
use super::layers::{METHOD_NOT_ALLOWED, NOT_FOUND, common};
use super::listener;
use super::server::ServeError;
use super::web::Web;
use crate::instruments::{Handler, ProcessInstruments};
use crate::poll::builder::{DRAIN, Webhook};
use crate::poll::webhook_sink::{Received, WebhookSink};

/// Followed by the vendor's name and the secret.
const PATH: &str = "/webhooks/";
/// The largest event. The documented ones have a few hundred bytes.
const LARGEST: usize = 64 * 1024;

/// How to serve the webhook.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Where to listen.
    pub listen: String,
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
    pub fn new(listen: String) -> WebhookOptions {
        // One vendor calls, now and then.
        let limits =
            ConnectionLimits { connections: 128, idle: Duration::from_secs(30), ..ConnectionLimits::default() };
        WebhookOptions { listen, web_config: None, limits, drain: DRAIN }
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

    /// Answers until `shutdown`, then finishes what is open. Requests are counted by `process`, those without a right
    /// secret by `unmatched`.
    pub async fn run(
        self,
        webhooks: Webhooks,
        unmatched: Unmatched,
        process: Arc<ProcessInstruments>,
        shutdown: CancellationToken,
    ) {
        let WebhookServer { listener, web, options, .. } = self;
        let (limits, drain) = (options.limits, options.drain);
        let hook = Arc::new(Hook { webhooks, unmatched });
        // One handler for every path, so that a wrong one cannot be told from a wrong secret.
        let router = Router::new().fallback(move |request: Request| async move { hook.answer(request).await });
        let router = common(router, &process, Arc::new(|_| Handler::Webhook));
        listener::serve(listener, router, Some(web), process, limits, shutdown, drain).await;
    }
}

/// Counts a request without a right secret.
pub(super) type Unmatched = Box<dyn Fn() + Send + Sync>;

/// The webhooks of all accounts, which may change.
pub type Webhooks = Arc<ArcSwap<Vec<Webhook>>>;

struct Hook {
    webhooks: Webhooks,
    unmatched: Unmatched,
}

impl Hook {
    /// The sink whose path this is. Digests have one length, so the comparison takes the same time for any guess.
    fn sink(&self, path: &str) -> Option<Arc<dyn WebhookSink>> {
        let (vendor, guess) = path.strip_prefix(PATH)?.split_once('/')?;
        let guess = Sha256::digest(guess.as_bytes());
        let mut found = None;
        let webhooks = self.webhooks.load();
        for webhook in webhooks.iter().filter(|webhook| webhook.sink.vendor().name == vendor) {
            let matches = webhook.secrets.iter().map(|secret| {
                Sha256::digest(secret.current().expose_secret().as_bytes()).as_slice().ct_eq(guess.as_slice())
            });
            if bool::from(matches.fold(Choice::from(0), |any, matches| any | matches)) {
                found = Some(Arc::clone(&webhook.sink));
            }
        }
        found
    }

    async fn answer(&self, request: Request) -> Response {
        let Some(sink) = self.sink(request.uri().path()) else {
            (self.unmatched)();
            return NOT_FOUND.into_response();
        };
        if *request.method() != Method::POST {
            return ([(ALLOW, "POST")], METHOD_NOT_ALLOWED).into_response();
        }
        let body = match body(request).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        match sink.receive(&body).await {
            Received::Done => Json(serde_json::json!({ "status": "received" })).into_response(),
            Received::Malformed => (StatusCode::BAD_REQUEST, "Not a webhook event.\n").into_response(),
            Received::Later(text) => (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "60")], text).into_response(),
        }
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
