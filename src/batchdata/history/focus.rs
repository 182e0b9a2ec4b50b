//! A day as rows of FOCUS 1.2, the FinOps Foundation's format of cost data.
//!
//! Flows in: a day's transactions, its report, its paid card transactions. Flows out: rows of usage, purchases, tax and
//! adjustments. Invariant: effective costs add up to the report's debits, billed costs to what the card was charged, and
//! no dollar is in both.

use std::collections::BTreeMap;
use std::io::{self, Write};

use chrono::{DateTime, Datelike as _, Months, NaiveDate, SecondsFormat, Utc};

use super::day_format::{DayFormat, KnownDay};
use super::rows::text_cell;
use super::sums::named;
use super::{TOP_UP, midnight};
use crate::batchdata::VENDOR;
use crate::batchdata::transactions::Transaction;
use crate::money::{Usd, with_cents};

/// Most pairs of origin and endpoint that have a row of their own; the others share one.
const MOST_ROWS: usize = 10_000;

/// The columns, FOCUS' own in the order of the alphabet, then ours.
const COLUMNS: &str = "BilledCost,BillingAccountId,BillingAccountName,BillingAccountType,BillingCurrency,BillingPeriodEnd,\
BillingPeriodStart,ChargeCategory,ChargeClass,ChargeDescription,ChargeFrequency,ChargePeriodEnd,ChargePeriodStart,\
ConsumedQuantity,ConsumedUnit,ContractedCost,EffectiveCost,InvoiceId,InvoiceIssuerName,ListCost,PricingCategory,PricingQuantity,\
PricingUnit,ProviderName,PublisherName,ServiceCategory,ServiceName,ServiceSubcategory,x_Account,x_Origin,\
x_EndpointName,x_WalletCredit";

/// Usage of an origin and endpoint.
#[derive(Default)]
struct Usage {
    calls: u64,
    debit: Usd,
    credit: Usd,
}

/// A day.
#[derive(Default)]
pub struct Focus {
    usage: BTreeMap<(String, String), Usage>,
}

/// What a row is about.
struct Charge<'a> {
    category: &'static str,
    description: &'static str,
    billed: Usd,
    effective: Usd,
    /// Calls, for usage.
    quantity: Option<u64>,
    frequency: &'static str,
    origin: &'a str,
    endpoint_name: &'a str,
    wallet_credit: Option<Usd>,
}

impl Charge<'_> {
    /// A charge of the card.
    fn card(category: &'static str, description: &'static str, billed: Usd) -> Charge<'static> {
        Charge {
            category,
            description,
            billed,
            effective: Usd::ZERO,
            quantity: None,
            frequency: "One-Time",
            origin: "",
            endpoint_name: "",
            wallet_credit: None,
        }
    }
}

impl DayFormat for Focus {
    fn file_name(&self) -> &'static str {
        "focus.csv"
    }

    fn needs_cards(&self) -> bool {
        true
    }

    fn head(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{COLUMNS}")
    }

    fn row(&mut self, row: &Transaction<'_>, _out: &mut dyn Write) -> io::Result<()> {
        let mut key = (named(&row.origin).to_owned(), named(&row.endpoint_name).to_owned());
        if self.usage.len() >= MOST_ROWS && !self.usage.contains_key(&key) {
            key = ("other".to_owned(), "other".to_owned());
        }
        let usage = self.usage.entry(key).or_default();
        usage.calls += u64::from(!row.debit().is_zero());
        usage.debit += row.debit();
        usage.credit += row.credit();
        Ok(())
    }

    fn end(&mut self, day: &KnownDay<'_>, out: &mut dyn Write) -> io::Result<()> {
        for ((origin, endpoint_name), usage) in std::mem::take(&mut self.usage) {
            if usage.calls > 0 {
                let charge = Charge {
                    effective: usage.debit,
                    quantity: Some(usage.calls),
                    frequency: "Usage-Based",
                    origin: &origin,
                    endpoint_name: &endpoint_name,
                    ..Charge::card("Usage", "Calls of a day", Usd::ZERO)
                };
                write(out, day, &charge)?;
            }
            if !usage.credit.is_zero() && origin != TOP_UP {
                let charge = Charge {
                    origin: &origin,
                    endpoint_name: &endpoint_name,
                    wallet_credit: Some(usage.credit),
                    ..Charge::card("Adjustment", "Credit to the wallet that no card paid", Usd::ZERO)
                };
                write(out, day, &charge)?;
            }
        }
        let missing = day.report.total.debit - day.sums.total.debit;
        if !missing.is_zero() {
            let words = "Debits of the report beyond the transactions";
            write(out, day, &Charge { effective: missing, ..Charge::card("Adjustment", words, Usd::ZERO) })?;
        }
        // What a card paid in has rows of its own, whatever the transactions say.
        let top_ups = day.report.by_origin.get(TOP_UP).map(|flow| flow.credit).unwrap_or_default();
        let missing = day.report.total.credit - top_ups - (day.sums.total.credit - day.sums.credit_of(TOP_UP));
        if !missing.is_zero() {
            let words = "Credits of the report that no card paid beyond the transactions";
            let charge = Charge { wallet_credit: Some(missing), ..Charge::card("Adjustment", words, Usd::ZERO) };
            write(out, day, &charge)?;
        }
        for card in day.cards {
            let credits = card.credits.unwrap_or_default();
            let charge = match credits.is_negative() {
                true => Charge::card("Adjustment", "Refund of credits to the card", credits),
                false => Charge::card("Purchase", "Credits bought by card", credits),
            };
            write(out, day, &charge)?;
            if !card.processing_fee.is_zero() {
                write(out, day, &Charge::card("Purchase", "Card processing fee", card.processing_fee))?;
            }
            if !card.sales_tax.is_zero() {
                write(out, day, &Charge::card("Tax", "Sales tax", card.sales_tax))?;
            }
        }
        Ok(())
    }
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn write(out: &mut dyn Write, day: &KnownDay<'_>, charge: &Charge<'_>) -> io::Result<()> {
    let month = day.date.with_day(1).unwrap_or(day.date);
    let next = |date: NaiveDate, months| date.checked_add_months(Months::new(months)).unwrap_or(date);
    let (begins, ends) = (midnight(day.date), midnight(day.date.succ_opt().unwrap_or(day.date)));
    // Always with a point: a column of whole numbers would be read as one of another type.
    let amount = |amount: Usd| with_cents(amount.decimal());
    // What usage would have cost at the list, and by contract: the wallet knows one price.
    let (billed, effective, list) =
        (amount(charge.billed), amount(charge.effective), amount(charge.billed + charge.effective));
    write!(out, "{billed},")?;
    text_cell(out, day.account)?;
    write!(out, ",")?;
    text_cell(out, day.account)?;
    write!(out, ",Wallet,USD,{},", written(midnight(next(month, 1))))?;
    write!(out, "{},{},,", written(midnight(month)), charge.category)?;
    write!(out, "{},{},{},{},", charge.description, charge.frequency, written(ends), written(begins))?;
    let quantity = charge.quantity.map(|calls| format!("{calls}.0"));
    match &quantity {
        Some(calls) => write!(out, "{calls},Calls,")?,
        None => write!(out, ",,")?,
    }
    // No invoice of the vendor is known, so its column is empty.
    write!(out, "{list},{effective},,{},{list},", VENDOR.title)?;
    match (&quantity, charge.category) {
        (Some(calls), _) => write!(out, "Standard,{calls},Calls,")?,
        (None, "Purchase") => write!(out, "Standard,1.0,Transactions,")?,
        (None, _) => write!(out, ",,,")?,
    }
    write!(out, "{},{},Analytics,{} API,Data Processing,", VENDOR.title, VENDOR.title, VENDOR.title)?;
    text_cell(out, day.account)?;
    write!(out, ",")?;
    text_cell(out, charge.origin)?;
    write!(out, ",")?;
    text_cell(out, charge.endpoint_name)?;
    match charge.wallet_credit {
        Some(credit) => writeln!(out, ",{}", with_cents(credit.decimal())),
        None => writeln!(out, ","),
    }
}
