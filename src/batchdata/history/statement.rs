//! A month's statement.
//!
//! Flows in: the month's report, transactions and card transactions; what the exporter's ledger knows. Flows out: balances,
//! credits and debits by origin and path, the unreconciled amount, the card's fees and tax. Invariant: exact; closing =
//! opening + credits - debits + the unreconciled amount.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{Datelike as _, NaiveDate};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::balances::Balances;
use super::recorded::Recorded;
use super::rows::text_cell;
use super::sums::Sums;
use super::{History, HistoryError, TOP_UP, days, midnight, reach};
use crate::batchdata::consumption::ledger::ConsumptionLedger;
use crate::batchdata::transactions::{Transaction, TransactionSink};
use crate::batchdata::{CardStatus, CardTransaction, DayConsumption, Flow};
use crate::counting::labels::clean;
use crate::money::{Usd, dollars, with_cents};
use crate::printable::printable;
use crate::upstream::Reason;

/// What the report attributes to no origin or API path; negative if its parts are more than its total.
const UNATTRIBUTED: &str = "(unattributed)";

/// How often the running month is read, until nothing was spent meanwhile.
const TRIES: u32 = 3;

/// What the card paid, in a month.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CardCosts {
    /// Paid purchases of credits.
    pub purchases: u64,
    /// The credits.
    pub purchased_usd: Amount,
    /// Paid refunds.
    pub refunds: u64,
    /// Their credits, positive.
    pub refunded_usd: Amount,
    /// Fees of the card's processor.
    pub processing_fees_usd: Amount,
    /// Sales tax.
    pub sales_tax_usd: Amount,
    /// All together: purchases, fees and tax less refunds.
    pub charged_usd: Amount,
}

/// An amount that is written as text, so that no reader makes a float of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount(pub Usd);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&with_cents(self.0.decimal()))
    }
}

/// A month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The label `account`.
    pub account: String,
    /// First day.
    pub from: NaiveDate,
    /// Last day; of a month that runs, today.
    pub to: NaiveDate,
    /// The balance before the first transaction.
    pub opening_balance_usd: Option<Amount>,
    /// All credits.
    pub credits_usd: Amount,
    /// Of those, what a card paid in.
    pub top_ups_usd: Amount,
    /// Credits by origin.
    pub credits_by_origin_usd: BTreeMap<String, Amount>,
    /// All debits.
    pub debits_usd: Amount,
    /// Debits by origin.
    pub debits_by_origin_usd: BTreeMap<String, Amount>,
    /// Debits by API path.
    pub debits_by_api_path_usd: BTreeMap<String, Amount>,
    /// The balance after the last transaction.
    pub closing_balance_usd: Option<Amount>,
    /// Closing less opening less credits plus debits.
    pub unreconciled_usd: Option<Amount>,
    /// Where report, transactions and the exporter's ledger differ, in words.
    pub differences: Vec<String>,
    /// The card's side, which is not the wallet's; `None` if the token may not see it.
    pub card: Option<CardCosts>,
}

/// A month's balances, and sums by day.
struct Month {
    balances: Balances,
    days: BTreeMap<NaiveDate, Sums>,
}

impl TransactionSink for Month {
    fn row(&mut self, row: &Transaction<'_>) {
        self.balances.row(row);
        self.days.entry(row.at.date_naive()).or_default().add(row);
    }
}

impl History<'_> {
    /// The statement of the month that begins on `month`.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn statement(&self, month: NaiveDate, recorded: &Recorded) -> Result<Statement, HistoryError> {
        let today = self.today().await?;
        if month > today {
            let words = format!("--month: {} has not begun: it is {today} at the vendor", month.format("%Y-%m"));
            return Err(HistoryError::Usage(words));
        }
        let to = last_day(month).min(today);
        let mut differences = Vec::new();
        let (report, transactions) = self.month((month, to), &mut differences).await?;
        let covered = reach(today);
        if month < covered {
            let has_none = report.values().all(|day| *day == DayConsumption::default());
            if has_none && transactions.balances.is_empty() {
                let words = format!("the vendor has nothing of {}", month.format("%Y-%m"));
                return Err(HistoryError::Usage(format!(
                    "--month: {words}: its report covers the last 365 days, from {covered} on"
                )));
            }
            differences
                .push(format!("days before {covered} may be missing: the vendor's report covers the last 365 days"));
        }
        if transactions.balances.before().is_none() && !transactions.balances.is_empty() {
            differences.push(format!(
                "the opening balance is unknown: the first transaction since {month} has no balance, or is neither a \
                 debit nor a credit"
            ));
        }
        if transactions.balances.last().is_none() && !transactions.balances.is_empty() {
            differences.push(format!("the closing balance is unknown: the last transaction up to {to} has no balance"));
        }
        let cards = match self.cards(month, to).await {
            Err(HistoryError::Vendor(error)) if error.reason == Reason::Forbidden => {
                differences.push(format!("what the card paid is unknown: {error}"));
                None
            }
            cards => Some(cards?),
        };
        let (nothing, none) = (DayConsumption::default(), Sums::default());
        for day in days(month, to) {
            let reported = report.get(&day).unwrap_or(&nothing);
            if day < today {
                differences.extend(transactions.days.get(&day).unwrap_or(&none).differences(day, reported));
            }
            differences.extend(recorded.ledger().and_then(|ledger| beside_ledger(ledger, day, today, reported)));
        }
        Ok(statement(self.account, (month, to), &report, &transactions.balances, cards.as_deref(), differences))
    }

    /// The report and the transactions, of one moment: as long as the last day runs, they are read until nothing was added
    /// to the report meanwhile.
    async fn month(
        &self,
        (from, to): (NaiveDate, NaiveDate),
        differences: &mut Vec<String>,
    ) -> Result<(BTreeMap<NaiveDate, DayConsumption>, Month), HistoryError> {
        // No grid: the balances before the first and after the last are enough.
        let begin = || Ok(Month { balances: Balances::new(midnight(from).timestamp(), 1, 0), days: BTreeMap::new() });
        let (mut report, mut tries) = (self.by_day(from, to).await?, 0);
        loop {
            let (transactions, _) = self.transactions((from, to), begin).await?;
            let before = std::mem::replace(&mut report, self.by_day(from, to).await?);
            tries += 1;
            if tries == TRIES && report != before {
                differences.push(format!(
                    "the report changed during each of {TRIES} readings, so amounts and balances are of different moments"
                ));
            } else if report != before {
                continue;
            }
            return Ok((report, transactions));
        }
    }
}

fn last_day(month: NaiveDate) -> NaiveDate {
    let next = month.checked_add_months(chrono::Months::new(1));
    next.and_then(|next| next.pred_opt()).unwrap_or(month)
}

/// What the exporter's ledger holds of a day that is over, where that is another sum.
fn beside_ledger(
    ledger: &ConsumptionLedger,
    day: NaiveDate,
    today: NaiveDate,
    reported: &DayConsumption,
) -> Option<String> {
    let (_, last) = ledger.covered()?;
    let known = ledger.flow(day, None).filter(|_| day < last.min(today))?;
    let differ = |a: Usd, b: Usd| !(a - b).is_zero();
    let (debits, credits) = (reported.total.debit, reported.total.credit);
    (differ(known.debit, debits) || differ(known.credit, credits)).then(|| {
        let [of_ledger, reported] =
            [known, reported.total].map(|Flow { debit, credit }| (dollars(debit.decimal()), dollars(credit.decimal())));
        format!(
            "{day}: the exporter's ledger has debits of {} and credits of {}, the report now says {} and {}",
            of_ledger.0, of_ledger.1, reported.0, reported.1
        )
    })
}

fn statement(
    account: &str,
    (from, to): (NaiveDate, NaiveDate),
    report: &BTreeMap<NaiveDate, DayConsumption>,
    balances: &Balances,
    cards: Option<&[CardTransaction]>,
    differences: Vec<String>,
) -> Statement {
    let mut total = Flow::default();
    let (mut credits_by_origin, mut debits_by_origin, mut by_path) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let add = |sums: &mut BTreeMap<String, Amount>, name: &str, amount: Usd| {
        if !amount.is_zero() {
            sums.entry(clean(name).to_owned()).or_default().0 += amount;
        }
    };
    for day in report.values() {
        total.debit += day.total.debit;
        total.credit += day.total.credit;
        for (name, flow) in &day.by_origin {
            add(&mut credits_by_origin, name, flow.credit);
            add(&mut debits_by_origin, name, flow.debit);
        }
        day.by_path.iter().for_each(|(name, debit)| add(&mut by_path, name, *debit));
    }
    let Flow { debit: debits, credit: credits } = total;
    for (parts, total) in [(&mut credits_by_origin, credits), (&mut debits_by_origin, debits), (&mut by_path, debits)] {
        let attributed: Usd = parts.values().map(|amount| amount.0).sum();
        add(parts, UNATTRIBUTED, total - attributed);
    }
    let (opening, closing) = (balances.before(), balances.last());
    let unreconciled = opening.zip(closing).map(|(opening, closing)| closing - opening - credits + debits);
    Statement {
        account: account.to_owned(),
        from,
        to,
        opening_balance_usd: opening.map(Amount),
        credits_usd: Amount(credits),
        top_ups_usd: credits_by_origin.get(TOP_UP).copied().unwrap_or_default(),
        credits_by_origin_usd: credits_by_origin,
        debits_usd: Amount(debits),
        debits_by_origin_usd: debits_by_origin,
        debits_by_api_path_usd: by_path,
        closing_balance_usd: closing.map(Amount),
        unreconciled_usd: unreconciled.map(Amount),
        differences,
        card: cards.map(card_costs),
    }
}

fn card_costs(cards: &[CardTransaction]) -> CardCosts {
    let mut costs = CardCosts::default();
    for card in cards.iter().filter(|card| card.status == CardStatus::Paid) {
        let credits = card.credits.unwrap_or_default();
        if credits.is_negative() {
            costs.refunds += 1;
            costs.refunded_usd.0 -= credits;
        } else {
            costs.purchases += 1;
            costs.purchased_usd.0 += credits;
        }
        costs.processing_fees_usd.0 += card.processing_fee;
        costs.sales_tax_usd.0 += card.sales_tax;
    }
    costs.charged_usd.0 =
        costs.purchased_usd.0 - costs.refunded_usd.0 + costs.processing_fees_usd.0 + costs.sales_tax_usd.0;
    costs
}

impl Statement {
    /// One line for each figure: section, name, amount. An unknown amount is empty.
    fn lines<'s>(&'s self) -> Vec<(&'static str, &'s str, Option<Usd>)> {
        let known = |amount: Amount| Some(amount.0);
        let parts = |section, parts: &'s BTreeMap<String, Amount>| {
            parts.iter().map(move |(name, amount)| (section, name.as_str(), Some(amount.0)))
        };
        let mut lines = vec![("Opening balance", "", self.opening_balance_usd.map(|amount| amount.0))];
        lines.push(("Credits", "", known(self.credits_usd)));
        lines.extend(parts("Credits by origin", &self.credits_by_origin_usd));
        lines.push(("Debits", "", known(self.debits_usd)));
        lines.extend(parts("Debits by origin", &self.debits_by_origin_usd));
        lines.extend(parts("Debits by API path", &self.debits_by_api_path_usd));
        lines.push(("Closing balance", "", self.closing_balance_usd.map(|amount| amount.0)));
        lines.push(("Not reconciled", "", self.unreconciled_usd.map(|amount| amount.0)));
        let card = self.card.as_ref();
        let of_card = |amount: fn(&CardCosts) -> Usd| card.map(amount);
        lines.push(("Card", "purchases", of_card(|card| card.purchased_usd.0)));
        lines.push(("Card", "refunds", of_card(|card| -card.refunded_usd.0)));
        lines.push(("Card", "processing fees", of_card(|card| card.processing_fees_usd.0)));
        lines.push(("Card", "sales tax", of_card(|card| card.sales_tax_usd.0)));
        lines.push(("Card", "charged", of_card(|card| card.charged_usd.0)));
        lines
    }

    /// As a table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text =
            format!("Statement of account {}\n{} to {} (UTC), in US dollars\n\n", self.account, self.from, self.to);
        let mut section = "";
        for (of, name, amount) in self.lines() {
            if of == "Card" && section != "Card" {
                text.push_str("\nPaid by card (not from the wallet)\n");
            } else if !name.is_empty() && section != of {
                let _ = writeln!(text, "  {of}");
            }
            section = of;
            let title = if name.is_empty() { of.to_owned() } else { format!("    {}", printable(name)) };
            let amount = amount.map_or_else(|| "unknown".to_owned(), |amount| dollars(amount.decimal()));
            let _ = writeln!(text, "{title:<52} {amount:>16}");
        }
        if !self.differences.is_empty() {
            text.push_str("\nDifferences\n");
            self.differences.iter().for_each(|line| text.push_str(&format!("  {}\n", printable(line))));
        }
        text
    }

    /// For spreadsheets: `section,name,amount_usd`. A difference has its words as name, and no amount.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = b"section,name,amount_usd\n".to_vec();
        for (section, name, amount) in self.lines() {
            text.extend_from_slice(section.as_bytes());
            text.push(b',');
            // A Vec takes everything.
            let _ = text_cell(&mut text, name);
            text.push(b',');
            text.extend(amount.map(|amount| with_cents(amount.decimal()).to_string()).unwrap_or_default().into_bytes());
            text.push(b'\n');
        }
        for difference in &self.differences {
            text.extend_from_slice(b"Difference,");
            let _ = text_cell(&mut text, difference);
            text.extend_from_slice(b",\n");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// As JSON; amounts are strings.
    #[must_use]
    pub fn json(&self) -> String {
        let mut value = json!(self);
        if let Some(members) = value.as_object_mut() {
            members.insert("currency".to_owned(), json!("USD"));
        }
        format!("{value:#}\n")
    }
}

/// A month as it is written: `2026-10`.
///
/// # Errors
/// What to write instead.
pub fn month(text: &str) -> Result<NaiveDate, String> {
    let day = (text.len() == 7).then(|| format!("{text}-01").parse::<NaiveDate>().ok()).flatten();
    day.filter(|day| day.year() >= 1970).ok_or_else(|| "write a month such as 2026-10".to_owned())
}
