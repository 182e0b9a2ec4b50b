//! Clocks for tests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::{BootTime, Clock, Moment, Sleep, delta, since};

/// Clocks that move only when they are told to: for tests, and for simulations that must repeat.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<watch::Sender<Moment>>,
    tick: Arc<Mutex<Duration>>,
}

impl ManualClock {
    /// Clocks that stand at `start`, a day after the boot.
    #[must_use]
    pub fn new(start: DateTime<Utc>) -> ManualClock {
        let boot = BootTime::default() + Duration::from_secs(24 * 3_600);
        ManualClock { now: Arc::new(watch::Sender::new(Moment { wall: start, boot })), tick: Arc::default() }
    }

    /// Lets time pass until the wall clock shows `to`, and wakes who is due. A time that has passed changes nothing.
    pub fn pass_to(&self, to: DateTime<Utc>) {
        self.advance(since(to, self.now()));
    }

    /// Sets the wall clock, as an administrator or NTP does. No time passes.
    pub fn step_to(&self, to: DateTime<Utc>) {
        self.now.send_modify(|now| now.wall = to);
    }

    /// From now on each look at both clocks takes this long.
    pub fn tick(&self, each: Duration) {
        *self.tick.lock().unwrap_or_else(PoisonError::into_inner) = each;
    }

    /// Lets time pass on both clocks and wakes who is due.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now = Moment { wall: now.wall + delta(by), boot: now.boot + by });
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.now.borrow().wall
    }

    fn boot(&self) -> BootTime {
        self.now.borrow().boot
    }

    fn boot_id(&self) -> String {
        "manual".to_owned()
    }

    fn moment(&self) -> Moment {
        let moment = *self.now.borrow();
        let tick = *self.tick.lock().unwrap_or_else(PoisonError::into_inner);
        if !tick.is_zero() {
            self.advance(tick);
        }
        moment
    }

    fn sleep_until(&self, deadline: BootTime) -> Sleep<'_> {
        let mut receiver = self.now.subscribe();
        Box::pin(async move {
            // The sender lives as long as this clock, which the future borrows.
            let _ = receiver.wait_for(|now| now.boot >= deadline).await;
        })
    }
}
