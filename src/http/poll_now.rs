//! `POST /-/poll`: looks at a source at once.
//!
//! Flows in: which source. Flows out: how an attempt ended that began after the request. Invariant: the answer comes within
//! [`PATIENCE`], and at once at shutdown.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Serialize;

use super::guard::Activity;
use super::query::parameters;
use super::shared::Shared;
use crate::names::Label as _;
use crate::poll::attempts::{PATIENCE, PollOutcome};
use crate::snapshot::AccountError;

#[derive(Serialize)]
struct PollAnswer<'a> {
    source: &'a str,
    outcome: &'static str,
    /// Why the attempt failed and what to do, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

pub(super) async fn answer(
    State(shared): State<Shared>,
    Extension(activity): Extension<Arc<Activity>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let off = "Polling over HTTP is off. Start with --web.enable-lifecycle to allow it.\n";
    if let Some(refusal) = shared.refusal(&headers, off) {
        return refusal;
    }
    let bad = |text: String| (StatusCode::BAD_REQUEST, text).into_response();
    let (account, source) = match parameters(&uri, ["account", "source"]) {
        Ok([account, Some(source)]) => (account, source),
        Ok([_, None]) => return bad("source is missing: write one that /api/v1/status shows.\n".to_owned()),
        Err(text) => return bad(text),
    };
    // It is not the client who is slow.
    activity.allow(PATIENCE);
    let polled = tokio::select! {
        polled = shared.site.poll(account.as_deref(), &source) => polled,
        () = shared.shutdown.cancelled() => {
            return (StatusCode::SERVICE_UNAVAILABLE, "The exporter is stopping.\n").into_response();
        }
    };
    let json = |code, outcome, message| (code, Json(PollAnswer { source: &source, outcome, message })).into_response();
    match polled {
        Ok(PollOutcome::Ended(Ok(()))) => json(StatusCode::OK, "ok", None),
        Ok(PollOutcome::Ended(Err(error))) => {
            json(StatusCode::BAD_GATEWAY, error.reason.as_str(), Some(error.to_string()))
        }
        Ok(PollOutcome::Pending) => json(StatusCode::ACCEPTED, "pending", None),
        Ok(PollOutcome::Paused(left)) => {
            let mut answer = json(StatusCode::TOO_MANY_REQUESTS, "paused", None);
            answer.headers_mut().insert(RETRY_AFTER, (left.as_secs() + 1).into());
            answer
        }
        Err(AccountError::Unknown) => {
            let text = "No account of that name with that source is configured: see /api/v1/status.\n";
            (StatusCode::NOT_FOUND, text).into_response()
        }
        Err(AccountError::Several) => bad("Several accounts have that source: name one with account.\n".to_owned()),
    }
}
