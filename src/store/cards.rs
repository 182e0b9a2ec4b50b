//! Card transactions on disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::{OptionalExtension as _, Row};

use super::{AccountId, NewSeries, Store, StoreError, Success, series, sources, text};
use crate::domain::cards::{CardBook, CardChanges, CardKey, CardKind, Costs, Counted, Known, Pending};
use crate::vendor::CardStatus;

const ROWS: &str = "card_transaction";
const COUNTERS: &str = "card_counter";
const STATUSES: [CardStatus; 4] = [CardStatus::Pending, CardStatus::Paid, CardStatus::Failed, CardStatus::Unknown];

fn kind(table: &'static str, label: &str) -> Result<CardKind, StoreError> {
    CardKind::ALL.into_iter().find(|kind| kind.as_str() == label).ok_or(StoreError::Unreadable { table })
}

fn status(table: &'static str, label: &str) -> Result<CardStatus, StoreError> {
    STATUSES.into_iter().find(|status| status.as_str() == label).ok_or(StoreError::Unreadable { table })
}

fn string(row: &Row<'_>, index: usize) -> Result<String, StoreError> {
    Ok(row.get(index)?)
}

impl Store {
    /// The book of the previous run.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn card_book(&self, account: AccountId, since: Option<NaiveDate>) -> Result<CardBook, StoreError> {
        self.read(|connection| {
            let listed_from = connection
                .query_row("SELECT listed_from FROM card_base WHERE account = ?1", [account.0], |row| {
                    row.get::<_, String>(0)
                })
                .optional()?
                .map(|day| text::read_day("card_base", &day))
                .transpose()?;
            let mut counted: BTreeMap<CardKey, Counted> = BTreeMap::new();
            let mut statement = connection
                .prepare("SELECT kind, status, brand, events, credits_usd FROM card_counter WHERE account = ?1")?;
            let mut rows = statement.query([account.0])?;
            while let Some(row) = rows.next()? {
                let key = (kind(COUNTERS, &string(row, 0)?)?, status(COUNTERS, &string(row, 1)?)?, string(row, 2)?);
                let events = text::read_count(COUNTERS, row.get(3)?)?;
                counted.insert(key, Counted { events, credits: text::read_usd(COUNTERS, &string(row, 4)?)? });
            }
            let mut costs = BTreeMap::new();
            let mut statement = connection
                .prepare("SELECT brand, sales_tax_usd, processing_fees_usd FROM card_cost WHERE account = ?1")?;
            let mut rows = statement.query([account.0])?;
            while let Some(row) = rows.next()? {
                let sales_tax = text::read_usd("card_cost", &string(row, 1)?)?;
                let processing_fees = text::read_usd("card_cost", &string(row, 2)?)?;
                costs.insert(string(row, 0)?, Costs { sales_tax, processing_fees });
            }
            let mut pending = BTreeMap::new();
            let mut statement =
                connection.prepare("SELECT id, kind, brand, created_at FROM card_pending WHERE account = ?1")?;
            let mut rows = statement.query([account.0])?;
            while let Some(row) = rows.next()? {
                let created_at = text::read_time("card_pending", &string(row, 3)?)?;
                let kind = kind("card_pending", &string(row, 1)?)?;
                pending.insert(row.get(0)?, Pending { kind, brand: string(row, 2)?, created_at });
            }
            let mut latest = BTreeMap::new();
            let mut statement =
                connection.prepare("SELECT kind, status, created_at FROM card_latest WHERE account = ?1")?;
            let mut rows = statement.query([account.0])?;
            while let Some(row) = rows.next()? {
                let key = (kind("card_latest", &string(row, 0)?)?, status("card_latest", &string(row, 1)?)?);
                latest.insert(key, text::read_time("card_latest", &string(row, 2)?)?);
            }
            let brands = series::allowed(connection, account, "card_brand")?;
            Ok(CardBook::restored(since, listed_from, counted, costs, brands, pending, latest))
        })
    }

    /// What is remembered of the given transactions.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn known_cards(
        &self,
        account: AccountId,
        ids: impl IntoIterator<Item = i64>,
    ) -> Result<HashMap<i64, Known>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT kind, status, brand, credits_usd, sales_tax_usd, processing_fee_usd, created_at,
                 seen_paid, seen_failed, seen_unknown FROM card_transaction WHERE account = ?1 AND id = ?2",
            )?;
            let mut known = HashMap::new();
            for id in ids {
                let mut rows = statement.query((account.0, id))?;
                let Some(row) = rows.next()? else { continue };
                let seen = [CardStatus::Paid, CardStatus::Failed, CardStatus::Unknown];
                let flags: [bool; 3] = [row.get(7)?, row.get(8)?, row.get(9)?];
                let seen: BTreeSet<CardStatus> =
                    seen.into_iter().zip(flags).filter(|(_, flag)| *flag).map(|(status, _)| status).collect();
                let remembered = Known {
                    kind: kind(ROWS, &string(row, 0)?)?,
                    status: status(ROWS, &string(row, 1)?)?,
                    brand: string(row, 2)?,
                    credits: text::read_usd(ROWS, &string(row, 3)?)?,
                    sales_tax: text::read_usd(ROWS, &string(row, 4)?)?,
                    processing_fee: text::read_usd(ROWS, &string(row, 5)?)?,
                    created_at: text::read_time(ROWS, &string(row, 6)?)?,
                    seen,
                };
                known.insert(id, remembered);
            }
            Ok(known)
        })
    }

    /// How many remembered transactions were made at `from` or later.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn cards_since(&self, account: AccountId, from: DateTime<Utc>) -> Result<u64, StoreError> {
        self.read(|connection| {
            let count = connection
                .prepare_cached("SELECT count(*) FROM card_transaction WHERE account = ?1 AND created_at >= ?2")?
                .query_row((account.0, text::time(from)), |row| row.get(0))?;
            text::read_count(ROWS, count)
        })
    }

    /// Writes one poll's changes. `before` is the book that they were planned on.
    ///
    /// # Errors
    /// If they cannot be written; then nothing was.
    pub fn commit_cards(
        &self,
        success: &Success,
        before: &CardBook,
        changes: &CardChanges,
        new_series: &[NewSeries],
    ) -> Result<(), StoreError> {
        let account = success.account;
        self.write(|tx| {
            let mut upsert = tx.prepare_cached(
                "INSERT OR REPLACE INTO card_transaction (account, id, kind, status, brand, credits_usd, sales_tax_usd,
                 processing_fee_usd, created_at, seen_paid, seen_failed, seen_unknown)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?;
            for (id, row) in &changes.rows {
                upsert.execute(rusqlite::params![
                    account.0,
                    id,
                    row.kind.as_str(),
                    row.status.as_str(),
                    row.brand,
                    row.credits.to_string(),
                    row.sales_tax.to_string(),
                    row.processing_fee.to_string(),
                    text::time(row.created_at),
                    row.seen.contains(&CardStatus::Paid),
                    row.seen.contains(&CardStatus::Failed),
                    row.seen.contains(&CardStatus::Unknown),
                ])?;
            }
            let mut counter = tx.prepare_cached(
                "INSERT OR REPLACE INTO card_counter (account, kind, status, brand, events, credits_usd)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for ((kind, status, brand), counted) in &changes.counted {
                let credits = counted.credits.to_string();
                let events = text::count(counted.events);
                counter.execute((account.0, kind.as_str(), status.as_str(), brand, events, credits))?;
            }
            let mut cost = tx.prepare_cached(
                "INSERT OR REPLACE INTO card_cost (account, brand, sales_tax_usd, processing_fees_usd)
                 VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (brand, costs) in &changes.costs {
                cost.execute((account.0, brand, costs.sales_tax.to_string(), costs.processing_fees.to_string()))?;
            }
            let (old, new) = (before.pending(None), before.pending(Some(changes)));
            for id in old.keys().filter(|id| !new.contains_key(id)) {
                tx.execute("DELETE FROM card_pending WHERE account = ?1 AND id = ?2", (account.0, id))?;
            }
            for (id, row) in new.iter().filter(|(id, row)| old.get(id) != Some(row)) {
                tx.execute(
                    "INSERT OR REPLACE INTO card_pending (account, id, kind, brand, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                    (account.0, id, row.kind.as_str(), &row.brand, text::time(row.created_at)),
                )?;
            }
            for ((kind, status), time) in before.latest(Some(changes)) {
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO card_latest (account, kind, status, created_at) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute((account.0, kind.as_str(), status.as_str(), text::time(time)))?;
            }
            if let Some(from) = changes.listed_from {
                tx.prepare_cached(
                    "INSERT INTO card_base (account, listed_from) VALUES (?1, ?2) ON CONFLICT (account) DO NOTHING",
                )?
                .execute((account.0, from.to_string()))?;
            }
            series::allow(tx, account, "card_brand", &changes.brands, success.count_since)?;
            series::write(tx, account, new_series)?;
            sources::write(tx, success)
        })
    }
}
