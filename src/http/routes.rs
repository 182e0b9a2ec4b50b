//! Which path answers what.
//!
//! Flows in: requests. Flows out: answers from the [`Site`]. Invariants: HEAD answers as GET does, without the body;
//! other methods get 405 with `Allow`, unknown paths 404; a panic is a 500, counted, and ends nothing else.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::connection;
use super::exposition;
use super::page;
use super::payload::Payload;
use super::requests::{Handler, Requests};
use super::respond::{JSON, fit_method, method_not_allowed, not_found, sentence, set, with_body};
use super::server::Options;
use super::site::Site;
use super::web::{Verdict, Web};
use crate::metrics::Appendix;

const PAGE: &str = "/";
const STATUS: &str = "/api/v1/status";
const DOCUMENTATION: &str = "/documentation";
const HEALTHY: &str = "/-/healthy";
const READY: &str = "/-/ready";
const RELOAD: &str = "/-/reload";

/// What explains every metric and variable of this version. No address outside is needed to read it.
const README: &str = include_str!("../../README.md");

/// The routes of the exposition's server.
pub(super) struct Routes {
    site: Arc<dyn Site>,
    options: Options,
    web: Web,
    requests: Arc<Requests>,
    appendix: Appendix,
    shutdown: CancellationToken,
}

impl Routes {
    pub(super) fn new(
        site: Arc<dyn Site>,
        options: Options,
        web: Web,
        requests: Arc<Requests>,
        shutdown: CancellationToken,
    ) -> Routes {
        Routes { site, options, web, requests, appendix: Appendix::default(), shutdown }
    }

    /// Whether the exposition can be served at this path.
    pub(super) fn serves_at(path: &str) -> bool {
        path.starts_with('/') && ![PAGE, STATUS, DOCUMENTATION, HEALTHY, READY, RELOAD].contains(&path)
    }

    fn route(&self, path: &str) -> Handler {
        match path {
            _ if path == self.options.telemetry_path => Handler::Metrics,
            PAGE => Handler::Page,
            STATUS => Handler::Status,
            DOCUMENTATION => Handler::Documentation,
            HEALTHY | READY => Handler::Health,
            RELOAD => Handler::Reload,
            _ => Handler::Other,
        }
    }

    async fn answer(&self, handler: Handler, request: &Request<Incoming>) -> Response<Payload> {
        let method = request.method();
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match handler {
            Handler::Reload if *method != Method::POST => method_not_allowed("POST"),
            Handler::Reload => self.reload().await,
            Handler::Other | Handler::Webhook => not_found(),
            _ if !reads => method_not_allowed("GET, HEAD"),
            Handler::Metrics => {
                exposition::answer(&self.site.exposition(), &self.appendix, &self.requests, request.headers())
            }
            Handler::Page => {
                let still = request.uri().query() == Some("refresh=off");
                page::answer(&self.site.status(), &self.options.telemetry_path, still)
            }
            Handler::Status => self.status(),
            Handler::Documentation => sentence(StatusCode::OK, README),
            Handler::Health if request.uri().path() == HEALTHY => sentence(StatusCode::OK, "Healthy.\n"),
            Handler::Health if self.site.ready() && !self.shutdown.is_cancelled() => {
                sentence(StatusCode::OK, "Ready.\n")
            }
            Handler::Health => sentence(StatusCode::SERVICE_UNAVAILABLE, "Not ready.\n"),
        }
    }

    fn status(&self) -> Response<Payload> {
        match serde_json::to_vec(&self.site.status()) {
            Ok(json) => with_body(StatusCode::OK, JSON, Payload::from_bytes(json)),
            Err(error) => {
                tracing::error!(%error, "the status cannot be written as JSON");
                sentence(StatusCode::INTERNAL_SERVER_ERROR, "Internal error.\n")
            }
        }
    }

    async fn reload(&self) -> Response<Payload> {
        if !self.options.enable_lifecycle {
            return sentence(
                StatusCode::FORBIDDEN,
                "Reloading over HTTP is off. Start with --web.enable-lifecycle to allow it, or send SIGHUP.\n",
            );
        }
        let site = Arc::clone(&self.site);
        // It reads files.
        match tokio::task::spawn_blocking(move || site.reload()).await {
            Ok(Ok(())) => sentence(StatusCode::OK, "Reloaded.\n"),
            Ok(Err(fault)) => {
                with_body(StatusCode::INTERNAL_SERVER_ERROR, super::respond::PLAIN, Payload::from_bytes(fault + "\n"))
            }
            Err(_) => {
                self.requests.panicked();
                sentence(StatusCode::INTERNAL_SERVER_ERROR, "Internal error.\n")
            }
        }
    }
}

impl connection::Handler for Routes {
    async fn handle(&self, request: Request<Incoming>) -> Response<Payload> {
        let _present = self.requests.begin();
        let handler = self.route(request.uri().path());
        let answer = async {
            match self.web.judge(request.headers()).await {
                Verdict::Welcome => self.answer(handler, &request).await,
                Verdict::Refused => {
                    let refusal = sentence(StatusCode::UNAUTHORIZED, "Unauthorized.\n");
                    set(refusal, WWW_AUTHENTICATE, "Basic realm=\"wallet-exporter\", charset=\"UTF-8\"")
                }
                Verdict::Busy => set(
                    sentence(StatusCode::SERVICE_UNAVAILABLE, "Too many credentials are being checked.\n"),
                    RETRY_AFTER,
                    "1",
                ),
            }
        };
        let answer = AssertUnwindSafe(answer).catch_unwind().await;
        let mut response = answer.unwrap_or_else(|_| {
            self.requests.panicked();
            tracing::error!(?handler, "a handler panicked");
            sentence(StatusCode::INTERNAL_SERVER_ERROR, "Internal error.\n")
        });
        self.web.add_headers(response.headers_mut());
        self.requests.answered(handler, response.status());
        fit_method(request.method(), response)
    }
}
