//! The balance-check export.
//!
//! Flows in: the chunks of a CSV. Flows out: rows and rejects to a sink, in constant memory.
//! Invariant: columns are found by name; of the personal columns only whether `Creator` is empty is looked at; a row
//! without an error names a batch that was asked for; the result does not depend on how the bytes were cut.

use crate::names::Label as _;
use std::borrow::Cow;
use strum::VariantArray as _;

use uuid::Uuid;

use super::timestamp::Timestamps;
use crate::money::Usd;
use crate::rightfoot::{CheckRow, CheckStatus, RowReject, RowSink, SubmittedVia};
use crate::upstream::ParseError;
use crate::upstream::csv::{Fields, Records, Splitter, TooLong, place_of};

/// What an export held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportSummary {
    /// Rows that were taken.
    pub rows: u64,
    /// Rows that were not.
    pub rejected: u64,
}

/// Reads an export as it arrives.
pub struct Export {
    splitter: Splitter,
    rows: Rows,
}

impl Export {
    /// An export of these batches.
    #[must_use]
    pub fn new(ids: &[Uuid]) -> Export {
        let mut asked = ids.to_vec();
        asked.sort_unstable();
        asked.dedup();
        Export {
            splitter: Splitter::new(),
            rows: Rows {
                asked,
                columns: None,
                error: None,
                last: ([0; 36], None),
                timestamps: Timestamps::default(),
                summary: ExportSummary::default(),
                by_reason: [0; RowReject::VARIANTS.len()],
            },
        }
    }

    /// Takes the next bytes, however they were cut.
    ///
    /// # Errors
    /// A [`ParseError`] of class `decode`, after which the export is over.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn RowSink) -> Result<(), ParseError> {
        let outcome = self.splitter.push(chunk, &mut Feed { rows: &mut self.rows, sink });
        self.rows.validate(outcome)
    }

    /// The bytes have ended, all of them: the caller knows by the framing. The last record may lack its line end.
    ///
    /// # Errors
    /// A [`ParseError`] of class `truncated` if they ended early (nothing at all came, or within quotes), or `decode` if there
    /// were rows and all of them were rejected.
    pub fn finish(mut self, sink: &mut dyn RowSink) -> Result<ExportSummary, ParseError> {
        let outcome = self.splitter.finish(&mut Feed { rows: &mut self.rows, sink });
        if !self.rows.validate(outcome)? {
            return Err(ParseError::truncated("the body ends inside a quoted field"));
        }
        if self.rows.columns.is_none() {
            return Err(ParseError::truncated("the body is empty: it has no header row"));
        }
        let summary = self.rows.summary;
        if summary.rows == 0 && summary.rejected > 0 {
            let reasons: Vec<String> = RowReject::VARIANTS
                .iter()
                .zip(self.rows.by_reason)
                .filter(|(_, count)| *count > 0)
                .map(|(reason, count)| format!("{} {count}", reason.as_str()))
                .collect();
            return Err(ParseError::decode(format!(
                "all {} rows were rejected: {}",
                summary.rejected,
                reasons.join(", ")
            )));
        }
        Ok(summary)
    }
}

struct Rows {
    /// Sorted.
    asked: Vec<Uuid>,
    columns: Option<Columns>,
    error: Option<ParseError>,
    /// The batch id of the row before, as it was written and as it was understood: rows come in long runs of one batch.
    last: ([u8; 36], Option<Uuid>),
    timestamps: Timestamps,
    summary: ExportSummary,
    by_reason: [u64; RowReject::VARIANTS.len()],
}

struct Feed<'a> {
    rows: &'a mut Rows,
    sink: &'a mut dyn RowSink,
}

impl Records for Feed<'_> {
    fn record(&mut self, fields: Fields<'_>) {
        let Feed { rows, sink } = self;
        if rows.error.is_some() {
            return;
        }
        let Some(columns) = rows.columns else {
            match Columns::find(fields) {
                Ok(columns) => rows.columns = Some(columns),
                Err(error) => rows.error = Some(error),
            }
            return;
        };
        match rows.read(&columns, fields, *sink) {
            Ok(()) => rows.summary.rows += 1,
            Err((reason, batch_id)) => {
                rows.summary.rejected += 1;
                for (known, count) in RowReject::VARIANTS.iter().zip(&mut rows.by_reason) {
                    *count += u64::from(*known == reason);
                }
                sink.rejected(reason, batch_id);
            }
        }
    }
}

impl Rows {
    fn validate<T>(&self, outcome: Result<T, TooLong>) -> Result<T, ParseError> {
        // What was found first stands first.
        match self.error.clone() {
            Some(error) => Err(error),
            None => outcome.map_err(ParseError::from),
        }
    }

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
struct Columns {
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
