//! What the exporter's own storage knows of a wallet, read beside a running exporter.
//!
//! Invariant: nothing is written, and no process is waited for.

use std::path::Path;

use chrono::{DateTime, NaiveDate, Utc};

use crate::batchdata::consumption::ledger::{BaseLine, ConsumptionLedger};
use crate::batchdata::consumption::series::MoneySeries;
use crate::batchdata::consumption::table::{FirstReport, read_first_report, read_ledger};
use crate::batchdata::reconciliation::BALANCE_SERIES;
use crate::batchdata::{CONSUMPTION, VENDOR};
use crate::store::{AccountId, OpenError, Reader, Schema, StoreError, read_account};

/// The counters of a wallet.
pub struct Counters {
    /// Their values, label values and days.
    pub ledger: ConsumptionLedger,
    /// What they began with, where that was kept.
    pub first: Option<FirstReport>,
}

/// What is stored of a wallet.
#[derive(Default)]
pub struct Recorded {
    /// The counters, once a report was counted.
    pub counters: Option<Counters>,
    /// Before this moment no counter was served.
    pub counters_since: Option<DateTime<Utc>>,
    /// Before this moment no balance was served.
    pub balance_since: Option<DateTime<Utc>>,
}

impl Recorded {
    /// Reads it; nothing is known where nothing was polled yet.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(storage: Option<&Path>, schema: Schema, account: &str) -> Result<Recorded, OpenError> {
        let Some(directory) = storage else { return Ok(Recorded::default()) };
        Ok(read_account(directory, schema, (VENDOR, account), read)?.unwrap_or_default())
    }

    /// The ledger, once there is one.
    #[must_use]
    pub fn ledger(&self) -> Option<&ConsumptionLedger> {
        self.counters.as_ref().map(|counters| &counters.ledger)
    }
}

impl Counters {
    /// From which day on they count, if history is counted.
    #[must_use]
    pub fn since(&self) -> Option<NaiveDate> {
        match self.ledger.base() {
            BaseLine::Day(day) => Some(day),
            BaseLine::FirstReport => None,
        }
    }
}

fn read(reader: &Reader<'_>, account: AccountId) -> Result<Recorded, StoreError> {
    Ok(Recorded {
        counters: read_counters(reader, account)?,
        counters_since: reader.created_at(account, &MoneySeries::Debit.key())?,
        balance_since: reader.created_at(account, BALANCE_SERIES)?,
    })
}

fn read_counters(reader: &Reader<'_>, account: AccountId) -> Result<Option<Counters>, StoreError> {
    let Some(stored) = reader.source(account, CONSUMPTION)? else { return Ok(None) };
    let since = stored.configured_since.as_deref().and_then(|day| day.parse().ok());
    let base = since.map_or(BaseLine::FirstReport, BaseLine::Day);
    let Some((ledger, _)) = read_ledger(reader, account, base, &[])? else { return Ok(None) };
    Ok(Some(Counters { ledger, first: read_first_report(reader, account)? }))
}
