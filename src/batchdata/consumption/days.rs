//! The days of a ledger that memory holds.
//!
//! Flows in: days from the store and from reports. Flows out: days and single amounts. Invariant: only the last days, which
//! most reports are about, are held whole; of the others the amounts of a few series, which periods and budgets need. The
//! store has everything.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};

use super::series::{Day, MoneySeries, scoped};
use crate::batchdata::budget::Budget;
use crate::money::Usd;

/// Days before the newest that are held whole: a short report begins the day before the newest that was read.
const WHOLE: u64 = 1;

/// Days before the newest of which amounts are held: more than the longest period has.
const KEPT: u64 = 400;

/// Amounts by series and day; zeros are left out.
pub type Amounts = BTreeMap<MoneySeries, BTreeMap<NaiveDate, Usd>>;

/// Days in memory.
#[derive(Clone, Debug)]
pub struct HeldDays {
    whole: BTreeMap<NaiveDate, Day>,
    whole_from: NaiveDate,
    amounts: Amounts,
    kept_from: NaiveDate,
}

impl HeldDays {
    /// No days yet. Keeps the amounts of the wallet, and of the origins and paths that have a budget.
    #[must_use]
    pub fn new(budgets: &[Budget]) -> HeldDays {
        let series = [MoneySeries::Debit, MoneySeries::Credit]
            .into_iter()
            .chain(budgets.iter().map(|budget| scoped(&budget.scope)));
        HeldDays {
            whole: BTreeMap::new(),
            whole_from: NaiveDate::MIN,
            amounts: series.map(|series| (series, BTreeMap::new())).collect(),
            kept_from: NaiveDate::MIN,
        }
    }

    /// The first day that is held whole, and the first of which amounts are held, given the newest.
    #[must_use]
    pub fn held_from(newest: NaiveDate) -> (NaiveDate, NaiveDate) {
        let back = |days| newest.checked_sub_days(Days::new(days)).unwrap_or(newest);
        (back(WHOLE), back(KEPT))
    }

    /// The series whose amounts are kept.
    pub fn series(&self) -> impl Iterator<Item = &MoneySeries> {
        self.amounts.keys()
    }

    /// Takes over what the store holds up to the day `newest`, which is what [`HeldDays::held_from`] says.
    pub fn restore(&mut self, newest: NaiveDate, whole: BTreeMap<NaiveDate, Day>, amounts: Amounts) {
        (self.whole_from, self.kept_from) = HeldDays::held_from(newest);
        self.whole = whole;
        self.amounts.extend(amounts);
    }

    /// The days that a report of `from` and later needs from the store: from the first to before the second.
    #[must_use]
    pub fn missing(&self, from: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
        (from < self.whole_from).then_some((from, self.whole_from))
    }

    /// Days from the store, whole, from `from` on to what was held whole already.
    pub fn load(&mut self, from: NaiveDate, days: BTreeMap<NaiveDate, Day>) {
        self.extend(days);
        self.whole_from = from;
        self.kept_from = self.kept_from.min(from);
    }

    /// A day that is held whole.
    #[must_use]
    pub fn whole(&self, date: NaiveDate) -> Option<&Day> {
        self.whole.get(&date)
    }

    /// Days have changed.
    pub fn extend(&mut self, days: BTreeMap<NaiveDate, Day>) {
        for (series, amounts) in &mut self.amounts {
            for (date, day) in &days {
                match day.get(series) {
                    Some(amount) => amounts.insert(*date, *amount),
                    None => amounts.remove(date),
                };
            }
        }
        self.whole.extend(days);
    }

    /// Forgets what need not be held any more.
    pub fn trim(&mut self, newest: NaiveDate) {
        let (whole_from, kept_from) = HeldDays::held_from(newest);
        if whole_from > self.whole_from {
            self.whole = self.whole.split_off(&whole_from);
            self.whole_from = whole_from;
        }
        if kept_from > self.kept_from {
            self.amounts.values_mut().for_each(|amounts| *amounts = amounts.split_off(&kept_from));
            self.kept_from = kept_from;
        }
    }

    /// The amount of a day; `None` if it is not held.
    #[must_use]
    pub fn amount(&self, date: NaiveDate, series: &MoneySeries) -> Option<Usd> {
        let amounts = self.amounts.get(series).filter(|_| date >= self.kept_from)?;
        Some(amounts.get(&date).copied().unwrap_or_default())
    }

    /// The first day with an amount that is held.
    #[must_use]
    pub fn first(&self, series: &MoneySeries) -> Option<NaiveDate> {
        self.amounts.get(series)?.first_key_value().map(|(date, _)| *date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batchdata::budget::{BudgetPeriod, BudgetScope};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn old_days_keep_only_what_periods_and_budgets_need() {
        let budget = Budget {
            name: "search".to_owned(),
            period: BudgetPeriod::Month,
            scope: BudgetScope::ApiPath("/search".to_owned()),
            amount: Usd::from_cents(1),
        };
        let [search, other] = ["/search", "/other"].map(|path| MoneySeries::PathDebit(path.into()));
        let newest = day("2026-05-19");
        let amounts = [MoneySeries::Debit, search.clone(), other.clone()].map(|series| (series, Usd::from_cents(7)));
        let year = (0..500).map(|ago| (newest - Days::new(ago), Day::from(amounts.clone())));
        let mut days = HeldDays::new(&[budget]);
        days.extend(year.collect());
        days.trim(newest);
        assert_eq!(days.whole.len(), 2);
        assert_eq!(days.missing(day("2026-05-18")), None);
        assert_eq!(days.missing(day("2026-05-01")), Some((day("2026-05-01"), day("2026-05-18"))));
        let held: Vec<_> = days.amounts.iter().map(|(series, amounts)| (series, amounts.len())).collect();
        assert_eq!(held, [(&MoneySeries::Debit, 401), (&MoneySeries::Credit, 0), (&search, 401)]);
        assert_eq!(days.amount(day("2026-01-01"), &search), Some(Usd::from_cents(7)));
        assert_eq!(days.amount(day("2026-01-01"), &MoneySeries::Credit), Some(Usd::ZERO));
        assert_eq!(days.amount(day("2026-01-01"), &other), None);
        assert_eq!(days.amount(day("2025-01-01"), &MoneySeries::Debit), None, "forgotten");
        assert_eq!(days.first(&MoneySeries::Debit), Some(newest - Days::new(400)));
    }
}
