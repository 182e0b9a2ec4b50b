//! What transactions add up to, and where the report says otherwise.
//!
//! Flows in: a day's transactions, that day of the report. Flows out: sums, and differences in words. Invariant: bounded
//! however many names there are; the two vocabularies of endpoints are compared by their totals alone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::batchdata::transactions::Transaction;
use crate::batchdata::{DayConsumption, Flow};
use crate::money::{Usd, dollars};

/// Most origins that are told apart.
const MOST_ORIGINS: usize = 10_000;

/// Sums of transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many.
    pub rows: u64,
    /// All together.
    pub total: Flow,
    /// By origin; those without one are left out.
    by_origin: BTreeMap<String, Flow>,
    /// Debits of those with an endpoint.
    endpoints: Usd,
    /// Whether there were more origins than are told apart.
    too_many: bool,
}

impl Sums {
    /// Adds one.
    pub fn add(&mut self, row: &Transaction<'_>) {
        let flow = Flow { debit: row.debit(), credit: row.credit() };
        self.rows += 1;
        add(&mut self.total, flow);
        if !row.endpoint_name.is_empty() {
            self.endpoints += flow.debit;
        }
        if row.origin.is_empty() {
            return;
        }
        if let Some(sum) = self.by_origin.get_mut(row.origin.as_ref()) {
            add(sum, flow);
        } else if self.by_origin.len() < MOST_ORIGINS {
            self.by_origin.insert(row.origin.clone().into_owned(), flow);
        } else {
            self.too_many = true;
        }
    }

    /// Whether they add up to the report's debits and credits. Its parts need not cover all.
    #[must_use]
    pub fn is_total(&self, report: Option<&DayConsumption>) -> bool {
        let reported = report.map(|report| report.total).unwrap_or_default();
        is_same(self.total.debit, reported.debit) && is_same(self.total.credit, reported.credit)
    }

    /// The credits of an origin.
    #[must_use]
    pub fn credit_of(&self, origin: &str) -> Usd {
        self.by_origin.get(origin).map(|flow| flow.credit).unwrap_or_default()
    }

    /// What differs from the report by a cent or more, in words.
    #[must_use]
    pub fn differences(&self, day: NaiveDate, report: &DayConsumption) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, transactions: Usd, reported: Usd| {
            if is_same(transactions, reported) {
                return;
            }
            found.push(format!(
                "{day}: {what}: the transactions add up to {}, the report says {}",
                dollars(transactions.decimal()),
                dollars(reported.decimal())
            ));
        };
        compare("debits", self.total.debit, report.total.debit);
        compare("credits", self.total.credit, report.total.credit);
        compare("debits with an endpoint", self.endpoints, report.by_path.values().copied().sum());
        if self.too_many {
            found.push(format!("{day}: more than {MOST_ORIGINS} origins: they are not compared with the report"));
            return found;
        }
        let mut compare_origin = |name: &str, transactions: Flow, reported: Flow| {
            compare(&format!("debits of {name}"), transactions.debit, reported.debit);
            compare(&format!("credits of {name}"), transactions.credit, reported.credit);
        };
        for (name, reported) in &report.by_origin {
            let name = name.trim();
            if !name.is_empty() {
                compare_origin(name, self.by_origin.get(name).copied().unwrap_or_default(), *reported);
            }
        }
        let named: BTreeSet<&str> = report.by_origin.keys().map(|name| name.trim()).collect();
        let unreported = self.by_origin.iter().filter(|(name, _)| !named.contains(name.as_str()));
        for (name, flow) in unreported {
            compare_origin(name, *flow, Flow::default());
        }
        found
    }
}

/// To the cent.
fn is_same(one: Usd, other: Usd) -> bool {
    (one - other).decimal().round_dp(2).is_zero()
}

fn add(sum: &mut Flow, flow: Flow) {
    sum.debit += flow.debit;
    sum.credit += flow.credit;
}
