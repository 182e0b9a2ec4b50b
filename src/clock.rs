//! Time, injected.
//!
//! Flows in: the machine's clock, or a test's. Flows out: "now" and "wake me then" for everything that asks.
//! Invariant: no other module reads the wall clock or sleeps by it, so a test moves all of them by moving one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

/// What a clock's sleep returns.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A source of wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// The current time, UTC.
    fn now(&self) -> DateTime<Utc>;
    /// Completes once `now()` has reached `deadline`; at once if it already has.
    fn sleep_until(&self, deadline: DateTime<Utc>) -> Sleep<'_>;
}

/// A clock that many may hold.
pub type SharedClock = Arc<dyn Clock>;

/// A `Duration` as `chrono` counts it; saturates far beyond any duration used here.
#[must_use]
pub fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// `later - earlier`, zero if that is negative.
#[must_use]
pub fn since(later: DateTime<Utc>, earlier: DateTime<Utc>) -> Duration {
    (later - earlier).to_std().unwrap_or_default()
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// A shared handle on the machine's clock.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(SystemClock)
    }
}

/// The wall clock may jump (suspend, NTP) while a timer runs on the monotonic one: no nap is longer than this.
const LONGEST_NAP: Duration = Duration::from_secs(15);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep_until(&self, deadline: DateTime<Utc>) -> Sleep<'_> {
        Box::pin(async move {
            loop {
                let left = since(deadline, self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_NAP)).await;
            }
        })
    }
}

/// A clock that moves only when it is told to: for tests, and for simulations that must repeat.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<watch::Sender<DateTime<Utc>>>,
}

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn new(start: DateTime<Utc>) -> ManualClock {
        ManualClock { now: Arc::new(watch::Sender::new(start)) }
    }

    /// Moves to `to`; backwards, too, as real clocks sometimes do.
    pub fn set(&self, to: DateTime<Utc>) {
        self.now.send_replace(to);
    }

    /// Moves forward by `by` and wakes who is due.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += delta(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.borrow()
    }

    fn sleep_until(&self, deadline: DateTime<Utc>) -> Sleep<'_> {
        let mut receiver = self.now.subscribe();
        Box::pin(async move {
            // The sender lives as long as this clock, which the future borrows.
            let _ = receiver.wait_for(|now| *now >= deadline).await;
        })
    }
}
