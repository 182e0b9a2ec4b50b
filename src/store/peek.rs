//! A look at the storage of an exporter that may be running, or may not start.
//!
//! Flows in: a directory. Flows out: from when on each source there counts, which accounts are served from elsewhere, what
//! else a command reads, and whether it can be written. Invariant: nothing is written, neither the file nor SQLite's two beside it, and it waits for no other
//! process.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _};

use super::files::{FILE_NAME, is_ours};
use super::open::{Header, refuse_planted, validate};
use super::sql::{Reader, values};
use super::{AccountId, AccountKey, OpenError, Schema, StoreError, connect, transfer};
use crate::names::Vendor;

/// A source that has succeeded before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSince {
    /// The vendor's label value.
    pub vendor: String,
    /// The label `account`.
    pub account: String,
    /// The source's label value.
    pub source: String,
    /// `*_COUNT_SINCE` as it was configured when counting began.
    pub configured: Option<String>,
}

/// Reads from when on each source of a storage counts; empty where there is none, or a damaged one, which counts from zero.
///
/// # Errors
/// If the file is not one of this version, or cannot be read.
pub fn configured_since(directory: &Path, schema: Schema) -> Result<Vec<StoredSince>, OpenError> {
    let Some((connection, path)) = open(directory, schema)? else { return Ok(Vec::new()) };
    read(&connection).map_err(|source| OpenError::Sqlite { path, source: StoreError::Sqlite(source) })
}

/// Why some of these accounts are not served from a storage: what a start would say of each.
///
/// # Errors
/// If the file is not one of this version, or cannot be read.
pub fn elsewhere<'a>(
    directory: &Path,
    schema: Schema,
    accounts: impl Iterator<Item = (Vendor, &'a str)>,
) -> Result<Vec<String>, OpenError> {
    let Some((connection, path)) = open(directory, schema)? else { return Ok(Vec::new()) };
    let look = || -> Result<Vec<String>, rusqlite::Error> {
        let mut refusals = Vec::new();
        // A storage of an older version has no moves.
        let tables = "SELECT EXISTS (SELECT * FROM sqlite_schema WHERE type = 'table' AND name = 'account_move')";
        if !connection.query_row(tables, [], |row| row.get::<_, bool>(0))? {
            return Ok(refusals);
        }
        for (vendor, name) in accounts {
            let sql = "SELECT id FROM account WHERE vendor = ?1 AND name = ?2";
            let id = connection.query_row(sql, [vendor.name, name], |row| row.get(0)).optional()?;
            let Some(id) = id else { continue };
            let key = AccountKey { vendor: vendor.name, name };
            if let Err(refusal) = transfer::incoming(&connection, id, key, directory)? {
                refusals.push(refusal.to_string());
            }
        }
        Ok(refusals)
    };
    look().map_err(|source| OpenError::Sqlite { path, source: StoreError::Sqlite(source) })
}

/// Reads what is known of an account, beside a process that may be writing; `None` where nothing is.
///
/// # Errors
/// If the file is not one of this version, or cannot be read.
pub fn read_account<T>(
    directory: &Path,
    schema: Schema,
    (vendor, name): (Vendor, &str),
    work: impl FnOnce(&Reader<'_>, AccountId) -> Result<T, StoreError>,
) -> Result<Option<T>, OpenError> {
    let Some((connection, path)) = open(directory, schema)? else { return Ok(None) };
    let read = || {
        // One transaction: all that is read is of one moment.
        let transaction = connection.unchecked_transaction()?;
        let version: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == 0 {
            return Ok(None);
        }
        if version != schema.version() {
            return Err(StoreError::OlderVersion { found: version });
        }
        let reader = Reader::new(&transaction);
        let sql = "SELECT id FROM account WHERE vendor = ?1 AND name = ?2";
        let account = reader.row("account", sql, values![vendor.name, name], |row| row.integer(0))?;
        account.map(|id| work(&reader, AccountId(id))).transpose()
    };
    read().map_err(|source| OpenError::Sqlite { path, source })
}

/// The file, if there is one that can be read.
fn open(directory: &Path, schema: Schema) -> Result<Option<(Connection, PathBuf)>, OpenError> {
    let path = directory.join(FILE_NAME);
    if !matches!(validate(&path, is_ours(directory), schema)?, Header::Fine) {
        return Ok(None);
    }
    let connection = connect::beside_a_writer(&path)
        .map_err(|source| OpenError::Sqlite { path: path.clone(), source: StoreError::Sqlite(source) })?;
    refuse_planted(&connection, &path, schema)?;
    Ok(Some((connection, path)))
}

/// Whether this user may write there. Where the directory is missing, one is made in the nearest that exists, and removed.
///
/// # Errors
/// [`OpenError::Directory`], as opening would say.
pub fn writable(directory: &Path) -> Result<(), OpenError> {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let nearest = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let wrap = |kind| OpenError::Directory { path: nearest.to_owned(), kind };
    if !nearest.is_dir() {
        return Err(wrap(std::io::ErrorKind::NotADirectory));
    }
    let outcome = if nearest == absolute {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::access(nearest, access).map_err(std::io::Error::from)
    } else {
        // Some file systems refuse what the permissions allow.
        let trial = nearest.join(format!(".wallet-exporter-check-{}", std::process::id()));
        std::fs::create_dir(&trial).and_then(|()| std::fs::remove_dir(&trial))
    };
    outcome.map_err(|error| wrap(error.kind()))
}

fn read(connection: &Connection) -> Result<Vec<StoredSince>, rusqlite::Error> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        // The process that made the file did not get as far as making the tables.
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare(
        "SELECT vendor, name, source, configured_since FROM source JOIN account ON account.id = source.account",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(StoredSince { vendor: row.get(0)?, account: row.get(1)?, source: row.get(2)?, configured: row.get(3)? })
    })?;
    rows.collect()
}
