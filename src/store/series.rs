//! Which counter series exist, and which show their value.

use chrono::{DateTime, Utc};
use rusqlite::Transaction;

use super::{AccountId, NewSeries, Store, StoreError, text};

impl Store {
    /// The series of the previous run: key, and whether the series was shown.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn series(&self, account: AccountId) -> Result<Vec<(String, bool)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT series, shown FROM birth WHERE account = ?1")?;
            let rows = statement.query_map([account.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Creates series that exist before anything is counted.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn create_series(&self, account: AccountId, new_series: &[NewSeries]) -> Result<(), StoreError> {
        self.write_at_start(|tx| write(tx, account, new_series))
    }

    /// Makes it durable that series show their values. They may be shown once this has returned.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn show(&self, account: AccountId, series: &[String]) -> Result<(), StoreError> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached("UPDATE birth SET shown = 1 WHERE account = ?1 AND series = ?2")?;
            for key in series {
                statement.execute((account.0, key))?;
            }
            Ok(())
        })
    }
}

pub(super) fn write(tx: &Transaction<'_>, account: AccountId, new_series: &[NewSeries]) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO birth (account, series, born_at, shown) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    for (key, at, shown) in new_series {
        statement.execute((account.0, key, text::time(*at), shown))?;
    }
    Ok(())
}

/// Writes label values that have a series of their own from now on.
pub(super) fn allow(
    tx: &Transaction<'_>,
    account: AccountId,
    label: &str,
    values: &[String],
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO label (account, label, value, admitted_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    for value in values {
        statement.execute((account.0, label, value, text::time(at)))?;
    }
    Ok(())
}

/// The label values allowed so far.
pub(super) fn allowed(
    connection: &rusqlite::Connection,
    account: AccountId,
    label: &str,
) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare("SELECT value FROM label WHERE account = ?1 AND label = ?2")?;
    let rows = statement.query_map((account.0, label), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
