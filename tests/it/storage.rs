//! The storage on disk: versions, faults of the disk, modes of files.
//!
//! The fixture `fixtures/v1.db` is a ledger that the program wrote when its schema had version 1 (at revision
//! 5bf2e63): a test ran it for ten days of simulated time over the simulator, with debits and credits, a restated day,
//! card transactions in every state, and batches of which two settled (one by the webhook) and one each was open,
//! failing, unavailable and abandoned. `fixtures/v1.prom` is what that program served of it right after a restart, at
//! the time in its first line.
//!
//! `fixtures/v3.db` was written by the program at revision 9a11e76, whose schema had version 3, in twenty seconds over the
//! simulator with 40 days of history, counting since the 20th; `fixtures/v3.prom` is what it counted.

mod beneath;
mod files;
mod frozen;
mod hook;
mod migration;
pub mod shim;
mod together;
mod transfer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use wallet_exporter::app::SCHEMA;
use wallet_exporter::batchdata;
use wallet_exporter::store::{AccountId, FILE_NAME, Store, StoreError, Success};

/// A time after everything in the fixture.
fn after_fixture() -> DateTime<Utc> {
    crate::rig::at("2026-05-28T20:01:57.061777Z")
}

fn fixture(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/storage/fixtures/v{version}.db"))
}

/// A directory with the ledger of a version.
fn ledger_of(version: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(fixture(version), directory.path().join(FILE_NAME)).unwrap();
    directory
}

fn version_1() -> tempfile::TempDir {
    ledger_of(1)
}

/// A directory with the same ledger, migrated.
pub fn newest_version() -> tempfile::TempDir {
    let directory = version_1();
    drop(Store::open(Some(directory.path()), after_fixture(), SCHEMA).unwrap());
    std::fs::remove_file(directory.path().join("wallet-exporter.db.v1")).unwrap();
    directory
}

fn sqlite(path: impl AsRef<Path>) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

/// One value as text.
fn ask(connection: &rusqlite::Connection, query: &str) -> String {
    let text = format!("SELECT coalesce(group_concat(text, ' '), '') FROM (SELECT ({query}) AS text)");
    connection.query_row(&text, [], |row| row.get(0)).unwrap()
}

fn user_version(path: impl AsRef<Path>) -> u32 {
    sqlite(path).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// All files of a directory.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

/// Writes something that has an effect.
fn write(store: &Store, account: AccountId, answer: &str) -> Result<(), StoreError> {
    let success = Success {
        account,
        source: batchdata::BALANCE,
        at: None,
        boot_id: String::new(),
        count_since: after_fixture(),
        configured_since: None,
        answer: Some(answer.to_owned()),
    };
    store.succeed(&success)
}

/// What was written last.
fn answer(store: &Store, account: AccountId) -> Option<String> {
    store.source(account, batchdata::BALANCE).unwrap().and_then(|stored| stored.answer)
}

fn wallet(store: &Store) -> AccountId {
    store.account(batchdata::VENDOR, "default").unwrap()
}
