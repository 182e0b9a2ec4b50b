//! The transactions' CSV: the same however it is cut, against the `csv` crate, and no error repeats a value.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use fastrand::Rng;
use wallet_exporter::batchdata::intake::Transactions;
use wallet_exporter::batchdata::transactions::{Transaction, TransactionSink, TransactionType};
use wallet_exporter::money::Usd;
use wallet_exporter::upstream::ParseError;

use super::{SECRET, ensure, prints};
use crate::engine::Outcome;

#[derive(Debug, PartialEq)]
struct Row {
    at: DateTime<Utc>,
    kind: TransactionType,
    amount: Usd,
    balance_after: Option<Usd>,
    texts: [String; 4],
}

#[derive(Default)]
struct Sink(Vec<Row>);

impl TransactionSink for Sink {
    fn row(&mut self, row: &Transaction<'_>) {
        let texts = [&row.origin, &row.endpoint_name, &row.personal.reference_id, &row.personal.description];
        self.0.push(Row {
            at: row.at,
            kind: row.kind,
            amount: row.amount,
            balance_after: row.balance_after,
            texts: texts.map(|text| text.clone().into_owned()),
        });
    }
}

fn days() -> (NaiveDate, NaiveDate) {
    let day = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap_or_default();
    (day(1, 1), day(12, 31))
}

fn read<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> (Vec<Row>, Result<(u64, u64), ParseError>) {
    let mut sink = Sink::default();
    let (from, to) = days();
    let mut transactions = Transactions::new(from, to);
    for piece in pieces {
        if let Err(error) = transactions.push(piece, &mut sink) {
            return (sink.0, Err(error));
        }
    }
    let summary = transactions.finish(&mut sink);
    (sink.0, summary.map(|summary| (summary.rows, summary.rejected)))
}

pub fn check(input: &[u8]) -> Outcome {
    let (rows, outcome) = read([input]);
    let mut rng = Rng::with_seed(input.len() as u64);
    let longest = 1_usize << rng.u8(..8);
    let mut rest = input;
    let pieces = std::iter::from_fn(|| {
        let (piece, after) = rest.split_at(rng.usize(..=longest).min(rest.len()));
        let more = !rest.is_empty();
        rest = after;
        more.then_some(piece)
    });
    let cut = read(pieces);
    ensure((&rows, &outcome) == (&cut.0, &cut.1), || "in pieces it is another CSV".to_owned())?;
    let (from, to) = days();
    for row in &rows {
        prints(row.amount)?;
        row.balance_after.map_or(Ok(()), prints)?;
        ensure((from..=to).contains(&row.at.date_naive()), || "a day that was not asked for".to_owned())?;
    }
    let kinds: std::collections::BTreeSet<_> = rows.iter().map(|row| row.kind).collect();
    match outcome {
        Ok((taken, rejected)) => {
            ensure(taken == rows.len() as u64, || format!("{taken} rows, {} told", rows.len()))?;
            same_as_the_csv_crate(input, &rows, taken + rejected)?;
            Ok(format!("{kinds:?} {}", rejected.min(2)))
        }
        Err(error) => {
            ensure(!error.to_string().contains(SECRET), || format!("repeats a value: {error}"))?;
            Ok(format!("{kinds:?} {error}"))
        }
    }
}

/// Each row that is taken is one that the crate reads, in the same order and with the same values.
fn same_as_the_csv_crate(input: &[u8], rows: &[Row], records: u64) -> Result<(), String> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
    let mut all = reader.byte_records().map_while(Result::ok);
    let header = all.next().ok_or("no header")?;
    let column = |name: &str| header.iter().position(|field| field.trim_ascii() == name.as_bytes()).ok_or("no column");
    let places = [column("Origin")?, column("Endpoint")?, column("Reference ID")?, column("Description")?];
    let (date, amount) = (column("Date")?, column("Amount")?);
    let (mut rows, mut seen) = (rows.iter().peekable(), 0);
    for record in all {
        seen += 1;
        let field = |place| record.get(place).unwrap_or_default();
        let at = std::str::from_utf8(field(date).trim_ascii()).unwrap_or_default().replacen('T', " ", 1);
        let at = NaiveDateTime::parse_from_str(&at, "%Y-%m-%d %H:%M:%S").ok().map(|at| at.and_utc());
        let text = |place: usize, at: usize| {
            let whole = String::from_utf8_lossy(field(at)).into_owned();
            if place == 3 { whole } else { String::from_utf8_lossy(field(at).trim_ascii()).into_owned() }
        };
        let fits = |row: &&Row| {
            Some(row.at) == at
                && Usd::parse_bytes(field(amount).trim_ascii()) == Ok(row.amount)
                && (0..).zip(places).all(|(place, at)| row.texts.get(place) == Some(&text(place, at)))
        };
        if record.len() == header.len() && rows.peek().is_some_and(fits) {
            rows.next();
        }
    }
    ensure(rows.next().is_none(), || "a row that the csv crate does not read".to_owned())?;
    ensure(seen == records, || format!("{records} records, the csv crate reads {seen}"))
}
