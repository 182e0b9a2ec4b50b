//! The wallet's balance.
//!
//! Flows in: a balance answer. Flows out: a [`Balance`], exact. Invariant: only US dollars are a balance.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::batchdata::envelope::{self, ReadResults, Reading};
use crate::batchdata::{Balance, scalar};
use crate::upstream::ParseError;

/// How far the vendor's `asOf` may lie ahead of the vendor's own clock.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// Reads a balance answer; `now` is the vendor's clock.
///
/// # Errors
/// A [`ParseError`] of class `refused`, `decode`, `truncated` or `implausible`.
pub fn read_balance(body: &[u8], now: DateTime<Utc>) -> Result<Balance, ParseError> {
    let Wire { amount, currency, as_of } = envelope::read(body, Results)?;
    let amount = amount.ok_or_else(|| ParseError::decode("results.balance is missing or null"))?;
    let currency = currency.ok_or_else(|| ParseError::decode("results.currency is missing or null"))?;
    let as_of = as_of.ok_or_else(|| ParseError::decode("results.asOf is missing or null"))?;
    if scalar::text(currency.get(), "results.currency")? != "USD" {
        return Err(ParseError::implausible("results.currency is not USD"));
    }
    let balance = Balance {
        amount: scalar::amount(amount.get(), "results.balance")?,
        as_of: scalar::time(as_of.get(), "results.asOf")?,
    };
    if balance.as_of - now > AHEAD {
        return Err(ParseError::implausible("results.asOf is more than a day ahead of the vendor's clock"));
    }
    Ok(balance)
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "balance")]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    currency: Option<&'a RawValue>,
    #[serde(borrow, rename = "asOf")]
    as_of: Option<&'a RawValue>,
}

struct Results;

impl<'de> ReadResults<'de> for Results {
    type Value = Wire<'de>;
    fn read<D: Deserializer<'de>>(self, _reading: &Reading, deserializer: D) -> Result<Wire<'de>, D::Error> {
        Wire::deserialize(deserializer)
    }
}
