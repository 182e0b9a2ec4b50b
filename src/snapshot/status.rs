//! The state of everything, as the page and `/api/v1/status` show it.
//!
//! Flows in: the last snapshot and the time. Flows out: plain data. Invariant: no personal data and no secret has a field.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
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
    /// The vendor's name.
    pub vendor: String,
    /// The vendor's name as people write it.
    #[serde(skip)]
    pub title: String,
    /// The label `account`.
    pub account: String,
    /// What the vendor's part of the program says of it.
    #[serde(flatten)]
    pub details: Details,
    /// Its sources.
    pub sources: Vec<SourceStatus>,
}

/// How many accounts there are, and of how many the sources fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All.
    pub accounts: usize,
    /// Those of which the last attempt of a source failed.
    pub failing: usize,
    /// Those among them of which values are too old to be shown.
    pub stale: usize,
}

impl Status {
    /// Brings the worst account to the front; equals stay in the order of the configuration.
    pub fn sort_worst_first(&mut self) {
        self.accounts.sort_by_cached_key(AccountStatus::order);
    }

    /// How many accounts it has.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let stale = |account: &&AccountStatus| account.sources.iter().any(|source| source.state == SourceState::Stale);
        Counts {
            accounts: self.accounts.len(),
            failing: self.accounts.iter().filter(|account| account.is_failing()).count(),
            stale: self.accounts.iter().filter(stale).count(),
        }
    }
}

impl AccountStatus {
    /// Whether a source of it is failing.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.sources.iter().any(|source| matches!(source.state, SourceState::Failing | SourceState::Stale))
    }

    /// The state of the account in a few words, and how bad it is; `None` if nothing is bad.
    #[must_use]
    pub fn standing(&self) -> (Option<Severity>, &'static str) {
        let headline = self.details.headline.as_ref();
        match headline {
            Some(headline) if headline.severity == Severity::Critical || !self.is_failing() => {
                (Some(headline.severity), headline.text)
            }
            _ if self.is_failing() => (Some(Severity::Critical), "Some sources are failing"),
            _ if self.sources.iter().any(|source| source.state == SourceState::Waiting) => {
                (Some(Severity::Warning), "Waiting for first answers")
            }
            _ => (None, "Working"),
        }
    }

    /// Sorts the worst first: what is said of the account, then what runs out soonest.
    #[must_use]
    pub fn order(&self) -> impl Ord + use<> {
        let worst = std::cmp::Reverse((self.standing().0, self.details.headline.clone()));
        (worst, self.details.runs_out.map_or(i64::MAX, |at| at.timestamp()))
    }
}

/// What is to be shown of an account beside its sources.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Details {
    /// From when on the counters count.
    pub count_since: Option<DateTime<Utc>>,
    /// Fields of the account in `/api/v1/status`.
    #[serde(flatten)]
    pub fields: serde_json::Map<String, serde_json::Value>,
    /// Rows of the page, above what needs attention.
    #[serde(skip)]
    pub rows: Vec<DetailRow>,
    /// Lines of what needs attention.
    #[serde(skip)]
    pub notes: Vec<Vec<Piece>>,
    /// Rows of the page below that.
    #[serde(skip)]
    pub more: Vec<DetailRow>,
    /// The worst that can be said of it; the headline of the page.
    #[serde(skip)]
    pub headline: Option<Headline>,
    /// When the account runs out of what it is for, at the worst of the known rates.
    #[serde(skip)]
    pub runs_out: Option<DateTime<Utc>>,
    /// When that is, for a row of a list; absent if nothing runs out.
    #[serde(skip)]
    pub lasts: Option<String>,
    /// Single things that a person should look at, such as batches.
    #[serde(skip)]
    pub attention: Vec<Attention>,
}

/// A row of the page: a term and what is said of it, in lines of pieces.
#[derive(Clone, Debug)]
pub struct DetailRow {
    /// What it is about.
    pub term: &'static str,
    /// Its lines.
    pub lines: Vec<Vec<Piece>>,
}

/// A piece of a line.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Text.
    Text(String),
    /// A time, which the page shows relative to now.
    Time(DateTime<Utc>),
    /// Text that says how something stands.
    Marked(Severity, String),
}

impl fmt::Display for Piece {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Text(text) | Piece::Marked(_, text) => out.write_str(text),
            Piece::Time(at) => write!(out, "{}", at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        }
    }
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look.
    Warning,
    /// Something has to be done.
    Critical,
}

/// A sentence about the whole account. The worst of all accounts is the headline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Headline {
    /// How bad it is.
    pub severity: Severity,
    /// Among headlines of the same severity, the higher one is shown.
    pub rank: u8,
    /// The sentence, without a full stop.
    pub text: &'static str,
}

/// Something that a person should look at.
#[derive(Clone, Debug)]
pub struct Attention {
    /// What kind of thing it is.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// How it stands.
    pub state: &'static str,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// What to do.
    pub advice: &'static str,
}

/// How a source stands, for the page and JSON.
#[derive(Clone, Debug, Serialize)]
pub struct SourceStatus {
    /// The label `source`.
    pub source: String,
    /// How it stands.
    pub state: SourceState,
    /// When it last succeeded, in this run or the previous one.
    pub last_success: Option<DateTime<Utc>>,
    /// When this run last asked.
    pub last_attempt: Option<DateTime<Utc>>,
    /// When it is asked next.
    pub next_attempt: Option<DateTime<Utc>>,
    /// Until when nothing is asked, because the vendor asked for it.
    pub paused_until: Option<DateTime<Utc>>,
    /// How often it is polled.
    pub interval_seconds: f64,
    /// How long its last good values are shown while it fails.
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

/// Why and when a source failed last.
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
