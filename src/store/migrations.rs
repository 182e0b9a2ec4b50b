//! The schema, version by version.
//!
//! Flows in: a database of any older version, or an empty one. Flows out: one of the newest version. Invariant: all
//! steps are one transaction, so a database has one version or another and nothing between; a step that was released
//! is never changed.

use std::ffi::CStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, TransactionBehavior, ffi};

use super::files::{beside, directly, open_private};

/// Marks a file as ours: "WLTX".
pub(super) const APPLICATION_ID: u32 = 0x574c_5458;

/// The steps to the newest version, each of one part for each room that has tables. The step at place n takes a database
/// of version n to version n + 1; an empty one has version 0.
#[derive(Clone, Copy, Debug)]
pub struct Schema(pub &'static [&'static [&'static str]]);

impl Schema {
    /// The newest version.
    #[must_use]
    pub fn version(self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

/// Accounts, sources, series and labels.
pub const SCHEMA_1: &str = include_str!("migrations/1.sql");
/// Sources know the boot clock; what shows whether there is room.
pub const SCHEMA_2: &str = include_str!("migrations/2.sql");
/// Series and labels have the names of today, and no list of labels.
pub const SCHEMA_3: &str = include_str!("migrations/3.sql");
/// Accounts can be moved to another storage.
pub const SCHEMA_4: &str = include_str!("migrations/4.sql");
/// Series know from when on they count.
pub const SCHEMA_5: &str = include_str!("migrations/5.sql");

/// A copy that was kept at a migration is removed after this.
const COPY_KEPT: TimeDelta = TimeDelta::days(30);

/// The version of a database; 0 if it is empty.
pub(super) fn version(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Takes a database to the newest version. If a step fails nothing was changed.
pub(super) fn migrate(connection: &mut Connection, schema: Schema) -> Result<(), rusqlite::Error> {
    // A step may rebuild a table that others refer to.
    connection.pragma_update(None, "foreign_keys", false)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&transaction)?;
    for step in schema.0.iter().skip(from as usize) {
        for part in *step {
            transaction.execute_batch(part)?;
        }
    }
    if from < schema.version() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", schema.version())?;
    }
    transaction.commit()?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Copies a whole database, what is only in its log included, over the database that `to` has under a name.
pub(super) fn copy(from: &Connection, to: &mut Connection, name: &CStr) -> Result<(), rusqlite::Error> {
    match Backup::new_with_names(from, c"main", to, name)?.step(-1)? {
        StepResult::Done => Ok(()),
        _ => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None)),
    }
}

/// The copies of earlier versions beside the database.
fn copies(path: &Path) -> Vec<PathBuf> {
    let Some((directory, name)) = path.parent().zip(path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let is_copy = |entry: &str| {
        let version = entry.strip_prefix(name).and_then(|rest| rest.strip_prefix(".v"));
        version.is_some_and(|version| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(is_copy)).map(|entry| entry.path()).collect()
}

/// Why there is no copy.
pub(super) enum CopyError {
    Sqlite(rusqlite::Error),
    File(ErrorKind),
}

/// Keeps a copy of a database that is about to be migrated; copies of other versions are removed.
pub(super) fn keep_copy(connection: &Connection, path: &Path, now: DateTime<Utc>) -> Result<(), CopyError> {
    let unfinished = beside(path, ".copy");
    let kept = version(connection).map_err(CopyError::Sqlite)?;
    let kept = beside(path, &format!(".v{kept}"));
    let written = write_copy(connection, &unfinished, now).and_then(|()| {
        std::fs::rename(&unfinished, &kept).map_err(|error| CopyError::File(error.kind()))?;
        let directory = path.parent().map(File::open).transpose();
        directory
            .and_then(|file| file.map_or(Ok(()), |file| file.sync_all()))
            .map_err(|error| CopyError::File(error.kind()))
    });
    if written.is_err() {
        // On a full disk it is in the way.
        let _ = std::fs::remove_file(&unfinished);
        return written;
    }
    for copy in copies(path).into_iter().filter(|copy| *copy != kept) {
        let _ = std::fs::remove_file(copy);
    }
    Ok(())
}

pub(super) fn write_copy(connection: &Connection, path: &Path, now: DateTime<Utc>) -> Result<(), CopyError> {
    let file_error = |error: std::io::Error| CopyError::File(error.kind());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(file_error(error)),
        _ => {}
    }
    drop(open_private(path).map_err(file_error)?);
    let copied = super::connect::to_write(path).and_then(|mut target| {
        // One that was not finished is begun again, so it needs no journal beside it.
        target.pragma_update_and_check(None, "journal_mode", "MEMORY", |_| Ok(()))?;
        copy(connection, &mut target, c"main")
    });
    copied.map_err(CopyError::Sqlite)?;
    let file = directly(File::options().write(true), path).map_err(file_error)?;
    // Its age is counted by the clock that it is later compared with.
    file.set_modified(now.into()).and_then(|()| file.sync_all()).map_err(file_error)
}

/// Removes copies that have been kept for long enough. One from the future says nothing about its age.
pub(super) fn remove_old_copies(path: &Path, now: DateTime<Utc>) {
    for copy in copies(path) {
        let modified = std::fs::metadata(&copy).and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|modified| now - DateTime::<Utc>::from(modified) > COPY_KEPT) {
            let _ = std::fs::remove_file(copy);
        }
    }
}
