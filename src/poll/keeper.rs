//! What is kept, and when a new series may be shown.
//!
//! Flows in: writes. Flows out: whether they are durable, and births to the board. Invariant: no write blocks the async
//! threads; a failed one is loud once, and fails no poll; a series shows its value only after that was made durable.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use crate::clock::{BootTime, SharedClock};
use crate::domain::births::{Births, SeriesKey};
use crate::instruments::{Account, Process};
use crate::snapshot::Board;
use crate::store::{AccountId, BirthRow, Store, StoreError, Success};
use crate::vendor::{Source, Vendor};

/// After a write that failed, births are looked at again this much later.
const RETRY: Duration = Duration::from_secs(10);

/// Where work on the storage is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageWork {
    /// On threads that may block.
    Threads,
    /// At once on the calling thread, between two short sleeps: so a simulation repeats, and has a moment before and
    /// after each write in which the process can end.
    Inline,
}

/// The two sleeps.
const INLINE_PAUSE: Duration = Duration::from_millis(5);

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
    /// What this process did for it.
    pub instruments: Arc<Account>,
    process: Arc<Process>,
    store: Arc<Store>,
    births: Mutex<Births>,
    hold: Duration,
    work: StorageWork,
    changed: Notify,
}

impl Keeper {
    /// The keeper of an account; the births of the previous run are read.
    ///
    /// # Errors
    /// If the store cannot be read or the account cannot be written.
    pub fn new(
        clock: SharedClock,
        board: Arc<Board>,
        store: Arc<Store>,
        (process, instruments): (Arc<Process>, Arc<Account>),
        hold: Duration,
        work: StorageWork,
    ) -> Result<Keeper, StoreError> {
        let (vendor, name) = (instruments.vendor, instruments.account.clone());
        let account = store.account(vendor, &name)?;
        let births = Births::restored(store.births(account)?, clock.boot());
        Ok(Keeper {
            clock,
            board,
            vendor,
            name,
            account,
            instruments,
            process,
            store,
            births: Mutex::new(births),
            hold,
            work,
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

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let store = Arc::clone(&self.store);
        match self.work {
            StorageWork::Threads => match tokio::task::spawn_blocking(move || work(&store)).await {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(_) => Err("storage: the work was broken off".to_owned()),
            },
            StorageWork::Inline => {
                self.clock.sleep_until(self.clock.boot() + INLINE_PAUSE).await;
                let outcome = work(&store).map_err(|error| error.to_string());
                self.clock.sleep_until(self.clock.boot() + INLINE_PAUSE).await;
                outcome
            }
        }
    }

    /// Works on the store without blocking. `None` if it failed, which the snapshot then shows.
    ///
    /// `what` names the kind of work: the storage counts as up again once the kind that failed has succeeded, or
    /// [`Keeper::check_storage`] has.
    pub async fn work<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<T> {
        match self.run(work).await {
            Ok(value) => {
                self.works(&[(self.account, what)]);
                Some(value)
            }
            Err(error) => {
                if self.board.current().storage.up() {
                    tracing::error!(
                        error,
                        "the storage cannot be written: gauges go on, counters stand still until it can"
                    );
                }
                self.process.storage_failures.inc();
                self.board.update(|snapshot| {
                    snapshot.storage.failing.insert((self.account, what));
                    snapshot.storage.last_error = Some(error);
                });
                None
            }
        }
    }

    /// These kinds of work succeed again, if they did not.
    fn works(&self, kinds: &[(AccountId, &'static str)]) {
        let before = self.board.current();
        if !kinds.iter().any(|kind| before.storage.failing.contains(kind)) {
            return;
        }
        self.board.update(|snapshot| snapshot.storage.failing.retain(|kind| !kinds.contains(kind)));
        if self.board.current().storage.up() {
            tracing::info!("the storage can be written again; counters catch up with the next polls");
        }
    }

    /// After a failure, finds out whether the storage works again. Some kinds of work come once a day or with an event:
    /// the next of them may be far.
    pub async fn check_storage(&self) {
        let failing: Vec<_> = self.board.current().storage.failing.iter().copied().collect();
        if !failing.is_empty() && self.run(Store::probe).await.is_ok() {
            self.works(&failing);
        }
    }

    /// A success of this moment.
    #[must_use]
    pub fn success(&self, source: Source) -> Success {
        let at = self.clock.moment();
        Success {
            account: self.account,
            source,
            at: Some(at),
            boot_id: self.clock.boot_id(),
            count_since: at.wall,
            configured_since: None,
            answer: None,
        }
    }

    /// Rows for those of `keys` that have not been born, to be written along with what they count. `at_once` if they may
    /// have been served before, with a value: then a zero would be seen as a reset.
    #[must_use]
    pub fn newborn(&self, keys: impl IntoIterator<Item = String>, at_once: bool) -> Vec<BirthRow> {
        let (now, shown) = (self.clock.now(), at_once || self.hold.is_zero());
        let births = self.lock();
        keys.into_iter().filter(|key| !births.knows(key)).map(|key| (key, now, shown)).collect()
    }

    /// Rows have been written: their series exist from now on.
    pub fn born(&self, rows: &[BirthRow]) {
        if rows.is_empty() {
            return;
        }
        let mut births = self.lock();
        let now = self.clock.boot();
        for (key, _, shown) in rows {
            births.bear(key, now);
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
                        biased;
                        () = self.changed.notified() => {}
                        () = self.clock.sleep_until(due) => {
                            if !self.show_due().await {
                                self.clock.sleep_until(self.clock.boot() + RETRY).await;
                            }
                        }
                    }
                }
            }
        }
    }

    async fn show_due(&self) -> bool {
        let keys = self.lock().due(self.clock.boot(), self.hold);
        self.show(keys).await
    }

    /// Ends the holds of a family of series, because they may have been shown already. Returns whether that is durable.
    pub async fn show_held(&self, prefix: &str) -> bool {
        let mut keys = self.lock().due(BootTime::from_nanos(i64::MAX), Duration::ZERO);
        keys.retain(|key| key.starts_with(prefix));
        keys.is_empty() || self.show(keys).await
    }

    async fn show(&self, keys: Vec<SeriesKey>) -> bool {
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

/// The vendor's midnight after `day`, on our boot clock; `vendor_now` is the vendor's time at `now`.
pub(super) fn midnight_after(day: chrono::NaiveDate, vendor_now: DateTime<Utc>, now: BootTime) -> Option<BootTime> {
    let midnight = day.succ_opt()?.and_time(chrono::NaiveTime::MIN).and_utc();
    Some(now.shifted(midnight - vendor_now))
}
