//! Reading files that may be on a mount that hangs.
//!
//! Flows in: what to do. Flows out: what it brought, if it ended in time. Invariant: what has not ended is not begun again,
//! so that a mount that hangs for ever costs one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Does one thing at a time, on a thread of its own.
#[derive(Clone, Debug, Default)]
pub struct Patient(Arc<AtomicBool>);

struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Patient {
    /// Begins, and blocks until it has ended; `None` if that takes too long, or if what was begun before has not ended.
    pub fn wait<T: Send + 'static>(&self, patience: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if self.0.swap(true, Ordering::SeqCst) {
            return None;
        }
        let busy = Busy(Arc::clone(&self.0));
        let (done, result) = mpsc::channel();
        tokio::task::spawn_blocking(move || {
            let value = {
                let _busy = busy;
                work()
            };
            // Nobody waits any more where it took too long.
            let _ = done.send(value);
        });
        result.recv_timeout(patience).ok()
    }

    /// Whether something has been begun and has not ended.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
