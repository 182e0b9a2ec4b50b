//! Budgets: what is configured, what the vendor said that was spent of each, and what will have been.
//!
//! Flows in: chance, the days of each report, each scrape. Flows out: the first figure that is not as it should be.
//! Invariant: amounts are ten-thousandths of a dollar and times are seconds, all integers; nothing here is the exporter's.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, NaiveTime, Utc};

use crate::actions::{ORIGINS, PATHS};
use crate::checks::{Checks, Seen};
use crate::counters::units;
use crate::oracle::{Book, Key, Money};
use crate::plan::Trouble;
use crate::text::Scrape;

pub const PERIODS: [&str; 3] = ["day", "week", "month"];

const SPENT: &str = "batchdata_wallet_budget_spent_usd";
const PROJECTED: &str = "batchdata_wallet_budget_projected_usd";
const END: &str = "batchdata_wallet_budget_period_end_timestamp_seconds";

const DAY: i64 = 86_400;

/// Beyond this many days the exporter may no longer know when something was first spent.
const REMEMBERED: u64 = 360;

/// What a budget counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Wallet,
    Origin(String),
    ApiPath(String),
}

impl Scope {
    /// The oracle's name of it.
    fn key(&self) -> Key {
        match self {
            Scope::Wallet => "debit".to_owned(),
            Scope::Origin(name) => format!("origin_debit/{name}"),
            Scope::ApiPath(name) => format!("path/{name}"),
        }
    }
}

/// A budget as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    pub name: String,
    /// Its place in [`PERIODS`].
    pub period: usize,
    pub dollars: u32,
    pub scope: Scope,
}

impl Budget {
    /// Some budgets, of known names and of one that nothing is ever spent by.
    pub fn draw(rng: &mut fastrand::Rng, many_names: bool) -> Vec<Budget> {
        let count = rng.usize(1..6);
        let budget = |place: usize| {
            let other = format!("origin-{}", rng.u32(..150));
            let scope = match rng.u32(..12) {
                0 => Scope::Wallet,
                1 => Scope::Origin("never_seen".to_owned()),
                2 | 3 if many_names => Scope::Origin(other),
                4 if many_names => Scope::ApiPath(format!("/api/{other}")),
                2..7 => Scope::Origin(ORIGINS[rng.usize(..ORIGINS.len())].to_owned()),
                _ => Scope::ApiPath(PATHS[rng.usize(..3)].to_owned()),
            };
            Budget { name: format!("team-{place}"), period: rng.usize(..3), dollars: rng.u32(1..5_000), scope }
        };
        (0..count).map(budget).collect()
    }

    /// As an accounts file lists it.
    pub fn written(&self) -> String {
        let Budget { name, period, dollars, scope } = self;
        let scope = match scope {
            Scope::Wallet => String::new(),
            Scope::Origin(name) => format!(", origin: \"{name}\""),
            Scope::ApiPath(name) => format!(", api_path: \"{name}\""),
        };
        format!("{{name: {name}, period: {}, amount_usd: {dollars}{scope}}}", PERIODS[*period])
    }

    /// What is wanted to know for it.
    pub fn tracked(&self) -> (Key, usize) {
        (self.scope.key(), self.period)
    }
}

/// First and last day of a period.
fn days_of(period: usize, today: NaiveDate) -> (NaiveDate, NaiveDate) {
    match PERIODS[period] {
        "day" => (today, today),
        "week" => {
            let monday = today - Days::new(today.weekday().num_days_from_monday().into());
            (monday, monday + Days::new(6))
        }
        _ => {
            let first = today.with_day(1).unwrap();
            (first, first + Months::new(1) - Days::new(1))
        }
    }
}

fn seconds(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp()
}

/// What a report says of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Figure {
    period: usize,
    spent: i64,
    /// The last four of the same weekday, added up: of today, and of all days to come.
    of_today: i64,
    to_come: i64,
    /// Whether all of those are from after something was first spent; `None` if that is too long ago to tell.
    by_weekdays: Option<bool>,
}

/// A report as it was answered.
#[derive(Clone, Debug)]
pub struct Said {
    ms: i64,
    /// The last day that it was asked for.
    today: NaiveDate,
    /// By the vendor's clock, in seconds.
    at: i64,
    figures: Arc<Vec<Figure>>,
}

/// What the reports said of what is tracked.
#[derive(Default)]
pub struct Tracked {
    pub wanted: Vec<(Key, usize)>,
    reports: Vec<Said>,
    /// The least and the most that a day was ever given as.
    extremes: BTreeMap<NaiveDate, BTreeMap<Key, (i64, i64)>>,
    /// The first and the last day that was ever asked for.
    asked: Option<(NaiveDate, NaiveDate)>,
    changed: bool,
}

impl Tracked {
    /// Follows these from now on.
    pub fn want(&mut self, wanted: Vec<(Key, usize)>) {
        self.wanted = wanted;
        self.reports.clear();
        self.changed = true;
    }

    /// A report gives a day another amount than the report before.
    pub fn given(&mut self, day: NaiveDate, key: &str, (before, now): (i64, i64)) {
        let known = self.asked.is_some_and(|(from, to)| (from..=to).contains(&day));
        let before = if known { before } else { now };
        let (least, most) =
            self.extremes.entry(day).or_default().entry(key.to_owned()).or_insert((before.min(now), before.max(now)));
        (*least, *most) = ((*least).min(now), (*most).max(now));
        self.changed = true;
    }

    fn bounds(&self, key: &str, period: usize, today: NaiveDate) -> (i64, i64) {
        let (first, _) = days_of(period, today);
        let days = self.extremes.range(first..=today).filter_map(|(_, keys)| keys.get(key));
        days.fold((0, 0), |(low, high), (least, most)| (low + least, high + most))
    }
}

fn figure(given: &BTreeMap<NaiveDate, Book>, (key, period): &(Key, usize), today: NaiveDate) -> Figure {
    let amount = |day: NaiveDate| given.get(&day).and_then(|book| book.get(key)).copied().unwrap_or(0);
    let (first, last) = days_of(*period, today);
    let days = |from: NaiveDate, to: NaiveDate| from.iter_days().take_while(move |day| *day <= to);
    let mut spending = given.range(..=today).filter(|(_, book)| book.get(key).is_some_and(|amount| *amount != 0));
    let begun = spending.next().map(|(day, _)| *day);
    let mut earliest = today;
    let mut four = |day: NaiveDate| {
        let mut over = day;
        while over >= today {
            over = over - Days::new(7);
        }
        earliest = earliest.min(over - Days::new(21));
        (0..4).map(|week| amount(over - Days::new(7 * week))).sum::<i64>()
    };
    let of_today = four(today);
    let to_come = days(today, last).skip(1).map(&mut four).sum();
    let by_weekdays = match begun {
        Some(begun) if begun < today - Days::new(REMEMBERED) => None,
        begun => Some(begun.is_some_and(|begun| earliest >= begun)),
    };
    Figure { period: *period, spent: days(first, today).map(amount).sum(), of_today, to_come, by_weekdays }
}

impl Money {
    /// A report up to `today` was answered, and what it said of what is tracked; `now` is the vendor's time.
    pub fn say(&mut self, ms: i64, (from, today): (NaiveDate, NaiveDate), now: DateTime<Utc>) {
        let (first, last) = self.tracked.asked.unwrap_or((from, today));
        self.tracked.asked = Some((first.min(from), last.max(today)));
        let same = self.tracked.reports.last().filter(|said| said.today == today && !self.tracked.changed);
        let figures = match same {
            Some(said) => Arc::clone(&said.figures),
            None => {
                let wanted = self.tracked.wanted.iter();
                Arc::new(wanted.map(|wanted| figure(self.all_days_given(), wanted, today)).collect())
            }
        };
        self.tracked.changed = false;
        self.tracked.reports.push(Said { ms, today, at: now.timestamp(), figures });
        if self.tracked.reports.len() > 64 {
            self.tracked.reports.remove(0);
        }
    }
}

/// What a scrape shows of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    spent: Option<i64>,
    projected: Option<i64>,
    end: Option<i64>,
}

impl Figure {
    /// Whether this is what is shown; the report was complete some time after `at`.
    fn is(&self, said: &Said, shown: &Shown) -> bool {
        let (_, last) = days_of(self.period, said.today);
        let end = seconds(last) + DAY;
        shown.spent.is_none_or(|spent| spent == self.spent)
            && shown.end.is_none_or(|shown| shown == end)
            && self.projects(said, shown.projected)
    }

    /// Whether the projection is one that can be made from ten seconds before the answer to two minutes after.
    fn projects(&self, said: &Said, shown: Option<i64>) -> bool {
        let (first, last) = days_of(self.period, said.today);
        let into = |after: i64| (said.at + after - seconds(said.today)).clamp(0, DAY);
        let (early, late) = (into(-10), into(120));
        let between = |least: i128, most: i128, shown: i64| {
            (least.min(most) - 1..=least.max(most) + 1).contains(&i128::from(shown))
        };
        let by_weekdays = || {
            let at = |second: i64| {
                let rest = self.of_today * (DAY - second) + self.to_come * DAY;
                i128::from(self.spent) + i128::from(rest).div_euclid(i128::from(4 * DAY))
            };
            shown.is_some_and(|shown| between(at(early), at(late), shown))
        };
        let by_share = || {
            let whole = ((last - first).num_days() + 1) * DAY;
            let elapsed = |second: i64| (said.today - first).num_days() * DAY + second;
            let at = |second: i64| (i128::from(self.spent) * i128::from(whole)).div_euclid(i128::from(elapsed(second)));
            match shown {
                // No later than a tenth of the period.
                None => 10 * elapsed(early) < whole,
                Some(shown) => {
                    let early = early.max(whole.div_euclid(10) - elapsed(0)).min(late);
                    10 * elapsed(late) >= whole && between(at(early), at(late), shown)
                }
            }
        };
        match self.by_weekdays {
            Some(true) => by_weekdays(),
            Some(false) => by_share(),
            None => by_weekdays() || by_share(),
        }
    }
}

/// What a family says of a budget.
fn of(scrape: &Scrape, family: &'static str, budget: &Budget) -> Option<i64> {
    let is = |labels: &str| {
        Scrape::label(labels, "budget") == budget.name && Scrape::label(labels, "period") == PERIODS[budget.period]
    };
    let value = scrape.family(family).find(|(labels, _)| is(labels)).map(|(_, value)| value)?;
    Some(if family == END { value as i64 } else { units(value) })
}

impl Checks {
    /// The amounts are those that are configured, what is known of each is consistent, and is what the vendor said.
    pub fn budgets(&self, seen: &Seen<'_>) -> Result<(), String> {
        let budgets = seen.plan.all_budgets();
        let amounts = seen.scrape.family("batchdata_wallet_budget_usd").count();
        let today = seen.scrape.has_family("batchdata_wallet_period_debit_usd");
        if amounts != budgets.len() {
            return Err(format!("{amounts} budgets are shown, and {} are configured", budgets.len()));
        }
        for budget in &budgets {
            let due = i64::from(budget.dollars) * 10_000;
            let amount = of(seen.scrape, "batchdata_wallet_budget_usd", budget);
            if amount != Some(due) {
                return Err(format!("{budget:?} is shown as {amount:?}"));
            }
            let shown = self.shown(seen, budget);
            let folded = seen.plan.has(Trouble::ManyNames) && budget.scope != Scope::Wallet;
            let known = shown.spent.is_some();
            if known && !today || (!known && today && !folded) {
                return Err(format!("{budget:?} shows {shown:?}; the sums of the day are known: {today}"));
            }
            if known != shown.end.is_some() || (!known && shown.projected.is_some()) {
                return Err(format!("{budget:?} shows {shown:?}"));
            }
            let less = shown.projected.is_some_and(|projected| projected < shown.spent.unwrap() - 1);
            // Days that were restated down may be negative.
            if less && !seen.plan.has(Trouble::Restatements) {
                return Err(format!("{budget:?} is projected below what is spent: {shown:?}"));
            }
        }
        self.budgets_within(seen, &budgets)?;
        if self.reports_may_be_lost { Ok(()) } else { self.budgets_as_said(seen) }
    }

    fn shown(&self, seen: &Seen<'_>, budget: &Budget) -> Shown {
        let of = |family| of(seen.scrape, family, budget);
        Shown { spent: of(SPENT), projected: of(PROJECTED), end: of(END) }
    }

    /// What is spent is at least and at most what the days of the period were ever given as, whatever was lost on its way.
    fn budgets_within(&self, seen: &Seen<'_>, budgets: &[Budget]) -> Result<(), String> {
        let Some(today) = self.day_in_force(seen) else { return Ok(()) };
        let state = seen.network.state();
        for budget in budgets {
            let Some(spent) = self.shown(seen, budget).spent else { continue };
            let (low, high) = state.oracle.money.tracked.bounds(&budget.scope.key(), budget.period, today);
            if spent < low || spent > high {
                return Err(format!("{budget:?} has spent {spent}; the vendor gave {low} to {high} ten-thousandths"));
            }
        }
        Ok(())
    }

    /// All that is shown of budgets, and of the wallet's own periods, is from one report of late.
    pub fn budgets_as_said(&self, seen: &Seen<'_>) -> Result<(), String> {
        let (Some(_), Some((low, _))) = (self.day_in_force(seen), self.sources["consumption"].success) else {
            return Ok(());
        };
        let budgets = seen.plan.all_budgets();
        if !seen.scrape.has_family("batchdata_wallet_period_debit_usd") {
            return Ok(());
        }
        let shown: Vec<Shown> = budgets.iter().map(|budget| self.shown(seen, budget)).collect();
        let wallet: Vec<Option<i64>> = PERIODS.iter().map(|period| wallet_projection(seen.scrape, period)).collect();
        let state = seen.network.state();
        let tracked = &state.oracle.money.tracked;
        let is = |said: &Said| {
            let (own, listed) = said.figures.split_at(PERIODS.len());
            let known = listed.iter().zip(&shown).filter(|(_, shown)| shown.spent.is_some());
            known.into_iter().all(|(figure, shown)| figure.is(said, shown))
                && own.iter().zip(&wallet).all(|(figure, shown)| figure.projects(said, *shown))
        };
        if tracked.reports.iter().filter(|said| said.ms >= low - 100_000).any(is) {
            return Ok(());
        }
        let last = tracked.reports.last();
        Err(format!("no report said what is shown of {budgets:?}: {shown:?} and {wallet:?}; the last was {last:?}"))
    }

    /// The vendor's day, where all agree on it.
    fn day_in_force(&self, seen: &Seen<'_>) -> Option<NaiveDate> {
        let now = seen.network.vendors.now();
        let slack = 2_000 + i64::try_from(seen.plan.latency_ms).unwrap();
        let settling = 2_000 * i64::try_from(seen.plan.intervals[1]).unwrap() + 3_600_000;
        let unsure = seen.plan.has(Trouble::SimulatorClock) || seen.plan.has(Trouble::Dates);
        let starting = seen.plan.has(Trouble::WallClock) && seen.now - self.started < settling;
        let into_day = now.timestamp_millis() - seconds(now.date_naive()) * 1_000;
        (!unsure && !starting && into_day > slack).then(|| now.date_naive())
    }

    /// What is spent of a budget of the day that counts everything is the debit of that day, at all times.
    pub fn budget_of_today(&self, seen: &Seen<'_>) -> Result<(), String> {
        let sums = seen.scrape.family("batchdata_wallet_period_debit_usd");
        let mut today = sums.filter(|(labels, _)| Scrape::label(labels, "period") == "today");
        let today = today.next().map(|(_, value)| units(value));
        let budgets = seen.plan.all_budgets();
        for budget in budgets.iter().filter(|budget| budget.period == 0 && budget.scope == Scope::Wallet) {
            let spent = of(seen.scrape, SPENT, budget);
            if spent != today {
                return Err(format!("{budget:?} has spent {spent:?}, and the day {today:?}"));
            }
        }
        Ok(())
    }

    /// At the end a budget's spend is what the vendor says of its period, restated or not.
    pub fn budgets_at_the_end(&self, seen: &Seen<'_>) -> Result<(), String> {
        if seen.plan.has(Trouble::SimulatorClock) || seen.plan.has(Trouble::Dates) {
            return Ok(());
        }
        let today = seen.network.vendors.now().date_naive();
        let shown = seen.scrape.has_family("batchdata_wallet_period_debit_usd");
        for budget in seen.plan.all_budgets() {
            let (key, period) = budget.tracked();
            let due = seen.network.state().oracle.money.sum(&key, days_of(period, today).0, today);
            let spent = of(seen.scrape, SPENT, &budget);
            let folded = seen.plan.has(Trouble::ManyNames) && budget.scope != Scope::Wallet;
            if spent.is_some_and(|spent| spent != due) || (spent.is_none() && shown && !folded) {
                return Err(format!("at the end {budget:?} has spent {spent:?} and not {due} ten-thousandths"));
            }
        }
        self.budgets_as_said(seen)
    }
}

fn wallet_projection(scrape: &Scrape, period: &str) -> Option<i64> {
    let mut all = scrape.family("batchdata_wallet_projected_debit_usd");
    all.find(|(labels, _)| Scrape::label(labels, "period") == period).map(|(_, value)| units(value))
}
