//! How a source stands.
//!
//! Flows in: the ends of its attempts. Flows out: what its own metrics and the page show. Invariant: `last_success`
//! never moves on a failure.

use crate::names::Label as _;
use std::time::Duration;

use super::status::{FailureStatus, SourceState, SourceStatus};
use crate::clock::{BootTime, Moment};
use crate::names::Source;
use crate::upstream::{Reason, RequestError};

/// A failed attempt, safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: Moment,
    /// Its class.
    pub reason: Reason,
    /// One line.
    pub message: String,
    /// What to do.
    pub advice: Option<String>,
}

/// How a source stands after its last attempt.
#[derive(Clone, Debug)]
pub struct SourceView {
    /// Which.
    pub source: Source,
    /// Configured, or longer where its downloads are limited.
    pub interval: Duration,
    /// Configured, or longer with the interval.
    pub max_age: Duration,
    /// Last success, of this run or the previous one.
    pub last_success: Option<Moment>,
    /// Whether the storage knows a success that is too old, or whose age cannot be told: counters may have been served
    /// since with higher values than are stored, so they are not served before a poll has restored them.
    pub stale_at_start: bool,
    /// Last attempt of this run.
    pub last_attempt: Option<Moment>,
    /// When it is asked next; `None` before that is planned.
    pub next_attempt: Option<Moment>,
    /// Until when no request is sent, because the vendor asked for it.
    pub paused: Option<BootTime>,
    /// The vendor's time at some moment of the boot clock, by its `Date` headers.
    pub vendor_clock: Option<Moment>,
    /// Whether the last attempt of this run succeeded; `None` before it.
    pub up: Option<bool>,
    /// The last failure, kept after a recovery.
    pub last_failure: Option<Failure>,
    /// Since when it has been failing.
    pub failing_since: Option<Moment>,
    /// Failures in a row.
    pub consecutive_failures: u64,
    /// How long the last attempt took.
    pub last_duration: Option<Duration>,
}

impl SourceView {
    /// A source before its first attempt. `stored` if the previous run left something; `last_success` if its age can be
    /// told.
    #[must_use]
    pub fn new(
        source: Source,
        interval: Duration,
        max_age: Duration,
        stored: bool,
        last_success: Option<Moment>,
        now: BootTime,
    ) -> SourceView {
        let fresh = last_success.is_some_and(|success| now.since(success.boot) <= max_age);
        SourceView {
            source,
            interval,
            max_age,
            last_success,
            stale_at_start: stored && !fresh,
            last_attempt: None,
            next_attempt: None,
            paused: None,
            vendor_clock: None,
            up: None,
            last_failure: None,
            failing_since: None,
            consecutive_failures: 0,
            last_duration: None,
        }
    }

    /// An attempt that began at `began` ended at `now`.
    pub fn ended(&mut self, outcome: Result<(), &RequestError>, began: Moment, now: Moment) {
        self.last_attempt = Some(began);
        self.last_duration = Some(now.boot.since(began.boot));
        self.up = Some(outcome.is_ok());
        match outcome {
            Ok(()) => {
                self.last_success = Some(now);
                self.failing_since = None;
                self.consecutive_failures = 0;
            }
            Err(error) => {
                self.failing_since.get_or_insert(began);
                self.consecutive_failures += 1;
                let (message, advice) = (error.to_string(), error.advice());
                self.last_failure = Some(Failure { at: now, reason: error.reason, message, advice });
            }
        }
    }

    /// Whether its last good values are young enough to be shown.
    #[must_use]
    pub fn is_fresh(&self, now: BootTime) -> bool {
        self.last_success.is_some_and(|success| now.since(success.boot) <= self.max_age)
    }

    /// Whether it has something to show or has at least tried.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.up.is_some() || (self.last_success.is_some() && !self.stale_at_start)
    }

    /// When its last good values become too old.
    pub(super) fn expires(&self) -> Option<BootTime> {
        // Just beyond `max_age`: at exactly that age values are still shown.
        Some(self.last_success?.boot + self.max_age + Duration::from_millis(1))
    }

    pub(super) fn status(&self, now: Moment) -> SourceStatus {
        let state = match self.up {
            None => SourceState::Waiting,
            Some(true) => SourceState::Ok,
            Some(false) if self.last_success.is_some() && !self.is_fresh(now.boot) => SourceState::Stale,
            Some(false) => SourceState::Failing,
        };
        SourceStatus {
            source: self.source.name.to_owned(),
            state,
            last_success: self.last_success.map(|at| at.by_clock_of(now)),
            last_attempt: self.last_attempt.map(|at| at.by_clock_of(now)),
            next_attempt: self.next_attempt.map(|at| at.by_clock_of(now)),
            paused_until: self.paused.filter(|until| *until > now.boot).map(|until| now.at_boot(until).wall),
            interval_seconds: self.interval.as_secs_f64(),
            max_age_seconds: self.max_age.as_secs_f64(),
            consecutive_failures: self.consecutive_failures,
            last_failure: self.last_failure.as_ref().map(|failure| FailureStatus {
                at: failure.at.by_clock_of(now),
                reason: failure.reason.as_str().to_owned(),
                message: failure.message.clone(),
                advice: failure.advice.clone(),
            }),
        }
    }
}
