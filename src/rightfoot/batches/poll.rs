//! The balance-check batches.
//!
//! Flows in: the merged list of ids, and exports of those that are due. Flows out: open tallies at once, counters when a
//! batch settles and that is durable. Invariant: a batch is counted once; a settled one is not downloaded again; a pass
//! with nothing due succeeds; what a pass learnt is kept whatever ended it.

mod outcome;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use outcome::Applied;
use shown::newest;

use super::batch::{Batch, BatchState, BatchTiming};
use super::export::{Download, Findings, IDS_PER_REQUEST, ask};
use super::names::Names;
use super::table::BatchesCommit;
use super::tallies::Tallies;
use super::totals::{BALANCES_KEY, CheckTotals, SERIES_KEY, series_key};
use crate::clock::BootTime;
use crate::names::Source;
use crate::poll::account_storage::AccountStorage;
use crate::poll::source::Poller;
use crate::rightfoot::batch_list::{BatchList, is_unconfirmed};
use crate::rightfoot::{BATCHES, Client, NewestBatch, RightfootView};
use crate::store::StoreError;
use crate::upstream::{CredentialState, Reason, RequestError};

/// Old details are forgotten this often.
const FORGET_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// The time of a row that lies further ahead of the vendor's clock is not believed.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// A base line that was taken by our clock is taken again if the vendor's turns out to be further from it.
const SAME_BASE_LINE: TimeDelta = TimeDelta::minutes(1);
/// How many batches are asked for to find out whether the vendor answers at all.
const MOST_REFERENCES: u32 = 3;

#[async_trait]
impl Download for Client {
    async fn download(&self, ids: &[Uuid], sink: &mut Tallies) -> Result<(), RequestError> {
        self.balances_csv(ids, sink).await.map(|_| ())
    }
}

/// What the batches poll needs to know.
#[derive(Clone, Copy, Debug)]
pub struct BatchesSettings {
    /// How often, and when a batch is complete.
    pub timing: BatchTiming,
    /// `RIGHTFOOT_COUNT_SINCE`.
    pub count_since: Option<DateTime<Utc>>,
}

/// From when on rows count.
#[derive(Clone, Copy, Debug)]
enum Base {
    /// Configured, or kept from the previous run.
    Fixed(DateTime<Utc>),
    /// The first successful pass, which had nothing to ask for: its time by the vendor's clock is not known yet.
    At(BootTime),
    /// The same of a run before this machine's last boot, by its clock of then.
    Stored(DateTime<Utc>),
    /// There was no successful pass yet.
    Unknown,
}

/// Polls the batches.
pub struct BatchesPoller {
    client: Arc<Client>,
    storage: Arc<AccountStorage>,
    batch_list: Arc<BatchList>,
    timing: BatchTiming,
    configured_since: Option<String>,
    base: Base,
    followed: BTreeMap<Uuid, Batch>,
    settled: u64,
    totals: CheckTotals,
    /// Refused while nothing showed that the vendor answers anybody: what it means is not known yet.
    suspects: BTreeSet<Uuid>,
    listed: BTreeSet<Uuid>,
    list_version: u64,
    newest: Vec<NewestBatch>,
    names: Arc<Names>,
    failures: u64,
    forgot_at: Option<BootTime>,
}

impl BatchesPoller {
    /// Restores the batches of the previous run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn restore(
        client: Arc<Client>,
        storage: Arc<AccountStorage>,
        batch_list: Arc<BatchList>,
        settings: BatchesSettings,
    ) -> Result<BatchesPoller, StoreError> {
        let stored = storage.store().source(storage.account, BATCHES)?;
        let now = storage.clock.moment();
        let (listed, list_version) = batch_list.listed(0).unwrap_or_default();
        let followed = |batch: &Batch| batch.by_webhook || listed.contains(&batch.id);
        let restored = storage.store().batches(storage.account, now, followed)?;
        let was_answered = restored.settled > 0 || restored.batches.iter().any(|batch| batch.confirmed);
        let base = match (settings.count_since, stored) {
            (None, Some(stored)) if !was_answered && stored.configured_since.is_none() => {
                let boot = stored.count_since_boot(&storage.clock.boot_id());
                boot.map_or(Base::Stored(stored.count_since), Base::At)
            }
            (_, Some(stored)) => Base::Fixed(stored.count_since),
            (Some(since), None) => Base::Fixed(since),
            (None, None) => Base::Unknown,
        };
        let mut poller = BatchesPoller {
            client,
            batch_list,
            timing: settings.timing,
            configured_since: settings.count_since.map(|since| since.to_rfc3339()),
            base,
            followed: restored.batches.into_iter().map(|batch| (batch.id, batch.restored(now.boot))).collect(),
            settled: restored.settled,
            totals: restored.totals,
            suspects: BTreeSet::new(),
            listed: BTreeSet::new(),
            list_version: 0,
            newest: Vec::new(),
            names: restored.names,
            failures: 0,
            forgot_at: None,
            storage,
        };
        let mut known = BTreeMap::new();
        for id in poller.unknown(listed.iter().copied()) {
            known.extend(poller.storage.store().batch(poller.storage.account, id, now)?.map(|batch| (id, batch)));
        }
        poller.take_up(listed.iter().copied(), &mut known);
        poller.set_listed(listed, list_version);
        poller.newest = newest(&poller.storage, &poller.followed)?;
        poller.report_unconfirmed();
        Ok(poller)
    }

    /// The series that exist from the start.
    #[must_use]
    pub fn known_series() -> [String; 2] {
        [SERIES_KEY.to_owned(), BALANCES_KEY.to_owned()]
    }

    fn unknown(&self, ids: impl IntoIterator<Item = Uuid>) -> Vec<Uuid> {
        ids.into_iter().filter(|id| !self.followed.contains_key(id)).collect()
    }

    /// Follows ids that are not followed yet; `known` is what the store knows of them. A settled one stays settled.
    fn take_up(&mut self, ids: impl IntoIterator<Item = Uuid>, known: &mut BTreeMap<Uuid, Batch>) {
        let now = self.storage.clock.moment();
        self.count_names();
        for id in self.unknown(ids) {
            let batch = match known.remove(&id) {
                Some(batch) if batch.state == BatchState::Settled => continue,
                Some(mut batch) => {
                    let tally = batch.tally.take();
                    batch.tally = tally.map(|tally| Arc::new(self.names.adopt(Arc::unwrap_or_clone(tally))));
                    batch.restored(now.boot)
                }
                None => Batch::new(id, now),
            };
            self.followed.insert(id, batch);
        }
        self.names.end();
    }

    fn count_names(&self) {
        self.names.begin(self.followed.iter().filter_map(|(id, batch)| Some((*id, batch.tally.as_ref()?))));
    }

    /// Drops those that left the list. What they counted stays.
    fn set_listed(&mut self, listed: BTreeSet<Uuid>, version: u64) {
        self.followed.retain(|id, batch| batch.by_webhook || listed.contains(id));
        self.listed = listed;
        self.list_version = version;
    }

    /// Takes up what the list and the webhook brought. Where the store cannot say which of the new ids have settled,
    /// they wait for the next pass: taken as new, they would count twice.
    async fn take_news(&mut self) {
        let list = self.batch_list.listed(self.list_version);
        let completed = self.batch_list.completed();
        let ids: BTreeSet<Uuid> =
            list.iter().flat_map(|(ids, _)| ids).chain(completed.iter().map(|(id, _)| id)).copied().collect();
        let fresh = self.unknown(ids.iter().copied());
        let mut known = BTreeMap::new();
        if !fresh.is_empty() {
            let (account, now) = (self.storage.account, self.storage.clock.moment());
            let found = self.storage.work("batch list", move |store| {
                let mut found = BTreeMap::new();
                for id in fresh {
                    found.extend(store.batch(account, id, now)?.map(|batch| (id, batch)));
                }
                Ok(found)
            });
            let Some(found) = found.await else { return };
            known = found;
        }
        self.take_up(ids, &mut known);
        self.batch_list.completed_were_taken(completed.len());
        for (id, at) in completed {
            if let Some(batch) = self.followed.get_mut(&id) {
                batch.completed(at);
            }
        }
        if let Some((listed, version)) = list {
            self.set_listed(listed, version);
        }
    }

    fn report_unconfirmed(&self) {
        self.batch_list
            .set_unconfirmed(self.followed.values().filter(|batch| is_unconfirmed(batch)).map(|batch| batch.id));
    }

    /// Those that are due, in groups of one request. The request with the batch that was not looked at for longest comes
    /// first, so that a pass that ends early, or uses up its requests on ids that are refused, leaves no batch out for ever.
    /// Ids that may be forged come last, with those that were asked for and never answered.
    fn due(&self, now: BootTime) -> Vec<Vec<Uuid>> {
        let rank = |batch: &Batch| {
            let doubtful = is_unconfirmed(batch) || (!batch.confirmed && batch.last_look.is_some());
            (doubtful, batch.last_look, batch.first_seen.boot, batch.id)
        };
        let mut due: Vec<&Batch> = self.followed.values().filter(|batch| batch.is_due(now)).collect();
        due.sort_by_key(|batch| rank(batch));
        let (alone, together): (Vec<&Batch>, Vec<&Batch>) = due.into_iter().partition(|batch| batch.is_asked_alone());
        let mut requests: Vec<&[&Batch]> = together.chunks(IDS_PER_REQUEST).chain(alone.chunks(1)).collect();
        requests.sort_by_key(|batches| batches.first().map(|batch| rank(batch)));
        requests.into_iter().map(|batches| batches.iter().map(|batch| batch.id).collect()).collect()
    }

    /// Asks for what is due, counting rows from the base line on. The first answers show how far our clock is from the
    /// vendor's: a base line that was taken by ours alone is then taken again.
    async fn ask(&mut self, due: &[Vec<Uuid>]) -> Result<(Findings, DateTime<Utc>), RequestError> {
        let credential = self.client.credential();
        let since = |base: Base| match base {
            Base::Fixed(since) | Base::Stored(since) => since,
            Base::At(boot) => credential.at(boot),
            Base::Unknown => credential.now(),
        };
        let persistent = self.failures >= 2;
        let mut taken = since(self.base);
        if matches!(self.base, Base::Unknown) {
            self.base = Base::At(self.storage.clock.boot());
        }
        let span = |since| (since, credential.now() + AHEAD);
        self.count_names();
        let mut findings = Findings::default();
        if !due.is_empty() {
            findings = ask(self.client.as_ref(), due.to_vec(), span(taken), &self.names, persistent).await;
        }
        if !findings.answered.is_empty() && !matches!(self.base, Base::Fixed(_)) {
            if credential.is_unclear() {
                let words = "the vendor's clock and this machine's disagree by more than an hour: counting begins once \
                             a second answer agrees";
                return Err(RequestError::new(BATCHES.operation, Reason::Implausible, words));
            }
            // If the clocks agree now, they are taken to have agreed then.
            let agree = credential.skew().is_none_or(|skew| skew.abs() <= SAME_BASE_LINE);
            let by_vendor = match self.base {
                Base::Stored(since) if agree => since.min(credential.now()),
                Base::Stored(_) => credential.now(),
                base => since(base),
            };
            if (by_vendor - taken).abs() > SAME_BASE_LINE {
                taken = by_vendor;
                self.count_names();
                findings = ask(self.client.as_ref(), due.to_vec(), span(taken), &self.names, persistent).await;
            }
        }
        Ok((findings, taken))
    }

    /// Batches that the vendor has answered for before, to find out whether it still does; none where it has just said
    /// that it does not.
    async fn reference_batches(&self, findings: &Findings) -> Vec<Uuid> {
        let asked: BTreeSet<&Uuid> = findings.refused.keys().chain(findings.failed.keys()).collect();
        if findings.ended_early || asked.is_empty() {
            return Vec::new();
        }
        let open = |batch: &&Batch| batch.state == BatchState::Open && batch.confirmed && !asked.contains(&batch.id);
        if let Some(batch) = self.followed.values().find(open) {
            return vec![batch.id];
        }
        let account = self.storage.account;
        let settled = self.storage.work("batch list", move |store| store.settled_batches(account, MOST_REFERENCES));
        settled.await.unwrap_or_default()
    }

    /// Whether what was refused or failed says something about single batches. If nothing was answered, batches that were
    /// answered before are asked for.
    async fn explain_refusals(&mut self, findings: &mut Findings) -> Result<(), RequestError> {
        let Some(error) = findings.error.clone() else { return Ok(()) };
        if !findings.answered.is_empty() {
            return Err(error);
        }
        for reference in self.reference_batches(findings).await {
            if self.client.answers_for(reference).await.is_ok() {
                return Ok(());
            }
        }
        let now = self.storage.clock.boot();
        self.suspects.extend(findings.refused.keys());
        for id in findings.refused.keys().chain(findings.failed.keys()) {
            if let Some(batch) = self.followed.get_mut(id) {
                batch.last_look = Some(now);
            }
        }
        findings.refused.clear();
        findings.failed.clear();
        Err(error)
    }

    async fn keep(&mut self, applied: &mut Applied, totals: CheckTotals, since: DateTime<Utc>, complete: bool) {
        let mut success = self.storage.success(BATCHES);
        success.count_since = since;
        success.configured_since.clone_from(&self.configured_since);
        let now = self.storage.clock.moment();
        if !complete {
            success.at = None;
        }
        let keys = totals.by_institution.keys().map(|name| series_key(name));
        let keys = BatchesPoller::known_series().into_iter().chain(keys);
        let new_series = self.storage.new_series(BATCHES, keys, false);
        let changed: Vec<Batch> = applied.batches.values().cloned().collect();
        let (rows, institutions) = (new_series.clone(), applied.institutions.clone());
        let written = applied.totals_changed.then(|| totals.clone());
        let kept = self.storage.work("batches", move |store| {
            store.commit_batches(&BatchesCommit {
                success: &success,
                now,
                batches: &changed.iter().collect::<Vec<_>>(),
                totals: written.as_ref(),
                institutions: &institutions,
                new_series: &rows,
            })
        });
        if kept.await.is_some() {
            self.totals = totals;
            self.storage.created(&new_series);
            self.settled += applied.settled.len() as u64;
            self.followed.append(&mut applied.batches);
            for id in &applied.settled {
                self.followed.remove(id);
            }
            return;
        }
        // Gauges go on; nothing settles and nothing is counted until that can be written.
        for (id, mut batch) in std::mem::take(&mut applied.batches) {
            let Some(before) = self.followed.get(&id) else { continue };
            if let Some(tally) = batch.tally.as_mut() {
                let rejected = before.tally.as_ref().map(|old| old.rejected.clone());
                Arc::make_mut(tally).rejected = rejected.unwrap_or_default();
            }
            if applied.settled.contains(&id) {
                let tally = batch.tally.take();
                batch = before.clone();
                batch.tally = tally;
                batch.missed(now.boot, self.timing);
            }
            self.followed.insert(id, batch);
        }
    }

    async fn forget(&mut self) {
        let now = self.storage.clock.moment();
        if self.forgot_at.is_some_and(|forgot_at| now.boot.since(forgot_at) < FORGET_EVERY) {
            return;
        }
        self.forgot_at = Some(now.boot);
        let (account, listed) = (self.storage.account, self.listed.clone());
        self.storage.work("upkeep", move |store| store.forget_details(account, &listed, now)).await;
        // What is not looked at any more has no place in memory; the store still knows its id.
        let listed = &self.listed;
        self.followed.retain(|id, batch| batch.next_look.is_some() || listed.contains(id));
    }
}

#[async_trait]
impl Poller for BatchesPoller {
    fn source(&self) -> Source {
        BATCHES
    }

    fn storage(&self) -> &AccountStorage {
        &self.storage
    }

    fn credential(&self) -> CredentialState<'_> {
        self.client.credential()
    }

    async fn pass(&mut self) -> Result<(), RequestError> {
        self.take_news().await;
        let due = self.due(self.storage.clock.boot());
        let base = self.base;
        let asked = self.ask(&due).await;
        self.names.end();
        self.report_unconfirmed();
        let (mut findings, since) = asked?;
        let outcome = self.explain_refusals(&mut findings).await;
        match &outcome {
            Ok(()) => self.failures = 0,
            Err(error) => self.failures += u64::from(error.reason != Reason::RateLimited),
        }
        let answered = !findings.answered.is_empty();
        if outcome.is_err() && !answered {
            self.base = base;
        } else {
            let mut totals = self.totals.clone();
            let mut applied = self.apply(findings, &due, outcome.is_ok(), &mut totals);
            self.keep(&mut applied, totals, since, outcome.is_ok()).await;
            if answered {
                self.base = Base::Fixed(since);
            }
        }
        self.forget().await;
        let (storage, followed) = (Arc::clone(&self.storage), self.followed.clone());
        if let Some(shown) = self.storage.work("newest batches", move |_| newest(&storage, &followed)).await {
            self.newest = shown;
        }
        self.report_unconfirmed();
        let mut view = self.view();
        if outcome.is_ok() {
            view.count_since = Some(since);
        }
        self.storage.update(|account| account.update_facts::<RightfootView>(|facts| facts.checks = Arc::new(view)));
        outcome
    }

    fn poll_by(&self, failed: bool) -> Option<BootTime> {
        // After a failure the schedule alone decides.
        self.followed.values().filter_map(|batch| batch.next_look).min().filter(|_| !failed)
    }
}
