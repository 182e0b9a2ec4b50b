//! What the rest of the program asks of a wallet: it becomes a client, a storage and polls.

use std::sync::Arc;

use super::balance::poll::{self, BalancePoller};
use super::cards::poll::CardsPoller;
use super::consumption::poll::ConsumptionPoller;
use super::reconciliation::SharedReconciliation;
use super::reconciliation::rule::NEAR;
use super::transactions::poll::TransactionsPoller;
use super::{BALANCE, CARD_TRANSACTIONS, CONSUMPTION, Client, Config, TRANSACTIONS, VENDOR, WalletReport, WalletView};
use crate::config::secret::Secret;
use crate::integration::AccountConfig;
use crate::names::Source;
use crate::poll::account_storage::AccountStorage;
use crate::poll::attempts::Wake;
use crate::poll::builder::{Builder, RestoredSource, StartError};
use crate::poll::file_watcher::WatchedSecret;
use crate::poll::source::{Poller, SourceSettings};

impl AccountConfig for Config {
    fn name(&self) -> &str {
        &self.account
    }

    fn credential(&self) -> &Secret {
        &self.token
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.token]
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.warning_balance.is_none() && self.critical_balance.is_none() {
            let words = "no balance threshold is set: the alerts on a low balance stay silent until \
                         BATCHDATA_WARNING_BALANCE_USD or BATCHDATA_CRITICAL_BALANCE_USD is set";
            warnings.push(words.to_owned());
        }
        let interval =
            |wanted| self.sources.iter().find(|(report, _)| *report == wanted).map(|(_, interval)| *interval);
        if interval(WalletReport::Balance).is_some_and(|interval| interval > NEAR)
            && interval(WalletReport::Consumption).is_some()
        {
            let words = "BATCHDATA_BALANCE_INTERVAL is longer than 5m: the balance cannot be compared with the \
                         consumption report";
            warnings.push(words.to_owned());
        }
        warnings
    }

    fn start(&self, builder: &mut Builder<'_>) -> Result<(), StartError> {
        start(self, builder)
    }
}

fn start(config: &Config, builder: &mut Builder<'_>) -> Result<(), StartError> {
    let storage = builder.storage(VENDOR, &config.account, config.sources.iter().map(|(report, _)| report.source()))?;
    let enabled = |report| config.sources.iter().any(|(enabled, _)| *enabled == report);
    let (has_balance, has_consumption) = (enabled(WalletReport::Balance), enabled(WalletReport::Consumption));
    let stored = |source: Source| builder.store.source(storage.account, source);
    let (balance, consumption, cards) = (stored(BALANCE)?, stored(CONSUMPTION)?, stored(CARD_TRANSACTIONS)?);
    let transactions = stored(TRANSACTIONS)?;
    let client = client(config, builder, &storage, has_consumption || enabled(WalletReport::Transactions))?;
    if has_consumption {
        builder.create_series(&storage, CONSUMPTION, ConsumptionPoller::known_series())?;
    }
    let reconciliation = reconciliation(&storage, builder, has_balance && has_consumption)?;
    let mut wallet = WalletView {
        warning_balance: config.warning_balance,
        critical_balance: config.critical_balance,
        budgets: Arc::clone(&config.budgets),
        report_lag: builder.report_lag(),
        max_age: config.max_age,
        compared: reconciliation.as_ref().and_then(|shared| shared.lock().compared().cloned()),
        balance: balance.as_ref().and_then(|stored| poll::restored(stored.answer.as_deref()?)),
        ..WalletView::default()
    };
    let mut sources = Vec::new();
    for (report, interval) in &config.sources {
        let (client, storage, since) = (Arc::clone(&client), Arc::clone(&storage), config.count_since);
        let (poller, stored): (Box<dyn Poller>, _) = match report {
            WalletReport::Balance => {
                (Box::new(BalancePoller::new(client, storage, reconciliation.clone())), balance.clone())
            }
            WalletReport::Consumption => {
                let stale = builder.is_stale(consumption.as_ref(), config.max_age);
                let poller = ConsumptionPoller::restore(client, storage, reconciliation.clone(), config, stale)?;
                wallet.consumption = Some(Arc::new(poller.view()));
                (Box::new(poller), consumption.clone())
            }
            WalletReport::CardTransactions => {
                let stale = builder.is_stale(cards.as_ref(), config.max_age);
                let poller = CardsPoller::restore(client, storage, since, stale)?;
                wallet.cards = Some(Arc::new(poller.view()));
                (Box::new(poller), cards.clone())
            }
            WalletReport::Transactions => {
                let poller = TransactionsPoller::restore(client, storage, config, *interval)?;
                wallet.transactions = Some(Arc::new(poller.view()));
                let stale = builder.is_stale(transactions.as_ref(), poller.paced().max_age);
                (Box::new(poller.stale(stale)), transactions.clone())
            }
        };
        let settings = SourceSettings { interval: *interval, max_age: config.max_age };
        sources.push(RestoredSource { poller, settings, stored, wake: Wake::default() });
    }
    let wakes = sources.iter().map(|source| Arc::clone(&source.wake)).collect();
    builder.show(&storage, wallet, sources);
    watch(config, builder, client, wakes);
    Ok(())
}

fn client(
    config: &Config,
    builder: &Builder<'_>,
    storage: &AccountStorage,
    asked_for_days: bool,
) -> Result<Arc<Client>, StartError> {
    let settings = builder.client_settings(&config.base_url, &config.token, config.requests_per_minute, storage);
    let client = Client::new(settings, asked_for_days);
    Ok(Arc::new(client.map_err(|source| StartError::Client { variable: "BATCHDATA_BASE_URL", source })?))
}

/// A token that changes ends the pause of the one before.
fn watch(config: &Config, builder: &mut Builder<'_>, client: Arc<Client>, wakes: Vec<Wake>) {
    builder.secrets.push(WatchedSecret {
        variable: "BATCHDATA_API_TOKEN_FILE".to_owned(),
        secret: config.token.clone(),
        wakes,
        on_change: Box::new(move || client.credential().resume()),
    });
}

/// What compares balance and report, if both are polled, as the previous run left it.
fn reconciliation(
    storage: &AccountStorage,
    builder: &Builder<'_>,
    both: bool,
) -> Result<Option<SharedReconciliation>, StartError> {
    if !both {
        return Ok(None);
    }
    let (now, boot_id) = (storage.clock.moment(), storage.clock.boot_id());
    let stored = storage.store().reconciliation(storage.account, builder.report_lag(), now, &boot_id)?;
    Ok(Some(SharedReconciliation::new(stored)))
}
