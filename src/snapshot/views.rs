//! The parts of a snapshot.
//!
//! Invariant: large parts are shared, so that a new snapshot costs little; a part that was never answered is `None`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::source::SourceView;
use crate::clock::{BootTime, Moment};
use crate::domain::batches::BatchState;
use crate::domain::burn::{Burn, Window, runway_seconds};
use crate::domain::cards::{CardKey, CardKind, Costs, Counted, Pending};
use crate::domain::checks::CheckTotals;
use crate::domain::consumption::Series;
use crate::domain::counter::HighWater;
use crate::domain::periods::Period;
use crate::domain::tally::StatusCounts;
use crate::domain::zero_start::ZeroStarts;
use crate::instruments::Account;
use crate::money::Usd;
use crate::store::AccountId;
use crate::vendor::{Balance, CardStatus, Flow, Source, Vendor};

/// Everything that is known.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the process started.
    pub started_at: Moment,
    /// Every source, enabled ones only.
    pub sources: Vec<SourceView>,
    /// BatchData accounts.
    pub wallets: Vec<WalletView>,
    /// Rightfoot accounts.
    pub rightfoots: Vec<RightfootView>,
    /// The ledger on disk.
    pub storage: StorageView,
    /// The last reload.
    pub reload: ReloadView,
    /// Requests to the webhook with a wrong secret.
    pub webhook_unmatched: u64,
    /// Things that a person should look at.
    pub warnings: Vec<String>,
    /// A shutdown is under way.
    pub stopping: bool,
}

/// The storage.
#[derive(Clone, Debug)]
pub struct StorageView {
    /// Whether anything is kept on disk.
    pub durable: bool,
    /// The kinds of work of which the last failed, by account.
    pub failing: BTreeSet<(AccountId, &'static str)>,
    /// What the last failed write said.
    pub last_error: Option<String>,
}

impl StorageView {
    /// Whether the last work of each kind succeeded.
    #[must_use]
    pub fn up(&self) -> bool {
        self.failing.is_empty()
    }
}

/// The last reload.
#[derive(Clone, Copy, Debug)]
pub struct ReloadView {
    /// Whether it succeeded.
    pub successful: bool,
    /// When one last succeeded; the start counts as one.
    pub last_success: Moment,
}

/// A BatchData account.
#[derive(Clone, Debug)]
pub struct WalletView {
    /// The label `account`.
    pub account: String,
    /// Threshold of the warning.
    pub warning_balance: Option<Usd>,
    /// Threshold of the critical alert.
    pub critical_balance: Option<Usd>,
    /// The last good balance.
    pub balance: Option<Balance>,
    /// The consumption, if that source is enabled.
    pub consumption: Option<Arc<ConsumptionView>>,
    /// The card transactions, if that source is enabled.
    pub cards: Option<Arc<CardsView>>,
    /// Which of the account's series still show zero.
    pub zero_starts: Arc<ZeroStarts>,
    /// What this process did for the account.
    pub instruments: Arc<Account>,
}

/// What is known of a wallet's consumption.
#[derive(Clone, Debug, Default)]
pub struct ConsumptionView {
    /// The counters, durable.
    pub counters: BTreeMap<Series, HighWater>,
    /// From when on they count.
    pub count_since: Option<DateTime<Utc>>,
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
    /// The window.
    pub window: Window,
    /// Dollars an hour.
    pub burn: Option<Decimal>,
    /// Seconds from the poll of the balance until it is used up, and when that poll was.
    pub runway: Option<(Decimal, Moment)>,
}

/// Sums over named periods. They hold for one UTC day.
#[derive(Clone, Debug)]
pub struct Periods {
    /// The vendor's day that they were made on.
    pub day: NaiveDate,
    /// Until the vendor's midnight.
    pub valid_until: BootTime,
    /// The sums that are known.
    pub sums: Vec<(Period, Flow)>,
}

/// What is known of a wallet's card transactions.
#[derive(Clone, Debug, Default)]
pub struct CardsView {
    /// Whether a listing has been taken.
    pub listed: bool,
    /// Events and credits, durable.
    pub counted: BTreeMap<CardKey, Counted>,
    /// Costs by brand, durable.
    pub costs: BTreeMap<String, Costs>,
    /// What is pending.
    pub pending: Vec<Pending>,
    /// The newest transactions.
    pub latest: BTreeMap<(CardKind, CardStatus), DateTime<Utc>>,
    /// From when on they are counted.
    pub count_since: Option<DateTime<Utc>>,
    /// Distinct brands that were counted under `other`.
    pub overflowing_brands: u64,
}

/// A Rightfoot account.
#[derive(Clone, Debug)]
pub struct RightfootView {
    /// The label `account`.
    pub account: String,
    /// The batches.
    pub checks: Arc<ChecksView>,
    /// Which of the account's series still show zero.
    pub zero_starts: Arc<ZeroStarts>,
    /// What this process did for the account.
    pub instruments: Arc<Account>,
    /// The webhook, if it is open.
    pub webhook: Option<WebhookView>,
}

/// A batch with series of its own: id, results, newest result.
pub type NewestBatch = (Uuid, Arc<StatusCounts>, DateTime<Utc>);

/// What is known of an account's batches.
#[derive(Clone, Debug, Default)]
pub struct ChecksView {
    /// Sums over settled batches, durable.
    pub totals: CheckTotals,
    /// From when on rows are counted.
    pub count_since: Option<DateTime<Utc>>,
    /// Rows of batches that have not settled.
    pub open_rows: StatusCounts,
    /// Batches by state.
    pub states: BTreeMap<BatchState, u64>,
    /// The batches with the newest results.
    pub newest: Vec<NewestBatch>,
    /// When the oldest batch that has not settled was first seen.
    pub oldest_open: Option<Moment>,
    /// Those that a person should look at, oldest first.
    pub needing_attention: Vec<(Uuid, BatchState, Moment)>,
}

/// Webhook events of this run.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebhookView {
    /// New and durable.
    pub accepted: u64,
    /// Seen before.
    pub duplicate: u64,
    /// Of another type, or beyond what is taken.
    pub ignored: u64,
    /// Not understood.
    pub malformed: u64,
}

impl Snapshot {
    /// A snapshot with nothing enabled.
    #[must_use]
    pub fn new(started_at: Moment, durable: bool) -> Snapshot {
        Snapshot {
            started_at,
            sources: Vec::new(),
            wallets: Vec::new(),
            rightfoots: Vec::new(),
            storage: StorageView { durable, failing: BTreeSet::new(), last_error: None },
            reload: ReloadView { successful: true, last_success: started_at },
            webhook_unmatched: 0,
            warnings: Vec::new(),
            stopping: false,
        }
    }

    /// The source of an account, if it is enabled.
    #[must_use]
    pub fn source(&self, account: &str, source: Source) -> Option<&SourceView> {
        self.sources.iter().find(|view| view.source == source && view.account == account)
    }

    /// The same, to change it.
    pub fn source_mut(&mut self, account: &str, source: Source) -> Option<&mut SourceView> {
        self.sources.iter_mut().find(|view| view.source == source && view.account == account)
    }

    /// A wallet's burn, if its last report is young enough, and its runway in seconds from the balance's poll.
    #[must_use]
    pub fn burn(&self, wallet: &WalletView, now: BootTime) -> Vec<BurnView> {
        let fresh = |source| self.source(&wallet.account, source).filter(|source| source.is_fresh(now));
        let consumption = wallet.consumption.as_deref().filter(|_| fresh(Source::Consumption).is_some());
        let polled = fresh(Source::Balance).and_then(|source| source.last_success);
        let balance = wallet.balance.zip(polled);
        let view = |window| {
            let burn = consumption.and_then(|view| view.burn.get(&window)).copied();
            let runway = balance.and_then(|(balance, polled)| Some((runway_seconds(balance.amount, burn)?, polled)));
            BurnView { window, burn, runway }
        };
        Window::ALL.into_iter().map(view).collect()
    }

    /// The wallet of an account, to change it.
    pub fn wallet_mut(&mut self, account: &str) -> Option<&mut WalletView> {
        self.wallets.iter_mut().find(|view| view.account == account)
    }

    /// The Rightfoot account, to change it.
    pub fn rightfoot_mut(&mut self, account: &str) -> Option<&mut RightfootView> {
        self.rightfoots.iter_mut().find(|view| view.account == account)
    }

    /// The zero-initialised series of an account, to change them.
    pub fn zero_starts_mut(&mut self, vendor: Vendor, account: &str) -> Option<&mut Arc<ZeroStarts>> {
        match vendor {
            Vendor::BatchData => self.wallet_mut(account).map(|view| &mut view.zero_starts),
            Vendor::Rightfoot => self.rightfoot_mut(account).map(|view| &mut view.zero_starts),
        }
    }

    /// The instruments of each account.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        let wallets = self.wallets.iter().map(|view| &view.instruments);
        wallets.chain(self.rightfoots.iter().map(|view| &view.instruments))
    }

    /// Whether every enabled source has finished one attempt or was restored, and no shutdown is under way.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.stopping && self.sources.iter().all(SourceView::is_settled)
    }
}
