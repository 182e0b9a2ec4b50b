//! The last good answer of each source, and from when on its counters count.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, Transaction};

use super::{AccountId, BirthRow, Store, StoreError, Success, births, text};
use crate::vendor::Source;

/// What an earlier life knew of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSource {
    /// Its last success.
    pub last_success: DateTime<Utc>,
    /// From when on its counters count.
    pub count_since: DateTime<Utc>,
    /// `*_COUNT_SINCE` as it was configured when counting began.
    pub configured_since: Option<String>,
    /// The last good answer, where it has no tables of its own.
    pub answer: Option<String>,
}

impl Store {
    /// What an earlier life knew of a source.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn source(&self, account: AccountId, source: Source) -> Result<Option<StoredSource>, StoreError> {
        self.read(|connection| {
            let row = connection
                .prepare_cached(
                    "SELECT last_success, count_since, configured_since, answer FROM source WHERE account = ?1 AND source = ?2",
                )?
                .query_row((account.0, source.as_str()), |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?))
                })
                .optional()?;
            row.map(|(last_success, count_since, configured_since, answer)| {
                Ok(StoredSource {
                    last_success: text::read_time("source", &last_success)?,
                    count_since: text::read_time("source", &count_since)?,
                    configured_since,
                    answer,
                })
            })
            .transpose()
        })
    }

    /// Writes a success that brought nothing but its answer.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn succeed(&self, success: &Success, born: &[BirthRow]) -> Result<(), StoreError> {
        self.write(|tx| {
            births::write(tx, success.account, born)?;
            write(tx, success)
        })
    }
}

pub(super) fn write(tx: &Transaction<'_>, success: &Success) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO source (account, source, last_success, count_since, configured_since, answer)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (account, source) DO UPDATE SET last_success = excluded.last_success, answer = excluded.answer",
    )?
    .execute((
        success.account.0,
        success.source.as_str(),
        text::time(success.at),
        text::time(success.count_since),
        &success.configured_since,
        &success.answer,
    ))?;
    Ok(())
}
