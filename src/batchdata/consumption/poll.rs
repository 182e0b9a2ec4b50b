//! The consumption report.
//!
//! Flows in: the days that can still change, once a day all days in reach. Flows out: counters, once they are durable,
//! and sums over periods. Invariant: a steady pass is one short request; what a gap missed is asked for by the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use strum::VariantArray as _;

use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use tokio::sync::OwnedSemaphorePermit;

use super::budgets::{BudgetView, PeriodSpend};
use super::burn::Reported;
use super::ledger::{BaseLine, ConsumptionChanges, ConsumptionLedger, REACH};
use super::periods::Period;
use super::series::MoneySeries;
use super::table::ConsumptionCommit;
use crate::batchdata::budget::{Budget, BudgetPeriod, BudgetScope};
use crate::batchdata::reconciliation::{Report, SharedReconciliation};
use crate::batchdata::{CONSUMPTION, Client, Config, ConsumptionReport, ConsumptionView, Grain, Periods, WalletView};
use crate::clock::{BootTime, Moment};
use crate::money::Usd;
use crate::names::Source;
use crate::poll::account_storage::{AccountStorage, midnight_after};
use crate::poll::source::Poller;
use crate::store::StoreError;
use crate::upstream::{CredentialState, Reason, RequestError};

/// A long read that failed is tried again this much later, and one that succeeded is repeated at the earliest; short reads go
/// on meanwhile.
const FULL_RETRY: Duration = Duration::from_secs(3_600);
/// Days before yesterday that are asked for by hour as well: the first pass of a day begins with the day before that.
const MOST_BY_HOUR: i64 = 1;
/// After midnight the sums are gone until the first success: the pass for it comes this soon.
const AFTER_MIDNIGHT: Duration = Duration::from_secs(2);
/// Those of many accounts are spread over this time.
const MIDNIGHT_POLLS: Duration = Duration::from_secs(50);

/// Where the vendor still shows the old day after its midnight, the next pass comes this soon.
const OLD_DAY_RETRY: Duration = Duration::from_secs(20);

/// A second answer that agrees on the vendor's time counts this much after the first.
const CLEARER: Duration = Duration::from_secs(60);

/// Polls the consumption report.
pub struct ConsumptionPoller {
    client: Arc<Client>,
    storage: Arc<AccountStorage>,
    ledger: ConsumptionLedger,
    configured_since: Option<NaiveDate>,
    count_since: Option<DateTime<Utc>>,
    full_read_on: Option<NaiveDate>,
    full_not_before: BootTime,
    /// When all days were last read, and what was unreconciled then.
    full: (Option<BootTime>, Usd),
    /// The stored ledger may be an older copy of one whose counters were served already: the first report restores them.
    stale: bool,
    last_day: Option<NaiveDate>,
    /// What the last report said, if the vendor's time was known then.
    reported: Option<Reported>,
    /// When the previous run read it, if that can be told.
    reported_at: Option<BootTime>,
    /// The vendor's midnight, or when another answer may show which day it is.
    look_again: Option<BootTime>,
    budgets: Arc<[Budget]>,
    reconciliation: Option<SharedReconciliation>,
    /// Debits less credits of the base line's day and later days, durable.
    net: Usd,
}

impl ConsumptionPoller {
    /// Restores the ledger of the previous run; `stale` if its last success is long ago. Reports go to `reconciliation`, if
    /// there is a balance to compare them with.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn restore(
        client: Arc<Client>,
        storage: Arc<AccountStorage>,
        reconciliation: Option<SharedReconciliation>,
        config: &Config,
        stale: bool,
    ) -> Result<ConsumptionPoller, StoreError> {
        let stored = storage.store().source(storage.account, CONSUMPTION)?;
        let since = match &stored {
            Some(stored) => stored.configured_since.as_deref().and_then(|day| day.parse().ok()),
            None => config.count_since,
        };
        let base = since.map_or(BaseLine::FirstReport, BaseLine::Day);
        let restored =
            if stored.is_some() { storage.store().ledger(storage.account, base, &config.budgets)? } else { None };
        let (ledger, full_read_on) = restored.unwrap_or_else(|| (ConsumptionLedger::new(base, &config.budgets), None));
        let full_read_on = full_read_on.filter(|_| !ledger.needs_all_days());
        let count_since = stored.as_ref().map(|stored| stored.count_since);
        let net = count_since.map(|since| storage.store().net(storage.account, since.date_naive())).transpose()?;
        let (now, boot_id) = (storage.clock.moment(), storage.clock.boot_id());
        let last_success = stored.as_ref().and_then(|stored| stored.last_success(now, &boot_id));
        let unreconciled = unreconciled(reconciliation.as_ref());
        Ok(ConsumptionPoller {
            client,
            ledger,
            net: net.unwrap_or_default(),
            reconciliation,
            configured_since: since,
            count_since,
            reported: stored.and_then(|stored| Reported::restored(stored.answer.as_deref()?)),
            full_read_on,
            reported_at: last_success.map(|success| success.boot),
            full_not_before: now.boot,
            full: (None, unreconciled),
            stale,
            last_day: None,
            look_again: None,
            budgets: Arc::clone(&config.budgets),
            storage,
        })
    }

    /// A permit to read all days in this pass, if that is due.
    async fn long_read(&self) -> Option<OwnedSemaphorePermit> {
        let vendor_now = self.client.credential().now();
        let today = vendor_now.date_naive();
        let first = self.ledger.covered().is_none();
        // The day's first pass is a short one: it brings the sums back soon after midnight.
        let daily = self.full_read_on != Some(today) && self.storage.is_turn_of_day(vendor_now);
        let due = self.last_day == Some(today) && (daily || self.doubts_old_days());
        let long = self.stale || (due && self.storage.clock.boot() >= self.full_not_before);
        // What cannot be kept is not worth a long read.
        let full = first || (long && self.storage.is_up());
        // The daily one can wait for a later pass; without the others nothing is counted.
        if full { self.storage.long_read(first || self.stale).await } else { None }
    }

    /// Whether to read all days although they were read today: an old day that the vendor changed may explain what has
    /// become unreconciled, and a budget may wait for them.
    fn doubts_old_days(&self) -> bool {
        let (read_at, explained) = self.full;
        let unreconciled = unreconciled(self.reconciliation.as_ref());
        let doubt = self.ledger.needs_all_days() || (!unreconciled.is_zero() && unreconciled != explained);
        doubt && read_at.is_none_or(|read_at| self.storage.clock.boot() >= read_at + FULL_RETRY)
    }

    /// What is known before the first pass of this run.
    #[must_use]
    pub fn view(&self) -> ConsumptionView {
        let today = self.ledger.covered().map(|(_, last)| last);
        let now = self.storage.clock.moment();
        // The vendor's clock as the last report showed it. Without one it is taken to be ours.
        let reported = self.reported.as_ref().zip(self.reported_at);
        let at = reported.map_or(now, |(reported, boot)| Moment { wall: reported.at, boot });
        let periods = today.and_then(|day| self.periods(day, at.wall, midnight_after(day, at.wall, at.boot)?, None));
        self.view_with(periods, None)
    }

    /// The series that exist from the start.
    #[must_use]
    pub fn known_series() -> [String; 2] {
        [MoneySeries::Debit.key(), MoneySeries::Credit.key()]
    }

    /// The counters include history, no report has told it yet, and they do not start at zero.
    fn is_unknown(&self) -> bool {
        let never_reported = self.count_since.is_none() && self.last_day.is_none();
        never_reported && self.configured_since.is_some() && !self.storage.starts_at_zero()
    }

    fn view_with(&self, periods: Option<Periods>, changes: Option<&ConsumptionChanges>) -> ConsumptionView {
        let (overflowing_origins, overflowing_paths) = self.ledger.overflow();
        let debit = |day| Some(self.ledger.flow(day, changes)?.debit);
        ConsumptionView {
            counters: Arc::clone(self.ledger.counters()),
            count_since: self.count_since,
            is_unknown: self.is_unknown(),
            periods,
            burn: self.reported.as_ref().map(|reported| reported.burn(debit)).unwrap_or_default(),
            overflowing_origins,
            overflowing_paths,
        }
    }

    /// Sums and budgets of the periods around `day`, as a report of it says that was made `at` that time.
    fn periods(
        &self,
        day: NaiveDate,
        at: DateTime<Utc>,
        valid_until: BootTime,
        changes: Option<&ConsumptionChanges>,
    ) -> Option<Periods> {
        let sums = Period::VARIANTS
            .iter()
            .copied()
            .filter_map(|period| Some((period, self.ledger.period(period, day, changes)?)));
        let sums: Vec<_> = sums.collect();
        let spend = |period, scope: &BudgetScope| {
            let first_spend = self.ledger.first_spend(day, scope, changes);
            PeriodSpend::new(period, day, at, first_spend, |date| self.ledger.spent(date, scope, changes))
        };
        let of_wallet = |period: &BudgetPeriod| (*period, spend(*period, &BudgetScope::Wallet));
        let running = BudgetPeriod::VARIANTS.iter().map(of_wallet).collect();
        let view = |budget: &Budget| BudgetView { budget: budget.clone(), period: spend(budget.period, &budget.scope) };
        let budgets = self.budgets.iter().map(view).collect();
        (!sums.is_empty()).then_some(Periods { valid_until, sums, running, budgets })
    }

    /// The report up to the vendor's day, and that day.
    async fn read(&self, full: bool) -> Result<ConsumptionReport, RequestError> {
        let credential = self.client.credential();
        let today = credential.now().date_naive();
        // A vendor that takes a day to come has reached it. That is asked for first, because one that answers only one
        // request a minute would never answer the second; a day that is past any vendor takes, whatever its clock shows.
        let ahead = credential.candidate_day().filter(|day| *day > today);
        if let Some(day) = ahead {
            match self.read_to(day, full).await {
                Err(error) if error.status == Some(422) => credential.day_refused(),
                Err(error) if error.reason != Reason::RateLimited => {}
                read => return read,
            }
        }
        let mut outcome = self.read_to(today, full).await;
        // The vendor compares dates with its own clock, which its answer has just shown.
        let shown = credential.now().date_naive();
        let refused = outcome.as_ref().is_err_and(|error| error.status == Some(422));
        // A base line must not end on the day before.
        let first = outcome.is_ok() && self.ledger.covered().is_none();
        if (refused || first) && shown != today {
            outcome = self.read_to(shown, full).await;
        }
        // A clock that has moved far is believed once the vendor takes its day, too.
        let candidate = credential.candidate_day().filter(|day| *day != shown && ahead != Some(*day));
        let Some(day) = candidate else { return outcome };
        match self.read_to(day, full).await {
            Ok(report) => Ok(report),
            Err(error) => {
                if error.status == Some(422) {
                    credential.day_refused();
                }
                outcome
            }
        }
    }

    /// A short range by hour. A longer one by day, and its last two days by hour instead, if the vendor answers that, too.
    async fn read_to(&self, day: NaiveDate, full: bool) -> Result<ConsumptionReport, RequestError> {
        let (from, to) = self.ledger.wanted(day, full);
        let recent = from.max(to.pred_opt().unwrap_or(to));
        if (recent - from).num_days() <= MOST_BY_HOUR {
            match self.client.consumption(from, to, Grain::Hour).await {
                Err(error) if error.reason == Reason::TooLarge => return self.by_day(from, to).await,
                read => return read,
            }
        }
        let mut report = self.by_day(from, to).await?;
        // The pass succeeds without it.
        if let Ok(hourly) = self.client.consumption(recent, to, Grain::Hour).await {
            report.days.split_off(&recent);
            report.days.extend(hourly.days);
            report.hourly = hourly.hourly;
        }
        Ok(report)
    }

    /// Asks for a range in as few requests as the vendor's 366 days allow.
    async fn by_day(&self, from: NaiveDate, to: NaiveDate) -> Result<ConsumptionReport, RequestError> {
        let mut whole = ConsumptionReport { from, to, days: BTreeMap::new(), hourly: None };
        let mut start = from;
        loop {
            let end = start.checked_add_days(Days::new(REACH)).unwrap_or(to).min(to);
            whole.days.extend(self.client.consumption(start, end, Grain::Day).await?.days);
            match end.succ_opt() {
                Some(next) if next <= to => start = next,
                _ => return Ok(whole),
            }
        }
    }

    /// Loads the days that the report covers and memory does not hold whole. If they cannot be read: from when on it does.
    async fn load(&mut self, report: &ConsumptionReport) -> Option<NaiveDate> {
        let (from, to) = self.ledger.days().missing(report.from)?;
        let account = self.storage.account;
        match self.storage.work("consumption days", move |store| store.days(account, from, to)).await {
            Some(days) => {
                self.ledger.days_mut().load(from, days);
                None
            }
            None => Some(to),
        }
    }

    /// `restored` if what counters may have shown before is among the changes, or was before.
    async fn keep(
        &mut self,
        changes: ConsumptionChanges,
        (count_since, net): (DateTime<Utc>, Usd),
        full_read_on: Option<NaiveDate>,
        restored: bool,
    ) -> Option<ConsumptionChanges> {
        let mut success = self.storage.success(CONSUMPTION);
        success.count_since = count_since;
        success.configured_since = self.configured_since.map(|day| day.to_string());
        success.answer = self.reported.as_ref().map(Reported::written);
        if !restored {
            // The next start must not take the ledger for a young one.
            success.at = None;
        }
        let keys = ConsumptionPoller::known_series().into_iter().chain(changes.counters.keys().map(MoneySeries::key));
        let new_series = self.storage.new_series(CONSUMPTION, keys, self.stale);
        let reported_at = self.client.credential().now();
        let changes = Arc::new(changes);
        let (written, rows) = (Arc::clone(&changes), new_series.clone());
        let kept = self.storage.work("consumption", move |store| {
            store.commit_consumption(&ConsumptionCommit {
                success: &success,
                reported_at,
                changes: &written,
                new_series: &rows,
                full_read_on,
            })
        });
        let kept = kept.await;
        let changes = Arc::unwrap_or_clone(changes);
        if kept.is_none() {
            self.ledger.discard(&changes);
            return Some(changes);
        }
        self.ledger.commit(changes);
        self.storage.created(&new_series);
        (self.count_since, self.net) = (Some(count_since), net);
        self.full_read_on = full_read_on;
        None
    }
}

/// What the report does not explain of the balance, as far as it was compared.
fn unreconciled(reconciliation: Option<&SharedReconciliation>) -> Usd {
    reconciliation.and_then(|shared| Some(shared.lock().compared()?.unreconciled())).unwrap_or_default()
}

#[async_trait]
impl Poller for ConsumptionPoller {
    fn source(&self) -> Source {
        CONSUMPTION
    }

    fn storage(&self) -> &AccountStorage {
        &self.storage
    }

    fn credential(&self) -> CredentialState<'_> {
        self.client.credential()
    }

    async fn pass(&mut self) -> Result<(), RequestError> {
        let first = self.ledger.covered().is_none();
        let permit = self.long_read().await;
        let mut full = permit.is_some();
        let began = self.storage.clock.boot();
        let mut report = match self.read(full).await {
            Ok(report) => report,
            Err(error) => {
                // A short report would not restore what an older copy of the storage lacks.
                if full && !first && !self.stale {
                    self.full_not_before = self.storage.clock.boot() + FULL_RETRY;
                }
                // It will not get smaller: a short one has to do.
                self.stale &= error.reason != Reason::TooLarge;
                return Err(error);
            }
        };
        let ended = self.storage.clock.moment();
        let unclear = self.client.credential().is_unclear();
        if (first || self.stale) && unclear {
            let words = "the vendor's clock and this machine's disagree by more than an hour: counting begins once a \
                         second answer agrees";
            return Err(RequestError::new(CONSUMPTION.operation, Reason::Implausible, words));
        }
        let day = report.to;
        if first && !self.client.credential().is_confirmed() {
            self.client.refuses_day_after(day).await?;
        }
        // Nothing can be counted of days of which what was known cannot be read: it is taken as a short report.
        if let Some(held_from) = self.load(&report).await {
            full = false;
            report.shorten(held_from);
        }
        if self.stale {
            self.storage.show_now("consumption/").await;
        }
        let changes = self.ledger.plan(&report);
        let vendor_now = self.client.credential().now();
        self.reported = (!unclear).then(|| Reported::new(day, vendor_now, report.hourly));
        let full_read_on = if full { Some(day) } else { self.full_read_on };
        if full {
            self.full = (Some(ended.boot), unreconciled(self.reconciliation.as_ref()));
        }
        let count_since = self.count_since.unwrap_or_else(|| match self.configured_since {
            Some(day) => day.and_time(NaiveTime::MIN).and_utc(),
            None => vendor_now,
        });
        let net = self.net + self.ledger.net_change(&changes, count_since.date_naive());
        let unkept = self.keep(changes, (count_since, net), full_read_on, full || !self.stale).await;
        self.stale &= !full || unkept.is_some();
        // Without a base line that is kept, or the whole of what it lacks, there is nothing to compare.
        if self.count_since.is_some() && !self.stale && !unclear {
            self.reconciliation.iter().for_each(|shared| shared.lock().report(Report { began, ended, net }));
        }
        self.last_day = Some(day);
        let now = self.storage.clock.boot();
        let midnight = midnight_after(day, self.client.credential().now(), now).filter(|_| !unclear);
        let periods = midnight.and_then(|midnight| self.periods(day, vendor_now, midnight, unkept.as_ref()));
        self.look_again = Some(midnight.unwrap_or(now + CLEARER));
        let view = Arc::new(self.view_with(periods, unkept.as_ref()));
        self.storage.update(|account| account.update_facts::<WalletView>(|wallet| wallet.consumption = Some(view)));
        Ok(())
    }

    fn is_stale(&self) -> bool {
        self.stale
    }

    fn poll_by(&self, failed: bool) -> Option<BootTime> {
        let (look_again, now) = (self.look_again?, self.storage.clock.boot());
        match look_again > now {
            true => Some(look_again + AFTER_MIDNIGHT + MIDNIGHT_POLLS.mul_f64(self.storage.turn)),
            // A vendor whose clock still shows the old day is asked again soon, not at once.
            false => (!failed).then(|| now + OLD_DAY_RETRY),
        }
    }
}
