//! The consumption report as CSV.
//!
//! Flows in: the chunks of a CSV. Flows out: transactions to a sink, in constant memory. Invariant: columns are found by
//! name; a row is of a day that was asked for; the result does not depend on how the bytes were cut.

use crate::names::Label as _;
use strum::VariantArray as _;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::{Personal, Transaction, TransactionReject, TransactionSink, TransactionSummary, TransactionType};
use crate::money::Usd;
use crate::upstream::ParseError;
use crate::upstream::csv::{Fields, Records, Splitter, TooLong, place_of};
use crate::upstream::dates::{date, number};

/// Reads a CSV as it arrives.
pub struct Transactions {
    splitter: Splitter,
    rows: Rows,
}

impl Transactions {
    /// A CSV of these days, both included.
    #[must_use]
    pub fn new(from: NaiveDate, to: NaiveDate) -> Transactions {
        let rows = Rows {
            days: (from, to),
            columns: None,
            error: None,
            summary: TransactionSummary::default(),
            by_reason: [0; TransactionReject::VARIANTS.len()],
        };
        Transactions { splitter: Splitter::new(), rows }
    }

    /// Takes the next bytes, however they were cut.
    ///
    /// # Errors
    /// A [`ParseError`] of class `decode`, after which the CSV is over.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn TransactionSink) -> Result<(), ParseError> {
        let outcome = self.splitter.push(chunk, &mut Feed { rows: &mut self.rows, sink });
        self.rows.validate(outcome)
    }

    /// The bytes have ended, all of them: the caller knows by the framing. The last record may lack its line end.
    ///
    /// # Errors
    /// A [`ParseError`] of class `truncated` if they ended early (nothing at all came, or within quotes), or `decode` if
    /// there were rows and all of them were rejected.
    pub fn finish(mut self, sink: &mut dyn TransactionSink) -> Result<TransactionSummary, ParseError> {
        let outcome = self.splitter.finish(&mut Feed { rows: &mut self.rows, sink });
        if !self.rows.validate(outcome)? {
            return Err(ParseError::truncated("the body ends inside a quoted field"));
        }
        if self.rows.columns.is_none() {
            return Err(ParseError::truncated("the body is empty: it has no header row"));
        }
        let summary = self.rows.summary;
        if summary.rows == 0 && summary.rejected > 0 {
            let reasons = TransactionReject::VARIANTS.iter().zip(self.rows.by_reason).filter(|(_, count)| *count > 0);
            let reasons: Vec<String> = reasons.map(|(reason, count)| format!("{} {count}", reason.as_str())).collect();
            let words = format!("all {} rows were rejected: {}", summary.rejected, reasons.join(", "));
            return Err(ParseError::decode(words));
        }
        Ok(summary)
    }
}

struct Rows {
    days: (NaiveDate, NaiveDate),
    columns: Option<Columns>,
    error: Option<ParseError>,
    summary: TransactionSummary,
    by_reason: [u64; TransactionReject::VARIANTS.len()],
}

struct Feed<'a> {
    rows: &'a mut Rows,
    sink: &'a mut dyn TransactionSink,
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
        match read(&columns, fields, rows.days) {
            Ok(row) => {
                rows.summary.rows += 1;
                sink.row(&row);
            }
            Err(reason) => {
                rows.summary.rejected += 1;
                for (known, count) in TransactionReject::VARIANTS.iter().zip(&mut rows.by_reason) {
                    *count += u64::from(*known == reason);
                }
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
}

fn read<'a>(
    columns: &Columns,
    fields: Fields<'a>,
    (from, to): (NaiveDate, NaiveDate),
) -> Result<Transaction<'a>, TransactionReject> {
    if fields.len() != columns.count {
        // Which field is which cannot be told.
        return Err(TransactionReject::Columns);
    }
    let field = |place| fields.get(place).unwrap_or_default();
    let text = |place| String::from_utf8_lossy(field(place).trim_ascii());
    let at = time(field(columns.date).trim_ascii()).ok_or(TransactionReject::Date)?;
    if !(from..=to).contains(&at.date_naive()) {
        return Err(TransactionReject::Date);
    }
    let amount = Usd::parse_bytes(field(columns.amount).trim_ascii()).map_err(|_| TransactionReject::Amount)?;
    let balance_after = match field(columns.balance_after).trim_ascii() {
        [] => None,
        digits => Some(Usd::parse_bytes(digits).map_err(|_| TransactionReject::Balance)?),
    };
    let kind_text = text(columns.kind);
    let kind = match kind_text.as_ref() {
        kind if kind.eq_ignore_ascii_case("debit") => TransactionType::Debit,
        kind if kind.eq_ignore_ascii_case("credit") => TransactionType::Credit,
        _ => TransactionType::Other,
    };
    Ok(Transaction {
        at,
        kind,
        kind_text,
        amount,
        balance_after,
        origin: text(columns.origin),
        endpoint_name: text(columns.endpoint),
        personal: Personal {
            reference_id: text(columns.reference_id),
            description: String::from_utf8_lossy(field(columns.description)),
        },
    })
}

/// `2026-05-01 14:00:00`, in UTC.
fn time(text: &[u8]) -> Option<DateTime<Utc>> {
    let (day, rest) = text.split_at_checked(10)?;
    let [b' ' | b'T', h1, h2, b':', m1, m2, b':', s1, s2] = *rest else { return None };
    let time = NaiveTime::from_hms_opt(number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?)?;
    Some(date(day)?.and_time(time).and_utc())
}

/// Where the columns stand.
#[derive(Clone, Copy)]
struct Columns {
    count: usize,
    date: usize,
    kind: usize,
    amount: usize,
    balance_after: usize,
    origin: usize,
    reference_id: usize,
    endpoint: usize,
    description: usize,
}

impl Columns {
    fn find(header: Fields<'_>) -> Result<Columns, ParseError> {
        Ok(Columns {
            count: header.len(),
            date: place_of(header, "Date")?,
            kind: place_of(header, "Type")?,
            amount: place_of(header, "Amount")?,
            balance_after: place_of(header, "Balance After")?,
            origin: place_of(header, "Origin")?,
            reference_id: place_of(header, "Reference ID")?,
            endpoint: place_of(header, "Endpoint")?,
            description: place_of(header, "Description")?,
        })
    }
}
