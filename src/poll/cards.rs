//! The credit-card transactions.
//!
//! Flows in: complete listings of a range of days. Flows out: counters, once they are durable, and what is pending.
//! Invariant: a steady pass is one short listing; one that is pending is looked at again until it ends; once a day all
//! days in reach are listed again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::keeper::Keeper;
use super::source::Poller;
use crate::clock::delta;
use crate::domain::cards::{CardBook, CardChanges, birth_key};
use crate::domain::consumption::REACH;
use crate::snapshot::CardsView;
use crate::store::{StoreError, Success};
use crate::vendor::{BatchData, CardTransaction, Fault, Source};

/// A long listing that failed is tried again this much later.
const FULL_RETRY: Duration = Duration::from_secs(3_600);
/// A listing that reaches back to the oldest pending transaction must fit one page, with room for new ones.
const ONE_PAGE: u64 = 60;
/// One that has been pending for longer is looked at once a day only, by the full listing.
const LONGEST_PENDING: TimeDelta = TimeDelta::days(30);

/// Polls the card transactions.
pub struct CardsPoller {
    client: Arc<BatchData>,
    keeper: Arc<Keeper>,
    book: CardBook,
    configured_since: Option<NaiveDate>,
    count_since: Option<DateTime<Utc>>,
    last_listed: Option<NaiveDate>,
    full_on: Option<NaiveDate>,
    full_not_before: DateTime<Utc>,
    passes: usize,
}

/// First and last day of a listing; open ends are `None`.
type Range = (Option<NaiveDate>, Option<NaiveDate>);

impl CardsPoller {
    /// Restores the book of an earlier life.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn restore(
        client: Arc<BatchData>,
        keeper: Arc<Keeper>,
        configured_since: Option<NaiveDate>,
    ) -> Result<CardsPoller, StoreError> {
        let stored = keeper.store().source(keeper.account, Source::CardTransactions)?;
        let since = match &stored {
            Some(stored) => stored.configured_since.as_deref().and_then(|day| day.parse().ok()),
            None => configured_since,
        };
        let book = match &stored {
            Some(_) => keeper.store().card_book(keeper.account, since, true)?,
            None => CardBook::new(since),
        };
        let full_on = stored.as_ref().and_then(|stored| stored.answer.as_deref()?.parse().ok());
        let now = keeper.clock.now();
        Ok(CardsPoller {
            client,
            book,
            configured_since: since,
            count_since: stored.as_ref().map(|stored| stored.count_since),
            last_listed: stored.map(|stored| stored.last_success.date_naive()),
            full_on,
            full_not_before: now,
            passes: 0,
            keeper,
        })
    }

    /// What is known before the first pass of this life.
    #[must_use]
    pub fn view(&self) -> CardsView {
        self.view_with(None)
    }

    fn view_with(&self, unkept: Option<&CardChanges>) -> CardsView {
        CardsView {
            listed: self.book.is_listed() || unkept.is_some(),
            counted: self.book.counted().clone(),
            costs: self.book.costs().clone(),
            pending: self.book.pending(unkept).into_values().collect(),
            latest: self.book.latest(unkept),
            count_since: self.count_since,
            overflowing_brands: self.book.overflow(),
        }
    }

    /// Which days to list. `full` if it is the long listing.
    async fn range(&mut self, today: NaiveDate) -> (Range, bool) {
        let back = |day: NaiveDate, days| day.checked_sub_days(Days::new(days)).unwrap_or(day);
        let reach = back(today, REACH);
        if !self.book.is_listed() {
            let from = self.configured_since.map_or(reach, |since| since.min(reach));
            return ((Some(from), None), true);
        }
        let now = self.keeper.clock.now();
        let recent = back(self.last_listed.unwrap_or(today).min(today), 1);
        if self.full_on != Some(today) && self.last_listed == Some(today) && now >= self.full_not_before {
            return ((Some(reach.min(recent)), None), true);
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
        let Some(oldest) = older.first().copied() else { return ((Some(recent), None), false) };
        let account = self.keeper.account;
        let from = oldest.and_time(NaiveTime::MIN).and_utc();
        let rows = self.keeper.work("card list", move |store| store.cards_since(account, from)).await;
        if rows.is_some_and(|rows| rows <= ONE_PAGE) {
            return ((Some(oldest), None), false);
        }
        // Too much lies between: recent days and the days of pending ones take turns.
        match older.get((self.passes / 2) % older.len()) {
            Some(day) if self.passes.is_multiple_of(2) => ((Some(*day), Some(*day)), false),
            _ => ((Some(recent), None), false),
        }
    }

    async fn keep(
        &mut self,
        listing: Vec<CardTransaction>,
        range: Range,
        at: DateTime<Utc>,
        full_on: Option<NaiveDate>,
    ) -> Option<CardChanges> {
        let account = self.keeper.account;
        let ids: Vec<i64> = listing.iter().map(|transaction| transaction.id).collect();
        let known = self.keeper.work("card list", move |store| store.known_cards(account, ids)).await;
        let readable = known.is_some();
        let changes = self.book.plan(&listing, &known.unwrap_or_default(), range);
        if !readable {
            return Some(changes);
        }
        let count_since = self.count_since.unwrap_or_else(|| match self.configured_since {
            Some(day) => day.and_time(NaiveTime::MIN).and_utc(),
            None => at,
        });
        let success = Success {
            account,
            source: Source::CardTransactions,
            at,
            count_since,
            configured_since: self.configured_since.map(|day| day.to_string()),
            answer: full_on.map(|day| day.to_string()),
        };
        let born = self.keeper.newborn(changes.costs.keys().map(|brand| birth_key(brand)));
        let (book, written, rows) = (self.book.clone(), changes.clone(), born.clone());
        let kept = self
            .keeper
            .work("card transactions", move |store| store.commit_cards(&success, &book, &written, &rows))
            .await;
        if kept.is_none() {
            self.book.note_overflow(&changes);
            return Some(changes);
        }
        self.book.commit(changes);
        self.keeper.born(&born);
        self.count_since = Some(count_since);
        self.full_on = full_on;
        None
    }
}

#[async_trait]
impl Poller for CardsPoller {
    fn source(&self) -> Source {
        Source::CardTransactions
    }

    fn account(&self) -> &str {
        &self.keeper.name
    }

    async fn pass(&mut self) -> Result<(), Fault> {
        let today = self.client.now().date_naive();
        let (range, full) = self.range(today).await;
        let listing = match self.client.card_transactions(range.0, range.1).await {
            Ok(listing) => listing,
            Err(fault) => {
                if full && self.book.is_listed() {
                    self.full_not_before = self.keeper.clock.now() + delta(FULL_RETRY);
                }
                return Err(fault);
            }
        };
        let now = self.keeper.clock.now();
        let full_on = if full { Some(today) } else { self.full_on };
        let unkept = self.keep(listing, range, now, full_on).await;
        // Only a listing up to now moves the mark that the next one starts from; one that was not kept does not.
        if range.1.is_none() && unkept.is_none() {
            self.last_listed = Some(today);
        }
        let view = Arc::new(self.view_with(unkept.as_ref()));
        self.keeper.board.update(|snapshot| {
            if let Some(wallet) = snapshot.wallet_mut(&self.keeper.name) {
                wallet.cards = Some(view);
            }
        });
        Ok(())
    }

    fn pause(&self, until: DateTime<Utc>) {
        self.client.pause(until);
    }
}
