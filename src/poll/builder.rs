//! From configured accounts to polls that can run.
//!
//! Flows in: what a vendor wires for each account. Flows out: tasks, watched files, webhooks, and a first snapshot.
//! Invariant: nothing is fetched here; what the previous run knew is in the snapshot before anybody can ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::sync::Semaphore;
use url::Url;

use super::account_storage::{AccountStorage, StorageWork};
use super::attempts::Wake;
use super::file_watcher::{WatchedFile, WatchedSecret};
use super::schedule::Schedule;
use super::source::{Poller, Runner, SourceSettings};
use super::webhook_sink::WebhookSink;
use crate::clock::{SharedClock, SystemClock};
use crate::config::secret::Secret;
use crate::instruments::ProcessInstruments;
use crate::instruments::account::AccountInstruments;
use crate::names::{Source, Vendor};
use crate::snapshot::{AccountView, Facts, SnapshotCell, SourceView};
use crate::store::{Store, StoreError, StoredSource};
use crate::upstream::{BuildError, ClientSettings, Clients, Observe, RateLimit, RequestLimits, Transport};

/// Long reads at once. More than one, so that a vendor's answer that takes long does not delay all others.
const LONG_READS: usize = 8;

/// How long open requests may go on after the order to stop.
pub const DRAIN: Duration = Duration::from_secs(10);

/// What the application depends on; tests put other things in.
#[derive(Clone)]
pub struct Dependencies {
    /// Time.
    pub clock: SharedClock,
    /// Sizes and durations that requests to the vendors may have.
    pub limits: RequestLimits,
    /// What sends the requests to the vendors; the network if absent.
    pub transport: Option<Arc<dyn Transport>>,
    /// Clients of the network, by base URL.
    pub clients: Arc<Clients>,
    /// Where work on the storage is done, and watched files are read.
    pub storage_work: StorageWork,
    /// Certificates to trust beside the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Permits for reads of long histories, which take much memory: so many go on at once in the process.
    pub long_reads: Arc<Semaphore>,
    /// How late a report may be that is compared with a balance.
    pub report_lag: Duration,
    /// Makes chance repeat, where it is set.
    pub seed: Option<u64>,
    /// How long open scrapes may go on at the end.
    pub drain: Duration,
}

impl Default for Dependencies {
    fn default() -> Dependencies {
        Dependencies {
            clock: SystemClock::shared(),
            limits: RequestLimits::default(),
            transport: None,
            clients: Arc::default(),
            storage_work: StorageWork::Threads,
            long_reads: Arc::new(Semaphore::new(LONG_READS)),
            extra_roots: Vec::new(),
            report_lag: Duration::from_secs(3_600),
            seed: None,
            drain: DRAIN,
        }
    }
}

impl Dependencies {
    /// With a rate limit of its own.
    #[must_use]
    pub fn client_settings(
        &self,
        base_url: &Url,
        secret: &Secret,
        requests_per_minute: u32,
        observer: Arc<dyn Observe>,
    ) -> ClientSettings {
        ClientSettings {
            base_url: base_url.clone(),
            secret: secret.clone(),
            requests_per_minute,
            clock: Arc::clone(&self.clock),
            limits: self.limits,
            observer,
            extra_roots: self.extra_roots.clone(),
            transport: self.transport.clone(),
            clients: Arc::clone(&self.clients),
            rate_limit: Arc::default(),
        }
    }
}

/// Why an account cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The storage cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vendor's client cannot be built.
    #[error("{variable}: {source}")]
    Client {
        /// The variable to look at.
        variable: &'static str,
        /// What is wrong.
        source: BuildError,
    },
}

/// A source, ready to run.
pub struct Task {
    /// What it does.
    pub poller: Box<dyn Poller>,
    /// Runs its attempts.
    pub runner: Runner,
    /// Asks it to look at once.
    pub wake: Wake,
}

/// A webhook: where its events go, and the secrets that open it.
#[derive(Clone)]
pub struct Webhook {
    /// Takes the events.
    pub sink: Arc<dyn WebhookSink>,
    /// More than one while the secret is being replaced.
    pub secrets: Vec<Secret>,
}

/// A source, as the previous run left it.
pub struct RestoredSource {
    /// What it does.
    pub poller: Box<dyn Poller>,
    /// As it is configured.
    pub settings: SourceSettings,
    /// What the store has of it.
    pub stored: Option<StoredSource>,
    /// Asks it to look at once.
    pub wake: Wake,
}

/// So many accounts are polled at once when they start.
const AT_ONCE: usize = 10;

/// When it is the turn of the account at `place` among `accounts`, as a share of an interval: all the same if they are few.
#[must_use]
pub fn turn(place: usize, accounts: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "not so many accounts")]
    if accounts <= AT_ONCE { 0.0 } else { place as f64 / accounts as f64 }
}

/// Collects what accounts wire.
pub struct Builder<'a> {
    dependencies: &'a Dependencies,
    start_at_zero: Duration,
    /// Labels of the account that is wired.
    pub labels: BTreeMap<String, String>,
    /// Its place among the accounts, as [`turn`] gives it.
    pub turn: f64,
    /// What its credential has sent before.
    pub rate_limit: Arc<RateLimit>,
    /// Where snapshots hang.
    pub cell: Arc<SnapshotCell>,
    /// Shared by all accounts.
    pub store: Arc<Store>,
    /// What the process did.
    pub process: Arc<ProcessInstruments>,
    /// One for each source.
    pub tasks: Vec<Task>,
    /// One for each account.
    pub storages: Vec<Arc<AccountStorage>>,
    /// Watched, because a secret may be replaced while the process runs.
    pub secrets: Vec<WatchedSecret>,
    /// Watched, and no secret is in them.
    pub files: Vec<WatchedFile>,
    /// Opened only where a secret is configured.
    pub webhooks: Vec<Webhook>,
}

impl<'a> Builder<'a> {
    /// Nothing wired yet.
    #[must_use]
    pub fn new(
        dependencies: &'a Dependencies,
        start_at_zero: Duration,
        cell: Arc<SnapshotCell>,
        store: Arc<Store>,
        process: Arc<ProcessInstruments>,
    ) -> Builder<'a> {
        Builder {
            dependencies,
            start_at_zero,
            labels: BTreeMap::new(),
            turn: 0.0,
            rate_limit: Arc::default(),
            cell,
            store,
            process,
            tasks: Vec::new(),
            storages: Vec::new(),
            secrets: Vec::new(),
            files: Vec::new(),
            webhooks: Vec::new(),
        }
    }

    /// The storage of an account, with its instruments.
    ///
    /// # Errors
    /// If the store cannot be read or the account cannot be written.
    pub fn storage(
        &mut self,
        vendor: Vendor,
        account: &str,
        sources: impl IntoIterator<Item = Source>,
    ) -> Result<Arc<AccountStorage>, StartError> {
        let instruments = Arc::new(AccountInstruments::new(account, vendor, sources, self.dependencies.clock.moment()));
        let storage = Arc::new(AccountStorage::new(
            Arc::clone(&self.dependencies.clock),
            Arc::clone(&self.cell),
            Arc::clone(&self.store),
            (Arc::clone(&self.process), instruments),
            self.turn,
            self.start_at_zero,
            (self.dependencies.storage_work, Arc::clone(&self.dependencies.long_reads)),
        )?);
        self.storages.push(Arc::clone(&storage));
        if let Some(error) = self.store.frozen_because() {
            self.cell.update(|snapshot| {
                snapshot.storage.failing.insert((storage.account, "start"));
                snapshot.storage.last_error = Some(error);
            });
        }
        Ok(storage)
    }

    /// With the rate limit of the credential, which an account that changes may keep.
    #[must_use]
    pub fn client_settings(
        &self,
        base_url: &Url,
        secret: &Secret,
        requests_per_minute: u32,
        storage: &AccountStorage,
    ) -> ClientSettings {
        let observer = Arc::clone(&storage.instruments) as Arc<dyn Observe>;
        let settings = self.dependencies.client_settings(base_url, secret, requests_per_minute, observer);
        ClientSettings { rate_limit: Arc::clone(&self.rate_limit), ..settings }
    }

    /// How late a report may be that is compared with a balance.
    #[must_use]
    pub fn report_lag(&self) -> Duration {
        self.dependencies.report_lag
    }

    /// Creates series of a source that exist before anything is counted.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn create_series(
        &self,
        storage: &AccountStorage,
        source: Source,
        keys: impl IntoIterator<Item = String>,
    ) -> Result<(), StartError> {
        let rows = match self.store.source(storage.account, source)? {
            Some(_) => storage.new_series(source, keys, false),
            None => storage.uncounted_series(keys),
        };
        self.store.create_series(storage.account, &rows)?;
        storage.created(&rows);
        Ok(())
    }

    /// Whether what is stored of a source is too old, or of an age that cannot be told.
    #[must_use]
    pub fn is_stale(&self, stored: Option<&StoredSource>, max_age: Duration) -> bool {
        let (now, boot_id) = (self.dependencies.clock.moment(), self.dependencies.clock.boot_id());
        let last = stored.map(|stored| stored.last_success(now, &boot_id));
        last.is_some_and(|last| last.is_none_or(|last| now.boot.since(last.boot) > max_age))
    }

    /// Shows an account with its sources; in the place of the same one from before.
    pub fn show(&mut self, storage: &AccountStorage, facts: impl Facts, sources: Vec<RestoredSource>) {
        let zero_starts = storage.zero_starts();
        let labels = self.labels.clone();
        let mut view = AccountView::new(Arc::clone(&storage.instruments), labels, zero_starts, facts);
        for source in sources {
            view.sources.push(self.source(source));
        }
        self.cell.update(|snapshot| {
            let same = |shown: &&mut Arc<AccountView>| shown.vendor() == view.vendor() && shown.name() == view.name();
            match snapshot.accounts.iter_mut().find(same) {
                Some(shown) => *shown = Arc::new(view),
                None => snapshot.accounts.push(Arc::new(view)),
            }
        });
    }

    /// Makes the task of a source, and its view.
    fn source(&mut self, source: RestoredSource) -> SourceView {
        let RestoredSource { poller, settings, stored, wake } = source;
        let (now, boot_id) = (self.dependencies.clock.moment(), self.dependencies.clock.boot_id());
        let known = stored.as_ref().is_some_and(|stored| stored.last_success.is_some());
        let last_success = stored.and_then(|stored| stored.last_success(now, &boot_id));
        let SourceSettings { interval, max_age } = poller.pace().unwrap_or(settings);
        let view = SourceView::new(poller.source(), interval, max_age, known, last_success, now.boot);
        let random = match self.dependencies.seed {
            // Each source needs chances of its own even where they are to repeat.
            Some(seed) => {
                let name = poller.storage().name.bytes().chain(poller.source().name.bytes());
                fastrand::Rng::with_seed(
                    name.fold(seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte))),
                )
            }
            None => fastrand::Rng::new(),
        };
        let schedule = Schedule::new(settings.interval, random);
        let runner = Runner {
            clock: Arc::clone(&self.dependencies.clock),
            cell: Arc::clone(&self.cell),
            schedule,
            planned: None,
        };
        self.tasks.push(Task { poller, runner, wake });
        view
    }
}
