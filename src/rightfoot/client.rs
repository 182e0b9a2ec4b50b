//! The Rightfoot balance checks.
//!
//! Flows in: the streamed CSV export. Flows out: rows to a sink, as they come.
//! Invariant: memory does not depend on the export's size; a sink has the whole export only if `Ok` came back.

use std::fmt;

use uuid::Uuid;

use super::batches::wire::Export;
use super::{BATCHES, RowSink};
use crate::upstream::table::TableSummary;
use crate::upstream::{BuildError, ClientSettings, CredentialState, HttpClient, RequestError};

/// A client for one Rightfoot key.
pub struct Client {
    client: HttpClient,
}

impl Client {
    /// A client with these settings. Sends nothing.
    ///
    /// # Errors
    /// If the settings cannot work at all.
    pub fn new(settings: ClientSettings) -> Result<Client, BuildError> {
        Ok(Client { client: HttpClient::new(settings, false)? })
    }

    /// The results of these batches. On an error the sink has seen a part, which must be thrown away. A URL has room
    /// for a hundred or so ids; without an id nothing is asked and the answer is empty.
    ///
    /// # Errors
    /// Everything that is not a complete export.
    pub async fn balances_csv(&self, ids: &[Uuid], sink: &mut dyn RowSink) -> Result<TableSummary, RequestError> {
        if ids.is_empty() {
            return Ok(TableSummary::default());
        }
        let query: Vec<_> = ids.iter().map(|id| ("batch_ids", id.to_string())).collect();
        let mut stream = self.client.csv(BATCHES.operation, &query).await?;
        let about = stream.about();
        let mut export = Export::new(ids);
        while let Some(chunk) = stream.chunk().await? {
            export.push(&chunk, sink).map_err(|error| about.invalid(error))?;
        }
        export.finish(sink).map_err(|error| about.invalid(error))
    }

    /// Whether the vendor answers for a batch. Only the head of the answer is read.
    ///
    /// # Errors
    /// Everything that is not the start of an export.
    pub async fn answers_for(&self, id: Uuid) -> Result<(), RequestError> {
        let query = [("batch_ids", id.to_string())];
        self.client.csv(BATCHES.operation, &query).await.map(|_| ())
    }

    /// The vendor's clock and the pause of this key.
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
