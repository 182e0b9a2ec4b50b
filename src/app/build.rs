//! A configuration becomes stores, clients, polls and a first snapshot.

use std::sync::Arc;

use super::config::{ConfiguredAccount, out_of_reach};
use super::{AppError, Config, Dependencies, INTEGRATIONS, SCHEMA};
use crate::clock::SharedClock;
use crate::config::ConfigErrors;
use crate::exposition::Exposition;
use crate::instruments::ProcessInstruments;
use crate::poll::account_storage::AccountStorage;
use crate::poll::builder::{Builder, StartError, Task, Webhook, turn};
use crate::poll::file_watcher::{FileWatcher, Watched};
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::store::{Store, StoreError};
use crate::upstream::RateLimit;

/// Everything, wired, not yet running.
pub struct App {
    /// Where snapshots hang.
    pub cell: Arc<SnapshotCell>,
    /// Shared by all accounts.
    pub store: Arc<Store>,
    /// What is served at the telemetry path.
    pub exposition: Arc<Exposition>,
    pub(super) wiring: Wiring,
    pub(super) accounts: Vec<Prepared>,
}

/// What all accounts share.
#[derive(Clone)]
pub(super) struct Wiring {
    pub(super) config: Config,
    pub(super) dependencies: Dependencies,
    pub(super) clock: SharedClock,
    pub(super) cell: Arc<SnapshotCell>,
    pub(super) store: Arc<Store>,
    pub(super) process: Arc<ProcessInstruments>,
    pub(super) watch: Arc<FileWatcher>,
}

/// An account that can run.
pub(super) struct Prepared {
    pub(super) account: ConfiguredAccount,
    pub(super) tasks: Vec<Task>,
    pub(super) storages: Vec<Arc<AccountStorage>>,
    pub(super) webhooks: Vec<Webhook>,
}

impl Wiring {
    /// Adds an error if the storage has a different count start than is configured.
    ///
    /// # Errors
    /// If the storage cannot be used, or the account is to be served from another.
    pub(super) fn check(&self, account: &ConfiguredAccount, errors: &mut ConfigErrors) -> Result<(), StoreError> {
        let name = account.config.name();
        let id = self.store.account(account.vendor, name)?;
        let Some(line) = &account.base_line else { return Ok(()) };
        let (mut found, mut counts) = (ConfigErrors::default(), false);
        for source in line.sources {
            let stored = self.store.source(id, *source)?;
            counts |= stored.is_some();
            let kept = stored.as_ref().map(|stored| stored.configured_since.as_deref());
            found.check_since(line.variable, Some(&line.since), kept);
        }
        let of_file = self.config.process.config_file.is_some();
        if of_file {
            found.name_account(0, name);
        }
        if let Some(warning) = out_of_reach(line, of_file).filter(|_| !counts) {
            tracing::warn!("{warning}");
        }
        found.iter().for_each(|(name, remedy)| errors.add(name, remedy));
        Ok(())
    }

    /// Wires an account, whose place among all is `turn`, shows it, and watches its files. `rate_limit` is what its credential
    /// has sent before.
    pub(super) fn prepare(
        &self,
        account: &ConfiguredAccount,
        turn: f64,
        rate_limit: Arc<RateLimit>,
    ) -> Result<Prepared, StartError> {
        let start_at_zero = self.config.process.start_at_zero;
        let shared = (Arc::clone(&self.cell), Arc::clone(&self.store), Arc::clone(&self.process));
        let mut builder = Builder::new(&self.dependencies, start_at_zero, shared.0, shared.1, shared.2);
        builder.labels.clone_from(&account.labels);
        (builder.turn, builder.rate_limit) = (turn, rate_limit);
        account.config.start(&mut builder)?;
        if let Some(storage) = builder.storages.first() {
            let account = account.config.name().to_owned();
            let watched = Watched { account, secrets: builder.secrets, files: builder.files };
            self.watch.watch(storage.account, watched);
        }
        Ok(Prepared {
            account: account.clone(),
            tasks: builder.tasks,
            storages: builder.storages,
            webhooks: builder.webhooks,
        })
    }

    /// Wires every account that is configured. All that are served from elsewhere are named.
    fn prepare_all(&self) -> Result<Vec<Prepared>, AppError> {
        let (mut errors, mut elsewhere) = (ConfigErrors::default(), Vec::new());
        let accounts = &self.config.accounts;
        for account in accounts {
            match self.check(account, &mut errors) {
                Err(error @ StoreError::Elsewhere(_)) => elsewhere.push(error.to_string()),
                outcome => outcome.map_err(StartError::from)?,
            }
        }
        if !elsewhere.is_empty() {
            return Err(AppError::Elsewhere(elsewhere));
        }
        if !errors.is_empty() {
            return Err(errors.into());
        }
        let prepare = |(place, account)| self.prepare(account, turn(place, accounts.len()), Arc::default());
        Ok(accounts.iter().enumerate().map(prepare).collect::<Result<_, _>>()?)
    }
}

impl App {
    /// Opens the storage and wires everything.
    ///
    /// # Errors
    /// See [`AppError`].
    pub fn build(config: &Config, dependencies: &Dependencies) -> Result<App, AppError> {
        let clock = Arc::clone(&dependencies.clock);
        let (store, renamed) = Store::open(config.process.storage.as_deref(), clock.now(), SCHEMA)?;
        if let Some(renamed) = renamed {
            tracing::error!(
                renamed_to = %renamed.to.display(),
                error = renamed.because,
                "the ledger was corrupt and has been renamed: counting starts from zero"
            );
        }
        if let Some(error) = store.frozen_because() {
            tracing::error!(error, "the ledger cannot be written: it is served from memory, counters do not increase");
        }
        let mut snapshot = Snapshot::new(clock.moment(), store.is_durable());
        snapshot.shard = config.process.shard;
        snapshot.warnings = config.warnings();
        for warning in &snapshot.warnings {
            tracing::warn!("{warning}");
        }
        let cell = Arc::new(SnapshotCell::new(snapshot));
        let wiring = Wiring {
            config: config.clone(),
            dependencies: dependencies.clone(),
            clock: Arc::clone(&clock),
            cell: Arc::clone(&cell),
            store: Arc::new(store),
            process: Arc::default(),
            watch: Arc::new(FileWatcher::new(cell, dependencies.storage_work)),
        };
        let accounts = wiring.prepare_all()?;
        let of_vendors = INTEGRATIONS.iter().map(|vendor| vendor.write_families).collect();
        let exposition = Exposition::new(clock, Arc::clone(&wiring.cell), Arc::clone(&wiring.process), of_vendors);
        Ok(App {
            cell: Arc::clone(&wiring.cell),
            store: Arc::clone(&wiring.store),
            exposition: Arc::new(exposition),
            wiring,
            accounts,
        })
    }

    /// Every source.
    pub(super) fn tasks(&mut self) -> impl Iterator<Item = &mut Task> {
        self.accounts.iter_mut().flat_map(|account| &mut account.tasks)
    }
}
