//! The true totals, for a test to compare with what an exporter says.
//!
//! Flows in: the world. Flows out: sums by every key that a report has.
//! Invariant: exact, and computed from the same state as the answers, faults and restatements included.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Serialize, Serializer};

use super::amount::{Units, usd};
use super::cards::{FAILED, PAID, PENDING};
use super::wire::time;
use super::world::World;
use rust_decimal::Decimal;

/// Money spent and credited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// Spent.
    #[serde(serialize_with = "text")]
    pub debit: Decimal,
    /// Credited.
    #[serde(serialize_with = "text")]
    pub credit: Decimal,
}

impl Flow {
    fn add(&mut self, debit: Units, credit: Units) {
        self.debit += usd(debit);
        self.credit += usd(credit);
    }
}

/// The card transactions of one kind, status and brand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpectedCard {
    /// `top_up`, or `refund` for negative credits.
    pub kind: &'static str,
    /// `pending`, `paid`, `failed`, or the vendor's integer (`null` if there is none).
    pub status: String,
    /// The card's brand.
    pub card_brand: String,
    /// How many.
    pub count: u64,
    /// Their credits, as the vendor signs them.
    #[serde(serialize_with = "text")]
    pub credits: Decimal,
    /// Their sales tax.
    #[serde(serialize_with = "text")]
    pub sales_tax: Decimal,
    /// Their processing fees.
    #[serde(serialize_with = "text")]
    pub processing_fees: Decimal,
}

/// One batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpectedBatch {
    /// Its id.
    pub id: String,
    /// Of another customer.
    pub foreign: bool,
    /// No row will follow by itself.
    pub complete: bool,
    /// How many rows.
    pub rows: u64,
    /// Rows by status.
    pub by_status: BTreeMap<String, u64>,
    /// Rows that a dashboard user submitted.
    pub by_dashboard: u64,
    /// The sum of the balances of `SUCCESS` rows that are not negative.
    #[serde(serialize_with = "text")]
    pub balance_sum: Decimal,
}

/// Everything that is true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// The wallet's balance.
    #[serde(serialize_with = "text")]
    pub balance: Decimal,
    /// The report's totals, over all time.
    pub total: Flow,
    /// By origin.
    pub by_origin: BTreeMap<String, Flow>,
    /// By API path: debits only.
    #[serde(serialize_with = "texts")]
    pub by_path: BTreeMap<String, Decimal>,
    /// The report's totals by UTC day.
    pub by_day: BTreeMap<NaiveDate, Flow>,
    /// Card transactions by kind, status and brand.
    pub cards: Vec<ExpectedCard>,
    /// Batches, oldest first.
    pub batches: Vec<ExpectedBatch>,
}

pub(crate) fn expected(world: &World) -> Expected {
    let wallet = &world.wallet;
    let mut total = Flow::default();
    let mut by_origin: BTreeMap<String, Flow> = BTreeMap::new();
    let mut by_path: BTreeMap<String, Decimal> = BTreeMap::new();
    let mut by_day: BTreeMap<NaiveDate, Flow> = BTreeMap::new();
    for (hour, cells) in wallet.all_hours() {
        let day = time(hour * 3_600).date_naive();
        for cell in cells {
            if cell.key.in_total {
                total.add(cell.debit, cell.credit);
                by_day.entry(day).or_default().add(cell.debit, cell.credit);
            }
            if let Some(id) = cell.key.origin {
                by_origin.entry(wallet.origins.name(id).to_owned()).or_default().add(cell.debit, cell.credit);
            }
            if let Some(id) = cell.key.path {
                *by_path.entry(wallet.paths.name(id).to_owned()).or_default() += usd(cell.debit);
            }
        }
    }
    Expected {
        balance: usd(wallet.balance),
        total,
        by_origin,
        by_path,
        by_day,
        cards: cards(world),
        batches: batches(world),
    }
}

fn cards(world: &World) -> Vec<ExpectedCard> {
    let mut found: BTreeMap<(&'static str, String, String), ExpectedCard> = BTreeMap::new();
    for row in world.cards.newest_first() {
        let kind = if row.credits < 0 { "refund" } else { "top_up" };
        let status = match row.status {
            Some(PENDING) => "pending".to_owned(),
            Some(PAID) => "paid".to_owned(),
            Some(FAILED) => "failed".to_owned(),
            Some(other) => other.to_string(),
            None => "null".to_owned(),
        };
        let sum = found.entry((kind, status.clone(), row.brand.clone())).or_insert_with(|| ExpectedCard {
            kind,
            status,
            card_brand: row.brand.clone(),
            count: 0,
            credits: Decimal::ZERO,
            sales_tax: Decimal::ZERO,
            processing_fees: Decimal::ZERO,
        });
        sum.count += 1;
        sum.credits += usd(row.credits);
        sum.sales_tax += usd(row.tax);
        sum.processing_fees += usd(row.fee);
    }
    found.into_values().collect()
}

fn batches(world: &World) -> Vec<ExpectedBatch> {
    let tally = |batch: &super::batches::Batch| {
        let mut expected = ExpectedBatch {
            id: batch.id.clone(),
            foreign: batch.foreign,
            complete: batch.complete,
            rows: 0,
            by_status: BTreeMap::new(),
            by_dashboard: 0,
            balance_sum: Decimal::ZERO,
        };
        for row in batch.rows.iter() {
            expected.rows += 1;
            expected.by_dashboard += u64::from(row.by_dashboard);
            *expected.by_status.entry(row.status.to_string()).or_default() += 1;
            if row.status.as_ref() == "SUCCESS" {
                expected.balance_sum += Decimal::new(row.balance_cents.unwrap_or(0).max(0), 2);
            }
        }
        expected
    };
    world.batches.all().iter().map(tally).collect()
}

/// Money as a decimal string, so that no reader makes a float of it.
fn text<S: Serializer>(amount: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

fn texts<S: Serializer>(amounts: &BTreeMap<String, Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(amounts.iter().map(|(name, amount)| (name, amount.to_string())))
}
