//! The accounts that are polled, which may change while the program runs.
//!
//! Flows in: prepared accounts, and the accounts file as it is now. Flows out: polls that start and stop. Invariants: a
//! change of one account touches no other; a part that ends although nobody told it to is reported, so that the process
//! can end; an account is stopped before it is started again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::build::{App, Prepared, Wiring};
use super::config::{ConfiguredAccount, Reread};
use crate::config::ConfigErrors;
use crate::http::Webhooks;
use crate::names::Source;
use crate::poll::account_storage::AccountStorage;
use crate::poll::attempts::Wake;
use crate::poll::builder::{Task, Webhook, turn};
use crate::store::AccountId;
use crate::upstream::RateLimit;

/// A source that is polled.
#[derive(Clone)]
pub struct Polled {
    /// The label `account`.
    pub account: String,
    /// Which one.
    pub source: Source,
    /// Asks for an attempt.
    pub wake: Wake,
    /// The credential's.
    pub rate_limit: Arc<RateLimit>,
}

impl Polled {
    fn of(task: &Task) -> Polled {
        Polled {
            account: task.poller.storage().name.clone(),
            source: task.poller.source(),
            wake: Arc::clone(&task.wake),
            rate_limit: task.poller.credential().rate_limit(),
        }
    }
}

struct PolledAccount {
    account: ConfiguredAccount,
    storages: Vec<Arc<AccountStorage>>,
    sources: Vec<Polled>,
    webhooks: Vec<Webhook>,
    stop: CancellationToken,
    parts: TaskTracker,
}

/// Starts and stops accounts.
pub struct Supervisor {
    wiring: Wiring,
    accounts: Mutex<Vec<PolledAccount>>,
    webhooks: Webhooks,
    /// Whether the webhook's address was opened at the start.
    opens_webhook: bool,
    parts: TaskTracker,
    stop: CancellationToken,
    ended: mpsc::UnboundedSender<&'static str>,
}

/// Reports a part that ends, by a panic too, although nobody told it to.
struct Guard {
    part: &'static str,
    stop: CancellationToken,
    ended: mpsc::UnboundedSender<&'static str>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            // Nobody listens any more once the process ends.
            let _ = self.ended.send(self.part);
        }
    }
}

impl Supervisor {
    /// Starts all accounts. What is received are parts that have ended unexpectedly.
    #[must_use]
    pub fn start(app: App, stop: CancellationToken) -> (Arc<Supervisor>, mpsc::UnboundedReceiver<&'static str>) {
        let (ended, receiver) = mpsc::unbounded_channel();
        let supervisor = Supervisor {
            wiring: app.wiring,
            accounts: Mutex::default(),
            webhooks: Arc::new(ArcSwap::default()),
            opens_webhook: app.accounts.iter().any(|account| !account.webhooks.is_empty()),
            parts: TaskTracker::new(),
            stop,
            ended,
        };
        let count = app.accounts.len();
        app.accounts.into_iter().enumerate().for_each(|(place, account)| supervisor.run(account, turn(place, count)));
        (Arc::new(supervisor), receiver)
    }

    /// Watches the files of all accounts until the end.
    pub fn watch_files(&self) {
        let (watch, clock) = (Arc::clone(&self.wiring.watch), Arc::clone(&self.wiring.clock));
        self.spawn("the watch on files", &self.parts, &self.stop, async move { watch.run(clock).await });
    }

    /// The webhooks of the accounts that are there.
    #[must_use]
    pub fn webhooks(&self) -> Webhooks {
        Arc::clone(&self.webhooks)
    }

    /// Every source that is polled.
    #[must_use]
    pub fn sources(&self) -> Vec<Polled> {
        self.lock().iter().flat_map(|running| running.sources.clone()).collect()
    }

    /// Reads the files of the accounts again.
    ///
    /// # Errors
    /// The names of the variables whose files cannot be used.
    pub fn read_files(&self) -> Result<(), String> {
        self.wiring.watch.look()
    }

    /// Completes when all parts have ended, after they were told to.
    pub async fn ended(&self) {
        self.parts.close();
        self.parts.wait().await;
    }

    /// Reads the accounts file again, if there is one, and makes the accounts what it says; not twice at once. `warnings`
    /// are shown beside those about accounts.
    ///
    /// # Errors
    /// Why some accounts are as they were.
    pub async fn reload(&self, warnings: impl IntoIterator<Item = String>) -> Result<(), ConfigErrors> {
        if self.wiring.config.process.config_file.is_none() {
            return Ok(());
        }
        let present: Vec<ConfiguredAccount> = self.lock().iter().map(|running| running.account.clone()).collect();
        if self.wiring.cell.current().is_ready() {
            self.wiring.cell.update(|snapshot| snapshot.was_ready = true);
        }
        // An account may change its name, and its credential keeps the pause.
        let limits = self.rate_limits();
        let Reread { accounts, mut errors } = self.wiring.config.reread(&present, self.wiring.clock.now());
        for gone in present.iter().filter(|present| !accounts.iter().any(|account| account.is(present))) {
            let storages = self.end(gone).await;
            self.hide(gone, &storages);
            let (vendor, account) = (gone.vendor.name, gone.config.name());
            tracing::info!(vendor, account, "the account was removed: its series end, its ledger stays");
        }
        self.publish_webhooks();
        let same = |account: &ConfiguredAccount| present.iter().any(|present| present.is_unchanged(account));
        let (mut started, count) = (0, accounts.iter().filter(|account| !same(account)).count());
        let frozen = self.wiring.store.is_frozen();
        let writable = if count == 0 || frozen { Ok(()) } else { self.wiring.store.probe() };
        if let Err(error) = &writable {
            errors.add("storage", format!("{error}; accounts that are new or have changed wait for the next reload"));
        }
        let can_begin = |account, errors: &mut _| writable.is_ok() && self.can_begin(account, errors);
        for (place, account) in accounts.iter().enumerate() {
            let turns = (turn(place, accounts.len()), turn(started, count));
            started += usize::from(!same(account));
            let (vendor, name) = (account.vendor.name, account.config.name());
            match present.iter().find(|present| present.is(account)) {
                Some(before) if before.is_unchanged(account) => self.moved(account),
                // Where it could not be started again, it goes on as it is.
                Some(before) if can_begin(account, &mut errors) => {
                    let storages = self.end(before).await;
                    if self.begin(account, turns, &limits, &mut errors) {
                        tracing::info!(vendor, account = name, "the account has changed");
                    } else if !self.begin(before, turns, &limits, &mut errors) {
                        self.hide(before, &storages);
                    }
                }
                None if can_begin(account, &mut errors) && self.begin(account, turns, &limits, &mut errors) => {
                    tracing::info!(vendor, account = name, "the account was added");
                }
                _ => {}
            }
        }
        self.publish_webhooks();
        let mut all = self.wiring.config.warnings_of(&accounts);
        all.extend(warnings);
        if !self.opens_webhook && !self.webhooks.load().is_empty() {
            all.push(
                "the webhook's address opens with the next restart: no account had a webhook secret before".to_owned(),
            );
        }
        all.extend(errors.iter().map(|(name, remedy)| format!("not reloaded: {name}: {remedy}")));
        self.wiring.cell.update(|snapshot| snapshot.warnings = all);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Whether the storage lets an account start. If not, an error says why.
    fn can_begin(&self, account: &ConfiguredAccount, errors: &mut ConfigErrors) -> bool {
        let before = errors.iter().count();
        if let Err(error) = self.wiring.check(account, errors) {
            errors.add(account.config.name(), error.to_string());
        }
        errors.iter().count() == before
    }

    /// What was sent with each credential, by its value.
    fn rate_limits(&self) -> HashMap<String, Arc<RateLimit>> {
        let of = |running: &PolledAccount| {
            let limit = Arc::clone(&running.sources.first()?.rate_limit);
            Some((running.account.config.credential().current().expose_secret().to_owned(), limit))
        };
        self.lock().iter().filter_map(of).collect()
    }

    /// Prepares and runs an account, whose turn is at these shares of a day and of its first interval; whether that worked.
    fn begin(
        &self,
        account: &ConfiguredAccount,
        (turn, first): (f64, f64),
        limits: &HashMap<String, Arc<RateLimit>>,
        errors: &mut ConfigErrors,
    ) -> bool {
        let limit = limits.get(account.config.credential().current().expose_secret()).cloned();
        match self.wiring.prepare(account, turn, limit.unwrap_or_default()) {
            Ok(prepared) => {
                self.run(prepared, first);
                true
            }
            Err(error) => {
                errors.add(account.config.name(), error.to_string());
                self.hide(account, &[]);
                false
            }
        }
    }

    /// Polls an account, at first after this share of an interval.
    fn run(&self, prepared: Prepared, first: f64) {
        let Prepared { account, tasks, storages, webhooks } = prepared;
        let (stop, parts) = (self.stop.child_token(), TaskTracker::new());
        let running = PolledAccount {
            account,
            storages: storages.clone(),
            sources: tasks.iter().map(Polled::of).collect(),
            webhooks,
            stop: stop.clone(),
            parts: parts.clone(),
        };
        for storage in storages {
            self.spawn("the storage", &parts, &stop, async move { storage.end_zero_starts().await });
        }
        for Task { poller, runner, wake } in tasks {
            self.spawn("a poll", &parts, &stop, runner.run(poller, wake, first));
        }
        self.lock().push(running);
        self.publish_webhooks();
    }

    /// Stops an account. It is shown, and its webhook open, until it is hidden or started again.
    async fn end(&self, account: &ConfiguredAccount) -> Vec<Arc<AccountStorage>> {
        let running = {
            let mut accounts = self.lock();
            let place = accounts.iter().position(|running| running.account.is(account));
            place.map(|place| accounts.remove(place))
        };
        let Some(running) = running else { return Vec::new() };
        running.stop.cancel();
        running.parts.close();
        running.parts.wait().await;
        for storage in &running.storages {
            storage.close().await;
        }
        running.storages
    }

    fn hide(&self, account: &ConfiguredAccount, storages: &[Arc<AccountStorage>]) {
        let ids: Vec<AccountId> = storages.iter().map(|storage| storage.account).collect();
        ids.iter().for_each(|id| self.wiring.watch.forget(*id));
        self.wiring.cell.update(|snapshot| {
            snapshot.accounts.retain(|view| view.vendor() != account.vendor || view.name() != account.config.name());
            snapshot.storage.failing.retain(|(id, _)| !ids.contains(id));
        });
    }

    /// The account is as it was, perhaps in another file.
    fn moved(&self, account: &ConfiguredAccount) {
        if let Some(running) = self.lock().iter_mut().find(|running| running.account.is(account)) {
            running.account.file.clone_from(&account.file);
        }
    }

    fn publish_webhooks(&self) {
        let webhooks = self.lock().iter().flat_map(|running| running.webhooks.clone()).collect();
        self.webhooks.store(Arc::new(webhooks));
    }

    fn spawn(
        &self,
        part: &'static str,
        of_account: &TaskTracker,
        stop: &CancellationToken,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let guard = Guard { part, stop: stop.clone(), ended: self.ended.clone() };
        let until = stop.clone();
        let work = of_account.track_future(async move {
            let _guard = guard;
            tokio::select! { biased; () = until.cancelled() => {} () = work => {} }
        });
        self.parts.spawn(work);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<PolledAccount>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
