//! The balance-check export: one reader in two ways, against the `csv` crate's one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use fastrand::Rng;
use uuid::Uuid;
use wallet_exporter::money::Usd;
use wallet_exporter::rightfoot::intake::Export;
use wallet_exporter::rightfoot::{CheckRow, CheckStatus, RowReject, RowSink, SubmittedVia};
use wallet_exporter::upstream::ParseError;

use super::{SECRET, ensure, prints};
use crate::engine::Outcome;

const ASKED: Uuid = Uuid::from_u128(0x5d3c_6bbb_fc1a_46a4_93da_1ce4_a54b_0d83);

#[derive(Debug, PartialEq)]
enum Told {
    Row { institution: String, balance: Option<Usd>, status: CheckStatus, via: SubmittedVia, time: DateTime<Utc> },
    Rejected(RowReject),
}

#[derive(Default)]
struct Sink {
    told: Vec<Told>,
    foreign: bool,
}

impl RowSink for Sink {
    fn row(&mut self, row: &CheckRow<'_>) {
        self.foreign |= row.batch_id != ASKED;
        let CheckRow { institution, balance, status, via, timestamp: time, .. } = *row;
        self.told.push(Told::Row { institution: institution.to_owned(), balance, status, via, time });
    }

    fn rejected(&mut self, reason: RowReject, batch_id: Option<Uuid>) {
        self.foreign |= batch_id.is_some_and(|id| id != ASKED);
        self.told.push(Told::Rejected(reason));
    }
}

fn read<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> (Sink, Result<u64, ParseError>) {
    let mut sink = Sink::default();
    let mut export = Export::new(&[ASKED]);
    for piece in pieces {
        if let Err(error) = export.push(piece, &mut sink) {
            return (sink, Err(error));
        }
    }
    let summary = export.finish(&mut sink);
    (sink, summary.map(|summary| summary.rows + summary.rejected))
}

pub fn check(input: &[u8]) -> Outcome {
    let (sink, outcome) = read([input]);
    let mut rng = Rng::with_seed(input.len() as u64);
    let longest = 1_usize << rng.u8(..8);
    let mut rest = input;
    let pieces = std::iter::from_fn(|| {
        let (piece, after) = rest.split_at(rng.usize(..=longest).min(rest.len()));
        let more = !rest.is_empty();
        rest = after;
        more.then_some(piece)
    });
    let (cut, cut_outcome) = read(pieces);
    ensure((&sink.told, &outcome) == (&cut.told, &cut_outcome), || "in pieces it is another export".to_owned())?;
    ensure(!sink.foreign, || "a batch that was not asked for".to_owned())?;
    let mut kinds = BTreeSet::new();
    for told in &sink.told {
        let kind = match told {
            Told::Row { status, via, balance, .. } => {
                balance.map_or(Ok(()), prints)?;
                Ok((*status, *via, balance.is_some()))
            }
            Told::Rejected(reason) => Err(*reason),
        };
        if kinds.len() < 3 {
            kinds.insert(kind);
        }
    }
    match outcome {
        Ok(count) => {
            ensure(count == sink.told.len() as u64, || format!("{count} rows, {} told", sink.told.len()))?;
            same_as_the_csv_crate(input, &sink.told)?;
        }
        Err(error) => {
            ensure(!error.to_string().contains(SECRET), || format!("repeats a value: {error}"))?;
            return Ok(format!("{kinds:?} {error}"));
        }
    }
    Ok(format!("{kinds:?}"))
}

fn same_as_the_csv_crate(input: &[u8], told: &[Told]) -> Result<(), String> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
    let mut records = reader.byte_records().map_while(Result::ok);
    let header = records.next().ok_or("no header")?;
    let column = |name: &str| header.iter().position(|field| field.trim_ascii() == name.as_bytes()).ok_or("no column");
    let (institution_at, balance_at) = (column("Institution")?, column("Balance")?);
    let (creator_at, time_at) = (column("Creator")?, column("Timestamp")?);
    let mut told = told.iter();
    for record in records {
        let row = told.next().ok_or("a record is neither taken nor rejected")?;
        let fits = record.len() == header.len();
        let Told::Row { institution, balance, via, time, .. } = row else {
            let because = *row == Told::Rejected(RowReject::Columns);
            ensure(because != fits, || format!("{row:?} with {} of {} fields", record.len(), header.len()))?;
            continue;
        };
        let field = |index| record.get(index).unwrap_or_default();
        let written = field(time_at).trim_ascii();
        let parsed = std::str::from_utf8(written).ok().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        let digits = field(balance_at).trim_ascii();
        let amount = if digits.is_empty() { None } else { Some(Usd::parse_bytes(digits).map_err(|_| "no amount")?) };
        let created = !field(creator_at).trim_ascii().is_empty();
        ensure(
            fits && *institution == String::from_utf8_lossy(field(institution_at))
                && *balance == amount
                && created == (*via == SubmittedVia::Dashboard)
                && parsed.is_none_or(|parsed| parsed == *time),
            || format!("the csv crate reads {record:?}"),
        )?;
    }
    ensure(told.next().is_none(), || "more rows than records".to_owned())
}
