//! The head of an answer.
//!
//! Flows in: status and headers. Flows out: the class of a failed status, `Retry-After`, the vendor's time, how the body
//! is framed. Invariant: header values never leave this file as text.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER, TRANSFER_ENCODING,
};

use super::error::Reason;

/// What kind of body was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    Json,
    Csv,
}

impl MediaType {
    pub(super) fn accept(self) -> &'static str {
        match self {
            MediaType::Json => "application/json",
            MediaType::Csv => "text/csv",
        }
    }

    fn is(self, essence: &str) -> bool {
        match self {
            MediaType::Json => {
                let structured = |essence: &str| essence.starts_with("application/") && essence.ends_with("+json");
                essence == "application/json" || structured(essence)
            }
            MediaType::Csv => essence == "text/csv",
        }
    }
}

/// The class of a status that is not 200, with safe words.
pub(super) fn failure(status: StatusCode) -> Option<(Reason, String)> {
    let code = status.as_u16();
    let reason = match code {
        200 => return None,
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        429 => Reason::RateLimited,
        300..=399 => Reason::Redirect,
        400..=499 => Reason::ClientError,
        500..=599 => Reason::ServerError,
        // 1xx, another 2xx, or beyond HTTP: not an answer to these requests.
        _ => Reason::Decode,
    };
    let words = match code {
        401 => "HTTP 401: the token was rejected".to_owned(),
        403 => "HTTP 403: the token lacks a permission".to_owned(),
        429 => "HTTP 429: too many requests".to_owned(),
        _ => format!("HTTP {code}"),
    };
    Some((reason, words))
}

/// What is wrong with the type of the body, if anything.
pub(super) fn wrong_type(kind: MediaType, headers: &HeaderMap) -> Option<String> {
    if text(headers, CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Some("the body is compressed although no compression was offered".to_owned());
    }
    let Some(value) = text(headers, CONTENT_TYPE) else {
        return Some(format!("no content type where {} was expected", kind.accept()));
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.is(&essence) {
        return None;
    }
    let hint = if essence == "text/html" { "an HTML page" } else { "another content type" };
    Some(format!("{hint} where {} was expected", kind.accept()))
}

/// Whether the transport itself would notice a body that was cut.
pub(super) fn is_framed(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH)
        || text(headers, TRANSFER_ENCODING).is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
}

/// The vendor's clock when it answered.
pub(super) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    http_date(text(headers, DATE)?)
}

/// How long the vendor wants to be left alone: seconds, or a date against the vendor's own clock.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER)?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a very long time; the wait has an upper limit.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = http_date(value)?;
    Some((until - date(headers).unwrap_or(now)).to_std().unwrap_or_default())
}

fn http_date(value: &str) -> Option<DateTime<Utc>> {
    httpdate::parse_http_date(value).ok().map(DateTime::<Utc>::from)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
