//! The balance-check counters of an account: the sums over settled batches.
//!
//! Flows in: tallies of batches, each once. Flows out: totals. Invariant: sums are conserved; an institution beyond the
//! bound is counted under `other`.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::tally::{StatusCounts, Tally};
use crate::counting::amounts::AmountHistogram;
use crate::counting::labels::{LabelLimiter, MOST_NAMES};
use crate::rightfoot::{CheckStatus, RowReject};

/// The key of the series that exist from the start.
pub const SERIES_KEY: &str = "checks";

/// The key of the histogram of balances. It has its own, because it started again when it got native buckets.
pub const BALANCES_KEY: &str = "check_balances";

/// The key of an institution's series.
#[must_use]
pub fn series_key(institution: &str) -> String {
    format!("checks/{institution}")
}

/// Totals over settled batches.
#[derive(Clone, Debug)]
pub struct CheckTotals {
    /// Rows by status and way of submission.
    pub by_status: StatusCounts,
    /// Rows by institution and status.
    pub by_institution: BTreeMap<String, BTreeMap<CheckStatus, u64>>,
    /// Balances.
    pub histogram: AmountHistogram,
    /// Rejected rows, counted as they are first met.
    pub rejected: BTreeMap<RowReject, u64>,
    institutions: LabelLimiter,
}

impl Default for CheckTotals {
    fn default() -> CheckTotals {
        CheckTotals {
            by_status: StatusCounts::new(),
            by_institution: BTreeMap::new(),
            histogram: AmountHistogram::default(),
            rejected: BTreeMap::new(),
            institutions: LabelLimiter::new(MOST_NAMES),
        }
    }
}

impl CheckTotals {
    /// The totals of the previous run.
    #[must_use]
    pub fn restored(
        by_status: StatusCounts,
        by_institution: BTreeMap<String, BTreeMap<CheckStatus, u64>>,
        histogram: AmountHistogram,
        rejected: BTreeMap<RowReject, u64>,
        institutions: Vec<String>,
    ) -> CheckTotals {
        let institutions = LabelLimiter::restored(MOST_NAMES, institutions);
        CheckTotals { by_status, by_institution, histogram, rejected, institutions }
    }

    /// Adds batches that settle together; returns the institutions that were allowed.
    pub fn settle<'a>(&mut self, tallies: impl IntoIterator<Item = &'a Tally> + Clone) -> Vec<Arc<str>> {
        let mut first: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for (name, institution) in tallies.clone().into_iter().flat_map(|tally| &tally.institutions) {
            let time = first.entry(name).or_insert(institution.first);
            *time = (*time).min(institution.first);
        }
        let new_names = self.institutions.new_names(&first, Vec::new());
        self.institutions.allow(new_names.clone());
        for tally in tallies {
            for (key, rows) in &tally.counted {
                *self.by_status.entry(*key).or_default() += rows;
            }
            self.histogram.add(&tally.histogram);
            for (name, institution) in &tally.institutions {
                let label = self.institutions.limit(name, &[]);
                if label != *name {
                    self.institutions.note_overflow(name);
                }
                let totals = self.by_institution.entry(label.as_ref().to_owned()).or_default();
                for (status, rows) in institution.by_status() {
                    *totals.entry(status).or_default() += rows;
                }
            }
        }
        new_names
    }

    /// Distinct institutions that were counted under `other` since the process started.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.institutions.overflow()
    }
}
