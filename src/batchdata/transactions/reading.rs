//! What a CSV adds up to.
//!
//! Flows in: rows as they stream by. Flows out: how many are alike, by UTC day. Invariant: of a row only its type, endpoint
//! and amount are kept, and memory is bounded: a day that has more kinds of rows than that is not taken.

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

/// What makes rows alike: type, endpoint, and for a debit its amount, which is zero for the others.
pub type Kind = (TransactionType, Arc<str>, Usd);

/// How many rows of each kind a day has.
pub type Rows = BTreeMap<Kind, i64>;

/// The rows of some days.
#[derive(Debug, Default)]
pub struct Reading {
    /// By UTC day; endpoints as the vendor names them, trimmed.
    pub days: BTreeMap<NaiveDate, Rows>,
    /// When each endpoint first occurred.
    pub first: BTreeMap<Arc<str>, DateTime<Utc>>,
    names: SharedNames,
    too_many: Option<NaiveDate>,
}

impl TransactionSink for Reading {
    fn row(&mut self, row: &Transaction<'_>) {
        if self.too_many.is_some() {
            return;
        }
        let (day, name) = (row.at.date_naive(), self.names.share(clean(&row.endpoint_name)));
        let rows = self.days.entry(day).or_default();
        let kind = (row.kind, Arc::clone(&name), row.debit());
        let full = rows.len() >= MOST_KINDS;
        match rows.get_mut(&kind) {
            Some(count) => *count += 1,
            None if full => {
                self.too_many = Some(day);
                self.days.clear();
            }
            None => {
                rows.insert(kind, 1);
            }
        }
        let first = self.first.entry(name).or_insert(row.at);
        *first = (*first).min(row.at);
    }
}

impl Reading {
    /// The reading, if it is within the bound.
    ///
    /// # Errors
    /// With [`Reason::TooLarge`] if it is not.
    pub fn bounded(self) -> Result<Reading, RequestError> {
        let Some(day) = self.too_many else { return Ok(self) };
        let words = format!(
            "{day} has more than {MOST_KINDS} different combinations of type, endpoint and amount: too many to count"
        );
        Err(RequestError::new(CONSUMPTION_CSV, Reason::TooLarge, words))
    }
}
