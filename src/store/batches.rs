//! Batches of balance checks on disk.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use uuid::Uuid;

use super::tallies;
use super::{AccountId, NewSeries, Store, StoreError, Success, series, sources, text};
use crate::clock::{Moment, delta};
use crate::domain::batches::{Batch, BatchState, REMEMBERED};
use crate::domain::checks::CheckTotals;
use crate::domain::tally::{Histogram, StatusCounts};
use crate::vendor::{CheckStatus, RowReject, SubmittedVia};

const BATCH: &str = "batch";

/// What the previous run knew of an account's batches.
#[derive(Clone, Debug, Default)]
pub struct RestoredBatches {
    /// Those that are still looked at.
    pub batches: Vec<Batch>,
    /// How many have settled.
    pub settled: u64,
    /// The sums over the settled ones.
    pub totals: CheckTotals,
}

/// What became of the word that a batch is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// That is durable now.
    New,
    /// It was said before.
    Known,
    /// The batch has settled already.
    Settled,
    /// Too many ids wait for the vendor's first answer.
    NoRoom,
}

/// One pass's worth.
#[derive(Debug)]
pub struct BatchesCommit<'a> {
    /// The success that goes with it.
    pub success: &'a Success,
    /// The time, by which pauses become times.
    pub now: Moment,
    /// Batches as they are now.
    pub batches: &'a [&'a Batch],
    /// Totals as they are now, if they changed.
    pub totals: Option<&'a CheckTotals>,
    /// Institutions that were allowed.
    pub institutions: &'a [String],
    /// Series that are new.
    pub new_series: &'a [NewSeries],
}

const COLUMNS: &str = "id, state, first_seen, by_webhook, completed_at, confirmed, refused_since, next_look, tally";

fn read_batch(row: &Row<'_>, now: Moment) -> Result<Batch, StoreError> {
    let unreadable = || StoreError::Unreadable { table: BATCH };
    let moment = |text: Option<String>| {
        Ok::<_, StoreError>(text::read_optional_time(BATCH, text)?.map(|wall| now.at_wall(wall)))
    };
    let id = Uuid::try_parse(&row.get::<_, String>(0)?).map_err(|_| unreadable())?;
    let mut batch = Batch::new(id, now.at_wall(text::read_time(BATCH, &row.get::<_, String>(2)?)?));
    batch.state = BatchState::from_label(&row.get::<_, String>(1)?).ok_or_else(unreadable)?;
    batch.by_webhook = row.get(3)?;
    batch.completed_at = moment(row.get(4)?)?;
    batch.confirmed = row.get(5)?;
    batch.refused_since = moment(row.get(6)?)?;
    batch.next_look = moment(row.get(7)?)?.map(|next| next.boot);
    // A tally that cannot be read is only a look that has to be made again.
    batch.tally = row.get::<_, Option<String>>(8)?.and_then(|text| tallies::read(&text));
    Ok(batch)
}

/// A batch that has settled stays as it is: nothing that was read before it settled can be written over it.
fn write_batch(tx: &Transaction<'_>, account: AccountId, batch: &Batch, now: Moment) -> Result<(), StoreError> {
    let settled = batch.state == BatchState::Settled;
    tx.prepare_cached(
        "INSERT INTO batch (account, id, state, first_seen, by_webhook, completed_at, confirmed, refused_since,
         next_look, newest_result, tally, settled_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (account, id) DO UPDATE SET state = excluded.state,
         by_webhook = max(by_webhook, excluded.by_webhook),
         completed_at = coalesce(completed_at, excluded.completed_at), confirmed = excluded.confirmed,
         refused_since = excluded.refused_since, next_look = excluded.next_look,
         newest_result = excluded.newest_result, tally = excluded.tally, settled_at = excluded.settled_at
         WHERE state <> 'settled'",
    )?
    .execute(params![
        account.0,
        batch.id.to_string(),
        batch.state.as_str(),
        text::time(batch.first_seen.wall),
        batch.by_webhook,
        batch.completed_at.map(|at| text::time(at.wall)),
        batch.confirmed,
        batch.refused_since.map(|at| text::time(at.wall)),
        batch.next_look.map(|next| text::time(now.at_boot(next).wall)),
        batch.tally.as_ref().and_then(|tally| tally.newest).map(text::time),
        batch.tally.as_ref().and_then(|tally| tallies::write(tally, settled)),
        settled.then(|| text::time(now.wall)),
    ])?;
    Ok(())
}

impl Store {
    /// What the previous run knew of an account's batches.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn batches(&self, account: AccountId, now: Moment) -> Result<RestoredBatches, StoreError> {
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
                restored.batches.push(read_batch(row, now)?);
            }
            Ok(restored)
        })
    }

    /// One batch, whatever its state.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn batch(&self, account: AccountId, id: Uuid, now: Moment) -> Result<Option<Batch>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM batch WHERE account = ?1 AND id = ?2"))?;
            let mut rows = statement.query((account.0, id.to_string()))?;
            rows.next()?.map(|row| read_batch(row, now)).transpose()
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

    /// Results by status of a batch, as the last look at it showed them.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn results(&self, account: AccountId, id: Uuid) -> Result<Option<StatusCounts>, StoreError> {
        self.read(|connection| {
            let tally = connection
                .prepare_cached("SELECT tally FROM batch WHERE account = ?1 AND id = ?2")?
                .query_row((account.0, id.to_string()), |row| row.get::<_, Option<String>>(0))
                .optional()?;
            Ok(tally.flatten().and_then(|text| tallies::read(&text)).map(|tally| tally.all))
        })
    }

    /// Some batches that have settled, those with the newest results first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn settled_batches(&self, account: AccountId, most: u32) -> Result<Vec<Uuid>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM batch WHERE account = ?1 AND state = 'settled' ORDER BY newest_result DESC LIMIT ?2",
            )?;
            let ids = statement.query_map((account.0, most), |row| row.get::<_, String>(0))?;
            ids.map(|id| Uuid::try_parse(&id?).map_err(|_| StoreError::Unreadable { table: BATCH })).collect()
        })
    }

    /// Writes one pass's changes.
    ///
    /// # Errors
    /// If they cannot be written; then nothing was.
    pub fn commit_batches(&self, commit: &BatchesCommit<'_>) -> Result<(), StoreError> {
        let account = commit.success.account;
        self.write(|tx| {
            for batch in commit.batches {
                write_batch(tx, account, batch, commit.now)?;
            }
            if let Some(totals) = commit.totals {
                write_totals(tx, account, totals)?;
            }
            series::allow(tx, account, "institution", commit.institutions, commit.now.wall)?;
            series::write(tx, account, commit.new_series)?;
            sources::write(tx, commit.success)
        })
    }

    /// Notes that a batch was said to be complete: reads and writes it in one transaction, so that no write in between is
    /// undone. `room` if an id that the vendor never answered for may be taken. Returns what was done.
    ///
    /// # Errors
    /// If it cannot be read or written; then nothing was.
    pub fn note_completed(&self, account: AccountId, id: Uuid, room: bool, now: Moment) -> Result<Noted, StoreError> {
        self.write(|tx| {
            let known = {
                let mut statement =
                    tx.prepare_cached(&format!("SELECT {COLUMNS} FROM batch WHERE account = ?1 AND id = ?2"))?;
                let mut rows = statement.query((account.0, id.to_string()))?;
                rows.next()?.map(|row| read_batch(row, now)).transpose()?
            };
            let mut batch = match known {
                Some(batch) if batch.state == BatchState::Settled => return Ok(Noted::Settled),
                Some(batch) if batch.confirmed || room => batch,
                None if room => Batch::new(id, now),
                _ => return Ok(Noted::NoRoom),
            };
            if batch.completed_at.is_some() {
                return Ok(Noted::Known);
            }
            batch.completed(now);
            write_batch(tx, account, &batch, now)?;
            Ok(Noted::New)
        })
    }

    /// Forgets what batches showed that settled long ago, and ids that never settled, unless they are listed. That a batch
    /// has settled is never forgotten.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget_details(&self, account: AccountId, listed: &BTreeSet<Uuid>, now: Moment) -> Result<(), StoreError> {
        let cutoff = text::time(now.wall - delta(REMEMBERED));
        self.write(|tx| {
            let mut old = tx.prepare_cached(
                "SELECT id, state FROM batch WHERE account = ?1 AND CASE state
                 WHEN 'settled' THEN settled_at < ?2 AND tally IS NOT NULL ELSE first_seen < ?2 END",
            )?;
            let old: Vec<(String, String)> =
                old.query_map((account.0, &cutoff), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
            for (id, state) in old {
                if Uuid::try_parse(&id).is_ok_and(|id| listed.contains(&id)) {
                    continue;
                }
                let forget = if state == BatchState::Settled.as_str() {
                    "UPDATE batch SET tally = NULL, newest_result = NULL WHERE account = ?1 AND id = ?2"
                } else {
                    "DELETE FROM batch WHERE account = ?1 AND id = ?2"
                };
                tx.execute(forget, (account.0, id))?;
            }
            Ok(())
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
    let institutions = series::allowed(connection, account, "institution")?;
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
