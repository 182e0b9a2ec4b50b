//! Single JSON values as these vendors write them.
//!
//! Flows in: the raw text of one JSON value. Flows out: an exact amount, an integer, a time or a text.
//! Invariant: a number keeps every digit, because it is read from its text and never passes through a float; the same
//! number in quotes is the same number.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::money::{MoneyError, Usd};
use crate::upstream::ParseError;

/// The text of a number, whether it is written bare or in quotes.
fn digits(raw: &str) -> &str {
    raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw)
}

/// An amount of dollars.
pub(super) fn amount(raw: &str, field: &str) -> Result<Usd, ParseError> {
    Usd::parse(digits(raw)).map_err(|error| match error {
        MoneyError::NotANumber => ParseError::decode(format!("{field} is not a decimal number")),
        MoneyError::TooLarge => ParseError::implausible(format!("{field} is beyond 1e12 dollars")),
    })
}

/// A whole number.
pub(super) fn integer(raw: &str, field: &str) -> Result<i64, ParseError> {
    digits(raw).parse().map_err(|_| ParseError::decode(format!("{field} is not a whole number")))
}

/// A text; borrowed where it holds no escapes.
pub(super) fn text<'a>(raw: &'a str, field: &str) -> Result<Cow<'a, str>, ParseError> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        _ => {
            serde_json::from_str(raw).map(Cow::Owned).map_err(|_| ParseError::decode(format!("{field} is not a text")))
        }
    }
}

/// A point in time with its offset.
pub(super) fn time(raw: &str, field: &str) -> Result<DateTime<Utc>, ParseError> {
    DateTime::parse_from_rfc3339(&text(raw, field)?)
        .map(|time| time.to_utc())
        .map_err(|_| ParseError::decode(format!("{field} is not an RFC 3339 time")))
}
