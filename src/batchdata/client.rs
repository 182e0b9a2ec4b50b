//! The BatchData wallet.
//!
//! Flows in: three GET endpoints. Flows out: balance, consumption by day and by transaction, card transactions.
//! Invariant: all requests of one token share one budget, one pause and one idea of the vendor's clock.

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;

use super::balance::wire::read_balance;
use super::cards::listing;
use super::consumption::grain::Grain;
use super::consumption::wire::{read_consumption, read_hours};
use super::transactions::TransactionSink;
use super::transactions::wire::Transactions;
use super::{BALANCE, Balance, CONSUMPTION, CONSUMPTION_CSV, CardTransaction, ConsumptionReport, DayConsumption};
use crate::upstream::table::TableSummary;
use crate::upstream::{BuildError, ClientSettings, CredentialState, HttpClient, Reason, RequestError};

/// A client for one wallet token.
pub struct Client {
    client: HttpClient,
}

impl Client {
    /// A client with these settings. Sends nothing. `asked_for_days` if reports will be asked for, whose days the vendor
    /// compares with its own clock.
    ///
    /// # Errors
    /// If the settings cannot work at all.
    pub fn new(settings: ClientSettings, asked_for_days: bool) -> Result<Client, BuildError> {
        Ok(Client { client: HttpClient::new(settings, asked_for_days)? })
    }

    /// The wallet's balance.
    ///
    /// # Errors
    /// Everything that is not a believable balance.
    pub async fn balance(&self) -> Result<Balance, RequestError> {
        let whole = self.client.json(BALANCE.operation, &[]).await?;
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
        let whole = self.client.json(CONSUMPTION.operation, &query).await?;
        let report = read_consumption(&whole.body, from, to, grain).map_err(|error| whole.about.invalid(error))?;
        self.credential().day_accepted(to);
        Ok(report)
    }

    /// The same by hour, with origins and paths; named by the hours since 1970.
    ///
    /// # Errors
    /// Everything that is not a believable report of just these days.
    pub async fn consumption_hours(
        &self,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<BTreeMap<i64, DayConsumption>, RequestError> {
        let group_by = Grain::Hour.as_str().to_owned();
        let query = [("start_date", from.to_string()), ("end_date", to.to_string()), ("group_by", group_by)];
        let whole = self.client.json(CONSUMPTION.operation, &query).await?;
        read_hours(&whole.body, from, to).map_err(|error| whole.about.invalid(error))
    }

    /// The transactions of UTC days, both ends included, as they come. On an error the sink has seen a part, which must be
    /// thrown away.
    ///
    /// # Errors
    /// Everything that is not a complete CSV.
    pub async fn transactions(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        sink: &mut dyn TransactionSink,
    ) -> Result<TableSummary, RequestError> {
        let query = [("start_date", from.to_string()), ("end_date", to.to_string()), ("format", "csv".to_owned())];
        let mut stream = self.client.csv(CONSUMPTION_CSV, &query).await?;
        let about = stream.about();
        let mut transactions = Transactions::new(from, to);
        while let Some(chunk) = stream.chunk().await? {
            transactions.push(&chunk, sink).map_err(|error| about.invalid(error))?;
        }
        let summary = transactions.finish(sink).map_err(|error| about.invalid(error))?;
        self.credential().day_accepted(to);
        Ok(summary)
    }

    /// The vendor refuses days to come. Where only one clock tells the day of the base line, one that it takes shows that
    /// the clock is behind, and that what was spent since would be counted.
    ///
    /// # Errors
    /// If it takes the day after `day`, or does not say.
    pub async fn refuses_day_after(&self, day: NaiveDate) -> Result<(), RequestError> {
        let Some(next) = day.succ_opt() else { return Ok(()) };
        match self.consumption(next, next, Grain::Day).await {
            Err(error) if error.status == Some(422) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                let words = format!(
                    "the vendor reports {next} although it is {day} by its Date or this machine's clock: counting \
                     begins once the clocks are right"
                );
                Err(RequestError::new(CONSUMPTION.operation, Reason::Implausible, words))
            }
        }
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
        self.client.credential()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Client")
    }
}
