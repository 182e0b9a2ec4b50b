//! A call that may never return, such as reading a file on a mount that hangs.
//!
//! Flows in: what to call. Flows out: its result, if it returned in time. Invariant: it is not called again before it has
//! returned, so that a mount that hangs costs one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// One call at a time, on a thread of the runtime's pool for blocking work.
#[derive(Clone, Debug, Default)]
pub struct BlockingCall(Arc<AtomicBool>);

struct CallGuard(Arc<AtomicBool>);

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl BlockingCall {
    /// Calls `work`, and blocks until it returns; `None` after `timeout`, or if the call before has not returned.
    pub fn run<T: Send + 'static>(&self, timeout: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if self.0.swap(true, Ordering::SeqCst) {
            return None;
        }
        let running = CallGuard(Arc::clone(&self.0));
        let (done, result) = mpsc::channel();
        tokio::task::spawn_blocking(move || {
            let value = {
                let _running = running;
                work()
            };
            // After the timeout nobody waits for it.
            let _ = done.send(value);
        });
        result.recv_timeout(timeout).ok()
    }

    /// Whether the last call has not returned.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
