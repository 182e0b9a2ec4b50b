//! One credential, shared by all that use it.
//!
//! Flows in: the secret, the budget, the vendor's `Date` headers, the poller's pauses. Flows out: a permit for each
//! request, and the vendor's clock. Invariant: in no 60 seconds of the injected clock are more permits given than the
//! budget allows; none is given during a pause; who drops the waiting takes no permit.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Mutex as FairMutex, Notify};

use crate::clock::SharedClock;
use crate::config::secret::Secret;

/// The span in which the budget counts.
const WINDOW: TimeDelta = TimeDelta::seconds(60);

/// A `Date` header further than this from our own clock says nothing about the vendor's day.
const ABSURD: TimeDelta = TimeDelta::days(1);

pub(super) struct Credential {
    secret: Secret,
    clock: SharedClock,
    per_minute: usize,
    /// When the last permits were given, oldest first, at most `per_minute` of them. The lock is held while waiting:
    /// it is fair, so requests go out in the order in which they asked.
    given: FairMutex<VecDeque<DateTime<Utc>>>,
    shared: Mutex<Shared>,
    pause_changed: Notify,
}

#[derive(Default)]
struct Shared {
    pause: Option<DateTime<Utc>>,
    /// The vendor's clock minus ours.
    offset: TimeDelta,
}

impl Credential {
    pub(super) fn new(secret: Secret, requests_per_minute: u32, clock: SharedClock) -> Credential {
        // A budget of nothing would be a client that never asks; the configuration does not allow it.
        let per_minute = usize::try_from(requests_per_minute).unwrap_or(usize::MAX).max(1);
        Credential {
            secret,
            clock,
            per_minute,
            given: FairMutex::default(),
            shared: Mutex::default(),
            pause_changed: Notify::new(),
        }
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Completes when a request may be sent.
    pub(super) async fn permit(&self) {
        let mut given = self.given.lock().await;
        loop {
            let changed = self.pause_changed.notified();
            let now = self.clock.now();
            // A clock that was set back must not block for the time that it was set back by.
            for time in given.iter_mut() {
                *time = now.min(*time);
            }
            while given.len() >= self.per_minute && given.front().is_some_and(|oldest| now - *oldest >= WINDOW) {
                given.pop_front();
            }
            let budget =
                if given.len() < self.per_minute { None } else { given.front().map(|oldest| *oldest + WINDOW) };
            let Some(until) = self.pause_until().into_iter().chain(budget).max() else {
                given.push_back(now);
                return;
            };
            tokio::select! {
                () = self.clock.sleep_until(until) => {}
                () = changed => {}
            }
        }
    }

    pub(super) fn pause_until(&self) -> Option<DateTime<Utc>> {
        let now = self.clock.now();
        self.shared().pause.filter(|until| *until > now)
    }

    pub(super) fn pause(&self, until: DateTime<Utc>) {
        let mut shared = self.shared();
        shared.pause = shared.pause.max(Some(until));
    }

    pub(super) fn resume(&self) {
        self.shared().pause = None;
        self.pause_changed.notify_waiters();
    }

    /// Learns from a `Date` header. It is cut to the second and was written before it arrived, so the clock that it
    /// gives is never ahead of the vendor's.
    pub(super) fn learn(&self, server_time: DateTime<Utc>) {
        let offset = server_time - self.clock.now();
        if offset.abs() <= ABSURD {
            self.shared().offset = offset;
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.shared().offset
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Nothing that holds the lock can panic half-way through a change.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
