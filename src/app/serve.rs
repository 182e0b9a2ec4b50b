//! The service as it runs.
//!
//! Flows in: a wired application. Flows out: answers until it is told to stop, then an orderly end: unready, no more
//! polls, open scrapes finished under a deadline. Invariant: a part that ends unexpectedly ends the process, so that
//! its supervisor can see.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::build::App;
use super::signals::Signals;
use super::supervisor::Supervisor;
use super::{AppError, Config, Dependencies};
use crate::clock::SharedClock;
use crate::exposition::{Exposition, Format, Rendered};
use crate::http::{ConnectionLimits, Options, ServeError, Server, Site, Web, WebhookOptions, WebhookServer};
use crate::poll::attempts::PollOutcome;
use crate::snapshot::{AccountError, AccountView, Gate, GateQuestion, SnapshotCell, Status};

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
    /// Shared by all accounts.
    pub store: Arc<crate::store::Store>,
    /// What is served at the telemetry path.
    pub exposition: Arc<Exposition>,
    /// The page and the metrics, as the server sees them.
    pub site: Arc<dyn Site>,
    stop: CancellationToken,
    supervisor: Arc<Supervisor>,
    ended: mpsc::UnboundedReceiver<&'static str>,
    servers: JoinSet<()>,
}

struct Shown {
    clock: SharedClock,
    cell: Arc<SnapshotCell>,
    exposition: Arc<Exposition>,
    webs: Vec<Web>,
    supervisor: Arc<Supervisor>,
    reloading: Mutex<()>,
}

impl Shown {
    /// Failing sources are polled at once: what was wrong may just have been put right.
    fn wake_failing(&self) {
        let snapshot = self.cell.current();
        for polled in self.supervisor.sources() {
            if snapshot.source(&polled.account, polled.source).is_some_and(|view| view.up == Some(false)) {
                polled.wake.wake();
            }
        }
    }
}

#[async_trait]
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

    fn gathered(&self, format: Format) -> Vec<u8> {
        self.exposition.gathered(format)
    }

    fn status(&self) -> Status {
        self.cell.current().status(self.clock.moment())
    }

    fn gate(&self, question: &GateQuestion) -> Result<Gate, AccountError> {
        self.cell.current().gate(question, self.clock.boot())
    }

    fn ready(&self) -> bool {
        self.cell.current().is_ready()
    }

    fn reload(&self) -> Result<(), String> {
        // One after the other, so that the last one's outcome is what is shown.
        let _reloading = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let webs = self.webs.iter().filter_map(|web| Some(web.reload().err()?.to_string()));
        let mut errors: Vec<String> = webs.collect();
        let warnings = self.webs.iter().flat_map(Web::warnings);
        // On a thread that may block.
        let accounts = Handle::current().block_on(self.supervisor.reload(warnings));
        errors.extend(accounts.err().map(|errors| errors.to_string()));
        // Only of accounts that are still there.
        errors.extend(self.supervisor.read_files().err());
        let outcome = if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) };
        self.wake_failing();
        let now = self.clock.moment();
        match &outcome {
            Ok(()) => tracing::info!("the configuration was reloaded"),
            Err(error) => {
                let error = in_one_line(error);
                tracing::error!(error, "reload failed: parts with errors keep their previous configuration")
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

    async fn poll(&self, account: Option<&str>, source: &str) -> Result<PollOutcome, AccountError> {
        // By what is shown: while a reload changes an account, it is not polled for a moment.
        let shown = |account: Option<&str>| {
            let current = self.cell.current();
            let has = |view: &&Arc<AccountView>| view.sources.iter().any(|view| view.source.name == source);
            let meant = |view: &&Arc<AccountView>| account.is_none_or(|account| view.name() == account);
            let found = AccountError::unless_one(current.accounts.iter().filter(meant).filter(has));
            found.map(|view| view.name().to_owned())
        };
        let account = shown(account)?;
        let sources = self.supervisor.sources();
        let polled = sources.iter().find(|polled| polled.source.name == source && polled.account == account);
        let outcome = match polled {
            Some(polled) => polled.wake.poll_now(&polled.rate_limit, self.clock.as_ref()).await,
            // It is polled as soon as it has changed.
            None => PollOutcome::Pending,
        };
        // A reload may have removed the account meanwhile.
        if matches!(outcome, PollOutcome::Pending) { shown(Some(&account)).map(|_| outcome) } else { Ok(outcome) }
    }
}

impl Running {
    /// Opens the addresses, then starts to poll.
    ///
    /// # Errors
    /// See [`AppError`].
    pub async fn start(config: &Config, dependencies: &Dependencies) -> Result<Running, AppError> {
        // First, so that a start which is refused makes no storage.
        let (server, webhook) = listen(config, dependencies).await?;
        let app = App::build(config, dependencies)?;
        let webs: Vec<Web> = [server.web()].into_iter().chain(webhook.as_ref().map(WebhookServer::web)).collect();
        let warnings: Vec<String> = webs.iter().flat_map(Web::warnings).collect();
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        app.cell.update(|snapshot| snapshot.warnings.extend(warnings));
        let addresses =
            Addresses { web: server.local_addr(), webhook: webhook.as_ref().map(WebhookServer::local_addr) };
        log_start(config, &addresses, &app);

        let stop = CancellationToken::new();
        let (clock, process) = (Arc::clone(&app.wiring.clock), Arc::clone(&app.wiring.process));
        let (cell, store, exposition) = (Arc::clone(&app.cell), Arc::clone(&app.store), Arc::clone(&app.exposition));
        let (supervisor, ended) = Supervisor::start(app, stop.clone());
        supervisor.watch_files();
        let site: Arc<dyn Site> = Arc::new(Shown {
            clock,
            cell: Arc::clone(&cell),
            exposition: Arc::clone(&exposition),
            webs,
            supervisor: Arc::clone(&supervisor),
            reloading: Mutex::default(),
        });
        let mut servers = JoinSet::new();
        servers.spawn(server.run(Arc::clone(&site), Arc::clone(&process), stop.clone()));
        if let Some(server) = webhook {
            cell.update(|snapshot| snapshot.webhook_unmatched = Some(0));
            let cell = Arc::clone(&cell);
            let unmatched = move || cell.update(|snapshot| *snapshot.webhook_unmatched.get_or_insert_default() += 1);
            servers.spawn(server.run(supervisor.webhooks(), Box::new(unmatched), process, stop.clone()));
        }
        Ok(Running { addresses, cell, store, exposition, site, stop, supervisor, ended, servers })
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
            part = self.ended.recv() => part,
            _ = self.servers.join_next() => Some("the server"),
        };
        // A part may end in the moment of the order itself.
        let ended = ended.filter(|_| !self.stop.is_cancelled());
        self.cell.update(|snapshot| snapshot.stopping = true);
        self.stop.cancel();
        self.supervisor.ended().await;
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

/// A list of errors as the log has it, whose lines hold no line end.
fn in_one_line(errors: &str) -> String {
    let mut lines = errors.lines().map(str::trim);
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |line, next| {
        let between = if line.ends_with(':') { " " } else { "; " };
        line + between + next
    })
}

/// Says of an address that is in use what to do.
fn taken(error: ServeError, flag: &'static str) -> AppError {
    match error {
        ServeError::Bind(error) if error.source.kind() == ErrorKind::AddrInUse => {
            AppError::Taken { address: error.address, flag }
        }
        error => error.into(),
    }
}

/// Opens the addresses: the one of the metrics, and the webhook's if an account has one.
async fn listen(config: &Config, dependencies: &Dependencies) -> Result<(Server, Option<WebhookServer>), AppError> {
    let server = Server::bind(Options {
        listen: config.process.listen.clone(),
        telemetry_path: config.process.telemetry_path.clone(),
        web_config: config.process.web_config.clone(),
        enable_lifecycle: config.process.enable_lifecycle,
        limits: ConnectionLimits::default(),
        drain: dependencies.drain,
    });
    let server = server.await.map_err(|error| taken(error, "--web.listen-address"))?;
    if !config.accounts.iter().any(|account| account.config.opens_webhook()) {
        return Ok((server, None));
    }
    let webhook = WebhookServer::bind(webhook_options(config, dependencies)).await;
    Ok((server, Some(webhook.map_err(|error| taken(error, "--webhook.listen-address"))?)))
}

fn webhook_options(config: &Config, dependencies: &Dependencies) -> WebhookOptions {
    WebhookOptions {
        web_config: config.process.webhook_config.clone(),
        drain: dependencies.drain,
        ..WebhookOptions::new(config.process.webhook_listen.clone())
    }
}

fn log_start(config: &Config, addresses: &Addresses, app: &App) {
    let storage = config.process.storage.as_deref();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        revision = env!("GIT_REVISION"),
        address = %addresses.web,
        webhook = addresses.webhook.map_or_else(|| "off".to_owned(), |address| address.to_string()),
        storage = storage.map_or_else(|| "none".to_owned(), |path| path.display().to_string()),
        sources = app.accounts.iter().map(|account| account.tasks.len()).sum::<usize>(),
        "listening"
    );
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
