//! Amounts by hour and series, as the counters of the exporter would have counted them.
//!
//! Flows in: the report by hour, the label values that may have a series. Flows out: for each series its value at the start
//! and what each hour adds. Invariant: a series never falls, and ends at the vendor's total, or at what
//! the exporter began with; memory is bounded by hours
//! and label values, not by transactions.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};

use super::History;
use super::HistoryError;
use crate::batchdata::ConsumptionReport;
use crate::batchdata::DayConsumption;
use crate::batchdata::consumption::ledger::{BaseLine, ConsumptionLedger};
use crate::batchdata::consumption::series::MoneySeries;
use crate::batchdata::consumption::table::FirstReport;
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
    /// An amount below zero cannot be counted: it is taken from the hours before it, and what then is below zero at the
    /// start from the first hours, so that nothing falls and the end stays as it is.
    fn level(&mut self) {
        self.start += take(self.hours.values_mut().rev(), Usd::ZERO);
        let owed = self.start.min(Usd::ZERO);
        self.start = self.start.max(Usd::ZERO);
        take(self.hours.values_mut(), owed);
        self.hours.retain(|_, amount| !amount.is_zero());
    }

    /// Ends at `first` in the hour of that place. Of this hour only as much is taken as `first` can hold; the rest of the
    /// difference was restated since, and moves the start.
    fn end_at(&mut self, first: Usd, place: u32) {
        let before = self.start + self.hours.range(..place).map(|(_, amount)| *amount).sum();
        let within = self.hours.get(&place).copied().unwrap_or_default();
        let last = (first - before).clamp(Usd::ZERO, within.max(Usd::ZERO));
        self.start += first - before - last;
        self.hours.retain(|hour, _| *hour < place);
        self.hours.insert(place, last);
    }

    fn is_zero(&self) -> bool {
        self.start.is_zero() && self.hours.is_empty()
    }
}

/// Takes what is owed, which is at most zero, from these amounts, and what is below zero in one from the next. Returns what
/// is still owed.
fn take<'a>(amounts: impl Iterator<Item = &'a mut Usd>, mut owed: Usd) -> Usd {
    for amount in amounts {
        let sum = *amount + owed;
        (owed, *amount) = (sum.min(Usd::ZERO), sum.max(Usd::ZERO));
    }
    owed
}

/// All series.
pub type SeriesLines = BTreeMap<MoneySeries, Line>;

/// The ledger's own rule for what a report counts under which label value.
struct Labels(ConsumptionLedger);

impl Labels {
    /// The label values that a ledger knows, and those that this report adds, in the order of their days.
    fn new(known: Option<ConsumptionLedger>, days: &BTreeMap<NaiveDate, DayConsumption>) -> Labels {
        let mut ledger = known.unwrap_or_else(|| ConsumptionLedger::new(BaseLine::FirstReport, &[]));
        let (Some((from, _)), Some((to, _))) = (days.first_key_value(), days.last_key_value()) else {
            return Labels(ledger);
        };
        ledger.allow(&ConsumptionReport { from: *from, to: *to, days: days.clone(), hourly: None });
        Labels(ledger)
    }

    /// A period's amounts by series.
    fn series(&self, period: &DayConsumption) -> BTreeMap<MoneySeries, Usd> {
        self.0.amounts(period)
    }
}

impl History<'_> {
    /// The lines of the hours from `from` up to the end of `to`, where each begins with what the days before have. With the
    /// first report of an exporter that counts those days, each ends in the hour of that at what it was then.
    pub(super) async fn lines(
        &self,
        (from, to): (NaiveDate, NaiveDate),
        days: &BTreeMap<NaiveDate, DayConsumption>,
        known: Option<ConsumptionLedger>,
        first: Option<FirstReport>,
    ) -> Result<SeriesLines, HistoryError> {
        let labels = Labels::new(known, days);
        let mut lines =
            SeriesLines::from([(MoneySeries::Debit, Line::default()), (MoneySeries::Credit, Line::default())]);
        for (series, amount) in days.range(..from).flat_map(|(_, period)| labels.series(period)) {
            lines.entry(series).or_default().start += amount;
        }
        let first_hour = hour_of(super::midnight(from));
        let take = |hour: i64, period: &DayConsumption| {
            let Ok(place) = u32::try_from(hour - first_hour) else { return };
            for (series, amount) in labels.series(period) {
                *lines.entry(series).or_default().hours.entry(place).or_default() += amount;
            }
        };
        self.by_hour(from, to, take).await?;
        if let Some(FirstReport { at, values }) = first {
            let place = u32::try_from(hour_of(at) - first_hour).unwrap_or_default();
            let all: BTreeSet<MoneySeries> = lines.keys().chain(values.keys()).cloned().collect();
            for series in all {
                let value = values.get(&series).copied().unwrap_or_default();
                lines.entry(series).or_default().end_at(value, place);
            }
        }
        lines.values_mut().for_each(Line::level);
        lines.retain(|series, line| !line.is_zero() || matches!(series, MoneySeries::Debit | MoneySeries::Credit));
        Ok(lines)
    }
}

fn hour_of(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(3_600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_never_falls_and_ends_at_the_total(
            amounts in prop::collection::vec(-500_i64..1_000, 0..60),
            start in -5_000_i64..100_000,
        ) {
            let hours = amounts.iter().enumerate().map(|(place, cents)| (place as u32, Usd::from_cents(*cents)));
            let total: i64 = start + amounts.iter().sum::<i64>();
            let mut line = Line { start: Usd::from_cents(start), hours: hours.collect() };
            line.level();
            prop_assert!(!line.start.is_negative());
            prop_assert!(line.hours.values().all(|amount| !amount.is_negative() && !amount.is_zero()));
            let end: Usd = line.start + line.hours.values().copied().sum();
            prop_assert_eq!(end, Usd::from_cents(total.max(0)));
        }

        /// Whatever the report says by now.
        #[test]
        fn a_joined_line_ends_at_what_was_first_served(
            amounts in prop::collection::vec(-500_i64..1_000, 1..60),
            (start, first, within) in (-500_i64..20_000, 0_i64..50_000, -500_i64..1_000),
        ) {
            let hours: BTreeMap<u32, Usd> =
                amounts.iter().enumerate().map(|(place, cents)| (place as u32, Usd::from_cents(*cents))).collect();
            let place = amounts.len() as u32;
            let mut line = Line { start: Usd::from_cents(start), hours };
            line.hours.insert(place, Usd::from_cents(within));
            line.hours.insert(place + 1, Usd::from_cents(7));
            line.end_at(Usd::from_cents(first), place);
            line.level();
            let end: Usd = line.start + line.hours.values().copied().sum();
            prop_assert_eq!(end, Usd::from_cents(first));
        }
    }
}
