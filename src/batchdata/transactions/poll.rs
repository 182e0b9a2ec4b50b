//! The transactions.
//!
//! Flows in: the CSV of the days that can still change; after a gap, or for history, of each day once. Flows out: counters,
//! once they are durable. Invariants: a pass is one download, and what it brought is kept whatever happens to the next; the
//! next begins only when the budget has paid for the last, so that in no hour more is downloaded than the budget and one
//! file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};

use super::ledger::{TransactionsChanges, TransactionsLedger, midnight, series_key};
use super::reading::TransactionDays;
use super::table::{LastDownload, TransactionsCommit};
use crate::batchdata::{CONSUMPTION_CSV, Client, Config, Grain, TRANSACTIONS, TransactionsView, WalletView};
use crate::clock::BootTime;
use crate::names::Source;
use crate::poll::account_storage::AccountStorage;
use crate::poll::source::Poller;
use crate::poll::source::SourceSettings;
use crate::store::StoreError;
use crate::upstream::{CredentialState, Reason, RequestError};

/// While days are missing, the next pass comes this soon if the budget allows it.
const SOON: Duration = Duration::from_secs(1);

/// Polls the transactions.
pub struct TransactionsPoller {
    client: Arc<Client>,
    storage: Arc<AccountStorage>,
    ledger: TransactionsLedger,
    configured_since: Option<NaiveDate>,
    count_since: Option<DateTime<Utc>>,
    bytes_per_hour: u64,
    interval: Duration,
    max_age: Duration,
    /// What the last download took, or a larger one that failed since.
    bytes: u64,
    not_before: BootTime,
    /// The last pass did not reach the vendor's day.
    behind: bool,
    /// The last answer had no `Date`: only a vendor that takes the day after shows that a day is over.
    undated: bool,
    /// Rows of the last reading that could not be read.
    rejected: u64,
    /// The stored ledger may be an older copy of one whose counters were served already: reading up to today restores them.
    stale: bool,
}

/// What a pass has read: the days, and the vendor's time when they were asked for.
struct Read {
    days: (NaiveDate, NaiveDate),
    now: DateTime<Utc>,
    proven: bool,
    reading: TransactionDays,
}

impl TransactionsPoller {
    /// Restores the ledger of the previous run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn restore(
        client: Arc<Client>,
        storage: Arc<AccountStorage>,
        config: &Config,
        interval: Duration,
    ) -> Result<TransactionsPoller, StoreError> {
        let stored = storage.store().source(storage.account, TRANSACTIONS)?;
        let since = match &stored {
            Some(stored) => stored.configured_since.as_deref().and_then(|day| day.parse().ok()),
            None => config.count_since,
        };
        let ledger = match &stored {
            Some(_) => storage.store().transactions(storage.account, since)?,
            None => TransactionsLedger::new(since),
        };
        let download = storage.store().last_download(storage.account)?;
        let now = storage.clock.moment();
        let mut poller = TransactionsPoller {
            client,
            storage,
            ledger,
            configured_since: since,
            count_since: stored.map(|stored| stored.count_since),
            bytes_per_hour: config.transactions_bytes_per_hour,
            interval,
            max_age: config.max_age,
            bytes: 0,
            not_before: now.boot,
            behind: false,
            undated: false,
            rejected: 0,
            stale: false,
        };
        if let Some(download) = download {
            poller.bytes = download.bytes;
            let passed = (now.wall - download.at).to_std().unwrap_or_default();
            poller.not_before = now.boot + poller.cost(download.bytes).saturating_sub(passed);
        }
        Ok(poller)
    }

    /// The same with counters that may have been served with higher values than are stored.
    #[must_use]
    pub fn stale(self, stale: bool) -> TransactionsPoller {
        TransactionsPoller { stale, ..self }
    }

    /// How often it polls, and how old a success may be: a large file is read again only when the budget allows it.
    #[must_use]
    pub fn paced(&self) -> SourceSettings {
        let interval = self.interval.max(self.cost(self.bytes));
        SourceSettings { interval, max_age: self.max_age.max(interval * 3) }
    }

    /// What is known.
    #[must_use]
    pub fn view(&self) -> TransactionsView {
        TransactionsView {
            counters: self.ledger.counters().clone(),
            amounts: self.ledger.amounts().clone(),
            overflowing_endpoints: self.ledger.overflow(),
        }
    }

    /// How long the budget needs to pay for a download.
    fn cost(&self, bytes: u64) -> Duration {
        Duration::from_secs(3_600).mul_f64(bytes as f64 / self.bytes_per_hour as f64)
    }

    /// Makes it durable what a download took. Where it cannot be written, this run still keeps to the budget.
    async fn note(&self, bytes: u64) {
        let (account, download) = (self.storage.account, LastDownload { at: self.storage.clock.now(), bytes });
        self.storage.work("transactions", move |store| store.note_download(account, download)).await;
    }

    /// The days that are wanted by the vendor's clock, which the answer may set.
    async fn read(&mut self) -> Result<Read, RequestError> {
        let client = Arc::clone(&self.client);
        let credential = client.credential();
        // A clock that has moved far is believed once the vendor takes its day.
        if let Some(day) = credential.candidate_day() {
            match client.consumption(day, day, Grain::Day).await {
                Err(error) if error.status == Some(422) => credential.day_refused(),
                _ => {}
            }
        }
        let base_line = self.ledger.is_new() && self.configured_since.is_none();
        let before = self.wanted();
        let read = self.download(before).await;
        let refused = read.as_ref().is_err_and(|error| error.status == Some(422));
        let after = self.wanted();
        // A base line must not end on the day before.
        let read = match (refused || base_line) && after.1 != before.1 {
            true => self.download(after).await?,
            false => read?,
        };
        if base_line {
            if credential.is_unclear() {
                let words = "the vendor's clock and this machine's disagree by more than an hour: counting begins once \
                             a second answer agrees";
                return Err(RequestError::new(CONSUMPTION_CSV, Reason::Implausible, words));
            }
            if !credential.is_confirmed() {
                client.refuses_day_after(read.days.1).await?;
            }
        }
        Ok(read)
    }

    /// The days to read now, and the vendor's day.
    fn wanted(&self) -> ((NaiveDate, NaiveDate), NaiveDate) {
        let now = self.client.credential().now();
        (self.ledger.wanted(now, !self.undated), now.date_naive())
    }

    async fn download(&mut self, (days, _): ((NaiveDate, NaiveDate), NaiveDate)) -> Result<Read, RequestError> {
        let (mut reading, began) = (TransactionDays::default(), self.storage.clock.boot());
        let summary = self.client.transactions(days.0, days.1, &mut reading).await?;
        if summary.rejected > 0 && summary.rejected != self.rejected {
            let (account, rejected, first_day) = (&self.storage.name, summary.rejected, days.0);
            tracing::warn!(account, rejected, %first_day, "transactions cannot be read and are not counted");
        }
        self.rejected = summary.rejected;
        // The answer itself has told what the vendor's clock showed when it was asked.
        let credential = self.client.credential();
        let (now, proven) = (credential.at(began), credential.skew().is_some());
        self.undated = !proven;
        Ok(Read { days, now, proven, reading: reading.bounded()? })
    }

    /// `restored` if what counters may have shown before is among the changes, or was before. Returns whether they were
    /// written.
    async fn keep(
        &mut self,
        changes: TransactionsChanges,
        count_since: DateTime<Utc>,
        bytes: u64,
        restored: bool,
    ) -> bool {
        let mut success = self.storage.success(TRANSACTIONS);
        success.count_since = count_since;
        success.configured_since = self.configured_since.map(|day| day.to_string());
        let download = LastDownload { at: self.storage.clock.now(), bytes };
        if !restored {
            // The next start must not take the ledger for a young one.
            success.at = None;
        }
        let new_series = self.storage.new_series(TRANSACTIONS, changes.counters.keys().map(series_key), self.stale);
        let changes = Arc::new(changes);
        let (written, rows) = (Arc::clone(&changes), new_series.clone());
        let kept = self.storage.work("transactions", move |store| {
            let (success, changes, new_series) = (&success, &*written, rows.as_slice());
            store.commit_transactions(&TransactionsCommit { success, changes, download, new_series })
        });
        let kept = kept.await.is_some();
        let changes = Arc::unwrap_or_clone(changes);
        if !kept {
            self.ledger.note_overflow(&changes);
            return false;
        }
        self.ledger.commit(changes);
        self.storage.created(&new_series);
        self.count_since = Some(count_since);
        true
    }
}

#[async_trait]
impl Poller for TransactionsPoller {
    fn source(&self) -> Source {
        TRANSACTIONS
    }

    fn storage(&self) -> &AccountStorage {
        &self.storage
    }

    fn credential(&self) -> CredentialState<'_> {
        self.client.credential()
    }

    async fn pass(&mut self) -> Result<(), RequestError> {
        let downloaded = |poller: &Self| poller.storage.instruments.response_bytes(CONSUMPTION_CSV);
        let before = downloaded(self);
        // A process that is killed meanwhile has downloaded at most about as much as the last time.
        self.note(self.bytes.max(self.bytes_per_hour)).await;
        let read = self.read().await;
        let bytes = downloaded(self) - before;
        self.not_before = self.storage.clock.boot() + self.cost(bytes);
        // One that failed may have downloaded less than a whole file: the pace stays.
        self.bytes = if read.is_ok() { bytes } else { self.bytes.max(bytes) };
        let Read { days, now, proven, reading } = match read {
            Ok(read) => read,
            Err(error) => {
                // It will not get smaller: what is stored has to do.
                self.stale &= error.reason != Reason::TooLarge;
                self.note(bytes).await;
                return Err(error);
            }
        };
        if self.stale {
            self.storage.show_now("transactions/").await;
        }
        let changes = self.ledger.plan(days, &reading, now, proven);
        drop(reading);
        let complete = days.1 >= now.date_naive();
        let count_since = self.count_since.unwrap_or_else(|| self.configured_since.map_or(now, midnight));
        let kept = self.keep(changes, count_since, bytes, complete || !self.stale).await;
        self.stale &= !(complete && kept);
        // What cannot be kept is not worth a further download.
        self.behind = kept && !complete;
        let view = Arc::new(self.view());
        self.storage.update(|account| account.update_facts::<WalletView>(|wallet| wallet.transactions = Some(view)));
        Ok(())
    }

    fn is_stale(&self) -> bool {
        self.stale
    }

    fn not_before(&self) -> Option<BootTime> {
        Some(self.not_before)
    }

    fn pace(&self) -> Option<SourceSettings> {
        Some(self.paced())
    }

    fn poll_by(&self, failed: bool) -> Option<BootTime> {
        (self.behind && !failed).then(|| self.storage.clock.boot() + SOON)
    }
}
