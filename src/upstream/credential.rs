//! One credential, shared by all that use it.
//!
//! Flows in: the secret, the budget, the vendor's `Date` headers, the poller's pauses. Flows out: a permit for each
//! request, and the vendor's clock. Invariant: in no 60 seconds of the boot clock are more permits given than the budget
//! allows; none is given during a pause, and no request waits for its end here: the scheduler knows when that is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex as FairMutex, Notify};

use super::date::VendorClock;
use crate::clock::{BootTime, SharedClock};
use crate::config::secret::{Secret, SecretVersion};

/// The span in which the budget counts.
const WINDOW: Duration = Duration::from_secs(60);
/// A clock that disagrees by more than this is worth a line in the log.
const NOTABLE_SKEW: TimeDelta = TimeDelta::minutes(1);

/// Requests of this credential are paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paused {
    pub(super) left: Duration,
}

/// When a credential's next request may be sent. Outlives the client where an account changes and its credential does not.
#[derive(Default)]
pub struct RateLimit {
    /// When the last permits were given, oldest first, at most the budget. The lock is held while waiting: it is fair, so
    /// requests go out in the order in which they asked.
    given: FairMutex<VecDeque<BootTime>>,
    paused_until: Mutex<Option<BootTime>>,
    /// Who waits for a change is woken in the order of waiting, so that a simulation repeats.
    changed: Notify,
}

impl RateLimit {
    /// Until when requests wait; that may be over.
    #[must_use]
    pub fn paused_until(&self) -> Option<BootTime> {
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes at the next change from now on.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    fn pause(&self, until: Option<BootTime>) {
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        self.changed.notify_waiters();
    }
}

pub(super) struct Credential {
    secret: Secret,
    clock: SharedClock,
    per_minute: usize,
    limit: Arc<RateLimit>,
    vendor: Mutex<VendorState>,
}

struct VendorState {
    clock: VendorClock,
    skewed: bool,
    rejected: Option<SecretVersion>,
}

impl Credential {
    pub(super) fn new(
        secret: Secret,
        requests_per_minute: u32,
        clock: SharedClock,
        asked_for_days: bool,
        limit: Arc<RateLimit>,
    ) -> Credential {
        // A budget of nothing would be a client that never asks; the configuration does not allow it.
        let per_minute = usize::try_from(requests_per_minute).unwrap_or(usize::MAX).max(1);
        Credential {
            secret,
            clock,
            per_minute,
            limit,
            vendor: Mutex::new(VendorState { clock: VendorClock::new(asked_for_days), skewed: false, rejected: None }),
        }
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Completes when the budget allows a request. Who drops the waiting takes no permit.
    pub(super) async fn permit(&self) -> Result<(), Paused> {
        let mut given = self.limit.given.lock().await;
        loop {
            let changed = self.limit.changed();
            let now = self.clock.boot();
            if let Some(until) = self.limit.paused_until().filter(|until| *until > now) {
                return Err(Paused { left: until.since(now) });
            }
            while given.len() >= self.per_minute && given.front().is_some_and(|oldest| now.since(*oldest) >= WINDOW) {
                given.pop_front();
            }
            let full = if given.len() < self.per_minute { None } else { given.front().copied() };
            let Some(oldest) = full else {
                given.push_back(now);
                return Ok(());
            };
            tokio::select! {
                biased;
                () = self.clock.sleep_until(oldest + WINDOW) => {}
                () = changed => {}
            }
        }
    }

    /// When the next request may be sent, and notice of changes.
    pub(super) fn rate_limit(&self) -> &Arc<RateLimit> {
        &self.limit
    }

    /// Lets all requests wait; never shortens a longer pause.
    pub(super) fn pause(&self, until: BootTime) {
        if self.limit.paused_until().is_none_or(|pause| pause < until) {
            self.limit.pause(Some(until));
        }
    }

    /// Ends a pause.
    pub(super) fn resume(&self) {
        self.limit.pause(None);
    }

    /// Learns from the `Date` header of an answer to a request that was sent at `sent`.
    pub(super) fn learn(&self, server_time: DateTime<Utc>, sent: BootTime) {
        let now = self.clock.moment();
        let mut vendor = self.vendor();
        vendor.clock.learn(server_time, sent, now);
        let Some(skew) = vendor.clock.skew(now) else { return };
        let skewed = skew.abs() > NOTABLE_SKEW;
        if skewed && !vendor.skewed {
            tracing::warn!(
                skew_seconds = skew.num_seconds(),
                "the vendor's clock and this machine's disagree; days follow the vendor's: check this machine's clock"
            );
        }
        vendor.skewed = skewed;
    }

    /// Remembers that the vendor rejects this secret, or none. Returns whether that is new.
    pub(super) fn set_rejected(&self, rejected: Option<SecretVersion>) -> bool {
        let before = std::mem::replace(&mut self.vendor().rejected, rejected.clone());
        before != rejected
    }

    /// Does something with the vendor's clock.
    pub(super) fn vendor_clock<T>(&self, act: impl FnOnce(&mut VendorClock) -> T) -> T {
        act(&mut self.vendor().clock)
    }

    /// The vendor's time.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let now = self.clock.moment();
        self.vendor().clock.at(now)
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    fn vendor(&self) -> MutexGuard<'_, VendorState> {
        // Nothing that holds the lock can panic half-way through a change.
        self.vendor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
