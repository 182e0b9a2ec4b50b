//! The attempts of one source: wait, poll, publish, again.
//!
//! Flows in: ticks and wake-ups, which both say only "poll again". Flows out: attempts, one at a time, and their outcomes
//! in the snapshot. Invariant: a source waits for no other; the next attempt that is shown is the one that will be made,
//! also while the credential is paused; its state is logged when it changes, not at every failure.

use crate::names::Label as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::account_storage::AccountStorage;
use super::attempts::Wake;
use super::schedule::Schedule;
use crate::clock::{BootTime, Moment, SharedClock};
use crate::names::Source;
use crate::snapshot::SnapshotCell;
use crate::upstream::{CredentialState, RateLimit, Reason, RequestError};

/// A source as it is configured.
#[derive(Clone, Copy, Debug)]
pub struct SourceSettings {
    /// How often it is polled.
    pub interval: Duration,
    /// How long its last good values are served while it fails.
    pub max_age: Duration,
}

/// One source's work.
#[async_trait]
pub trait Poller: Send {
    /// Which source it is.
    fn source(&self) -> Source;
    /// The account's storage.
    fn storage(&self) -> &AccountStorage;
    /// The credential that its requests use.
    fn credential(&self) -> CredentialState<'_>;
    /// Looks, writes, publishes. The same full pass whatever woke it.
    ///
    /// # Errors
    /// Why nothing, or not all, was learnt.
    async fn pass(&mut self) -> Result<(), RequestError>;
    /// Whether a success has not yet restored what counters may have shown before.
    fn is_stale(&self) -> bool {
        false
    }
    /// Before when it does not look again, whatever asks it to.
    fn not_before(&self) -> Option<BootTime> {
        None
    }
    /// How it is polled where that is not as configured.
    fn pace(&self) -> Option<SourceSettings> {
        None
    }
    /// When it wants to look again at the latest. After a failure only what is worth more than backing off.
    fn poll_by(&self, failed: bool) -> Option<BootTime> {
        let _ = failed;
        None
    }
}

/// Runs attempts of a source.
pub struct Runner {
    /// Time.
    pub clock: SharedClock,
    /// Where its state hangs.
    pub cell: Arc<SnapshotCell>,
    /// When to try again.
    pub schedule: Schedule,
    /// The attempt by the schedule, where another is made before it: after that it is still the next, so that polls of
    /// many accounts that were made together at midnight are spread again.
    pub planned: Option<BootTime>,
}

impl Runner {
    /// One attempt. Returns when to make the next.
    ///
    /// # Errors
    /// The attempt's error, with the same time.
    pub async fn attempt(&mut self, poller: &mut dyn Poller) -> (BootTime, Result<(), RequestError>) {
        let began = self.clock.moment();
        let asked_with = poller.credential().secret_version();
        let outcome = poller.pass().await;
        let now = self.clock.moment();
        let (account, source) = (poller.storage().name.clone(), poller.source());
        let before = self.cell.current();
        let before = before.source(&account, source);
        let failures = before.map_or(0, |view| view.consecutive_failures) + u64::from(outcome.is_err());
        let planned = self.planned.take().filter(|planned| *planned > now.boot);
        let next = match &outcome {
            Ok(()) => planned.unwrap_or_else(|| self.schedule.after_success(now.boot)),
            Err(error) => {
                let next = self.schedule.after_failure(now.boot, error, failures);
                // Without a status the pause is on already: some other source's answer began it.
                if error.reason == Reason::RateLimited && error.status.is_some() {
                    poller.credential().pause(next, &asked_with);
                }
                next
            }
        };
        let poll_by = poller.poll_by(outcome.is_err());
        self.planned = (outcome.is_ok() && poll_by.is_some_and(|poll_by| poll_by < next)).then_some(next);
        let next = poll_by.map_or(next, |poll_by| next.min(poll_by.max(now.boot)));
        let next = poller.not_before().map_or(next, |earliest| next.max(earliest));
        let first = before.is_some_and(|view| view.last_attempt.is_none());
        let failing_since = before.and_then(|view| view.failing_since);
        let begins = match &outcome {
            Ok(()) => {
                // That of another source says nothing of the one that is rejected.
                if failing_since.is_some() {
                    poller.credential().set_rejected(None);
                }
                false
            }
            Err(error) if error.reason == Reason::Unauthorized => poller.credential().set_rejected(Some(asked_with)),
            Err(_) => failing_since.is_none(),
        };
        let asked = poller.storage().instruments.requests(source.operation) > 0;
        log_change(failing_since, first.then_some(asked), begins, &outcome, source, &account, now);
        poller.storage().instruments.polled(source, outcome.as_ref().err().map(|error| error.reason));
        let (skew, stale) = (poller.credential().skew(), poller.is_stale());
        poller.storage().update_source(source, |view| {
            view.ended(outcome.as_ref().copied(), began, now);
            view.stale_at_start &= outcome.is_err() || stale;
            view.vendor_clock = skew.map(|skew| Moment { wall: now.wall + skew, boot: now.boot });
            view.next_attempt = Some(now.at_boot(next));
            if let Some(SourceSettings { interval, max_age }) = poller.pace() {
                (view.interval, view.max_age) = (interval, max_age);
            }
        });
        poller.storage().check_storage().await;
        (next, outcome)
    }

    /// Attempts for ever; the first after this share of an interval.
    pub async fn run(mut self, mut poller: Box<dyn Poller>, wake: Wake, first: f64) {
        let mut next = self.schedule.first(self.clock.boot(), first);
        let limit = poller.credential().rate_limit();
        loop {
            // From here on no change is missed.
            let changed = limit.changed();
            let paused = self.paused(&limit);
            let earliest = poller.not_before().filter(|earliest| *earliest > self.clock.boot());
            let due = paused.max(earliest).map_or(next, |until| until.max(next));
            self.announce(poller.as_ref(), due, paused);
            tokio::select! {
                biased;
                () = changed => continue,
                () = self.clock.sleep_until(due) => {}
                () = wake.requested() => {
                    next = self.clock.boot();
                    if self.paused(&limit).is_some() || earliest.is_some() {
                        continue;
                    }
                }
            }
            wake.begin();
            let (then, outcome) = self.attempt(poller.as_mut()).await;
            next = then;
            wake.end(outcome);
        }
    }

    fn paused(&self, limit: &RateLimit) -> Option<BootTime> {
        limit.paused_until().filter(|until| *until > self.clock.boot())
    }

    /// Shows when the next attempt will be made, and whether a pause is the reason.
    fn announce(&self, poller: &dyn Poller, due: BootTime, paused: Option<BootTime>) {
        let (account, source) = (&poller.storage().name, poller.source());
        let current = self.cell.current();
        let Some(view) = current.source(account, source) else { return };
        let shown = view.next_attempt.map(|next| next.boot);
        let first = view.last_attempt.is_none() && due <= self.clock.boot();
        if (shown == Some(due) || first) && view.paused == paused {
            return;
        }
        let due = self.clock.moment().at_boot(due);
        poller.storage().update_source(source, |view| {
            view.next_attempt = Some(due);
            view.paused = paused;
        });
    }
}

/// One line when a source succeeds at first, starts to fail or recovers. `first` on a first attempt: whether anything was
/// requested.
fn log_change(
    failing_since: Option<Moment>,
    first: Option<bool>,
    begins: bool,
    outcome: &Result<(), RequestError>,
    source: Source,
    account: &str,
    now: Moment,
) {
    let (vendor, source) = (source.vendor.name, source.name);
    if let Err(error) = outcome {
        let (operation, reason) = (error.operation.name, error.reason.as_str());
        if begins {
            tracing::warn!(vendor, source, account, operation, reason, error = error.sentence(), "poll failed");
        } else {
            tracing::debug!(vendor, source, account, operation, reason, error = error.sentence(), "poll still failing");
        }
    }
    match (failing_since, outcome) {
        (Some(since), Ok(())) => {
            let outage_seconds = now.boot.since(since.boot).as_secs();
            tracing::info!(vendor, source, account, outage_seconds, "source has recovered");
        }
        (_, Err(_)) => {}
        (None, Ok(())) if first == Some(true) => {
            tracing::info!(vendor, source, account, "the first poll succeeded");
        }
        (None, Ok(())) if first == Some(false) => {
            tracing::info!(vendor, source, account, "nothing to request yet: no id is known");
        }
        (None, Ok(())) => tracing::debug!(vendor, source, account, "source was polled"),
    }
}
