//! The batches as they are shown.
//!
//! Flows in: the batches and totals of the poll. Flows out: the view for the board. Invariant: bounded, however many
//! batches there have been.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::BatchesPoller;
use crate::domain::batches::{Batch, BatchState};
use crate::domain::tally::StatusCounts;
use crate::poll::keeper::Keeper;
use crate::snapshot::{ChecksView, NewestBatch};
use crate::store::StoreError;

/// Batches that have series of their own.
const SHOWN: u32 = 20;

impl BatchesPoller {
    /// What is known now.
    #[must_use]
    pub fn view(&self) -> ChecksView {
        let mut states: BTreeMap<BatchState, u64> = BatchState::ALL.into_iter().map(|state| (state, 0)).collect();
        let mut open_rows = StatusCounts::new();
        let mut needing_care = Vec::new();
        let mut oldest_open: Option<DateTime<Utc>> = None;
        for batch in self.followed.values() {
            *states.entry(batch.state).or_default() += 1;
            for (key, rows) in batch.tally.iter().flat_map(|tally| &tally.all) {
                *open_rows.entry(*key).or_default() += rows;
            }
            if batch.state != BatchState::Open {
                needing_care.push((batch.id, batch.state, batch.first_seen));
            }
            if batch.state != BatchState::Abandoned {
                oldest_open = Some(oldest_open.map_or(batch.first_seen, |oldest| oldest.min(batch.first_seen)));
            }
        }
        states.insert(BatchState::Settled, self.settled);
        needing_care.sort_by_key(|(id, _, first_seen)| (*first_seen, *id));
        needing_care.truncate(usize::try_from(SHOWN).unwrap_or_default());
        ChecksView {
            totals: self.totals.clone(),
            count_since: self.count_since,
            open_rows,
            states,
            newest: self.newest.clone(),
            oldest_open,
            needing_care,
        }
    }
}

/// The batches with the newest results: from memory while they are open, from the store's cache once they have settled.
pub(super) fn newest(keeper: &Keeper, followed: &BTreeMap<Uuid, Batch>) -> Result<Vec<NewestBatch>, StoreError> {
    let mut times: BTreeMap<Uuid, DateTime<Utc>> =
        keeper.store().newest_batches(keeper.account, SHOWN)?.into_iter().collect();
    for batch in followed.values() {
        if let Some(newest) = batch.tally.as_ref().and_then(|tally| tally.newest) {
            times.insert(batch.id, newest);
        }
    }
    let mut order: Vec<(Uuid, DateTime<Utc>)> = times.into_iter().collect();
    order.sort_by_key(|(id, time)| (std::cmp::Reverse(*time), *id));
    order.truncate(usize::try_from(SHOWN).unwrap_or_default());
    let mut shown = Vec::new();
    for (id, time) in order {
        let counts = match followed.get(&id).and_then(|batch| batch.tally.as_ref()) {
            Some(tally) => Some(Arc::new(tally.all.clone())),
            None => keeper.store().finished_tally(keeper.account, id)?,
        };
        shown.extend(counts.map(|counts| (id, counts, time)));
    }
    Ok(shown)
}
