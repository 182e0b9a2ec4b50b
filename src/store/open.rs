//! Opening the file, or refusing to.
//!
//! Flows in: a directory. Flows out: a connection that is alone on its file. Invariant: a file that is
//! not ours, or of a newer version, is left as it is; a corrupt one of ours is renamed, never deleted; what is made here
//! only its owner can read.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode};

use super::files::{FILE_NAME, LOCK_NAME, beside, directly, has_log, is_ours, make_private, open_private};
use super::migrations::{self, APPLICATION_ID, CopyError, Schema};
use super::{StoreError, connect, fill, planted};
use crate::config::file::said;

/// A larger file is read once at the start only where it was not closed, which takes long.
const CHECKED_ALWAYS: u64 = 64 << 20;
/// `check` holds the lock for a moment; what is held for longer is in use.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// What SQLite looks for beside the file.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A corrupt file was renamed: counting starts from zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// Where it is now.
    pub to: PathBuf,
    /// What SQLite said about it.
    pub because: String,
}

/// Why there is no store. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or written.
    #[error("--storage.path: cannot write {path}: {}; name a directory that this user may write, or `none`", said(*kind))]
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
    /// One of the files is a symbolic link: what it leads to could be anybody's.
    #[error("--storage.path: {0} is a symbolic link; name the directory that the file itself is in")]
    Link(PathBuf),
    /// One of the files is a directory, a FIFO, a socket or a device.
    #[error("--storage.path: {0} is not a regular file; it is left untouched: name another directory")]
    NotRegular(PathBuf),
    /// Tables, indices, triggers or views which could act on what is written or read.
    #[error(
        "--storage.path: {path} has {} that this program did not make; it is left untouched: drop what was added, or name another directory",
        objects.join(" and ")
    )]
    Planted {
        /// The file.
        path: PathBuf,
        /// Some of them, each with its type and name.
        objects: Vec<String>,
    },
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
    /// A step to the newest schema version failed.
    #[error(
        "--storage.path: {path} cannot be migrated from schema version {found} to {known}: {source}; nothing was changed: run the version that wrote it, and report this"
    )]
    Migration {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
        /// What SQLite said.
        source: StoreError,
    },
    /// A file that was served from memory is corrupt.
    #[error("--storage.path: {path} is corrupt: {because}{}", REMEDY)]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite said about it.
        because: String,
    },
    /// SQLite cannot open it.
    #[error("--storage.path: cannot open {path}: {source}; check that its disk works and has room")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: StoreError,
    },
}

impl OpenError {
    /// Whether `--storage.path` names something that the exporter does not touch, so that trying again does not help.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            OpenError::Foreign(_)
                | OpenError::Link(_)
                | OpenError::NotRegular(_)
                | OpenError::Newer { .. }
                | OpenError::Planted { .. }
        )
    }
}

/// What belongs to an open file beside its connection.
pub(super) struct OpenFile {
    pub(super) directory: PathBuf,
    pub(super) opened_at: DateTime<Utc>,
    /// The database and its log, as they were when they were opened.
    files: Vec<(PathBuf, Identity)>,
    pub(super) lock: Option<Lock>,
}

/// A locked file, held for as long as a second process must not write what it stands for.
#[derive(Debug)]
pub(crate) struct Lock(pub(crate) File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough where a child process that is just being started has it, too.
        let _ = self.0.unlock();
    }
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl OpenFile {
    /// What is written to a file without a name is lost when the process ends.
    pub(super) fn check_in_place(&self) -> Result<(), StoreError> {
        match self.files.iter().find(|(path, opened)| identity(path) != Some(*opened)) {
            Some((path, _)) => Err(StoreError::Replaced { path: path.clone() }),
            None => Ok(()),
        }
    }
}

/// Opens the file for writing; `lock` is taken if it is not held yet, `rename` gets a corrupt file out of the way.
pub(super) fn open_file(
    directory: &Path,
    now: DateTime<Utc>,
    schema: Schema,
    lock: &mut Option<Lock>,
    rename: &mut dyn FnMut(String) -> Result<(), OpenError>,
) -> Result<(Connection, OpenFile), OpenError> {
    let path = directory.join(FILE_NAME);
    let ours = is_ours(directory);
    let reopened = lock.is_some();
    if !reopened {
        *lock = Some(take_lock(directory)?);
    }
    if let Header::Corrupt(because) = validate(&path, ours, schema)? {
        rename(because)?;
    }
    let wrap = |error: rusqlite::Error| sqlite_error(&path, error);
    let connect = || -> Result<Connection, OpenError> {
        drop(open_private(&path).map_err(directory_error(&path))?);
        let connection = connect::to_write(&path).map_err(wrap)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(wrap)?;
        Ok(connection)
    };
    // Opening it makes a log.
    let check =
        reopened || has_log(&path) || std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= CHECKED_ALWAYS);
    let mut connection = connect()?;
    refuse_planted(&connection, &path, schema)?;
    if let Some(because) = if check { damage(&connection).map_err(wrap)? } else { None } {
        drop(connection);
        rename(because)?;
        connection = connect()?;
    }
    prepare(&mut connection, &path, now, schema)?;
    fill(&mut connection).map_err(wrap)?;
    migrations::remove_old_copies(&path, now);
    let files = [path.clone(), beside(&path, "-wal")];
    let files = files.into_iter().filter_map(|path| identity(&path).map(|identity| (path, identity))).collect();
    Ok((connection, OpenFile { directory: directory.to_owned(), opened_at: now, files, lock: lock.take() }))
}

fn directory_error(path: &Path) -> impl Fn(std::io::Error) -> OpenError {
    let path = path.to_owned();
    move |error| OpenError::Directory { path: path.clone(), kind: error.kind() }
}

fn sqlite_error(path: &Path, error: rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            OpenError::Directory { path: path.to_owned(), kind: ErrorKind::PermissionDenied }
        }
        _ => OpenError::Sqlite { path: path.to_owned(), source: error.into() },
    }
}

/// A step that fails for what is in the file, and not for the disk, fails again.
pub(super) fn migration_error(path: &Path, found: u32, known: u32, error: rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::Unknown | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::DatabaseCorrupt,
        ) => OpenError::Migration { path: path.to_owned(), found, known, source: error.into() },
        _ => sqlite_error(path, error),
    }
}

/// Whether a file is there. Opening some others does something, so this is asked before.
fn is_there(path: &Path) -> Result<bool, OpenError> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(metadata) if metadata.is_symlink() => Err(OpenError::Link(path.to_owned())),
        Ok(_) => Err(OpenError::NotRegular(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(directory_error(path)(error)),
    }
}

/// A lock file of its own, so that the database stays open to the `sqlite3` shell and to backups.
fn take_lock(directory: &Path) -> Result<Lock, OpenError> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => directory_error(directory)(ErrorKind::NotADirectory.into()),
        _ => directory_error(directory)(error),
    })?;
    let path = directory.join(LOCK_NAME);
    is_there(&path)?;
    let file = open_private(&path)
        // Another process may have it also where this one cannot write.
        .or_else(|error| directly(File::options().read(true), &path).map_err(|_| error))
        .map_err(directory_error(&path))?;
    let mut tries = 1;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => return Err(directory_error(&path)(error)),
        }
        tries += 1;
    }
}

/// Whether another process has the storage open, as far as this user can see. Nothing is made.
///
/// # Errors
/// [`OpenError::InUse`], as opening would say.
pub fn unused(directory: &Path) -> Result<(), OpenError> {
    // One that is no regular file is refused by who reads the storage.
    let Ok(file) = directly(File::options().read(true), &directory.join(LOCK_NAME)) else { return Ok(()) };
    // Shared, so that two that look at the same time do not see each other.
    match file.try_lock_shared() {
        Ok(()) => drop(Lock(file)),
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(directory.to_owned())),
        // Whether a file system has no locks is found by who needs one.
        Err(TryLockError::Error(_)) => {}
    }
    Ok(())
}

/// What the header says.
pub(super) enum Header {
    Empty,
    Fine,
    Corrupt(String),
}

/// Looks at the header before SQLite touches the file. `ours` if the directory has our lock file since before.
pub(super) fn validate(path: &Path, ours: bool, schema: Schema) -> Result<Header, OpenError> {
    let known = schema.version();
    let is_there = is_there(path)?;
    for suffix in BESIDE {
        self::is_there(&beside(path, suffix))?;
    }
    self::is_there(&path.with_file_name(LOCK_NAME))?;
    if !is_there {
        return Ok(Header::Empty);
    }
    let mut header = Vec::new();
    let file = directly(File::options().read(true), path).map_err(directory_error(path))?;
    file.take(100).read_to_end(&mut header).map_err(directory_error(path))?;
    if header.is_empty() {
        return Ok(Header::Empty);
    }
    let number = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let sqlite = header.starts_with(b"SQLite format 3\0");
    // What a newer version has written last may still be in the log.
    let logged = || match has_log(path) {
        true => connect::look(path, migrations::version).unwrap_or(0),
        false => 0,
    };
    match (sqlite, number(68), number(60)) {
        (true, Some(APPLICATION_ID), Some(version)) => match version.max(logged()) {
            found if found > known => Err(OpenError::Newer { path: path.to_owned(), found, known }),
            _ => Ok(Header::Fine),
        },
        // A database that SQLite has only just begun to write still has no mark.
        (true, Some(0), Some(0)) if ours => Ok(Header::Fine),
        (true, Some(_), _) => Err(OpenError::Foreign(path.to_owned())),
        _ if ours => Ok(Header::Corrupt("the header is not that of a database".to_owned())),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Reads the whole database once; `Some` says what is wrong with it.
pub(super) fn damage(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match checked {
        Ok(report) if report == "ok" => Ok(None),
        Ok(report) => Ok(Some(report.lines().next().unwrap_or_default().to_owned())),
        Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

const REMEDY: &str = "; stop the exporter, and restore a backup of the storage or move it away";

/// What to do about an error, if the file is corrupt and that was not found at the start.
pub(super) fn remedy(error: &rusqlite::Error) -> &'static str {
    match is_damage(error) {
        true => REMEDY,
        false => "",
    }
}

pub(super) fn rename_corrupt(path: &Path, because: String, now: DateTime<Utc>) -> Result<Renamed, OpenError> {
    let to = path.with_file_name(format!("{FILE_NAME}.damaged-{}", now.format("%Y%m%dT%H%M%S%.6fZ")));
    std::fs::rename(path, &to).map_err(directory_error(path))?;
    // The log goes along: with another file it would be replayed into the new one.
    for suffix in ["-wal", "-shm"] {
        match std::fs::rename(beside(path, suffix), beside(&to, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(directory_error(path)(error)),
            _ => {}
        }
    }
    make_private(&to);
    Ok(Renamed { to, because })
}

/// Refuses a database of a newer version, or whose schema is not that of its version. To be called before anything else is
/// asked of it.
pub(super) fn refuse_planted(connection: &Connection, path: &Path, schema: Schema) -> Result<(), OpenError> {
    let known = schema.version();
    // Version and schema of one moment: another process may be migrating the file.
    let planted = connection.unchecked_transaction().and_then(|_moment| match migrations::version(connection)? {
        found if found > known => Ok(Err(OpenError::Newer { path: path.to_owned(), found, known })),
        found => planted::in_database(connection, schema, found).map(Ok),
    });
    match planted {
        Ok(Ok(objects)) if objects.is_empty() => Ok(()),
        Ok(Ok(objects)) => Err(OpenError::Planted { path: path.to_owned(), objects }),
        Ok(Err(newer)) => Err(newer),
        // What is read next says so.
        Err(error) if is_damage(&error) => Ok(()),
        Err(error) => Err(sqlite_error(path, error)),
    }
}

fn prepare(connection: &mut Connection, path: &Path, now: DateTime<Utc>, schema: Schema) -> Result<(), OpenError> {
    let known = schema.version();
    let wrap = |error: rusqlite::Error| sqlite_error(path, error);
    let found = migrations::version(connection).map_err(wrap)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(wrap)?;
    // What a scrape has shown must still be there after a power cut.
    connection.pragma_update(None, "synchronous", "FULL").map_err(wrap)?;
    connection.pragma_update(None, "cell_size_check", true).map_err(wrap)?;
    // A whole page cache would be most of this process's memory; the ledger's hot pages are few.
    connection.pragma_update(None, "cache_size", -1_024).map_err(wrap)?;
    if (1..known).contains(&found) {
        migrations::keep_copy(connection, path, now).map_err(|error| match error {
            CopyError::Sqlite(error) => wrap(error),
            CopyError::File(kind) => OpenError::Directory { path: path.to_owned(), kind },
        })?;
        make_private(path);
    }
    migrations::migrate(connection, schema).map_err(|error| migration_error(path, found, known, error))
}
