//! Why a request failed.
//!
//! Flows in: failed requests and bodies that cannot be parsed. Flows out: one [`RequestError`] that labels, logs and people can use.
//! Invariant: an error holds no body, no query string, no header value and no secret, so it may be shown anywhere.

use crate::names::Label as _;
use std::fmt;
use std::time::Duration;
use strum::{EnumString, IntoStaticStr, VariantArray};

use chrono::{DateTime, Utc};

use crate::names::Operation;

/// The class of a failure: the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 429.
    RateLimited,
    /// 5xx.
    ServerError,
    /// Any other 4xx.
    ClientError,
    /// 3xx: redirects are never followed.
    Redirect,
    /// No answer, or none that went on, in time.
    Timeout,
    /// DNS, TCP or TLS.
    Connect,
    /// HTTP 200 whose body says no.
    Refused,
    /// Wrong type or shape.
    Decode,
    /// The answer ended before it was complete.
    Truncated,
    /// The answer, or the number of its pages, is beyond what is accepted.
    TooLarge,
    /// Well-formed, and not to be believed.
    Implausible,
}

impl Reason {
    fn is_permanent(self) -> bool {
        matches!(self, Reason::Unauthorized | Reason::Forbidden | Reason::ClientError | Reason::Redirect)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A failed request.
#[derive(Clone, Debug)]
pub struct RequestError {
    /// The endpoint that was asked.
    pub operation: Operation,
    /// The class of the failure.
    pub reason: Reason,
    /// The HTTP status, if one came.
    pub status: Option<u16>,
    /// What the vendor's `Retry-After` asks for, at most an hour.
    pub retry_after: Option<Duration>,
    /// The vendor's clock as its `Date` header showed it.
    pub server_time: Option<DateTime<Utc>>,
    /// What was wrong, in a few words that are safe to show: no value that came from the vendor, but numbers and field names.
    pub detail: String,
    /// Whether the account is in an accounts file: then a remedy names the file's field, and not the variable.
    pub of_file: bool,
}

impl RequestError {
    /// A error with nothing but its class and a safe description.
    #[must_use]
    pub fn new(operation: Operation, reason: Reason, detail: impl Into<String>) -> RequestError {
        RequestError {
            operation,
            reason,
            status: None,
            retry_after: None,
            server_time: None,
            detail: detail.into(),
            of_file: false,
        }
    }

    /// Whether asking again soon is pointless: somebody has to change something first.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        // 408 and 425 ask for another try.
        self.reason.is_permanent() && !matches!(self.status, Some(408 | 425))
    }

    /// What happened and what to do, without the vendor, the endpoint and the class.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.advice() {
            Some(advice) => format!("{}; {advice}", self.detail),
            None => self.detail.clone(),
        }
    }

    /// What a person should do about it; `None` where waiting is enough.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        let secret = self.operation.vendor.secret_variable;
        let field = self.of_file.then(|| self.operation.vendor.secret_field());
        match self.reason {
            Reason::Unauthorized => Some(match field {
                Some(field) => format!("check {field}"),
                None => format!("check {secret} or {secret}_FILE"),
            }),
            Reason::Forbidden => Some(match field {
                Some(field) => self.operation.if_forbidden.replace(secret, &field),
                None => self.operation.if_forbidden.to_owned(),
            }),
            Reason::Redirect => Some("check the base URL: redirects are never followed".to_owned()),
            Reason::ClientError if self.status == Some(404) => Some("check the base URL".to_owned()),
            Reason::Connect => Some("check the base URL, DNS, the proxy and the CA certificates".to_owned()),
            // No answer was implausible, but what several say about the time.
            Reason::Implausible if self.status.is_none() => Some("check this machine's clock".to_owned()),
            Reason::Decode | Reason::Implausible | Reason::TooLarge => Some(
                "the answer is not what the vendor documents: look for a newer exporter, or tell the vendor".to_owned(),
            ),
            Reason::RateLimited
            | Reason::ServerError
            | Reason::ClientError
            | Reason::Timeout
            | Reason::Refused
            | Reason::Truncated => None,
        }
    }
}

impl fmt::Display for RequestError {
    /// One line: vendor, endpoint, class, what happened.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation { vendor, name, .. } = self.operation;
        write!(formatter, "{} {name}: {}: {}", vendor.title, self.reason, self.sentence())
    }
}

impl std::error::Error for RequestError {}
