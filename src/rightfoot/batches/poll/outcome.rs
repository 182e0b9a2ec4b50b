//! What a pass found, applied to copies of the batches.
//!
//! Flows in: findings. Flows out: batches, totals and rejected rows as they would be. Invariant: nothing here is seen
//! before it is durable, and a rejected row is counted when it is first met, not at each look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::BatchesPoller;
use crate::rightfoot::batches::batch::{Batch, BatchState};
use crate::rightfoot::batches::export::Findings;
use crate::rightfoot::batches::tally::Tally;
use crate::rightfoot::batches::totals::CheckTotals;
use crate::upstream::RequestError;

/// Changes that are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) batches: BTreeMap<Uuid, Batch>,
    pub(super) settled: Vec<Uuid>,
    pub(super) institutions: Vec<Arc<str>>,
    pub(super) totals_changed: bool,
}

/// Enough ids to find the rest: one line of the log has room for no more.
fn first(ids: &[Uuid]) -> String {
    ids.iter().take(20).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn log_changes(account: &str, unavailable: &[Uuid], failing: &[Uuid], last_error: Option<&RequestError>) {
    if !unavailable.is_empty() {
        let (count, batch_ids) = (unavailable.len(), first(unavailable));
        tracing::warn!(account, count, batch_ids, "the vendor refuses these batch ids: they are unavailable");
    }
    if let Some(error) = last_error {
        let (count, batch_ids) = (failing.len(), first(failing));
        tracing::warn!(account, count, batch_ids, %error, "the exports of these batches fail");
    }
}

impl BatchesPoller {
    /// Applies what was found to copies of the batches. `complete` if the pass asked for all that was `due`.
    pub(super) fn apply(
        &mut self,
        findings: Findings,
        due: &[Vec<Uuid>],
        complete: bool,
        totals: &mut CheckTotals,
    ) -> Applied {
        let mut applied = Applied::default();
        let (now, vendor_now) = (self.storage.clock.moment(), self.client.credential().now());
        // The vendor answers, so what it refused before it refused alone.
        let suspects = std::mem::take(&mut self.suspects);
        let refused: BTreeSet<Uuid> = findings.refused.keys().copied().chain(suspects).collect();
        for (id, tally) in findings.answered {
            let Some(mut batch) = self.followed.get(&id).cloned() else { continue };
            let met = batch.tally.as_ref().map(|tally| tally.rejected.clone()).unwrap_or_default();
            for (reason, rows) in &tally.rejected {
                let fresh = rows.saturating_sub(met.get(reason).copied().unwrap_or_default());
                *totals.rejected.entry(*reason).or_default() += fresh;
                applied.totals_changed |= fresh > 0;
            }
            if batch.looked(tally, now.boot, vendor_now, self.timing) {
                applied.settled.push(id);
            }
            applied.batches.insert(id, batch);
        }
        let mut unavailable = Vec::new();
        for id in refused {
            let Some(batch) = self.followed.get(&id).filter(|_| !applied.batches.contains_key(&id)) else { continue };
            let mut batch = batch.clone();
            let before = batch.state;
            batch.refused(now, self.timing);
            if batch.state != before {
                unavailable.push(id);
            }
            applied.batches.insert(id, batch);
        }
        let mut failing = Vec::new();
        let mut last_error = None;
        for (id, error) in findings.failed {
            // It may have been answered together with others before it failed alone.
            let answered = applied.batches.remove(&id);
            let Some(mut batch) = answered.or_else(|| self.followed.get(&id).cloned()) else { continue };
            if batch.state != BatchState::Failing {
                failing.push(id);
                last_error = Some(error);
            }
            batch.failed(now.boot, self.timing);
            applied.batches.insert(id, batch);
        }
        log_changes(&self.storage.name, &unavailable, &failing, last_error.as_ref());
        for id in due.iter().flatten().filter(|_| complete) {
            let Some(batch) = self.followed.get(id).filter(|_| !applied.batches.contains_key(id)) else { continue };
            let mut batch = batch.clone();
            batch.missed(now.boot, self.timing);
            applied.batches.insert(*id, batch);
        }
        let tallies: Vec<&Tally> =
            applied.settled.iter().filter_map(|id| applied.batches.get(id)?.tally.as_deref()).collect();
        if !tallies.is_empty() {
            applied.totals_changed = true;
            applied.institutions = totals.settle(tallies.iter().copied());
        }
        applied
    }
}
