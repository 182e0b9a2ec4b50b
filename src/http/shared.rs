//! What the handlers of the exposition's server share.
//!
//! Flows in: the [`Site`] and the options. Flows out: both, and the refusal of a request that acts and may not. Invariant:
//! a page of another site can make no browser act.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use axum::response::{IntoResponse as _, Response};
use tokio_util::sync::CancellationToken;

use super::site::Site;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) site: Arc<dyn Site>,
    pub(super) telemetry_path: Arc<str>,
    pub(super) enable_lifecycle: bool,
    pub(super) shutdown: CancellationToken,
    pub(super) reloading: Arc<tokio::sync::Mutex<()>>,
}

impl Shared {
    /// The answer to a request that acts and may not; `off` says how to allow it.
    pub(super) fn refusal(&self, headers: &HeaderMap, off: &'static str) -> Option<Response> {
        let text = match self.enable_lifecycle {
            _ if is_cross_site(headers) => "Refused: the request comes from a page of another site.\n",
            false => off,
            true => return None,
        };
        Some((StatusCode::FORBIDDEN, text).into_response())
    }
}

/// Whether a browser sends this for a page of another site.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.as_bytes());
    let foreign = |origin: &[u8]| {
        let host = text(HOST).unwrap_or_default();
        origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://")) != Some(host)
    };
    text(ORIGIN).is_some_and(foreign)
        || headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}
