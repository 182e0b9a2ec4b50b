//! Files that change while the program runs.
//!
//! Flows in: secrets' files, and files of the vendors. Flows out: wake-ups, and what cannot be used. Invariants: a bad file
//! keeps what was there before, is logged once, and is in the snapshot until it is good; a file that hangs keeps nobody but
//! its own account waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::account_storage::StorageWork;
use super::attempts::Wake;
use super::blocking_call::BlockingCall;
use crate::clock::SharedClock;
use crate::config::secret::{Refresh, Secret};
use crate::snapshot::SnapshotCell;
use crate::store::AccountId;

/// How often files are looked at. Kubernetes swaps links and some file systems tell nothing, so they are read.
const EVERY: Duration = Duration::from_secs(5);
/// How long the files of one account are waited for.
const EACH: Duration = Duration::from_secs(2);
/// How long all of them are; the rest follows the next time.
const ALL: Duration = Duration::from_secs(10);
/// So many accounts whose files hang may each hold a thread.
const MOST_HANGING: usize = 64;
/// In the place of a variable, where it is not known whose file hangs.
const FILES: &str = "files";

/// A secret, the variable that names it, and whom a change wakes.
pub struct WatchedSecret {
    /// Such as `<VENDOR>_API_TOKEN_FILE`.
    pub variable: String,
    /// The secret.
    pub secret: Secret,
    /// Sources that use it.
    pub wakes: Vec<Wake>,
    /// Runs when it changed: a pause that the old secret earned does not bind the new one.
    pub on_change: Box<dyn Fn() + Send + Sync>,
}

/// A file of a vendor, and the variable that names it.
pub struct WatchedFile {
    /// Such as `<VENDOR>_BATCH_IDS_FILE`.
    pub variable: &'static str,
    /// Reads it again; whether it could be read.
    pub read: Box<dyn Fn() -> bool + Send + Sync>,
}

/// The files of an account.
pub struct Watched {
    /// The label `account`.
    pub account: String,
    /// Files of secrets.
    pub secrets: Vec<WatchedSecret>,
    /// Other files.
    pub files: Vec<WatchedFile>,
}

/// Reads files again.
pub struct FileWatcher {
    cell: Arc<SnapshotCell>,
    work: StorageWork,
    accounts: Mutex<BTreeMap<AccountId, Arc<Watched>>>,
    reading: Mutex<BTreeMap<AccountId, BlockingCall>>,
}

impl FileWatcher {
    /// Watches nothing yet. What cannot be used is shown in the cell's snapshots. Files are read where storage works.
    #[must_use]
    pub fn new(cell: Arc<SnapshotCell>, work: StorageWork) -> FileWatcher {
        FileWatcher { cell, work, accounts: Mutex::default(), reading: Mutex::default() }
    }

    /// Watches these files of an account from now on, and no others of it.
    pub fn watch(&self, account: AccountId, watched: Watched) {
        self.replace(account, Some(Arc::new(watched)));
    }

    /// Watches no file of this account any more.
    pub fn forget(&self, account: AccountId) {
        self.replace(account, None);
    }

    fn replace(&self, account: AccountId, watched: Option<Arc<Watched>>) {
        let mut accounts = self.lock();
        match watched {
            Some(watched) => accounts.insert(account, watched),
            None => accounts.remove(&account),
        };
        if self.cell.current().unusable_files.keys().any(|(of, _)| *of == account) {
            self.cell.update(|snapshot| snapshot.unusable_files.retain(|(of, _), _| *of != account));
        }
    }

    /// Reads all files again, once. Blocks, but not for long.
    ///
    /// # Errors
    /// The names of the variables whose files cannot be used; what was there before stays.
    pub fn look(self: &Arc<Self>) -> Result<(), String> {
        // One after the other, so that only what hangs is found busy.
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (accounts, began, mut bad) = (self.lock().clone(), Instant::now(), Vec::new());
        reading.retain(|account, call| accounts.contains_key(account) || call.is_running());
        for (account, watched) in accounts {
            let hanging = reading.values().filter(|reading| reading.is_running()).count();
            let left = ALL.saturating_sub(began.elapsed());
            let call = reading.entry(account).or_default();
            if !call.is_running() && (hanging >= MOST_HANGING || left.is_zero()) {
                bad.push(format!("account {}, which was not checked", watched.account));
                continue;
            }
            let found = match self.work {
                StorageWork::Threads => {
                    let (watch, files) = (Arc::clone(self), Arc::clone(&watched));
                    call.run(EACH.min(left), move || watch.look_at(account, &files))
                }
                StorageWork::Inline => Some(self.look_at(account, &watched)),
            };
            let problem = found.is_none().then(|| {
                format!(
                    "timed out reading the files of account {}, so changes in them are not seen: check the mount that \
                     they are on",
                    watched.account
                )
            });
            if self.note(account, &watched, FILES, problem) && found.is_none() {
                tracing::warn!(account = watched.account, "timed out reading the account's files");
            }
            bad.extend(found.unwrap_or_else(|| vec![format!("account {}, which hangs", watched.account)]));
        }
        if bad.is_empty() { Ok(()) } else { Err(format!("cannot use the file of {}", bad.join(", "))) }
    }

    /// The names of the variables whose files cannot be used.
    fn look_at(&self, account: AccountId, watched: &Arc<Watched>) -> Vec<String> {
        let mut bad = Vec::new();
        for WatchedSecret { variable, secret, wakes, on_change } in &watched.secrets {
            let found = secret.refresh();
            let problem = match &found {
                Refresh::Unreadable(error) => {
                    Some(format!("{variable} (account {}): {error}: the previous secret stays in use", watched.account))
                }
                Refresh::Unchanged | Refresh::Changed => None,
            };
            let is_news = self.note(account, watched, variable, problem);
            match &found {
                Refresh::Unreadable(error) => {
                    bad.push(variable.clone());
                    if is_news {
                        tracing::warn!(variable, account = watched.account, error = %error, "the secret's file cannot be used: the previous secret stays in use");
                    }
                }
                Refresh::Unchanged | Refresh::Changed if is_news => {
                    tracing::info!(variable, account = watched.account, "the secret's file can be read again");
                }
                Refresh::Unchanged | Refresh::Changed => {}
            }
            if found == Refresh::Changed {
                tracing::info!(variable, "the secret has changed; its sources are polled at once");
                on_change();
                wakes.iter().for_each(|wake| wake.wake());
            }
        }
        for WatchedFile { variable, read } in &watched.files {
            let of = &watched.account;
            let problem = (!read())
                .then(|| format!("{variable} (account {of}) cannot be read: its previous content stays in use"));
            bad.extend(problem.is_some().then(|| (*variable).to_owned()));
            self.note(account, watched, variable, problem);
        }
        bad
    }

    /// Looks for ever.
    pub async fn run(self: Arc<Self>, clock: SharedClock) {
        loop {
            clock.sleep_until(clock.boot() + EVERY).await;
            let watch = Arc::clone(&self);
            // What is wrong was logged when it began.
            let _ = tokio::task::spawn_blocking(move || watch.look()).await;
        }
    }

    /// Shows a problem, or that there is none, as long as these are the files that are watched; whether it has begun or ended.
    fn note(&self, account: AccountId, watched: &Arc<Watched>, variable: &str, problem: Option<String>) -> bool {
        let accounts = self.lock();
        let key = (account, variable.to_owned());
        let before = self.cell.current().unusable_files.get(&key).cloned();
        if before == problem || !accounts.get(&account).is_some_and(|known| Arc::ptr_eq(known, watched)) {
            return false;
        }
        let is_news = before.is_some() != problem.is_some();
        self.cell.update(|snapshot| match problem {
            Some(problem) => drop(snapshot.unusable_files.insert(key, problem)),
            None => drop(snapshot.unusable_files.remove(&key)),
        });
        is_news
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountId, Arc<Watched>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
