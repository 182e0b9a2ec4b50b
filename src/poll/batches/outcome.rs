//! What a pass found, applied to copies of the batches.
//!
//! Flows in: findings. Flows out: batches, totals and rejected rows as they would be. Invariant: nothing here is seen
//! before it is durable, and a rejected row is counted when it is first met, not at each look.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::BatchesPoller;
use crate::domain::batches::{Batch, BatchState};
use crate::domain::checks::CheckTotals;
use crate::domain::tally::Tally;
use crate::poll::export::{Findings, Stray};
use crate::vendor::RowReject;

/// Changes that are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) batches: BTreeMap<Uuid, Batch>,
    pub(super) settled: Vec<Uuid>,
    pub(super) stray: Stray,
    pub(super) institutions: Vec<String>,
    pub(super) totals_changed: bool,
}

/// A rejected row is counted when it is first met, not at each look.
fn count_rejected(
    met: &BTreeMap<RowReject, u64>,
    rows: &BTreeMap<RowReject, u64>,
    totals: &mut CheckTotals,
    applied: &mut Applied,
) {
    for (reason, rows) in rows {
        let fresh = rows.saturating_sub(met.get(reason).copied().unwrap_or_default());
        if fresh > 0 {
            *totals.rejected.entry(*reason).or_default() += fresh;
            applied.totals_changed = true;
        }
    }
}

impl BatchesPoller {
    /// Applies what was found to copies of the batches.
    pub(super) fn apply(&self, findings: Findings, now: DateTime<Utc>, totals: &mut CheckTotals) -> Applied {
        let mut applied = Applied::default();
        for (id, tally) in findings.answered {
            let Some(mut batch) = self.followed.get(&id).cloned() else { continue };
            let met = batch.tally.as_ref().map(|tally| tally.rejected.clone()).unwrap_or_default();
            count_rejected(&met, &tally.rejected, totals, &mut applied);
            if batch.looked(tally, now, self.pace) {
                applied.settled.push(id);
            }
            applied.batches.insert(id, batch);
        }
        for (id, fault) in findings.refused.iter().chain(&findings.failed) {
            let Some(mut batch) = self.followed.get(id).cloned() else { continue };
            if findings.refused.contains_key(id) {
                if batch.state != BatchState::Unavailable {
                    tracing::warn!(batch_id = %id, error = %fault, "batch is unavailable; the others go on");
                }
                batch.refused(now);
            } else {
                if batch.state != BatchState::Failing {
                    tracing::warn!(batch_id = %id, error = %fault, "batch keeps failing; the others go on");
                }
                batch.failed(now, self.pace);
            }
            applied.batches.insert(*id, batch);
        }
        for id in findings.missed {
            let Some(mut batch) = self.followed.get(&id).cloned() else { continue };
            batch.missed(now, self.pace);
            applied.batches.insert(id, batch);
        }
        applied.stray.clone_from(&self.stray);
        applied.stray.retain(|id, _| self.followed.contains_key(id));
        for (id, rows) in findings.stray {
            let met = applied.stray.insert(id, rows.clone()).unwrap_or_default();
            count_rejected(&met, &rows, totals, &mut applied);
        }
        let tallies: Vec<&Tally> =
            applied.settled.iter().filter_map(|id| applied.batches.get(id)?.tally.as_ref()).collect();
        if !tallies.is_empty() {
            applied.totals_changed = true;
            applied.institutions = totals.settle(tallies.iter().copied());
        }
        applied
    }
}
