//! Transactions as counters, and what the debits among them cost.

use super::TransactionType;
use super::ledger::{BOUNDS, series_key};
use crate::batchdata::{TRANSACTIONS as SOURCE, TransactionsView, WalletView};
use crate::catalog::{counter, families, histogram};
use crate::clock::Moment;
use crate::exposition::Encoder;
use crate::names::Label as _;
use crate::snapshot::{AccountView, Snapshot};

families! {
    /// Of the transactions.
    FAMILIES:
    TRANSACTIONS = counter("batchdata_wallet_transactions_total", &["account", "type", "endpoint_name"], "Transactions of the wallet by type and endpoint, each counted once.");
    TRANSACTION_AMOUNT = histogram("batchdata_wallet_transaction_usd", &["account", "endpoint_name"], "Amounts in US dollars of the debits that are counted; negative ones are left out.");
}

/// Writes them.
pub fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let counted = || transactions(snapshot).filter(|(account, _)| account.is_counted(SOURCE));
    let mut family = out.family(&TRANSACTIONS);
    for (account, view) in counted() {
        for (series, counter) in &view.counters {
            let shown = account.shown(&series_key(series), counter.counted.unsigned_abs(), now);
            family.counter(&[account.name(), series.0.as_str(), &series.1], shown);
        }
    }
    let bounds = BOUNDS.map(|bound| bound as f64 / 10_000.0);
    let mut family = out.family(&TRANSACTION_AMOUNT);
    for (account, view) in counted() {
        for (endpoint, amounts) in &view.amounts {
            let key = series_key(&(TransactionType::Debit, endpoint.clone()));
            family.amounts(&[account.name(), endpoint], &bounds, account.shown(&key, amounts.clone(), now));
        }
    }
}

fn transactions(snapshot: &Snapshot) -> impl Iterator<Item = (&AccountView, &TransactionsView)> {
    snapshot.with_facts::<WalletView>().filter_map(|(account, wallet)| Some((account, wallet.transactions.as_deref()?)))
}
