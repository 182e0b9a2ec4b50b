//! The state of everything, as the page and `/api/v1/status` show it.
//!
//! Flows in: the last snapshot and the time. Flows out: plain data. Invariant: no personal data and no secret has a field.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// The whole state.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Git revision of the program.
    pub revision: String,
    /// When the process started.
    pub started_at: DateTime<Utc>,
    /// The time of this answer.
    pub now: DateTime<Utc>,
    /// Whether every enabled source has finished one attempt (or was restored) and no shutdown is under way.
    pub ready: bool,
    /// The ledger on disk.
    pub storage: StorageStatus,
    /// One per vendor account.
    pub accounts: Vec<AccountStatus>,
    /// Things that a person should look at, in plain words, such as missing thresholds.
    pub warnings: Vec<String>,
}

/// State of the storage.
#[derive(Clone, Debug, Serialize)]
pub struct StorageStatus {
    /// Whether anything is kept on disk.
    pub durable: bool,
    /// Whether the last write succeeded.
    pub up: bool,
    /// What the last failed write said.
    pub last_error: Option<String>,
}

/// One vendor account.
#[derive(Clone, Debug, Serialize)]
pub struct AccountStatus {
    /// `batchdata` or `rightfoot`.
    pub vendor: String,
    /// The label `account`.
    pub account: String,
    /// From when on the counters count.
    pub count_since: Option<DateTime<Utc>>,
    /// The wallet, of a BatchData account.
    pub wallet: Option<WalletStatus>,
    /// The batches, of a Rightfoot account.
    pub batches: Option<BatchesStatus>,
    /// Its sources.
    pub sources: Vec<SourceStatus>,
}

/// The wallet. Amounts are decimal text, exact.
#[derive(Clone, Debug, Serialize)]
pub struct WalletStatus {
    /// The last good balance, absent if it is unknown or too old.
    pub balance_usd: Option<String>,
    /// When the vendor computed it.
    pub balance_as_of: Option<DateTime<Utc>>,
    /// The warning threshold, if one is set.
    pub warning_balance_usd: Option<String>,
    /// The critical threshold, if one is set.
    pub critical_balance_usd: Option<String>,
    /// Spend of the vendor's day so far; absent if unknown.
    pub spend_today_usd: Option<String>,
    /// Spend of the day before; absent if unknown.
    pub spend_yesterday_usd: Option<String>,
    /// Burn and runway by window.
    pub burn: Vec<BurnStatus>,
}

/// How fast the wallet is spent over a window that ends at the last report, and how long the balance lasts at that.
#[derive(Clone, Debug, Serialize)]
pub struct BurnStatus {
    /// The label `window`.
    pub window: String,
    /// Dollars an hour, decimal text; absent if unknown.
    pub usd_per_hour: Option<String>,
    /// Seconds from the poll of the balance until it is used up; absent if unknown, or nothing is spent.
    pub runway_seconds: Option<f64>,
    /// When the balance is used up.
    pub empty_at: Option<DateTime<Utc>>,
}

/// The batches by state, and those that need care.
#[derive(Clone, Debug, Serialize)]
pub struct BatchesStatus {
    /// Followed, results may still come.
    pub open: u64,
    /// Alone keep failing.
    pub failing: u64,
    /// Alone are refused.
    pub unavailable: u64,
    /// Never had a row.
    pub abandoned: u64,
    /// Counted.
    pub settled: u64,
    /// Those that a person should look at, at most 20, oldest first.
    pub needing_attention: Vec<BatchStatus>,
}

/// One batch.
#[derive(Clone, Debug, Serialize)]
pub struct BatchStatus {
    /// The vendor's id.
    pub batch_id: String,
    /// `failing`, `unavailable` or `abandoned`.
    pub state: String,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// What to do.
    pub advice: String,
}

/// One source.
#[derive(Clone, Debug, Serialize)]
pub struct SourceStatus {
    /// The label `source`.
    pub source: String,
    /// How it stands.
    pub state: SourceState,
    /// Last success.
    pub last_success: Option<DateTime<Utc>>,
    /// Last attempt.
    pub last_attempt: Option<DateTime<Utc>>,
    /// Next attempt.
    pub next_attempt: Option<DateTime<Utc>>,
    /// Until when nothing is asked, because the vendor asked for it.
    pub paused_until: Option<DateTime<Utc>>,
    /// Configured interval, seconds.
    pub interval_seconds: f64,
    /// Configured `max_age`, seconds.
    pub max_age_seconds: f64,
    /// Failures in a row.
    pub consecutive_failures: u64,
    /// The last failure, kept after a recovery.
    pub last_failure: Option<FailureStatus>,
}

/// How a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// No attempt has finished yet.
    Waiting,
    /// The last attempt succeeded.
    Ok,
    /// The last attempt failed; the last good values are still shown.
    Failing,
    /// The last attempt failed, and the last good values are too old to be shown.
    Stale,
}

/// A failure.
#[derive(Clone, Debug, Serialize)]
pub struct FailureStatus {
    /// When.
    pub at: DateTime<Utc>,
    /// The label `reason`.
    pub reason: String,
    /// One line, safe to show.
    pub message: String,
    /// What to do; absent where waiting is enough.
    pub advice: Option<String>,
}
