//! SQL for the rest of the program: statements, values and rows, without SQLite's own types.
//!
//! Flows in: SQL and [`SqlValue`]s. Flows out: [`Row`]s. Invariants: times, days and amounts are text, readable in the
//! `sqlite3` shell, exact, and sorted as they are ordered; a stored value that means nothing is
//! [`StoreError::Unreadable`] with its table, never a default.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, Transaction, params_from_iter};
use uuid::Uuid;

use super::{AccountId, StoreError};
use crate::money::Usd;

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlValue<'a> {
    /// `NULL`
    Null,
    /// `INTEGER`
    Integer(i64),
    /// `TEXT`
    Text(Cow<'a, str>),
}

impl ToSql for SqlValue<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            SqlValue::Null => ValueRef::Null,
            SqlValue::Integer(number) => ValueRef::Integer(*number),
            SqlValue::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

macro_rules! values_from {
    ($($from:ty: $value:ident => $into:expr;)*) => {
        $(impl<'a> From<$from> for SqlValue<'a> {
            fn from($value: $from) -> SqlValue<'a> {
                $into
            }
        })*
    };
}

values_from! {
    AccountId: id => SqlValue::Integer(id.0);
    i64: number => SqlValue::Integer(number);
    u32: number => SqlValue::Integer(number.into());
    bool: flag => SqlValue::Integer(flag.into());
    u64: count => SqlValue::Integer(i64::try_from(count).unwrap_or(i64::MAX));
    &'a str: text => SqlValue::Text(text.into());
    &'a String: text => SqlValue::Text(text.into());
    String: text => SqlValue::Text(text.into());
    NaiveDate: day => SqlValue::Text(day.to_string().into());
    Usd: amount => SqlValue::Text(amount.to_string().into());
    Uuid: id => SqlValue::Text(id.to_string().into());
    // UTC, with microseconds, always of the same width.
    DateTime<Utc>: time => SqlValue::Text(time.to_rfc3339_opts(SecondsFormat::Micros, true).into());
}

impl<'a, T: Into<SqlValue<'a>>> From<Option<T>> for SqlValue<'a> {
    fn from(value: Option<T>) -> SqlValue<'a> {
        value.map_or(SqlValue::Null, Into::into)
    }
}

/// The parameters of a statement, each by its `From` for [`SqlValue`].
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::SqlValue::from($value)),*] };
}
pub(crate) use values;

/// Reads.
pub struct Reader<'a>(&'a Connection);

impl<'a> Reader<'a> {
    pub(super) fn new(connection: &'a Connection) -> Reader<'a> {
        Reader(connection)
    }

    /// All rows of a query of `table`.
    ///
    /// # Errors
    /// If the query fails or a row cannot be read.
    pub fn rows<C: FromIterator<T>, T>(
        &self,
        table: &'static str,
        sql: &str,
        values: &[SqlValue<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<C, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        std::iter::from_fn(|| match rows.next() {
            Ok(row) => row.map(|row| read(&Row { row, table })),
            Err(error) => Some(Err(error.into())),
        })
        .collect()
    }

    /// The first row of a query of `table`.
    ///
    /// # Errors
    /// If the query fails or the row cannot be read.
    pub fn row<T>(
        &self,
        table: &'static str,
        sql: &str,
        values: &[SqlValue<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        rows.next()?.map(|row| read(&Row { row, table })).transpose()
    }
}

/// Writes within one transaction, and reads what it has written.
pub struct Writer<'a>(Reader<'a>);

impl<'a> Writer<'a> {
    pub(super) fn new(transaction: &'a Transaction<'_>) -> Writer<'a> {
        Writer(Reader(transaction))
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// If it fails.
    pub fn execute(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<(), StoreError> {
        self.0.0.prepare_cached(sql)?.execute(params_from_iter(values))?;
        Ok(())
    }
}

impl<'a> std::ops::Deref for Writer<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Reader<'a> {
        &self.0
    }
}

/// A row of a query. Columns are counted from 0.
pub struct Row<'a> {
    row: &'a rusqlite::Row<'a>,
    table: &'static str,
}

impl Row<'_> {
    /// The error for a value of this row that means nothing.
    #[must_use]
    pub fn unreadable(&self) -> StoreError {
        StoreError::Unreadable { table: self.table }
    }

    /// A text.
    ///
    /// # Errors
    /// If it is something else.
    pub fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.optional_text(column)?.ok_or_else(|| self.unreadable())
    }

    /// A text or `NULL`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn optional_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        self.row.get_ref(column)?.as_str_or_null().map_err(|_| self.unreadable())
    }

    /// What `read` makes of a text.
    ///
    /// # Errors
    /// If it makes nothing of it.
    pub fn parsed<T>(&self, column: usize, read: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
        read(self.text(column)?).ok_or_else(|| self.unreadable())
    }

    /// What `read` makes of a text, if there is one.
    ///
    /// # Errors
    /// If it makes nothing of it.
    pub fn optional<T>(&self, column: usize, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
        self.optional_text(column)?.map(|text| read(text).ok_or_else(|| self.unreadable())).transpose()
    }

    /// A whole number or `NULL`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn optional_integer(&self, column: usize) -> Result<Option<i64>, StoreError> {
        self.row.get_ref(column)?.as_i64_or_null().map_err(|_| self.unreadable())
    }

    /// A whole number.
    ///
    /// # Errors
    /// If it is something else.
    pub fn integer(&self, column: usize) -> Result<i64, StoreError> {
        self.optional_integer(column)?.ok_or_else(|| self.unreadable())
    }

    /// A number that is never negative.
    ///
    /// # Errors
    /// If it is negative, or something else.
    pub fn count(&self, column: usize) -> Result<u64, StoreError> {
        u64::try_from(self.integer(column)?).map_err(|_| self.unreadable())
    }

    /// 0 or 1.
    ///
    /// # Errors
    /// If it is something else.
    pub fn flag(&self, column: usize) -> Result<bool, StoreError> {
        Ok(self.integer(column)? != 0)
    }

    /// An amount, which may be a sum beyond what a vendor's single amount may be.
    ///
    /// # Errors
    /// If it is something else.
    pub fn usd(&self, column: usize) -> Result<Usd, StoreError> {
        self.parsed(column, Usd::stored)
    }

    /// A day.
    ///
    /// # Errors
    /// If it is something else.
    pub fn day(&self, column: usize) -> Result<NaiveDate, StoreError> {
        self.parsed(column, day)
    }

    /// A time.
    ///
    /// # Errors
    /// If it is something else.
    pub fn time(&self, column: usize) -> Result<DateTime<Utc>, StoreError> {
        self.parsed(column, time)
    }

    /// A time or `NULL`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn optional_time(&self, column: usize) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.optional(column, time)
    }

    /// An id.
    ///
    /// # Errors
    /// If it is something else.
    pub fn uuid(&self, column: usize) -> Result<Uuid, StoreError> {
        self.parsed(column, |text| Uuid::try_parse(text).ok())
    }
}

/// As it is written above. A start reads hundreds for each account, and chrono's own parser takes several times as long.
fn day(text: &str) -> Option<NaiveDate> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}
