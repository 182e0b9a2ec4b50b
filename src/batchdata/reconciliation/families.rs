//! What the balance holds more than the report explains, as gauges.

use crate::batchdata::WalletView;
use crate::catalog::{ACCOUNT, families, gauge};
use crate::clock::Moment;
use crate::exposition::Encoder;
use crate::snapshot::Snapshot;

families! {
    /// Of the reconciliation.
    FAMILIES:
    UNRECONCILED = gauge("batchdata_wallet_unreconciled_usd", ACCOUNT, "Part of the balance in US dollars that the consumption report does not explain, since the first comparison; negative if the wallet holds less.");
    RECONCILED = gauge("batchdata_wallet_reconciled_timestamp_seconds", ACCOUNT, "Newest consumption report that was compared with the balance.");
}

/// Writes them.
pub fn write(out: &mut Encoder, snapshot: &Snapshot, now: Moment) {
    let wallets = || snapshot.with_facts::<WalletView>();
    let mut family = out.family(&UNRECONCILED);
    for (account, wallet) in wallets() {
        if let Ok(unreconciled) = wallet.unreconciled(account, now.boot) {
            family.sample(&[account.name()], unreconciled);
        }
    }
    let mut family = out.family(&RECONCILED);
    for (account, wallet) in wallets() {
        if let Some(report) = wallet.compared.as_ref().and_then(|compared| compared.report) {
            family.sample(&[account.name()], report.by_clock_of(now));
        }
    }
}
