//! An account's ledger goes to another storage, or gets another name; a copy of a whole storage.
//!
//! Flows in: directories that no exporter has open, but for a copy. Flows out: the same rows elsewhere. Invariant: at every
//! moment, a crash included, at most one side serves the account, and nothing is deleted at its source. A move is three
//! commits, each synced: the rows are at the target and are not served, the source is marked as moved, the target serves.

mod error;

use std::fs::File;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior};
use uuid::Uuid;

use super::migrations::{CopyError, beside, write_copy};
use super::open::{FILE_NAME, Header, OpenFile, damage, is_ours, open_file, refuse_planted, validate};
use super::{OpenError, Schema, frozen};
pub use error::TransferError;

/// An account, by its vendor's label value and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountKey<'a> {
    /// The vendor's label value.
    pub vendor: &'a str,
    /// The label `account`.
    pub name: &'a str,
}

/// A storage that no exporter has open.
struct Ledger {
    directory: PathBuf,
    connection: Connection,
    _file: OpenFile,
}

/// What is known of a move of an account.
struct Mark {
    is_incoming: bool,
    token: String,
    other: String,
}

fn mark(connection: &Connection, account: i64) -> Result<Option<Mark>, rusqlite::Error> {
    let sql = "SELECT state = 'incoming', token, other_directory FROM account_move WHERE account = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok(Mark { is_incoming: row.get(0)?, token: row.get(1)?, other: row.get(2)? });
    connection.query_row(sql, [account], read).optional()
}

/// Whether an account that may be served from here has a mark of its move to here. The inner error says why it may not.
pub(super) fn incoming(connection: &Connection, account: i64) -> Result<Result<bool, TransferError>, rusqlite::Error> {
    let Some(mark) = mark(connection, account)? else { return Ok(Ok(false)) };
    let (vendor, account) =
        connection.query_row("SELECT vendor, name FROM account WHERE id = ?1", [account], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
    Ok(if !mark.is_incoming {
        Err(TransferError::Moved { vendor, account, to: mark.other })
    } else if source_has_moved(Path::new(&mark.other), &mark.token) {
        Ok(true)
    } else {
        Err(TransferError::Unfinished { vendor, account, from: mark.other })
    })
}

/// Whether the source of a move was marked before the move was interrupted. False if that cannot be seen from here.
fn source_has_moved(directory: &Path, token: &str) -> bool {
    let sql = "SELECT EXISTS (SELECT * FROM account_move WHERE token = ?1 AND state = 'moved')";
    let connection = frozen::open_untouched(&directory.join(FILE_NAME));
    connection.and_then(|connection| connection.query_row(sql, [token], |row| row.get(0))).unwrap_or(false)
}

impl Ledger {
    fn open(directory: &Path, now: DateTime<Utc>, schema: Schema) -> Result<Ledger, TransferError> {
        let path = directory.join(FILE_NAME);
        let mut refuse = |because| Err(OpenError::Corrupt { path: path.clone(), because });
        let (connection, file) = open_file(directory, now, schema, &mut None, &mut refuse)?;
        let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        Ok(Ledger { directory, connection, _file: file })
    }

    /// One that is there already.
    fn existing(directory: &Path, now: DateTime<Utc>, schema: Schema) -> Result<Ledger, TransferError> {
        match directory.join(FILE_NAME).exists() {
            true => Ledger::open(directory, now, schema),
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
        let mut statement = self.connection.prepare("SELECT vendor || ' ' || name FROM account ORDER BY 1")?;
        let known: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let (vendor, account) = (key.vendor.to_owned(), key.name.to_owned());
        Err(TransferError::Unknown { directory: self.directory.clone(), vendor, account, known })
    }

    /// Whether more is known of an account than what a start makes.
    fn has_counted(&self, account: i64) -> Result<bool, rusqlite::Error> {
        for (table, _) in tables(&self.connection)? {
            let sql = format!("SELECT EXISTS (SELECT * FROM {table} WHERE account = ?1)");
            if table != "series" && self.connection.query_row(&sql, [account], |row| row.get(0))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn occupied(&self, key: AccountKey<'_>) -> TransferError {
        let (vendor, account) = (key.vendor.to_owned(), key.name.to_owned());
        TransferError::Occupied { directory: self.directory.clone(), vendor, account }
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
    source: Ledger,
    target: Ledger,
    vendor: String,
    name: String,
    account: i64,
    token: String,
    /// The source is marked as moved already.
    is_marked: bool,
}

impl Move {
    /// Opens both storages; neither may be in use.
    ///
    /// # Errors
    /// See [`TransferError`]; nothing was changed.
    pub fn open(
        from: &Path,
        to: &Path,
        key: AccountKey<'_>,
        now: DateTime<Utc>,
        schema: Schema,
    ) -> Result<Move, TransferError> {
        let source = Ledger::existing(from, now, schema)?;
        let account = source.expect(key)?;
        if to.canonicalize().is_ok_and(|to| to == source.directory) {
            return Err(TransferError::Same(to.to_owned()));
        }
        let target = Ledger::open(to, now, schema)?;
        let (vendor, name) = (key.vendor.to_owned(), key.name.to_owned());
        let mut token = Uuid::new_v4().to_string();
        let is_marked = match mark(&source.connection, account)? {
            Some(mark) if mark.is_incoming => {
                return Err(TransferError::Unfinished { vendor, account: name, from: mark.other });
            }
            Some(mark) if Path::new(&mark.other) == target.directory => {
                token = mark.token;
                true
            }
            Some(mark) => return Err(TransferError::Moved { vendor, account: name, to: mark.other }),
            None => false,
        };
        if let Some(there) = target.find(key)?.filter(|_| !is_marked)
            && mark(&target.connection, there)?.is_none()
            && target.has_counted(there)?
        {
            return Err(target.occupied(key));
        }
        Ok(Move { source, target, vendor, name, account, token, is_marked })
    }

    /// Does what is left to do.
    ///
    /// # Errors
    /// If a disk fails; the move can be started again.
    pub fn run(mut self) -> Result<(), TransferError> {
        self.copy()?;
        self.mark()?;
        self.finish()
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
        let (token, other) = (&self.token, self.source.directory.to_string_lossy());
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
            transaction.execute(sql, (id, token, other)).map(drop)
        })?;
        Ok(self.target.connection.execute_batch("DETACH source")?)
    }

    /// Marks the account as moved at its source, which does not serve it any more.
    ///
    /// # Errors
    /// If a disk fails.
    pub fn mark(&mut self) -> Result<(), TransferError> {
        let (account, token, other) = (self.account, &self.token, self.target.directory.to_string_lossy());
        let sql =
            "INSERT OR REPLACE INTO account_move (account, state, token, other_directory) VALUES (?1, 'moved', ?2, ?3)";
        Ok(self.source.write(|transaction| transaction.execute(sql, (account, token, other)).map(drop))?)
    }

    /// Lets the target serve the account.
    ///
    /// # Errors
    /// If a disk fails.
    pub fn finish(mut self) -> Result<(), TransferError> {
        let sql = "DELETE FROM account_move WHERE token = ?1";
        Ok(self.target.write(|transaction| transaction.execute(sql, [&self.token]).map(drop))?)
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
    let mut ledger = Ledger::existing(directory, now, schema)?;
    let account = ledger.expect(key)?;
    if let Some(mark) = mark(&ledger.connection, account)? {
        let (vendor, account) = (key.vendor.to_owned(), key.name.to_owned());
        return Err(match mark.is_incoming {
            true => TransferError::Unfinished { vendor, account, from: mark.other },
            false => TransferError::Moved { vendor, account, to: mark.other },
        });
    }
    let target = AccountKey { name: to, ..key };
    let taken = ledger.find(target)?;
    if let Some(taken) = taken.filter(|taken| *taken != account)
        && (ledger.has_counted(taken)? || mark(&ledger.connection, taken)?.is_some())
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
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(&path, flags)?;
    refuse_planted(&source, &path)?;
    let unfinished = beside(to, ".unfinished");
    let written = write_copy(&source, &unfinished, now).map_err(|error| match error {
        CopyError::Sqlite(error) => error.into(),
        CopyError::File(kind) => TransferError::File { path: unfinished.clone(), kind },
    });
    let checked = written.and_then(|()| match damage(&Connection::open_with_flags(&unfinished, flags)?)? {
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
