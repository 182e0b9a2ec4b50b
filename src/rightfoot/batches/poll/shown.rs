//! The batches as they are shown.
//!
//! Flows in: the batches and totals of the poll. Flows out: the view for the snapshot. Invariant: bounded, however many
//! batches there have been.

use std::collections::BTreeMap;
use std::sync::Arc;
use strum::VariantArray as _;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Base, BatchesPoller};
use crate::clock::Moment;
use crate::poll::account_storage::AccountStorage;
use crate::rightfoot::batches::batch::{Batch, BatchState};
use crate::rightfoot::batches::tally::StatusCounts;
use crate::rightfoot::{ChecksView, NewestBatch};
use crate::store::StoreError;

/// Batches that have series of their own.
const SHOWN: u32 = 20;

impl BatchesPoller {
    /// What is known now.
    #[must_use]
    pub fn view(&self) -> ChecksView {
        let mut states: BTreeMap<BatchState, u64> =
            BatchState::VARIANTS.iter().copied().map(|state| (state, 0)).collect();
        let mut open_rows = StatusCounts::new();
        let mut needing_attention = Vec::new();
        let mut oldest_open: Option<Moment> = None;
        for batch in self.followed.values() {
            *states.entry(batch.state).or_default() += 1;
            for (key, rows) in batch.tally.iter().flat_map(|tally| &tally.all) {
                *open_rows.entry(*key).or_default() += rows;
            }
            if batch.state != BatchState::Open {
                needing_attention.push((batch.id, batch.state, batch.first_seen));
            }
            if batch.state != BatchState::Abandoned {
                let first = batch.first_seen;
                oldest_open = Some(oldest_open.filter(|oldest| oldest.boot <= first.boot).unwrap_or(first));
            }
        }
        states.insert(BatchState::Settled, self.settled);
        needing_attention.sort_by_key(|(id, _, first_seen)| (first_seen.boot, *id));
        needing_attention.truncate(usize::try_from(SHOWN).unwrap_or_default());
        ChecksView {
            totals: self.totals.clone(),
            count_since: match self.base {
                Base::Fixed(since) => Some(since),
                Base::At(_) | Base::Stored(_) | Base::Unknown => None,
            },
            open_rows,
            states,
            newest: self.newest.clone(),
            oldest_open,
            needing_attention,
        }
    }
}

/// The batches with the newest results: from memory while they are followed, from the store otherwise.
pub(super) fn newest(
    storage: &AccountStorage,
    followed: &BTreeMap<Uuid, Batch>,
) -> Result<Vec<NewestBatch>, StoreError> {
    let mut times: BTreeMap<Uuid, DateTime<Utc>> =
        storage.store().newest_batches(storage.account, SHOWN)?.into_iter().collect();
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
            Some(tally) => Some(tally.all.clone()),
            None => storage.store().results(storage.account, id)?,
        };
        shown.extend(counts.map(|counts| (id, Arc::new(counts), time)));
    }
    Ok(shown)
}
