//! Holds the current snapshot.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::state::Snapshot;

/// Publishes snapshots.
#[derive(Debug)]
pub struct SnapshotCell {
    current: ArcSwap<Snapshot>,
    writing: Mutex<()>,
}

impl SnapshotCell {
    /// A cell that shows `first`.
    #[must_use]
    pub fn new(first: Snapshot) -> SnapshotCell {
        SnapshotCell { current: ArcSwap::from_pointee(first), writing: Mutex::new(()) }
    }

    /// The current snapshot.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Changes the snapshot; the change is seen as a whole.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.current.load());
        change(&mut next);
        self.current.store(Arc::new(next));
    }
}
