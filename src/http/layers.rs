//! What every answer has in common, whichever address it comes from.
//!
//! Flows in: a router. Flows out: the same router, counted, guarded and with common headers. Invariants: HEAD answers as
//! GET does, without the body; 405 and 404 say so in words; a panic is a 500, counted, and ends nothing else; nothing
//! that a client sent is in an answer.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse as _, Response};
use tower_http::catch_panic::CatchPanicLayer;

use crate::instruments::{Handler, ProcessInstruments};

/// Says what a request was for, by the route that it matched.
pub(super) type Handlers = Arc<dyn Fn(Option<&str>) -> Handler + Send + Sync>;

pub(super) const NOT_FOUND: (StatusCode, &str) = (StatusCode::NOT_FOUND, "Not found.\n");
pub(super) const METHOD_NOT_ALLOWED: (StatusCode, &str) = (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.\n");

/// Adds what is common; `handlers` are the values of the label.
pub(super) fn common(router: Router, process: &Arc<ProcessInstruments>, handlers: Handlers) -> Router {
    let panicking = Arc::clone(process);
    router
        .layer(CatchPanicLayer::custom(move |_: Box<dyn Any + Send>| {
            panicking.http_panics.inc();
            tracing::error!("a request was answered with 500 because its handler panicked");
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal error.\n").into_response()
        }))
        .layer(map_response(headers))
        .layer(from_fn_with_state((Arc::clone(process), handlers), count))
}

async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn count(
    State((process, handlers)): State<(Arc<ProcessInstruments>, Handlers)>,
    request: Request,
    next: Next,
) -> Response {
    let _present = process.request();
    let handler = handlers(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let response = next.run(request).await;
    process.answered(handler, response.status().as_str());
    response
}
