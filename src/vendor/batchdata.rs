//! The BatchData wallet.
//!
//! Flows in: three GET endpoints. Flows out: balance, consumption by day, card transactions.
//! Invariant: all requests of one credential share one budget, one pause and one idea of the vendor's clock.

use chrono::{DateTime, NaiveDate, Utc};

use super::{Balance, BuildError, CardTransaction, ClientSettings, ConsumptionReport, Fault, Operation, Reason};

/// A client for one wallet token.
pub struct BatchData {
    settings: ClientSettings,
}

impl BatchData {
    /// A client with these settings. Sends nothing.
    ///
    /// # Errors
    /// If the settings cannot work at all.
    pub fn new(settings: ClientSettings) -> Result<BatchData, BuildError> {
        Ok(BatchData { settings })
    }

    /// The wallet's balance.
    ///
    /// # Errors
    /// Everything that is not a believable balance.
    pub async fn balance(&self) -> Result<Balance, Fault> {
        Err(Fault::new(Operation::Balance, Reason::Refused, "not built yet"))
    }

    /// What was spent and paid in, by UTC day, both ends included.
    ///
    /// # Errors
    /// Everything that is not a believable report of just these days.
    pub async fn consumption(&self, _from: NaiveDate, _to: NaiveDate) -> Result<ConsumptionReport, Fault> {
        Err(Fault::new(Operation::ConsumptionReport, Reason::Refused, "not built yet"))
    }

    /// All card transactions made between two dates, both included; sorted by id, each id once.
    ///
    /// # Errors
    /// Everything that is not a complete listing.
    pub async fn card_transactions(
        &self,
        _from: Option<NaiveDate>,
        _to: Option<NaiveDate>,
    ) -> Result<Vec<CardTransaction>, Fault> {
        Err(Fault::new(Operation::CreditCardTransactions, Reason::Refused, "not built yet"))
    }

    /// The vendor's clock, as its `Date` headers tell it: to the second.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.settings.clock.now()
    }

    /// Until when all requests of this token wait.
    #[must_use]
    pub fn pause_until(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// Lets all requests of this token wait; never shortens a longer pause.
    pub fn pause(&self, _until: DateTime<Utc>) {}
}
