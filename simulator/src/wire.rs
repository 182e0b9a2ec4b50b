//! What goes over the wire: a parsed request, and an answer that is not sent yet.
//!
//! Flows in: a request's head. Flows out: status, headers and a body, whole or as a stream.
//! Invariant: the answers here are the documented ones; faults are applied to them afterwards, elsewhere.

pub(crate) mod balance;
pub(crate) mod balances_csv;
pub(crate) mod cards;
pub(crate) mod consumption;
pub(crate) mod table;
pub(crate) mod transactions_csv;

use bytes::Bytes;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// One of the four endpoints; the consumption report's CSV is told apart from its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `GET /api/v1/wallet/balance`
    Balance,
    /// `GET /api/v1/wallet/consumption-report`
    ConsumptionReport,
    /// The same with `format=csv`
    ConsumptionCsv,
    /// `GET /api/v1/wallet/credit-card-transactions`
    CreditCardTransactions,
    /// `GET /v1/balances/csv`
    BalancesCsv,
}

impl Operation {
    /// Each endpoint, in its usual form.
    pub const ALL: [Operation; 4] =
        [Operation::Balance, Operation::ConsumptionReport, Operation::CreditCardTransactions, Operation::BalancesCsv];

    /// Where it is found.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Operation::Balance => "/api/v1/wallet/balance",
            Operation::ConsumptionReport | Operation::ConsumptionCsv => "/api/v1/wallet/consumption-report",
            Operation::CreditCardTransactions => "/api/v1/wallet/credit-card-transactions",
            Operation::BalancesCsv => "/v1/balances/csv",
        }
    }

    /// Whose endpoint it is.
    pub(crate) fn vendor(self) -> Vendor {
        match self {
            Operation::Balance
            | Operation::ConsumptionReport
            | Operation::ConsumptionCsv
            | Operation::CreditCardTransactions => Vendor::BatchData,
            Operation::BalancesCsv => Vendor::Rightfoot,
        }
    }

    /// The permission that a token needs for it; the balance checks know none.
    #[must_use]
    pub fn permission(self) -> Option<&'static str> {
        match self {
            Operation::Balance => Some("wallet-balance"),
            Operation::ConsumptionReport | Operation::ConsumptionCsv => Some("wallet-consumption-report"),
            Operation::CreditCardTransactions => Some("wallet-credit-card-transactions"),
            Operation::BalancesCsv => None,
        }
    }

    pub(crate) fn of(request: &Request) -> Option<Operation> {
        let found = Operation::ALL.into_iter().find(|operation| operation.path() == request.path)?;
        let csv = found == Operation::ConsumptionReport && request.parameter("format") == Some("csv");
        Some(if csv { Operation::ConsumptionCsv } else { found })
    }
}

/// Whose token a request needs, and whose errors it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    BatchData,
    Rightfoot,
}

impl Vendor {
    /// The answer to a request that the vendor refuses.
    pub(crate) fn refused(self, status: u16, message: &str) -> Reply {
        match self {
            Vendor::BatchData => Reply::refused(status, message),
            Vendor::Rightfoot => balances_csv::refused(status, message),
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) authorization: Option<String>,
    pub(crate) keep_alive: bool,
    /// The body is said to be JSON.
    pub(crate) json: bool,
    /// A browser sends it for a page.
    pub(crate) from_page: bool,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The last value of a parameter, as PHP reads it; an empty one counts as absent.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether the right bearer token came with it.
    pub(crate) fn bears(&self, token: &str) -> bool {
        self.authorization.as_deref().and_then(|value| value.strip_prefix("Bearer ")) == Some(token)
    }
}

/// A body: whole, or made while it is sent.
pub(crate) enum Body {
    Whole(Bytes),
    Stream(Box<dyn Iterator<Item = Bytes> + Send>),
}

impl Body {
    /// All of it; a stream is made to its end.
    pub(crate) fn whole(self) -> Bytes {
        let collect = |mut all: Vec<u8>, piece: Bytes| {
            all.extend_from_slice(&piece);
            all
        };
        match self {
            Body::Whole(bytes) => bytes,
            Body::Stream(pieces) => pieces.fold(Vec::new(), collect).into(),
        }
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Reply {
        Reply { status, headers: vec![("Content-Type", content_type.to_owned())], body: Body::Whole(body.into()) }
    }

    pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Reply {
        Reply::new(status, "application/json", body)
    }

    /// The wallet's envelope around a result.
    pub(crate) fn results(results: &str) -> Reply {
        Reply::json(200, format!(r#"{{"results":{results},"status":{{"code":200,"message":"OK"}}}}"#))
    }

    /// The wallet's answer to a request that it refuses.
    pub(crate) fn refused(status: u16, message: &str) -> Reply {
        let text = reason(status);
        let body = serde_json::json!({"status": {"code": status, "text": text, "message": message}});
        Reply::json(status, body.to_string())
    }

    /// The wallet's answer to too many requests.
    pub(crate) fn throttled() -> Reply {
        Reply::json(429, r#"{"message":"Too Many Attempts."}"#)
    }

    /// A streamed file.
    pub(crate) fn file(content_type: &str, name: &str, rows: impl Iterator<Item = Bytes> + Send + 'static) -> Reply {
        Reply {
            status: 200,
            headers: vec![
                ("Content-Type", content_type.to_owned()),
                ("Content-Disposition", format!("attachment; filename=\"{name}\"")),
            ],
            body: Body::Stream(Box::new(rows)),
        }
    }
}

/// What goes with a status on the first line.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// The validation errors of a request's parameters, in the shape that Laravel gives them.
#[derive(Default)]
pub(crate) struct Invalid(Vec<(&'static str, String)>);

impl Invalid {
    pub(crate) fn push(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push((field, message.into()));
    }

    /// The 422, if there was an error.
    pub(crate) fn reply(self) -> Option<Reply> {
        let (_, first) = self.0.first()?;
        let message = match self.0.len() - 1 {
            0 => first.clone(),
            1 => format!("{first} (and 1 more error)"),
            more => format!("{first} (and {more} more errors)"),
        };
        let mut errors = serde_json::Map::new();
        for (field, message) in &self.0 {
            if let Some(list) = errors.entry(*field).or_insert_with(|| serde_json::json!([])).as_array_mut() {
                list.push(message.as_str().into());
            }
        }
        Some(Reply::json(422, serde_json::json!({"message": message, "errors": errors}).to_string()))
    }

    /// A date parameter, if it is there and is one.
    pub(crate) fn date(&mut self, request: &Request, field: &'static str) -> Option<NaiveDate> {
        let text = request.parameter(field)?;
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
        if date.is_none() {
            self.push(field, format!("The {} field must be a valid date.", words(field)));
        }
        date
    }
}

/// A parameter's name as Laravel writes it in a message.
pub(crate) fn words(field: &str) -> String {
    field.replace('_', " ")
}

/// Text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A CSV field, quoted where it must be.
pub(crate) fn csv_field(out: &mut Vec<u8>, field: &[u8]) {
    if field.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.push(b'"');
        for byte in field {
            if *byte == b'"' {
                out.push(b'"');
            }
            out.push(*byte);
        }
        out.push(b'"');
    } else {
        out.extend_from_slice(field);
    }
}

/// Seconds since 1970 as a time; a time that no calendar holds becomes 1970.
pub(crate) fn time(seconds: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}
