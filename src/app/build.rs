//! A configuration becomes stores, clients, polls and a first snapshot.
//!
//! Invariant: nothing is fetched here; what an earlier life knew is on the board before anybody can ask.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{AppError, Surroundings};
use crate::clock::SharedClock;
use crate::config::secret::Secret;
use crate::config::{BatchData as WalletConfig, Config, Faults, Rightfoot as RightfootConfig};
use crate::domain::batches::Pace;
use crate::poll::balance::{self, BalancePoller};
use crate::poll::batches::{BatchesPoller, BatchesSettings};
use crate::poll::cards::CardsPoller;
use crate::poll::consumption::ConsumptionPoller;
use crate::poll::keeper::Keeper;
use crate::poll::roster::Roster;
use crate::poll::schedule::Schedule;
use crate::poll::source::{Poller, Runner, Wake};
use crate::poll::watch::{Watch, WatchedSecret};
use crate::snapshot::{Board, RequestLog, RightfootView, Snapshot, SourceView, WalletView, WebhookView};
use crate::store::{Store, StoredSource};
use crate::vendor::{BatchData, ClientSettings, Operation, Rightfoot, Source, Vendor};

/// A source, ready to run.
pub(super) struct Task {
    pub(super) poller: Box<dyn Poller>,
    pub(super) runner: Runner,
    pub(super) wake: Wake,
}

/// Everything, wired, not yet running.
pub struct App {
    /// Where snapshots hang.
    pub board: Arc<Board>,
    /// The store.
    pub store: Arc<Store>,
    pub(super) clock: SharedClock,
    pub(super) tasks: Vec<Task>,
    pub(super) keepers: Vec<Arc<Keeper>>,
    pub(super) roster: Option<(Arc<Roster>, Option<Secret>)>,
    pub(super) watch: Arc<Watch>,
}

impl App {
    /// Opens the storage and wires everything.
    ///
    /// # Errors
    /// See [`AppError`].
    pub fn build(config: &Config, around: &Surroundings) -> Result<App, AppError> {
        let clock = Arc::clone(&around.clock);
        let (store, moved) = Store::open(config.process.storage.as_deref(), clock.now())?;
        if let Some(moved) = moved {
            tracing::error!(
                moved_to = %moved.to.display(),
                error = moved.because,
                "the ledger was damaged and has been moved aside: counting starts from zero"
            );
        }
        let mut snapshot = Snapshot::new(clock.now(), store.is_durable());
        snapshot.warnings = config.warnings();
        for warning in &snapshot.warnings {
            tracing::warn!("{warning}");
        }
        let mut builder = Builder {
            around,
            store: Arc::new(store),
            board: Arc::new(Board::new(snapshot)),
            hold: config.process.start_at_zero,
            tasks: Vec::new(),
            keepers: Vec::new(),
            secrets: Vec::new(),
            faults: Faults::default(),
        };
        if let Some(wallet) = &config.batchdata {
            builder.wallet(wallet)?;
        }
        let roster = match &config.rightfoot {
            Some(account) => Some((builder.rightfoot(account)?, account.webhook_secret.clone())),
            None => None,
        };
        if !builder.faults.is_empty() {
            return Err(builder.faults.into());
        }
        let watch = Arc::new(Watch::new(builder.secrets, roster.as_ref().map(|(roster, _)| Arc::clone(roster))));
        Ok(App {
            board: builder.board,
            store: builder.store,
            clock,
            tasks: builder.tasks,
            keepers: builder.keepers,
            roster,
            watch,
        })
    }
}

struct Builder<'a> {
    around: &'a Surroundings,
    store: Arc<Store>,
    board: Arc<Board>,
    hold: std::time::Duration,
    tasks: Vec<Task>,
    keepers: Vec<Arc<Keeper>>,
    secrets: Vec<WatchedSecret>,
    faults: Faults,
}

impl Builder<'_> {
    fn keeper(&mut self, vendor: Vendor, account: &str) -> Result<Arc<Keeper>, AppError> {
        let clock = Arc::clone(&self.around.clock);
        let (board, store) = (Arc::clone(&self.board), Arc::clone(&self.store));
        let keeper = Arc::new(Keeper::new(clock, board, store, (vendor, account), self.hold)?);
        self.keepers.push(Arc::clone(&keeper));
        Ok(keeper)
    }

    fn settings(&self, base_url: &url::Url, secret: &Secret, budget: u32, log: &Arc<RequestLog>) -> ClientSettings {
        ClientSettings {
            base_url: base_url.clone(),
            secret: secret.clone(),
            requests_per_minute: budget,
            clock: Arc::clone(&self.around.clock),
            limits: self.around.limits,
            observer: Arc::clone(log) as Arc<dyn crate::vendor::Observe>,
            extra_roots: self.around.extra_roots.clone(),
        }
    }

    /// Series that exist before anything is counted are born with the storage.
    fn bear(&self, keeper: &Keeper, keys: impl IntoIterator<Item = String>) -> Result<(), AppError> {
        let rows = keeper.newborn(keys);
        self.store.bear(keeper.account, &rows)?;
        keeper.born(&rows);
        Ok(())
    }

    fn task(
        &mut self,
        poller: Box<dyn Poller>,
        interval: std::time::Duration,
        max_age: std::time::Duration,
        stored: Option<StoredSource>,
    ) -> Wake {
        let (account, source) = (poller.account().to_owned(), poller.source());
        let view = SourceView::new(&account, source, interval, max_age, stored.map(|stored| stored.last_success));
        self.board.update(|snapshot| snapshot.sources.push(view));
        let random = match self.around.seed {
            // Each source needs chances of its own even where they are to repeat.
            Some(seed) => fastrand::Rng::with_seed(seed.wrapping_add(self.tasks.len() as u64)),
            None => fastrand::Rng::new(),
        };
        let schedule = Schedule::new(interval, random);
        let runner = Runner { clock: Arc::clone(&self.around.clock), board: Arc::clone(&self.board), schedule };
        let wake = Wake::default();
        self.tasks.push(Task { poller, runner, wake: Arc::clone(&wake) });
        wake
    }

    fn wallet(&mut self, config: &WalletConfig) -> Result<(), AppError> {
        let keeper = self.keeper(Vendor::BatchData, &config.account)?;
        let enabled = |source| config.sources.iter().any(|(enabled, _)| *enabled == source);
        let mut stored = |source| -> Result<Option<StoredSource>, AppError> {
            let stored = self.store.source(keeper.account, source)?;
            if source != Source::Balance {
                let configured = config.count_since.map(|day| day.to_string());
                let kept = stored.as_ref().map(|stored| stored.configured_since.as_deref());
                self.faults.check_since("BATCHDATA_COUNT_SINCE", configured.as_deref(), kept);
            }
            Ok(stored)
        };
        let (balance, consumption, cards) =
            (stored(Source::Balance)?, stored(Source::Consumption)?, stored(Source::CardTransactions)?);
        let log = Arc::new(RequestLog::of(config.sources.iter().map(|(source, _)| source.operation())));
        let settings = self.settings(&config.base_url, &config.token, config.requests_per_minute, &log);
        let client = BatchData::new(settings);
        let client = Arc::new(client.map_err(|source| AppError::Client { variable: "BATCHDATA_BASE_URL", source })?);
        if enabled(Source::Consumption) {
            self.bear(&keeper, ConsumptionPoller::known_series())?;
        }
        let last = balance.as_ref().and_then(|stored| balance::restored(stored.answer.as_deref()?));
        self.board.update(|snapshot| {
            snapshot.wallets.push(WalletView {
                account: config.account.clone(),
                warning_balance: config.warning_balance,
                critical_balance: config.critical_balance,
                balance: last,
                consumption: None,
                cards: None,
                births: Arc::new(keeper.births()),
                requests: log,
            });
        });
        let mut wakes = Vec::new();
        for (source, interval) in &config.sources {
            let (client, keeper) = (Arc::clone(&client), Arc::clone(&keeper));
            let wake = match source {
                Source::Consumption => {
                    let poller = ConsumptionPoller::restore(client, Arc::clone(&keeper), config.count_since)?;
                    let view = Arc::new(poller.view());
                    self.board.update(|snapshot| {
                        if let Some(wallet) = snapshot.wallet_mut(&config.account) {
                            wallet.consumption = Some(view);
                        }
                    });
                    self.task(Box::new(poller), *interval, config.max_age, consumption.clone())
                }
                Source::CardTransactions => {
                    let poller = CardsPoller::restore(client, Arc::clone(&keeper), config.count_since)?;
                    let view = Arc::new(poller.view());
                    self.board.update(|snapshot| {
                        if let Some(wallet) = snapshot.wallet_mut(&config.account) {
                            wallet.cards = Some(view);
                        }
                    });
                    self.task(Box::new(poller), *interval, config.max_age, cards.clone())
                }
                _ => {
                    let poller = BalancePoller::new(client, keeper);
                    self.task(Box::new(poller), *interval, config.max_age, balance.clone())
                }
            };
            wakes.push(wake);
        }
        self.secrets.push(WatchedSecret {
            variable: "BATCHDATA_API_TOKEN_FILE".to_owned(),
            secret: config.token.clone(),
            wakes,
            on_change: Box::new(move || client.resume()),
        });
        Ok(())
    }

    fn rightfoot(&mut self, config: &RightfootConfig) -> Result<Arc<Roster>, AppError> {
        let keeper = self.keeper(Vendor::Rightfoot, &config.account)?;
        let stored = self.store.source(keeper.account, Source::Batches)?;
        let configured = config.count_since.map(|since: DateTime<Utc>| since.to_rfc3339());
        let kept = stored.as_ref().map(|stored| stored.configured_since.as_deref());
        self.faults.check_since("RIGHTFOOT_COUNT_SINCE", configured.as_deref(), kept);
        let log = Arc::new(RequestLog::of([Operation::BalancesCsv]));
        let settings = self.settings(&config.base_url, &config.key, config.requests_per_minute, &log);
        let client = Rightfoot::new(settings);
        let client = Arc::new(client.map_err(|source| AppError::Client { variable: "RIGHTFOOT_BASE_URL", source })?);
        self.bear(&keeper, BatchesPoller::known_series())?;
        let wake = Wake::default();
        let roster = Arc::new(Roster::new(
            Arc::clone(&keeper),
            Arc::clone(&wake),
            config.batch_ids.clone(),
            config.batch_ids_file.clone(),
        ));
        let pace = Pace { interval: config.interval, settle_after: config.settle_after };
        let settings = BatchesSettings { pace, count_since: config.count_since };
        let poller = BatchesPoller::restore(Arc::clone(&client), Arc::clone(&keeper), Arc::clone(&roster), settings)?;
        self.board.update(|snapshot| {
            snapshot.rightfoots.push(RightfootView {
                account: config.account.clone(),
                checks: Arc::new(poller.view()),
                births: Arc::new(keeper.births()),
                requests: log,
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
            on_change: Box::new(move || client.resume()),
        });
        if let Some(secret) = &config.webhook_secret {
            self.secrets.push(WatchedSecret {
                variable: "RIGHTFOOT_WEBHOOK_SECRET_FILE".to_owned(),
                secret: secret.clone(),
                wakes: Vec::new(),
                on_change: Box::new(|| {}),
            });
        }
        Ok(roster)
    }
}
