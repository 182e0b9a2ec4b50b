//! The balance-check export.
//!
//! Flows in: records. Flows out: rows and rejects to a sink. Invariant: of the personal columns only whether `Creator` is
//! empty is looked at; a row without an error names a batch that was asked for.

use std::borrow::Cow;

use uuid::Uuid;

use super::timestamp::Timestamps;
use crate::money::Usd;
use crate::rightfoot::{CheckRow, CheckStatus, RowReject, RowSink, SubmittedVia};
use crate::upstream::ParseError;
use crate::upstream::csv::{Fields, place_of};
use crate::upstream::table::{Rows, Table};

/// Reads an export as it arrives.
pub type Export = Table<CheckRows>;

/// Rows of the batches that were asked for.
pub struct CheckRows {
    /// Sorted.
    asked: Vec<Uuid>,
    /// The batch id of the row before, as it was written and as it was understood: rows come in long runs of one batch.
    last: ([u8; 36], Option<Uuid>),
    timestamps: Timestamps,
}

impl Export {
    /// An export of these batches.
    #[must_use]
    pub fn new(ids: &[Uuid]) -> Export {
        let mut asked = ids.to_vec();
        asked.sort_unstable();
        asked.dedup();
        Table::of(CheckRows { asked, last: ([0; 36], None), timestamps: Timestamps::default() })
    }
}

impl Rows for CheckRows {
    type Columns = Columns;
    type Reject = RowReject;
    type Sink<'a> = dyn RowSink + 'a;

    fn columns(header: Fields<'_>) -> Result<Columns, ParseError> {
        Columns::find(header)
    }

    fn row(&mut self, columns: &Columns, fields: Fields<'_>, sink: &mut (dyn RowSink + '_)) -> Result<(), RowReject> {
        self.read(columns, fields, sink).map_err(|(reason, batch_id)| {
            sink.rejected(reason, batch_id);
            reason
        })
    }
}

impl CheckRows {
    fn read(
        &mut self,
        columns: &Columns,
        fields: Fields<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<(), (RowReject, Option<Uuid>)> {
        if fields.len() != columns.count {
            // Which field is which cannot be told, the batch id's not either.
            return Err((RowReject::Columns, None));
        }
        let field = |index| fields.get(index).unwrap_or_default().trim_ascii();
        let batch_id = self.batch(field(columns.batch_id)).ok_or((RowReject::BatchId, None))?;
        let reject = |reason| (reason, Some(batch_id));
        let balance = match field(columns.balance) {
            [] => None,
            digits => Some(Usd::parse_bytes(digits).map_err(|_| reject(RowReject::Balance))?),
        };
        let timestamp = self.timestamps.read(field(columns.timestamp)).ok_or(reject(RowReject::Timestamp))?;
        let institution = fields.get(columns.institution).unwrap_or_default();
        // The strict check is several times as fast as the replacing one, and nearly always enough.
        let institution =
            std::str::from_utf8(institution).map_or_else(|_| String::from_utf8_lossy(institution), Cow::Borrowed);
        sink.row(&CheckRow {
            batch_id,
            institution: &institution,
            balance,
            status: status(field(columns.status)),
            via: if field(columns.creator).is_empty() { SubmittedVia::Api } else { SubmittedVia::Dashboard },
            timestamp,
        });
        Ok(())
    }

    fn batch(&mut self, written: &[u8]) -> Option<Uuid> {
        // Only the usual form with four hyphens: the parser knows others.
        let written = <&[u8; 36]>::try_from(written).ok()?;
        if self.last.0 != *written {
            let id = Uuid::try_parse_ascii(written).ok().filter(|id| self.asked.binary_search(id).is_ok());
            self.last = (*written, id);
        }
        self.last.1
    }
}

fn status(word: &[u8]) -> CheckStatus {
    match word {
        b"SUCCESS" => CheckStatus::Success,
        b"NO_MATCH" => CheckStatus::NoMatch,
        b"ACCOUNT_CLOSED" => CheckStatus::AccountClosed,
        b"BANK_UNSUPPORTED" => CheckStatus::BankUnsupported,
        b"RETRIEVAL_FAILED" => CheckStatus::RetrievalFailed,
        b"RETRY_LIMIT" => CheckStatus::RetryLimit,
        b"PROCESSING_ERROR" => CheckStatus::ProcessingError,
        _ => CheckStatus::Unknown,
    }
}

/// Where the needed columns stand.
#[derive(Clone, Copy)]
pub struct Columns {
    count: usize,
    batch_id: usize,
    institution: usize,
    balance: usize,
    status: usize,
    creator: usize,
    timestamp: usize,
}

impl Columns {
    fn find(header: Fields<'_>) -> Result<Columns, ParseError> {
        Ok(Columns {
            count: header.len(),
            batch_id: place_of(header, "Batch ID")?,
            institution: place_of(header, "Institution")?,
            balance: place_of(header, "Balance")?,
            status: place_of(header, "Status")?,
            creator: place_of(header, "Creator")?,
            timestamp: place_of(header, "Timestamp")?,
        })
    }
}
