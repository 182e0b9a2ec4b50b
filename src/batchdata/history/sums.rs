//! What transactions add up to, and where the report says otherwise.
//!
//! Flows in: a day's transactions, that day of the report. Flows out: sums, and differences in words. Invariant: bounded
//! however many names there are; the two vocabularies of endpoints are compared by their totals alone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::batchdata::transactions::Transaction;
use crate::batchdata::{DayConsumption, Flow};
use crate::counting::labels::clean;
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
        let origin = named(&row.origin);
        if origin.is_empty() {
            return;
        }
        if let Some(sum) = self.by_origin.get_mut(origin) {
            add(sum, flow);
        } else if self.by_origin.len() < MOST_ORIGINS {
            self.by_origin.insert(origin.to_owned(), flow);
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
        let mut reported: BTreeMap<&str, Flow> = BTreeMap::new();
        for (name, flow) in &report.by_origin {
            add(reported.entry(named(name)).or_default(), *flow);
        }
        let own = self.by_origin.keys().map(String::as_str);
        let names: BTreeSet<&str> = reported.keys().copied().chain(own).filter(|name| !name.is_empty()).collect();
        for name in names {
            let of = |sums: Option<&Flow>| sums.copied().unwrap_or_default();
            compare_origin(name, of(self.by_origin.get(name)), of(reported.get(name)));
        }
        found
    }
}

/// A name as labels have it, so that none is longer; an empty one stays empty.
pub(super) fn named(name: &str) -> &str {
    if name.trim().is_empty() { "" } else { clean(name) }
}

/// To the cent.
fn is_same(one: Usd, other: Usd) -> bool {
    (one - other).decimal().round_dp(2).is_zero()
}

fn add(sum: &mut Flow, flow: Flow) {
    sum.debit += flow.debit;
    sum.credit += flow.credit;
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::batchdata::transactions::{Personal, TransactionType};

    #[test]
    fn names_are_as_long_as_labels_and_empty_ones_are_none() {
        let (long, one) = ("x".repeat(500_000), Usd::stored("1").unwrap());
        let mut sums = Sums::default();
        for origin in [long.as_str(), "", " "] {
            sums.add(&Transaction {
                at: chrono::DateTime::UNIX_EPOCH,
                kind: TransactionType::Debit,
                kind_text: Cow::Borrowed("debit"),
                amount: one,
                balance_after: None,
                origin: Cow::Borrowed(origin),
                endpoint_name: Cow::Borrowed(""),
                personal: Personal { reference_id: Cow::Borrowed(""), description: Cow::Borrowed("") },
            });
        }
        let found = sums.differences(NaiveDate::default(), &DayConsumption::default());
        assert_eq!(found.len(), 2, "in total, and of one origin");
        assert!(found.iter().all(|words| words.len() < 300));
        let report = DayConsumption {
            by_origin: [(long.into(), Flow { debit: one, credit: Usd::ZERO })].into(),
            ..Default::default()
        };
        assert_eq!(sums.differences(NaiveDate::default(), &report).len(), 1, "in total");
    }
}
