//! Card transactions as counters by state, and what is pending as gauges.

use crate::names::Label as _;
use std::collections::BTreeMap;
use strum::VariantArray as _;

use super::book::{CardKind, series_key};
use crate::batchdata::{CARD_TRANSACTIONS as SOURCE, CardsView, WalletView};
use crate::catalog::{ACCOUNT, counter, families, gauge};
use crate::clock::Moment;
use crate::exposition::Encoder;
use crate::snapshot::{AccountView, Snapshot};

const CARD_EVENT: &[&str] = &["account", "kind", "status", "card_brand"];

families! {
    /// Of the card transactions.
    FAMILIES:
    CARD_TRANSACTIONS = counter("batchdata_card_transactions_total", CARD_EVENT, "Card transactions, each counted once under each state in which it was seen.");
    CARD_CREDITS = counter("batchdata_card_amount_usd_total", CARD_EVENT, "Amounts of card transactions in US dollars, without sign.");
    CARD_PENDING = gauge("batchdata_card_transactions_pending", &["account", "kind", "card_brand"], "Pending card transactions.");
    CARD_OLDEST_PENDING = gauge("batchdata_card_oldest_pending_timestamp_seconds", ACCOUNT, "When the oldest pending card transaction was made; absent if none is pending.");
    CARD_SALES_TAX = counter("batchdata_card_sales_tax_usd_total", &["account", "card_brand"], "Sales tax on paid card transactions in US dollars.");
    CARD_FEES = counter("batchdata_card_processing_fees_usd_total", &["account", "card_brand"], "Processing fees on paid card transactions in US dollars.");
    CARD_LAST = gauge("batchdata_card_last_transaction_timestamp_seconds", &["account", "kind", "status"], "When the newest card transaction of this kind and status was made.");
}

/// Writes them.
pub fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    counters(out, snapshot, now);
    gauges(out, snapshot, now);
}

fn cards(snapshot: &Snapshot) -> impl Iterator<Item = (&AccountView, &CardsView)> {
    snapshot.with_facts::<WalletView>().filter_map(|(account, wallet)| Some((account, wallet.cards.as_deref()?)))
}

fn counters(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let counted = || cards(snapshot).filter(|(account, _)| account.is_counted(SOURCE));
    let mut family = out.family(&CARD_TRANSACTIONS);
    for (account, view) in counted() {
        for ((kind, status, brand), counted) in &view.counted {
            let events = account.shown(&series_key(brand), counted.events, now);
            family.counter(&[account.name(), kind.as_str(), status.as_str(), brand], events);
        }
    }
    let mut family = out.family(&CARD_CREDITS);
    for (account, view) in counted() {
        for ((kind, status, brand), counted) in &view.counted {
            let credits = account.shown(&series_key(brand), counted.credits, now);
            family.counter(&[account.name(), kind.as_str(), status.as_str(), brand], credits);
        }
    }
    let mut family = out.family(&CARD_SALES_TAX);
    for (account, view) in counted() {
        for (brand, costs) in &view.costs {
            family.counter(&[account.name(), brand], account.shown(&series_key(brand), costs.sales_tax, now));
        }
    }
    let mut family = out.family(&CARD_FEES);
    for (account, view) in counted() {
        for (brand, costs) in &view.costs {
            family.counter(&[account.name(), brand], account.shown(&series_key(brand), costs.processing_fees, now));
        }
    }
}

fn gauges(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let known = || cards(snapshot).filter(|(account, view)| view.listed && account.fresh(SOURCE, now.boot).is_some());
    let mut family = out.family(&CARD_PENDING);
    for (account, view) in known() {
        let mut pending: BTreeMap<(CardKind, &str), u64> = BTreeMap::new();
        for brand in view.costs.keys() {
            pending.extend(CardKind::VARIANTS.iter().copied().map(|kind| ((kind, &**brand), 0)));
        }
        for row in &view.pending {
            *pending.entry((row.kind, &*row.brand)).or_default() += 1;
        }
        for ((kind, brand), rows) in pending {
            family.sample(&[account.name(), kind.as_str(), brand], rows);
        }
    }
    let mut family = out.family(&CARD_OLDEST_PENDING);
    for (account, view) in known() {
        if let Some(oldest) = view.pending.iter().map(|row| row.created_at).min() {
            family.sample(&[account.name()], oldest);
        }
    }
    let mut family = out.family(&CARD_LAST);
    for (account, view) in known() {
        for ((kind, status), time) in &view.latest {
            family.sample(&[account.name(), kind.as_str(), status.as_str()], *time);
        }
    }
}
