//! The attempts of one source, for those who ask for one.
//!
//! Flows in: wishes that it looks at once, and the begin and end of each attempt. Flows out: how an attempt ended that began
//! after the request. Invariant: all who asked before an attempt began share it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::upstream::{RateLimit, RequestError};

/// How long one who asks waits for the end.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a source to look at once.
pub type Wake = Arc<Attempts>;

/// Wishes and attempts of a source.
#[derive(Debug, Default)]
pub struct Attempts {
    requested: Notify,
    made: watch::Sender<Made>,
}

/// The attempts so far.
#[derive(Debug, Default)]
struct Made {
    begun: u64,
    ended: u64,
    last: Option<Result<(), RequestError>>,
}

/// What came of asking for an attempt.
#[derive(Clone, Debug)]
pub enum PollOutcome {
    /// It has ended.
    Ended(Result<(), RequestError>),
    /// It has not ended within [`PATIENCE`], and goes on.
    Pending,
    /// It was not made: for so long the vendor wants no request.
    Paused(Duration),
}

impl Attempts {
    /// Asks the source to look at once.
    pub fn wake(&self) {
        self.requested.notify_one();
    }

    /// Completes when somebody asks, or has asked since the last attempt began.
    pub(super) async fn requested(&self) {
        self.requested.notified().await;
    }

    /// An attempt begins, for all who asked so far.
    pub(super) fn begin(&self) {
        self.made.send_modify(|made| {
            made.begun += 1;
            let _ = self.requested.notified().now_or_never();
        });
    }

    /// It has ended.
    pub(super) fn end(&self, outcome: Result<(), RequestError>) {
        self.made.send_modify(|made| {
            made.ended += 1;
            made.last = Some(outcome);
        });
    }

    /// Asks for an attempt that begins from now on, and waits for its end. One that is under way may have read before
    /// whatever made somebody ask.
    pub async fn poll_now(&self, limit: &RateLimit, clock: &dyn Clock) -> PollOutcome {
        let mut late = clock.sleep_until(clock.boot() + PATIENCE);
        let mut made = self.made.subscribe();
        let mut before = None;
        loop {
            // From here on no change is missed.
            let changed = limit.changed();
            {
                let made = made.borrow_and_update();
                let waits = before.is_none_or(|before| made.begun == before);
                let left = limit.paused_until().map(|until| until.since(clock.boot())).unwrap_or_default();
                match &made.last {
                    Some(outcome) if before.is_some_and(|before| made.ended > before) => {
                        return PollOutcome::Ended(outcome.clone());
                    }
                    _ if waits && !left.is_zero() => return PollOutcome::Paused(left),
                    _ => {}
                }
            }
            if before.is_none() {
                // Under the lock of `begin`, so that the attempt which takes this request is the next one.
                self.made.send_if_modified(|made| {
                    before = Some(made.begun);
                    self.requested.notify_one();
                    false
                });
            }
            tokio::select! {
                biased;
                () = &mut late => return PollOutcome::Pending,
                () = changed => {}
                _ = made.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_takes_all_wishes_that_came_before_it_began() {
        let attempts = Attempts::default();
        attempts.wake();
        attempts.begin();
        assert!(attempts.requested().now_or_never().is_none());
        attempts.wake();
        assert!(attempts.requested().now_or_never().is_some());
    }
}
