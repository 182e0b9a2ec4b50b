//! How a source stands.
//!
//! Flows in: the ends of its attempts. Flows out: what its own metrics and the page show. Invariant: `last_success`
//! never moves on a failure.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::since;
use crate::vendor::{Fault, Reason, Source};

/// A failed attempt, safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: DateTime<Utc>,
    /// Its class.
    pub reason: Reason,
    /// One line.
    pub message: String,
    /// What to do.
    pub advice: Option<String>,
}

/// A source.
#[derive(Clone, Debug)]
pub struct SourceView {
    /// The label `account`.
    pub account: String,
    /// Which.
    pub source: Source,
    /// Configured.
    pub interval: Duration,
    /// Configured.
    pub max_age: Duration,
    /// Last success, of this life or an earlier one.
    pub last_success: Option<DateTime<Utc>>,
    /// Last attempt of this life.
    pub last_attempt: Option<DateTime<Utc>>,
    /// Next attempt.
    pub next_attempt: Option<DateTime<Utc>>,
    /// Whether the last attempt of this life succeeded; `None` before it.
    pub up: Option<bool>,
    /// The last failure, kept after a recovery.
    pub last_failure: Option<Failure>,
    /// Since when it has been failing.
    pub failing_since: Option<DateTime<Utc>>,
    /// Failures in a row.
    pub consecutive_failures: u64,
    /// How long the last attempt took.
    pub last_duration: Option<Duration>,
    /// Attempts of this life.
    pub polls: u64,
    /// Failures of this life.
    pub failures: BTreeMap<Reason, u64>,
}

impl SourceView {
    /// A source before its first attempt; `last_success` of an earlier life.
    #[must_use]
    pub fn new(
        account: &str,
        source: Source,
        interval: Duration,
        max_age: Duration,
        last_success: Option<DateTime<Utc>>,
    ) -> SourceView {
        SourceView {
            account: account.to_owned(),
            source,
            interval,
            max_age,
            last_success,
            last_attempt: None,
            next_attempt: None,
            up: None,
            last_failure: None,
            failing_since: None,
            consecutive_failures: 0,
            last_duration: None,
            polls: 0,
            failures: BTreeMap::new(),
        }
    }

    /// An attempt that began at `began` ended at `now`.
    pub fn ended(&mut self, outcome: Result<(), &Fault>, began: DateTime<Utc>, now: DateTime<Utc>, took: Duration) {
        self.polls += 1;
        self.last_attempt = Some(began);
        self.last_duration = Some(took);
        self.up = Some(outcome.is_ok());
        match outcome {
            Ok(()) => {
                self.last_success = Some(now);
                self.failing_since = None;
                self.consecutive_failures = 0;
            }
            Err(fault) => {
                self.failing_since.get_or_insert(began);
                self.consecutive_failures += 1;
                *self.failures.entry(fault.reason).or_default() += 1;
                let (message, advice) = (fault.to_string(), fault.advice());
                self.last_failure = Some(Failure { at: now, reason: fault.reason, message, advice });
            }
        }
    }

    /// Whether its last good values are young enough to be shown.
    #[must_use]
    pub fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.last_success.is_some_and(|success| since(now, success) <= self.max_age)
    }

    /// Whether it has something to show or has at least tried.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.up.is_some() || self.last_success.is_some()
    }
}
