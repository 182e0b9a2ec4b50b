//! The named periods of complete and running UTC days.
//!
//! Flows in: the vendor's UTC date. Flows out: first and last day of each period. Invariant: ends are inclusive; a
//! period of complete days never holds today.

use chrono::{Datelike as _, Days, Months, NaiveDate};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// A named period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Period {
    /// The running day.
    Today,
    /// The day before.
    Yesterday,
    /// The seven complete days before today.
    #[strum(serialize = "last_7_days")]
    Last7Days,
    /// The thirty complete days before today.
    #[strum(serialize = "last_30_days")]
    Last30Days,
    /// From the first of the month to now.
    MonthToDate,
    /// The complete month before.
    PreviousMonth,
    /// From the first of January to now.
    YearToDate,
}

impl Period {
    /// First and last day, inclusive.
    #[must_use]
    pub fn days(self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        let before = |days| today.checked_sub_days(Days::new(days)).unwrap_or(today);
        let month = today.with_day(1).unwrap_or(today);
        match self {
            Period::Today => (today, today),
            Period::Yesterday => (before(1), before(1)),
            Period::Last7Days => (before(7), before(1)),
            Period::Last30Days => (before(30), before(1)),
            Period::MonthToDate => (month, today),
            Period::PreviousMonth => {
                (month.checked_sub_months(Months::new(1)).unwrap_or(month), month.pred_opt().unwrap_or(month))
            }
            Period::YearToDate => (month.with_month(1).unwrap_or(month), today),
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn ends_of_months_and_years_and_the_29th_of_february() {
        let table = [
            ("2028-02-29", Period::MonthToDate, "2028-02-01", "2028-02-29"),
            ("2028-03-01", Period::Yesterday, "2028-02-29", "2028-02-29"),
            ("2028-03-01", Period::PreviousMonth, "2028-02-01", "2028-02-29"),
            ("2027-03-01", Period::PreviousMonth, "2027-02-01", "2027-02-28"),
            ("2027-03-31", Period::PreviousMonth, "2027-02-01", "2027-02-28"),
            ("2027-01-01", Period::PreviousMonth, "2026-12-01", "2026-12-31"),
            ("2027-01-01", Period::YearToDate, "2027-01-01", "2027-01-01"),
            ("2028-12-31", Period::YearToDate, "2028-01-01", "2028-12-31"),
            ("2027-01-01", Period::Last7Days, "2026-12-25", "2026-12-31"),
            ("2027-01-01", Period::Last30Days, "2026-12-02", "2026-12-31"),
        ];
        for (today, period, first, last) in table {
            assert_eq!(period.days(day(today)), (day(first), day(last)), "{today} {period:?}");
        }
    }

    #[test]
    fn no_period_reaches_further_back_than_the_vendors_366_days() {
        let mut today = day("2026-01-01");
        for _ in 0..1_500 {
            for period in Period::VARIANTS.iter().copied() {
                let (first, last) = period.days(today);
                assert!((today - first).num_days() <= 365 && first <= last && last <= today);
            }
            today = today.succ_opt().unwrap();
        }
    }
}
