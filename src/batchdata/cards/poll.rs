//! The credit-card transactions.
//!
//! Flows in: complete listings of a range of days. Flows out: counters, once they are durable, and what is pending.
//! Invariant: a steady pass is one short listing; one that is pending is looked at again until it ends; once a day all
//! days in reach are listed again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::book::{CardBook, CardChanges, series_key};
use crate::batchdata::consumption::ledger::REACH;
use crate::batchdata::{CARD_TRANSACTIONS, CardTransaction, CardsView, Client, WalletView};
use crate::clock::BootTime;
use crate::names::Source;
use crate::poll::account_storage::AccountStorage;
use crate::poll::source::Poller;
use crate::store::StoreError;
use crate::upstream::{CredentialState, Reason, RequestError};

/// A long listing that failed is tried again this much later.
const FULL_RETRY: Duration = Duration::from_secs(3_600);
/// A listing that reaches back to the oldest pending transaction must fit one page, with room for new ones.
const ONE_PAGE: u64 = 60;
/// The most transactions that the ledger keeps of an account: 13 MB, or 30 a day over nine years.
const MOST_KEPT: u64 = 100_000;
/// The time of a transaction that lies further ahead of the vendor's clock is not believed.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// One that has been pending for longer is looked at once a day only, by the full listing.
const LONGEST_PENDING: TimeDelta = TimeDelta::days(30);

/// Polls the card transactions.
pub struct CardsPoller {
    client: Arc<Client>,
    storage: Arc<AccountStorage>,
    book: CardBook,
    configured_since: Option<NaiveDate>,
    count_since: Option<DateTime<Utc>>,
    last_listed: Option<NaiveDate>,
    full_on: Option<NaiveDate>,
    full_not_before: BootTime,
    /// The stored book may be an older copy of one whose counters were served already: the first listing restores them.
    stale: bool,
    passes: usize,
}

/// First and last day of a listing; `None` for an open end.
type Range = (NaiveDate, Option<NaiveDate>);

impl CardsPoller {
    /// Restores the book of the previous run; `stale` if its last success is long ago.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn restore(
        client: Arc<Client>,
        storage: Arc<AccountStorage>,
        configured_since: Option<NaiveDate>,
        stale: bool,
    ) -> Result<CardsPoller, StoreError> {
        let stored = storage.store().source(storage.account, CARD_TRANSACTIONS)?;
        let since = match &stored {
            Some(stored) => stored.configured_since.as_deref().and_then(|day| day.parse().ok()),
            None => configured_since,
        };
        let book = match &stored {
            Some(_) => storage.store().card_book(storage.account, since)?,
            None => CardBook::new(since),
        };
        let full_on = stored.as_ref().and_then(|stored| stored.answer.as_deref()?.parse().ok());
        let now = storage.clock.boot();
        Ok(CardsPoller {
            client,
            book,
            configured_since: since,
            count_since: stored.as_ref().map(|stored| stored.count_since),
            last_listed: stored.and_then(|stored| stored.last_success).map(|last| last.date_naive()),
            full_on,
            full_not_before: now,
            stale,
            passes: 0,
            storage,
        })
    }

    /// What is known before the first pass of this run.
    #[must_use]
    pub fn view(&self) -> CardsView {
        self.view_with(None)
    }

    fn view_with(&self, unkept: Option<&CardChanges>) -> CardsView {
        CardsView {
            listed: self.book.listed_from().is_some() || unkept.is_some(),
            counted: self.book.counted().clone(),
            costs: self.book.costs().clone(),
            pending: self.book.pending(unkept).into_values().collect(),
            latest: self.book.latest(unkept),
            overflowing_brands: self.book.overflow(),
        }
    }

    /// Which days to list. `full` if it is the long listing.
    async fn range(&mut self, today: NaiveDate) -> (Range, bool) {
        let back = |day: NaiveDate, days| day.checked_sub_days(Days::new(days)).unwrap_or(day);
        let reach = back(today, REACH);
        let Some(first) = self.book.listed_from() else {
            let from = self.configured_since.map_or(reach, |since| since.min(reach));
            return ((from, None), true);
        };
        let now = self.client.credential().now();
        let recent = back(self.last_listed.unwrap_or(today).min(today), 1);
        let due = self.full_on != Some(today) && self.last_listed == Some(today) && self.storage.is_turn_of_day(now);
        let long = self.stale || (due && self.storage.clock.boot() >= self.full_not_before);
        // What cannot be kept is not worth a long listing.
        if long && self.storage.is_up() {
            return ((reach.min(recent).max(first), None), true);
        }
        self.passes += 1;
        let mut older: Vec<NaiveDate> = self
            .book
            .pending(None)
            .values()
            .filter(|pending| now - pending.created_at <= LONGEST_PENDING)
            .map(|pending| pending.created_at.date_naive())
            .filter(|day| *day < recent)
            .collect();
        older.sort_unstable();
        older.dedup();
        let Some(oldest) = older.first().copied() else { return ((recent, None), false) };
        let account = self.storage.account;
        let from = oldest.and_time(NaiveTime::MIN).and_utc();
        let rows = self.storage.work("card list", move |store| store.cards_since(account, from)).await;
        if rows.is_some_and(|rows| rows <= ONE_PAGE) {
            return ((oldest, None), false);
        }
        // Too much lies between: recent days and the days of pending ones take turns.
        match older.get((self.passes / 2) % older.len()) {
            Some(day) if self.passes.is_multiple_of(2) => ((*day, Some(*day)), false),
            _ => ((recent, None), false),
        }
    }

    /// `restored` if what counters may have shown before is in the listing, or was in one before.
    async fn keep(
        &mut self,
        listing: Vec<CardTransaction>,
        range: Range,
        full_on: Option<NaiveDate>,
        restored: bool,
    ) -> Result<Option<CardChanges>, RequestError> {
        let account = self.storage.account;
        let ids: Vec<i64> = listing.iter().map(|transaction| transaction.id).collect();
        let read =
            self.storage.work("card list", move |store| Ok((store.known_cards(account, ids)?, store.cards(account)?)));
        let read = read.await;
        let readable = read.is_some();
        let (known, kept) = read.unwrap_or_default();
        let new = listing.iter().filter(|transaction| !known.contains_key(&transaction.id)).count() as u64;
        if new > 0 && kept + new > MOST_KEPT {
            let words = format!("the listings have shown more than {MOST_KEPT} transactions in all");
            return Err(RequestError::new(CARD_TRANSACTIONS.operation, Reason::TooLarge, words));
        }
        let vendor_now = self.client.credential().now();
        let changes = self.book.plan(&listing, &known, range, vendor_now + AHEAD);
        // A long listing takes as much memory as what follows.
        drop(listing);
        if !readable {
            return Ok(Some(changes));
        }
        let count_since = self.count_since.unwrap_or_else(|| match self.configured_since {
            Some(day) => day.and_time(NaiveTime::MIN).and_utc(),
            None => vendor_now,
        });
        let mut success = self.storage.success(CARD_TRANSACTIONS);
        success.count_since = count_since;
        success.configured_since = self.configured_since.map(|day| day.to_string());
        success.answer = full_on.map(|day| day.to_string());
        if !restored {
            // The next start must not take the book for a young one.
            success.at = None;
        }
        let keys = changes.costs.keys().map(|brand| series_key(brand));
        let new_series = self.storage.new_series(CARD_TRANSACTIONS, keys, self.stale);
        let changes = Arc::new(changes);
        let (written, latest, rows) = (Arc::clone(&changes), self.book.latest(Some(&changes)), new_series.clone());
        let kept = self
            .storage
            .work("card transactions", move |store| store.commit_cards(&success, &written, &latest, &rows))
            .await;
        let changes = Arc::unwrap_or_clone(changes);
        if kept.is_none() {
            self.book.note_overflow(&changes);
            return Ok(Some(changes));
        }
        self.book.commit(changes);
        self.storage.created(&new_series);
        self.count_since = Some(count_since);
        self.full_on = full_on;
        Ok(None)
    }
}

#[async_trait]
impl Poller for CardsPoller {
    fn source(&self) -> Source {
        CARD_TRANSACTIONS
    }

    fn storage(&self) -> &AccountStorage {
        &self.storage
    }

    fn credential(&self) -> CredentialState<'_> {
        self.client.credential()
    }

    async fn pass(&mut self) -> Result<(), RequestError> {
        let today = self.client.credential().now().date_naive();
        let (range, full) = self.range(today).await;
        let listing = match self.client.card_transactions(Some(range.0), range.1).await {
            Ok(listing) => listing,
            Err(error) => {
                // A short listing would not restore what an older copy of the storage lacks.
                if full && !self.stale {
                    self.full_not_before = self.storage.clock.boot() + FULL_RETRY;
                }
                // It will not get smaller: a short one has to do.
                self.stale &= error.reason != Reason::TooLarge;
                return Err(error);
            }
        };
        if self.stale {
            self.storage.show_now("card/").await;
        }
        let full_on = if full { Some(today) } else { self.full_on };
        let unkept = self.keep(listing, range, full_on, full || !self.stale).await?;
        self.stale &= !full || unkept.is_some();
        // Only a listing up to now moves the mark that the next one starts from; one that was not kept does not.
        if range.1.is_none() && unkept.is_none() {
            self.last_listed = Some(today);
        }
        let view = Arc::new(self.view_with(unkept.as_ref()));
        self.storage.update(|account| account.update_facts::<WalletView>(|wallet| wallet.cards = Some(view)));
        Ok(())
    }

    fn is_stale(&self) -> bool {
        self.stale
    }
}
