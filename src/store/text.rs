//! Values as text in columns: readable in the `sqlite3` shell, exact, and sorted as they are ordered.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use super::StoreError;
use crate::money::Usd;

/// A time, UTC, with microseconds, always of the same width.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

pub(super) fn read_time(table: &'static str, text: &str) -> Result<DateTime<Utc>, StoreError> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| StoreError::Unreadable { table })
}

pub(super) fn read_optional_time(
    table: &'static str,
    text: Option<String>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    text.map(|text| read_time(table, &text)).transpose()
}

pub(super) fn read_day(table: &'static str, text: &str) -> Result<NaiveDate, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable { table })
}

/// Amounts may be sums beyond what a vendor's single amount may be.
pub(super) fn read_usd(table: &'static str, text: &str) -> Result<Usd, StoreError> {
    Usd::stored(text).ok_or(StoreError::Unreadable { table })
}

/// Counts are never negative; a foreign hand may have made one so.
pub(super) fn read_count(table: &'static str, count: i64) -> Result<u64, StoreError> {
    u64::try_from(count).map_err(|_| StoreError::Unreadable { table })
}

pub(super) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
