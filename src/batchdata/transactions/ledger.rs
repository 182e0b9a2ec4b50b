//! The transactions, each counted once.
//!
//! Flows in: readings of UTC days, some of them for the second time, restated or not. Flows out: counters by type and
//! endpoint, and histograms of what debits cost. Invariants: a counter is the highest number of rows that the vendor has
//! listed, less the base line, so a row that is read again, taken back, repriced or moved to another day counts once; a
//! histogram has observed as many debits as their counter says, less those below zero.
//!
//! Rows have no names here: what is new is what there is more of. A counter that rises by n observes the n smallest
//! amounts of those that were listed and not observed. There are that many: `free`, which is what was listed less what was
//! observed, adds up to at least what was reported less what is counted, and that is n before they are observed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::TransactionType;
use super::reading::{DayRows, TransactionDays};
use crate::counting::amounts::AmountHistogram;
use crate::counting::counter::HighWater;
use crate::counting::labels::{LabelLimiter, MOST_NAMES};
use crate::money::Usd;

/// Upper bounds of the histogram in ten-thousandths of a dollar; the last bucket is unbounded.
pub const BOUNDS: [i64; 11] = [100, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// A day is closed by the first reading that is at least this much later than its end, so that late rows are in it.
const LATE: TimeDelta = TimeDelta::hours(1);

/// A counter: type and endpoint.
pub type TransactionSeries = (TransactionType, Arc<str>);

/// The key of a series, and of the histogram beside it.
#[must_use]
pub fn series_key((kind, endpoint): &TransactionSeries) -> String {
    let kind: &str = kind.into();
    format!("transactions/{kind}/{endpoint}")
}

/// What was listed less what was observed, by endpoint and amount, where it is not zero.
pub type Free = BTreeMap<Arc<str>, BTreeMap<Usd, i64>>;

/// Which days are to be read: the first that is not closed, and the last that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The first day that is not closed.
    pub next: NaiveDate,
    /// The last day that was read.
    pub last: NaiveDate,
}

/// Everything that is known about a wallet's transactions.
#[derive(Clone, Debug)]
pub struct TransactionsLedger {
    since: Option<NaiveDate>,
    cursor: Option<Cursor>,
    /// Of days that are not closed.
    days: BTreeMap<NaiveDate, DayRows>,
    counters: BTreeMap<TransactionSeries, HighWater<i64>>,
    amounts: BTreeMap<Arc<str>, AmountHistogram>,
    free: Free,
    endpoints: LabelLimiter,
}

/// What a reading changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionsChanges {
    /// Days as they are now; closed ones have no rows any more.
    pub days: BTreeMap<NaiveDate, DayRows>,
    /// Counters as they are now; a new series is here even if it is zero.
    pub counters: BTreeMap<TransactionSeries, HighWater<i64>>,
    /// Histograms as they are now.
    pub amounts: BTreeMap<Arc<str>, AmountHistogram>,
    /// All that is free now.
    pub free: Free,
    /// Endpoints allowed by this reading.
    pub endpoints: Vec<Arc<str>>,
    /// What is to be read next.
    pub cursor: Cursor,
    overflowing: BTreeSet<Arc<str>>,
}

impl TransactionsLedger {
    /// Nothing read yet. `since` opts into history.
    #[must_use]
    pub fn new(since: Option<NaiveDate>) -> TransactionsLedger {
        TransactionsLedger {
            since,
            cursor: None,
            days: BTreeMap::new(),
            counters: BTreeMap::new(),
            amounts: BTreeMap::new(),
            free: Free::new(),
            endpoints: LabelLimiter::new(MOST_NAMES),
        }
    }

    /// The ledger of the previous run.
    #[must_use]
    pub fn restored(
        since: Option<NaiveDate>,
        cursor: Option<Cursor>,
        days: BTreeMap<NaiveDate, DayRows>,
        counters: BTreeMap<TransactionSeries, HighWater<i64>>,
        amounts: BTreeMap<Arc<str>, AmountHistogram>,
        free: Free,
        endpoints: Vec<String>,
    ) -> TransactionsLedger {
        let endpoints = LabelLimiter::restored(MOST_NAMES, endpoints);
        TransactionsLedger { since, cursor, days, counters, amounts, free, endpoints }
    }

    /// Whether nothing was read yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.cursor.is_none()
    }

    /// The days to read at once, both included. Those that were read before and are not closed are read together, and with
    /// the day after them, because a row may move from one to the next. `proven` if the vendor's clock is known: else it
    /// must take the day after one that is to be closed.
    #[must_use]
    pub fn wanted(&self, now: DateTime<Utc>, proven: bool) -> (NaiveDate, NaiveDate) {
        let (today, open) = (now.date_naive(), first_open(now));
        let from = self.cursor.map_or(self.since.unwrap_or(open), |cursor| cursor.next);
        let last_read = self.cursor.map(|cursor| cursor.last).filter(|last| *last >= from);
        let to = match (from < open, last_read) {
            (true, Some(last)) => after(last),
            (true, None) if proven => from,
            (true, None) => after(from),
            (false, _) => today,
        };
        // The vendor's clock may have gone back since.
        (from, to.min(today).max(from))
    }

    /// What a reading of `from` to `to` would change, read when the vendor's clock showed `now`.
    #[must_use]
    pub fn plan(
        &self,
        (from, to): (NaiveDate, NaiveDate),
        reading: &TransactionDays,
        now: DateTime<Utc>,
        proven: bool,
    ) -> TransactionsChanges {
        let first: BTreeMap<&str, DateTime<Utc>> = reading.first.iter().map(|(name, at)| (&**name, *at)).collect();
        let next = first_open(now).min(if proven { after(to) } else { to }).max(from);
        let mut changes = TransactionsChanges {
            days: BTreeMap::new(),
            counters: BTreeMap::new(),
            amounts: BTreeMap::new(),
            free: self.free.clone(),
            endpoints: self.endpoints.new_names(&first, Vec::new()),
            cursor: Cursor { next, last: to },
            overflowing: BTreeSet::new(),
        };
        let counts = self.cursor.is_some() || self.since.is_some();
        let mut moved: BTreeMap<TransactionSeries, i64> = BTreeMap::new();
        let nothing = DayRows::new();
        for day in from.iter_days().take_while(|day| *day <= to) {
            let new = self.limited(reading.days.get(&day).unwrap_or(&nothing), &mut changes);
            let old = self.days.get(&day).unwrap_or(&nothing);
            let gone = old.iter().map(|(kind, rows)| (kind, -rows));
            for ((kind, endpoint, amount), rows) in new.iter().map(|(kind, rows)| (kind, *rows)).chain(gone) {
                let rows = if counts { rows } else { 0 };
                *moved.entry((*kind, Arc::clone(endpoint))).or_default() += rows;
                if *kind == TransactionType::Debit {
                    *changes.free.entry(Arc::clone(endpoint)).or_default().entry(*amount).or_default() += rows;
                }
            }
            let kept = if day < next { DayRows::new() } else { new };
            if kept != *old {
                changes.days.insert(day, kept);
            }
        }
        self.count(moved, &mut changes);
        if next > from {
            // What was taken back from a closed day does not come again.
            changes.free.clear();
        }
        changes
    }

    fn count(&self, moved: BTreeMap<TransactionSeries, i64>, changes: &mut TransactionsChanges) {
        for (series, change) in moved {
            let before = self.counters.get(&series).copied();
            let after = before.unwrap_or_default().moved(change);
            let risen = after.counted - before.unwrap_or_default().counted;
            if series.0 == TransactionType::Debit {
                let mut amounts = self.amounts.get(&series.1).cloned().unwrap_or_default();
                observe(&mut amounts, changes.free.entry(Arc::clone(&series.1)).or_default(), risen);
                if risen > 0 || before.is_none() {
                    changes.amounts.insert(Arc::clone(&series.1), amounts);
                }
            }
            if before != Some(after) {
                changes.counters.insert(series, after);
            }
        }
        changes.free.values_mut().for_each(|free| free.retain(|_, rows| *rows != 0));
        changes.free.retain(|_, free| !free.is_empty());
    }

    /// A day's rows under the labels that its endpoints have.
    fn limited(&self, rows: &DayRows, changes: &mut TransactionsChanges) -> DayRows {
        let mut limited = DayRows::new();
        for ((kind, name, amount), count) in rows {
            let label = self.endpoints.limit(name, &changes.endpoints);
            if label != *name {
                changes.overflowing.insert(Arc::clone(name));
            }
            *limited.entry((*kind, label, *amount)).or_default() += count;
        }
        limited
    }

    /// Applies changes for good.
    pub fn commit(&mut self, changes: TransactionsChanges) {
        self.note_overflow(&changes);
        self.cursor = Some(changes.cursor);
        self.days.extend(changes.days);
        self.days.retain(|_, rows| !rows.is_empty());
        self.counters.extend(changes.counters);
        self.amounts.extend(changes.amounts);
        self.free = changes.free;
        self.endpoints.allow(changes.endpoints);
    }

    /// Remembers overflowing endpoints although the changes could not be written.
    pub fn note_overflow(&mut self, changes: &TransactionsChanges) {
        changes.overflowing.iter().for_each(|name| self.endpoints.note_overflow(name));
    }

    /// What each series was reported and has counted.
    #[must_use]
    pub fn counters(&self) -> &BTreeMap<TransactionSeries, HighWater<i64>> {
        &self.counters
    }

    /// What debits cost, by endpoint.
    #[must_use]
    pub fn amounts(&self) -> &BTreeMap<Arc<str>, AmountHistogram> {
        &self.amounts
    }

    /// What is free.
    #[must_use]
    pub fn free(&self) -> &Free {
        &self.free
    }

    /// Distinct endpoints that were counted under `other` since the process started.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.endpoints.overflow()
    }
}

/// The first day that is not to be closed at this time.
fn first_open(now: DateTime<Utc>) -> NaiveDate {
    now.checked_sub_signed(LATE).unwrap_or(now).date_naive()
}

fn after(day: NaiveDate) -> NaiveDate {
    day.checked_add_days(Days::new(1)).unwrap_or(day)
}

/// Observes the `wanted` smallest amounts that are free. One below zero is passed over: it would take from the sum.
fn observe(amounts: &mut AmountHistogram, free: &mut BTreeMap<Usd, i64>, mut wanted: i64) {
    let bounds = BOUNDS.map(Usd::from_ten_thousandths);
    for (amount, rows) in free.iter_mut().filter(|(_, rows)| **rows > 0) {
        let taken = wanted.min(*rows);
        *rows -= taken;
        wanted -= taken;
        if !amount.is_negative() && taken > 0 {
            amounts.observe(*amount, taken.unsigned_abs(), &bounds);
        }
    }
    debug_assert_eq!(wanted, 0, "fewer rows are free than were counted");
}

/// The first moment of a day.
pub(super) fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests;
