//! Small answers.
//!
//! Flows in: a status and a sentence, a page or JSON. Flows out: an answer with the headers that every answer carries.
//! Invariant: nothing that a client sent is in an answer.

use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};

use super::payload::Payload;

/// Plain text.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
/// JSON.
pub(super) const JSON: &str = "application/json";

/// An answer with the headers that all have in common.
pub(super) fn with_body(status: StatusCode, content_type: &'static str, payload: Payload) -> Response<Payload> {
    let length = payload.length();
    let mut response = Response::new(payload);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A sentence.
pub(super) fn sentence(status: StatusCode, text: &'static str) -> Response<Payload> {
    with_body(status, PLAIN, Payload::from_bytes(text))
}

/// 404.
pub(super) fn not_found() -> Response<Payload> {
    sentence(StatusCode::NOT_FOUND, "Not found.\n")
}

/// 405.
pub(super) fn method_not_allowed(allow: &'static str) -> Response<Payload> {
    set(sentence(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.\n"), ALLOW, allow)
}

/// The same with a header set.
pub(super) fn set(mut response: Response<Payload>, name: HeaderName, value: &'static str) -> Response<Payload> {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// The answer to HEAD is the answer to GET without its body; its length stays in the header.
pub(super) fn fit_method(method: &Method, response: Response<Payload>) -> Response<Payload> {
    if *method == Method::HEAD { response.map(|_| Payload::empty()) } else { response }
}
