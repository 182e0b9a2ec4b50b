//! The rows of one export, counted by batch.
//!
//! Flows in: rows as they stream by. Flows out: a tally for each batch. Invariant: a row counts for the batch that it names,
//! and memory is bounded by the names that the account tells apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::names::Names;
use super::tally::{BOUNDS, Institution, Tally};
use crate::counting::labels::{OTHER, clean};
use crate::money::Usd;
use crate::rightfoot::{CheckRow, CheckStatus, RowReject, RowSink};

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
        let overflowed = names.begin_answer(batches);
        let tally = |(batch, overflowed)| (batch, Tally { overflowed, ..Tally::default() });
        Tallies { since, until, names, tallies: overflowed.into_iter().map(tally).collect(), stray: BTreeMap::new() }
    }
}

impl RowSink for Tallies {
    fn row(&mut self, row: &CheckRow<'_>) {
        if let Some(tally) = self.tallies.get_mut(&row.batch_id) {
            add(tally, row, self.since, self.until, &self.names);
        }
    }

    fn rejected(&mut self, reason: RowReject, batch_id: Option<Uuid>) {
        let tally = batch_id.and_then(|batch| self.tallies.get_mut(&batch));
        let counts = tally.map_or(&mut self.stray, |tally| &mut tally.rejected);
        *counts.entry(reason).or_default() += 1;
    }
}

fn add(tally: &mut Tally, row: &CheckRow<'_>, since: DateTime<Utc>, until: DateTime<Utc>, names: &Names) {
    *tally.all.entry((row.status, row.via)).or_default() += 1;
    if row.timestamp <= until {
        tally.newest = tally.newest.max(Some(row.timestamp));
    }
    if row.timestamp < since {
        return;
    }
    *tally.counted.entry((row.status, row.via)).or_default() += 1;
    if row.status == CheckStatus::Success
        && let Some(balance) = row.balance
    {
        tally.histogram.observe(balance, 1, &BOUNDS.map(|bound| Usd::from_cents(bound * 100)));
    }
    let name = clean(row.institution);
    // The lookup comes first so that a known name costs no allocation.
    let institution = match tally.institutions.get_mut(name) {
        Some(institution) => institution,
        None => {
            let allowed = names.allow(row.batch_id, name);
            tally.overflowed |= allowed.is_none() && name != OTHER;
            let name = allowed.unwrap_or_else(|| names.other());
            tally.institutions.entry(name).or_insert(Institution::new(row.timestamp))
        }
    };
    institution.first = institution.first.min(row.timestamp);
    institution.add(row.status, 1);
}
