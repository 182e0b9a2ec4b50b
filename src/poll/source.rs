//! The life of one source: wait, try, tell, again.
//!
//! Flows in: ticks and wake-ups, which both say only "look again". Flows out: attempts, one at a time, and their ends on
//! the board. Invariant: a source waits for no other; its state is logged when it changes, not at every failure.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::schedule::Schedule;
use crate::clock::{SharedClock, since};
use crate::snapshot::Board;
use crate::vendor::{Fault, Reason, Source};

/// One source's work.
#[async_trait]
pub trait Poller: Send {
    /// Which source it is.
    fn source(&self) -> Source;
    /// The label `account`.
    fn account(&self) -> &str;
    /// Looks, writes, publishes. The same full pass whatever woke it.
    ///
    /// # Errors
    /// Why nothing was learnt.
    async fn pass(&mut self) -> Result<(), Fault>;
    /// A time before which it wants to look again, if any.
    fn wish(&self) -> Option<DateTime<Utc>> {
        None
    }
    /// Makes every source of the credential wait.
    fn pause(&self, until: DateTime<Utc>);
}

/// Asks a source to look at once.
pub type Wake = Arc<Notify>;

/// Runs attempts of a source.
pub struct Runner {
    /// Time.
    pub clock: SharedClock,
    /// Where its state hangs.
    pub board: Arc<Board>,
    /// When to try again.
    pub schedule: Schedule,
}

impl Runner {
    /// One attempt. Returns when to make the next.
    ///
    /// # Errors
    /// The attempt's fault, with the same time.
    pub async fn attempt(&mut self, poller: &mut dyn Poller) -> (DateTime<Utc>, Result<(), Fault>) {
        let (began, stopwatch) = (self.clock.now(), tokio::time::Instant::now());
        let outcome = poller.pass().await;
        let (now, took) = (self.clock.now(), stopwatch.elapsed());
        let (account, source) = (poller.account().to_owned(), poller.source());
        let before = self.board.current();
        let before = before.source(&account, source);
        let failures = before.map_or(0, |view| view.consecutive_failures) + u64::from(outcome.is_err());
        let next = match &outcome {
            Ok(()) => {
                let next = self.schedule.after_success(now);
                poller.wish().map_or(next, |wish| next.min(wish.max(now)))
            }
            Err(fault) => {
                let next = self.schedule.after_failure(now, fault, failures);
                if fault.reason == Reason::RateLimited {
                    poller.pause(next);
                }
                next
            }
        };
        tell(before.and_then(|view| view.failing_since), &outcome, source, &account, now);
        self.board.update(|snapshot| {
            if let Some(view) = snapshot.source_mut(&account, source) {
                view.ended(outcome.as_ref().copied(), began, now, took);
                view.next_attempt = Some(next);
            }
        });
        (next, outcome)
    }

    /// Attempts until it is stopped.
    pub async fn run(mut self, mut poller: Box<dyn Poller>, wake: Wake, stop: CancellationToken) {
        let mut next = self.clock.now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => {}
                () = wake.notified() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                (then, _) = self.attempt(poller.as_mut()) => next = then,
            }
        }
    }
}

/// One line when a source starts to fail or recovers.
fn tell(
    failing_since: Option<DateTime<Utc>>,
    outcome: &Result<(), Fault>,
    source: Source,
    account: &str,
    now: DateTime<Utc>,
) {
    let (vendor, source) = (source.vendor().as_str(), source.as_str());
    match (failing_since, outcome) {
        (None, Err(fault)) => {
            tracing::warn!(vendor, source, account, reason = fault.reason.as_str(), error = %fault, "source fails");
        }
        (Some(since_when), Ok(())) => {
            let outage_seconds = since(now, since_when).as_secs();
            tracing::info!(vendor, source, account, outage_seconds, "source has recovered");
        }
        (Some(_), Err(fault)) => {
            tracing::debug!(vendor, source, account, reason = fault.reason.as_str(), error = %fault, "source still fails");
        }
        (None, Ok(())) => tracing::debug!(vendor, source, account, "source was polled"),
    }
}
