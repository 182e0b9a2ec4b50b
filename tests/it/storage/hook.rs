//! The hook that lets the store fail in tests.

use wallet_exporter::app::SCHEMA;
use wallet_exporter::store::{FILE_NAME, StorageFault, StorageFaultKind, Store, StoreError};

use super::{after_fixture, answer, sqlite, wallet, write};

#[test]
fn a_fault_fails_every_call_from_its_own_on_until_it_is_cleared_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(Some(directory.path()), after_fixture(), SCHEMA).unwrap();
    let account = wallet(&store);
    let kinds = [
        (StorageFaultKind::Full, rusqlite::ErrorCode::DiskFull),
        (StorageFaultKind::ReadOnly, rusqlite::ErrorCode::ReadOnly),
        (StorageFaultKind::Io, rusqlite::ErrorCode::SystemIoFailure),
        (StorageFaultKind::Locked, rusqlite::ErrorCode::DatabaseBusy),
    ];
    let code = |outcome: Result<(), StoreError>| match outcome {
        Err(StoreError::Sqlite(error)) => error.sqlite_error_code(),
        _ => None,
    };
    for (kind, expected) in kinds {
        for skip in 0..3 {
            let before = format!("{kind:?} {skip} before");
            write(&store, account, &before).unwrap();
            store.set_fault(Some(StorageFault { skip, kind }));
            for call in 0..skip {
                match call % 2 {
                    0 => write(&store, account, &before).unwrap(),
                    _ => drop(store.series(account, after_fixture()).unwrap()),
                }
            }
            // One fails before it has written, the next at its commit.
            for _ in 0..4 {
                assert_eq!(code(write(&store, account, "must not be there")), Some(expected));
            }
            assert_eq!(code(store.series(account, after_fixture()).map(drop)), Some(expected));
            assert_eq!(code(store.probe()), Some(expected));
            store.set_fault(None);
            assert_eq!(answer(&store, account), Some(before));
            store.probe().unwrap();
        }
    }
    drop(store);
    let file = sqlite(directory.path().join(FILE_NAME));
    let rows: u32 = file.query_row("SELECT count(*) FROM probe", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0, "a probe leaves nothing behind");
}
