//! The consumption report as CSV.
//!
//! Flows in: records. Flows out: transactions to a sink. Invariant: a row is of a day that was asked for.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::{Personal, Transaction, TransactionReject, TransactionSink, TransactionType};
use crate::money::Usd;
use crate::upstream::ParseError;
use crate::upstream::csv::{Fields, place_of};
use crate::upstream::dates::{date, number};
use crate::upstream::table::{Rows, Table};

/// Reads a CSV as it arrives.
pub type Transactions = Table<TransactionRows>;

/// Rows of these days, both included.
pub struct TransactionRows {
    days: (NaiveDate, NaiveDate),
}

impl Transactions {
    /// A CSV of these days, both included.
    #[must_use]
    pub fn new(from: NaiveDate, to: NaiveDate) -> Transactions {
        Table::of(TransactionRows { days: (from, to) })
    }
}

impl Rows for TransactionRows {
    type Columns = Columns;
    type Reject = TransactionReject;
    type Sink<'a> = dyn TransactionSink + 'a;

    fn columns(header: Fields<'_>) -> Result<Columns, ParseError> {
        Columns::find(header)
    }

    fn row(
        &mut self,
        columns: &Columns,
        fields: Fields<'_>,
        sink: &mut (dyn TransactionSink + '_),
    ) -> Result<(), TransactionReject> {
        sink.row(&read(columns, fields, self.days)?);
        Ok(())
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
pub struct Columns {
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
