//! What the vendors report, typed.
//!
//! Flows in: parsed answers. Flows out: these records, to `domain`.
//! Invariant: only what is counted is here. Phone, zip, creator, authorizer, metadata, last four card digits, reference
//! and description have no field, so nothing downstream can leak them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::money::Usd;

/// The wallet's balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What is left; may be negative.
    pub amount: Usd,
    /// When the vendor computed it.
    pub as_of: DateTime<Utc>,
}

/// Money out of and into the wallet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Spent.
    pub debit: Usd,
    /// Paid in.
    pub credit: Usd,
}

/// One UTC day of the consumption report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayConsumption {
    /// The day's own totals. The parts below need not add up to them.
    pub total: Flow,
    /// By origin, names as the vendor wrote them.
    pub by_origin: BTreeMap<String, Flow>,
    /// Debits by API path, names as the vendor wrote them.
    pub by_path: BTreeMap<String, Usd>,
}

/// A consumption report by UTC day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumptionReport {
    /// First day that was asked for.
    pub from: NaiveDate,
    /// Last day that was asked for, inclusive.
    pub to: NaiveDate,
    /// The days that the vendor answered; a day in the range that is missing here is the vendor's "nothing".
    pub days: BTreeMap<NaiveDate, DayConsumption>,
    /// Debits by hour, of days that were asked for by hour.
    pub hourly: Option<HourlyDebits>,
}

/// Debits by UTC hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourlyDebits {
    /// First day that was asked for by hour.
    pub from: NaiveDate,
    /// Last day that was asked for by hour, inclusive.
    pub to: NaiveDate,
    /// By hours since 1970; an hour of these days that is missing here is the vendor's "nothing".
    pub debits: BTreeMap<i64, Usd>,
}

/// State of a card transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CardStatus {
    /// 0: not ended yet.
    Pending,
    /// 1
    Paid,
    /// 2
    Failed,
    /// A number that is not documented, or none.
    Unknown,
}

impl CardStatus {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CardStatus::Pending => "pending",
            CardStatus::Paid => "paid",
            CardStatus::Failed => "failed",
            CardStatus::Unknown => "unknown",
        }
    }
}

/// One credit-card transaction on the wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardTransaction {
    /// The vendor's id; unique in the wallet.
    pub id: i64,
    /// Credits bought, in dollars; negative for a refund. `None` (null) only while the status is neither paid nor failed.
    pub credits: Option<Usd>,
    /// Sales tax, zero if the vendor gave none.
    pub sales_tax: Usd,
    /// The processor's fee, zero if the vendor gave none.
    pub processing_fee: Usd,
    /// As the vendor wrote it; empty if it gave none.
    pub card_brand: String,
    /// Where it stands.
    pub status: CardStatus,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Result of one balance check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl CheckStatus {
    /// Every status.
    pub const ALL: [CheckStatus; 8] = [
        CheckStatus::Success,
        CheckStatus::NoMatch,
        CheckStatus::AccountClosed,
        CheckStatus::BankUnsupported,
        CheckStatus::RetrievalFailed,
        CheckStatus::RetryLimit,
        CheckStatus::ProcessingError,
        CheckStatus::Unknown,
    ];

    /// The label value: the vendor's own word in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CheckStatus::Success => "success",
            CheckStatus::NoMatch => "no_match",
            CheckStatus::AccountClosed => "account_closed",
            CheckStatus::BankUnsupported => "bank_unsupported",
            CheckStatus::RetrievalFailed => "retrieval_failed",
            CheckStatus::RetryLimit => "retry_limit",
            CheckStatus::ProcessingError => "processing_error",
            CheckStatus::Unknown => "unknown",
        }
    }
}

/// How a balance check was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubmittedVia {
    /// `Creator` is empty.
    Api,
    /// `Creator` names a person, who is not kept.
    Dashboard,
}

impl SubmittedVia {
    /// Both ways.
    pub const ALL: [SubmittedVia; 2] = [SubmittedVia::Api, SubmittedVia::Dashboard];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SubmittedVia::Api => "api",
            SubmittedVia::Dashboard => "dashboard",
        }
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl RowReject {
    /// Every reason.
    pub const ALL: [RowReject; 4] = [RowReject::Columns, RowReject::Balance, RowReject::Timestamp, RowReject::BatchId];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RowReject::Columns => "columns",
            RowReject::Balance => "balance",
            RowReject::Timestamp => "timestamp",
            RowReject::BatchId => "batch_id",
        }
    }
}

/// Takes the rows of an export as they stream by.
pub trait RowSink: Send {
    /// A row that parsed.
    fn row(&mut self, row: &CheckRow<'_>);
    /// A row that did not; `batch_id` where it could be told (a batch that was asked for).
    fn rejected(&mut self, reason: RowReject, batch_id: Option<Uuid>);
}
