//! Batches of balance checks on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use uuid::Uuid;

use super::tallies::{self, Finished};
use super::{AccountId, BirthRow, Store, StoreError, Success, births, sources, text};
use crate::clock::delta;
use crate::domain::batches::{Batch, BatchState, REMEMBERED};
use crate::domain::checks::CheckTotals;
use crate::domain::tally::{Histogram, StatusCounts};
use crate::vendor::{CheckStatus, RowReject, SubmittedVia};

const BATCH: &str = "batch";

/// Finished tallies, bounded, with the file behind them.
pub(super) struct Tallies(Finished);

impl Default for Tallies {
    fn default() -> Tallies {
        Tallies(tallies::finished())
    }
}

/// What an earlier life knew of an account's batches.
#[derive(Clone, Debug, Default)]
pub struct RestoredBatches {
    /// Those that are still looked at.
    pub batches: Vec<Batch>,
    /// How many have settled.
    pub settled: u64,
    /// The sums over the settled ones.
    pub totals: CheckTotals,
}

/// One pass's worth.
#[derive(Debug)]
pub struct BatchesCommit<'a> {
    /// The success that goes with it.
    pub success: &'a Success,
    /// Batches as they are now.
    pub batches: &'a [&'a Batch],
    /// Totals as they are now, if they changed.
    pub totals: Option<&'a CheckTotals>,
    /// Institutions that were admitted.
    pub institutions: &'a [String],
    /// Series that are new.
    pub born: &'a [BirthRow],
}

const COLUMNS: &str = "id, state, first_seen, by_webhook, completed_at, confirmed, refused_since, next_look, tally";

fn read_batch(row: &Row<'_>) -> Result<Batch, StoreError> {
    let unreadable = || StoreError::Unreadable { table: BATCH };
    let id = Uuid::try_parse(&row.get::<_, String>(0)?).map_err(|_| unreadable())?;
    let mut batch = Batch::new(id, text::read_time(BATCH, &row.get::<_, String>(2)?)?);
    batch.state = BatchState::from_label(&row.get::<_, String>(1)?).ok_or_else(unreadable)?;
    batch.by_webhook = row.get(3)?;
    batch.completed_at = text::read_optional_time(BATCH, row.get(4)?)?;
    batch.confirmed = row.get(5)?;
    batch.refused_since = text::read_optional_time(BATCH, row.get(6)?)?;
    batch.next_look = text::read_optional_time(BATCH, row.get(7)?)?;
    // A tally that cannot be read is only a look that has to be made again.
    batch.tally = row.get::<_, Option<String>>(8)?.and_then(|text| tallies::read(&text));
    Ok(batch)
}

fn write_batch(tx: &Transaction<'_>, account: AccountId, batch: &Batch) -> Result<(), StoreError> {
    let settled = batch.state == BatchState::Settled;
    tx.prepare_cached(
        "INSERT INTO batch (account, id, state, first_seen, by_webhook, completed_at, confirmed, refused_since,
         next_look, newest_result, tally) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (account, id) DO UPDATE SET state = excluded.state,
         by_webhook = max(by_webhook, excluded.by_webhook),
         completed_at = coalesce(excluded.completed_at, completed_at), confirmed = excluded.confirmed,
         refused_since = excluded.refused_since, next_look = excluded.next_look,
         newest_result = excluded.newest_result, tally = excluded.tally",
    )?
    .execute(params![
        account.0,
        batch.id.to_string(),
        batch.state.as_str(),
        text::time(batch.first_seen),
        batch.by_webhook,
        batch.completed_at.map(text::time),
        batch.confirmed,
        batch.refused_since.map(text::time),
        batch.next_look.map(text::time),
        batch.tally.as_ref().and_then(|tally| tally.newest).map(text::time),
        batch.tally.as_ref().and_then(|tally| tallies::write(tally, settled)),
    ])?;
    Ok(())
}

impl Store {
    /// What an earlier life knew of an account's batches.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn batches(&self, account: AccountId) -> Result<RestoredBatches, StoreError> {
        self.read(|connection| {
            let mut restored = RestoredBatches { totals: totals(connection, account)?, ..RestoredBatches::default() };
            let settled = connection.query_row(
                "SELECT count(*) FROM batch WHERE account = ?1 AND state = 'settled'",
                [account.0],
                |row| row.get(0),
            )?;
            restored.settled = text::read_count(BATCH, settled)?;
            let mut statement = connection.prepare(&format!(
                "SELECT {COLUMNS} FROM batch WHERE account = ?1 AND state <> 'settled' AND next_look IS NOT NULL"
            ))?;
            let mut rows = statement.query([account.0])?;
            while let Some(row) = rows.next()? {
                restored.batches.push(read_batch(row)?);
            }
            Ok(restored)
        })
    }

    /// One batch, whatever its state.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn batch(&self, account: AccountId, id: Uuid) -> Result<Option<Batch>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM batch WHERE account = ?1 AND id = ?2"))?;
            let mut rows = statement.query((account.0, id.to_string()))?;
            rows.next()?.map(read_batch).transpose()
        })
    }

    /// The batches with the newest results: id and the newest result's time, newest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn newest_batches(&self, account: AccountId, most: u32) -> Result<Vec<(Uuid, DateTime<Utc>)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, newest_result FROM batch WHERE account = ?1 AND newest_result IS NOT NULL
                 ORDER BY newest_result DESC, id LIMIT ?2",
            )?;
            let mut rows = statement.query((account.0, most))?;
            let mut newest = Vec::new();
            while let Some(row) = rows.next()? {
                let unreadable = |_| StoreError::Unreadable { table: BATCH };
                let id = Uuid::try_parse(&row.get::<_, String>(0)?).map_err(unreadable)?;
                newest.push((id, text::read_time(BATCH, &row.get::<_, String>(1)?)?));
            }
            Ok(newest)
        })
    }

    /// Results by status of a batch that has settled: from memory, else from the file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn finished_tally(&self, account: AccountId, id: Uuid) -> Result<Option<Arc<StatusCounts>>, StoreError> {
        if let Some(counts) = self.tallies.0.get(&(account, id)) {
            return Ok(Some(counts));
        }
        let Some(tally) = self.batch(account, id)?.and_then(|batch| batch.tally) else { return Ok(None) };
        let counts = Arc::new(tally.all);
        self.tallies.0.insert((account, id), Arc::clone(&counts));
        Ok(Some(counts))
    }

    /// Writes one pass's changes.
    ///
    /// # Errors
    /// If they cannot be written; then nothing was.
    pub fn commit_batches(&self, commit: &BatchesCommit<'_>) -> Result<(), StoreError> {
        let account = commit.success.account;
        self.write(|tx| {
            for batch in commit.batches {
                write_batch(tx, account, batch)?;
            }
            if let Some(totals) = commit.totals {
                write_totals(tx, account, totals)?;
            }
            births::admit(tx, account, "institution", commit.institutions, commit.success.at)?;
            births::write(tx, account, commit.born)?;
            sources::write(tx, commit.success)
        })
    }

    /// Notes that a batch was said to be complete. Returns false if the event was seen before.
    ///
    /// # Errors
    /// If it cannot be written; then nothing was.
    pub fn note_completed(
        &self,
        account: AccountId,
        event: Uuid,
        batch: &Batch,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.write(|tx| {
            let fresh = tx
                .prepare_cached(
                    "INSERT INTO webhook_event (event, received_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                )?
                .execute((event.to_string(), text::time(now)))?;
            if fresh == 0 {
                return Ok(false);
            }
            write_batch(tx, account, batch)?;
            Ok(true)
        })
    }

    /// Whether an event was seen before.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn knows_event(&self, event: Uuid) -> Result<bool, StoreError> {
        self.read(|connection| {
            Ok(connection
                .prepare_cached("SELECT 1 FROM webhook_event WHERE event = ?1")?
                .query_row([event.to_string()], |_| Ok(()))
                .optional()?
                .is_some())
        })
    }

    /// Forgets ids and events that nobody will ask about again. Returns how many settled batches were among them.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget_old(&self, account: AccountId, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let cutoff = text::time(now - delta(REMEMBERED));
        self.write(|tx| {
            let settled = tx.execute(
                "DELETE FROM batch WHERE account = ?1 AND first_seen < ?2 AND state = 'settled'",
                (account.0, &cutoff),
            )?;
            tx.execute(
                "DELETE FROM batch WHERE account = ?1 AND first_seen < ?2 AND next_look IS NULL",
                (account.0, &cutoff),
            )?;
            tx.execute("DELETE FROM webhook_event WHERE received_at < ?1", [&cutoff])?;
            Ok(settled as u64)
        })
    }
}

fn totals(connection: &rusqlite::Connection, account: AccountId) -> Result<CheckTotals, StoreError> {
    let status = |label: &str| CheckStatus::ALL.into_iter().find(|status| status.as_str() == label);
    let via = |label: &str| SubmittedVia::ALL.into_iter().find(|via| via.as_str() == label);
    let mut by_status = StatusCounts::new();
    let mut statement =
        connection.prepare("SELECT status, submitted_via, checks FROM check_counter WHERE account = ?1")?;
    let mut rows = statement.query([account.0])?;
    while let Some(row) = rows.next()? {
        let unreadable = || StoreError::Unreadable { table: "check_counter" };
        let status = status(&row.get::<_, String>(0)?).ok_or_else(unreadable)?;
        let via = via(&row.get::<_, String>(1)?).ok_or_else(unreadable)?;
        by_status.insert((status, via), text::read_count("check_counter", row.get(2)?)?);
    }
    let mut by_institution: BTreeMap<String, BTreeMap<CheckStatus, u64>> = BTreeMap::new();
    let mut statement =
        connection.prepare("SELECT institution, status, checks FROM check_institution WHERE account = ?1")?;
    let mut rows = statement.query([account.0])?;
    while let Some(row) = rows.next()? {
        let status = status(&row.get::<_, String>(1)?);
        let status = status.ok_or(StoreError::Unreadable { table: "check_institution" })?;
        let checks = text::read_count("check_institution", row.get(2)?)?;
        by_institution.entry(row.get(0)?).or_default().insert(status, checks);
    }
    let mut rejected = BTreeMap::new();
    for reason in RowReject::ALL {
        let rows = connection
            .query_row(
                "SELECT rows FROM check_rejected WHERE account = ?1 AND reason = ?2",
                (account.0, reason.as_str()),
                |row| row.get(0),
            )
            .optional()?;
        if let Some(rows) = rows {
            rejected.insert(reason, text::read_count("check_rejected", rows)?);
        }
    }
    let histogram = connection
        .query_row("SELECT histogram FROM check_histogram WHERE account = ?1", [account.0], |row| {
            row.get::<_, String>(0)
        })
        .optional()?
        .map(|text| serde_json::from_str::<Histogram>(&text))
        .transpose()
        .map_err(|_| StoreError::Unreadable { table: "check_histogram" })?;
    let institutions = births::admitted(connection, account, "institution")?;
    Ok(CheckTotals::restored(by_status, by_institution, histogram.unwrap_or_default(), rejected, institutions))
}

fn write_totals(tx: &Transaction<'_>, account: AccountId, totals: &CheckTotals) -> Result<(), StoreError> {
    for ((status, via), checks) in &totals.by_status {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO check_counter (account, status, submitted_via, checks) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((account.0, status.as_str(), via.as_str(), text::count(*checks)))?;
    }
    for (institution, by_status) in &totals.by_institution {
        for (status, checks) in by_status {
            tx.prepare_cached(
                "INSERT OR REPLACE INTO check_institution (account, institution, status, checks)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((account.0, institution, status.as_str(), text::count(*checks)))?;
        }
    }
    for (reason, rows) in &totals.rejected {
        tx.prepare_cached("INSERT OR REPLACE INTO check_rejected (account, reason, rows) VALUES (?1, ?2, ?3)")?
            .execute((account.0, reason.as_str(), text::count(*rows)))?;
    }
    let histogram =
        serde_json::to_string(&totals.histogram).map_err(|_| StoreError::Unreadable { table: "check_histogram" })?;
    tx.prepare_cached("INSERT OR REPLACE INTO check_histogram (account, histogram) VALUES (?1, ?2)")?
        .execute((account.0, histogram))?;
    Ok(())
}
