//! The balance-check batches.
//!
//! Flows in: the merged list of ids, and exports of those that are due. Flows out: open tallies at once, counters when a
//! batch settles and that is durable. Invariant: a batch is counted once; a settled one is not downloaded again; a pass
//! with nothing due succeeds.

mod outcome;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use outcome::Applied;
use shown::newest;

use super::export::{Download, Findings, Stray, ask};
use super::keeper::Keeper;
use super::roster::{Roster, is_unconfirmed};
use super::source::Poller;
use crate::domain::batches::{Batch, BatchState, Pace};
use crate::domain::checks::{BIRTH_KEY, CheckTotals, birth_key};
use crate::domain::tally::Export;
use crate::snapshot::NewestBatch;
use crate::store::{BatchesCommit, StoreError, Success};
use crate::vendor::{Fault, Reason, Rightfoot, Source};

/// Old ids are forgotten this often.
const FORGET_EVERY: Duration = Duration::from_secs(24 * 3_600);

#[async_trait]
impl Download for Rightfoot {
    async fn download(&self, ids: &[Uuid], sink: &mut Export) -> Result<(), Fault> {
        self.balances_csv(ids, sink).await.map(|_| ())
    }
}

/// What the batches poll needs to know.
#[derive(Clone, Copy, Debug)]
pub struct BatchesSettings {
    /// How often, and when a batch is complete.
    pub pace: Pace,
    /// `RIGHTFOOT_COUNT_SINCE`.
    pub count_since: Option<DateTime<Utc>>,
}

/// Polls the batches.
pub struct BatchesPoller {
    client: Arc<Rightfoot>,
    keeper: Arc<Keeper>,
    roster: Arc<Roster>,
    pace: Pace,
    configured_since: Option<String>,
    count_since: Option<DateTime<Utc>>,
    followed: BTreeMap<Uuid, Batch>,
    settled: u64,
    totals: CheckTotals,
    stray: Stray,
    listed: BTreeSet<Uuid>,
    list_version: u64,
    newest: Vec<NewestBatch>,
    failures: u64,
    forgot_at: DateTime<Utc>,
}

impl BatchesPoller {
    /// Restores the batches of an earlier life.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn restore(
        client: Arc<Rightfoot>,
        keeper: Arc<Keeper>,
        roster: Arc<Roster>,
        settings: BatchesSettings,
    ) -> Result<BatchesPoller, StoreError> {
        let stored = keeper.store().source(keeper.account, Source::Batches)?;
        let restored = keeper.store().batches(keeper.account)?;
        let now = keeper.clock.now();
        let (listed, list_version) = roster.listed(0).unwrap_or_default();
        let followed = restored.batches.into_iter().map(|batch| (batch.id, batch.restored(now)));
        let mut poller = BatchesPoller {
            client,
            roster,
            pace: settings.pace,
            configured_since: settings.count_since.map(|since| since.to_rfc3339()),
            count_since: stored.map(|stored| stored.count_since).or(settings.count_since),
            followed: followed.collect(),
            settled: restored.settled,
            totals: restored.totals,
            stray: Stray::new(),
            listed: BTreeSet::new(),
            list_version: 0,
            newest: Vec::new(),
            failures: 0,
            forgot_at: now,
            keeper,
        };
        let keeper = Arc::clone(&poller.keeper);
        poller.merge(&listed, |id| keeper.store().batch(keeper.account, id))?;
        poller.listed = listed;
        poller.list_version = list_version;
        poller.newest = newest(&keeper, &poller.followed)?;
        poller.tell_unconfirmed();
        Ok(poller)
    }

    /// The series that exist from the start.
    #[must_use]
    pub fn known_series() -> [String; 1] {
        [BIRTH_KEY.to_owned()]
    }

    /// Takes up ids that are listed and not known; drops those that left the list. What they counted stays.
    fn merge(
        &mut self,
        listed: &BTreeSet<Uuid>,
        lookup: impl Fn(Uuid) -> Result<Option<Batch>, StoreError>,
    ) -> Result<(), StoreError> {
        let now = self.keeper.clock.now();
        for id in listed.iter().filter(|id| !self.followed.contains_key(id)).copied().collect::<Vec<_>>() {
            match lookup(id)? {
                Some(batch) if batch.state == BatchState::Settled => {}
                Some(batch) => {
                    self.followed.insert(id, batch.restored(now));
                }
                None => {
                    self.followed.insert(id, Batch::new(id, now));
                }
            }
        }
        self.followed.retain(|id, batch| batch.by_webhook || listed.contains(id));
        Ok(())
    }

    async fn take_news(&mut self) {
        if let Some((listed, version)) = self.roster.listed(self.list_version) {
            let account = self.keeper.account;
            let fresh: Vec<Uuid> = listed.iter().filter(|id| !self.followed.contains_key(id)).copied().collect();
            let found = self.keeper.work("batch list", move |store| {
                let mut found = BTreeMap::new();
                for id in fresh {
                    if let Some(batch) = store.batch(account, id)? {
                        found.insert(id, batch);
                    }
                }
                Ok(found)
            });
            // Without knowing which have settled, taking them up would count them twice: next time, then.
            if let Some(found) = found.await
                && self.merge(&listed, |id| Ok(found.get(&id).cloned())).is_ok()
            {
                self.listed = listed;
                self.list_version = version;
            }
        }
        for (id, at) in self.roster.take_completed() {
            let account = self.keeper.account;
            if !self.followed.contains_key(&id) {
                let known = self.keeper.work("batch list", move |store| store.batch(account, id)).await.flatten();
                if known.as_ref().is_some_and(|batch| batch.state == BatchState::Settled) {
                    continue;
                }
                self.followed.insert(id, known.unwrap_or_else(|| Batch::new(id, at)));
            }
            if let Some(batch) = self.followed.get_mut(&id) {
                batch.completed(at);
            }
        }
    }

    fn tell_unconfirmed(&self) {
        self.roster.set_unconfirmed(self.followed.values().filter(|batch| is_unconfirmed(batch)).map(|batch| batch.id));
    }

    /// Those that are due; those that the vendor has answered for before come first, so that forged ids wait.
    fn due(&self, now: DateTime<Utc>) -> Vec<Uuid> {
        let mut due: Vec<&Batch> = self.followed.values().filter(|batch| batch.is_due(now)).collect();
        due.sort_by_key(|batch| (!batch.confirmed, is_unconfirmed(batch), batch.first_seen, batch.id));
        due.into_iter().map(|batch| batch.id).collect()
    }

    /// Whether what was found speaks of the vendor rather than of single batches. If every id that was asked for was
    /// refused or failed, an open batch that was not due is asked as a witness.
    async fn judge(&self, findings: &mut Findings, since: DateTime<Utc>) -> Result<(), Fault> {
        let Some(fault) = findings.fault.clone() else { return Ok(()) };
        let asked: BTreeSet<Uuid> =
            findings.refused.keys().chain(findings.failed.keys()).chain(&findings.missed).copied().collect();
        let alone = findings.missed.is_empty();
        let known_bad = |id: &Uuid| {
            self.followed
                .get(id)
                .is_some_and(|batch| matches!(batch.state, BatchState::Unavailable | BatchState::Abandoned))
        };
        // Ids that are known to be refused say nothing new.
        if alone && findings.failed.is_empty() && asked.iter().all(known_bad) && self.followed.len() > asked.len() {
            return Ok(());
        }
        if alone && findings.failed.is_empty() && asked.iter().all(known_bad) && self.settled > 0 {
            return Ok(());
        }
        let witness = self
            .followed
            .values()
            .find(|batch| batch.state == BatchState::Open && batch.confirmed && !asked.contains(&batch.id));
        if alone && let Some(witness) = witness {
            let answer = ask(self.client.as_ref(), &[witness.id], since, false).await;
            if answer.fault.is_none() {
                findings.answered.extend(answer.answered);
                return Ok(());
            }
        }
        Err(fault)
    }

    async fn keep(&mut self, applied: &mut Applied, totals: CheckTotals, now: DateTime<Utc>, since: DateTime<Utc>) {
        let success = Success {
            account: self.keeper.account,
            source: Source::Batches,
            at: now,
            count_since: since,
            configured_since: self.configured_since.clone(),
            answer: None,
        };
        let keys = totals.by_institution.keys().map(|name| birth_key(name));
        let born = self.keeper.newborn(keys);
        let changed: Vec<Batch> = applied.batches.values().cloned().collect();
        let (rows, institutions) = (born.clone(), applied.institutions.clone());
        let written = applied.totals_changed.then(|| totals.clone());
        let kept = self.keeper.work("batches", move |store| {
            store.commit_batches(&BatchesCommit {
                success: &success,
                batches: &changed.iter().collect::<Vec<_>>(),
                totals: written.as_ref(),
                institutions: &institutions,
                born: &rows,
            })
        });
        if kept.await.is_some() {
            self.totals = totals;
            self.stray = std::mem::take(&mut applied.stray);
            self.count_since = Some(since);
            self.keeper.born(&born);
            self.settled += applied.settled.len() as u64;
            for (id, batch) in std::mem::take(&mut applied.batches) {
                self.followed.insert(id, batch);
            }
            for id in &applied.settled {
                self.followed.remove(id);
            }
            return;
        }
        // Gauges go on; nothing settles and nothing is counted until that can be written.
        for (id, mut batch) in std::mem::take(&mut applied.batches) {
            let Some(before) = self.followed.get(&id) else { continue };
            if let (Some(tally), Some(old)) = (batch.tally.as_mut(), before.tally.as_ref()) {
                tally.rejected.clone_from(&old.rejected);
            } else if let Some(tally) = batch.tally.as_mut() {
                tally.rejected.clear();
            }
            if applied.settled.contains(&id) {
                let tally = batch.tally.take();
                batch = before.clone();
                batch.tally = tally;
                batch.missed(now, self.pace);
            }
            self.followed.insert(id, batch);
        }
    }

    async fn forget(&mut self, now: DateTime<Utc>) {
        if crate::clock::since(now, self.forgot_at) < FORGET_EVERY {
            return;
        }
        self.forgot_at = now;
        let account = self.keeper.account;
        if let Some(settled) = self.keeper.work("upkeep", move |store| store.forget_old(account, now)).await {
            self.settled = self.settled.saturating_sub(settled);
        }
        // What is not looked at any more has no place in memory; the store still knows its id.
        let listed = &self.listed;
        self.followed.retain(|id, batch| batch.next_look.is_some() || listed.contains(id));
    }
}

#[async_trait]
impl Poller for BatchesPoller {
    fn source(&self) -> Source {
        Source::Batches
    }

    fn account(&self) -> &str {
        &self.keeper.name
    }

    async fn pass(&mut self) -> Result<(), Fault> {
        self.take_news().await;
        let began = self.keeper.clock.now();
        let since = self.count_since.unwrap_or_else(|| self.client.now());
        let due = self.due(began);
        let mut findings = if due.is_empty() {
            Findings::default()
        } else {
            ask(self.client.as_ref(), &due, since, self.failures >= 2).await
        };
        let judged = self.judge(&mut findings, since).await;
        let now = self.keeper.clock.now();
        if let Err(fault) = judged {
            // Nothing is known of any batch, so none changes; the source's own schedule decides when to look again.
            self.failures += u64::from(fault.reason != Reason::RateLimited);
            self.tell_unconfirmed();
            return Err(fault);
        }
        self.failures = 0;
        let mut totals = self.totals.clone();
        let mut applied = self.apply(findings, now, &mut totals);
        self.keep(&mut applied, totals, now, since).await;
        self.forget(now).await;
        let (keeper, followed) = (Arc::clone(&self.keeper), self.followed.clone());
        if let Some(shown) = self.keeper.work("newest batches", move |_| newest(&keeper, &followed)).await {
            self.newest = shown;
        }
        self.tell_unconfirmed();
        let view = Arc::new(self.view());
        self.keeper.board.update(|snapshot| {
            if let Some(rightfoot) = snapshot.rightfoot_mut(&self.keeper.name) {
                rightfoot.checks = view;
            }
        });
        Ok(())
    }

    fn wish(&self) -> Option<DateTime<Utc>> {
        self.followed.values().filter_map(|batch| batch.next_look).min()
    }

    fn pause(&self, until: DateTime<Utc>) {
        self.client.pause(until);
    }
}
