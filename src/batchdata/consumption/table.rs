//! The consumption ledger on disk.

use crate::names::Label as _;
use std::collections::BTreeMap;
use strum::VariantArray as _;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};

use super::days::{Amounts, HeldDays};
use super::ledger::{BaseLine, ConsumptionChanges, ConsumptionLedger};
use super::series::{Day, MoneySeries, SeriesKind};
use crate::batchdata::budget::Budget;
use crate::counting::counter::HighWater;
use crate::counting::labels::SharedNames;
use crate::money::Usd;
use crate::store::{AccountId, NewSeries, Reader, Row, Store, StoreError, Success, values};

/// One poll's worth.
#[derive(Debug)]
pub struct ConsumptionCommit<'a> {
    /// The success that goes with it.
    pub success: &'a Success,
    /// When the report was read, by the vendor's clock.
    pub reported_at: DateTime<Utc>,
    /// What the report changed.
    pub changes: &'a ConsumptionChanges,
    /// Created in the same transaction, so that they are seen to start at zero.
    pub new_series: &'a [NewSeries],
    /// The day on which all days in reach were last read again.
    pub full_read_on: Option<NaiveDate>,
}

fn series(row: &Row<'_>, report: usize, label: usize, names: &mut SharedNames) -> Result<MoneySeries, StoreError> {
    let report =
        row.parsed(report, |name| SeriesKind::VARIANTS.iter().copied().find(|report| report.as_str() == name))?;
    Ok(MoneySeries::new(report, names.share(row.text(label)?)))
}

/// The ledger of the previous run with what these budgets need, and when all days in reach were last read again.
///
/// # Errors
/// If it cannot be read.
pub fn read_ledger(
    reader: &Reader<'_>,
    account: AccountId,
    base: BaseLine,
    budgets: &[Budget],
) -> Result<Option<(ConsumptionLedger, Option<NaiveDate>)>, StoreError> {
    let covered = reader.row(
        "consumption_covered",
        "SELECT first_day, last_day, full_read_on FROM consumption_covered WHERE account = ?1",
        values![account],
        |row| Ok(((row.day(0)?, row.day(1)?), row.optional(2, |day| day.parse().ok())?)),
    )?;
    let Some((covered, full)) = covered else { return Ok(None) };
    let mut ledger = ConsumptionLedger::new(base, budgets);
    let (whole_from, kept_from) = HeldDays::held_from(covered.1);
    let mut amounts = read_totals(reader, account, kept_from)?;
    for series in ledger.days().series().filter(|series| !series.label().is_empty()) {
        amounts.insert(series.clone(), read_amounts(reader, account, series, (kept_from, covered.1))?);
    }
    let mut names = SharedNames::default();
    let whole = read_days(reader, account, (whole_from, NaiveDate::MAX), &mut names)?;
    ledger.days_mut().restore(covered.1, whole, amounts);
    let counters = reader.rows(
        "consumption_counter",
        "SELECT report, label, reported_usd, counted_usd FROM consumption_counter WHERE account = ?1",
        values![account],
        |row| Ok((series(row, 0, 1, &mut names)?, HighWater { reported: row.usd(2)?, counted: row.usd(3)? })),
    )?;
    let mut allowed = |label| {
        let allowed = reader.allowed(account, label)?;
        Ok::<_, StoreError>(allowed.iter().map(|name| names.share(name)).collect())
    };
    let (origins, paths) = (allowed("origin")?, allowed("api_path")?);
    ledger.restore(covered, counters, origins, paths);
    Ok(Some((ledger, full)))
}

/// Debits and credits of the days from `from` on.
fn read_totals(reader: &Reader<'_>, account: AccountId, from: NaiveDate) -> Result<Amounts, StoreError> {
    let (mut debits, mut credits) = (Vec::new(), Vec::new());
    reader.rows::<(), _>(
        "consumption_day",
        "SELECT report, day, amount_usd FROM consumption_day INDEXED BY consumption_total
         WHERE account = ?1 AND day >= ?2 AND report IN ('debit', 'credit')",
        values![account, day_text(from)],
        |row| {
            let amounts = if row.text(0)? == SeriesKind::Debit.as_str() { &mut debits } else { &mut credits };
            amounts.push((row.day(1)?, row.usd(2)?));
            Ok(())
        },
    )?;
    let collected = [(MoneySeries::Debit, debits), (MoneySeries::Credit, credits)];
    Ok(collected.into_iter().map(|(series, amounts)| (series, BTreeMap::from_iter(amounts))).collect())
}

/// Amounts of one series, day by day: all parts of the days are many more rows.
fn read_amounts(
    reader: &Reader<'_>,
    account: AccountId,
    series: &MoneySeries,
    (from, to): (NaiveDate, NaiveDate),
) -> Result<BTreeMap<NaiveDate, Usd>, StoreError> {
    let mut amounts = BTreeMap::new();
    for day in from.iter_days().take_while(|day| *day <= to) {
        let amount = reader.row(
            "consumption_day",
            "SELECT amount_usd FROM consumption_day WHERE account = ?1 AND day = ?2 AND report = ?3 AND label = ?4",
            values![account, day, series.report().as_str(), series.label()],
            |row| row.usd(0),
        )?;
        amounts.extend(amount.map(|amount| (day, amount)));
    }
    Ok(amounts)
}

/// The first report that was counted.
#[derive(Clone, Debug)]
pub struct FirstReport {
    /// When, by the vendor's clock.
    pub at: DateTime<Utc>,
    /// The counters' values then; zero of those that came later.
    pub values: BTreeMap<MoneySeries, Usd>,
}

/// The first report; `None` where counting began in a version that did not keep it.
///
/// # Errors
/// If it cannot be read.
pub fn read_first_report(reader: &Reader<'_>, account: AccountId) -> Result<Option<FirstReport>, StoreError> {
    let sql = "SELECT first_at FROM consumption_covered WHERE account = ?1";
    let at = reader.row("consumption_covered", sql, values![account], |row| row.optional_time(0))?.flatten();
    let Some(at) = at else { return Ok(None) };
    let mut names = SharedNames::default();
    let values = reader.rows(
        "consumption_counter",
        "SELECT report, label, first_usd FROM consumption_counter WHERE account = ?1",
        values![account],
        |row| Ok((series(row, 0, 1, &mut names)?, row.usd(2)?)),
    )?;
    Ok(Some(FirstReport { at, values }))
}

/// The days of a range, the second end excluded.
fn read_days(
    reader: &Reader<'_>,
    account: AccountId,
    (from, to): (NaiveDate, NaiveDate),
    names: &mut SharedNames,
) -> Result<BTreeMap<NaiveDate, Day>, StoreError> {
    // Collected at once, a map takes half the memory of one that grows in the order of its keys.
    let mut days: BTreeMap<NaiveDate, Vec<(MoneySeries, Usd)>> = BTreeMap::new();
    reader.rows::<(), _>(
        "consumption_day",
        "SELECT day, report, label, amount_usd FROM consumption_day WHERE account = ?1 AND day >= ?2 AND day < ?3",
        values![account, day_text(from), day_text(to)],
        |row| {
            days.entry(row.day(0)?).or_default().push((series(row, 1, 2, names)?, row.usd(3)?));
            Ok(())
        },
    )?;
    Ok(days.into_iter().map(|(date, day)| (date, Day::from_iter(day))).collect())
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
    /// The ledger of the previous run with what these budgets need, and when all days in reach were last read again.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn ledger(
        &self,
        account: AccountId,
        base: BaseLine,
        budgets: &[Budget],
    ) -> Result<Option<(ConsumptionLedger, Option<NaiveDate>)>, StoreError> {
        self.read(|reader| read_ledger(reader, account, base, budgets))
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
        self.read(|reader| read_days(reader, account, (from, to), &mut SharedNames::default()))
    }

    /// Debits less credits of `from` and later days.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn net(&self, account: AccountId, from: NaiveDate) -> Result<Usd, StoreError> {
        let mut net = Usd::ZERO;
        self.read(|reader| {
            reader.rows::<(), _>(
                "consumption_day",
                "SELECT report, amount_usd FROM consumption_day INDEXED BY consumption_total
                 WHERE account = ?1 AND day >= ?2 AND report IN ('debit', 'credit')",
                values![account, day_text(from)],
                |row| {
                    let (report, amount) = (row.text(0)?, row.usd(1)?);
                    net += if report == SeriesKind::Debit.as_str() { amount } else { -amount };
                    Ok(())
                },
            )
        })?;
        Ok(net)
    }

    /// Writes one poll's changes.
    ///
    /// # Errors
    /// If they cannot be written; then nothing was.
    pub fn commit_consumption(&self, commit: &ConsumptionCommit<'_>) -> Result<(), StoreError> {
        let account = commit.success.account;
        self.write(|writer| {
            for (date, day) in &commit.changes.days {
                let delete = "DELETE FROM consumption_day WHERE account = ?1 AND day = ?2";
                writer.execute(delete, values![account, *date])?;
                for (series, amount) in day {
                    writer.execute(
                        "INSERT INTO consumption_day (account, day, report, label, amount_usd)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                        values![account, *date, series.report().as_str(), series.label(), *amount],
                    )?;
                }
            }
            for (series, value) in &commit.changes.counters {
                writer.execute(
                    "INSERT INTO consumption_counter (account, report, label, reported_usd, counted_usd, first_usd)
                     VALUES (?1, ?2, ?3, ?4, ?5,
                     iif(EXISTS (SELECT 1 FROM consumption_covered WHERE account = ?1), '0', ?5))
                     ON CONFLICT (account, report, label)
                     DO UPDATE SET reported_usd = excluded.reported_usd, counted_usd = excluded.counted_usd",
                    values![account, series.report().as_str(), series.label(), value.reported, value.counted],
                )?;
            }
            writer.allow(account, "origin", &commit.changes.origins, commit.success.count_since)?;
            writer.allow(account, "api_path", &commit.changes.paths, commit.success.count_since)?;
            if let Some((first, last)) = commit.changes.covered {
                writer.execute(
                    "INSERT INTO consumption_covered (account, first_day, last_day, full_read_on, first_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (account) DO UPDATE SET first_day = excluded.first_day, last_day = excluded.last_day,
                     full_read_on = excluded.full_read_on",
                    values![account, first, last, commit.full_read_on, commit.reported_at],
                )?;
            }
            writer.add_series(account, commit.new_series)?;
            writer.succeed(commit.success)
        })
    }
}
