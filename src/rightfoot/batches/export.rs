//! Asking for many batches at once, and finding the bad one when the answer is no.
//!
//! Flows in: groups of ids that are due. Flows out: a tally for each that the vendor answered, and which alone were
//! refused or failed. Invariant: one bad id never blinds the others; the number of requests of one pass is bounded; what
//! was learnt stays learnt when something that says nothing about a single id (a rejected key, a lost connection) ends
//! the pass.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::names::Names;
use super::tallies::Tallies;
use super::tally::Tally;
use crate::upstream::{Reason, RequestError};

/// Ids in one request: 47 characters each, so that the URL stays well below the 8 KiB that servers commonly take.
pub const IDS_PER_REQUEST: usize = 100;
/// Requests of one pass; what is left is due again at the next.
const MOST_REQUESTS: usize = 240;
/// Failures in a row, without one success, after which the vendor itself is down and not a batch: one more than it
/// takes to halve a full request down to a single id.
const HOPELESS: usize = 8;

/// Downloads the export of some batches.
#[async_trait]
pub trait Download: Send + Sync {
    /// Streams one export into `sink`.
    ///
    /// # Errors
    /// What the vendor's client returns.
    async fn download(&self, ids: &[Uuid], sink: &mut Tallies) -> Result<(), RequestError>;
}

/// Which rows count, and whose time is believed: those from the first to the second.
pub type TimeSpan = (DateTime<Utc>, DateTime<Utc>);

/// What a pass learnt.
#[derive(Debug, Default)]
pub struct Findings {
    /// Batches that the vendor answered for.
    pub answered: BTreeMap<Uuid, Tally>,
    /// Ids that alone were refused (400, 403, 404).
    pub refused: BTreeMap<Uuid, RequestError>,
    /// Ids that alone failed otherwise.
    pub failed: BTreeMap<Uuid, RequestError>,
    /// Why the pass ended early, or why nothing at all was answered.
    pub error: Option<RequestError>,
    /// Whether it ended early, by something that says nothing about a single id.
    pub ended_early: bool,
}

fn is_refusal(error: &RequestError) -> bool {
    matches!((error.reason, error.status), (Reason::Forbidden, _) | (Reason::ClientError, Some(400 | 404)))
}

/// Whether no smaller request can avoid it.
fn is_about_the_vendor(error: &RequestError) -> bool {
    matches!(
        error.reason,
        Reason::Unauthorized | Reason::RateLimited | Reason::Connect | Reason::Redirect | Reason::Refused
    ) || (error.reason == Reason::ClientError && !is_refusal(error))
}

/// Asks for `groups`. `persistent` if the same has failed before: then a failing request is taken apart even if nothing
/// else succeeds.
pub async fn ask(
    download: &dyn Download,
    groups: Vec<Vec<Uuid>>,
    span: TimeSpan,
    names: &Arc<Names>,
    persistent: bool,
) -> Findings {
    let mut findings = Findings::default();
    let mut waiting: VecDeque<Vec<Uuid>> = groups.into();
    let mut failing: Vec<(Vec<Uuid>, RequestError)> = Vec::new();
    let mut failures_in_a_row = 0;
    for _ in 0..MOST_REQUESTS {
        if waiting.is_empty() {
            // Something succeeded, so the vendor is there: what failed as a group is worth taking apart.
            if (findings.answered.is_empty() && !persistent) || failures_in_a_row >= HOPELESS {
                break;
            }
            waiting.extend(failing.drain(..).flat_map(|(ids, _)| halves(&ids)));
        }
        let Some(ids) = waiting.pop_front() else { break };
        let mut export = Tallies::new(&ids, span.0, span.1, Arc::clone(names));
        let mut apart = |ids: &[Uuid]| halves(ids).into_iter().rev().for_each(|half| waiting.push_front(half));
        match download.download(&ids, &mut export).await {
            Ok(()) => {
                failures_in_a_row = 0;
                match ids.as_slice() {
                    [id] => {
                        // Whatever the only batch's export holds is the batch's.
                        let tally = export.tallies.entry(*id).or_default();
                        for (reason, rows) in &export.stray {
                            *tally.rejected.entry(*reason).or_default() += rows;
                        }
                    }
                    // Whose rows they are shows when the batches are asked for alone.
                    ids if !export.stray.is_empty() => {
                        export.tallies.values_mut().for_each(|tally| tally.incomplete = true);
                        apart(ids);
                    }
                    _ => {}
                }
                findings.answered.extend(export.tallies);
            }
            Err(error) if is_about_the_vendor(&error) => {
                findings.error = Some(error);
                findings.ended_early = true;
                return findings;
            }
            Err(error) => {
                names.give_up_answer(&ids);
                let refusal = is_refusal(&error);
                failures_in_a_row += usize::from(!refusal);
                match ids.as_slice() {
                    [id] if refusal => drop(findings.refused.insert(*id, error)),
                    [id] => drop(findings.failed.insert(*id, error)),
                    ids if refusal => apart(ids),
                    ids if (persistent || !findings.answered.is_empty()) && failures_in_a_row <= HOPELESS => apart(ids),
                    _ => failing.push((ids, error)),
                }
            }
        }
    }
    if findings.answered.is_empty() {
        let group = failing.first().map(|(_, error)| error.clone());
        findings.error = group.or_else(|| findings.failed.values().chain(findings.refused.values()).next().cloned());
    }
    findings
}

fn halves(ids: &[Uuid]) -> [Vec<Uuid>; 2] {
    let (left, right) = ids.split_at(ids.len() / 2);
    [left.to_vec(), right.to_vec()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rightfoot::BATCHES;
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use strum::VariantArray as _;

    #[derive(Default)]
    struct Vendor {
        foreign: BTreeSet<Uuid>,
        poison: BTreeSet<Uuid>,
        down: Option<Reason>,
        requests: AtomicUsize,
    }

    #[async_trait]
    impl Download for Vendor {
        async fn download(&self, ids: &[Uuid], _sink: &mut Tallies) -> Result<(), RequestError> {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let no = |reason| Err(RequestError::new(BATCHES.operation, reason, ""));
            match self.down {
                Some(reason) => no(reason),
                None if ids.iter().any(|id| self.poison.contains(id)) => no(Reason::ServerError),
                None if ids.iter().any(|id| self.foreign.contains(id)) => no(Reason::Forbidden),
                None => Ok(()),
            }
        }
    }

    const SPAN: TimeSpan = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);

    fn groups(count: u128) -> Vec<Vec<Uuid>> {
        (1..=count).map(Uuid::from_u128).collect::<Vec<_>>().chunks(IDS_PER_REQUEST).map(<[Uuid]>::to_vec).collect()
    }

    #[tokio::test]
    async fn one_foreign_id_never_blinds_the_others() {
        let vendor = Vendor { foreign: BTreeSet::from([Uuid::from_u128(17)]), ..Vendor::default() };
        let findings = ask(&vendor, groups(100), SPAN, &Arc::default(), false).await;
        assert_eq!(findings.answered.len(), 99);
        assert_eq!(findings.refused.keys().collect::<Vec<_>>(), [&Uuid::from_u128(17)]);
        assert!(findings.error.is_none());
        assert!(vendor.requests.load(Ordering::Relaxed) <= 15);
    }

    #[tokio::test]
    async fn a_poisoned_batch_is_found_once_something_else_succeeds_or_it_persists() {
        let vendor = Vendor { poison: BTreeSet::from([Uuid::from_u128(17)]), ..Vendor::default() };
        let findings = ask(&vendor, groups(250), SPAN, &Arc::default(), false).await;
        assert_eq!(findings.answered.len(), 249);
        assert!(findings.failed.contains_key(&Uuid::from_u128(17)));
        let findings = ask(&vendor, groups(50), SPAN, &Arc::default(), false).await;
        assert_eq!(findings.error.map(|error| error.reason), Some(Reason::ServerError));
        let findings = ask(&vendor, groups(50), SPAN, &Arc::default(), true).await;
        assert_eq!((findings.answered.len(), findings.failed.len()), (49, 1));
    }

    #[tokio::test]
    async fn a_vendor_that_is_down_costs_few_requests() {
        for reason in
            Reason::VARIANTS.iter().copied().filter(|reason| !matches!(reason, Reason::Forbidden | Reason::ClientError))
        {
            let vendor = Vendor { down: Some(reason), ..Vendor::default() };
            let findings = ask(&vendor, groups(1_000), SPAN, &Arc::default(), true).await;
            assert_eq!(findings.error.map(|error| error.reason), Some(reason));
            assert!(findings.answered.is_empty());
            assert!(vendor.requests.load(Ordering::Relaxed) <= 30, "{reason}");
        }
    }

    #[tokio::test]
    async fn when_everything_is_refused_the_pass_says_so_within_its_bound() {
        let vendor = Vendor { down: Some(Reason::Forbidden), ..Vendor::default() };
        let findings = ask(&vendor, groups(1_000), SPAN, &Arc::default(), false).await;
        assert_eq!(findings.error.map(|error| error.reason), Some(Reason::Forbidden));
        assert!(vendor.requests.load(Ordering::Relaxed) <= MOST_REQUESTS);
    }
}
