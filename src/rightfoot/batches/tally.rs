//! What one batch's results add up to.
//!
//! Flows in: rows as they stream by. Flows out: counts and exact sums, bounded in size. Invariant: the order of the rows
//! does not matter, and nothing of a row but these counts is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use strum::VariantArray as _;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::counting::amounts::AmountHistogram;
use crate::counting::labels::{OTHER, SharedNames, clean};
use crate::money::Usd;
use crate::rightfoot::{CheckRow, CheckStatus, RowReject, RowSink, SubmittedVia};

/// Upper bounds of the balance histogram, in dollars; the last bucket is unbounded.
pub const BOUNDS: [i64; 15] = [0, 1, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000];

/// Names of institutions that one batch may tell apart. A batch has at most 5,000 rows by the vendor's own limit; beyond
/// this many names the rest is one, so that no answer can fill the memory.
const MOST_INSTITUTIONS: usize = 1_000;

/// Names that all batches of an account together may tell apart: twice as many as there are banks in the country.
const MOST_NAMES: usize = 10_000;

/// The names of institutions that the batches of an account have, each in memory once.
#[derive(Debug, Default)]
pub struct Names(Mutex<SharedNames>);

impl Names {
    /// The name as it is held; [`OTHER`] if it is new and there is no room.
    pub fn share(&self, name: &str) -> Arc<str> {
        let mut names = self.lock();
        let room = names.contains(name) || names.count() < MOST_NAMES;
        names.share(if room { name } else { OTHER })
    }

    /// Forgets those that no batch has any more.
    pub fn forget_unused(&self) {
        self.lock().forget_unused();
    }

    fn lock(&self) -> MutexGuard<'_, SharedNames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows by status and way of submission.
pub type StatusCounts = BTreeMap<(CheckStatus, SubmittedVia), u64>;

/// Counts of one institution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Institution {
    /// Its earliest row.
    pub first: DateTime<Utc>,
    by_status: [u32; CheckStatus::VARIANTS.len()],
}

impl Institution {
    /// Without rows yet; `first` is the time of the earliest.
    #[must_use]
    pub fn new(first: DateTime<Utc>) -> Institution {
        Institution { first, by_status: [0; CheckStatus::VARIANTS.len()] }
    }

    /// Adds rows of a status.
    pub fn add(&mut self, status: CheckStatus, rows: u64) {
        let place = CheckStatus::VARIANTS.iter().position(|found| *found == status);
        if let Some(count) = place.and_then(|place| self.by_status.get_mut(place)) {
            *count = count.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        }
    }

    /// Rows by status, where there are any.
    pub fn by_status(&self) -> impl Iterator<Item = (CheckStatus, u64)> {
        let counts = CheckStatus::VARIANTS.iter().copied().zip(self.by_status.map(u64::from));
        counts.filter(|(_, rows)| *rows > 0)
    }
}

/// What a batch's rows add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Every row that parsed.
    pub all: StatusCounts,
    /// The rows that the counters will count.
    pub counted: StatusCounts,
    /// Of those, by institution.
    pub institutions: BTreeMap<Arc<str>, Institution>,
    /// Of those, the balances.
    pub histogram: AmountHistogram,
    /// The newest row, of those whose time is believed.
    pub newest: Option<DateTime<Utc>>,
    /// Rows that did not parse.
    pub rejected: BTreeMap<RowReject, u64>,
    /// Whether the export, of several batches, held rejected rows that name none of them: some may be this one's.
    pub incomplete: bool,
}

impl Tally {
    /// Rows that parsed.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.all.values().sum()
    }

    /// Whether rows were rejected that name no batch, so that only an export of one batch can tell whose they are.
    #[must_use]
    pub fn has_unattributed_rows(&self) -> bool {
        self.incomplete
            || [RowReject::Columns, RowReject::BatchId].iter().any(|reason| self.rejected.contains_key(reason))
    }

    fn add(&mut self, row: &CheckRow<'_>, since: DateTime<Utc>, until: DateTime<Utc>, names: &Names) {
        *self.all.entry((row.status, row.via)).or_default() += 1;
        if row.timestamp <= until {
            self.newest = self.newest.max(Some(row.timestamp));
        }
        if row.timestamp < since {
            return;
        }
        *self.counted.entry((row.status, row.via)).or_default() += 1;
        if row.status == CheckStatus::Success
            && let Some(balance) = row.balance
        {
            self.histogram.observe(balance, 1, &BOUNDS.map(|bound| Usd::from_cents(bound * 100)));
        }
        let name = clean(row.institution);
        let name = if self.institutions.contains_key(name) || self.institutions.len() < MOST_INSTITUTIONS {
            name
        } else {
            OTHER
        };
        // The lookup comes first so that a known name costs no allocation.
        let institution = match self.institutions.get_mut(name) {
            Some(institution) => institution,
            None => {
                let institution = Institution::new(row.timestamp);
                self.institutions.entry(names.share(name)).or_insert(institution)
            }
        };
        institution.first = institution.first.min(row.timestamp);
        institution.add(row.status, 1);
    }
}

/// The tallies of the batches of one export.
#[derive(Debug)]
pub struct Tallies {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    names: Arc<Names>,
    /// By batch; one that was asked for and has no row has an empty tally.
    pub tallies: BTreeMap<Uuid, Tally>,
    /// Rejected rows that name no batch that was asked for.
    pub stray: BTreeMap<RowReject, u64>,
}

impl Tallies {
    /// Ready for the rows of `batches`; rows before `since` are not counted, and the time of those that lie after `until`
    /// is not believed.
    #[must_use]
    pub fn new(batches: &[Uuid], since: DateTime<Utc>, until: DateTime<Utc>, names: Arc<Names>) -> Tallies {
        Tallies {
            since,
            until,
            names,
            tallies: batches.iter().map(|batch| (*batch, Tally::default())).collect(),
            stray: BTreeMap::new(),
        }
    }
}

impl RowSink for Tallies {
    fn row(&mut self, row: &CheckRow<'_>) {
        if let Some(tally) = self.tallies.get_mut(&row.batch_id) {
            tally.add(row, self.since, self.until, &self.names);
        }
    }

    fn rejected(&mut self, reason: RowReject, batch_id: Option<Uuid>) {
        let tally = batch_id.and_then(|batch| self.tallies.get_mut(&batch));
        let counts = tally.map_or(&mut self.stray, |tally| &mut tally.rejected);
        *counts.entry(reason).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_over_all_batches_and_forgotten_with_them() {
        let names = Names::default();
        let kept: Vec<Arc<str>> = (0..MOST_NAMES).map(|number| names.share(&format!("bank {number}"))).collect();
        assert_eq!(&*names.share("bank 7"), "bank 7");
        assert!(Arc::ptr_eq(&names.share("bank 7"), &kept[7]));
        assert_eq!(&*names.share("one more"), OTHER);
        drop(kept);
        names.forget_unused();
        assert_eq!(&*names.share("one more"), "one more");
    }
}
