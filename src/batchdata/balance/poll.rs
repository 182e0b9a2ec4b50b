//! The wallet's balance.
//!
//! Flows in: the vendor's answer. Flows out: a gauge, what comparing it with the report shows, and both to the store for
//! the next start.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::batchdata::consumption::periods::Period;
use crate::batchdata::reconciliation::{BalanceCommit, SharedReconciliation};
use crate::batchdata::{BALANCE, Balance, Client, WalletView};
use crate::money::Usd;
use crate::names::Source;
use crate::poll::account_storage::AccountStorage;
use crate::poll::source::Poller;
use crate::store::{Store, Success};
use crate::upstream::{CredentialState, RequestError};

/// Polls the balance.
pub struct BalancePoller {
    client: Arc<Client>,
    storage: Arc<AccountStorage>,
    reconciliation: Option<SharedReconciliation>,
}

impl BalancePoller {
    /// Ready to poll; with what compares the balance, if there is a report to compare it with.
    #[must_use]
    pub fn new(
        client: Arc<Client>,
        storage: Arc<AccountStorage>,
        reconciliation: Option<SharedReconciliation>,
    ) -> BalancePoller {
        BalancePoller { client, storage, reconciliation }
    }
}

impl BalancePoller {
    /// Looks for another account that shows the same wallet.
    fn compare_accounts(&self) {
        let (snapshot, name) = (self.storage.cell.current(), &self.storage.name);
        let mut wallets = snapshot.with_facts::<WalletView>();
        let Some((_, wallet)) = wallets.clone().find(|(account, _)| account.name() == name) else { return };
        let (Some(balance), mut seen) = (wallet.balance, wallet.seen.clone()) else { return };
        let month = wallet.consumption.as_ref().and_then(|view| view.periods.as_ref()?.debit(Period::MonthToDate));
        let was = wallet.same_as.as_ref();
        let is_gone = was.is_some_and(|was| wallets.clone().all(|(account, _)| account.name() != was));
        if !seen.push(balance.amount, month) && !is_gone {
            return;
        }
        let same = wallets.find(|(account, other)| account.name() != name && seen.is_same(&other.seen));
        let same = same.map(|(account, _)| account.name().to_owned());
        if let Some(other) = same.as_ref().filter(|_| was.is_none()) {
            tracing::warn!(account = name, other, "two accounts show the same wallet: its money is counted twice");
        }
        self.storage.update(|account| {
            account.update_facts::<WalletView>(|wallet| (wallet.seen, wallet.same_as) = (seen, same));
        });
    }
}

/// The answer as it is stored: amount and time, apart by a space.
fn written(balance: &Balance) -> String {
    format!("{} {}", balance.amount, balance.as_of.to_rfc3339())
}

/// A stored answer.
#[must_use]
pub fn restored(answer: &str) -> Option<Balance> {
    let (amount, as_of) = answer.split_once(' ')?;
    let as_of = DateTime::parse_from_rfc3339(as_of).ok()?.with_timezone(&Utc);
    Some(Balance { amount: Usd::stored(amount)?, as_of })
}

#[async_trait]
impl Poller for BalancePoller {
    fn source(&self) -> Source {
        BALANCE
    }

    fn storage(&self) -> &AccountStorage {
        &self.storage
    }

    fn credential(&self) -> CredentialState<'_> {
        self.client.credential()
    }

    async fn pass(&mut self) -> Result<(), RequestError> {
        let began = self.storage.clock.boot();
        let balance = self.client.balance().await?;
        let success = Success {
            count_since: self.client.credential().now(),
            answer: Some(written(&balance)),
            ..self.storage.success(BALANCE)
        };
        let (shared, at) = (self.reconciliation.as_ref(), success.at);
        let reconciled = shared.zip(at).map(|(shared, at)| {
            let mut reconciliation = shared.lock();
            let poll = reconciliation.balance(began, at.boot, balance.amount);
            ((poll, reconciliation.oldest()), reconciliation.compared().cloned())
        });
        let (poll, compared) = reconciled.unzip();
        let compared = compared.flatten();
        let commit = BalanceCommit { success, poll, compared: compared.clone() };
        // A gauge goes on whether or not it could be kept.
        self.storage.work("balance", move |store: &Store| store.commit_balance(&commit)).await;
        self.storage.update(|account| {
            account.update_facts::<WalletView>(|wallet| (wallet.balance, wallet.compared) = (Some(balance), compared));
        });
        self.compare_accounts();
        Ok(())
    }
}
