//! A snapshot as the page and `/api/v1/status` show it.

use chrono::{DateTime, Utc};

use super::source::SourceView;
use super::status::{
    AccountStatus, BatchStatus, BatchesStatus, FailureStatus, SourceState, SourceStatus, Status, StorageStatus,
    WalletStatus,
};
use super::views::{ChecksView, Snapshot, WalletView};
use crate::domain::batches::BatchState;
use crate::vendor::{Source, Vendor};

impl Snapshot {
    /// The whole state at `now`.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> Status {
        let wallets = self.wallets.iter().map(|wallet| AccountStatus {
            vendor: Vendor::BatchData.as_str().to_owned(),
            account: wallet.account.clone(),
            count_since: wallet.consumption.as_ref().and_then(|view| view.count_since),
            wallet: Some(self.wallet_status(wallet, now)),
            batches: None,
            sources: self.source_statuses(&wallet.account, Vendor::BatchData, now),
        });
        let rightfoots = self.rightfoots.iter().map(|view| AccountStatus {
            vendor: Vendor::Rightfoot.as_str().to_owned(),
            account: view.account.clone(),
            count_since: view.checks.count_since,
            wallet: None,
            batches: Some(batches_status(&view.checks)),
            sources: self.source_statuses(&view.account, Vendor::Rightfoot, now),
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: env!("GIT_REVISION").to_owned(),
            started_at: self.started_at,
            now,
            ready: self.is_ready(),
            storage: StorageStatus {
                durable: self.storage.durable,
                up: self.storage.up(),
                last_error: self.storage.last_error.clone(),
            },
            accounts: wallets.chain(rightfoots).collect(),
            warnings: self.warnings.clone(),
        }
    }

    fn wallet_status(&self, wallet: &WalletView, now: DateTime<Utc>) -> WalletStatus {
        let fresh = self.source(&wallet.account, Source::Balance).is_some_and(|source| source.is_fresh(now));
        let balance = wallet.balance.filter(|_| fresh);
        WalletStatus {
            balance_usd: balance.map(|balance| balance.amount.to_string()),
            balance_as_of: balance.map(|balance| balance.as_of),
            warning_balance_usd: wallet.warning_balance.map(|amount| amount.to_string()),
            critical_balance_usd: wallet.critical_balance.map(|amount| amount.to_string()),
        }
    }

    fn source_statuses(&self, account: &str, vendor: Vendor, now: DateTime<Utc>) -> Vec<SourceStatus> {
        let mine = |view: &&SourceView| view.account == account && view.source.vendor() == vendor;
        self.sources.iter().filter(mine).map(|view| source_status(view, now)).collect()
    }
}

fn source_status(view: &SourceView, now: DateTime<Utc>) -> SourceStatus {
    let state = match view.up {
        None => SourceState::Waiting,
        Some(true) => SourceState::Ok,
        Some(false) if view.last_success.is_some() && !view.is_fresh(now) => SourceState::Stale,
        Some(false) => SourceState::Failing,
    };
    SourceStatus {
        source: view.source.as_str().to_owned(),
        state,
        last_success: view.last_success,
        last_attempt: view.last_attempt,
        next_attempt: view.next_attempt,
        interval_seconds: view.interval.as_secs_f64(),
        max_age_seconds: view.max_age.as_secs_f64(),
        consecutive_failures: view.consecutive_failures,
        last_failure: view.last_failure.as_ref().map(|failure| FailureStatus {
            at: failure.at,
            reason: failure.reason.as_str().to_owned(),
            message: failure.message.clone(),
            advice: failure.advice.clone(),
        }),
    }
}

fn batches_status(view: &ChecksView) -> BatchesStatus {
    let count = |state| view.states.get(&state).copied().unwrap_or_default();
    let needing_care = view.needing_care.iter().map(|(id, state, first_seen)| BatchStatus {
        batch_id: id.to_string(),
        state: state.as_str().to_owned(),
        first_seen: *first_seen,
        advice: state.advice().to_owned(),
    });
    BatchesStatus {
        open: count(BatchState::Open),
        failing: count(BatchState::Failing),
        unavailable: count(BatchState::Unavailable),
        abandoned: count(BatchState::Abandoned),
        settled: count(BatchState::Settled),
        needing_care: needing_care.collect(),
    }
}
