//! How SQLite opens a database.
//!
//! Flows in: a path. Flows out: a connection. Invariant: what is opened is a regular file and not a link, and what stands in
//! its schema can neither change SQLite's own tables nor call a function with an effect.

use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};
use url::Url;

use super::files::has_log;

const READ: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY;
const WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE;
const ALWAYS: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX.union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// A new database in memory.
pub(super) fn memory() -> Result<Connection, rusqlite::Error> {
    Connection::open_in_memory().and_then(protected)
}

/// A file, for writing. It must be there.
pub(super) fn to_write(path: &Path) -> Result<Connection, rusqlite::Error> {
    Connection::open_with_flags(located(path)?, WRITE | ALWAYS).and_then(protected)
}

/// A file, for reading with SQLite's locks.
pub(super) fn to_read(path: &Path) -> Result<Connection, rusqlite::Error> {
    Connection::open_with_flags(located(path)?, READ | ALWAYS).and_then(protected)
}

/// A file, for reading without locks.
pub(super) fn to_read_without_locks(path: &Path) -> Result<Connection, rusqlite::Error> {
    Connection::open_with_flags_and_vfs(located(path)?, READ | ALWAYS, c"unix-none").and_then(protected)
}

/// A file, for reading with a parameter of SQLite's URIs.
pub(super) fn to_read_with(path: &Path, parameter: &str) -> Result<Connection, rusqlite::Error> {
    let mut url = Url::from_file_path(located(path)?).map_err(|()| cannot_open())?;
    url.set_query(Some(parameter));
    let flags = READ | ALWAYS | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(url.as_str(), flags).and_then(protected)
}

/// Opens a file without locks and without making any other file.
pub(super) fn untouched(path: &Path) -> Result<Connection, rusqlite::Error> {
    if has_log(path) {
        let file = to_read_without_locks(path)?;
        // Closing it would delete a log of which nothing is committed yet: without locks, nobody seems to be writing it.
        file.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // The index of the log is then in memory.
        file.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
        return Ok(file);
    }
    // Only where there is no log: `immutable` does not look for one.
    to_read_with(path, "immutable=1")
}

/// Reads from a file, without making any other, that another process may be writing: with its locks, if they can be had.
pub(super) fn look<T>(
    path: &Path,
    read: impl Fn(&Connection) -> Result<T, rusqlite::Error>,
) -> Result<T, rusqlite::Error> {
    beside_a_writer(path).and_then(|file| read(&file)).or_else(|_| read(&untouched(path)?))
}

/// A file that another process may be writing, for reading. Where a log has something in it, the log is read with its
/// index, if a running process keeps one, and without it otherwise. An ordinary reader would make both files, so where
/// there is no log, the file is said not to change.
pub(super) fn beside_a_writer(path: &Path) -> Result<Connection, rusqlite::Error> {
    to_read_with(path, if has_log(path) { "readonly_shm=1" } else { "immutable=1" })
}

fn protected(connection: Connection) -> Result<Connection, rusqlite::Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(connection)
}

/// Links to the directory are the operator's, and SQLite would refuse them with those in the place of the file.
fn located(path: &Path) -> Result<PathBuf, rusqlite::Error> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(cannot_open)?;
    let found = directory.canonicalize().map_err(|_| cannot_open())?.join(name);
    match std::fs::symlink_metadata(&found).is_ok_and(|metadata| metadata.is_file()) {
        true => Ok(found),
        false => Err(cannot_open()),
    }
}

fn cannot_open() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_is_protected_and_follows_no_link() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("a.db"), directory.path().join("link.db"));
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE some (a)").unwrap();
        let opened = [
            memory(),
            to_write(&path),
            to_read(&path),
            to_read_without_locks(&path),
            to_read_with(&path, "immutable=1"),
        ];
        for connection in opened.map(Result::unwrap) {
            assert!(connection.db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE).unwrap());
            assert!(!connection.db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA).unwrap());
        }
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Connection::open_with_flags(&link, WRITE).is_ok());
        assert!(Connection::open_with_flags(&link, WRITE | ALWAYS).is_err());
    }
}
