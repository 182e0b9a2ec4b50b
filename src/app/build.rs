//! A configuration becomes stores, clients, polls and a first snapshot.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{AppError, Config, Dependencies, INTEGRATIONS, SCHEMA};
use crate::clock::SharedClock;
use crate::exposition::Exposition;
use crate::instruments::ProcessInstruments;
use crate::poll::account_storage::AccountStorage;
use crate::poll::builder::{Builder, Task, Webhook};
use crate::poll::file_watcher::FileWatcher;
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::store::Store;

/// Everything, wired, not yet running.
pub struct App {
    /// Where snapshots hang.
    pub cell: Arc<SnapshotCell>,
    /// The store.
    pub store: Arc<Store>,
    /// What is served at the telemetry path.
    pub exposition: Arc<Exposition>,
    /// Webhooks of the accounts.
    pub webhooks: Vec<Webhook>,
    pub(super) process: Arc<ProcessInstruments>,
    pub(super) clock: SharedClock,
    pub(super) tasks: Vec<Task>,
    pub(super) storages: Vec<Arc<AccountStorage>>,
    pub(super) watch: Arc<FileWatcher>,
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
            tracing::error!(error, "the ledger cannot be written: it is served from memory and counters stand still");
        }
        let mut snapshot = Snapshot::new(clock.moment(), store.is_durable());
        snapshot.warnings = config.warnings();
        for warning in &snapshot.warnings {
            tracing::warn!("{warning}");
        }
        let (cell, store) = (Arc::new(SnapshotCell::new(snapshot)), Arc::new(store));
        let mut builder =
            Builder::new(dependencies, config.process.start_at_zero, Arc::clone(&cell), Arc::clone(&store));
        for account in &config.accounts {
            builder.labels.clone_from(&account.labels);
            let errors = builder.errors.iter().count();
            account.config.start(&mut builder)?;
            if config.process.config_file.is_some() {
                builder.errors.name_account(errors, account.config.name());
            }
        }
        if !builder.errors.is_empty() {
            return Err(builder.errors.into());
        }
        let of_vendors = INTEGRATIONS.iter().map(|vendor| vendor.write_families).collect();
        let process = Arc::clone(&builder.process);
        let exposition = Exposition::new(Arc::clone(&clock), Arc::clone(&cell), Arc::clone(&process), of_vendors);
        Ok(App {
            cell,
            store,
            exposition: Arc::new(exposition),
            webhooks: builder.webhooks,
            process,
            clock,
            tasks: builder.tasks,
            storages: builder.storages,
            watch: Arc::new(FileWatcher::new(builder.secrets, builder.files)),
        })
    }

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

    /// Reads the files again that a running exporter watches.
    ///
    /// # Errors
    /// The names of the variables whose files cannot be used.
    pub fn read_files(&self) -> Result<(), String> {
        self.watch.look()
    }
}
