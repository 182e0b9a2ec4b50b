//! Amounts by hour and series, as the counters of the exporter would have counted them.
//!
//! Flows in: the report by hour, the label values that may have a series. Flows out: for each series its value at the start
//! and what each hour adds. Invariant: a series never falls, and ends at the vendor's total; memory is bounded by hours
//! and label values, not by transactions.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::History;
use super::HistoryError;
use crate::batchdata::ConsumptionReport;
use crate::batchdata::DayConsumption;
use crate::batchdata::consumption::ledger::{BaseLine, Ledger, Series};
use crate::money::Usd;

/// A series from its start on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its value at the start.
    pub start: Usd,
    /// What an hour adds, by its place from the start; hours that add nothing are left out.
    pub hours: BTreeMap<u32, Usd>,
}

impl Line {
    /// An amount below zero cannot be counted: it is taken from the hours before it, so that nothing falls and the end
    /// stays as it is.
    fn level(&mut self) {
        let mut owed = Usd::ZERO;
        for amount in self.hours.values_mut().rev() {
            let sum = *amount + owed;
            (owed, *amount) = if sum.is_negative() { (sum, Usd::ZERO) } else { (Usd::ZERO, sum) };
        }
        self.hours.retain(|_, amount| !amount.is_zero());
        self.start = (self.start + owed).max(Usd::ZERO);
    }
}

/// All series.
pub type Lines = BTreeMap<Series, Line>;

/// The ledger's own rule for what a report counts under which label value.
pub(super) struct Labels(Ledger);

impl Labels {
    /// The label values that a ledger knows, and those that this report adds, in the order of their days.
    pub(super) fn new(known: Option<Ledger>, days: &BTreeMap<NaiveDate, DayConsumption>) -> Labels {
        let mut ledger = known.unwrap_or_else(|| Ledger::new(BaseLine::FirstReport));
        let (Some((from, _)), Some((to, _))) = (days.first_key_value(), days.last_key_value()) else {
            return Labels(ledger);
        };
        ledger.allow(&ConsumptionReport { from: *from, to: *to, days: days.clone(), hourly: None });
        Labels(ledger)
    }

    /// A period's amounts by series.
    pub(super) fn series(&self, period: &DayConsumption) -> BTreeMap<Series, Usd> {
        self.0.amounts(period)
    }
}

impl History<'_> {
    /// The lines of the hours from `from` up to the end of `to`, where each begins with what `before` holds.
    pub(super) async fn lines(
        &self,
        (from, to): (NaiveDate, NaiveDate),
        labels: &Labels,
        before: BTreeMap<Series, Usd>,
    ) -> Result<Lines, HistoryError> {
        let mut lines: Lines =
            before.into_iter().map(|(series, start)| (series, Line { start, ..Line::default() })).collect();
        let first = super::midnight(from).timestamp() / 3_600;
        let take = |hour: i64, period: &DayConsumption| {
            let Ok(place) = u32::try_from(hour - first) else { return };
            for (series, amount) in labels.series(period) {
                *lines.entry(series).or_default().hours.entry(place).or_default() += amount;
            }
        };
        self.by_hour(from, to, take).await?;
        lines.values_mut().for_each(Line::level);
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_never_falls_and_ends_at_the_total(amounts in prop::collection::vec(-500_i64..1_000, 0..60)) {
            let hours = amounts.iter().enumerate().map(|(place, cents)| (place as u32, Usd::from_cents(*cents)));
            let total: i64 = amounts.iter().sum();
            let start = Usd::from_cents(100_000);
            let mut line = Line { start, hours: hours.collect() };
            line.level();
            prop_assert!(line.hours.values().all(|amount| !amount.is_negative() && !amount.is_zero()));
            let end: Usd = line.start + line.hours.values().copied().sum();
            prop_assert_eq!(end, start + Usd::from_cents(total));
        }
    }
}
