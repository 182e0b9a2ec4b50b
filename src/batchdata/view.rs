//! What is known of a wallet.
//!
//! Flows in: what the polls learnt. Flows out: the facts of its account in the snapshot, and
//! figures that are made of several of them. Invariant: a part that was never answered is `None`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use strum::VariantArray as _;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::balance::same_wallet::Seen;
use super::budget::{Budget, BudgetPeriod};
use super::cards::book::{CardKey, CardKind, Costs, Counted, Pending};
use super::consumption::budgets::{BudgetView, PeriodSpend};
use super::consumption::burn::{Burn, Window, runway_seconds};
use super::consumption::periods::Period;
use super::consumption::series::MoneySeries;
use super::reconciliation::Compared;
use super::transactions::ledger::TransactionSeries;
use super::{BALANCE, Balance, CONSUMPTION, CardStatus, Flow};
use crate::clock::{BootTime, Moment};
use crate::counting::amounts::AmountHistogram;
use crate::counting::counter::HighWater;
use crate::money::Usd;
use crate::snapshot::AccountView;

/// The thresholds of a wallet, and what its polls have learnt.
#[derive(Clone, Debug, Default)]
pub struct WalletView {
    /// Threshold of the warning.
    pub warning_balance: Option<Usd>,
    /// Threshold of the critical alert.
    pub critical_balance: Option<Usd>,
    /// What may be spent.
    pub budgets: Arc<[Budget]>,
    /// The last good balance.
    pub balance: Option<Balance>,
    /// The consumption, if that source is enabled.
    pub consumption: Option<Arc<ConsumptionView>>,
    /// The card transactions, if that source is enabled.
    pub cards: Option<Arc<CardsView>>,
    /// The transactions, if that source is enabled.
    pub transactions: Option<Arc<TransactionsView>>,
    /// What comparing balance and consumption has shown.
    pub compared: Option<Compared>,
    /// How late a report may be that is compared with the balance.
    pub report_lag: Duration,
    /// How old values may be that are shown.
    pub max_age: Duration,
    /// Its last balances.
    pub seen: Seen,
    /// Another account that shows the same wallet.
    pub same_as: Option<String>,
}

/// What is known of a wallet's consumption.
#[derive(Clone, Debug, Default)]
pub struct ConsumptionView {
    /// The counters, durable.
    pub counters: Arc<BTreeMap<MoneySeries, HighWater>>,
    /// From when on they count.
    pub count_since: Option<DateTime<Utc>>,
    /// The counters include history that no report has told yet, and do not start at zero: they are not shown.
    pub is_unknown: bool,
    /// Sums over named periods.
    pub periods: Option<Periods>,
    /// Dollars an hour at the last report.
    pub burn: Burn,
    /// Distinct origins that were counted under `other`.
    pub overflowing_origins: u64,
    /// Distinct paths that were counted under `other`.
    pub overflowing_paths: u64,
}

/// How fast a wallet is spent by one window, and how long it lasts.
#[derive(Clone, Copy, Debug)]
pub struct BurnView {
    /// How far back it looks.
    pub window: Window,
    /// Dollars an hour.
    pub burn: Option<Decimal>,
    /// Seconds from the poll of the balance until it is used up, and when that poll was.
    pub runway: Option<(Decimal, Moment)>,
}

/// Sums over named periods. They hold for one UTC day.
#[derive(Clone, Debug)]
pub struct Periods {
    /// Until the vendor's midnight.
    pub valid_until: BootTime,
    /// The sums that are known.
    pub sums: Vec<(Period, Flow)>,
    /// What was spent in the running periods.
    pub running: Vec<(BudgetPeriod, PeriodSpend)>,
    /// What was spent of budgets.
    pub budgets: Vec<BudgetView>,
}

impl Periods {
    /// What was spent in a period, if that is known.
    #[must_use]
    pub fn debit(&self, period: Period) -> Option<Usd> {
        self.sums.iter().find(|(found, _)| *found == period).map(|(_, sum)| sum.debit)
    }
}

/// What is known of a wallet's card transactions.
#[derive(Clone, Debug, Default)]
pub struct CardsView {
    /// Whether a listing has been taken.
    pub listed: bool,
    /// Events and credits, durable.
    pub counted: BTreeMap<CardKey, Counted>,
    /// Costs by brand, durable.
    pub costs: BTreeMap<Arc<str>, Costs>,
    /// Transactions that have not ended.
    pub pending: Vec<Pending>,
    /// The newest transactions.
    pub latest: BTreeMap<(CardKind, CardStatus), DateTime<Utc>>,
    /// Distinct brands that were counted under `other`.
    pub overflowing_brands: u64,
}

/// What is known of a wallet's transactions, durable.
#[derive(Clone, Debug, Default)]
pub struct TransactionsView {
    /// How many there are, by type and endpoint.
    pub counters: BTreeMap<TransactionSeries, HighWater<i64>>,
    /// What debits cost, by endpoint.
    pub amounts: BTreeMap<Arc<str>, AmountHistogram>,
    /// Distinct endpoints that were counted under `other`.
    pub overflowing_endpoints: u64,
}

impl WalletView {
    /// Burn, if the last report is young enough, and runway in seconds from the balance's poll.
    #[must_use]
    pub fn burn(&self, account: &AccountView, now: BootTime) -> Vec<BurnView> {
        let consumption = self.consumption.as_deref().filter(|_| account.fresh(CONSUMPTION, now).is_some());
        let polled = account.fresh(BALANCE, now).and_then(|source| source.last_success);
        let balance = self.balance.zip(polled);
        let view = |window| {
            let burn = consumption.and_then(|view| view.burn.get(&window)).copied();
            let runway = balance.and_then(|(balance, polled)| Some((runway_seconds(balance.amount, burn)?, polled)));
            BurnView { window, burn, runway }
        };
        Window::VARIANTS.iter().copied().map(view).collect()
    }

    /// Sums over periods, if the last report is young enough and of this day.
    #[must_use]
    pub fn periods(&self, account: &AccountView, now: BootTime) -> Option<&Periods> {
        account.fresh(CONSUMPTION, now)?;
        self.consumption.as_ref()?.periods.as_ref().filter(|periods| now < periods.valid_until)
    }

    /// The budgets; what is spent is absent where the last report is too old or of another day.
    #[must_use]
    pub fn budgets(&self, account: &AccountView, now: BootTime) -> Vec<BudgetView> {
        match self.periods(account, now) {
            Some(periods) => periods.budgets.clone(),
            None => {
                let unknown = |budget: &Budget| BudgetView { budget: budget.clone(), period: PeriodSpend::default() };
                self.budgets.iter().map(unknown).collect()
            }
        }
    }

    /// What the wallet holds more than the report explains.
    ///
    /// # Errors
    /// Why it is unknown.
    pub fn unreconciled(&self, account: &AccountView, now: BootTime) -> Result<Usd, String> {
        if account.source(BALANCE).and(account.source(CONSUMPTION)).is_none() {
            return Err("it needs the sources balance and consumption".to_owned());
        }
        if account.fresh(BALANCE, now).and(account.fresh(CONSUMPTION, now)).is_none() {
            return Err("the balance or the report is missing or too old".to_owned());
        }
        let compared = self.compared.as_ref().zip(self.compared_until());
        let (compared, until) = compared.ok_or_else(|| {
            let lag = in_words(self.report_lag);
            format!("the balance must first be polled for {lag}, at least every five minutes")
        })?;
        if now >= until {
            let age = in_words(self.max_age + self.report_lag);
            return Err(format!(
                "no report was compared for {age}: the balance must be polled at least every five minutes"
            ));
        }
        Ok(compared.unreconciled())
    }

    /// Until when the last comparison is shown: after a gap in the polls of the balance, none is made for as long as a
    /// report may be late.
    pub(super) fn compared_until(&self) -> Option<BootTime> {
        Some(self.compared.as_ref()?.report?.boot + (self.max_age + self.report_lag))
    }
}

/// A duration of whole hours, minutes or seconds.
fn in_words(duration: Duration) -> String {
    match duration.as_secs() {
        3_600 => "an hour".to_owned(),
        seconds if seconds >= 3_600 && seconds.is_multiple_of(3_600) => format!("{} hours", seconds / 3_600),
        60 => "a minute".to_owned(),
        seconds if seconds >= 60 && seconds.is_multiple_of(60) => format!("{} minutes", seconds / 60),
        1 => "a second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}
