//! The consumption report: from the answer to counters, sums over periods, burn and runway.
//!
//! Flows in: reports by hour or by day. Flows out: spend by origin and path. Invariant: names stay as the vendor wrote
//! them until they become labels.

pub mod budgets;
pub mod burn;
pub mod days;
pub mod families;
pub mod grain;
pub mod ledger;
pub mod periods;
pub mod poll;
pub mod series;
pub mod table;
pub(super) mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;

use crate::money::Usd;

/// Money out of and into the wallet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Spent.
    pub debit: Usd,
    /// Paid in.
    pub credit: Usd,
}

/// One UTC day of the consumption report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayConsumption {
    /// The day's own totals. The parts below need not add up to them.
    pub total: Flow,
    /// By origin, names as the vendor wrote them.
    pub by_origin: BTreeMap<Arc<str>, Flow>,
    /// Debits by API path, names as the vendor wrote them.
    pub by_path: BTreeMap<Arc<str>, Usd>,
}

/// A consumption report by UTC day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumptionReport {
    /// First day that was asked for.
    pub from: NaiveDate,
    /// Last day that was asked for, inclusive.
    pub to: NaiveDate,
    /// The days that the vendor answered; a day in the range that is missing here is the vendor's "nothing".
    pub days: BTreeMap<NaiveDate, DayConsumption>,
    /// Debits by hour, of days that were asked for by hour.
    pub hourly: Option<HourlyDebits>,
}

impl ConsumptionReport {
    /// Leaves out the days before `from`.
    fn shorten(&mut self, from: NaiveDate) {
        self.from = from;
        self.days = self.days.split_off(&from);
    }
}

/// Debits by UTC hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourlyDebits {
    /// First day that was asked for by hour.
    pub from: NaiveDate,
    /// Last day that was asked for by hour, inclusive.
    pub to: NaiveDate,
    /// By hours since 1970; an hour of these days that is missing here is the vendor's "nothing".
    pub debits: BTreeMap<i64, Usd>,
}
