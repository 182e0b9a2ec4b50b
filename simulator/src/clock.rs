//! Time, injected.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// The only clock that a simulator looks at.
pub trait Clock: Send + Sync + 'static {
    /// UTC.
    fn now(&self) -> DateTime<Utc>;
    /// Completes once so much time has passed.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// A clock that a simulator and its driver share.
pub type SharedClock = Arc<dyn Clock>;
