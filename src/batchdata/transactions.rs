//! The wallet's transactions: the consumption report as CSV, one row each; counted by type and endpoint.
//!
//! Invariant: `Reference ID` and `Description` are personal: they are borrowed for the length of one call, and only an
//! export that was told to include them looks at them.

pub mod families;
pub mod ledger;
pub mod poll;
pub mod reading;
pub mod table;
pub(super) mod wire;

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::money::Usd;

/// What a transaction does to the balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum TransactionType {
    /// `Debit`
    Debit,
    /// `Credit`
    Credit,
    /// Anything else: its amount enters no sum.
    Other,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Its type.
    pub kind: TransactionType,
    /// Its type as the vendor wrote it (invalid UTF-8 replaced, as in all texts here).
    pub kind_text: Cow<'a, str>,
    /// The amount, signed as the vendor signs it.
    pub amount: Usd,
    /// The wallet's balance after it, where it is given.
    pub balance_after: Option<Usd>,
    /// The origin; may be empty.
    pub origin: Cow<'a, str>,
    /// The CSV's own name of the endpoint, which is not an API path; may be empty.
    pub endpoint_name: Cow<'a, str>,
    /// The two personal fields.
    pub personal: Personal<'a>,
}

/// `Reference ID` and `Description`.
#[derive(Clone, PartialEq, Eq)]
pub struct Personal<'a> {
    /// `Reference ID`
    pub reference_id: Cow<'a, str>,
    /// `Description`
    pub description: Cow<'a, str>,
}

impl fmt::Debug for Personal<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Personal")
    }
}

impl Transaction<'_> {
    /// What was spent.
    #[must_use]
    pub fn debit(&self) -> Usd {
        if self.kind == TransactionType::Debit { self.amount } else { Usd::ZERO }
    }

    /// What was paid in.
    #[must_use]
    pub fn credit(&self) -> Usd {
        if self.kind == TransactionType::Credit { self.amount } else { Usd::ZERO }
    }

    /// The balance before it, where the one after it is given and its type is known.
    #[must_use]
    pub fn balance_before(&self) -> Option<Usd> {
        let after = self.balance_after.filter(|_| self.kind != TransactionType::Other)?;
        Some(after + self.debit() - self.credit())
    }
}

/// Why a row was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum TransactionReject {
    /// More or fewer columns than the header.
    Columns,
    /// The date is none, or of a day that was not asked for.
    Date,
    /// The amount is none.
    Amount,
    /// The balance after it is there and is no amount.
    Balance,
}

/// Takes the rows of a CSV as they stream by.
pub trait TransactionSink: Send {
    /// A row that could be read.
    fn row(&mut self, row: &Transaction<'_>);
}
