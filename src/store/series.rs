//! Which counter series exist, from when on they count, and which show their value; which label values have a series of
//! their own.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::sql::{Reader, Row, Writer, values};
use super::{AccountId, NewSeries, Store, StoreError, StoredSeries};
use crate::clock::{Moment, STEP};

impl Store {
    /// The series of the previous run. One that seems to start after `now`, or more than [`STEP`] after the account's newest
    /// success, was dated by a clock that was ahead then: when it started cannot be told, now and later.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn series(&self, account: AccountId, now: DateTime<Utc>) -> Result<Vec<StoredSeries>, StoreError> {
        let (newest, mut series): (Option<DateTime<Utc>>, Vec<StoredSeries>) = self.read(|reader| {
            let sql = "SELECT max(last_success) FROM source WHERE account = ?1";
            let newest = reader.row("source", sql, values![account], |row| row.optional_time(0))?.flatten();
            let sql = "SELECT key, started_at, shown FROM series WHERE account = ?1";
            let read = |row: &Row<'_>| Ok((row.text(0)?.to_owned(), row.optional_time(1)?, row.flag(2)?));
            Ok((newest, reader.rows("series", sql, values![account], read)?))
        })?;
        let latest = newest.map_or(now, |newest| (newest + STEP).min(now));
        let mut has_later = false;
        for (_, start, _) in &mut series {
            has_later |= start.take_if(|start| *start > latest).is_some();
        }
        if has_later {
            // Where it cannot be written, the next start finds the same.
            let sql = "UPDATE series SET started_at = NULL WHERE account = ?1 AND started_at > ?2";
            let _ = self.write(|writer| writer.execute(sql, values![account, latest]));
        }
        Ok(series)
    }

    /// Creates series that exist before anything is counted. Those that exist take no more than the start that they lack.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn create_series(&self, account: AccountId, new_series: &[NewSeries]) -> Result<(), StoreError> {
        if new_series.is_empty() {
            return Ok(());
        }
        self.write_at_start(|writer| {
            writer.add_series(account, new_series)?;
            for (key, start, _) in new_series {
                let sql = "UPDATE series SET started_at = ?3 WHERE account = ?1 AND key = ?2 AND started_at IS NULL";
                writer.execute(sql, values![account, key, start.map(|start| start.wall)])?;
            }
            Ok(())
        })
    }

    /// Makes it durable that series show their values, and from when on they count. They may be shown once this has
    /// returned.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn show(&self, account: AccountId, series: &[(String, Option<Moment>)]) -> Result<(), StoreError> {
        self.write(|writer| {
            for (key, start) in series {
                let sql = "UPDATE series SET shown = 1, started_at = ?3 WHERE account = ?1 AND key = ?2";
                writer.execute(sql, values![account, key, start.map(|start| start.wall)])?;
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
        for (key, start, shown) in new_series {
            self.execute(
                "INSERT INTO series (account, key, created_at, started_at, shown) VALUES (?1, ?2, ?3, ?3, ?4) ON CONFLICT DO NOTHING",
                values![account, key, start.map(|start| start.wall), *shown],
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
        Ok(self.row("series", sql, values![account, key], |row| row.optional_time(0))?.flatten())
    }
}
