//! One run of the exporter, from start to its end, on one storage directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wallet_exporter::app::{App, Config, Dependencies};
use wallet_exporter::clock::{Clock as _, SharedClock};
use wallet_exporter::config::Flags;
use wallet_exporter::exposition::Format;
use wallet_exporter::poll::account_storage::StorageWork;
use wallet_exporter::poll::webhook_sink::WebhookSink;
use wallet_exporter::store::StorageFault;
use wallet_exporter::upstream::{RequestLimits, Transport};

use crate::clock::MachineClock;

pub struct Life {
    app: App,
    clock: MachineClock,
    polls: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl Life {
    pub fn start(
        variables: &BTreeMap<String, String>,
        clock: &MachineClock,
        transport: Arc<dyn Transport>,
        seed: u64,
    ) -> Result<Life, String> {
        let pairs = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let config = Config::load(&Flags::default(), pairs, clock.now()).map_err(|faults| faults.to_string())?;
        let shared: SharedClock = Arc::new(clock.clone());
        let around = Dependencies {
            clock: shared,
            transport: Some(transport),
            storage_work: StorageWork::Inline,
            seed: Some(seed),
            // A listing without an end costs thirty requests, not a thousand.
            limits: RequestLimits { pages: 30, ..RequestLimits::default() },
            ..Dependencies::default()
        };
        let mut app = App::build(&config, &around).map_err(|error| error.to_string())?;
        let (mut polls, stop) = (JoinSet::new(), CancellationToken::new());
        app.start_polls(&mut polls, &stop);
        Ok(Life { app, clock: clock.clone(), polls, stop })
    }

    /// The exposition and the status page's data.
    pub fn look(&self) -> (String, String) {
        let now = self.clock.moment();
        let snapshot = self.app.cell.current();
        (self.app.exposition.to_text(Format::Text), serde_json::to_string(&snapshot.status(now)).unwrap())
    }

    pub fn inbox(&self) -> Arc<dyn WebhookSink> {
        Arc::clone(&self.app.webhooks[0].sink)
    }

    pub fn read_files(&self) {
        // A file that cannot be used keeps what was there: nothing to do here.
        let _ = self.app.read_files();
    }

    /// Begins or ends a fault of the storage.
    pub fn set_fault(&self, fault: Option<StorageFault>) {
        self.app.store.set_fault(fault);
    }

    /// A poll that has ended although nobody told it to.
    pub fn ended(&mut self) -> Option<String> {
        self.polls.try_join_next().map(|ended| format!("a task has ended: {ended:?}"))
    }

    /// An orderly end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.polls.join_next().await.is_some() {}
    }

    /// The end of a machine that loses its power: nothing is closed in order.
    pub async fn crash(mut self) {
        self.polls.shutdown().await;
    }
}

/// Copies the database and its log as they are on the disk at this moment.
pub fn copy_storage(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{}{suffix}", wallet_exporter::store::FILE_NAME);
        if from.join(&name).exists() {
            std::fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
    // The directory is known as ours by its lock file.
    std::fs::write(to.join("wallet-exporter.lock"), "").unwrap();
}

/// The database's files.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
