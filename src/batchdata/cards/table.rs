//! Card transactions on disk.

use crate::names::Label as _;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use super::CardStatus;
use super::book::{CardBook, CardChanges, CardKind, Costs, Counted, KnownTransaction, Pending};
use crate::counting::labels::SharedNames;
use crate::store::{AccountId, NewSeries, Row, Store, StoreError, Success, Writer, values};

const STATUSES: [CardStatus; 4] = [CardStatus::Pending, CardStatus::Paid, CardStatus::Failed, CardStatus::Unknown];

fn kind(row: &Row<'_>, column: usize) -> Result<CardKind, StoreError> {
    row.parsed(column, |label| label.parse().ok())
}

fn status(row: &Row<'_>, column: usize) -> Result<CardStatus, StoreError> {
    row.parsed(column, |label| STATUSES.into_iter().find(|status| status.as_str() == label))
}

fn brand(row: &Row<'_>, column: usize, brands: &mut SharedNames) -> Result<Arc<str>, StoreError> {
    Ok(brands.share(row.text(column)?))
}

impl Store {
    /// The book of the previous run.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn card_book(&self, account: AccountId, since: Option<NaiveDate>) -> Result<CardBook, StoreError> {
        self.read(|reader| {
            let mut brands = SharedNames::default();
            let listed_from = reader.row(
                "card_base",
                "SELECT listed_from FROM card_base WHERE account = ?1",
                values![account],
                |row| row.day(0),
            )?;
            let counted = reader.rows(
                "card_counter",
                "SELECT kind, status, brand, events, credits_usd FROM card_counter WHERE account = ?1",
                values![account],
                |row| {
                    let key = (kind(row, 0)?, status(row, 1)?, brand(row, 2, &mut brands)?);
                    Ok((key, Counted { events: row.count(3)?, credits: row.usd(4)? }))
                },
            )?;
            let costs = reader.rows(
                "card_cost",
                "SELECT brand, sales_tax_usd, processing_fees_usd FROM card_cost WHERE account = ?1",
                values![account],
                |row| Ok((brand(row, 0, &mut brands)?, Costs { sales_tax: row.usd(1)?, processing_fees: row.usd(2)? })),
            )?;
            let pending = reader.rows(
                "card_pending",
                "SELECT id, kind, brand, created_at FROM card_pending WHERE account = ?1",
                values![account],
                |row| {
                    let brand = brand(row, 2, &mut brands)?;
                    let pending = Pending { kind: kind(row, 1)?, brand, created_at: row.time(3)? };
                    Ok((row.integer(0)?, pending))
                },
            )?;
            let latest = reader.rows(
                "card_latest",
                "SELECT kind, status, created_at FROM card_latest WHERE account = ?1",
                values![account],
                |row| Ok(((kind(row, 0)?, status(row, 1)?), row.time(2)?)),
            )?;
            let brands = reader.allowed(account, "card_brand")?;
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
    ) -> Result<HashMap<i64, KnownTransaction>, StoreError> {
        self.read(|reader| {
            let mut found = HashMap::new();
            let mut brands = SharedNames::default();
            for id in ids {
                let known = reader.row(
                    "card_transaction",
                    "SELECT kind, status, brand, credits_usd, sales_tax_usd, processing_fee_usd, created_at,
                     seen_paid, seen_failed, seen_unknown FROM card_transaction WHERE account = ?1 AND id = ?2",
                    values![account, id],
                    |row| known(row, &mut brands),
                )?;
                found.extend(known.map(|known| (id, known)));
            }
            Ok(found)
        })
    }

    /// How many transactions are remembered.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn cards(&self, account: AccountId) -> Result<u64, StoreError> {
        self.read(|reader| {
            let sql = "SELECT count(*) FROM card_transaction WHERE account = ?1";
            let count = reader.row("card_transaction", sql, values![account], |row| row.count(0))?;
            Ok(count.unwrap_or_default())
        })
    }

    /// How many remembered transactions were made at `from` or later.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn cards_since(&self, account: AccountId, from: DateTime<Utc>) -> Result<u64, StoreError> {
        self.read(|reader| {
            let sql = "SELECT count(*) FROM card_transaction WHERE account = ?1 AND created_at >= ?2";
            let count = reader.row("card_transaction", sql, values![account, from], |row| row.count(0))?;
            Ok(count.unwrap_or_default())
        })
    }

    /// Writes one poll's changes, and the newest transaction of each kind in each state with them.
    ///
    /// # Errors
    /// If they cannot be written; then nothing was.
    pub fn commit_cards(
        &self,
        success: &Success,
        changes: &CardChanges,
        latest: &BTreeMap<(CardKind, CardStatus), DateTime<Utc>>,
        new_series: &[NewSeries],
    ) -> Result<(), StoreError> {
        let account = success.account;
        self.write(|writer| {
            for (id, row) in &changes.rows {
                write_row(writer, account, *id, row)?;
            }
            for ((kind, status, brand), counted) in &changes.counted {
                writer.execute(
                    "INSERT OR REPLACE INTO card_counter (account, kind, status, brand, events, credits_usd)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    values![account, kind.as_str(), status.as_str(), &**brand, counted.events, counted.credits],
                )?;
            }
            for (brand, costs) in &changes.costs {
                writer.execute(
                    "INSERT OR REPLACE INTO card_cost (account, brand, sales_tax_usd, processing_fees_usd)
                     VALUES (?1, ?2, ?3, ?4)",
                    values![account, &**brand, costs.sales_tax, costs.processing_fees],
                )?;
            }
            for (id, row) in &changes.pending {
                let Some(row) = row else {
                    writer.execute("DELETE FROM card_pending WHERE account = ?1 AND id = ?2", values![account, *id])?;
                    continue;
                };
                writer.execute(
                    "INSERT OR REPLACE INTO card_pending (account, id, kind, brand, created_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    values![account, *id, row.kind.as_str(), &*row.brand, row.created_at],
                )?;
            }
            for ((kind, status), time) in latest {
                writer.execute(
                    "INSERT OR REPLACE INTO card_latest (account, kind, status, created_at) VALUES (?1, ?2, ?3, ?4)",
                    values![account, kind.as_str(), status.as_str(), *time],
                )?;
            }
            if let Some(from) = changes.listed_from {
                writer.execute(
                    "INSERT INTO card_base (account, listed_from) VALUES (?1, ?2) ON CONFLICT (account) DO NOTHING",
                    values![account, from],
                )?;
            }
            writer.allow(account, "card_brand", &changes.brands, success.count_since)?;
            writer.add_series(account, new_series)?;
            writer.succeed(success)
        })
    }
}

fn known(row: &Row<'_>, brands: &mut SharedNames) -> Result<KnownTransaction, StoreError> {
    let seen = [CardStatus::Paid, CardStatus::Failed, CardStatus::Unknown];
    let flags = [row.flag(7)?, row.flag(8)?, row.flag(9)?];
    Ok(KnownTransaction {
        kind: kind(row, 0)?,
        status: status(row, 1)?,
        brand: brand(row, 2, brands)?,
        credits: row.usd(3)?,
        sales_tax: row.usd(4)?,
        processing_fee: row.usd(5)?,
        created_at: row.time(6)?,
        seen: seen.into_iter().zip(flags).filter(|(_, flag)| *flag).map(|(status, _)| status).collect(),
    })
}

fn write_row(writer: &Writer<'_>, account: AccountId, id: i64, row: &KnownTransaction) -> Result<(), StoreError> {
    let seen = |status| row.seen.contains(&status);
    writer.execute(
        "INSERT OR REPLACE INTO card_transaction (account, id, kind, status, brand, credits_usd,
         sales_tax_usd, processing_fee_usd, created_at, seen_paid, seen_failed, seen_unknown)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        values![
            account,
            id,
            row.kind.as_str(),
            row.status.as_str(),
            &*row.brand,
            row.credits,
            row.sales_tax,
            row.processing_fee,
            row.created_at,
            seen(CardStatus::Paid),
            seen(CardStatus::Failed),
            seen(CardStatus::Unknown),
        ],
    )
}
