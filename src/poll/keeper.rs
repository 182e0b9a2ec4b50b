//! What is kept, and when a new series may be shown.
//!
//! Flows in: writes. Flows out: whether they are durable, and births to the board. Invariant: no write blocks the async
//! threads; a failed one is loud once, and fails no poll; a series shows its value only after that was made durable.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use crate::clock::{SharedClock, delta};
use crate::domain::births::Births;
use crate::snapshot::Board;
use crate::store::{AccountId, BirthRow, Store, StoreError};
use crate::vendor::Vendor;

/// After a write that failed, births are looked at again this much later.
const RETRY: Duration = Duration::from_secs(10);

/// The storage as the polls use it, and the births of one account.
pub struct Keeper {
    /// Time.
    pub clock: SharedClock,
    /// Where snapshots hang.
    pub board: Arc<Board>,
    /// Whose account it is.
    pub vendor: Vendor,
    /// The label `account`.
    pub name: String,
    /// Its key in the store.
    pub account: AccountId,
    store: Arc<Store>,
    births: Mutex<Births>,
    hold: Duration,
    changed: Notify,
}

impl Keeper {
    /// The keeper of an account; the births of an earlier life are read.
    ///
    /// # Errors
    /// If the store cannot be read or the account cannot be written.
    pub fn new(
        clock: SharedClock,
        board: Arc<Board>,
        store: Arc<Store>,
        (vendor, name): (Vendor, &str),
        hold: Duration,
    ) -> Result<Keeper, StoreError> {
        let account = store.account(vendor, name)?;
        let births = Births::restored(store.births(account)?, clock.now());
        let name = name.to_owned();
        Ok(Keeper {
            clock,
            board,
            vendor,
            name,
            account,
            store,
            births: Mutex::new(births),
            hold,
            changed: Notify::new(),
        })
    }

    /// The store, for reads at start.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The births as they stand.
    #[must_use]
    pub fn births(&self) -> Births {
        self.lock().clone()
    }

    /// Works on the store without blocking. `None` if it failed, which the board then shows.
    ///
    /// `what` names the kind of work: the storage counts as up again once the kind that failed has succeeded, because a
    /// full disk may still have room for something smaller.
    pub async fn work<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<T> {
        let store = Arc::clone(&self.store);
        let outcome = tokio::task::spawn_blocking(move || work(&store)).await;
        let outcome = match outcome {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(_) => Err("storage: the write was broken off".to_owned()),
        };
        let kind = (self.account, what);
        let before = self.board.current();
        let (was_up, failing) = (before.storage.up(), before.storage.failing.contains(&kind));
        match outcome {
            Ok(value) => {
                if failing {
                    self.board.update(|snapshot| {
                        snapshot.storage.failing.remove(&kind);
                    });
                    if self.board.current().storage.up() {
                        tracing::info!("the storage can be written again; counters catch up with the next polls");
                    }
                }
                Some(value)
            }
            Err(error) => {
                if was_up {
                    tracing::error!(
                        error,
                        "the storage cannot be written: gauges go on, counters stand still until it can"
                    );
                }
                self.board.update(|snapshot| {
                    snapshot.storage.failing.insert(kind);
                    snapshot.storage.failures += 1;
                    snapshot.storage.last_error = Some(error);
                });
                None
            }
        }
    }

    /// Rows for those of `keys` that have not been born, to be written along with what they count.
    #[must_use]
    pub fn newborn(&self, keys: impl IntoIterator<Item = String>) -> Vec<BirthRow> {
        let now = self.clock.now();
        let births = self.lock();
        keys.into_iter().filter(|key| !births.knows(key)).map(|key| (key, now, self.hold.is_zero())).collect()
    }

    /// Rows have been written: their series exist from now on.
    pub fn born(&self, rows: &[BirthRow]) {
        if rows.is_empty() {
            return;
        }
        let mut births = self.lock();
        for (key, at, shown) in rows {
            births.bear(key, *at);
            if *shown {
                births.show(std::slice::from_ref(key));
            }
        }
        let births = Arc::new(births.clone());
        self.publish(births);
        self.changed.notify_one();
    }

    /// Ends holds as they become due; runs until it is dropped.
    pub async fn end_holds(&self) {
        loop {
            let due = self.lock().next_due(self.hold);
            match due {
                None => self.changed.notified().await,
                Some(due) => {
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = self.clock.sleep_until(due) => {
                            if !self.show_due().await {
                                self.clock.sleep_until(self.clock.now() + delta(RETRY)).await;
                            }
                        }
                    }
                }
            }
        }
    }

    async fn show_due(&self) -> bool {
        let keys = self.lock().due(self.clock.now(), self.hold);
        let account = self.account;
        let rows = keys.clone();
        if self.work("births", move |store| store.show(account, &rows)).await.is_none() {
            return false;
        }
        let births = {
            let mut births = self.lock();
            births.show(&keys);
            Arc::new(births.clone())
        };
        self.publish(births);
        true
    }

    fn publish(&self, births: Arc<Births>) {
        self.board.update(|snapshot| {
            if let Some(shown) = snapshot.births_mut(self.vendor, &self.name) {
                *shown = births;
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Births> {
        self.births.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far our clock and a vendor's are apart, applied: the vendor's midnight after `day`, by our clock.
pub(super) fn midnight_after(
    day: chrono::NaiveDate,
    vendor_now: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let midnight = day.succ_opt()?.and_time(chrono::NaiveTime::MIN).and_utc();
    Some(now + (midnight - vendor_now))
}
