//! Which counter series exist, and which show their value; which label values have a series of their own.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::sql::{Reader, Writer, values};
use super::{AccountId, NewSeries, Store, StoreError};

impl Store {
    /// The series of the previous run: key, and whether the series was shown.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn series(&self, account: AccountId) -> Result<Vec<(String, bool)>, StoreError> {
        self.read(|reader| {
            let sql = "SELECT key, shown FROM series WHERE account = ?1";
            reader.rows("series", sql, values![account], |row| Ok((row.text(0)?.to_owned(), row.flag(1)?)))
        })
    }

    /// Creates series that exist before anything is counted.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn create_series(&self, account: AccountId, new_series: &[NewSeries]) -> Result<(), StoreError> {
        self.write_at_start(|writer| writer.add_series(account, new_series))
    }

    /// Makes it durable that series show their values. They may be shown once this has returned.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn show(&self, account: AccountId, keys: &[String]) -> Result<(), StoreError> {
        self.write(|writer| {
            for key in keys {
                writer.execute("UPDATE series SET shown = 1 WHERE account = ?1 AND key = ?2", values![account, key])?;
            }
            Ok(())
        })
    }
}

impl Writer<'_> {
    /// Writes new series.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn add_series(&self, account: AccountId, new_series: &[NewSeries]) -> Result<(), StoreError> {
        for (key, at, shown) in new_series {
            self.execute(
                "INSERT INTO series (account, key, created_at, shown) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                values![account, key, *at, *shown],
            )?;
        }
        Ok(())
    }

    /// Writes label values that have a series of their own from now on.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn allow(
        &self,
        account: AccountId,
        label: &str,
        names: &[Arc<str>],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        for name in names {
            self.execute(
                "INSERT INTO label (account, label, value, allowed_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                values![account, label, &**name, at],
            )?;
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// The label values allowed so far.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn allowed(&self, account: AccountId, label: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT value FROM label WHERE account = ?1 AND label = ?2";
        self.rows("label", sql, values![account, label], |row| Ok(row.text(0)?.to_owned()))
    }

    /// When a series was created: nothing was served of it before.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn created_at(&self, account: AccountId, key: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        let sql = "SELECT created_at FROM series WHERE account = ?1 AND key = ?2";
        self.row("series", sql, values![account, key], |row| row.time(0))
    }
}
