//! The transactions' ledger on disk.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::TransactionType;
use super::ledger::{Cursor, Free, TransactionsChanges, TransactionsLedger};
use super::reading::DayRows;
use crate::counting::counter::HighWater;
use crate::counting::labels::SharedNames;
use crate::names::Label as _;
use crate::store::{AccountId, NewSeries, Reader, Row, Store, StoreError, Success, Writer, values};

/// How much the last download took, and when it was, by this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastDownload {
    /// When it ended, or began if it did not end.
    pub at: DateTime<Utc>,
    /// Bytes.
    pub bytes: u64,
}

/// One reading's worth.
#[derive(Debug)]
pub struct TransactionsCommit<'a> {
    /// The success that goes with it.
    pub success: &'a Success,
    /// What the reading changed.
    pub changes: &'a TransactionsChanges,
    /// What it took.
    pub download: LastDownload,
    /// Created in the same transaction, so that they are seen to start at zero.
    pub new_series: &'a [NewSeries],
}

fn kind(row: &Row<'_>, column: usize) -> Result<TransactionType, StoreError> {
    row.parsed(column, |label| label.parse().ok())
}

fn read_days(
    reader: &Reader<'_>,
    account: AccountId,
    names: &mut SharedNames,
) -> Result<BTreeMap<NaiveDate, DayRows>, StoreError> {
    let mut days: BTreeMap<NaiveDate, DayRows> = BTreeMap::new();
    reader.rows::<(), _>(
        "transaction_day",
        "SELECT day, type, endpoint_name, amount_usd, transactions FROM transaction_day WHERE account = ?1",
        values![account],
        |row| {
            let kind = (kind(row, 1)?, names.share(row.text(2)?), row.usd(3)?);
            days.entry(row.day(0)?).or_default().insert(kind, row.integer(4)?);
            Ok(())
        },
    )?;
    Ok(days)
}

fn read_free(reader: &Reader<'_>, account: AccountId, names: &mut SharedNames) -> Result<Free, StoreError> {
    let mut free = Free::new();
    reader.rows::<(), _>(
        "transaction_free",
        "SELECT endpoint_name, amount_usd, transactions FROM transaction_free WHERE account = ?1",
        values![account],
        |row| {
            free.entry(names.share(row.text(0)?)).or_default().insert(row.usd(1)?, row.integer(2)?);
            Ok(())
        },
    )?;
    Ok(free)
}

impl Store {
    /// What the last download of the previous run took; one that did not end took what was expected of it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn last_download(&self, account: AccountId) -> Result<Option<LastDownload>, StoreError> {
        self.read(|reader| {
            let sql = "SELECT at, bytes FROM transaction_download WHERE account = ?1";
            let read = |row: &Row<'_>| Ok(LastDownload { at: row.time(0)?, bytes: row.count(1)? });
            reader.row("transaction_download", sql, values![account], read)
        })
    }

    /// Writes what a download took, or is expected to take.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note_download(&self, account: AccountId, download: LastDownload) -> Result<(), StoreError> {
        self.write(|writer| write_download(writer, account, download))
    }

    /// The transactions' ledger of the previous run.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn transactions(&self, account: AccountId, since: Option<NaiveDate>) -> Result<TransactionsLedger, StoreError> {
        self.read(|reader| {
            let cursor = reader.row(
                "transaction_reading",
                "SELECT next_day, last_day FROM transaction_reading WHERE account = ?1",
                values![account],
                |row| Ok(Cursor { next: row.day(0)?, last: row.day(1)? }),
            )?;
            let mut names = SharedNames::default();
            let days = read_days(reader, account, &mut names)?;
            let counters = reader.rows(
                "transaction_counter",
                "SELECT type, endpoint_name, reported, counted FROM transaction_counter WHERE account = ?1",
                values![account],
                |row| {
                    let series = (kind(row, 0)?, names.share(row.text(1)?));
                    Ok((series, HighWater { reported: row.integer(2)?, counted: row.integer(3)? }))
                },
            )?;
            let amounts = reader.rows(
                "transaction_histogram",
                "SELECT endpoint_name, histogram FROM transaction_histogram WHERE account = ?1",
                values![account],
                |row| Ok((names.share(row.text(0)?), row.parsed(1, |text| serde_json::from_str(text).ok())?)),
            )?;
            let free = read_free(reader, account, &mut names)?;
            let endpoints = reader.allowed(account, "endpoint_name")?;
            Ok(TransactionsLedger::restored(since, cursor, days, counters, amounts, free, endpoints))
        })
    }

    /// Writes one reading's changes.
    ///
    /// # Errors
    /// If they cannot be written; then nothing was.
    pub fn commit_transactions(&self, commit: &TransactionsCommit<'_>) -> Result<(), StoreError> {
        let (account, changes) = (commit.success.account, commit.changes);
        self.write(|writer| {
            write_days(writer, account, changes)?;
            for ((kind, endpoint), counter) in &changes.counters {
                writer.execute(
                    "INSERT OR REPLACE INTO transaction_counter (account, type, endpoint_name, reported, counted)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    values![account, kind.as_str(), &**endpoint, counter.reported, counter.counted],
                )?;
            }
            for (endpoint, amounts) in &changes.amounts {
                let unreadable = |_| StoreError::Unreadable { table: "transaction_histogram" };
                writer.execute(
                    "INSERT OR REPLACE INTO transaction_histogram (account, endpoint_name, histogram)
                     VALUES (?1, ?2, ?3)",
                    values![account, &**endpoint, serde_json::to_string(amounts).map_err(unreadable)?],
                )?;
            }
            writer.execute(
                "INSERT OR REPLACE INTO transaction_reading (account, next_day, last_day) VALUES (?1, ?2, ?3)",
                values![account, changes.cursor.next, changes.cursor.last],
            )?;
            write_download(writer, account, commit.download)?;
            writer.allow(account, "endpoint_name", &changes.endpoints, commit.success.count_since)?;
            writer.add_series(account, commit.new_series)?;
            writer.succeed(commit.success)
        })
    }
}

fn write_download(writer: &Writer<'_>, account: AccountId, download: LastDownload) -> Result<(), StoreError> {
    writer.execute(
        "INSERT OR REPLACE INTO transaction_download (account, at, bytes) VALUES (?1, ?2, ?3)",
        values![account, download.at, download.bytes],
    )
}

fn write_days(writer: &Writer<'_>, account: AccountId, changes: &TransactionsChanges) -> Result<(), StoreError> {
    for (day, rows) in &changes.days {
        writer.execute("DELETE FROM transaction_day WHERE account = ?1 AND day = ?2", values![account, *day])?;
        for ((kind, endpoint, amount), count) in rows {
            writer.execute(
                "INSERT INTO transaction_day (account, day, type, endpoint_name, amount_usd, transactions)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                values![account, *day, kind.as_str(), &**endpoint, *amount, *count],
            )?;
        }
    }
    writer.execute("DELETE FROM transaction_free WHERE account = ?1", values![account])?;
    for (endpoint, free) in &changes.free {
        for (amount, count) in free {
            writer.execute(
                "INSERT INTO transaction_free (account, endpoint_name, amount_usd, transactions)
                 VALUES (?1, ?2, ?3, ?4)",
                values![account, &**endpoint, *amount, *count],
            )?;
        }
    }
    Ok(())
}
