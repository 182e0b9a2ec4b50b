//! Time, injected: the wall clock and the boot clock.
//!
//! Flows in: the machine's clocks, or a test's. Flows out: "now" on both, and "wake me then" on the boot clock.
//! Invariant: no other module reads a clock or sleeps. Schedules, ages and pauses run on the boot clock, which no step of
//! the wall clock moves and which counts suspend; the wall clock only dates what is exported and stored.

use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

#[cfg(feature = "testing")]
mod manual;

#[cfg(feature = "testing")]
pub use manual::ManualClock;

/// What a clock's sleep returns.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A reading of `CLOCK_BOOTTIME`, in nanoseconds since boot. Negative for what happened before the boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(i64);

impl BootTime {
    /// A reading of so many nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> BootTime {
        BootTime(nanos)
    }

    /// Nanoseconds since boot.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Time since `earlier`, zero if that lies ahead.
    #[must_use]
    pub fn since(self, earlier: BootTime) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default())
    }

    /// `self - other`, with its sign.
    #[must_use]
    pub fn minus(self, other: BootTime) -> TimeDelta {
        TimeDelta::nanoseconds(self.0.saturating_sub(other.0))
    }

    /// The reading that lies `by` after this one; before, if that is negative.
    #[must_use]
    pub fn shifted(self, by: TimeDelta) -> BootTime {
        let nanos = by.num_nanoseconds().unwrap_or(if by < TimeDelta::zero() { i64::MIN } else { i64::MAX });
        BootTime(self.0.saturating_add(nanos))
    }
}

impl Add<Duration> for BootTime {
    type Output = BootTime;
    fn add(self, duration: Duration) -> BootTime {
        BootTime(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for BootTime {
    type Output = BootTime;
    fn sub(self, duration: Duration) -> BootTime {
        BootTime(self.0.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// The same moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, UTC.
    pub wall: DateTime<Utc>,
    /// The boot clock.
    pub boot: BootTime,
}

/// A smaller difference between the clocks is the time between reading the one and the other.
pub const STEP: TimeDelta = TimeDelta::seconds(1);

impl Moment {
    /// A moment that was stored as wall-clock time alone, seen from `self`.
    #[must_use]
    pub fn at_wall(self, wall: DateTime<Utc>) -> Moment {
        Moment { wall, boot: self.boot.shifted(wall - self.wall) }
    }

    /// A moment on the boot clock, seen from `self`.
    #[must_use]
    pub fn at_boot(self, boot: BootTime) -> Moment {
        Moment { wall: self.wall + boot.minus(self.boot), boot }
    }

    /// When this was, by the wall clock as it goes at `now`: a clock that was set since does not move what it dated.
    #[must_use]
    pub fn by_clock_of(self, now: Moment) -> DateTime<Utc> {
        let step = (now.wall - self.wall) - now.boot.minus(self.boot);
        if step.abs() < STEP { self.wall } else { self.wall + step }
    }
}

/// The machine's clocks.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, UTC.
    fn now(&self) -> DateTime<Utc>;
    /// The boot clock.
    fn boot(&self) -> BootTime;
    /// Names the boot that the boot clock counts from; empty if it cannot be told.
    fn boot_id(&self) -> String;
    /// Completes once `boot()` has reached `deadline`; at once if it already has.
    fn sleep_until(&self, deadline: BootTime) -> Sleep<'_>;

    /// Both clocks.
    fn moment(&self) -> Moment {
        Moment { wall: self.now(), boot: self.boot() }
    }
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

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// A shared handle on the machine's clocks.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(SystemClock)
    }
}

/// tokio's timers stand still while the machine is suspended and the boot clock does not: no nap is longer than this.
const LONGEST_NAP: Duration = Duration::from_secs(15);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    #[cfg(target_os = "linux")]
    fn boot(&self) -> BootTime {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        BootTime(time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec))
    }

    /// Elsewhere the monotonic clock, counted from its first reading.
    #[cfg(not(target_os = "linux"))]
    fn boot(&self) -> BootTime {
        static FIRST: OnceLock<std::time::Instant> = OnceLock::new();
        BootTime::default() + FIRST.get_or_init(std::time::Instant::now).elapsed()
    }

    fn boot_id(&self) -> String {
        static ID: OnceLock<String> = OnceLock::new();
        ID.get_or_init(|| {
            let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            id.trim().to_owned()
        })
        .clone()
    }

    fn sleep_until(&self, deadline: BootTime) -> Sleep<'_> {
        Box::pin(async move {
            loop {
                let left = deadline.since(self.boot());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_NAP)).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_wall_clock_moves_what_it_dated_and_no_age() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let then = clock.moment();
        clock.advance(Duration::from_secs(60));
        assert_eq!(then.by_clock_of(clock.moment()), then.wall);
        clock.step_to(clock.now() - TimeDelta::hours(5));
        let now = clock.moment();
        assert_eq!(then.by_clock_of(now), now.wall - TimeDelta::seconds(60));
        assert_eq!(now.boot.since(then.boot), Duration::from_secs(60));
    }

    #[test]
    fn the_boot_clock_of_this_machine_goes_forward() {
        let first = SystemClock.boot();
        assert!(first > BootTime::default());
        assert!(SystemClock.boot() >= first);
    }
}
