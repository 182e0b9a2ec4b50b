//! What must survive a restart: one SQLite file.
//!
//! Flows in: the domain's changes, one transaction a poll. Flows out: the state of an earlier life, once, at start.
//! Invariant: a change is either wholly durable or not there; nothing personal and no secret has a column. This is the
//! only home of SQLite. Without a directory the same code runs on a database in memory.

mod batches;
mod births;
mod cards;
mod consumption;
mod open;
mod peek;
mod sources;
mod tallies;
mod text;

use std::sync::{Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::vendor::{Source, Vendor};

pub use batches::{BatchesCommit, RestoredBatches};
pub use cards::RestoredCards;
pub use consumption::ConsumptionCommit;
pub use open::{FILE_NAME, MovedAside, OpenError};
pub use peek::{StoredSince, configured_since};
pub use sources::StoredSource;

/// A row of the table `account`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(i64);

/// A failed read or write. Holds SQLite's own words, never a value.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("storage: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored value does not mean anything here.
    #[error("storage: table {table} holds a value that cannot be read: the file was changed by something else")]
    Unreadable {
        /// The table.
        table: &'static str,
    },
}

/// A source's success, written in the same transaction as what it brought.
#[derive(Clone, Debug)]
pub struct Success {
    /// Whose.
    pub account: AccountId,
    /// Which source.
    pub source: Source,
    /// When.
    pub at: DateTime<Utc>,
    /// From when on its counters count; kept from the first success.
    pub count_since: DateTime<Utc>,
    /// `*_COUNT_SINCE` as it was configured then.
    pub configured_since: Option<String>,
    /// The answer, where it is not in tables of its own.
    pub answer: Option<String>,
}

/// A birth, written in the same transaction as the value it belongs to.
pub type BirthRow = (String, DateTime<Utc>, bool);

/// The store.
pub struct Store {
    connection: Mutex<Connection>,
    durable: bool,
    tallies: batches::Tallies,
    /// Held for the life of the store: a second process must not write the same file.
    _lock: Option<std::fs::File>,
}

impl Store {
    /// Whether anything is kept on disk.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// The id of an account, made on first sight.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn account(&self, vendor: Vendor, name: &str) -> Result<AccountId, StoreError> {
        self.write(|tx| {
            tx.execute(
                "INSERT INTO account (vendor, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                (vendor.as_str(), name),
            )?;
            let id = tx.query_row(
                "SELECT id FROM account WHERE vendor = ?1 AND name = ?2",
                (vendor.as_str(), name),
                |row| row.get(0),
            )?;
            Ok(AccountId(id))
        })
    }

    /// Lets the database grow by at most so many pages from now on: how a test fills the disk.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub fn limit_growth(&self, pages: Option<u32>) -> Result<(), StoreError> {
        let connection = self.connection();
        let now: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let most = pages.map_or(u32::MAX - 1, |pages| now + pages);
        connection.pragma_update_and_check(None, "max_page_count", most, |_| Ok(()))?;
        Ok(())
    }

    /// Refuses writes from now on, or takes them again: how a test makes the disk read-only.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub fn set_read_only(&self, read_only: bool) -> Result<(), StoreError> {
        self.connection().pragma_update(None, "query_only", read_only)?;
        Ok(())
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic while holding it rolled its transaction back: the connection is as good as before.
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        work(&self.connection())
    }
}
