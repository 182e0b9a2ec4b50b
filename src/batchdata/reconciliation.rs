//! Whether the balance moves as the consumption report says: from polls of both to the difference.
//!
//! Flows in: polls of the balance, and what reports say that was debited less credited. Flows out: what the wallet holds
//! more than the report explains. Invariant: only polls of the balance are written; what a report adds up to is in the
//! ledger, so that neither write waits for the other.

pub mod families;
pub mod rule;
pub mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use rule::{BalancePoll, Compared, Level, Offset, Reconciliation, Report};
pub use table::{BALANCE_SERIES, BalanceCommit};

/// As the polls of balance and report share it.
#[derive(Clone, Debug)]
pub struct SharedReconciliation(Arc<Mutex<Reconciliation>>);

impl SharedReconciliation {
    /// For both polls.
    #[must_use]
    pub fn new(reconciliation: Reconciliation) -> SharedReconciliation {
        SharedReconciliation(Arc::new(Mutex::new(reconciliation)))
    }

    /// Nothing waits while it is held.
    pub fn lock(&self) -> MutexGuard<'_, Reconciliation> {
        // Nothing that holds the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
