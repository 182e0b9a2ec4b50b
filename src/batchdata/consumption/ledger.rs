//! The consumption ledger: what was spent, by UTC day and series.
//!
//! Flows in: reports by UTC day, which may overlap, repeat, skip and restate. Flows out: counters that rise with the
//! vendor's true totals, and exact sums over periods. Invariant: a counter is the highest of the totals recomputed from
//! the vendor's own days, less the base line; applying a report twice changes nothing; one that was missed is made up
//! for by the next that covers its days.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{Days, NaiveDate};

use super::days::HeldDays;
use super::periods::Period;
use super::series::{Day, MoneySeries, scoped};
use crate::batchdata::budget::{Budget, BudgetScope};
use crate::batchdata::{ConsumptionReport, DayConsumption, Flow};
use crate::counting::counter::HighWater;
use crate::counting::labels::{LabelLimiter, MOST_NAMES, clean};
use crate::money::Usd;

/// Days back from the newest known day that are asked for again: the vendor answers at most 366 days at once.
pub const REACH: u64 = 365;

/// From when on the counters count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseLine {
    /// What the first report showed is the base line; every later change counts, whatever day it falls on.
    FirstReport,
    /// Days from this one on count, whatever was known before.
    Day(NaiveDate),
}

/// Everything that is known about a wallet's consumption.
#[derive(Clone, Debug)]
pub struct ConsumptionLedger {
    base: BaseLine,
    /// First and last day that reports have covered without a gap.
    covered: Option<(NaiveDate, NaiveDate)>,
    days: HeldDays,
    counters: Arc<BTreeMap<MoneySeries, HighWater>>,
    origins: LabelLimiter,
    paths: LabelLimiter,
}

/// What a report changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumptionChanges {
    /// Days as they are now, whole.
    pub days: BTreeMap<NaiveDate, Day>,
    /// Counters as they are now; a new series is here even if it is zero.
    pub counters: BTreeMap<MoneySeries, HighWater>,
    /// Origins allowed by this report.
    pub origins: Vec<Arc<str>>,
    /// Paths allowed by this report.
    pub paths: Vec<Arc<str>>,
    /// The days covered once this is applied.
    pub covered: Option<(NaiveDate, NaiveDate)>,
    overflowing_origins: BTreeSet<String>,
    overflowing_paths: BTreeSet<String>,
}

impl ConsumptionLedger {
    /// Nothing known yet. What these budgets need of old days is kept in memory.
    #[must_use]
    pub fn new(base: BaseLine, budgets: &[Budget]) -> ConsumptionLedger {
        let (mut origins, mut paths) = (LabelLimiter::new(MOST_NAMES), LabelLimiter::new(MOST_NAMES));
        for budget in budgets {
            match &budget.scope {
                BudgetScope::Wallet => {}
                BudgetScope::Origin(name) => origins.reserve([clean(name)]),
                BudgetScope::ApiPath(name) => paths.reserve([clean(name)]),
            }
        }
        let counters = [MoneySeries::Debit, MoneySeries::Credit].map(|series| (series, HighWater::default()));
        let counters = Arc::new(BTreeMap::from(counters));
        ConsumptionLedger { base, covered: None, days: HeldDays::new(budgets), counters, origins, paths }
    }

    /// Takes over what the previous run had covered, counted and allowed.
    pub fn restore(
        &mut self,
        covered: (NaiveDate, NaiveDate),
        mut counters: BTreeMap<MoneySeries, HighWater>,
        origins: Vec<Arc<str>>,
        paths: Vec<Arc<str>>,
    ) {
        self.covered = Some(covered);
        Arc::make_mut(&mut self.counters).append(&mut counters);
        self.origins.allow(origins);
        self.paths.allow(paths);
    }

    /// Whether a budget is of a name that was counted under `other`: until all days are read again, its spend is unknown.
    #[must_use]
    pub fn needs_all_days(&self) -> bool {
        self.origins.is_waiting() || self.paths.is_waiting()
    }

    /// The days in memory.
    #[must_use]
    pub fn days(&self) -> &HeldDays {
        &self.days
    }

    /// The days in memory, to load more from the store.
    pub fn days_mut(&mut self) -> &mut HeldDays {
        &mut self.days
    }

    /// The days to ask for on `today`: those that can still change, or, if `full`, as far back as the vendor answers, but
    /// nothing before the base line's first day. Days of a gap are made up for, however long it was.
    #[must_use]
    pub fn wanted(&self, today: NaiveDate, full: bool) -> (NaiveDate, NaiveDate) {
        let back = |day: NaiveDate, days| day.checked_sub_days(Days::new(days)).unwrap_or(day);
        let reach = back(today, REACH);
        let Some((first, last)) = self.covered else {
            return match self.base {
                BaseLine::Day(day) => (day.min(reach), today),
                BaseLine::FirstReport => (reach, today),
            };
        };
        // The vendor's clock may have gone back since.
        let today = today.max(first);
        let recent = back(last.min(today), 1);
        let from = match full {
            // After so long a gap what the vendor still changed before it may be unknown, too.
            true if recent < reach => back(last, REACH),
            true => reach,
            false => recent,
        };
        (from.max(first).min(today), today)
    }

    /// What applying `report` would change; its [`HeldDays::missing`] days must have been loaded.
    #[must_use]
    pub fn plan(&self, report: &ConsumptionReport) -> ConsumptionChanges {
        debug_assert!(self.days.missing(report.from).is_none(), "days that are not loaded would count again");
        let (origins, paths) = self.new_names(report);
        let mut changes = ConsumptionChanges { origins, paths, ..ConsumptionChanges::default() };
        // A last day that the vendor's clock had never reached is taken back: what follows the report is asked for again.
        changes.covered = Some((self.covered.map_or(report.from, |(first, _)| first.min(report.from)), report.to));
        let first_report = self.covered.is_none();
        let mut moved: BTreeMap<MoneySeries, Usd> = BTreeMap::new();
        let mut date = report.from;
        while date <= report.to {
            let day = self.limit(date, report, &mut changes);
            let nothing = Day::new();
            let before = self.days.whole(date).unwrap_or(&nothing);
            for series in before.keys().chain(day.keys()) {
                moved.entry(series.clone()).or_default();
            }
            let counts = match self.base {
                BaseLine::FirstReport => !first_report,
                BaseLine::Day(since) => date >= since,
            };
            if counts {
                for (series, amount) in &day {
                    *moved.entry(series.clone()).or_default() += *amount;
                }
                for (series, amount) in before {
                    *moved.entry(series.clone()).or_default() -= *amount;
                }
            }
            if day != *before {
                changes.days.insert(date, day);
            }
            let Some(next) = date.succ_opt() else { break };
            date = next;
        }
        for (series, change) in moved {
            let before = self.counters.get(&series).copied();
            let after = before.unwrap_or_default().moved(change);
            if before != Some(after) {
                changes.counters.insert(series, after);
            }
        }
        changes
    }

    /// Applies changes for good.
    pub fn commit(&mut self, changes: ConsumptionChanges) {
        self.note_overflow(&changes);
        self.origins.allow(changes.origins);
        self.paths.allow(changes.paths);
        Arc::make_mut(&mut self.counters).extend(changes.counters);
        self.days.extend(changes.days);
        self.covered = changes.covered;
        self.trim();
    }

    /// Forgets changes that could not be written, but for the overflowing names in them.
    pub fn discard(&mut self, changes: &ConsumptionChanges) {
        self.note_overflow(changes);
        self.trim();
    }

    fn trim(&mut self) {
        if let Some((_, last)) = self.covered {
            self.days.trim(last);
        }
    }

    fn note_overflow(&mut self, changes: &ConsumptionChanges) {
        changes.overflowing_origins.iter().for_each(|name| self.origins.note_overflow(name));
        changes.overflowing_paths.iter().for_each(|name| self.paths.note_overflow(name));
    }

    /// Debit and credit of a day, as if `pending` were applied; `None` if it is not known or not in memory.
    #[must_use]
    pub fn flow(&self, date: NaiveDate, pending: Option<&ConsumptionChanges>) -> Option<Flow> {
        let amount = |series| self.amount(date, &series, pending);
        Some(Flow { debit: amount(MoneySeries::Debit)?, credit: amount(MoneySeries::Credit)? })
    }

    /// How changes move debits less credits of `from` and later days.
    #[must_use]
    pub fn net_change(&self, changes: &ConsumptionChanges, from: NaiveDate) -> Usd {
        let net = |day: &Day| {
            let amount = |series| day.get(&series).copied().unwrap_or_default();
            amount(MoneySeries::Debit) - amount(MoneySeries::Credit)
        };
        let days = changes.days.range(from..);
        days.map(|(date, day)| net(day) - self.days.whole(*date).map(net).unwrap_or_default()).sum()
    }

    fn amount(&self, date: NaiveDate, series: &MoneySeries, pending: Option<&ConsumptionChanges>) -> Option<Usd> {
        let (first, last) = pending.and_then(|changes| changes.covered).or(self.covered)?;
        if date < first || date > last {
            return None;
        }
        let held = self.days.amount(date, series)?;
        let new = pending.and_then(|changes| changes.days.get(&date));
        Some(new.map_or(held, |day| day.get(series).copied().unwrap_or_default()))
    }

    /// What was spent on a day of what a budget counts, as if `pending` were applied; `None` if it is not known, or counted
    /// together with other names.
    #[must_use]
    pub fn spent(&self, date: NaiveDate, scope: &BudgetScope, pending: Option<&ConsumptionChanges>) -> Option<Usd> {
        let none = ConsumptionChanges::default();
        let new = pending.unwrap_or(&none);
        let apart = match scope {
            BudgetScope::Wallet => true,
            BudgetScope::Origin(name) => self.origins.tells_apart(name, &new.origins),
            BudgetScope::ApiPath(name) => self.paths.tells_apart(name, &new.paths),
        };
        self.amount(date, &scoped(scope), pending).filter(|_| apart)
    }

    /// The first of the days up to `today` on which something was spent of what a budget counts.
    #[must_use]
    pub fn first_spend(
        &self,
        today: NaiveDate,
        scope: &BudgetScope,
        pending: Option<&ConsumptionChanges>,
    ) -> Option<NaiveDate> {
        let new = pending.into_iter().flat_map(|changes| changes.days.keys().copied());
        let first = self.days.first(&scoped(scope)).into_iter().chain(new).min()?;
        let mut days = first.iter_days().take_while(|date| *date <= today);
        days.find(|date| self.spent(*date, scope, pending).is_some_and(|amount| !amount.is_zero()))
    }

    /// Debit and credit of a period, as if `pending` were applied; `None` if not all of its days are known and in memory.
    #[must_use]
    pub fn period(&self, period: Period, today: NaiveDate, pending: Option<&ConsumptionChanges>) -> Option<Flow> {
        let (first, last) = period.days(today);
        let mut sum = Flow::default();
        for date in first.iter_days().take_while(|date| *date <= last) {
            let flow = self.flow(date, pending)?;
            sum.debit += flow.debit;
            sum.credit += flow.credit;
        }
        Some(sum)
    }

    /// What each series was reported and has counted.
    #[must_use]
    pub fn counters(&self) -> &Arc<BTreeMap<MoneySeries, HighWater>> {
        &self.counters
    }

    /// From when on it counts.
    #[must_use]
    pub fn base(&self) -> BaseLine {
        self.base
    }

    /// First and last day that is known.
    #[must_use]
    pub fn covered(&self) -> Option<(NaiveDate, NaiveDate)> {
        self.covered
    }

    /// Distinct origins and paths that were counted under `other` since the process started.
    #[must_use]
    pub fn overflow(&self) -> (u64, u64) {
        (self.origins.overflow(), self.paths.overflow())
    }

    fn new_names(&self, report: &ConsumptionReport) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        let mut origins: BTreeMap<&str, NaiveDate> = BTreeMap::new();
        let mut paths: BTreeMap<&str, NaiveDate> = BTreeMap::new();
        for (date, day) in &report.days {
            for name in day.by_origin.keys() {
                origins.entry(clean(name)).or_insert(*date);
            }
            for name in day.by_path.keys() {
                paths.entry(clean(name)).or_insert(*date);
            }
        }
        let all_days = report.from <= self.wanted(report.to, true).0;
        let names = |limiter: &LabelLimiter, names| limiter.new_names(names, limiter.due(all_days));
        (names(&self.origins, &origins), names(&self.paths, &paths))
    }

    /// Allows the new label values of a report, and nothing else.
    pub fn allow(&mut self, report: &ConsumptionReport) {
        let (origins, paths) = self.new_names(report);
        self.origins.allow(origins);
        self.paths.allow(paths);
    }

    /// A period's amounts by series; zeros are left out.
    #[must_use]
    pub fn amounts(&self, period: &DayConsumption) -> Day {
        self.limited(period, &mut ConsumptionChanges::default())
    }

    fn limit(&self, date: NaiveDate, report: &ConsumptionReport, changes: &mut ConsumptionChanges) -> Day {
        report.days.get(&date).map(|reported| self.limited(reported, changes)).unwrap_or_default()
    }

    fn limited(&self, reported: &DayConsumption, changes: &mut ConsumptionChanges) -> Day {
        let mut day = Day::new();
        let mut add = |series, amount: Usd| *day.entry(series).or_default() += amount;
        add(MoneySeries::Debit, reported.total.debit);
        add(MoneySeries::Credit, reported.total.credit);
        for (name, flow) in &reported.by_origin {
            let name = clean(name);
            let label = self.origins.limit(name, &changes.origins);
            if *label != *name {
                changes.overflowing_origins.insert(name.to_owned());
            }
            add(MoneySeries::OriginDebit(Arc::clone(&label)), flow.debit);
            add(MoneySeries::OriginCredit(label), flow.credit);
        }
        for (name, amount) in &reported.by_path {
            let name = clean(name);
            let label = self.paths.limit(name, &changes.paths);
            if *label != *name {
                changes.overflowing_paths.insert(name.to_owned());
            }
            add(MoneySeries::PathDebit(label), *amount);
        }
        // An origin that only spends has no series of credits, and the other way round.
        day.retain(|_, amount| !amount.is_zero());
        day
    }
}
