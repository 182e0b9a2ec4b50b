//! Batches of balance checks on disk.

use crate::names::Label as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::batch::{Batch, BatchState, REMEMBERED};
use super::names::Names;
use super::tally::StatusCounts;
use super::totals::CheckTotals;
use super::{CheckStatus, RowReject, SubmittedVia, tally_text};
use crate::clock::{Moment, delta};
use crate::counting::amounts::AmountHistogram;
use crate::store::{AccountId, NewSeries, Reader, Row, Store, StoreError, Success, Writer, values};

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
    /// The institutions that the batches tell apart.
    pub names: Arc<Names>,
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
    pub institutions: &'a [Arc<str>],
    /// Created in the same transaction, so that they are seen to start at zero.
    pub new_series: &'a [NewSeries],
}

const COLUMNS: &str = "id, state, first_seen, by_webhook, completed_at, confirmed, refused_since, next_look, tally";

fn read_batch(row: &Row<'_>, now: Moment) -> Result<Batch, StoreError> {
    let moment = |column| Ok::<_, StoreError>(row.optional_time(column)?.map(|wall| now.at_wall(wall)));
    let mut batch = Batch::new(row.uuid(0)?, now.at_wall(row.time(2)?));
    batch.state = row.parsed(1, |label| label.parse().ok())?;
    batch.by_webhook = row.flag(3)?;
    batch.completed_at = moment(4)?;
    batch.confirmed = row.flag(5)?;
    batch.refused_since = moment(6)?;
    batch.next_look = moment(7)?.map(|next| next.boot);
    // A tally that cannot be read is only a look that has to be made again.
    batch.tally = row.optional_text(8)?.and_then(tally_text::read).map(Arc::new);
    Ok(batch)
}

fn find_batch(reader: &Reader<'_>, account: AccountId, id: Uuid, now: Moment) -> Result<Option<Batch>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM batch WHERE account = ?1 AND id = ?2");
    reader.row(BATCH, &sql, values![account, id], |row| read_batch(row, now))
}

/// A batch that has settled stays as it is: nothing that was read before it settled can be written over it.
fn write_batch(writer: &Writer<'_>, account: AccountId, batch: &Batch, now: Moment) -> Result<(), StoreError> {
    let settled = batch.state == BatchState::Settled;
    writer.execute(
        "INSERT INTO batch (account, id, state, first_seen, by_webhook, completed_at, confirmed, refused_since,
         next_look, newest_result, tally, settled_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (account, id) DO UPDATE SET state = excluded.state,
         by_webhook = max(by_webhook, excluded.by_webhook),
         completed_at = coalesce(completed_at, excluded.completed_at), confirmed = excluded.confirmed,
         refused_since = excluded.refused_since, next_look = excluded.next_look,
         newest_result = excluded.newest_result, tally = excluded.tally, settled_at = excluded.settled_at
         WHERE state <> 'settled'",
        values![
            account,
            batch.id,
            batch.state.as_str(),
            batch.first_seen.wall,
            batch.by_webhook,
            batch.completed_at.map(|at| at.wall),
            batch.confirmed,
            batch.refused_since.map(|at| at.wall),
            batch.next_look.map(|next| now.at_boot(next).wall),
            batch.tally.as_ref().and_then(|tally| tally.newest),
            batch.tally.as_ref().and_then(|tally| tally_text::write(tally, settled)),
            settled.then_some(now.wall),
        ],
    )
}

impl Store {
    /// What the previous run knew of an account's batches; of those that are not `followed` any more no tally.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn batches(
        &self,
        account: AccountId,
        now: Moment,
        followed: impl Fn(&Batch) -> bool,
    ) -> Result<RestoredBatches, StoreError> {
        let names = Arc::new(Names::default());
        let read = |row: &Row<'_>| {
            let mut batch = read_batch(row, now)?;
            let tally = batch.tally.take().filter(|_| followed(&batch));
            batch.tally = tally.map(|tally| Arc::new(names.adopt(Arc::unwrap_or_clone(tally))));
            Ok(batch)
        };
        self.read(|reader| {
            let sql = "SELECT count(*) FROM batch WHERE account = ?1 AND state = 'settled'";
            let settled = reader.row(BATCH, sql, values![account], |row| row.count(0))?;
            let sql = format!(
                "SELECT {COLUMNS} FROM batch WHERE account = ?1 AND state <> 'settled' AND next_look IS NOT NULL"
            );
            Ok(RestoredBatches {
                batches: reader.rows(BATCH, &sql, values![account], read)?,
                settled: settled.unwrap_or_default(),
                totals: totals(reader, account)?,
                names: Arc::clone(&names),
            })
        })
    }

    /// One batch, whatever its state.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn batch(&self, account: AccountId, id: Uuid, now: Moment) -> Result<Option<Batch>, StoreError> {
        self.read(|reader| find_batch(reader, account, id, now))
    }

    /// The batches with the newest results: id and the newest result's time, newest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn newest_batches(&self, account: AccountId, most: u32) -> Result<Vec<(Uuid, DateTime<Utc>)>, StoreError> {
        self.read(|reader| {
            let sql = "SELECT id, newest_result FROM batch WHERE account = ?1 AND newest_result IS NOT NULL
                 ORDER BY newest_result DESC, id LIMIT ?2";
            reader.rows(BATCH, sql, values![account, most], |row| Ok((row.uuid(0)?, row.time(1)?)))
        })
    }

    /// Results by status of a batch, as the last look at it showed them.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn results(&self, account: AccountId, id: Uuid) -> Result<Option<StatusCounts>, StoreError> {
        self.read(|reader| {
            let sql = "SELECT tally FROM batch WHERE account = ?1 AND id = ?2";
            let tally = reader
                .row(BATCH, sql, values![account, id], |row| Ok(row.optional_text(0)?.and_then(tally_text::read)))?;
            Ok(tally.flatten().map(|tally| tally.all))
        })
    }

    /// Some batches that have settled, those with the newest results first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn settled_batches(&self, account: AccountId, most: u32) -> Result<Vec<Uuid>, StoreError> {
        self.read(|reader| {
            let sql =
                "SELECT id FROM batch WHERE account = ?1 AND state = 'settled' ORDER BY newest_result DESC LIMIT ?2";
            reader.rows(BATCH, sql, values![account, most], |row| row.uuid(0))
        })
    }

    /// Writes one pass's changes.
    ///
    /// # Errors
    /// If they cannot be written; then nothing was.
    pub fn commit_batches(&self, commit: &BatchesCommit<'_>) -> Result<(), StoreError> {
        let account = commit.success.account;
        self.write(|writer| {
            for batch in commit.batches {
                write_batch(writer, account, batch, commit.now)?;
            }
            if let Some(totals) = commit.totals {
                write_totals(writer, account, totals)?;
            }
            writer.allow(account, "institution", commit.institutions, commit.now.wall)?;
            writer.add_series(account, commit.new_series)?;
            writer.succeed(commit.success)
        })
    }

    /// Notes that a batch was said to be complete: reads and writes it in one transaction, so that no write in between is
    /// undone. `room` if an id that the vendor never answered for may be taken. Returns what was done.
    ///
    /// # Errors
    /// If it cannot be read or written; then nothing was.
    pub fn note_completed(&self, account: AccountId, id: Uuid, room: bool, now: Moment) -> Result<Noted, StoreError> {
        self.write(|writer| {
            let mut batch = match find_batch(writer, account, id, now)? {
                Some(batch) if batch.state == BatchState::Settled => return Ok(Noted::Settled),
                Some(batch) if batch.confirmed || room => batch,
                None if room => Batch::new(id, now),
                _ => return Ok(Noted::NoRoom),
            };
            if batch.completed_at.is_some() {
                return Ok(Noted::Known);
            }
            batch.completed(now);
            write_batch(writer, account, &batch, now)?;
            Ok(Noted::New)
        })
    }

    /// Forgets what batches showed that settled long ago, and ids that never settled, unless they are listed. That a batch
    /// has settled is never forgotten.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget_details(&self, account: AccountId, listed: &BTreeSet<Uuid>, now: Moment) -> Result<(), StoreError> {
        self.write(|writer| {
            let old: Vec<(String, bool)> = writer.rows(
                BATCH,
                "SELECT id, state = 'settled' FROM batch WHERE account = ?1 AND CASE state
                 WHEN 'settled' THEN settled_at < ?2 AND tally IS NOT NULL ELSE first_seen < ?2 END",
                values![account, now.wall - delta(REMEMBERED)],
                |row| Ok((row.text(0)?.to_owned(), row.flag(1)?)),
            )?;
            for (id, settled) in old {
                if Uuid::try_parse(&id).is_ok_and(|id| listed.contains(&id)) {
                    continue;
                }
                let forget = if settled {
                    "UPDATE batch SET tally = NULL, newest_result = NULL WHERE account = ?1 AND id = ?2"
                } else {
                    "DELETE FROM batch WHERE account = ?1 AND id = ?2"
                };
                writer.execute(forget, values![account, id])?;
            }
            Ok(())
        })
    }
}

fn status(row: &Row<'_>, column: usize) -> Result<CheckStatus, StoreError> {
    row.parsed(column, |label| label.parse().ok())
}

fn totals(reader: &Reader<'_>, account: AccountId) -> Result<CheckTotals, StoreError> {
    let via = |label: &str| label.parse::<SubmittedVia>().ok();
    let reason = |label: &str| label.parse::<RowReject>().ok();
    let by_status = reader.rows(
        "check_counter",
        "SELECT status, submitted_via, checks FROM check_counter WHERE account = ?1",
        values![account],
        |row| Ok(((status(row, 0)?, row.parsed(1, via)?), row.count(2)?)),
    )?;
    let mut by_institution: BTreeMap<String, BTreeMap<CheckStatus, u64>> = BTreeMap::new();
    reader.rows::<(), _>(
        "check_institution",
        "SELECT institution, status, checks FROM check_institution WHERE account = ?1",
        values![account],
        |row| {
            let counts = by_institution.entry(row.text(0)?.to_owned()).or_default();
            counts.insert(status(row, 1)?, row.count(2)?);
            Ok(())
        },
    )?;
    let rejected: Vec<_> = reader.rows(
        "check_rejected",
        "SELECT reason, rows FROM check_rejected WHERE account = ?1",
        values![account],
        |row| Ok((row.text(0).map(reason)?, row.count(1)?)),
    )?;
    let histogram: Option<AmountHistogram> = reader.row(
        "check_histogram",
        "SELECT histogram FROM check_histogram WHERE account = ?1",
        values![account],
        |row| row.parsed(0, |text| serde_json::from_str(text).ok()),
    )?;
    // A reason of a newer version is none of ours.
    let rejected = rejected.into_iter().filter_map(|(reason, rows)| Some((reason?, rows))).collect();
    let institutions = reader.allowed(account, "institution")?;
    Ok(CheckTotals::restored(by_status, by_institution, histogram.unwrap_or_default(), rejected, institutions))
}

fn write_totals(writer: &Writer<'_>, account: AccountId, totals: &CheckTotals) -> Result<(), StoreError> {
    for ((status, via), checks) in &totals.by_status {
        writer.execute(
            "INSERT OR REPLACE INTO check_counter (account, status, submitted_via, checks) VALUES (?1, ?2, ?3, ?4)",
            values![account, status.as_str(), via.as_str(), *checks],
        )?;
    }
    for (institution, by_status) in &totals.by_institution {
        for (status, checks) in by_status {
            writer.execute(
                "INSERT OR REPLACE INTO check_institution (account, institution, status, checks)
                 VALUES (?1, ?2, ?3, ?4)",
                values![account, institution, status.as_str(), *checks],
            )?;
        }
    }
    for (reason, rows) in &totals.rejected {
        writer.execute(
            "INSERT OR REPLACE INTO check_rejected (account, reason, rows) VALUES (?1, ?2, ?3)",
            values![account, reason.as_str(), *rows],
        )?;
    }
    let histogram =
        serde_json::to_string(&totals.histogram).map_err(|_| StoreError::Unreadable { table: "check_histogram" })?;
    let sql = "INSERT OR REPLACE INTO check_histogram (account, histogram) VALUES (?1, ?2)";
    writer.execute(sql, values![account, histogram])
}
