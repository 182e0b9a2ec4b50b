//! Credit-card top-ups and refunds, followed by id.
//!
//! Flows in: listings of transactions, in any order, overlapping, shifted. Flows out: counters by kind, status and brand,
//! and what is still pending. Invariant: a transaction is counted once under each state it is seen in; leaving a state
//! uncounts nothing; what the first listing showed as ended is the base line.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use strum::{EnumString, IntoStaticStr, VariantArray};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::batchdata::{CardStatus, CardTransaction};
use crate::counting::labels::{LabelLimiter, clean};
use crate::money::Usd;

/// Money in or money back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum CardKind {
    /// Credits were bought.
    TopUp,
    /// Credits were given back: the vendor lists them as negative.
    Refund,
}

impl CardKind {
    fn of(transaction: &CardTransaction) -> CardKind {
        if transaction.credits.unwrap_or_default().is_negative() { CardKind::Refund } else { CardKind::TopUp }
    }
}

/// The states that are counted.
pub const COUNTED: [CardStatus; 3] = [CardStatus::Paid, CardStatus::Failed, CardStatus::Unknown];

/// Most names for `card_brand`.
const MOST_BRANDS: usize = 20;

/// No listing reaches further back than a year.
const LISTED: TimeDelta = TimeDelta::days(368);

/// What is remembered of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTransaction {
    /// As last seen.
    pub status: CardStatus,
    /// As last seen.
    pub kind: CardKind,
    /// The label that its brand counted under.
    pub brand: Arc<str>,
    /// Credits, as last seen.
    pub credits: Usd,
    /// Sales tax, as last seen.
    pub sales_tax: Usd,
    /// The processor's fee, as last seen.
    pub processing_fee: Usd,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The states it was seen in, of those that are counted; the base line counts as seen.
    pub seen: BTreeSet<CardStatus>,
}

/// Label values of a counter.
pub type CardKey = (CardKind, CardStatus, Arc<str>);

/// Events and their credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub events: u64,
    /// Their credits, without sign.
    pub credits: Usd,
}

/// What card payments cost beside the credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Sales tax of paid transactions.
    pub sales_tax: Usd,
    /// The processor's fees of paid transactions.
    pub processing_fees: Usd,
}

/// A transaction that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its kind.
    pub kind: CardKind,
    /// Its brand's label.
    pub brand: Arc<str>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Everything that is known about a wallet's card transactions but the rows themselves.
#[derive(Clone, Debug)]
pub struct CardBook {
    /// History from this day on is counted at the first listing.
    since: Option<NaiveDate>,
    /// The first day of the first listing; `None` before it. What was made before is not the base line's, and is neither
    /// listed nor counted.
    listed_from: Option<NaiveDate>,
    counted: BTreeMap<CardKey, Counted>,
    costs: BTreeMap<Arc<str>, Costs>,
    pending: BTreeMap<i64, Pending>,
    latest: BTreeMap<(CardKind, CardStatus), DateTime<Utc>>,
    brands: LabelLimiter,
}

/// What a listing changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardChanges {
    /// Transactions as they are now.
    pub rows: BTreeMap<i64, KnownTransaction>,
    /// Counters as they are now.
    pub counted: BTreeMap<CardKey, Counted>,
    /// Costs as they are now.
    pub costs: BTreeMap<Arc<str>, Costs>,
    /// Brands allowed by this listing.
    pub brands: Vec<Arc<str>>,
    /// The first day of the first listing.
    pub listed_from: Option<NaiveDate>,
    /// What is pending now and was not so before, or not any more.
    pub pending: BTreeMap<i64, Option<Pending>>,
    latest: BTreeMap<(CardKind, CardStatus), DateTime<Utc>>,
    overflowing: BTreeSet<String>,
}

impl CardBook {
    /// Nothing listed yet. `since` opts into history.
    #[must_use]
    pub fn new(since: Option<NaiveDate>) -> CardBook {
        CardBook {
            since,
            listed_from: None,
            counted: BTreeMap::new(),
            costs: BTreeMap::new(),
            pending: BTreeMap::new(),
            latest: BTreeMap::new(),
            brands: LabelLimiter::new(MOST_BRANDS),
        }
    }

    /// The book of the previous run.
    #[must_use]
    pub fn restored(
        since: Option<NaiveDate>,
        listed_from: Option<NaiveDate>,
        counted: BTreeMap<CardKey, Counted>,
        costs: BTreeMap<Arc<str>, Costs>,
        brands: Vec<String>,
        pending: BTreeMap<i64, Pending>,
        latest: BTreeMap<(CardKind, CardStatus), DateTime<Utc>>,
    ) -> CardBook {
        let brands = LabelLimiter::restored(MOST_BRANDS, brands);
        CardBook { since, listed_from, counted, costs, pending, latest, brands }
    }

    /// The first day of the first listing; `None` before it.
    #[must_use]
    pub fn listed_from(&self) -> Option<NaiveDate> {
        self.listed_from
    }

    /// What a complete listing of the transactions made in `range` (`None` for an open end) would change. `known` holds
    /// what is remembered of the listed ids; a time after `until` is not believed.
    #[must_use]
    pub fn plan(
        &self,
        listing: &[CardTransaction],
        known: &HashMap<i64, KnownTransaction>,
        range: (NaiveDate, Option<NaiveDate>),
        until: DateTime<Utc>,
    ) -> CardChanges {
        let listed_from = self.listed_from.unwrap_or(range.0);
        let brands = self.new_names(listing);
        let mut changes = CardChanges { brands, listed_from: Some(listed_from), ..CardChanges::default() };
        for transaction in listing {
            let row = self.follow(transaction, known.get(&transaction.id), until, &mut changes);
            if known.get(&transaction.id) != Some(&row) {
                changes.rows.insert(transaction.id, row);
            }
        }
        self.forget_vanished(listing, range, until, &mut changes);
        changes
    }

    fn new_names(&self, listing: &[CardTransaction]) -> Vec<Arc<str>> {
        let mut brands: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for transaction in listing {
            let first = brands.entry(clean(&transaction.card_brand)).or_insert(transaction.created_at);
            *first = (*first).min(transaction.created_at);
        }
        self.brands.new_names(&brands, Vec::new())
    }

    fn follow(
        &self,
        transaction: &CardTransaction,
        known: Option<&KnownTransaction>,
        until: DateTime<Utc>,
        changes: &mut CardChanges,
    ) -> KnownTransaction {
        let name = clean(&transaction.card_brand);
        let brand = self.brands.limit(name, &changes.brands);
        if *brand != *name {
            changes.overflowing.insert(name.to_owned());
        }
        let kind = CardKind::of(transaction);
        let mut row = KnownTransaction {
            status: transaction.status,
            kind,
            brand,
            credits: transaction.credits.unwrap_or_default(),
            sales_tax: transaction.sales_tax,
            processing_fee: transaction.processing_fee,
            created_at: transaction.created_at,
            seen: known.map(|row| row.seen.clone()).unwrap_or_default(),
        };
        for kind in CardKind::VARIANTS.iter().copied() {
            for status in COUNTED {
                let key = (kind, status, Arc::clone(&row.brand));
                if !self.counted.contains_key(&key) {
                    changes.counted.entry(key).or_default();
                }
            }
        }
        if !self.costs.contains_key(&row.brand) {
            changes.costs.entry(Arc::clone(&row.brand)).or_default();
        }
        if row.status == CardStatus::Pending {
            let pending = Pending { kind, brand: Arc::clone(&row.brand), created_at: row.created_at };
            if self.pending.get(&transaction.id) != Some(&pending) {
                changes.pending.insert(transaction.id, Some(pending));
            }
            return row;
        }
        if self.pending.contains_key(&transaction.id) {
            changes.pending.insert(transaction.id, None);
        }
        if row.seen.insert(row.status) {
            if row.created_at <= until {
                let latest = changes.latest.entry((kind, row.status)).or_insert(row.created_at);
                *latest = (*latest).max(row.created_at);
            }
            if self.counts(&row, known.is_some()) {
                self.count(&row, changes);
            }
        }
        row
    }

    /// At the first listing only what `since` opts into counts; from then on, everything that is seen for the first time.
    fn counts(&self, row: &KnownTransaction, known: bool) -> bool {
        let day = row.created_at.date_naive();
        match self.listed_from {
            Some(from) => known || day >= from,
            None => self.since.is_some_and(|since| day >= since),
        }
    }

    fn count(&self, row: &KnownTransaction, changes: &mut CardChanges) {
        let key = (row.kind, row.status, Arc::clone(&row.brand));
        let before = self.counted.get(&key).copied().unwrap_or_default();
        let counted = changes.counted.entry(key).or_insert(before);
        counted.events += 1;
        counted.credits += row.credits.abs();
        if row.status == CardStatus::Paid {
            let before = self.costs.get(&row.brand).copied().unwrap_or_default();
            let costs = changes.costs.entry(Arc::clone(&row.brand)).or_insert(before);
            // A counter cannot take back: a negative charge is a correction, and shows as nothing.
            costs.sales_tax += row.sales_tax.max(Usd::ZERO);
            costs.processing_fees += row.processing_fee.max(Usd::ZERO);
        }
    }

    /// A pending transaction that a complete listing of its day no longer shows is not pending any more, nor is one that
    /// is too old to be listed.
    fn forget_vanished(
        &self,
        listing: &[CardTransaction],
        (from, to): (NaiveDate, Option<NaiveDate>),
        until: DateTime<Utc>,
        changes: &mut CardChanges,
    ) {
        let listed: BTreeSet<i64> = listing.iter().map(|transaction| transaction.id).collect();
        for (id, pending) in &self.pending {
            let day = pending.created_at.date_naive();
            let covered = day >= from && to.is_none_or(|to| day <= to);
            let lost = until - pending.created_at > LISTED;
            if (covered || lost) && !listed.contains(id) {
                changes.pending.insert(*id, None);
            }
        }
    }

    /// Applies changes for good.
    pub fn commit(&mut self, changes: CardChanges) {
        self.note_overflow(&changes);
        self.listed_from = changes.listed_from;
        self.counted.extend(changes.counted);
        self.costs.extend(changes.costs);
        self.brands.allow(changes.brands);
        for (id, pending) in changes.pending {
            match pending {
                Some(pending) => self.pending.insert(id, pending),
                None => self.pending.remove(&id),
            };
        }
        for (key, time) in changes.latest {
            let latest = self.latest.entry(key).or_insert(time);
            *latest = (*latest).max(time);
        }
    }

    /// Remembers overflowing brands although the changes could not be written.
    pub fn note_overflow(&mut self, changes: &CardChanges) {
        changes.overflowing.iter().for_each(|name| self.brands.note_overflow(name));
    }

    /// Events and credits by kind, status and brand.
    #[must_use]
    pub fn counted(&self) -> &BTreeMap<CardKey, Counted> {
        &self.counted
    }

    /// Costs by brand.
    #[must_use]
    pub fn costs(&self) -> &BTreeMap<Arc<str>, Costs> {
        &self.costs
    }

    /// What is pending, as if `changes` were applied.
    #[must_use]
    pub fn pending(&self, changes: Option<&CardChanges>) -> BTreeMap<i64, Pending> {
        let mut pending = self.pending.clone();
        for (id, change) in changes.iter().flat_map(|changes| &changes.pending) {
            match change {
                Some(row) => pending.insert(*id, row.clone()),
                None => pending.remove(id),
            };
        }
        pending
    }

    /// The newest transaction of each kind in each state, as if `changes` were applied.
    #[must_use]
    pub fn latest(&self, changes: Option<&CardChanges>) -> BTreeMap<(CardKind, CardStatus), DateTime<Utc>> {
        let mut latest = self.latest.clone();
        for (key, time) in changes.iter().flat_map(|changes| &changes.latest) {
            let newest = latest.entry(*key).or_insert(*time);
            *newest = (*newest).max(*time);
        }
        latest
    }

    /// Distinct brands that were counted under `other` since the process started.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.brands.overflow()
    }

    /// The brands that have series.
    pub fn brands(&self) -> impl Iterator<Item = &str> {
        self.costs.keys().map(|brand| &**brand)
    }
}

/// The key of a brand's series: they are all created together.
#[must_use]
pub fn series_key(brand: &str) -> String {
    format!("card/{brand}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn transaction(id: i64, dollars: i64, status: CardStatus) -> CardTransaction {
        CardTransaction {
            id,
            credits: Some(Usd::from_cents(dollars * 100)),
            sales_tax: Usd::from_cents(8),
            processing_fee: Usd::from_cents(3),
            card_brand: "visa".to_owned(),
            status,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn apply(book: &mut CardBook, rows: &mut HashMap<i64, KnownTransaction>, listing: &[CardTransaction]) {
        let changes = book.plan(listing, rows, (NaiveDate::MIN, None), DateTime::UNIX_EPOCH + TimeDelta::days(1));
        rows.extend(changes.rows.clone());
        book.commit(changes);
    }

    fn counted(book: &CardBook, kind: CardKind, status: CardStatus) -> Counted {
        book.counted().get(&(kind, status, "visa".into())).copied().unwrap_or_default()
    }

    #[test]
    fn the_first_listing_is_the_base_line_and_what_was_pending_then_still_counts() {
        let (mut book, mut rows) = (CardBook::new(None), HashMap::new());
        apply(&mut book, &mut rows, &[transaction(1, 100, CardStatus::Paid), transaction(2, 50, CardStatus::Pending)]);
        assert_eq!(counted(&book, CardKind::TopUp, CardStatus::Paid).events, 0);
        assert_eq!(book.pending(None).len(), 1);
        apply(&mut book, &mut rows, &[transaction(1, 100, CardStatus::Paid), transaction(2, 50, CardStatus::Paid)]);
        let paid = counted(&book, CardKind::TopUp, CardStatus::Paid);
        assert_eq!((paid.events, paid.credits), (1, Usd::from_cents(5_000)));
        assert!(book.pending(None).is_empty());
    }

    #[test]
    fn history_counts_where_it_is_asked_for() {
        let (mut book, mut rows) = (CardBook::new(Some(NaiveDate::MIN)), HashMap::new());
        apply(&mut book, &mut rows, &[transaction(1, 100, CardStatus::Paid), transaction(2, -30, CardStatus::Paid)]);
        assert_eq!(counted(&book, CardKind::TopUp, CardStatus::Paid).credits, Usd::from_cents(10_000));
        assert_eq!(counted(&book, CardKind::Refund, CardStatus::Paid).credits, Usd::from_cents(3_000));
        assert_eq!(book.costs()["visa"].sales_tax, Usd::from_cents(16));
    }

    #[test]
    fn a_pending_one_that_vanishes_is_pending_no_more_and_not_counted() {
        let (mut book, mut rows) = (CardBook::new(None), HashMap::new());
        apply(&mut book, &mut rows, &[transaction(1, 100, CardStatus::Pending)]);
        apply(&mut book, &mut rows, &[]);
        assert!(book.pending(None).is_empty());
        assert!(book.counted().values().all(|counted| counted.events == 0));
    }

    fn status() -> impl Strategy<Value = CardStatus> {
        prop::sample::select(vec![CardStatus::Pending, CardStatus::Paid, CardStatus::Failed, CardStatus::Unknown])
    }

    proptest! {
        #[test]
        fn each_id_counts_once_in_each_state_it_is_seen_in(
            listings in prop::collection::vec(prop::collection::vec((0_i64..20, status()), 0..20), 1..20)
        ) {
            let (mut book, mut rows) = (CardBook::new(None), HashMap::new());
            apply(&mut book, &mut rows, &[]);
            let mut seen = BTreeSet::new();
            for listing in listings {
                let unique: BTreeMap<i64, CardStatus> = listing.into_iter().collect();
                seen.extend(unique.iter().filter(|(_, status)| **status != CardStatus::Pending).map(|(id, status)| (*id, *status)));
                let listing: Vec<_> = unique.into_iter().map(|(id, status)| transaction(id, id, status)).collect();
                apply(&mut book, &mut rows, &listing);
                for state in COUNTED {
                    let expected = seen.iter().filter(|(_, status)| *status == state);
                    let dollars: i64 = expected.clone().map(|(id, _)| id).sum();
                    let counter = counted(&book, CardKind::TopUp, state);
                    prop_assert_eq!(counter.events, expected.count() as u64);
                    prop_assert_eq!(counter.credits, Usd::from_cents(dollars * 100));
                }
            }
        }
    }
}
