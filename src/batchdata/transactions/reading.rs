//! What a CSV adds up to.
//!
//! Flows in: rows as they stream by. Flows out: how many are alike, by UTC day. Invariant: of a row only its type, endpoint
//! and amount are kept, and memory is bounded: days that have more kinds of rows or more endpoints are not taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use super::{Transaction, TransactionSink, TransactionType};
use crate::batchdata::CONSUMPTION_CSV;
use crate::counting::labels::{SharedNames, clean};
use crate::money::Usd;
use crate::upstream::{Reason, RequestError};

/// The most kinds of rows of one day, about 10 MB in memory.
pub const MOST_KINDS: usize = 50_000;

/// The most different endpoints of one reading, at most 6 MB in memory; the consumption report may have as many.
pub const MOST_ENDPOINTS: usize = 10_000;

/// What makes rows alike: type, endpoint, and for a debit its amount, which is zero for the others.
pub type Kind = (TransactionType, Arc<str>, Usd);

/// How many rows of each kind a day has.
pub type DayRows = BTreeMap<Kind, i64>;

/// The rows of some days.
#[derive(Debug, Default)]
pub struct TransactionDays {
    /// By UTC day; endpoints as the vendor names them, trimmed.
    pub days: BTreeMap<NaiveDate, DayRows>,
    /// When each endpoint first occurred.
    pub first: BTreeMap<Arc<str>, DateTime<Utc>>,
    names: SharedNames,
    /// What there is too much of, in words.
    too_many: Option<String>,
}

impl TransactionSink for TransactionDays {
    fn row(&mut self, row: &Transaction<'_>) {
        if self.too_many.is_some() {
            return;
        }
        let (day, name) = (row.at.date_naive(), self.names.share(clean(&row.endpoint_name)));
        let rows = self.days.entry(day).or_default();
        *rows.entry((row.kind, Arc::clone(&name), row.debit())).or_default() += 1;
        let first = self.first.entry(name).or_insert(row.at);
        *first = (*first).min(row.at);
        let too_many = if rows.len() > MOST_KINDS {
            format!("{day} has more than {MOST_KINDS} different combinations of type, endpoint and amount")
        } else if self.names.count() > MOST_ENDPOINTS {
            format!("the transactions have more than {MOST_ENDPOINTS} different endpoints")
        } else {
            return;
        };
        *self = TransactionDays { too_many: Some(too_many), ..TransactionDays::default() };
    }
}

impl TransactionDays {
    /// The reading, if it is within the bound.
    ///
    /// # Errors
    /// With [`Reason::TooLarge`] if it is not.
    pub fn bounded(self) -> Result<TransactionDays, RequestError> {
        let Some(too_many) = self.too_many else { return Ok(self) };
        Err(RequestError::new(CONSUMPTION_CSV, Reason::TooLarge, format!("{too_many}: too many to count")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batchdata::transactions::wire::Transactions;

    /// A day with so many endpoints.
    fn reading(endpoints: usize) -> Result<TransactionDays, RequestError> {
        let (day, mut reading) = (NaiveDate::default(), TransactionDays::default());
        let mut rows = Transactions::new(day, day);
        let head = "Date,Type,Amount,Balance After,Origin,Reference ID,Endpoint,Description\n";
        rows.push(head.as_bytes(), &mut reading).unwrap();
        for number in 0..endpoints {
            rows.push(format!("{day} 00:00:00,Debit,1,,,,e{number},\n").as_bytes(), &mut reading).unwrap();
        }
        assert_eq!(rows.finish(&mut reading).unwrap().rows, endpoints as u64);
        reading.bounded()
    }

    #[test]
    fn more_endpoints_than_are_kept_are_too_large_and_that_is_said() {
        assert_eq!(reading(MOST_ENDPOINTS).unwrap().first.len(), MOST_ENDPOINTS, "the bound itself is not too many");
        let error = reading(MOST_ENDPOINTS + 2).unwrap_err();
        assert_eq!(error.reason, Reason::TooLarge);
        assert!(error.to_string().contains("more than 10000 different endpoints: too many to count"), "{error}");
    }
}
