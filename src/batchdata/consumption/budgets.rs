//! What was spent in running periods, of the wallet and of budgets, and what will have been at their ends.
//!
//! Flows in: debits by UTC day, and when the vendor reported them. Flows out: spent and projected amounts. Invariant: what is
//! not known is absent; a day counts whole, today as it stands; every projection is made here.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::batchdata::budget::{Budget, BudgetPeriod};
use crate::money::Usd;

/// Weeks that a weekday's mean is taken over.
const WEEKS: u64 = 4;
const DAY: i64 = 24 * 3_600;
/// Decimals of a projection, as many as the vendor's amounts have.
const SCALE: u32 = 4;

/// How the rest of a period is projected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Projection {
    /// Each remaining day as the mean of its weekday over the last four weeks.
    Weekdays,
    /// As the elapsed share of the period, where some of those weeks are unknown or from before anything was spent.
    ElapsedShare,
}

/// A running period at a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeriodSpend {
    /// Spent so far.
    pub spent: Option<Usd>,
    /// Spent at the end of the period.
    pub projected: Option<(Decimal, Projection)>,
    /// The end of the period whose spend is known.
    pub end: Option<DateTime<Utc>>,
}

/// A budget at a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetView {
    /// What was configured.
    pub budget: Budget,
    /// Its running period.
    pub period: PeriodSpend,
}

impl PeriodSpend {
    /// The period at a report of `today` that was made `at` that time. `debit` is what was spent on a day, `None` if that is
    /// unknown. What was not spent before `first_spend`, the first day on which something was, projects nothing.
    #[must_use]
    pub fn new(
        period: BudgetPeriod,
        today: NaiveDate,
        at: DateTime<Utc>,
        first_spend: Option<NaiveDate>,
        debit: impl Fn(NaiveDate) -> Option<Usd>,
    ) -> PeriodSpend {
        let (first, last) = period.days(today);
        let days = |from: NaiveDate, to: NaiveDate| from.iter_days().take_while(move |day| *day <= to);
        let spent: Option<Usd> = days(first, today).map(&debit).sum();
        let start = today.and_time(NaiveTime::MIN).and_utc();
        let elapsed = Decimal::from((at - start).num_seconds().clamp(0, DAY)) / Decimal::from(DAY);
        let mean = |day: NaiveDate| {
            // The last four that are over.
            let weeks = (0..).map(|weeks| day.checked_sub_days(Days::new(7 * weeks)));
            let over = weeks.map_while(|day| day).filter(|day| *day < today).take(WEEKS as usize);
            let spending = |day: NaiveDate| debit(day).filter(|_| first_spend.is_some_and(|first| day >= first));
            let sum: Option<Usd> = over.map(spending).sum();
            Some(sum?.decimal() / Decimal::from(WEEKS))
        };
        let rest_of_today = mean(today).map(|mean| mean * (Decimal::ONE - elapsed));
        let to_come: Option<Decimal> = days(today, last).skip(1).map(mean).sum();
        let by_weekdays = || Some(spent?.decimal() + rest_of_today? + to_come?);
        let by_share = || {
            let whole = Decimal::from((last - first).num_days() + 1);
            let share = (Decimal::from((today - first).num_days()) + elapsed) / whole;
            (share >= Decimal::new(1, 1)).then(|| Some(spent?.decimal() / share))?
        };
        let projected = by_weekdays().map(|amount| (amount, Projection::Weekdays));
        let projected = projected.or_else(|| Some((by_share()?, Projection::ElapsedShare)));
        let projected = projected.map(|(amount, rule)| (amount.round_dp(SCALE), rule));
        let end = last.succ_opt().filter(|_| spent.is_some()).map(|next| next.and_time(NaiveTime::MIN).and_utc());
        PeriodSpend { spent, projected, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG_AGO: Option<NaiveDate> = NaiveDate::from_ymd_opt(2025, 1, 1);

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Ten dollars on weekdays, two on others; nothing is known before `from`.
    fn debit(from: NaiveDate) -> impl Fn(NaiveDate) -> Option<Usd> {
        use chrono::Datelike as _;
        move |day| {
            let weekend = day.weekday().num_days_from_monday() >= 5;
            (day >= from).then(|| Usd::from_cents(if weekend { 200 } else { 1_000 }))
        }
    }

    #[test]
    fn a_month_is_projected_by_its_weekdays() {
        // Friday 20 November at noon: 14 weekdays before it with today's ten dollars, 5 days of weekends.
        let known = debit(day("2026-01-01"));
        let view =
            PeriodSpend::new(BudgetPeriod::Month, day("2026-11-20"), at("2026-11-20T12:00:00Z"), LONG_AGO, known);
        assert_eq!(view.spent, Some(Usd::from_cents(15 * 1_000 + 5 * 200)));
        // Half a Friday, then 6 weekdays and 4 days of weekends.
        assert_eq!(view.projected, Some((Decimal::from(160 + 5 + 60 + 8), Projection::Weekdays)));
    }

    #[test]
    fn without_four_weeks_the_elapsed_share_projects_once_a_tenth_has_passed() {
        let known = || debit(day("2026-11-16"));
        let at_noon =
            PeriodSpend::new(BudgetPeriod::Week, day("2026-11-17"), at("2026-11-17T12:00:00Z"), LONG_AGO, known());
        assert_eq!(at_noon.spent, Some(Usd::from_cents(2_000)));
        // 20 dollars in 1.5 of 7 days.
        assert_eq!(at_noon.projected, Some((Decimal::new(933_333, 4), Projection::ElapsedShare)));
        let early =
            PeriodSpend::new(BudgetPeriod::Week, day("2026-11-16"), at("2026-11-16T12:00:00Z"), LONG_AGO, known());
        assert_eq!((early.spent, early.projected), (Some(Usd::from_cents(1_000)), None));
    }

    #[test]
    fn days_before_the_first_spend_project_nothing() {
        let first = day("2026-11-16");
        let debit = |date| Some(if date < first { Usd::ZERO } else { Usd::from_cents(1_000) });
        let at_noon = |date: &str, first| {
            let time = at(&format!("{date}T12:00:00Z"));
            PeriodSpend::new(BudgetPeriod::Week, day(date), time, first, debit).projected
        };
        assert_eq!(at_noon("2026-11-17", Some(first)), Some((Decimal::new(933_333, 4), Projection::ElapsedShare)));
        assert_eq!(at_noon("2026-11-16", Some(first)), None);
        // Half of this Thursday, then Friday to Sunday, whose last four are from after it.
        let later = at_noon("2026-12-17", Some(first));
        assert_eq!(later, Some((Decimal::from(40 + 5 + 30), Projection::Weekdays)));
        assert_eq!(at_noon("2026-11-17", None).unwrap().1, Projection::ElapsedShare);
    }

    #[test]
    fn an_unknown_day_of_the_period_leaves_all_unknown() {
        let known = debit(day("2026-11-17"));
        let view = PeriodSpend::new(BudgetPeriod::Week, day("2026-11-18"), at("2026-11-18T12:00:00Z"), LONG_AGO, known);
        assert_eq!(view, PeriodSpend::default());
    }

    #[test]
    fn the_last_moment_of_a_period_projects_what_was_spent() {
        for period in BudgetPeriod::VARIANTS {
            let known = debit(day("2026-01-01"));
            // A Sunday that ends a week and a month.
            let view = PeriodSpend::new(*period, day("2026-05-31"), at("2026-06-01T00:00:00Z"), LONG_AGO, known);
            assert_eq!(view.end, Some(at("2026-06-01T00:00:00Z")), "{period:?}");
            assert_eq!(view.projected, Some((view.spent.unwrap().decimal().round_dp(4), Projection::Weekdays)));
        }
    }
}
