//! What is kept, and when a new series may be shown.
//!
//! Flows in: writes. Flows out: whether they are durable; new series to the snapshot. Invariant: no write blocks the async
//! threads; a failed one is logged once, and fails no poll; a series shows its value only after that was made durable.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Timelike as _, Utc};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::clock::{BootTime, SharedClock};
use crate::counting::zero_start::{self, SeriesKey, Start, ZeroStarts};
use crate::instruments::ProcessInstruments;
use crate::instruments::account::AccountInstruments;
use crate::names::{Source, Vendor};
use crate::snapshot::{AccountView, SnapshotCell, SourceView};
use crate::store::{AccountId, NewSeries, Store, StoreError, Success};

/// After a write that failed, zero starts are ended this much later.
const RETRY: Duration = Duration::from_secs(10);

/// Where work on the storage is done, and watched files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageWork {
    /// On threads that may block.
    Threads,
    /// At once on the calling thread, between two short sleeps: so a simulation repeats, and has a moment before and
    /// after each write in which the process can end.
    Inline,
}

/// What is done once a day is done so long after midnight, at the latest.
const LAST_TURN: Duration = Duration::from_secs(20 * 3_600);

/// The two sleeps.
const INLINE_PAUSE: Duration = Duration::from_millis(5);

/// The storage as the polls of one account use it, and that account's zero-initialised series.
pub struct AccountStorage {
    /// Time.
    pub clock: SharedClock,
    /// Where snapshots hang.
    pub cell: Arc<SnapshotCell>,
    /// Whose account it is.
    pub vendor: Vendor,
    /// The label `account`.
    pub name: String,
    /// Its key in the store.
    pub account: AccountId,
    /// What this process did for it.
    pub instruments: Arc<AccountInstruments>,
    /// Its place among the accounts, from 0 to below 1: so far into the minute after midnight and into the day is its turn.
    pub turn: f64,
    process: Arc<ProcessInstruments>,
    store: Arc<Store>,
    zero_starts: Mutex<Arc<ZeroStarts>>,
    zero_for: Duration,
    work: StorageWork,
    long_reads: Arc<Semaphore>,
    /// What is under way on threads that may block.
    under_way: TaskTracker,
    changed: Notify,
}

impl AccountStorage {
    /// The storage of an account; the series of the previous run are read.
    ///
    /// # Errors
    /// If the store cannot be read or the account cannot be written.
    pub fn new(
        clock: SharedClock,
        cell: Arc<SnapshotCell>,
        store: Arc<Store>,
        (process, instruments): (Arc<ProcessInstruments>, Arc<AccountInstruments>),
        turn: f64,
        zero_for: Duration,
        (work, long_reads): (StorageWork, Arc<Semaphore>),
    ) -> Result<AccountStorage, StoreError> {
        let (vendor, name) = (instruments.vendor, instruments.account.clone());
        let account = store.account(vendor, &name)?;
        let now = clock.moment();
        let start = |start: Option<DateTime<Utc>>| start.map(|start| now.at_wall(start));
        let series = store.series(account, now.wall)?;
        let series = series.into_iter().map(|(key, started, shown)| (key, start(started), shown));
        let zero_starts = ZeroStarts::restored(series, now.boot);
        Ok(AccountStorage {
            clock,
            cell,
            vendor,
            name,
            account,
            instruments,
            turn,
            process,
            store,
            zero_starts: Mutex::new(Arc::new(zero_starts)),
            zero_for,
            work,
            long_reads,
            under_way: TaskTracker::new(),
            changed: Notify::new(),
        })
    }

    /// Whether it is the account's turn for what is done once a day.
    #[must_use]
    pub fn is_turn_of_day(&self, now: DateTime<Utc>) -> bool {
        f64::from(now.num_seconds_from_midnight()) >= self.turn * LAST_TURN.as_secs_f64()
    }

    /// A permit to read a long history, to be held until what was read is written: answers of many accounts at once would
    /// wait for the storage in memory. Without `wait`, `None` while others read.
    pub async fn long_read(&self, wait: bool) -> Option<OwnedSemaphorePermit> {
        let long_reads = Arc::clone(&self.long_reads);
        if wait { long_reads.acquire_owned().await.ok() } else { long_reads.try_acquire_owned().ok() }
    }

    /// The store, for reads at start.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Changes the account in the snapshot.
    pub fn update(&self, change: impl FnOnce(&mut AccountView)) {
        self.cell.update(|snapshot| {
            if let Some(account) = snapshot.account_mut(self.vendor, &self.name) {
                change(account);
            }
        });
    }

    /// Changes a source of the account in the snapshot.
    pub fn update_source(&self, source: Source, change: impl FnOnce(&mut SourceView)) {
        self.update(|account| {
            if let Some(view) = account.sources.iter_mut().find(|view| view.source == source) {
                change(view);
            }
        });
    }

    /// Whether the last write of each kind succeeded.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.cell.current().storage.up()
    }

    /// The series as they stand.
    #[must_use]
    pub fn zero_starts(&self) -> Arc<ZeroStarts> {
        Arc::clone(&self.lock())
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let store = Arc::clone(&self.store);
        match self.work {
            StorageWork::Threads => match self.under_way.spawn_blocking(move || work(&store)).await {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(_) => Err("storage: the operation was cancelled".to_owned()),
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
    /// [`AccountStorage::check_storage`] has.
    pub async fn work<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<T> {
        // Held before it is asked, so that `close` waits for whatever passes.
        let _under_way = self.under_way.token();
        if self.under_way.is_closed() {
            return None;
        }
        match self.run(work).await {
            Ok(value) => {
                self.works(&[(self.account, what)]);
                Some(value)
            }
            Err(error) => {
                if self.cell.current().storage.up() {
                    tracing::error!(
                        error,
                        "the storage cannot be written: gauges are still updated, counters do not increase until a write succeeds"
                    );
                }
                self.process.storage_failures.inc();
                self.cell.update(|snapshot| {
                    snapshot.storage.failing.insert((self.account, what));
                    snapshot.storage.last_error = Some(error);
                });
                None
            }
        }
    }

    /// Begins no more work, and waits for what is under way: who reads the account's rows then reads the last of them.
    pub async fn close(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// These kinds of work succeed again, if they did not.
    fn works(&self, kinds: &[(AccountId, &'static str)]) {
        let before = self.cell.current();
        if !kinds.iter().any(|kind| before.storage.failing.contains(kind)) {
            return;
        }
        self.cell.update(|snapshot| snapshot.storage.failing.retain(|kind| !kinds.contains(kind)));
        if self.cell.current().storage.up() {
            tracing::info!("the storage can be written again; counters catch up with the next polls");
        }
    }

    /// After a failure, finds out whether the storage works again. Some kinds of work come once a day or with an event:
    /// the next of them may be far.
    pub async fn check_storage(&self) {
        let failing: Vec<_> = self.cell.current().storage.failing.iter().copied().collect();
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

    /// Whether a new series shows 0 before its value.
    #[must_use]
    pub fn starts_at_zero(&self) -> bool {
        !self.zero_for.is_zero()
    }

    /// Rows for those of `keys`, counted by `source`, that do not exist yet, to be written along with what they count.
    /// They start at the last success before, or with the account. `at_once` if they may have been served in a previous run, with a value: then a
    /// zero, or a start in this run, would be seen as a reset.
    #[must_use]
    pub fn new_series(&self, source: Source, keys: impl IntoIterator<Item = String>, at_once: bool) -> Vec<NewSeries> {
        let started = self.instruments.started;
        let polled = self.cell.current().source(&self.name, source).and_then(|view| view.last_success);
        let start = match at_once {
            true => polled.filter(|polled| polled.boot < started.boot),
            // Before the first success that is the account's own start, and not this moment: the success that is written
            // along with the row was an instant ago, and a start after it would not be believed.
            false => Some(zero_start::start(polled.unwrap_or(started), self.clock.boot())),
        };
        let shown = at_once || self.zero_for.is_zero();
        let zero_starts = self.lock();
        keys.into_iter().filter(|key| !zero_starts.knows(key)).map(|key| (key, start, shown)).collect()
    }

    /// Rows for those of `keys` that do not exist yet or have no start, of a source that has never succeeded: they have
    /// counted nothing, so that whenever they start is no reset.
    #[must_use]
    pub fn uncounted_series(&self, keys: impl IntoIterator<Item = String>) -> Vec<NewSeries> {
        let (start, shown) = (Some(self.instruments.started), self.zero_for.is_zero());
        let zero_starts = self.lock();
        keys.into_iter().filter(|key| !zero_starts.is_dated(key)).map(|key| (key, start, shown)).collect()
    }

    /// Rows have been written: their series exist from now on.
    pub fn created(&self, rows: &[NewSeries]) {
        if rows.is_empty() {
            return;
        }
        let mut zero_starts = self.lock();
        let (now, changed) = (self.clock.boot(), Arc::make_mut(&mut zero_starts));
        for (key, start, shown) in rows {
            changed.create(key, *start, now);
            if *shown {
                changed.show(&[(key.clone(), *start)]);
            }
        }
        self.publish(Arc::clone(&zero_starts));
        self.changed.notify_one();
    }

    /// Shows the values of new series as they become due; runs until it is dropped.
    pub async fn end_zero_starts(&self) {
        loop {
            let due = self.lock().next_due(self.zero_for);
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
        let due = self.lock().due(self.clock.boot(), self.zero_for);
        self.show(due).await
    }

    /// Shows the values of a group of new series now, because they may have been shown before. Returns whether that is durable.
    pub async fn show_now(&self, prefix: &str) -> bool {
        let unshown = self.lock().unshown(prefix);
        unshown.is_empty() || self.show(unshown).await
    }

    async fn show(&self, series: Vec<(SeriesKey, Start)>) -> bool {
        let account = self.account;
        let rows = series.clone();
        if self.work("zero starts", move |store| store.show(account, &rows)).await.is_none() {
            return false;
        }
        let zero_starts = {
            let mut zero_starts = self.lock();
            Arc::make_mut(&mut zero_starts).show(&series);
            Arc::clone(&zero_starts)
        };
        self.publish(zero_starts);
        true
    }

    fn publish(&self, zero_starts: Arc<ZeroStarts>) {
        self.update(|account| account.zero_starts = zero_starts);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<ZeroStarts>> {
        self.zero_starts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The vendor's midnight after `day`, on our boot clock; `vendor_now` is the vendor's time at `now`.
pub fn midnight_after(day: chrono::NaiveDate, vendor_now: DateTime<Utc>, now: BootTime) -> Option<BootTime> {
    let midnight = day.succ_opt()?.and_time(chrono::NaiveTime::MIN).and_utc();
    Some(now.shifted(midnight - vendor_now))
}
