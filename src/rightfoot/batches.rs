//! The balance-check batches: from the export to counters of settled batches.
//!
//! Invariant: only what is counted has a field; phone, zip, creator, authorizer and metadata have none.

pub mod batch;
pub mod export;
pub mod families;
pub mod names;
pub mod poll;
pub mod table;
pub mod tallies;
pub mod tally;
mod tally_text;
mod timestamp;
pub mod totals;
pub(super) mod wire;

use chrono::{DateTime, Utc};
use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use crate::money::Usd;

/// Result of one balance check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum CheckStatus {
    /// A balance was found (or should have been: it may still be empty).
    Success,
    /// `NO_MATCH`
    NoMatch,
    /// `ACCOUNT_CLOSED`
    AccountClosed,
    /// `BANK_UNSUPPORTED`
    BankUnsupported,
    /// `RETRIEVAL_FAILED`
    RetrievalFailed,
    /// `RETRY_LIMIT`
    RetryLimit,
    /// `PROCESSING_ERROR`
    ProcessingError,
    /// Anything else.
    Unknown,
}

/// How a balance check was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum SubmittedVia {
    /// `Creator` is empty.
    Api,
    /// `Creator` names a person, who is not kept.
    Dashboard,
}

/// One row of the balance-check export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRow<'a> {
    /// The batch that the row itself names; always one that was asked for.
    pub batch_id: Uuid,
    /// The institution's name as the vendor wrote it (invalid UTF-8 replaced).
    pub institution: &'a str,
    /// The balance, if there is one.
    pub balance: Option<Usd>,
    /// The result.
    pub status: CheckStatus,
    /// How it was submitted.
    pub via: SubmittedVia,
    /// When the result was recorded.
    pub timestamp: DateTime<Utc>,
}

/// Why a row of the export was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum RowReject {
    /// More or fewer columns than the header, or not UTF-8 where text is needed.
    Columns,
    /// The balance is not an amount.
    Balance,
    /// The timestamp is not a time.
    Timestamp,
    /// The batch id is not a UUID, or of a batch that was not asked for.
    BatchId,
}

/// Takes the rows of an export as they stream by.
pub trait RowSink: Send {
    /// A row that parsed.
    fn row(&mut self, row: &CheckRow<'_>);
    /// A row that did not; `batch_id` where it could be told (a batch that was asked for).
    fn rejected(&mut self, reason: RowReject, batch_id: Option<Uuid>);
}
