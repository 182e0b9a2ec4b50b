//! The balance and its thresholds as gauges.

use crate::batchdata::{BALANCE as SOURCE, WalletView};
use crate::catalog::{ACCOUNT, families, gauge};
use crate::clock::Moment;
use crate::exposition::Encoder;
use crate::snapshot::Snapshot;

families! {
    /// Of the balance.
    FAMILIES:
    BALANCE = gauge("batchdata_wallet_balance_usd", ACCOUNT, "Wallet balance in US dollars, as the vendor last computed it.");
    BALANCE_AS_OF = gauge("batchdata_wallet_balance_as_of_timestamp_seconds", ACCOUNT, "When the vendor computed the wallet balance.");
    BALANCE_THRESHOLD = gauge("batchdata_wallet_balance_threshold_usd", &["account", "severity"], "Configured balance in US dollars below which the alert of this severity fires.");
}

/// Writes them.
pub fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let wallets = || snapshot.with_facts::<WalletView>();
    let known = || {
        let fresh = wallets().filter(|(account, _)| account.fresh(SOURCE, now.boot).is_some());
        fresh.filter_map(|(account, wallet)| Some((account.name(), wallet.balance?)))
    };
    let mut family = out.family(&BALANCE);
    for (account, balance) in known() {
        family.sample(&[account], balance.amount);
    }
    let mut family = out.family(&BALANCE_AS_OF);
    for (account, balance) in known() {
        family.sample(&[account], balance.as_of);
    }
    let mut family = out.family(&BALANCE_THRESHOLD);
    for (account, wallet) in wallets() {
        for (severity, threshold) in [("warning", wallet.warning_balance), ("critical", wallet.critical_balance)] {
            if let Some(threshold) = threshold {
                family.sample(&[account.name(), severity], threshold);
            }
        }
    }
}
