//! The transactions' ledger on disk.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::TransactionType;
use super::ledger::{Changes, Cursor, Free, Ledger};
use super::reading::Rows;
use crate::counting::counter::HighWater;
use crate::counting::labels::SharedNames;
use crate::names::Label as _;
use crate::store::{AccountId, NewSeries, Reader, Row, Store, StoreError, Success, Writer, values};

/// How much the last reading took, and when it was, by this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Download {
    /// When it ended.
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
    pub changes: &'a Changes,
    /// What it took.
    pub download: Download,
    /// Series that are new.
    pub new_series: &'a [NewSeries],
}

fn kind(row: &Row<'_>, column: usize) -> Result<TransactionType, StoreError> {
    row.parsed(column, |label| label.parse().ok())
}

fn read_days(
    reader: &Reader<'_>,
    account: AccountId,
    names: &mut SharedNames,
) -> Result<BTreeMap<NaiveDate, Rows>, StoreError> {
    let mut days: BTreeMap<NaiveDate, Rows> = BTreeMap::new();
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
    /// The transactions' ledger of the previous run, and what its last reading took.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn transactions(
        &self,
        account: AccountId,
        since: Option<NaiveDate>,
    ) -> Result<(Ledger, Option<Download>), StoreError> {
        self.read(|reader| {
            let read = reader.row(
                "transaction_reading",
                "SELECT next_day, last_day, read_at, bytes FROM transaction_reading WHERE account = ?1",
                values![account],
                |row| {
                    let cursor = Cursor { next: row.day(0)?, last: row.day(1)? };
                    Ok((cursor, Download { at: row.time(2)?, bytes: row.count(3)? }))
                },
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
            let (cursor, download) = read.unzip();
            Ok((Ledger::restored(since, cursor, days, counters, amounts, free, endpoints), download))
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
            let Download { at, bytes } = commit.download;
            writer.execute(
                "INSERT OR REPLACE INTO transaction_reading (account, next_day, last_day, read_at, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                values![account, changes.cursor.next, changes.cursor.last, at, bytes],
            )?;
            writer.allow(account, "endpoint_name", &changes.endpoints, commit.success.count_since)?;
            writer.add_series(account, commit.new_series)?;
            writer.succeed(commit.success)
        })
    }
}

fn write_days(writer: &Writer<'_>, account: AccountId, changes: &Changes) -> Result<(), StoreError> {
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
