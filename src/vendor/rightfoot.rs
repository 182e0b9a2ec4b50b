//! The Rightfoot balance checks.
//!
//! Flows in: the streamed CSV export. Flows out: rows to a sink, as they come.
//! Invariant: memory does not depend on the export's size; a sink has the whole export only if `Ok` came back.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{BuildError, ClientSettings, Fault, Operation, Reason, RowSink};

/// A client for one Rightfoot key.
pub struct Rightfoot {
    settings: ClientSettings,
}

/// What an export held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportSummary {
    /// Rows that were taken.
    pub rows: u64,
    /// Rows that were not.
    pub rejected: u64,
}

impl Rightfoot {
    /// A client with these settings. Sends nothing.
    ///
    /// # Errors
    /// If the settings cannot work at all.
    pub fn new(settings: ClientSettings) -> Result<Rightfoot, BuildError> {
        Ok(Rightfoot { settings })
    }

    /// The results of these batches. On an error the sink has seen a part, which must be thrown away.
    ///
    /// # Errors
    /// Everything that is not a complete export.
    pub async fn balances_csv(&self, _ids: &[Uuid], _sink: &mut dyn RowSink) -> Result<ExportSummary, Fault> {
        Err(Fault::new(Operation::BalancesCsv, Reason::Refused, "not built yet"))
    }

    /// The vendor's clock, as its `Date` headers tell it: to the second.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.settings.clock.now()
    }

    /// Until when all requests of this key wait.
    #[must_use]
    pub fn pause_until(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// Lets all requests of this key wait; never shortens a longer pause.
    pub fn pause(&self, _until: DateTime<Utc>) {}
}
