//! A configuration becomes stores, clients, polls and a first snapshot.
//!
//! Invariant: nothing is fetched here; what the previous run knew is in the snapshot before anybody can ask.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{AppError, Dependencies};
use crate::clock::SharedClock;
use crate::config::secret::Secret;
use crate::config::{BatchData as WalletConfig, Config, ConfigErrors, Rightfoot as RightfootConfig};
use crate::domain::batches::BatchTiming;
use crate::instruments::{Account, Process};
use crate::metrics::Exposition;
use crate::poll::account_storage::AccountStorage;
use crate::poll::balance::{self, BalancePoller};
use crate::poll::batch_list::BatchList;
use crate::poll::batches::{BatchesPoller, BatchesSettings};
use crate::poll::cards::CardsPoller;
use crate::poll::consumption::ConsumptionPoller;
use crate::poll::file_watcher::{FileWatcher, WatchedSecret};
use crate::poll::schedule::Schedule;
use crate::poll::source::{Poller, Runner, Wake};
use crate::poll::webhook_sink::WebhookSink;
use crate::snapshot::{RightfootView, Snapshot, SnapshotCell, SourceView, WalletView, WebhookView};
use crate::store::{Store, StoredSource};
use crate::vendor::{BatchData, ClientSettings, Rightfoot, Source, Vendor};

/// A source, ready to run.
pub(super) struct Task {
    pub(super) poller: Box<dyn Poller>,
    pub(super) runner: Runner,
    pub(super) wake: Wake,
}

/// Everything, wired, not yet running.
pub struct App {
    /// Where snapshots hang.
    pub cell: Arc<SnapshotCell>,
    /// The store.
    pub store: Arc<Store>,
    /// What is served at the telemetry path.
    pub exposition: Arc<Exposition>,
    pub(super) process: Arc<Process>,
    pub(super) clock: SharedClock,
    pub(super) tasks: Vec<Task>,
    pub(super) storages: Vec<Arc<AccountStorage>>,
    pub(super) batch_list: Option<(Arc<BatchList>, Vec<Secret>)>,
    pub(super) watch: Arc<FileWatcher>,
}

impl App {
    /// Opens the storage and wires everything.
    ///
    /// # Errors
    /// See [`AppError`].
    pub fn build(config: &Config, dependencies: &Dependencies) -> Result<App, AppError> {
        let clock = Arc::clone(&dependencies.clock);
        let (store, renamed) = Store::open(config.process.storage.as_deref(), clock.now())?;
        if let Some(renamed) = renamed {
            tracing::error!(
                renamed_to = %renamed.to.display(),
                error = renamed.because,
                "the ledger was corrupt and has been renamed: counting starts from zero"
            );
        }
        if let Some(error) = store.frozen_because() {
            tracing::error!(error, "the ledger cannot be written: it is served from memory and counters stand still");
        }
        let mut snapshot = Snapshot::new(clock.moment(), store.is_durable());
        snapshot.warnings = config.warnings();
        for warning in &snapshot.warnings {
            tracing::warn!("{warning}");
        }
        let mut builder = Builder {
            dependencies,
            store: Arc::new(store),
            cell: Arc::new(SnapshotCell::new(snapshot)),
            process: Arc::default(),
            start_at_zero: config.process.start_at_zero,
            tasks: Vec::new(),
            storages: Vec::new(),
            secrets: Vec::new(),
            errors: ConfigErrors::default(),
        };
        if let Some(wallet) = &config.batchdata {
            builder.wallet(wallet)?;
        }
        let batch_list = match &config.rightfoot {
            Some(account) => {
                let secrets = account.webhook_secret.iter().chain(&account.old_webhook_secret);
                Some((builder.rightfoot(account)?, secrets.cloned().collect()))
            }
            None => None,
        };
        if !builder.errors.is_empty() {
            return Err(builder.errors.into());
        }
        let watch = Arc::new(FileWatcher::new(
            builder.secrets,
            batch_list.as_ref().map(|(batch_list, _)| Arc::clone(batch_list)),
        ));
        let (clock_of_scrapes, cell, process) = (Arc::clone(&clock), Arc::clone(&builder.cell), builder.process);
        let exposition = Exposition::new(clock_of_scrapes, cell, Arc::clone(&process));
        Ok(App {
            cell: builder.cell,
            store: builder.store,
            exposition: Arc::new(exposition),
            process,
            clock,
            tasks: builder.tasks,
            storages: builder.storages,
            batch_list,
            watch,
        })
    }
}

impl App {
    /// Starts the sources' polls and ends zero starts as they become due, until `stop`. Files are not watched by this.
    pub fn start_polls(&mut self, polls: &mut JoinSet<&'static str>, stop: &CancellationToken) {
        for storage in std::mem::take(&mut self.storages) {
            let stop = stop.clone();
            polls.spawn(async move {
                tokio::select! { biased; () = stop.cancelled() => {} () = storage.end_zero_starts() => {} }
                "the storage"
            });
        }
        for task in std::mem::take(&mut self.tasks) {
            let stop = stop.clone();
            polls.spawn(async move {
                task.runner.run(task.poller, task.wake, stop).await;
                "a poll"
            });
        }
    }

    /// Where the webhook's events go, if there is a Rightfoot account.
    #[must_use]
    pub fn webhook_sink(&self) -> Option<Arc<dyn WebhookSink>> {
        self.batch_list.as_ref().map(|(batch_list, _)| Arc::clone(batch_list) as Arc<dyn WebhookSink>)
    }

    /// Reads the files again that a running exporter watches.
    ///
    /// # Errors
    /// The names of the variables whose files cannot be used.
    pub fn read_files(&self) -> Result<(), String> {
        self.watch.look()
    }
}

struct Builder<'a> {
    dependencies: &'a Dependencies,
    store: Arc<Store>,
    cell: Arc<SnapshotCell>,
    process: Arc<Process>,
    start_at_zero: std::time::Duration,
    tasks: Vec<Task>,
    storages: Vec<Arc<AccountStorage>>,
    secrets: Vec<WatchedSecret>,
    errors: ConfigErrors,
}

impl Builder<'_> {
    fn storage(&mut self, account: Account) -> Result<Arc<AccountStorage>, AppError> {
        let clock = Arc::clone(&self.dependencies.clock);
        let (cell, store) = (Arc::clone(&self.cell), Arc::clone(&self.store));
        let instruments = (Arc::clone(&self.process), Arc::new(account));
        let storage = Arc::new(AccountStorage::new(
            clock,
            cell,
            store,
            instruments,
            self.start_at_zero,
            self.dependencies.storage_work,
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

    fn settings(&self, base_url: &url::Url, secret: &Secret, budget: u32, storage: &AccountStorage) -> ClientSettings {
        ClientSettings {
            base_url: base_url.clone(),
            secret: secret.clone(),
            requests_per_minute: budget,
            clock: Arc::clone(&self.dependencies.clock),
            limits: self.dependencies.limits,
            observer: Arc::clone(&storage.instruments) as Arc<dyn crate::vendor::Observe>,
            extra_roots: self.dependencies.extra_roots.clone(),
            transport: self.dependencies.transport.clone(),
        }
    }

    /// Series that exist before anything is counted are created with the storage.
    fn create_series(&self, storage: &AccountStorage, keys: impl IntoIterator<Item = String>) -> Result<(), AppError> {
        let rows = storage.new_series(keys, false);
        self.store.create_series(storage.account, &rows)?;
        storage.created(&rows);
        Ok(())
    }

    fn task(
        &mut self,
        poller: Box<dyn Poller>,
        interval: std::time::Duration,
        max_age: std::time::Duration,
        stored: Option<StoredSource>,
    ) -> Wake {
        let (account, source) = (poller.storage().name.clone(), poller.source());
        let (now, boot_id) = (self.dependencies.clock.moment(), self.dependencies.clock.boot_id());
        let known = stored.as_ref().is_some_and(|stored| stored.last_success.is_some());
        let last_success = stored.and_then(|stored| stored.last_success(now, &boot_id));
        let view = SourceView::new(&account, source, (interval, max_age), known, last_success, now.boot);
        self.cell.update(|snapshot| snapshot.sources.push(view));
        let random = match self.dependencies.seed {
            // Each source needs chances of its own even where they are to repeat.
            Some(seed) => fastrand::Rng::with_seed(seed.wrapping_add(self.tasks.len() as u64)),
            None => fastrand::Rng::new(),
        };
        let schedule = Schedule::new(interval, random);
        let runner = Runner { clock: Arc::clone(&self.dependencies.clock), cell: Arc::clone(&self.cell), schedule };
        let wake = Wake::default();
        self.tasks.push(Task { poller, runner, wake: Arc::clone(&wake) });
        wake
    }

    /// Whether what is stored of a source is too old, or of an age that cannot be told.
    fn is_stale(&self, stored: Option<&StoredSource>, max_age: std::time::Duration) -> bool {
        let (now, boot_id) = (self.dependencies.clock.moment(), self.dependencies.clock.boot_id());
        let last = stored.map(|stored| stored.last_success(now, &boot_id));
        last.is_some_and(|last| last.is_none_or(|last| now.boot.since(last.boot) > max_age))
    }

    fn wallet(&mut self, config: &WalletConfig) -> Result<(), AppError> {
        let sources = config.sources.iter().map(|(source, _)| *source);
        let storage = self.storage(Account::new(&config.account, Vendor::BatchData, sources))?;
        let enabled = |source| config.sources.iter().any(|(enabled, _)| *enabled == source);
        let mut stored = |source| -> Result<Option<StoredSource>, AppError> {
            let stored = self.store.source(storage.account, source)?;
            if source != Source::Balance {
                let configured = config.count_since.map(|day| day.to_string());
                let kept = stored.as_ref().map(|stored| stored.configured_since.as_deref());
                self.errors.check_since("BATCHDATA_COUNT_SINCE", configured.as_deref(), kept);
            }
            Ok(stored)
        };
        let (balance, consumption, cards) =
            (stored(Source::Balance)?, stored(Source::Consumption)?, stored(Source::CardTransactions)?);
        let settings = self.settings(&config.base_url, &config.token, config.requests_per_minute, &storage);
        let client = BatchData::new(settings, enabled(Source::Consumption));
        let client = Arc::new(client.map_err(|source| AppError::Client { variable: "BATCHDATA_BASE_URL", source })?);
        if enabled(Source::Consumption) {
            self.create_series(&storage, ConsumptionPoller::known_series())?;
        }
        let last = balance.as_ref().and_then(|stored| balance::restored(stored.answer.as_deref()?));
        self.cell.update(|snapshot| {
            snapshot.wallets.push(WalletView {
                account: config.account.clone(),
                warning_balance: config.warning_balance,
                critical_balance: config.critical_balance,
                balance: last,
                consumption: None,
                cards: None,
                zero_starts: Arc::new(storage.zero_starts()),
                instruments: Arc::clone(&storage.instruments),
            });
        });
        let mut wakes = Vec::new();
        for (source, interval) in &config.sources {
            let (client, storage) = (Arc::clone(&client), Arc::clone(&storage));
            let wake = match source {
                Source::Consumption => {
                    let stale = self.is_stale(consumption.as_ref(), config.max_age);
                    let poller = ConsumptionPoller::restore(client, Arc::clone(&storage), config.count_since, stale)?;
                    let view = Arc::new(poller.view());
                    self.cell.update(|snapshot| {
                        if let Some(wallet) = snapshot.wallet_mut(&config.account) {
                            wallet.consumption = Some(view);
                        }
                    });
                    self.task(Box::new(poller), *interval, config.max_age, consumption.clone())
                }
                Source::CardTransactions => {
                    let stale = self.is_stale(cards.as_ref(), config.max_age);
                    let poller = CardsPoller::restore(client, Arc::clone(&storage), config.count_since, stale)?;
                    let view = Arc::new(poller.view());
                    self.cell.update(|snapshot| {
                        if let Some(wallet) = snapshot.wallet_mut(&config.account) {
                            wallet.cards = Some(view);
                        }
                    });
                    self.task(Box::new(poller), *interval, config.max_age, cards.clone())
                }
                _ => {
                    let poller = BalancePoller::new(client, storage);
                    self.task(Box::new(poller), *interval, config.max_age, balance.clone())
                }
            };
            wakes.push(wake);
        }
        self.secrets.push(WatchedSecret {
            variable: "BATCHDATA_API_TOKEN_FILE".to_owned(),
            secret: config.token.clone(),
            wakes,
            on_change: Box::new(move || client.credential().resume()),
        });
        Ok(())
    }

    fn rightfoot(&mut self, config: &RightfootConfig) -> Result<Arc<BatchList>, AppError> {
        let storage = self.storage(Account::new(&config.account, Vendor::Rightfoot, [Source::Batches]))?;
        let stored = self.store.source(storage.account, Source::Batches)?;
        let configured = config.count_since.map(|since: DateTime<Utc>| since.to_rfc3339());
        let kept = stored.as_ref().map(|stored| stored.configured_since.as_deref());
        self.errors.check_since("RIGHTFOOT_COUNT_SINCE", configured.as_deref(), kept);
        let settings = self.settings(&config.base_url, &config.key, config.requests_per_minute, &storage);
        let client = Rightfoot::new(settings);
        let client = Arc::new(client.map_err(|source| AppError::Client { variable: "RIGHTFOOT_BASE_URL", source })?);
        self.create_series(&storage, BatchesPoller::known_series())?;
        let wake = Wake::default();
        let batch_list = Arc::new(BatchList::new(
            Arc::clone(&storage),
            Arc::clone(&wake),
            config.batch_ids.clone(),
            config.batch_ids_file.clone(),
        ));
        let timing = BatchTiming { interval: config.interval, settle_after: config.settle_after };
        let settings = BatchesSettings { timing, count_since: config.count_since };
        let poller =
            BatchesPoller::restore(Arc::clone(&client), Arc::clone(&storage), Arc::clone(&batch_list), settings)?;
        self.cell.update(|snapshot| {
            snapshot.rightfoots.push(RightfootView {
                account: config.account.clone(),
                checks: Arc::new(poller.view()),
                zero_starts: Arc::new(storage.zero_starts()),
                instruments: Arc::clone(&storage.instruments),
                webhook: config.webhook_secret.as_ref().map(|_| WebhookView::default()),
            });
        });
        self.task(Box::new(poller), config.interval, config.max_age, stored);
        if let Some(task) = self.tasks.last_mut() {
            task.wake = Arc::clone(&wake);
        }
        self.secrets.push(WatchedSecret {
            variable: "RIGHTFOOT_API_KEY_FILE".to_owned(),
            secret: config.key.clone(),
            wakes: vec![wake],
            on_change: Box::new(move || client.credential().resume()),
        });
        for (variable, secret) in [
            ("RIGHTFOOT_WEBHOOK_SECRET_FILE", &config.webhook_secret),
            ("RIGHTFOOT_WEBHOOK_OLD_SECRET_FILE", &config.old_webhook_secret),
        ] {
            let Some(secret) = secret else { continue };
            self.secrets.push(WatchedSecret {
                variable: variable.to_owned(),
                secret: secret.clone(),
                wakes: Vec::new(),
                on_change: Box::new(|| {}),
            });
        }
        Ok(batch_list)
    }
}
