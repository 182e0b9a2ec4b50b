//! The consumption ledger on disk.

use std::collections::BTreeMap;

use chrono::{Datelike as _, NaiveDate};
use rusqlite::{Connection, OptionalExtension as _};

use super::{AccountId, NewSeries, Store, StoreError, Success, series, sources, text};
use crate::domain::consumption::{BaseLine, Changes, Day, Ledger, Report, Series};
use crate::domain::counter::HighWater;

/// One poll's worth.
#[derive(Debug)]
pub struct ConsumptionCommit<'a> {
    /// The success that goes with it.
    pub success: &'a Success,
    /// What the report changed.
    pub changes: &'a Changes,
    /// Series that are new.
    pub new_series: &'a [NewSeries],
    /// The day on which all days in reach were last read again.
    pub full_read_on: Option<NaiveDate>,
}

const DAYS: &str = "consumption_day";
const COUNTERS: &str = "consumption_counter";
const COVERED: &str = "consumption_covered";

fn report(table: &'static str, label: &str) -> Result<Report, StoreError> {
    Report::ALL.into_iter().find(|report| report.as_str() == label).ok_or(StoreError::Unreadable { table })
}

fn read_days(
    connection: &Connection,
    account: AccountId,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<BTreeMap<NaiveDate, Day>, StoreError> {
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT day, report, label, amount_usd FROM consumption_day WHERE account = ?1 AND day >= ?2 AND day < ?3",
    )?;
    let mut rows = statement.query((account.0, day_text(from), day_text(to)))?;
    while let Some(row) = rows.next()? {
        let day = text::read_day(DAYS, row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
        let report = report(DAYS, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        let series = Series::new(report, row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?);
        let amount = text::read_usd(DAYS, row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?;
        days.entry(day).or_default().insert(series, amount);
    }
    Ok(days)
}

/// Days sort as text only with four digits of the year.
fn day_text(day: NaiveDate) -> String {
    match day.year() {
        ..0 => String::new(),
        0..=9999 => day.to_string(),
        _ => "9999-12-32".to_owned(),
    }
}

impl Store {
    /// The ledger of the previous run, and when all days in reach were last read again.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn ledger(
        &self,
        account: AccountId,
        base: BaseLine,
    ) -> Result<Option<(Ledger, Option<NaiveDate>)>, StoreError> {
        self.read(|connection| {
            let covered = connection
                .query_row(
                    "SELECT first_day, last_day, full_read_on FROM consumption_covered WHERE account = ?1",
                    [account.0],
                    |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?)),
                )
                .optional()?;
            let Some((first, last, full)) = covered else { return Ok(None) };
            let covered = (text::read_day(COVERED, &first)?, text::read_day(COVERED, &last)?);
            let full = full.map(|day| text::read_day(COVERED, &day)).transpose()?;

            let kept = Ledger::kept_from(covered.1);
            let days = read_days(connection, account, kept, NaiveDate::MAX)?;

            let mut counters = BTreeMap::new();
            let mut statement = connection.prepare(
                "SELECT report, label, reported_usd, counted_usd FROM consumption_counter WHERE account = ?1",
            )?;
            let rows = statement.query_map([account.0], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, String>(3)?,
                ))
            })?;
            for row in rows {
                let (name, label, reported, counted) = row?;
                let counter = HighWater {
                    reported: text::read_usd(COUNTERS, &reported)?,
                    counted: text::read_usd(COUNTERS, &counted)?,
                };
                counters.insert(Series::new(report(COUNTERS, &name)?, &label), counter);
            }
            let origins = series::allowed(connection, account, "origin")?;
            let paths = series::allowed(connection, account, "api_path")?;
            Ok(Some((Ledger::restored(base, Some(covered), (kept, days), counters, origins, paths), full)))
        })
    }

    /// The days from `from` to before `to`.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn days(
        &self,
        account: AccountId,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<BTreeMap<NaiveDate, Day>, StoreError> {
        self.read(|connection| read_days(connection, account, from, to))
    }

    /// Writes one poll's changes.
    ///
    /// # Errors
    /// If they cannot be written; then nothing was.
    pub fn commit_consumption(&self, commit: &ConsumptionCommit<'_>) -> Result<(), StoreError> {
        let account = commit.success.account;
        self.write(|tx| {
            let mut delete = tx.prepare_cached("DELETE FROM consumption_day WHERE account = ?1 AND day = ?2")?;
            let mut insert = tx.prepare_cached(
                "INSERT INTO consumption_day (account, day, report, label, amount_usd) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for (date, day) in &commit.changes.days {
                let date = date.to_string();
                delete.execute((account.0, &date))?;
                for (series, amount) in day {
                    let report = series.report().as_str();
                    insert.execute((account.0, &date, report, series.label(), amount.to_string()))?;
                }
            }
            let mut counter = tx.prepare_cached(
                "INSERT INTO consumption_counter (account, report, label, reported_usd, counted_usd)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (account, report, label)
                 DO UPDATE SET reported_usd = excluded.reported_usd, counted_usd = excluded.counted_usd",
            )?;
            for (series, value) in &commit.changes.counters {
                let (reported, counted) = (value.reported.to_string(), value.counted.to_string());
                counter.execute((account.0, series.report().as_str(), series.label(), reported, counted))?;
            }
            series::allow(tx, account, "origin", &commit.changes.origins, commit.success.count_since)?;
            series::allow(tx, account, "api_path", &commit.changes.paths, commit.success.count_since)?;
            if let Some((first, last)) = commit.changes.covered {
                let full = commit.full_read_on.map(|day| day.to_string());
                tx.prepare_cached(
                    "INSERT INTO consumption_covered (account, first_day, last_day, full_read_on) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (account) DO UPDATE SET first_day = excluded.first_day, last_day = excluded.last_day,
                     full_read_on = excluded.full_read_on",
                )?
                .execute((account.0, first.to_string(), last.to_string(), full))?;
            }
            series::write(tx, account, commit.new_series)?;
            sources::write(tx, commit.success)
        })
    }
}
