//! The service as it runs.
//!
//! Flows in: a wired application. Flows out: answers until it is told to stop, then an orderly end: unready, no more
//! polls, open scrapes finished under a deadline. Invariant: a part that ends unexpectedly ends the process, so that
//! its supervisor can see.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::build::App;
use super::signals::Signals;
use super::{AppError, Config, Dependencies};
use crate::clock::SharedClock;
use crate::config::accounts;
use crate::exposition::{Exposition, Format, Rendered};
use crate::http::{ConnectionLimits, Options, Server, Site, Web, WebhookOptions, WebhookServer};
use crate::instruments::AccountInstruments;
use crate::names::Source;
use crate::poll::file_watcher::FileWatcher;
use crate::poll::source::Wake;
use crate::snapshot::{SnapshotCell, Status};

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The metrics and the page.
    pub web: SocketAddr,
    /// The webhook, if it is open.
    pub webhook: Option<SocketAddr>,
}

/// A service that listens and polls.
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    /// Where snapshots hang.
    pub cell: Arc<SnapshotCell>,
    /// The store.
    pub store: Arc<crate::store::Store>,
    /// What is served at the telemetry path.
    pub exposition: Arc<Exposition>,
    /// The page and the metrics, as the server sees them.
    pub site: Arc<dyn Site>,
    stop: CancellationToken,
    polls: JoinSet<&'static str>,
    servers: JoinSet<()>,
}

struct Shown {
    clock: SharedClock,
    cell: Arc<SnapshotCell>,
    exposition: Arc<Exposition>,
    webs: Vec<Web>,
    watch: Arc<FileWatcher>,
    accounts_file: Option<PathBuf>,
    accounts_at_start: Vec<Vec<u8>>,
    /// By account and source.
    wakes: Vec<(String, Source, Wake)>,
}

impl Shown {
    /// Failing sources are polled at once: what was wrong may just have been put right.
    fn wake_failing(&self) {
        let snapshot = self.cell.current();
        for (account, source, wake) in &self.wakes {
            if snapshot.source(account, *source).is_some_and(|view| view.up == Some(false)) {
                wake.notify_one();
            }
        }
    }
}

impl Site for Shown {
    fn rendered(&self, format: Format) -> Arc<Rendered> {
        self.exposition.rendered(format)
    }

    fn slice(&self, format: Format, names: &[&str]) -> Option<Vec<u8>> {
        self.exposition.slice(format, names)
    }

    fn account_names(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut names: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for account in &self.cell.current().accounts {
            let labels = names.entry(account.name().to_owned()).or_default();
            for (name, value) in account.labels.iter() {
                labels.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        names
    }

    fn accounts(&self) -> Vec<Arc<AccountInstruments>> {
        self.exposition.accounts()
    }

    fn status(&self) -> Status {
        self.cell.current().status(self.clock.moment())
    }

    fn ready(&self) -> bool {
        self.cell.current().is_ready()
    }

    fn reload(&self) -> Result<(), String> {
        let webs = self.webs.iter().filter_map(|web| Some(web.reload().err()?.to_string()));
        let errors: Vec<String> = webs.chain(self.watch.look().err()).collect();
        if let Some(file) = &self.accounts_file
            && accounts::contents(file) != self.accounts_at_start
        {
            tracing::warn!(file = %file.display(), "the accounts file has changed: restart the exporter to apply it");
        }
        let outcome = if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) };
        self.wake_failing();
        let now = self.clock.moment();
        match &outcome {
            Ok(()) => tracing::info!("the configuration was reloaded"),
            Err(error) => {
                tracing::error!(error = error, "the configuration was not reloaded: the previous one stays in use")
            }
        }
        self.cell.update(|snapshot| {
            snapshot.reload.successful = outcome.is_ok();
            if outcome.is_ok() {
                snapshot.reload.last_success = now;
            }
        });
        outcome
    }
}

impl Running {
    /// Opens the addresses, then starts to poll.
    ///
    /// # Errors
    /// See [`AppError`].
    pub async fn start(config: &Config, dependencies: &Dependencies) -> Result<Running, AppError> {
        let mut app = App::build(config, dependencies)?;
        let server = Server::bind(Options {
            listen: config.process.listen.clone(),
            telemetry_path: config.process.telemetry_path.clone(),
            web_config: config.process.web_config.clone(),
            enable_lifecycle: config.process.enable_lifecycle,
            limits: ConnectionLimits::default(),
            drain: dependencies.drain,
        })
        .await?;
        let mut webs = vec![server.web()];
        let webhook = if app.webhooks.is_empty() {
            None
        } else {
            let options = WebhookOptions {
                web_config: config.process.webhook_config.clone(),
                drain: dependencies.drain,
                ..WebhookOptions::new(config.process.webhook_listen.clone())
            };
            let server = WebhookServer::bind(options).await?;
            webs.push(server.web());
            Some(server)
        };
        let warnings: Vec<String> = webs.iter().flat_map(Web::warnings).collect();
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        app.cell.update(|snapshot| snapshot.warnings.extend(warnings));
        let addresses =
            Addresses { web: server.local_addr(), webhook: webhook.as_ref().map(WebhookServer::local_addr) };
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            revision = env!("GIT_REVISION"),
            address = %addresses.web,
            webhook = addresses.webhook.map_or_else(|| "off".to_owned(), |address| address.to_string()),
            storage = config.process.storage.as_deref().map_or_else(|| "none".to_owned(), |path| path.display().to_string()),
            sources = app.tasks.len(),
            "listening"
        );

        let shown = Arc::new(Shown {
            clock: Arc::clone(&app.clock),
            cell: Arc::clone(&app.cell),
            exposition: Arc::clone(&app.exposition),
            webs,
            watch: Arc::clone(&app.watch),
            accounts_file: config.process.config_file.clone(),
            accounts_at_start: config.process.config_file.as_deref().map(accounts::contents).unwrap_or_default(),
            wakes: app
                .tasks
                .iter()
                .map(|task| (task.poller.storage().name.clone(), task.poller.source(), Arc::clone(&task.wake)))
                .collect(),
        });
        let site = shown as Arc<dyn Site>;
        let stop = CancellationToken::new();
        let mut servers = JoinSet::new();
        servers.spawn(server.run(Arc::clone(&site), Arc::clone(&app.process), stop.clone()));
        if let Some(server) = webhook {
            app.cell.update(|snapshot| snapshot.webhook_unmatched = Some(0));
            let cell = Arc::clone(&app.cell);
            let unmatched = move || {
                cell.update(|snapshot| *snapshot.webhook_unmatched.get_or_insert_default() += 1);
            };
            let webhooks = std::mem::take(&mut app.webhooks);
            servers.spawn(server.run(webhooks, Box::new(unmatched), Arc::clone(&app.process), stop.clone()));
        }

        let mut polls = JoinSet::new();
        let until = |stop: &CancellationToken| stop.clone().cancelled_owned();
        let (watch, clock, ended) = (Arc::clone(&app.watch), Arc::clone(&app.clock), until(&stop));
        polls.spawn(async move {
            tokio::select! { () = watch.run(clock) => {} () = ended => {} }
            "the watch on files"
        });
        app.start_polls(&mut polls, &stop);
        Ok(Running {
            addresses,
            cell: app.cell,
            store: app.store,
            exposition: app.exposition,
            site,
            stop,
            polls,
            servers,
        })
    }

    /// Stops when this is cancelled.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs until it is stopped, then shuts down in order.
    ///
    /// # Errors
    /// If a part ended unexpectedly.
    pub async fn run(mut self) -> Result<(), AppError> {
        let ended = tokio::select! {
            () = self.stop.cancelled() => None,
            part = self.polls.join_next() => Some(part.and_then(Result::ok).unwrap_or("a poll")),
            _ = self.servers.join_next() => Some("the server"),
        };
        // A part may end in the moment of the order itself.
        let ended = ended.filter(|_| !self.stop.is_cancelled());
        self.cell.update(|snapshot| snapshot.stopping = true);
        self.stop.cancel();
        while self.polls.join_next().await.is_some() {}
        while self.servers.join_next().await.is_some() {}
        match ended {
            None => {
                tracing::info!("stopped");
                Ok(())
            }
            Some(part) => Err(AppError::Ended(part)),
        }
    }
}

/// Serves until a signal.
///
/// # Errors
/// See [`AppError`].
pub async fn serve(config: &Config, dependencies: &Dependencies) -> Result<(), AppError> {
    let signals = Signals::listen()?;
    let running = Running::start(config, dependencies).await?;
    let site = Arc::clone(&running.site);
    let listening = signals.handle(running.stop_token(), move || {
        let site = Arc::clone(&site);
        tokio::task::spawn_blocking(move || site.reload());
    });
    let outcome = running.run().await;
    listening.abort();
    outcome
}
