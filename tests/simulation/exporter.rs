//! One run of the exporter, from start to its end, on one storage directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wallet_exporter::app::{App, Config, Dependencies, Supervisor};
use wallet_exporter::clock::{Clock as _, SharedClock};
use wallet_exporter::config::Flags;
use wallet_exporter::exposition::{Exposition, Format};
use wallet_exporter::money::Usd;
use wallet_exporter::poll::account_storage::StorageWork;
use wallet_exporter::poll::attempts::PollOutcome;
use wallet_exporter::poll::webhook_sink::WebhookSink;
use wallet_exporter::snapshot::{Gate, GateQuestion, SnapshotCell};
use wallet_exporter::store::{StorageFault, Store};
use wallet_exporter::upstream::{RequestLimits, Transport};

use crate::clock::MachineClock;

pub struct Exporter {
    cell: Arc<SnapshotCell>,
    store: Arc<Store>,
    exposition: Arc<Exposition>,
    supervisor: Arc<Supervisor>,
    ended: mpsc::UnboundedReceiver<&'static str>,
    clock: MachineClock,
    stop: CancellationToken,
}

impl Exporter {
    pub fn start(
        variables: &BTreeMap<String, String>,
        clock: &MachineClock,
        transport: Arc<dyn Transport>,
        seed: u64,
    ) -> Result<Exporter, String> {
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
        let app = App::build(&config, &around).map_err(|error| error.to_string())?;
        let stop = CancellationToken::new();
        let (cell, store, exposition) = (Arc::clone(&app.cell), Arc::clone(&app.store), Arc::clone(&app.exposition));
        let (supervisor, ended) = Supervisor::start(app, stop.clone());
        Ok(Exporter { cell, store, exposition, supervisor, ended, clock: clock.clone(), stop })
    }

    /// The exposition as text, what the ledger has of it as protobuf, and the status page's data.
    pub fn look(&self) -> (String, Vec<u8>, String) {
        let now = self.clock.moment();
        let snapshot = self.cell.current();
        let messages = self.exposition.rendered(Format::Protobuf).plain().to_vec();
        (self.exposition.to_text(), messages, serde_json::to_string(&snapshot.status(now)).unwrap())
    }

    /// The gate's answer where so many ten-thousandths have to be left.
    pub fn gate(&self, units: i64) -> Gate {
        let question = GateQuestion { min: Usd::from_ten_thousandths(units), ..GateQuestion::default() };
        self.cell.current().gate(&question, self.clock.boot()).expect("there is one wallet")
    }

    pub fn webhook_sink(&self) -> Arc<dyn WebhookSink> {
        Arc::clone(&self.supervisor.webhooks().load()[0].sink)
    }

    /// Asks a source for an attempt, as `POST /-/poll` does.
    pub fn poll_now(&self, source: &str) -> JoinHandle<PollOutcome> {
        let polled = self.supervisor.sources().into_iter().find(|polled| polled.source.name == source).unwrap();
        let clock = self.clock.clone();
        tokio::spawn(async move { polled.wake.poll_now(&polled.rate_limit, &clock).await })
    }

    /// Reads the accounts file again, as a SIGHUP does.
    pub async fn reload(&self) -> Result<(), String> {
        self.supervisor.reload([]).await.map_err(|errors| errors.to_string())
    }

    pub fn read_files(&self) {
        // A file that cannot be used keeps what was there: nothing to do here.
        let _ = self.supervisor.read_files();
    }

    /// Begins or ends a fault of the storage.
    pub fn set_fault(&self, fault: Option<StorageFault>) {
        self.store.set_fault(fault);
    }

    /// A poll that has ended although nobody told it to.
    pub fn ended(&mut self) -> Option<String> {
        self.ended.try_recv().ok().map(|part| format!("{part} has ended"))
    }

    /// The end, in order or of a machine that loses its power: whatever is under way is dropped where it waits.
    pub async fn stop(self) {
        self.stop.cancel();
        self.supervisor.ended().await;
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
