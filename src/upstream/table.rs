//! A CSV with a header row, read as it arrives.
//!
//! Flows in: the chunks of a CSV, and what its rows mean. Flows out: rows to a sink, in constant memory, and how many there
//! were. Invariant: columns are found by name; the result does not depend on how the bytes were cut.

use strum::VariantArray;

use super::ParseError;
use super::csv::{Fields, Records, Splitter, TooLong};
use crate::names::Label;

/// What the rows of a CSV mean.
pub trait Rows {
    /// Where the columns are.
    type Columns: Copy;
    /// Why a row is not taken.
    type Reject: Label + VariantArray + PartialEq;
    /// Takes the rows.
    type Sink<'a>: ?Sized;

    /// Finds the columns by the header.
    fn columns(header: Fields<'_>) -> Result<Self::Columns, ParseError>;

    /// Reads one row and hands it over.
    fn row(
        &mut self,
        columns: &Self::Columns,
        fields: Fields<'_>,
        sink: &mut Self::Sink<'_>,
    ) -> Result<(), Self::Reject>;
}

/// How many rows a CSV had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSummary {
    /// Rows that were taken.
    pub rows: u64,
    /// Rows that were not.
    pub rejected: u64,
}

/// Reads a CSV as it arrives.
pub struct Table<R: Rows> {
    splitter: Splitter,
    state: TableState<R>,
}

struct TableState<R: Rows> {
    rows: R,
    columns: Option<R::Columns>,
    error: Option<ParseError>,
    summary: TableSummary,
    /// Rejected rows, in the order of the reasons.
    by_reason: Vec<u64>,
}

struct Feed<'a, 's, R: Rows> {
    state: &'a mut TableState<R>,
    sink: &'a mut R::Sink<'s>,
}

impl<R: Rows> Table<R> {
    pub(crate) fn of(rows: R) -> Table<R> {
        let by_reason = vec![0; R::Reject::VARIANTS.len()];
        let state = TableState { rows, columns: None, error: None, summary: TableSummary::default(), by_reason };
        Table { splitter: Splitter::new(), state }
    }

    /// Takes the next bytes, however they were cut.
    ///
    /// # Errors
    /// A [`ParseError`] of class `decode`, after which the CSV is over.
    pub fn push(&mut self, chunk: &[u8], sink: &mut R::Sink<'_>) -> Result<(), ParseError> {
        let outcome = self.splitter.push(chunk, &mut Feed { state: &mut self.state, sink });
        self.state.validate(outcome)
    }

    /// The bytes have ended, all of them: the caller knows by the framing. The last record may lack its line end.
    ///
    /// # Errors
    /// A [`ParseError`] of class `truncated` if they ended early (nothing at all came, or within quotes), or `decode` if
    /// there were rows and all of them were rejected.
    pub fn finish(mut self, sink: &mut R::Sink<'_>) -> Result<TableSummary, ParseError> {
        let outcome = self.splitter.finish(&mut Feed { state: &mut self.state, sink });
        if !self.state.validate(outcome)? {
            return Err(ParseError::truncated("the body ends inside a quoted field"));
        }
        if self.state.columns.is_none() {
            return Err(ParseError::truncated("the body is empty: it has no header row"));
        }
        let summary = self.state.summary;
        if summary.rows == 0 && summary.rejected > 0 {
            let reasons = R::Reject::VARIANTS.iter().zip(&self.state.by_reason).filter(|(_, count)| **count > 0);
            let reasons: Vec<String> = reasons.map(|(reason, count)| format!("{} {count}", reason.as_str())).collect();
            let words = format!("all {} rows were rejected: {}", summary.rejected, reasons.join(", "));
            return Err(ParseError::decode(words));
        }
        Ok(summary)
    }
}

impl<R: Rows> Records for Feed<'_, '_, R> {
    fn record(&mut self, fields: Fields<'_>) {
        let Feed { state, sink } = self;
        if state.error.is_some() {
            return;
        }
        let Some(columns) = state.columns else {
            match R::columns(fields) {
                Ok(columns) => state.columns = Some(columns),
                Err(error) => state.error = Some(error),
            }
            return;
        };
        match state.rows.row(&columns, fields, sink) {
            Ok(()) => state.summary.rows += 1,
            Err(reason) => {
                state.summary.rejected += 1;
                for (known, count) in R::Reject::VARIANTS.iter().zip(&mut state.by_reason) {
                    *count += u64::from(*known == reason);
                }
            }
        }
    }
}

impl<R: Rows> TableState<R> {
    fn validate<T>(&self, outcome: Result<T, TooLong>) -> Result<T, ParseError> {
        // What was found first stands first.
        match self.error.clone() {
            Some(error) => Err(error),
            None => outcome.map_err(ParseError::from),
        }
    }
}
