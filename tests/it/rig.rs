//! The exporter and a simulator in this process, on one clock that only the test moves.
//!
//! Flows in: changes at the simulator, moves of the clock. Flows out: what `/metrics` shows. Invariant: time passes only
//! by moves of the clock, but for the limits of single requests, which run on real time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vendor_simulator::{Options, Simulator};
use wallet_exporter::app::{AppError, Config, Dependencies, Running, SimulatorClock, check_online};
use wallet_exporter::clock::{BootTime, Clock as _, ManualClock};
use wallet_exporter::config::{ConfigErrors, Flags};
use wallet_exporter::exposition::Exposition;
use wallet_exporter::poll::account_storage::StorageWork;
use wallet_exporter::snapshot::{Snapshot, SnapshotCell};
use wallet_exporter::store::Store;
use wallet_exporter::upstream::RequestLimits;

/// How long a condition may take to come true before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Rig {
    pub clock: ManualClock,
    pub vendors: Simulator,
    pub settings: BTreeMap<String, String>,
    pub limits: RequestLimits,
    /// Certificates to trust beside the system's.
    pub roots: Vec<rustls_pki_types::CertificateDer<'static>>,
    /// Permits for long reads.
    pub long_reads: Arc<tokio::sync::Semaphore>,
    running: Option<Started>,
    vendor_address: String,
    end: CancellationToken,
}

/// A started exporter.
struct Started {
    cell: Arc<SnapshotCell>,
    store: Arc<Store>,
    exposition: Arc<Exposition>,
    web: SocketAddr,
    webhook: Option<SocketAddr>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(started) = &self.running {
            started.stop.cancel();
        }
        self.end.cancel();
    }
}

/// While there is one subscriber, `tracing` takes that of the thread which logs a line first for everybody's, also where that
/// thread has none: then nobody gets this line any more.
static ANOTHER: LazyLock<tracing::Dispatch> =
    LazyLock::new(|| tracing_subscriber::fmt().with_writer(std::io::sink).finish().into());

/// What is logged by this thread: by everything, in a test of one thread.
pub struct Log {
    file: tempfile::NamedTempFile,
    _here: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub fn begin() -> Log {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(file.reopen().unwrap());
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
        LazyLock::force(&ANOTHER);
        Log { file, _here: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines that contain this.
    pub fn lines(&self, text: &str) -> Vec<String> {
        let log = std::fs::read_to_string(&self.file).unwrap();
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

/// A clock for a simulator that shares it with an exporter.
pub fn vendor_clock(clock: &ManualClock) -> Arc<SimulatorClock> {
    Arc::new(SimulatorClock(Arc::new(clock.clone())))
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A copy of the files in a directory.
pub fn copy_of(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

impl Rig {
    /// Both vendors, quiet; no exporter yet.
    pub async fn new() -> Rig {
        let clock = ManualClock::new(at("2026-05-19T12:00:00Z"));
        let options = Options::quiet(vendor_clock(&clock));
        Rig::with(clock, options).await
    }

    /// Both vendors as the options say, which look at this clock; no exporter yet.
    pub async fn with(clock: ManualClock, options: Options) -> Rig {
        let vendors = Simulator::new(options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let end = CancellationToken::new();
        tokio::spawn(vendors.clone().serve(listener, end.clone().cancelled_owned()));
        Rig::at(clock, vendors, address, end)
    }

    /// A place for another exporter on the same vendors and the same clock.
    pub fn beside(&self) -> Rig {
        Rig::at(self.clock.clone(), self.vendors.clone(), self.vendor_address.clone(), CancellationToken::new())
    }

    fn at(clock: ManualClock, vendors: Simulator, address: String, end: CancellationToken) -> Rig {
        let secrets = Options::quiet(vendor_clock(&clock));
        let settings = [
            ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
            ("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:0"),
            ("STORAGE_PATH", "none"),
            ("METRICS_START_AT_ZERO", "0s"),
            ("BATCHDATA_API_TOKEN", &secrets.batchdata_token),
            ("BATCHDATA_BASE_URL", &address),
            ("RIGHTFOOT_API_KEY", &secrets.rightfoot_key),
            ("RIGHTFOOT_BASE_URL", &address),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        // Far longer than an answer takes on a loaded machine: a request that runs into them is a failed poll.
        let limits = RequestLimits {
            connect: PATIENCE,
            total: PATIENCE,
            csv_idle: PATIENCE,
            csv_total: PATIENCE,
            json_bytes: 4 * 1024 * 1024,
            csv_bytes: 4 * 1024 * 1024,
            ..RequestLimits::default()
        };
        let long_reads = Dependencies::default().long_reads;
        Rig {
            clock,
            vendors,
            settings,
            limits,
            roots: Vec::new(),
            long_reads,
            running: None,
            vendor_address: address,
            end,
        }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    pub async fn start(&mut self) {
        self.try_start().await.unwrap();
    }

    fn config(&self) -> Result<Config, ConfigErrors> {
        let pairs = self.settings.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Config::load(&Flags::default(), pairs, self.clock.now())
    }

    fn dependencies(&self) -> Dependencies {
        Dependencies {
            clock: Arc::new(self.clock.clone()),
            limits: self.limits,
            transport: None,
            clients: Arc::default(),
            storage_work: StorageWork::Threads,
            long_reads: Arc::clone(&self.long_reads),
            extra_roots: self.roots.clone(),
            report_lag: Duration::from_secs(3_600),
            seed: Some(7),
            drain: Duration::from_millis(200),
        }
    }

    /// A client for the wallet, as `export` has one.
    pub fn wallet(&self) -> wallet_exporter::batchdata::Client {
        let config = self.config().unwrap();
        config.account::<wallet_exporter::batchdata::Config>().unwrap().client(&self.dependencies()).unwrap()
    }

    /// What `check --online` prints, and whether all is well.
    pub async fn check_online(&self) -> (String, bool) {
        check_online(&self.config().unwrap(), &self.dependencies(), |_| ()).await.unwrap()
    }

    pub async fn try_start(&mut self) -> Result<(), AppError> {
        let running = Running::start(&self.config()?, &self.dependencies()).await?;
        let (cell, store, stop) = (Arc::clone(&running.cell), Arc::clone(&running.store), running.stop_token());
        let exposition = Arc::clone(&running.exposition);
        let (web, webhook) = (running.addresses.web, running.addresses.webhook);
        let task = tokio::spawn(async move { running.run().await.unwrap() });
        self.running = Some(Started { cell, store, exposition, web, webhook, stop, task });
        Ok(())
    }

    pub async fn stop(&mut self) {
        let started = self.running.take().unwrap();
        started.stop.cancel();
        started.task.await.unwrap();
        // A write that was under way may hold the file for a moment longer.
        let deadline = Instant::now() + PATIENCE;
        while Arc::strong_count(&started.store) > 1 {
            assert!(Instant::now() < deadline, "somebody still holds the store");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Where the exporter listens, while it runs.
    pub fn web(&self) -> Option<SocketAddr> {
        self.running.as_ref().map(|started| started.web)
    }

    /// Where the webhook listens, if it is open.
    pub fn webhook(&self) -> Option<SocketAddr> {
        self.running.as_ref().unwrap().webhook
    }

    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.running.as_ref().unwrap().store)
    }

    pub fn cell(&self) -> Arc<SnapshotCell> {
        Arc::clone(&self.running.as_ref().unwrap().cell)
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.cell().current()
    }

    pub fn exposition(&self) -> Arc<Exposition> {
        Arc::clone(&self.running.as_ref().unwrap().exposition)
    }

    /// The exposition at this moment.
    pub fn metrics(&self) -> String {
        self.running.as_ref().unwrap().exposition.to_text()
    }

    /// The value of a series, written as in the exposition: `name{label="value",...}`.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.metrics().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// The value of a per-source series: `wallet_exporter_source_` is put before the name.
    pub fn source(&self, name: &str, source: &str) -> Option<f64> {
        let vendor = if source == "batches" { "rightfoot" } else { "batchdata" };
        let prefix = format!(r#"account="default",vendor="{vendor}",source="{source}""#);
        self.value(&match name.split_once('=') {
            Some((name, reason)) => format!(r#"wallet_exporter_source_{name}{{{prefix},reason="{reason}"}}"#),
            None => format!("wallet_exporter_source_{name}{{{prefix}}}"),
        })
    }

    /// Waits until the condition holds, in real time; the clock stands still.
    pub async fn until(&self, what: &str, condition: impl Fn(&Rig) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "in vain: {what}\n{}", self.metrics());
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Moves the clock in steps until each of `sources` has made at least one more attempt.
    pub async fn poll(&self, sources: &[&str]) {
        self.poll_within(sources, Duration::from_secs(3_600)).await;
    }

    /// The same with steps up to `most` in all.
    pub async fn poll_within(&self, sources: &[&str], most: Duration) {
        let polls = |source: &&str| self.source("polls_total", source).unwrap_or_default();
        let before: Vec<f64> = sources.iter().map(polls).collect();
        let done = || sources.iter().zip(&before).all(|(source, before)| polls(source) > *before);
        let begin = self.clock.boot();
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "no further poll of {sources:?}\n{}", self.metrics());
            let due: Vec<BootTime> = self
                .snapshot()
                .sources()
                .filter(|view| sources.contains(&view.source.name))
                .filter_map(|view| Some(view.next_attempt?.boot))
                .collect();
            // Only as far as the next attempt: a step beyond it would make values look older than they have to be.
            match due.into_iter().filter(|next| *next > self.clock.boot()).min() {
                Some(next) if next.since(begin) <= most && !done() => {
                    self.clock.advance(next.since(self.clock.boot()));
                }
                _ => {}
            }
            let step = Instant::now() + Duration::from_millis(100);
            while !done() && Instant::now() < step {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
    }

    /// Polls the transactions until they are read up to today.
    pub async fn catch_up(&self) {
        let due = |rig: &Rig| {
            let snapshot = rig.snapshot();
            let next =
                snapshot.sources().find(|view| view.source.name == "transactions").unwrap().next_attempt.unwrap();
            next.boot.since(rig.clock.boot())
        };
        self.rest().await;
        while due(self) < Duration::from_secs(30) {
            self.poll(&["transactions"]).await;
            self.rest().await;
        }
    }

    /// Waits until no poll is under way; the clock stands still.
    pub async fn rest(&self) {
        self.until("no poll is under way", |rig| {
            let now = rig.clock.boot();
            rig.snapshot().sources().all(|view| view.next_attempt.is_some_and(|next| next.boot > now))
        })
        .await;
    }

    /// Waits for the first attempt of every source.
    pub async fn first_polls(&self) {
        self.until("every source polled once", |rig| rig.snapshot().is_ready()).await;
    }
}
