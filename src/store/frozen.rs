//! A ledger that can be read but not written: it is served from memory, and nothing is counted.
//!
//! Flows in: a directory that cannot be written. Flows out: the ledger in memory, and later the way back to the file.
//! Invariant: the file is not touched before it can be written as a whole; what is written then is only what memory
//! had before anything was counted.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, TransactionBehavior};

use super::files::{FILE_NAME, is_ours};
use super::migrations::{self, Schema};
use super::open::{self, Header, Lock, OpenError, OpenFile};
use super::{StoreError, connect};

/// Tables whose rows are made at a start, before anything is counted.
const MADE_AT_START: [&str; 2] = ["account", "series"];

/// Why a store is in memory, and where its file is.
pub(super) struct Frozen {
    pub(super) directory: PathBuf,
    pub(super) because: String,
    /// There is a ledger in the file; it must still be the same one when the file can be written.
    has_ledger: bool,
    opened_at: DateTime<Utc>,
    /// As much of the lock as could be had.
    lock: Option<Lock>,
}

/// Reads the ledger into memory. Gives `error` back where there is none, or none that can be read.
pub(super) fn load(
    directory: &Path,
    now: DateTime<Utc>,
    schema: Schema,
    error: OpenError,
    lock: Option<Lock>,
) -> Result<(Connection, Frozen), OpenError> {
    let path = directory.join(FILE_NAME);
    let sqlite = |source: rusqlite::Error| OpenError::Sqlite { path: path.clone(), source: source.into() };
    let mut memory = connect::memory().map_err(sqlite)?;
    let has_ledger = match open::validate(&path, is_ours(directory), schema) {
        Ok(Header::Empty) if is_disk_fault(&error) => false,
        Ok(Header::Fine) => match read(&path, &mut memory, schema) {
            Ok(true) => true,
            Ok(false) => {
                memory = connect::memory().map_err(sqlite)?;
                false
            }
            Err(refusal @ (OpenError::Newer { .. } | OpenError::Planted { .. })) => return Err(refusal),
            Err(_) => return Err(error),
        },
        Ok(Header::Corrupt(_)) => false,
        Ok(Header::Empty) | Err(OpenError::Directory { .. }) => return Err(error),
        Err(refusal) => return Err(refusal),
    };
    let (found, known) = (migrations::version(&memory).map_err(sqlite)?, schema.version());
    migrations::migrate(&mut memory, schema).map_err(|source| open::migration_error(&path, found, known, source))?;
    let frozen =
        Frozen { directory: directory.to_owned(), because: error.to_string(), has_ledger, opened_at: now, lock };
    Ok((memory, frozen))
}

/// Whether it is worth waiting where there is no ledger: a path that was never right should be said at once.
fn is_disk_fault(error: &OpenError) -> bool {
    match error {
        OpenError::Directory { kind, .. } => {
            matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem)
        }
        _ => true,
    }
}

/// Reads a file into memory without writing anything. False if it is damaged.
fn read(path: &Path, memory: &mut Connection, schema: Schema) -> Result<bool, OpenError> {
    // With SQLite's locks, if they can be had: they are in a file that may have to be made.
    let copied = connect::to_read(path)
        .and_then(|file| migrations::copy(&file, memory, c"main"))
        .or_else(|_| migrations::copy(&connect::untouched(path)?, memory, c"main"));
    if copied.is_ok() {
        open::refuse_planted(memory, path, schema)?;
    }
    match copied.and_then(|()| open::damage(memory)) {
        Ok(damage) => Ok(damage.is_none()),
        Err(error) if open::is_damage(&error) => Ok(false),
        Err(error) => Err(OpenError::Sqlite { path: path.to_owned(), source: error.into() }),
    }
}

impl Frozen {
    /// Of a file that was open and could not be written.
    pub(super) fn new(file: &mut OpenFile, error: &rusqlite::Error) -> Frozen {
        let OpenFile { directory, opened_at, lock, .. } = file;
        let (directory, opened_at, lock) = (directory.clone(), *opened_at, lock.take());
        Frozen { directory, because: error.to_string(), has_ledger: true, opened_at, lock }
    }

    /// Opens the file, now that it can be written, and makes it what memory is.
    pub(super) fn reopen(&mut self, memory: &Connection, schema: Schema) -> Result<(Connection, OpenFile), StoreError> {
        let path = self.directory.join(FILE_NAME);
        if self.has_ledger && !path.exists() {
            return Err(StoreError::Replaced { path });
        }
        // A ledger that was read and is damaged now is not renamed: it would no longer be what was served.
        let mut rename = |because: String| match self.has_ledger {
            true => Err(OpenError::Corrupt { path: path.clone(), because }),
            false => open::rename_corrupt(&path, because, self.opened_at).map(drop),
        };
        let opened = open::open_file(&self.directory, self.opened_at, schema, &mut self.lock, &mut rename);
        let (mut connection, file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.because = error.to_string();
                return Err(StoreError::Frozen { because: self.because.clone() });
            }
        };
        match complete(memory, &mut connection, &path) {
            Ok(()) => Ok((connection, file)),
            Err(error) => {
                self.lock = file.lock;
                Err(error)
            }
        }
    }
}

/// Checks that the file holds what memory was read from, and writes to it what was made at the start.
fn complete(memory: &Connection, file: &mut Connection, path: &Path) -> Result<(), StoreError> {
    file.execute_batch("ATTACH ':memory:' AS frozen")?;
    migrations::copy(memory, file, c"frozen")?;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables: Vec<String> = transaction
        .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name <> 'probe'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let differs = |one: &str, other: &str, table: &str| -> Result<bool, rusqlite::Error> {
        let query = format!("SELECT EXISTS (SELECT * FROM {one}.{table} EXCEPT SELECT * FROM {other}.{table})");
        transaction.query_row(&query, [], |row| row.get(0))
    };
    for table in &tables {
        let is_made_at_start = MADE_AT_START.contains(&table.as_str());
        if differs("main", "frozen", table)? || (!is_made_at_start && differs("frozen", "main", table)?) {
            return Err(StoreError::Replaced { path: path.to_owned() });
        }
    }
    for table in MADE_AT_START {
        transaction.execute(&format!("INSERT OR IGNORE INTO main.{table} SELECT * FROM frozen.{table}"), [])?;
    }
    transaction.commit()?;
    file.execute_batch("DETACH frozen")?;
    Ok(())
}
