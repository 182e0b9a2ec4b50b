//! Files that change while the program runs.
//!
//! Flows in: secrets' files, and files of the vendors. Flows out: wake-ups. Invariant: a bad file keeps what was there
//! before, and is logged once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::source::Wake;
use crate::clock::SharedClock;
use crate::config::secret::{Refresh, Secret};

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

/// Reads files again.
pub struct FileWatcher {
    secrets: Vec<WatchedSecret>,
    files: Vec<WatchedFile>,
    unreadable: Mutex<HashSet<String>>,
}

impl FileWatcher {
    /// Watches these.
    #[must_use]
    pub fn new(secrets: Vec<WatchedSecret>, files: Vec<WatchedFile>) -> FileWatcher {
        FileWatcher { secrets, files, unreadable: Mutex::new(HashSet::new()) }
    }

    /// Reads all files again, once.
    ///
    /// # Errors
    /// The names of the variables whose files cannot be used; what was there before stays.
    pub fn look(&self) -> Result<(), String> {
        let mut bad = Vec::new();
        for watched in &self.secrets {
            match watched.secret.refresh() {
                Refresh::Unchanged => self.readable(&watched.variable),
                Refresh::Changed => {
                    self.readable(&watched.variable);
                    tracing::info!(
                        variable = watched.variable,
                        "the secret has changed; its sources are polled at once"
                    );
                    (watched.on_change)();
                    watched.wakes.iter().for_each(|wake| wake.notify_one());
                }
                Refresh::Unreadable(error) => {
                    bad.push(watched.variable.clone());
                    if self.lock().insert(watched.variable.clone()) {
                        tracing::warn!(variable = watched.variable, error = %error, "the secret's file cannot be used: the previous secret stays in use");
                    }
                }
            }
        }
        let unreadable = self.files.iter().filter(|file| !(file.read)());
        bad.extend(unreadable.map(|file| file.variable.to_owned()));
        if bad.is_empty() { Ok(()) } else { Err(format!("cannot use the file of {}", bad.join(", "))) }
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

    fn readable(&self, variable: &str) {
        if self.lock().remove(variable) {
            tracing::info!(variable, "the secret's file can be read again");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
