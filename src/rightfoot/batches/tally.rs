//! What one batch's results add up to.
//!
//! Flows in: rows as they stream by. Flows out: counts and exact sums, bounded in size. Invariant: the order of the rows
//! does not matter, and nothing of a row but these counts is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use strum::VariantArray as _;

use chrono::{DateTime, Utc};

use crate::counting::amounts::AmountHistogram;
use crate::counting::labels::OTHER;
use crate::rightfoot::{CheckStatus, RowReject, SubmittedVia};

/// Upper bounds of the balance histogram, in dollars; the last bucket is unbounded.
pub const BOUNDS: [i64; 15] = [0, 1, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000];

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
    /// Whether there was no room for the name of one, which is then counted under [`OTHER`].
    pub overflowed: bool,
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

    /// Institutions that are told apart.
    pub(super) fn entries(&self) -> usize {
        self.institutions.len() - usize::from(self.institutions.contains_key(OTHER))
    }

    /// Counts all institutions under [`OTHER`].
    pub(super) fn merge_institutions(&mut self) {
        self.overflowed = true;
        let mut all = std::mem::take(&mut self.institutions).into_values();
        let Some(mut other) = all.next() else { return };
        for institution in all {
            other.first = other.first.min(institution.first);
            institution.by_status().for_each(|(status, rows)| other.add(status, rows));
        }
        self.institutions.insert(OTHER.into(), other);
    }
}
