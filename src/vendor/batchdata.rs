//! The BatchData wallet.
//!
//! Flows in: three GET endpoints. Flows out: balance, consumption by day, card transactions.
//! Invariant: all requests of one token share one budget, one pause and one idea of the vendor's clock.

use std::fmt;

use chrono::NaiveDate;

use super::balance::read_balance;
use super::consumption::read_consumption;
use super::error::RequestError;
use super::http::HttpClient;
use super::listing;
use super::period::Grain;
use super::records::{Balance, CardTransaction, ConsumptionReport};
use super::settings::{BuildError, ClientSettings};
use super::state::CredentialState;
use crate::names::Operation;

/// A client for one wallet token.
pub struct BatchData {
    client: HttpClient,
}

impl BatchData {
    /// A client with these settings. Sends nothing. `asked_for_days` if reports will be asked for, whose days the vendor
    /// compares with its own clock.
    ///
    /// # Errors
    /// If the settings cannot work at all.
    pub fn new(settings: ClientSettings, asked_for_days: bool) -> Result<BatchData, BuildError> {
        Ok(BatchData { client: HttpClient::new(settings, asked_for_days)? })
    }

    /// The wallet's balance.
    ///
    /// # Errors
    /// Everything that is not a believable balance.
    pub async fn balance(&self) -> Result<Balance, RequestError> {
        let whole = self.client.json(Operation::Balance, &[]).await?;
        read_balance(&whole.body, self.credential().now()).map_err(|error| whole.about.invalid(error))
    }

    /// What was spent and paid in, by UTC day, both ends included; with [`Grain::Hour`] debits by hour, too.
    ///
    /// # Errors
    /// Everything that is not a believable report of just these days.
    pub async fn consumption(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        grain: Grain,
    ) -> Result<ConsumptionReport, RequestError> {
        let group_by = grain.as_str().to_owned();
        let query = [("start_date", from.to_string()), ("end_date", to.to_string()), ("group_by", group_by)];
        let whole = self.client.json(Operation::ConsumptionReport, &query).await?;
        let report = read_consumption(&whole.body, from, to, grain).map_err(|error| whole.about.invalid(error))?;
        self.credential().day_accepted(to);
        Ok(report)
    }

    /// All card transactions made between two dates, both included; sorted by id, each id once.
    ///
    /// # Errors
    /// Everything that is not a complete listing.
    pub async fn card_transactions(
        &self,
        from: Option<NaiveDate>,
        to: Option<NaiveDate>,
    ) -> Result<Vec<CardTransaction>, RequestError> {
        listing::walk(&self.client, from, to).await
    }

    /// The vendor's clock and the pause of this token.
    #[must_use]
    pub fn credential(&self) -> CredentialState<'_> {
        CredentialState::of(self.client.credential())
    }
}

impl fmt::Debug for BatchData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BatchData")
    }
}
