//! The wallet's balance.
//!
//! Flows in: the vendor's answer. Flows out: a gauge, and the answer to the store for the next start.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::account_storage::AccountStorage;
use super::source::Poller;
use crate::money::Usd;
use crate::store::Success;
use crate::vendor::{Balance, BatchData, CredentialState, RequestError, Source};

/// Polls the balance.
pub struct BalancePoller {
    client: Arc<BatchData>,
    storage: Arc<AccountStorage>,
}

impl BalancePoller {
    /// Ready to poll.
    #[must_use]
    pub fn new(client: Arc<BatchData>, storage: Arc<AccountStorage>) -> BalancePoller {
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
        Source::Balance
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
            ..self.storage.success(Source::Balance)
        };
        // A gauge goes on whether or not it could be kept.
        self.storage.work("balance", move |store| store.succeed(&success)).await;
        self.storage.cell.update(|snapshot| {
            if let Some(wallet) = snapshot.wallet_mut(&self.storage.name) {
                wallet.balance = Some(balance);
            }
        });
        Ok(())
    }
}
