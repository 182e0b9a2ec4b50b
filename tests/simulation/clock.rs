//! Clocks on tokio's paused time: the true time, and the exporter's two clocks, which may be wrong.
//!
//! Invariant: time passes only when nothing is runnable, and the same seed reads the same times.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use wallet_exporter::clock::{BootTime, Clock, Sleep};

/// True time.
#[derive(Clone, Copy, Debug)]
pub struct TrueTime {
    start: DateTime<Utc>,
    zero: Instant,
}

impl TrueTime {
    /// Begins now; must be made inside the runtime whose time is paused.
    pub fn begin(start: DateTime<Utc>) -> TrueTime {
        TrueTime { start, zero: Instant::now() }
    }

    pub fn elapsed(self) -> Duration {
        Instant::now() - self.zero
    }

    pub fn now(self) -> DateTime<Utc> {
        self.start + TimeDelta::from_std(self.elapsed()).unwrap()
    }

    /// Milliseconds since the beginning.
    pub fn ms(self) -> i64 {
        i64::try_from(self.elapsed().as_millis()).unwrap()
    }
}

/// The vendor's clock source; its own error is the simulator's offset.
impl vendor_simulator::Clock for TrueTime {
    fn now(&self) -> DateTime<Utc> {
        TrueTime::now(*self)
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The machine's clocks, as one boot of it reads them.
#[derive(Clone, Debug)]
pub struct MachineClock {
    time: TrueTime,
    /// The wall clock's error in milliseconds.
    error: Arc<AtomicI64>,
    booted: Duration,
    boot: u32,
}

/// The boot clock stands here when the simulation, or a boot in it, begins.
const UPTIME: Duration = Duration::from_secs(86_400);

impl MachineClock {
    pub fn new(time: TrueTime) -> MachineClock {
        MachineClock { time, error: Arc::default(), booted: Duration::ZERO, boot: 1 }
    }

    /// The machine starts again.
    pub fn rebooted(&self) -> MachineClock {
        MachineClock { booted: self.time.elapsed(), boot: self.boot + 1, ..self.clone() }
    }

    pub fn error_ms(&self) -> i64 {
        self.error.load(Ordering::Relaxed)
    }

    /// Sets the wall clock so far from the true time.
    pub fn set_error_ms(&self, error: i64) {
        self.error.store(error, Ordering::Relaxed);
    }
}

impl Clock for MachineClock {
    fn now(&self) -> DateTime<Utc> {
        self.time.now() + TimeDelta::milliseconds(self.error_ms())
    }

    fn boot(&self) -> BootTime {
        BootTime::default() + UPTIME + (self.time.elapsed() - self.booted)
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    fn sleep_until(&self, deadline: BootTime) -> Sleep<'_> {
        let since_zero = self.booted + deadline.since(BootTime::default() + UPTIME);
        Box::pin(tokio::time::sleep_until(self.time.zero + since_zero))
    }
}
