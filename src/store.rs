//! What must survive a restart: one SQLite file.
//!
//! Flows in: the domain's changes, one transaction a poll. Flows out: the state of the previous run, once, at start.
//! Invariant: a change is either wholly durable or not there; nothing personal and no secret has a column. This is the
//! only home of SQLite. Without a directory the same code runs on a database in memory. Where the directory cannot be
//! written the store is frozen: the ledger is in memory and every write fails, until a probe finds that the file can be
//! written.

mod connect;
mod files;
#[cfg(feature = "testing")]
mod fault;
mod frozen;
mod migrations;
mod open;
mod peek;
mod planted;
mod series;
mod sources;
mod sql;
mod transfer;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, TransactionBehavior};

use crate::clock::Moment;
use crate::names::{Source, Vendor};

#[cfg(feature = "testing")]
use fault::ActiveFault;
use frozen::Frozen;
use open::{OpenFile, Renamed, open_file, rename_corrupt};

#[cfg(feature = "testing")]
pub use fault::{StorageFault, StorageFaultKind};
#[cfg(feature = "testing")]
pub use files::FILE_NAME;
pub use files::has_file;
pub use migrations::{SCHEMA_1, SCHEMA_2, SCHEMA_3, SCHEMA_4, SCHEMA_5, Schema};
pub(crate) use open::Lock;
pub use open::{OpenError, unused};
pub use peek::{StoredSince, configured_since, elsewhere, read_account, writable};
pub use sources::{StoredSource, moment_from};
pub(crate) use sql::values;
pub use sql::{Reader, Row, SqlValue, Writer};
pub use transfer::{AccountKey, Move, TransferError, backup, rename};

/// A row of the table `account`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(i64);

/// A failed read or write. Holds SQLite's own words, never a value.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("storage: {0}{remedy}", remedy = open::remedy(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// A stored value does not mean anything here.
    #[error("storage: table {table} holds a value that cannot be read: the file was changed by something else")]
    Unreadable {
        /// The table.
        table: &'static str,
    },
    /// The file could be read and not written when it was opened.
    #[error("storage: the ledger is in memory and counters do not increase until it can be written: {because}")]
    Frozen {
        /// Why it could not be written when that was last tried.
        because: String,
    },
    /// The file is of an older version, and only read.
    #[error("storage: the ledger is of version {found}: start this version of the exporter once, which migrates it")]
    OlderVersion {
        /// The file's version.
        found: u32,
    },
    /// The file is no longer what was opened.
    #[error(
        "storage: {path} was deleted or replaced while the exporter ran, so nothing is written: restart the exporter"
    )]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The account is, or should be, in another storage.
    #[error("storage: {0}")]
    Elsewhere(Box<TransferError>),
}

/// A source as it is stored, in the same transaction as what its poll brought.
#[derive(Clone, Debug)]
pub struct Success {
    /// Whose.
    pub account: AccountId,
    /// Which source.
    pub source: Source,
    /// When it succeeded; `None` leaves the last success as it was, because the poll learnt only a part.
    pub at: Option<Moment>,
    /// The boot that `at` counts from.
    pub boot_id: String,
    /// From when on its counters count.
    pub count_since: DateTime<Utc>,
    /// `*_COUNT_SINCE` as it was configured when counting began.
    pub configured_since: Option<String>,
    /// The answer, where it is not in tables of its own.
    pub answer: Option<String>,
}

/// A new series: its key, from when on it counts, and whether it shows its value. Written in the same transaction as that.
pub type NewSeries = (String, Option<Moment>, bool);

/// A series of the previous run: its key, from when on it counts, and whether it showed its value.
pub type StoredSeries = (String, Option<DateTime<Utc>>, bool);

/// Prepared statements that are kept: all that polls run.
const STATEMENTS: usize = 64;

/// One connection, which all accounts take turns to use.
pub struct Store {
    state: Mutex<StoreState>,
    durable: bool,
}

struct StoreState {
    connection: Connection,
    schema: Schema,
    place: Place,
    #[cfg(feature = "testing")]
    fault: Option<ActiveFault>,
}

/// Where the data is.
enum Place {
    /// Nowhere else: `--storage.path=none`.
    Memory,
    /// In the file.
    File(OpenFile),
    /// In memory, read from a file that cannot be written.
    Frozen(Frozen),
}

impl Place {
    fn directory(&self) -> &Path {
        match self {
            Place::Memory => Path::new("none"),
            Place::File(file) => &file.directory,
            Place::Frozen(frozen) => &frozen.directory,
        }
    }
}

impl Store {
    fn new(connection: Connection, place: Place, schema: Schema) -> Store {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let durable = !matches!(place, Place::Memory);
        let state = StoreState {
            connection,
            place,
            schema,
            #[cfg(feature = "testing")]
            fault: None,
        };
        Store { durable, state: Mutex::new(state) }
    }

    /// Opens the store in `directory`, or one in memory. Where the directory cannot be written and its ledger can be
    /// read, the store is frozen. `now` names a corrupt file that is renamed.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        directory: Option<&Path>,
        now: DateTime<Utc>,
        schema: Schema,
    ) -> Result<(Store, Option<Renamed>), OpenError> {
        let Some(directory) = directory else {
            let wrap = |source: rusqlite::Error| OpenError::Sqlite { path: ":memory:".into(), source: source.into() };
            let mut connection = connect::memory().map_err(wrap)?;
            migrations::migrate(&mut connection, schema).map_err(wrap)?;
            return Ok((Store::new(connection, Place::Memory, schema), None));
        };
        let (mut lock, mut renamed) = (None, None);
        let mut rename = |because: String| {
            renamed = Some(rename_corrupt(&directory.join(files::FILE_NAME), because, now)?);
            Ok(())
        };
        let store = match open_file(directory, now, schema, &mut lock, &mut rename) {
            Ok((connection, file)) => Store::new(connection, Place::File(file), schema),
            Err(error @ (OpenError::Directory { .. } | OpenError::Sqlite { .. })) => {
                let (connection, frozen) = frozen::load(directory, now, schema, error, lock)?;
                Store::new(connection, Place::Frozen(frozen), schema)
            }
            Err(refusal) => return Err(refusal),
        };
        Ok((store, renamed))
    }

    /// Whether a directory is configured.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whether the ledger is in memory because its file cannot be written.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen_because().is_some()
    }

    /// Why the file cannot be written, if the store is frozen.
    #[must_use]
    pub fn frozen_because(&self) -> Option<String> {
        match &self.state().place {
            Place::Frozen(frozen) => Some(frozen.because.clone()),
            Place::Memory | Place::File(_) => None,
        }
    }

    /// Finds out whether the store can be written, and whether there is room. A frozen one is frozen no longer if so.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn probe(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some((error, _)) = state.injected() {
            return Err(error.into());
        }
        let StoreState { connection, place, schema, .. } = &mut *state;
        match place {
            Place::Memory => Ok(()),
            Place::File(file) => {
                file.check_in_place()?;
                Ok(fill(connection)?)
            }
            Place::Frozen(frozen) => {
                let (opened, file) = frozen.reopen(connection, *schema)?;
                opened.set_prepared_statement_cache_capacity(STATEMENTS);
                (*connection, *place) = (opened, Place::File(file));
                Ok(())
            }
        }
    }

    /// The id of an account, made on first sight.
    ///
    /// # Errors
    /// If it cannot be written, or is to be served from another storage.
    pub fn account(&self, vendor: Vendor, name: &str) -> Result<AccountId, StoreError> {
        let id = self.write_at_start(|writer| {
            let names = values![vendor.name, name];
            writer.execute("INSERT INTO account (vendor, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING", names)?;
            let sql = "SELECT id FROM account WHERE vendor = ?1 AND name = ?2";
            let id = writer.row("account", sql, names, |row| row.integer(0))?;
            id.map(AccountId).ok_or(StoreError::Unreadable { table: "account" })
        })?;
        let state = self.state();
        let key = AccountKey { vendor: vendor.name, name };
        let arriving = transfer::incoming(&state.connection, id.0, key, state.place.directory())?;
        drop(state);
        if let Some(tokens) = arriving.map_err(|error| StoreError::Elsewhere(Box::new(error)))? {
            // What the interrupted command would have done. Where it cannot be written, the next start looks again.
            let _ = self.write(|writer| writer.execute(transfer::ARRIVED, values![id, tokens.as_str()]));
        }
        Ok(id)
    }

    /// Lets reads and writes fail, or work again: how a test breaks the storage.
    #[cfg(feature = "testing")]
    pub fn set_fault(&self, fault: Option<StorageFault>) {
        self.state().fault = fault.map(ActiveFault::new);
    }

    fn state(&self) -> MutexGuard<'_, StoreState> {
        // A panic while holding it rolled its transaction back: the connection is as good as before.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes in one transaction.
    ///
    /// # Errors
    /// If it cannot be written; then nothing was.
    pub fn write<T>(&self, work: impl FnOnce(&Writer<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut state = self.state();
        match &state.place {
            Place::Frozen(frozen) => Err(StoreError::Frozen { because: frozen.because.clone() }),
            Place::Memory | Place::File(_) => state.write(work),
        }
    }

    /// Writes what exists before anything is counted. A store that cannot write it is frozen, keeps it in memory and
    /// writes it later, so that the exporter can start.
    fn write_at_start<T>(&self, work: impl Fn(&Writer<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut state = self.state();
        match state.write(&work) {
            Err(StoreError::Sqlite(error)) if state.freeze(&error)? => state.write(&work),
            outcome => outcome,
        }
    }

    /// Reads, in one transaction.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read<T>(&self, work: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut state = self.state();
        match state.injected() {
            Some((error, _)) => Err(error.into()),
            // Each query alone would take and release the file's lock.
            None => {
                let transaction = state.connection.transaction()?;
                work(&Reader::new(&transaction))
            }
        }
    }
}

impl StoreState {
    /// The error that a test has asked for, and whether a write meets it at its commit.
    #[cfg(feature = "testing")]
    fn injected(&mut self) -> Option<(rusqlite::Error, bool)> {
        self.fault.as_mut().and_then(ActiveFault::take)
    }

    /// Nothing fails on purpose.
    #[cfg(not(feature = "testing"))]
    fn injected(&mut self) -> Option<(rusqlite::Error, bool)> {
        None
    }

    /// Reads the file that cannot be written into memory. False if there is no such file.
    fn freeze(&mut self, error: &rusqlite::Error) -> Result<bool, rusqlite::Error> {
        let Place::File(file) = &mut self.place else { return Ok(false) };
        let mut memory = connect::memory()?;
        migrations::copy(&self.connection, &mut memory, c"main")?;
        self.place = Place::Frozen(Frozen::new(file, error));
        self.connection = memory;
        Ok(true)
    }

    fn write<T>(&mut self, work: impl FnOnce(&Writer<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let at_commit = match self.injected() {
            Some((error, false)) => return Err(error.into()),
            injected => injected,
        };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&Writer::new(&transaction))?;
        if let Some((error, _)) = at_commit {
            return Err(error.into());
        }
        if let Place::File(file) = &self.place {
            file.check_in_place()?;
        }
        transaction.commit()?;
        Ok(value)
    }
}

/// Writes more than most writes need, and deletes it again, durably: after that there is room.
fn fill(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    // Random bytes, because a file system may compress others to nothing.
    connection.execute("INSERT OR REPLACE INTO probe (id, filler) VALUES (1, randomblob(256 * 1024))", [])?;
    connection.execute("DELETE FROM probe", [])?;
    Ok(())
}
