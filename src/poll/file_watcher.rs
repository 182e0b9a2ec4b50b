//! Files that change while the program runs.
//!
//! Flows in: secrets' files, and files of the vendors. Flows out: wake-ups. Invariant: a bad file keeps what was there
//! before, and is logged once.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::attempts::Wake;
use crate::clock::SharedClock;
use crate::config::secret::{Refresh, Secret};
use crate::store::AccountId;

/// How often files are looked at. Kubernetes swaps links and some file systems tell nothing, so they are read.
const EVERY: Duration = Duration::from_secs(5);

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
#[derive(Default)]
pub struct Watched {
    /// Files of secrets.
    pub secrets: Vec<WatchedSecret>,
    /// Other files.
    pub files: Vec<WatchedFile>,
}

/// Reads files again.
#[derive(Default)]
pub struct FileWatcher {
    accounts: Mutex<BTreeMap<AccountId, Arc<Watched>>>,
    unreadable: Mutex<HashSet<(AccountId, String)>>,
}

impl FileWatcher {
    /// Watches these files of an account from now on, and no others of it.
    pub fn watch(&self, account: AccountId, watched: Watched) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).insert(account, Arc::new(watched));
    }

    /// Watches no file of this account any more.
    pub fn forget(&self, account: AccountId) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
        self.lock().retain(|(of, _)| *of != account);
    }

    /// Reads all files again, once.
    ///
    /// # Errors
    /// The names of the variables whose files cannot be used; what was there before stays.
    pub fn look(&self) -> Result<(), String> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bad: Vec<String> = accounts.iter().flat_map(|(account, watched)| self.look_at(*account, watched)).collect();
        if bad.is_empty() { Ok(()) } else { Err(format!("cannot use the file of {}", bad.join(", "))) }
    }

    /// The names of the variables whose files cannot be used.
    fn look_at(&self, account: AccountId, watched: &Watched) -> Vec<String> {
        let mut bad = Vec::new();
        for watched in &watched.secrets {
            match watched.secret.refresh() {
                Refresh::Unchanged => self.readable(account, &watched.variable),
                Refresh::Changed => {
                    self.readable(account, &watched.variable);
                    tracing::info!(
                        variable = watched.variable,
                        "the secret has changed; its sources are polled at once"
                    );
                    (watched.on_change)();
                    watched.wakes.iter().for_each(|wake| wake.wake());
                }
                Refresh::Unreadable(error) => {
                    bad.push(watched.variable.clone());
                    if self.lock().insert((account, watched.variable.clone())) {
                        tracing::warn!(variable = watched.variable, error = %error, "the secret's file cannot be used: the previous secret stays in use");
                    }
                }
            }
        }
        let unreadable = watched.files.iter().filter(|file| !(file.read)());
        bad.extend(unreadable.map(|file| file.variable.to_owned()));
        bad
    }

    /// Looks for ever.
    pub async fn run(self: Arc<Self>, clock: SharedClock) {
        loop {
            clock.sleep_until(clock.boot() + EVERY).await;
            let watch = Arc::clone(&self);
            // A file may be on a mount that hangs. What is wrong was logged when it began.
            let _ = tokio::task::spawn_blocking(move || watch.look()).await;
        }
    }

    fn readable(&self, account: AccountId, variable: &str) {
        if self.lock().remove(&(account, variable.to_owned())) {
            tracing::info!(variable, "the secret's file can be read again");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<(AccountId, String)>> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
