//! Which path answers what.
//!
//! Flows in: requests. Flows out: answers from the [`Site`]. Invariant: without valid credentials, where they are asked
//! for, every path answers alike.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use url::form_urlencoded;

use super::connection::Peer;
use super::layers::{METHOD_NOT_ALLOWED, NOT_FOUND, common};
use super::shared::Shared;
use super::site::Site;
use super::web::{AuthOutcome, Web};
use super::{document, gate, negotiate, page, poll_now, status};
use crate::config::paths::{DOCUMENTATION, GATE, HEALTHY, PAGE, POLL, READY, RELOAD, RUNBOOKS, STATUS, TARGETS};
use crate::exposition::{Rendered, end};
use crate::instruments::{Handler, ProcessInstruments};

/// Answers up to this size are sent in one piece.
const COPIED: usize = 256 * 1024;

/// The routes of the exposition's server.
pub(super) fn routes(
    site: Arc<dyn Site>,
    telemetry_path: &str,
    enable_lifecycle: bool,
    web: Web,
    process: &Arc<ProcessInstruments>,
    shutdown: CancellationToken,
) -> Router {
    let shared =
        Shared { site, telemetry_path: telemetry_path.into(), enable_lifecycle, shutdown, reloading: Arc::default() };
    let handlers = {
        let telemetry_path = Arc::clone(&shared.telemetry_path);
        move |path: Option<&str>| match path {
            Some(path) if *path == *telemetry_path => Handler::Metrics,
            Some(PAGE) => Handler::Page,
            Some(STATUS | TARGETS) => Handler::Status,
            Some(GATE) => Handler::Gate,
            Some(DOCUMENTATION | RUNBOOKS) => Handler::Documentation,
            Some(HEALTHY | READY) => Handler::Health,
            Some(RELOAD) => Handler::Reload,
            Some(POLL) => Handler::Poll,
            _ => Handler::Other,
        }
    };
    let router = Router::new()
        .route(PAGE, get(page))
        .route(STATUS, get(status::answer))
        .route(TARGETS, get(targets))
        .route(DOCUMENTATION, get(async || document::answer("Documentation", document::DOCUMENTATION)))
        .route(RUNBOOKS, get(async || document::answer("Runbooks", document::RUNBOOKS)))
        .layer(CompressionLayer::new())
        .route(telemetry_path, get(metrics))
        .route(GATE, get(gate::answer))
        .route(RELOAD, post(reload))
        .route(POLL, post(poll_now::answer))
        .fallback(async || NOT_FOUND)
        .method_not_allowed_fallback(async || METHOD_NOT_ALLOWED)
        .layer(from_fn_with_state(web.clone(), authenticated))
        // Probes have no password, and learn nothing.
        .route(HEALTHY, get("Healthy.\n"))
        .route(READY, get(ready))
        .method_not_allowed_fallback(async || METHOD_NOT_ALLOWED)
        .layer(map_response_with_state(web, configured_headers))
        .with_state(shared);
    common(router, process, Arc::new(handlers))
}

/// Lets pass who may.
async fn authenticated(State(web): State<Web>, request: Request, next: Next) -> Response {
    let from = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    match web.validate(request.headers(), from).await {
        AuthOutcome::Allowed => next.run(request).await,
        AuthOutcome::Denied => {
            let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"wallet-exporter\", charset=\"UTF-8\"")];
            (StatusCode::UNAUTHORIZED, challenge, "Unauthorized.\n").into_response()
        }
        AuthOutcome::Busy => {
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], "Too many credentials are being checked.\n")
                .into_response()
        }
        AuthOutcome::TooMany => (StatusCode::TOO_MANY_REQUESTS, "Too many requests.\n").into_response(),
    }
}

async fn configured_headers(State(web): State<Web>, mut response: Response) -> Response {
    web.add_headers(response.headers_mut());
    response
}

async fn metrics(State(shared): State<Shared>, headers: HeaderMap, uri: Uri) -> Response {
    let (format, gzip) = (negotiate::format(&headers), negotiate::gzip(&headers));
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let accounts: Vec<String> =
        query.filter(|(name, _)| name == "account").map(|(_, value)| value.into_owned()).collect();
    let parts = if accounts.is_empty() {
        shared.site.rendered(format).body(gzip, shared.site.gathered(format))
    } else {
        let names: Vec<&str> = accounts.iter().map(String::as_str).collect();
        let Some(slice) = shared.site.slice(format, &names) else {
            return (StatusCode::NOT_FOUND, "No account of that name is configured.\n").into_response();
        };
        Rendered::new(slice).body(gzip, end(format).as_bytes().to_vec())
    };
    let length: usize = parts.iter().map(Bytes::len).sum();
    // A copy of a small answer costs less than a second write.
    let body = match length {
        ..=COPIED => Body::from(parts.concat()),
        _ => Body::from_stream(stream::iter(parts.map(Ok::<_, Infallible>))),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, negotiate::content_type(format));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A group of targets, as Prometheus' HTTP service discovery reads it.
#[derive(Serialize)]
struct TargetGroup {
    targets: [String; 1],
    labels: BTreeMap<String, String>,
}

/// The exporter's own families as one target and each account name as another.
async fn targets(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(sound) {
        return (StatusCode::BAD_REQUEST, "The request needs a Host header: targets are named by it.\n")
            .into_response();
    }
    let group = |account: &str, instance: String, more: BTreeMap<String, String>| {
        let more = more.into_iter().map(|(name, value)| (format!("__meta_wallet_exporter_label_{name}"), value));
        let own = [("__param_account".to_owned(), account.to_owned()), ("instance".to_owned(), instance)];
        TargetGroup { targets: [host.to_owned()], labels: own.into_iter().chain(more).collect() }
    };
    let accounts = shared.site.account_names().into_iter();
    let accounts = accounts.map(|(name, labels)| group(&name, format!("{host}/{name}"), labels));
    let own = group("", host.to_owned(), BTreeMap::new());
    Json(std::iter::once(own).chain(accounts).collect::<Vec<_>>()).into_response()
}

async fn page(State(shared): State<Shared>, uri: Uri) -> Response {
    let mut query = page::PageQuery::default();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match &*name {
            "refresh" => query.still = value == "off",
            "account" if !value.is_empty() => query.account = Some(value.into_owned()),
            "search" if !value.trim().is_empty() => query.search = Some(value.into_owned()),
            _ => {}
        }
    }
    page::answer(shared.site.status(), &shared.telemetry_path, &query)
}

async fn ready(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.site.ready() && !shared.shutdown.is_cancelled() {
        (StatusCode::OK, "Ready.\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Not ready.\n")
    }
}

async fn reload(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let off = "Reloading over HTTP is off. Start with --web.enable-lifecycle to allow it, or send SIGHUP.\n";
    if let Some(refusal) = shared.refusal(&headers, off) {
        return refusal;
    }
    // It reads files. Those who wait hold no thread.
    let reloading = Arc::clone(&shared.reloading);
    let _one_at_a_time = reloading.lock().await;
    match tokio::task::spawn_blocking(move || shared.site.reload()).await {
        Ok(Ok(())) => "Reloaded.\n".into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error + "\n").into_response(),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
