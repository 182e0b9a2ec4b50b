//! What the exporter's own ledger knows of a wallet, read beside a running exporter.
//!
//! Invariant: nothing is written, and no process is waited for.

use std::path::Path;

use chrono::{DateTime, NaiveDate, Utc};

use crate::batchdata::consumption::ledger::{BaseLine, Ledger, Series};
use crate::batchdata::consumption::table::read_ledger;
use crate::batchdata::{CONSUMPTION, VENDOR};
use crate::store::{AccountId, OpenError, Reader, Schema, StoreError, read_account};

/// A wallet's ledger.
pub struct Recorded {
    /// Counters, label values and days.
    pub ledger: Ledger,
    /// Before this moment no counter was served.
    pub live_since: DateTime<Utc>,
}

impl Recorded {
    /// Reads it; `None` where nothing was counted yet.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(storage: Option<&Path>, schema: Schema, account: &str) -> Result<Option<Recorded>, OpenError> {
        let Some(directory) = storage else { return Ok(None) };
        Ok(read_account(directory, schema, (VENDOR, account), read)?.flatten())
    }

    /// From which day on it counts, if history is counted.
    #[must_use]
    pub fn since(&self) -> Option<NaiveDate> {
        match self.ledger.base() {
            BaseLine::Day(day) => Some(day),
            BaseLine::FirstReport => None,
        }
    }
}

fn read(reader: &Reader<'_>, account: AccountId) -> Result<Option<Recorded>, StoreError> {
    let Some(stored) = reader.source(account, CONSUMPTION)? else { return Ok(None) };
    let since = stored.configured_since.as_deref().and_then(|day| day.parse().ok());
    let base = since.map_or(BaseLine::FirstReport, BaseLine::Day);
    let Some((ledger, _)) = read_ledger(reader, account, base)? else { return Ok(None) };
    let live_since = reader.created_at(account, &Series::Debit.key())?;
    Ok(live_since.map(|live_since| Recorded { ledger, live_since }))
}
