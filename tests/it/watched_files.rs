//! The watch on files: whom a file that hangs keeps waiting, and what is shown of one that cannot be used.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use wallet_exporter::app::SCHEMA;
use wallet_exporter::batchdata;
use wallet_exporter::clock::{Clock as _, ManualClock};
use wallet_exporter::poll::account_storage::StorageWork;
use wallet_exporter::poll::blocking_call::BlockingCall;
use wallet_exporter::poll::file_watcher::{FileWatcher, Watched, WatchedFile};
use wallet_exporter::snapshot::{Snapshot, SnapshotCell};
use wallet_exporter::store::{AccountId, Store};

use crate::rig::{PATIENCE, at};

struct Files {
    cell: Arc<SnapshotCell>,
    watch: Arc<FileWatcher>,
    store: Store,
}

impl Files {
    fn new() -> Files {
        let clock = ManualClock::new(at("2026-05-19T12:00:00Z"));
        let cell = Arc::new(SnapshotCell::new(Snapshot::new(clock.moment(), false)));
        let watch = Arc::new(FileWatcher::new(Arc::clone(&cell), StorageWork::Threads));
        Files { cell, watch, store: Store::open(None, clock.now(), SCHEMA).unwrap().0 }
    }

    fn watch(&self, account: &str, read: impl Fn() -> bool + Send + Sync + 'static) -> AccountId {
        let id = self.store.account(batchdata::VENDOR, account).unwrap();
        let files = vec![WatchedFile { variable: "IDS_FILE", read: Box::new(read) }];
        self.watch.watch(id, Watched { account: account.to_owned(), secrets: Vec::new(), files });
        id
    }

    async fn look(&self) -> Result<(), String> {
        let watch = Arc::clone(&self.watch);
        let look = tokio::task::spawn_blocking(move || watch.look());
        tokio::time::timeout(PATIENCE, look).await.expect("it does not hang").unwrap()
    }

    fn shown(&self) -> Vec<String> {
        self.cell.current().unusable_files.values().cloned().collect()
    }
}

/// A file that hangs until the sender is gone, and can then be used or not.
fn hanging(fits: bool) -> (mpsc::Sender<()>, impl Fn() -> bool + Send + Sync) {
    let (end, hangs) = mpsc::channel();
    let hangs = Mutex::new(hangs);
    (end, move || hangs.lock().unwrap().recv().is_err() && fits)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_hangs_keeps_no_other_account_waiting() {
    let files = Files::new();
    let (end, read) = hanging(true);
    files.watch("stuck", read);
    let (seen, looks) = mpsc::channel();
    let seen = Mutex::new(seen);
    files.watch("other", move || seen.lock().unwrap().send(()).is_ok());
    for _ in 0..2 {
        let found = files.look().await;
        assert!(found.as_ref().is_err_and(|error| error.contains("account stuck, which hangs")), "{found:?}");
        assert_eq!(looks.try_iter().count(), 1, "the other one was looked at");
        let shown = files.shown();
        assert!(shown.len() == 1 && shown[0].starts_with("timed out reading the files of account stuck,"), "{shown:?}");
    }
    drop(end);
    while files.look().await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(files.shown(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_of_a_file_goes_with_the_account_that_it_was_of() {
    let files = Files::new();
    let account = files.watch("a", || false);
    assert_eq!(files.look().await, Err("cannot use the file of IDS_FILE".to_owned()));
    assert!(files.shown()[0].contains("IDS_FILE (account a) cannot be read"), "{:?}", files.shown());
    files.watch("a", || true);
    assert_eq!(files.shown(), Vec::<String>::new(), "that was of the account as it was before");
    // One that is removed while its files hang, which cannot be used in the end.
    let (end, read) = hanging(false);
    files.watch("a", read);
    assert!(files.look().await.is_err());
    files.watch.forget(account);
    drop(end);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(files.look().await, Ok(()));
    assert_eq!(files.shown(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_is_not_begun_again() {
    let call = BlockingCall::default();
    let (end, read) = hanging(true);
    let (short, long) = (Duration::from_millis(10), PATIENCE);
    assert_eq!(call.run(short, read), None);
    assert!(call.is_running());
    assert_eq!(call.run(long, || 7), None, "it was begun again");
    drop(end);
    while call.is_running() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(call.run(long, || 7), Some(7));
    assert_eq!(call.run(long, || panic!("of a fault in it, nothing stays")), None::<()>);
    assert_eq!(call.run(long, || 8), Some(8));
}
