//! A disk that is full or read-only at the start: the ledger is served from memory, and written once it can be.

use std::path::Path;

use wallet_exporter::app::SCHEMA;
use wallet_exporter::clock::{BootTime, Clock as _, Moment};
use wallet_exporter::money::Usd;
use wallet_exporter::store::{FILE_NAME, OpenError, Store, StoreError};
use wallet_exporter::{batchdata, rightfoot};

use super::shim::Switch;
use super::{after_fixture, answer, contents, fixture, newest_version, sqlite, user_version, wallet, write};
use crate::rig::Rig;

fn start() -> Moment {
    Moment { wall: after_fixture(), boot: BootTime::default() }
}

fn open(directory: &Path) -> Result<Store, OpenError> {
    Store::open(Some(directory), after_fixture(), SCHEMA).map(|(store, _)| store)
}

/// What a killed process leaves behind, or a clean end, or a copy of the database and its log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Closed,
    Killed,
    Copied,
}

/// Puts a ledger into `directory` whose last write is `answer`.
fn leave(directory: &Path, version: u32, left: Left) {
    let place = newest_version();
    let from = if version == 1 { fixture(1) } else { place.path().join(FILE_NAME) };
    let path = place.path().join("left");
    std::fs::copy(from, &path).unwrap();
    let connection = sqlite(&path);
    connection.execute_batch("UPDATE source SET answer = 'last' WHERE source = 'balance'").unwrap();
    let suffixes: &[&str] = match left {
        Left::Closed => {
            connection.close().unwrap();
            &[""]
        }
        Left::Killed => &["", "-wal", "-shm"],
        Left::Copied => &["", "-wal"],
    };
    for suffix in suffixes {
        std::fs::copy(format!("{}{suffix}", path.display()), directory.join(format!("{FILE_NAME}{suffix}"))).unwrap();
    }
}

/// The index of the log is in memory that all processes share: whoever reads makes it anew.
fn without_index(directory: &Path) -> impl PartialEq + use<> {
    let mut contents = contents(directory);
    contents.remove("wallet-exporter.db-shm");
    contents
}

#[test]
fn a_ledger_that_cannot_be_written_is_read_and_left_alone_until_it_can() {
    let name = "storage::frozen::a_ledger_that_cannot_be_written_is_read_and_left_alone_until_it_can";
    let Some(switch) = Switch::of(name) else { return };
    for error in ["EROFS", "EACCES", "ENOSPC"] {
        for (version, left) in [1, 2]
            .into_iter()
            .flat_map(|version| [Left::Closed, Left::Killed, Left::Copied].map(|left| (version, left)))
        {
            let case = format!("{error}, version {version}, {left:?}");
            let place = switch.place();
            let directory = place.path();
            leave(directory, version, left);
            let before = without_index(directory);
            switch.on(error);
            let store = open(directory).unwrap();
            assert!(store.is_frozen() && store.is_durable(), "{case}");
            let account = wallet(&store);
            assert_eq!(answer(&store, account).as_deref(), Some("last"), "{case}");
            let checks = store.account(rightfoot::VENDOR, "default").unwrap();
            assert_eq!(store.batches(checks, start(), |_| true).unwrap().settled, 2, "{case}");
            // New in this run, before anything is counted.
            let other = store.account(batchdata::VENDOR, "other").unwrap();
            store.create_series(other, &[("debit".to_owned(), Some(start()), true)]).unwrap();
            for outcome in [write(&store, account, "new"), store.probe()] {
                let error = outcome.unwrap_err();
                assert!(matches!(error, StoreError::Frozen { .. }), "{case}: {error}");
                assert!(error.to_string().contains("--storage.path"), "{case}: {error}");
            }
            assert!(store.is_frozen());
            assert_eq!(answer(&store, account).as_deref(), Some("last"), "{case}");
            assert!(without_index(directory) == before, "{case}: a file was touched");

            switch.off();
            store.probe().unwrap();
            assert!(!store.is_frozen(), "{case}");
            store.probe().unwrap();
            write(&store, account, "new").unwrap();
            drop(store);
            let path = directory.join(FILE_NAME);
            assert_eq!(user_version(&path), SCHEMA.version(), "{case}");
            assert_eq!(directory.join("wallet-exporter.db.v1").exists(), version == 1, "{case}");
            let store = open(directory).unwrap();
            assert_eq!(answer(&store, account).as_deref(), Some("new"), "{case}");
            assert_eq!(store.account(batchdata::VENDOR, "other").unwrap(), other, "{case}");
            assert_eq!(
                store.series(other, after_fixture()).unwrap(),
                [("debit".to_owned(), Some(after_fixture()), true)],
                "{case}"
            );
        }
    }
}

#[test]
fn a_copy_for_which_there_is_no_room_postpones_the_migration() {
    let name = "storage::frozen::a_copy_for_which_there_is_no_room_postpones_the_migration";
    let Some(switch) = Switch::of(name) else { return };
    let place = switch.place();
    let directory = place.path();
    leave(directory, 1, Left::Closed);
    // The lock is there, so that the copy is the first thing that has no room.
    std::fs::write(directory.join("wallet-exporter.lock"), "").unwrap();
    let before = without_index(directory);
    switch.on("ENOSPC");
    let store = open(directory).unwrap();
    assert!(store.is_frozen());
    assert!(without_index(directory) == before);
    let account = wallet(&store);
    assert!(store.probe().is_err());
    assert!(without_index(directory) == before);
    // Two frozen ones at once would both write later.
    let second = Store::open(Some(directory), after_fixture(), SCHEMA).map(drop).unwrap_err();
    assert!(matches!(second, OpenError::InUse(_)), "{second}");
    switch.off();
    store.probe().unwrap();
    write(&store, account, "new").unwrap();
    assert_eq!(user_version(directory.join("wallet-exporter.db.v1")), 1);
    let second = Store::open(Some(directory), after_fixture(), SCHEMA).map(drop).unwrap_err();
    assert!(matches!(second, OpenError::InUse(_)), "{second}");
}

#[test]
fn a_disk_with_little_room_is_noticed_before_it_is_relied_on() {
    let name = "storage::frozen::a_disk_with_little_room_is_noticed_before_it_is_relied_on";
    let Some(switch) = Switch::of(name) else { return };
    let place = switch.place();
    leave(place.path(), 2, Left::Closed);
    // Everything can be opened, and nothing can be added.
    std::fs::write(place.path().join("wallet-exporter.db-wal"), "").unwrap();
    switch.on("ENOSPC -wal");
    let store = open(place.path()).unwrap();
    assert!(store.is_frozen());
    let account = wallet(&store);
    switch.off();
    store.probe().unwrap();
    write(&store, account, "new").unwrap();

    // The room goes while the exporter starts.
    switch.on("ENOSPC");
    let other = store.account(batchdata::VENDOR, "other").unwrap();
    store.create_series(other, &[("debit".to_owned(), Some(start()), true)]).unwrap();
    assert!(store.is_frozen() && write(&store, account, "newer").is_err() && store.probe().is_err());
    assert_eq!(answer(&store, account).as_deref(), Some("new"));
    switch.off();
    store.probe().unwrap();
    write(&store, account, "newer").unwrap();
    drop(store);
    let store = open(place.path()).unwrap();
    assert_eq!(answer(&store, account).as_deref(), Some("newer"));
    assert_eq!(store.account(batchdata::VENDOR, "other").unwrap(), other);
    assert_eq!(store.series(other, after_fixture()).unwrap(), [("debit".to_owned(), Some(after_fixture()), true)]);
}

#[test]
fn a_ledger_that_changed_meanwhile_is_not_written_over() {
    let name = "storage::frozen::a_ledger_that_changed_meanwhile_is_not_written_over";
    let Some(switch) = Switch::of(name) else { return };
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("a changed row", |path| sqlite(path).execute_batch("UPDATE source SET answer = 'x'").unwrap()),
        ("a row less", |path| {
            sqlite(path).execute_batch("DELETE FROM batch WHERE id IN (SELECT id FROM batch LIMIT 1)").unwrap();
        }),
        ("a row more", |path| {
            sqlite(path).execute_batch("INSERT INTO check_rejected VALUES (2, 'columns', 1)").unwrap();
        }),
        ("another account", |path| {
            sqlite(path).execute_batch("INSERT INTO account (vendor, name) VALUES ('batchdata', 'other')").unwrap();
        }),
        ("no file", |path| std::fs::remove_file(path).unwrap()),
        ("an empty file", |path| std::fs::write(path, "").unwrap()),
    ];
    for (case, change) in changes {
        let place = switch.place();
        leave(place.path(), 2, Left::Closed);
        switch.on("EROFS");
        let store = open(place.path()).unwrap();
        let account = wallet(&store);
        switch.off();
        change(&place.path().join(FILE_NAME));
        for _ in 0..2 {
            let error = store.probe().unwrap_err();
            assert!(matches!(error, StoreError::Replaced { .. }), "{case}: {error}");
            assert!(store.is_frozen() && write(&store, account, "new").is_err(), "{case}");
        }
        assert_eq!(answer(&store, account).as_deref(), Some("last"), "{case}");
        if case == "a changed row" {
            let second = Store::open(Some(place.path()), after_fixture(), SCHEMA).map(drop).unwrap_err();
            assert!(matches!(second, OpenError::InUse(_)), "the file is still held: {second}");
        }
    }
}

#[test]
fn without_a_ledger_a_full_or_read_only_disk_is_waited_for_and_a_wrong_path_is_refused() {
    let name = "storage::frozen::without_a_ledger_a_full_or_read_only_disk_is_waited_for_and_a_wrong_path_is_refused";
    let Some(switch) = Switch::of(name) else { return };
    for error in ["EROFS", "ENOSPC"] {
        let place = switch.place();
        let directory = place.path().join("data");
        switch.on(error);
        let store = open(&directory).unwrap();
        assert!(store.is_frozen());
        let account = wallet(&store);
        assert!(write(&store, account, "new").is_err() && store.probe().is_err());
        switch.off();
        store.probe().unwrap();
        write(&store, account, "new").unwrap();
        drop(store);
        assert_eq!(answer(&open(&directory).unwrap(), account).as_deref(), Some("new"));
    }
    let place = switch.place();
    switch.on("EACCES");
    let error = open(&place.path().join("data")).map(drop).unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
}

#[test]
fn a_corrupt_ledger_on_a_read_only_disk_starts_from_zero() {
    let name = "storage::frozen::a_corrupt_ledger_on_a_read_only_disk_starts_from_zero";
    let Some(switch) = Switch::of(name) else { return };
    for damaged in [0..100, 5_000..15_000] {
        let place = switch.place();
        leave(place.path(), 2, Left::Closed);
        let path = place.path().join(FILE_NAME);
        std::fs::write(place.path().join("wallet-exporter.lock"), "").unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[damaged].fill(0xa5);
        std::fs::write(&path, &bytes).unwrap();
        switch.on("EROFS");
        let store = open(place.path()).unwrap();
        assert!(store.is_frozen());
        let account = wallet(&store);
        assert_eq!(answer(&store, account), None);
        switch.off();
        store.probe().unwrap();
        write(&store, account, "new").unwrap();
        let renamed = contents(place.path()).into_iter().find(|(name, _)| name.contains(".damaged-"));
        assert!(renamed.unwrap().1 == bytes, "nothing is lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exporter_serves_gauges_and_restored_counters_and_catches_up_later() {
    const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="default"}"#;
    let name = "storage::frozen::the_exporter_serves_gauges_and_restored_counters_and_catches_up_later";
    let Some(switch) = Switch::of(name) else { return };
    for error in ["EROFS", "ENOSPC"] {
        let place = switch.place();
        let mut rig = Rig::new().await;
        rig.set("STORAGE_PATH", place.path().to_str().unwrap());
        rig.set("BATCHDATA_CONSUMPTION_INTERVAL", "1m");
        rig.start().await;
        rig.first_polls().await;
        let spend = |rig: &Rig, cents| rig.vendors.spend(rig.clock.now(), "api_request", "/x", Usd::from_cents(cents));
        spend(&rig, 700);
        rig.poll(&["consumption"]).await;
        rig.stop().await;

        switch.on(error);
        rig.start().await;
        assert_eq!(rig.value(DEBIT), Some(7.0), "{error}: restored");
        spend(&rig, 400);
        rig.vendors.set_balance(Usd::from_cents(4_250));
        rig.poll(&["consumption", "balance"]).await;
        rig.poll(&["consumption", "balance"]).await;
        assert_eq!(rig.value(r#"batchdata_wallet_balance_usd{account="default"}"#), Some(42.5), "{error}");
        assert_eq!(rig.value(r#"batchdata_wallet_period_debit_usd{account="default",period="today"}"#), Some(11.0));
        assert_eq!(rig.value(DEBIT), Some(7.0), "{error}: counters do not increase");
        assert_eq!(rig.value("wallet_exporter_storage_up"), Some(0.0), "{error}");
        assert_eq!(rig.source("up", "consumption"), Some(1.0));

        switch.off();
        rig.store().probe().unwrap();
        rig.poll(&["balance", "consumption", "card_transactions", "batches"]).await;
        assert_eq!(rig.value(DEBIT), Some(11.0), "{error}: all is caught up");
        assert_eq!(rig.value("wallet_exporter_storage_up"), Some(1.0), "{error}");
        rig.stop().await;
        rig.start().await;
        assert_eq!(rig.value(DEBIT), Some(11.0), "{error}: durable");
        rig.stop().await;
    }
}
