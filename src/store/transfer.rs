//! An account's ledger goes to another storage, or gets another name; a copy of a whole storage.
//!
//! Flows in: directories that no exporter has open, but for a copy. Flows out: the same rows elsewhere. Invariant: at every
//! moment, a crash included, at most one side serves the account, nothing is deleted at its source, and what is written
//! over was served by nobody or went on elsewhere. A move is four commits, each synced: the ledger gets a token by which its
//! copies are known, the rows are at the target and are not served, the source is marked as moved, the target serves.

mod error;
mod mark;

use std::fs::File;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::files::{FILE_NAME, beside, has_file, is_ours};
use super::migrations::{CopyError, write_copy};
use super::open::{Header, OpenFile, damage, open_file, refuse_planted, validate};
use super::{OpenError, Schema, connect};
pub use error::TransferError;
pub(super) use mark::{ARRIVED, incoming};
use mark::{Mark, Standing};

/// An account, by its vendor's label value and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountKey<'a> {
    /// The vendor's label value.
    pub vendor: &'a str,
    /// The label `account`.
    pub name: &'a str,
}

/// A storage that no exporter has open.
struct LedgerFile {
    directory: PathBuf,
    connection: Connection,
    _file: OpenFile,
}

impl LedgerFile {
    fn open(directory: &Path, now: DateTime<Utc>, schema: Schema) -> Result<LedgerFile, TransferError> {
        let path = directory.join(FILE_NAME);
        let mut refuse = |because| Err(OpenError::Corrupt { path: path.clone(), because });
        let (connection, file) = open_file(directory, now, schema, &mut None, &mut refuse)?;
        let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        Ok(LedgerFile { directory, connection, _file: file })
    }

    /// One that is there already.
    fn existing(directory: &Path, now: DateTime<Utc>, schema: Schema) -> Result<LedgerFile, TransferError> {
        match has_file(directory) {
            true => LedgerFile::open(directory, now, schema),
            false => Err(TransferError::NoLedger(directory.to_owned())),
        }
    }

    fn find(&self, key: AccountKey<'_>) -> Result<Option<i64>, rusqlite::Error> {
        let sql = "SELECT id FROM account WHERE vendor = ?1 AND name = ?2";
        self.connection.query_row(sql, [key.vendor, key.name], |row| row.get(0)).optional()
    }

    fn expect(&self, key: AccountKey<'_>) -> Result<i64, TransferError> {
        if let Some(id) = self.find(key)? {
            return Ok(id);
        }
        let sql =
            "SELECT vendor || ' ' || name FROM account LEFT JOIN account_move ON account_move.account = account.id
                   WHERE coalesce(state, '') <> 'moved' ORDER BY 1";
        let mut statement = self.connection.prepare(sql)?;
        let known: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let (vendor, account) = (key.vendor.to_owned(), key.name.to_owned());
        Err(TransferError::Unknown { directory: self.directory.clone(), vendor, account, known })
    }

    /// Whether more is known of an account than what a start, or a download that failed, makes.
    fn has_counted(&self, account: i64) -> Result<bool, rusqlite::Error> {
        for (table, _) in tables(&self.connection)? {
            let sql = format!("SELECT EXISTS (SELECT * FROM {table} WHERE account = ?1)");
            if !["series", "transaction_download"].contains(&&*table)
                && self.connection.query_row(&sql, [account], |row| row.get(0))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn occupied(&self, key: AccountKey<'_>) -> TransferError {
        let (vendor, account) = (key.vendor.to_owned(), key.name.to_owned());
        TransferError::Occupied { directory: self.directory.clone(), vendor, account }
    }

    fn mark(&self, key: AccountKey<'_>) -> Result<Option<Mark>, rusqlite::Error> {
        self.find(key)?.map_or(Ok(None), |account| Mark::of(&self.connection, account))
    }

    /// Refuses a copy over a ledger that is the only one of its kind, as far as can be seen.
    fn refuse_loss(&self, key: AccountKey<'_>, copied: &Mark) -> Result<(), TransferError> {
        let Some(account) = self.find(key)? else { return Ok(()) };
        match Mark::of(&self.connection, account)? {
            Some(mark) if mark.standing != Standing::Here => {
                let elsewhere = || Mark::at(Path::new(&mark.other), key);
                match mark.is_superseded_by(copied) || elsewhere().is_some_and(|other| mark.is_superseded_by(&other)) {
                    true => Ok(()),
                    false => Err(mark.unfinished(key, &self.directory)),
                }
            }
            _ if self.has_counted(account)? => Err(self.occupied(key)),
            _ => Ok(()),
        }
    }

    fn write(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<(), rusqlite::Error>,
    ) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&transaction)?;
        transaction.commit()
    }
}

/// A move of an account from one storage to another, of which an earlier try may have been interrupted anywhere.
pub struct Move {
    source: LedgerFile,
    target: LedgerFile,
    vendor: String,
    name: String,
    account: i64,
    /// Those of the ledger before it is moved.
    before: String,
    tokens: String,
    /// The source is marked as moved already.
    is_marked: bool,
}

impl Move {
    /// Opens both storages; neither may be in use. `other_is_lost` says so of the storage at the other end of an earlier move
    /// of the account, which then goes from where it is.
    ///
    /// # Errors
    /// See [`TransferError`]; nothing was changed.
    pub fn open(
        from: &Path,
        to: &Path,
        key: AccountKey<'_>,
        other_is_lost: bool,
        now: DateTime<Utc>,
        schema: Schema,
    ) -> Result<Move, TransferError> {
        let source = LedgerFile::existing(from, now, schema)?;
        let account = source.expect(key)?;
        if to.canonicalize().is_ok_and(|to| to == source.directory) {
            return Err(TransferError::Same(to.to_owned()));
        }
        let here = Mark::of(&source.connection, account)?.unwrap_or_else(Mark::new);
        let is_seen = || Mark::at(Path::new(&here.other), key).is_some_and(|other| !other.is_superseded_by(&here));
        let can_go = here.standing == Standing::Here || (other_is_lost && !is_seen());
        if !can_go && !has_file(to) {
            return Err(here.refusal(key, &source.directory));
        }
        let target = LedgerFile::open(to, now, schema)?;
        // Known by its tokens, wherever the directories are by now.
        let is_marked = here.standing == Standing::Moved
            && target.mark(key)?.is_some_and(|there| there.standing != Standing::Moved && there.tokens == here.tokens);
        if !is_marked {
            if !can_go {
                return Err(here.refusal(key, &source.directory));
            }
            target.refuse_loss(key, &here)?;
        }
        let tokens = if is_marked { here.tokens.clone() } else { here.next_tokens() };
        let (vendor, name) = (key.vendor.to_owned(), key.name.to_owned());
        Ok(Move { source, target, vendor, name, account, before: here.tokens, tokens, is_marked })
    }

    /// Does what is left to do.
    ///
    /// # Errors
    /// If a disk fails; the move can be started again.
    pub fn run(mut self) -> Result<(), TransferError> {
        self.identify()?;
        self.copy()?;
        self.mark()?;
        self.finish()
    }

    /// Writes to the source by what its copies are known.
    ///
    /// # Errors
    /// If a disk fails.
    pub fn identify(&mut self) -> Result<(), TransferError> {
        let (account, before) = (self.account, &self.before);
        let sql = "INSERT OR IGNORE INTO account_move (account, state, token, other_directory) VALUES (?1, 'incoming', ?2, '')";
        Ok(self.source.write(|transaction| transaction.execute(sql, (account, before)).map(drop))?)
    }

    /// Writes the rows to the target, where they are not served yet.
    ///
    /// # Errors
    /// If a disk fails.
    pub fn copy(&mut self) -> Result<(), TransferError> {
        if self.is_marked {
            return Ok(());
        }
        let source = self.source.directory.join(FILE_NAME);
        self.target.connection.execute("ATTACH DATABASE ?1 AS source", [source.to_string_lossy()])?;
        let (vendor, name, account) = (&self.vendor, &self.name, self.account);
        let (tokens, other) = (&self.tokens, self.source.directory.to_string_lossy());
        self.target.write(|transaction| {
            transaction.execute("INSERT OR IGNORE INTO account (vendor, name) VALUES (?1, ?2)", [vendor, name])?;
            let sql = "SELECT id FROM account WHERE vendor = ?1 AND name = ?2";
            let id: i64 = transaction.query_row(sql, [vendor, name], |row| row.get(0))?;
            for (table, columns) in tables(transaction)? {
                transaction.execute(&format!("DELETE FROM {table} WHERE account = ?1"), [id])?;
                let sql = format!(
                    "INSERT INTO {table} (account, {columns}) SELECT ?1, {columns} FROM source.{table} WHERE account = ?2"
                );
                transaction.execute(&sql, [id, account])?;
            }
            let sql = "INSERT OR REPLACE INTO account_move (account, state, token, other_directory) VALUES (?1, 'incoming', ?2, ?3)";
            transaction.execute(sql, (id, tokens, other)).map(drop)
        })?;
        Ok(self.target.connection.execute_batch("DETACH source")?)
    }

    /// Marks the account as moved at its source, which does not serve it any more.
    ///
    /// # Errors
    /// If a disk fails.
    pub fn mark(&mut self) -> Result<(), TransferError> {
        let (account, tokens, other) = (self.account, &self.tokens, self.target.directory.to_string_lossy());
        let sql =
            "INSERT OR REPLACE INTO account_move (account, state, token, other_directory) VALUES (?1, 'moved', ?2, ?3)";
        Ok(self.source.write(|transaction| transaction.execute(sql, (account, tokens, other)).map(drop))?)
    }

    /// Lets the target serve the account.
    ///
    /// # Errors
    /// If a disk fails.
    pub fn finish(mut self) -> Result<(), TransferError> {
        let key = AccountKey { vendor: &self.vendor, name: &self.name };
        let account = self.target.expect(key)?;
        Ok(self.target.write(|transaction| match transaction.execute(ARRIVED, (account, &self.tokens))? {
            1 => Ok(()),
            rows => Err(rusqlite::Error::StatementChangedRows(rows)),
        })?)
    }
}

/// The tables with rows of accounts, and their columns beside `account`.
fn tables(connection: &Connection) -> Result<Vec<(String, String)>, rusqlite::Error> {
    let sql = "SELECT name, group_concat(column, ', ') FROM (
          SELECT tables.name, columns.name AS column FROM main.sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
          WHERE tables.type = 'table' AND tables.name NOT IN ('account', 'account_move'))
        GROUP BY name HAVING sum(column = 'account') = 1";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let beside_account = |columns: String| {
        let columns: Vec<&str> = columns.split(", ").filter(|column| *column != "account").collect();
        columns.join(", ")
    };
    rows.map(|row| row.map(|(table, columns)| (table, beside_account(columns)))).collect()
}

/// Gives an account's ledger another name.
///
/// # Errors
/// See [`TransferError`]; nothing was changed.
pub fn rename(
    directory: &Path,
    key: AccountKey<'_>,
    to: &str,
    now: DateTime<Utc>,
    schema: Schema,
) -> Result<(), TransferError> {
    let mut ledger = LedgerFile::existing(directory, now, schema)?;
    let account = ledger.expect(key)?;
    if let Some(mark) = ledger.mark(key)?.filter(|mark| mark.standing != Standing::Here) {
        return Err(mark.refusal(key, &ledger.directory));
    }
    let target = AccountKey { name: to, ..key };
    let taken = ledger.find(target)?;
    if let Some(taken) = taken.filter(|taken| *taken != account)
        && (ledger.has_counted(taken)? || ledger.mark(target)?.is_some())
    {
        return Err(ledger.occupied(target));
    }
    Ok(ledger.write(|transaction| {
        // Of an account that never counted, only a start has left its rows.
        if let Some(taken) = taken.filter(|taken| *taken != account) {
            for (table, _) in tables(transaction)? {
                transaction.execute(&format!("DELETE FROM {table} WHERE account = ?1"), [taken])?;
            }
            transaction.execute("DELETE FROM account WHERE id = ?1", [taken])?;
        }
        transaction.execute("UPDATE account SET name = ?1 WHERE id = ?2", (to, account)).map(drop)
    })?)
}

/// Copies a storage into a file, also while an exporter has it open.
///
/// # Errors
/// See [`TransferError`]; then there is no file.
pub fn backup(directory: &Path, to: &Path, now: DateTime<Utc>, schema: Schema) -> Result<(), TransferError> {
    let path = directory.join(FILE_NAME);
    if !matches!(validate(&path, is_ours(directory), schema)?, Header::Fine) {
        return Err(TransferError::NoLedger(directory.to_owned()));
    }
    if to.symlink_metadata().is_ok() {
        return Err(TransferError::Exists(to.to_owned()));
    }
    let file_error = |error: std::io::Error| TransferError::File { path: to.to_owned(), kind: error.kind() };
    // With SQLite's locks: an exporter may be writing.
    let source = connect::to_read(&path)?;
    refuse_planted(&source, &path, schema)?;
    let unfinished = beside(to, ".unfinished");
    let written = write_copy(&source, &unfinished, now).map_err(|error| match error {
        CopyError::Sqlite(error) => error.into(),
        CopyError::File(kind) => TransferError::File { path: unfinished.clone(), kind },
    });
    let checked = written.and_then(|()| match damage(&connect::to_read(&unfinished)?)? {
        Some(because) => Err(OpenError::Corrupt { path: path.clone(), because }.into()),
        None => Ok(()),
    });
    let named = checked.and_then(|()| {
        // Not a rename, which would replace a file that somebody made meanwhile.
        std::fs::hard_link(&unfinished, to).map_err(file_error)
    });
    // Looking at it has made SQLite's two files beside it.
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(beside(&unfinished, suffix));
    }
    named?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(file_error)
}
