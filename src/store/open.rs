//! Opening the file, or refusing to.
//!
//! Flows in: a directory. Flows out: a [`Store`] that is alone on its file. Invariant: a file that is not ours, or of a
//! newer version, is left as it is; a damaged one of ours is moved aside, never deleted.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags};

use super::{Store, StoreError, batches};

/// The file's name in the storage directory.
pub const FILE_NAME: &str = "wallet-exporter.db";
pub(super) const LOCK_NAME: &str = "wallet-exporter.lock";

/// Marks the file as ours: "WLTX".
const APPLICATION_ID: u32 = 0x574c_5458;
const SCHEMA_VERSION: u32 = 1;
const SCHEMA: &str = include_str!("schema.sql");

/// A damaged file was put out of the way: counting starts from zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedAside {
    /// Where it is now.
    pub to: PathBuf,
    /// What SQLite said about it.
    pub because: String,
}

/// Why there is no store. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or written.
    #[error("--storage.path: cannot write {path}: {kind}; name a directory that this user may write, or `none`")]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// The system's word for it.
        kind: ErrorKind,
    },
    /// Another process has it.
    #[error("--storage.path: {0} is in use by another process; stop that one, or name another directory")]
    InUse(PathBuf),
    /// Some other program's file.
    #[error("--storage.path: {0} was not written by this program; it is left untouched: name another directory")]
    Foreign(PathBuf),
    /// Written by a later version.
    #[error(
        "--storage.path: {path} has schema version {found}, and this program knows up to {known}; it is left untouched: run the newer version"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// SQLite cannot open it.
    #[error("--storage.path: {path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: StoreError,
    },
}

impl Store {
    /// Opens the store in `directory`, or one in memory. `now` names a damaged file that is moved aside.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: Option<&Path>, now: DateTime<Utc>) -> Result<(Store, Option<MovedAside>), OpenError> {
        let Some(directory) = directory else {
            let wrap = |source: rusqlite::Error| OpenError::Sqlite { path: ":memory:".into(), source: source.into() };
            let connection = Connection::open_in_memory().map_err(wrap)?;
            prepare(&connection).map_err(wrap)?;
            return Ok((Store::new(connection, None), None));
        };
        let path = directory.join(FILE_NAME);
        let known_directory = directory.join(LOCK_NAME).exists();
        let lock = lock(directory)?;
        let moved = match judge(&path, known_directory)? {
            Judgement::Fine => match check(&path)? {
                None => None,
                Some(damage) => Some(move_aside(&path, damage, now)?),
            },
            Judgement::Damaged(because) => Some(move_aside(&path, because, now)?),
        };
        let wrap = |source: rusqlite::Error| OpenError::Sqlite { path: path.clone(), source: source.into() };
        let connection = Connection::open(&path).map_err(|error| writable(&path, error))?;
        prepare(&connection).map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => writable(&path, error),
            _ => wrap(error),
        })?;
        Ok((Store::new(connection, Some(lock)), moved))
    }

    fn new(connection: Connection, lock: Option<File>) -> Store {
        Store {
            connection: std::sync::Mutex::new(connection),
            durable: lock.is_some(),
            tallies: batches::Tallies::default(),
            _lock: lock,
        }
    }
}

fn writable(path: &Path, error: rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => {
            OpenError::Directory { path: path.to_owned(), kind: ErrorKind::PermissionDenied }
        }
        _ => OpenError::Sqlite { path: path.to_owned(), source: error.into() },
    }
}

/// A lock file of its own, so that the database stays open to the `sqlite3` shell and to backups.
fn lock(directory: &Path) -> Result<File, OpenError> {
    let refuse = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| OpenError::Directory { path, kind: error.kind() }
    };
    std::fs::create_dir_all(directory).map_err(refuse(directory))?;
    let path = directory.join(LOCK_NAME);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(refuse(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(refuse(&path)(error)),
    }
}

pub(super) enum Judgement {
    Fine,
    Damaged(String),
}

/// Looks at the header before SQLite touches the file. `ours` if the directory has our lock file since before.
pub(super) fn judge(path: &Path, ours: bool) -> Result<Judgement, OpenError> {
    let mut header = Vec::new();
    match File::open(path) {
        Ok(file) => {
            file.take(100)
                .read_to_end(&mut header)
                .map_err(|error| OpenError::Directory { path: path.to_owned(), kind: error.kind() })?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Judgement::Fine),
        Err(error) => return Err(OpenError::Directory { path: path.to_owned(), kind: error.kind() }),
    }
    if header.is_empty() {
        return Ok(Judgement::Fine);
    }
    let number = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let sqlite = header.starts_with(b"SQLite format 3\0");
    match (sqlite, number(68), number(60)) {
        (true, Some(APPLICATION_ID), Some(version)) if version > SCHEMA_VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found: version, known: SCHEMA_VERSION })
        }
        (true, Some(APPLICATION_ID), Some(_)) => Ok(Judgement::Fine),
        // A database that SQLite has only just begun to write still has no mark.
        (true, Some(0), Some(0)) if ours => Ok(Judgement::Fine),
        (true, Some(_), _) => Err(OpenError::Foreign(path.to_owned())),
        _ if ours => Ok(Judgement::Damaged("the header is not a database's".to_owned())),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Reads the whole file once; `Some` says what is wrong with it.
fn check(path: &Path) -> Result<Option<String>, OpenError> {
    if !path.exists() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let checked = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
    });
    match checked {
        Ok(verdict) if verdict == "ok" => Ok(None),
        Ok(verdict) => Ok(Some(verdict.lines().next().unwrap_or_default().to_owned())),
        Err(error) => match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Ok(Some(error.to_string()))
            }
            _ => Err(writable(path, error)),
        },
    }
}

fn move_aside(path: &Path, because: String, now: DateTime<Utc>) -> Result<MovedAside, OpenError> {
    let to = path.with_file_name(format!("{FILE_NAME}.damaged-{}", now.format("%Y%m%dT%H%M%S%.6fZ")));
    let refuse = |error: std::io::Error| OpenError::Directory { path: path.to_owned(), kind: error.kind() };
    std::fs::rename(path, &to).map_err(refuse)?;
    // The log goes along: with another file it would be replayed into the new one.
    for suffix in ["-wal", "-shm"] {
        let mut from = path.as_os_str().to_owned();
        from.push(suffix);
        let mut target = to.as_os_str().to_owned();
        target.push(suffix);
        match std::fs::rename(&from, &target) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(refuse(error)),
            _ => {}
        }
    }
    Ok(MovedAside { to, because })
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // What a scrape has shown must still be there after a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // A whole page cache would be most of this process's memory; the ledger's hot pages are few.
    connection.pragma_update(None, "cache_size", -1_024)?;
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; {SCHEMA} COMMIT;"
        ))?;
    } else {
        // A read-only disk must show now, not at the first poll.
        connection.execute_batch("BEGIN IMMEDIATE; UPDATE account SET name = name WHERE id = -1; COMMIT;")?;
    }
    Ok(())
}
