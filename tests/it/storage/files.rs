//! Modes of files, and files that vanish under a running process.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use wallet_exporter::app::SCHEMA;
use wallet_exporter::store::{self, FILE_NAME, OpenError, Store, StoreError, configured_since};

use super::{after_fixture, contents, newest_version, sqlite, version_1, wallet, write};
use crate::program::{PATIENCE, settings, vendors};
use crate::rig::Rig;

pub fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn modes(directory: &Path) -> Vec<(String, u32)> {
    let mut modes: Vec<(String, u32)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry.path())))
        .collect();
    modes.sort();
    modes
}

/// Runs the program until it has written to its storage, then kills it, so that all files stay.
fn run_once(umask: &str, settings: &[(&str, &str)]) {
    let program = format!("umask {umask}; exec {}", env!("CARGO_BIN_EXE_wallet-exporter"));
    let mut child = Command::new("sh")
        .args(["-c", &program])
        .env_clear()
        .envs(settings.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let listening = lines.map_while(Result::ok).any(|line| line.contains("address="));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(listening);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_can_be_read_by_its_owner_only_whatever_the_umask() {
    let (_vendors, address) = vendors().await;
    for umask in ["000", "022", "077"] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("data");
        let settings = settings(&directory, &address);
        run_once(umask, &settings);
        assert_eq!(mode(&directory), 0o700);
        let found = modes(&directory);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let expected =
            ["wallet-exporter.db", "wallet-exporter.db-shm", "wallet-exporter.db-wal", "wallet-exporter.lock"];
        assert_eq!(names, expected);
        assert!(found.iter().all(|(_, mode)| *mode == 0o600), "{umask}: {found:?}");

        let path = directory.join(FILE_NAME);
        std::fs::write(&path, [0xa5; 10_000]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        run_once(umask, &settings);
        let found = modes(&directory);
        assert!(found.iter().any(|(name, _)| name.contains(".damaged-")), "{found:?}");
        assert!(found.iter().all(|(_, mode)| *mode == 0o600), "{umask}: {found:?}");
    }

    // A directory that is there keeps its mode; files of version 1 do not.
    let directory = version_1();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o750)).unwrap();
    std::fs::set_permissions(directory.path().join(FILE_NAME), std::fs::Permissions::from_mode(0o644)).unwrap();
    run_once("000", &settings(directory.path(), &address));
    assert_eq!(mode(directory.path()), 0o750);
    let found = modes(directory.path());
    assert!(found.iter().any(|(name, _)| name == "wallet-exporter.db.v1"), "{found:?}");
    assert!(found.iter().all(|(_, mode)| *mode == 0o600), "{found:?}");
}

#[test]
fn a_file_that_is_deleted_or_replaced_takes_no_writes() {
    type Harm = fn(&Path);
    let cases: [(&str, &str, Harm); 4] = [
        ("the database is deleted", FILE_NAME, |path| std::fs::remove_file(path).unwrap()),
        ("the database is replaced", FILE_NAME, |path| {
            let copy = path.with_extension("copy");
            std::fs::copy(path, &copy).unwrap();
            std::fs::rename(copy, path).unwrap();
        }),
        ("the log is deleted", "wallet-exporter.db-wal", |path| std::fs::remove_file(path).unwrap()),
        ("everything is deleted", FILE_NAME, |path| std::fs::remove_dir_all(path.parent().unwrap()).unwrap()),
    ];
    for (name, file, harm) in cases {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("data");
        let (store, _) = Store::open(Some(&directory), after_fixture(), SCHEMA).unwrap();
        let account = wallet(&store);
        write(&store, account, "before").unwrap();
        store.probe().unwrap();
        harm(&directory.join(file));
        for outcome in [write(&store, account, "after"), store.probe()] {
            let error = outcome.unwrap_err();
            assert!(matches!(error, StoreError::Replaced { .. }), "{name}: {error}");
            assert!(error.to_string().contains("restart"), "{error}");
        }
        assert_eq!(super::answer(&store, account).as_deref(), Some("before"), "{name}: reads go on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exporter_says_that_its_files_were_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(rig.value("wallet_exporter_storage_up"), Some(1.0));
    std::fs::remove_file(directory.path().join(FILE_NAME)).unwrap();
    rig.poll(&["consumption"]).await;
    assert_eq!(rig.value("wallet_exporter_storage_up"), Some(0.0));
    assert_eq!(rig.source("up", "consumption"), Some(1.0), "gauges go on");
    let error = rig.snapshot().storage.last_error.clone().unwrap();
    assert!(error.contains("deleted or replaced") && error.contains("restart"), "{error}");
}

#[test]
fn a_link_and_what_was_added_to_the_ledger_are_refused_and_left_alone() {
    let elsewhere = version_1();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    std::os::unix::fs::symlink(elsewhere.path().join(FILE_NAME), &path).unwrap();
    let error = Store::open(Some(directory.path()), after_fixture(), SCHEMA).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Link(_)), "{error}");
    std::fs::remove_file(&path).unwrap();
    for (planted, kind) in [
        ("CREATE TRIGGER thief AFTER UPDATE ON source BEGIN DELETE FROM batch; END", "trigger"),
        ("CREATE VIEW thief AS SELECT 1", "view"),
        ("CREATE TABLE thief (account INTEGER CHECK (account < 5))", "table"),
        ("CREATE INDEX thief ON batch (state)", "index"),
        ("CREATE VIRTUAL TABLE thief USING fts5 (words)", "table"),
    ] {
        for fixture in [version_1(), newest_version()] {
            sqlite(fixture.path().join(FILE_NAME)).execute_batch(planted).unwrap();
            let before = contents(fixture.path());
            let error = Store::open(Some(fixture.path()), after_fixture(), SCHEMA).map(drop).unwrap_err();
            assert!(matches!(&error, OpenError::Planted { .. }), "{error}");
            assert!(error.to_string().contains(&format!(" {kind} \"thief\"")), "{error}");
            let mut after = contents(fixture.path());
            after.remove("wallet-exporter.lock");
            assert!(after == before || before.keys().any(|name| name.ends_with("lock")), "nothing was changed");
            assert!(matches!(configured_since(fixture.path(), SCHEMA), Err(OpenError::Planted { .. })));
            let backup = fixture.path().join("backup");
            assert!(store::backup(fixture.path(), &backup, after_fixture(), SCHEMA).is_err() && !backup.exists());
        }
    }
}

#[test]
fn a_table_that_was_changed_is_refused_and_statistics_are_not() {
    let fixture = newest_version();
    let connection = sqlite(fixture.path().join(FILE_NAME));
    connection.execute_batch("ANALYZE; ALTER TABLE probe ADD COLUMN more TEXT").unwrap();
    drop(connection);
    let error = Store::open(Some(fixture.path()), after_fixture(), SCHEMA).map(drop).unwrap_err();
    assert!(error.to_string().contains(" has a changed table \"probe\" that this program did not make"), "{error}");
    let fixture = newest_version();
    sqlite(fixture.path().join(FILE_NAME)).execute_batch("ANALYZE").unwrap();
    drop(Store::open(Some(fixture.path()), after_fixture(), SCHEMA).unwrap());
}

/// What `work` returns, unless it hangs.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || send.send(work()));
    receive.recv_timeout(PATIENCE).expect("it hangs")
}

#[test]
fn what_is_no_regular_file_is_refused_before_it_is_opened() {
    for name in ["wallet-exporter.db", "wallet-exporter.lock", "wallet-exporter.db-wal", "wallet-exporter.db-journal"] {
        for kind in ["fifo", "directory", "link"] {
            let place = newest_version();
            let (directory, path) = (place.path().to_owned(), place.path().join(name));
            let _ = std::fs::remove_file(&path);
            let target = directory.join("elsewhere");
            match kind {
                "fifo" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
                "directory" => std::fs::create_dir(&path).unwrap(),
                _ => std::os::unix::fs::symlink(&target, &path).unwrap(),
            }
            let opened = in_time({
                let directory = directory.clone();
                move || Store::open(Some(&directory), after_fixture(), SCHEMA).map(drop)
            });
            let looked = in_time(move || configured_since(&directory, SCHEMA).map(drop));
            for outcome in [opened, looked] {
                let error = outcome.unwrap_err();
                let expected = match kind {
                    "link" => matches!(&error, OpenError::Link(named) if *named == path),
                    _ => matches!(&error, OpenError::NotRegular(named) if *named == path),
                };
                assert!(expected, "{name}, {kind}: {error}");
            }
            assert!(!target.exists(), "{name}: a link was followed");
        }
    }
}

/// A large file is not checked at every start.
#[test]
fn corruption_that_is_found_later_says_what_to_do() {
    let words = |code| {
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        store::StoreError::from(error).to_string()
    };
    for code in [rusqlite::ffi::SQLITE_CORRUPT, rusqlite::ffi::SQLITE_NOTADB] {
        assert!(words(code).ends_with("; stop the exporter, and restore a backup of the storage or move it away"));
    }
    assert!(!words(rusqlite::ffi::SQLITE_FULL).contains("backup"));
}

#[test]
fn a_directory_is_found_through_a_link() {
    let fixture = newest_version();
    let place = tempfile::tempdir().unwrap();
    let link = place.path().join("data");
    std::os::unix::fs::symlink(fixture.path(), &link).unwrap();
    let (store, _) = Store::open(Some(&link), after_fixture(), SCHEMA).unwrap();
    assert!(!store.is_frozen());
    store.probe().unwrap();
    let backup = place.path().join("backup");
    store::backup(&link, &backup, after_fixture(), SCHEMA).unwrap();
    assert!(configured_since(&link, SCHEMA).is_ok_and(|sources| !sources.is_empty()));
}
