//! `cargo bench --bench csv_intake`: an export of 100 MB, rows by batch and status with exact balances, against the
//! `csv` crate with a reused `ByteRecord` doing the same work.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench, as a test, stops at the first surprise")]

#[path = "stopwatch.rs"]
mod stopwatch;

use std::collections::HashMap;
use std::fmt::Write;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;
use wallet_exporter::money::Usd;
use wallet_exporter::rightfoot::intake::Export;
use wallet_exporter::rightfoot::{CheckRow, CheckStatus, RowReject, RowSink};

/// What a chunk of a download is like.
const CHUNK: usize = 64 * 1024;
const BATCHES: u128 = 20;

/// Rows and dollars by batch and status, and the newest result.
#[derive(Default)]
struct Tally {
    sums: HashMap<(Uuid, CheckStatus), (u64, Usd)>,
    newest: DateTime<Utc>,
}

impl RowSink for Tally {
    fn row(&mut self, row: &CheckRow<'_>) {
        let sum = self.sums.entry((row.batch_id, row.status)).or_default();
        sum.0 += 1;
        sum.1 += row.balance.unwrap_or_default();
        self.newest = self.newest.max(row.timestamp);
    }

    fn rejected(&mut self, _reason: RowReject, _batch_id: Option<Uuid>) {
        unreachable!("all rows are good");
    }
}

impl Tally {
    /// One number that differs if anything does.
    fn result(&self) -> u64 {
        let rows: u64 = self.sums.values().map(|(rows, _)| rows).sum();
        let dollars: Usd = self.sums.values().map(|(_, dollars)| *dollars).sum();
        let cents = (dollars.decimal() * rust_decimal::Decimal::ONE_HUNDRED).mantissa() as u64;
        rows + cents + self.sums.len() as u64 + self.newest.timestamp() as u64
    }
}

fn export(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = String::with_capacity(bytes + 200);
    text.push_str("Authorizer ID,Batch ID,Institution,Phone,Zip,Balance,Status,Creator,Timestamp,meta_customer_ref\n");
    let banks = ["Bank of America", "Wells Fargo", "Chase", "\"Smith, Jones & Co\"", "Navy Federal Credit Union"];
    let mut number = 0_u64;
    while text.len() < bytes {
        number += 1;
        let batch = Uuid::from_u128(1 + u128::from(number / 5_000) % BATCHES);
        let (status, balance) = match random.u8(..10) {
            0..6 => ("SUCCESS", format!("{}.{:02}", random.u32(..20_000), random.u8(..100))),
            6..8 => ("NO_MATCH", String::new()),
            8 => ("RETRIEVAL_FAILED", String::new()),
            _ => ("BANK_UNSUPPORTED", String::new()),
        };
        // One row in fifty has a quoted name.
        let bank = banks[if random.u8(..50) == 0 { 3 } else { [0, 1, 2, 4][random.usize(..4)] }];
        let creator = if random.bool() { "jane.doe@acme.com" } else { "" };
        writeln!(
            text,
            "authz-{number},{batch},{bank},+1555{:07},{:05},{balance},{status},{creator},2026-05-{:02}T{:02}:{:02}:{:02}+00:00,CR-{}",
            random.u32(..10_000_000),
            random.u32(..100_000),
            1 + number / 50_000 % 28,
            random.u8(..24),
            random.u8(..60),
            random.u8(..60),
            random.u32(..10_000),
        )
        .unwrap();
    }
    text.into_bytes()
}

fn ours(bytes: &[u8], ids: &[Uuid]) -> u64 {
    let mut export = Export::new(ids);
    let mut tally = Tally::default();
    for chunk in bytes.chunks(CHUNK) {
        export.push(chunk, &mut tally).unwrap();
    }
    export.finish(&mut tally).unwrap();
    tally.result()
}

/// The same work by the `csv` crate: one record reused, the columns by their places, the same money and times.
fn rival(bytes: &[u8], ids: &[Uuid], times: impl Fn(&[u8]) -> DateTime<Utc>) -> u64 {
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(CHUNK).from_reader(bytes);
    let header = reader.byte_headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|field| field == name.as_bytes()).unwrap();
    let (batch, bank, balance) = (column("Batch ID"), column("Institution"), column("Balance"));
    let (status, creator, time) = (column("Status"), column("Creator"), column("Timestamp"));
    let mut tally = Tally::default();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).unwrap() {
        let batch_id = Uuid::try_parse_ascii(&record[batch]).unwrap();
        assert!(ids.binary_search(&batch_id).is_ok());
        let balance = &record[balance];
        tally.row(&CheckRow {
            batch_id,
            institution: std::str::from_utf8(&record[bank]).unwrap(),
            balance: if balance.is_empty() { None } else { Some(Usd::parse_bytes(balance).unwrap()) },
            status: match &record[status] {
                b"SUCCESS" => CheckStatus::Success,
                b"NO_MATCH" => CheckStatus::NoMatch,
                b"RETRIEVAL_FAILED" => CheckStatus::RetrievalFailed,
                b"BANK_UNSUPPORTED" => CheckStatus::BankUnsupported,
                _ => CheckStatus::Unknown,
            },
            via: if record[creator].is_empty() {
                wallet_exporter::rightfoot::SubmittedVia::Api
            } else {
                wallet_exporter::rightfoot::SubmittedVia::Dashboard
            },
            timestamp: times(&record[time]),
        });
    }
    tally.result()
}

fn by_chrono(text: &[u8]) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(std::str::from_utf8(text).unwrap()).unwrap().to_utc()
}

/// As good a timestamp as ours, so that only the CSV is compared.
fn by_hand(text: &[u8]) -> DateTime<Utc> {
    let number =
        |range: std::ops::Range<usize>| text[range].iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    NaiveDate::from_ymd_opt(number(0..4) as i32, number(5..7), number(8..10))
        .and_then(|date| date.and_hms_opt(number(11..13), number(14..16), number(17..19)))
        .unwrap()
        .and_utc()
}

fn main() {
    let size = if std::env::args().any(|argument| argument == "--test") { 1_000_000 } else { 100_000_000 };
    let bytes = export(size);
    let ids: Vec<Uuid> = (1..=BATCHES).map(Uuid::from_u128).collect();
    stopwatch::compare(
        "CSV intake",
        bytes.len(),
        &mut [
            ("ours, 64 KiB chunks", &mut || ours(&bytes, &ids)),
            ("csv crate, ByteRecord, times by hand", &mut || rival(&bytes, &ids, by_hand)),
            ("csv crate, ByteRecord, times by chrono", &mut || rival(&bytes, &ids, by_chrono)),
        ],
    );
}
