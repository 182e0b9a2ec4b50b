//! The wallet's balance.
//!
//! Flows in: the vendor's answer. Flows out: a gauge, and the answer to the store for the next start.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::batchdata::{BALANCE, Balance, Client, WalletView};
use crate::money::Usd;
use crate::names::Source;
use crate::poll::account_storage::AccountStorage;
use crate::poll::source::Poller;
use crate::store::Success;
use crate::upstream::{CredentialState, RequestError};

/// Polls the balance.
pub struct BalancePoller {
    client: Arc<Client>,
    storage: Arc<AccountStorage>,
}

impl BalancePoller {
    /// Ready to poll.
    #[must_use]
    pub fn new(client: Arc<Client>, storage: Arc<AccountStorage>) -> BalancePoller {
        BalancePoller { client, storage }
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
        let balance = self.client.balance().await?;
        let success = Success {
            count_since: self.client.credential().now(),
            answer: Some(written(&balance)),
            ..self.storage.success(BALANCE)
        };
        // A gauge goes on whether or not it could be kept.
        self.storage.work("balance", move |store| store.succeed(&success)).await;
        self.storage.update(|account| account.update_facts::<WalletView>(|wallet| wallet.balance = Some(balance)));
        Ok(())
    }
}
