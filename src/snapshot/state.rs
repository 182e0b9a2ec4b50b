//! Everything that is known at one moment.
//!
//! Flows in: updates from the polls. Flows out: one immutable [`Snapshot`] after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;

use super::account::{AccountView, Facts};
use super::source::SourceView;
use super::status::{Status, StorageStatus};
use crate::clock::{BootTime, Moment};
use crate::config::Shard;
use crate::names::{Source, Vendor};
use crate::store::AccountId;

/// A smaller difference between clocks is not worth a warning.
const NOTABLE_SKEW: TimeDelta = TimeDelta::minutes(1);

/// A warning about more accounts than this names the first ones.
const MOST_NAMES: usize = 10;

/// Everything that is known.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the process started.
    pub started_at: Moment,
    /// Every account.
    pub accounts: Vec<Arc<AccountView>>,
    /// The ledger on disk.
    pub storage: StorageView,
    /// The last reload.
    pub reload: ReloadView,
    /// Requests to the webhook with a wrong secret; `None` while it is closed.
    pub webhook_unmatched: Option<u64>,
    /// Things that a person should look at.
    pub warnings: Vec<String>,
    /// What to say of files that cannot be used any more, by account and variable.
    pub unusable_files: BTreeMap<(AccountId, String), String>,
    /// It was ready before accounts were added: a new account does not make the others unready.
    pub was_ready: bool,
    /// Which of the configured accounts are here; `None`: all.
    pub shard: Option<Shard>,
    /// A shutdown is under way.
    pub stopping: bool,
}

/// Whether work on the storage succeeds.
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

impl Snapshot {
    /// A snapshot with nothing enabled.
    #[must_use]
    pub fn new(started_at: Moment, durable: bool) -> Snapshot {
        Snapshot {
            started_at,
            accounts: Vec::new(),
            storage: StorageView { durable, failing: BTreeSet::new(), last_error: None },
            reload: ReloadView { successful: true, last_success: started_at },
            webhook_unmatched: None,
            warnings: Vec::new(),
            unusable_files: BTreeMap::new(),
            was_ready: false,
            shard: None,
            stopping: false,
        }
    }

    /// An account, if it is there.
    #[must_use]
    pub fn account(&self, vendor: Vendor, name: &str) -> Option<&AccountView> {
        // The names first: they differ, and cost less.
        self.accounts.iter().map(Arc::as_ref).find(|view| view.name() == name && view.vendor() == vendor)
    }

    /// The same, to change it.
    pub fn account_mut(&mut self, vendor: Vendor, name: &str) -> Option<&mut AccountView> {
        let mut accounts = self.accounts.iter_mut();
        accounts.find(|view| view.name() == name && view.vendor() == vendor).map(Arc::make_mut)
    }

    /// The accounts whose facts are of this type.
    pub fn with_facts<F: Facts>(&self) -> impl Iterator<Item = (&AccountView, &F)> + Clone {
        self.accounts.iter().filter_map(|view| Some((view.as_ref(), view.facts::<F>()?)))
    }

    /// The source of an account, if it is enabled.
    #[must_use]
    pub fn source(&self, account: &str, source: Source) -> Option<&SourceView> {
        self.account(source.vendor, account)?.source(source)
    }

    /// Every source of every account.
    pub fn sources(&self) -> impl Iterator<Item = &SourceView> {
        self.accounts.iter().flat_map(|view| &view.sources)
    }

    /// Whether every enabled source has finished one attempt or was restored, and no shutdown is under way.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.stopping && (self.was_ready || self.sources().all(SourceView::is_settled))
    }

    /// The next moment after `now` at which something in it ends.
    #[must_use]
    pub fn expires(&self, now: BootTime) -> Option<BootTime> {
        self.accounts.iter().filter_map(|view| view.expires(now)).min()
    }

    /// What the page and `/api/v1/status` show.
    #[must_use]
    pub fn status(&self, now: Moment) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: env!("GIT_REVISION").to_owned(),
            started_at: self.started_at.by_clock_of(now),
            now: now.wall,
            ready: self.is_ready(),
            storage: StorageStatus {
                durable: self.storage.durable,
                up: self.storage.up(),
                last_error: self.storage.last_error.clone(),
            },
            accounts: self.accounts.iter().map(|view| view.status(now)).collect(),
            warnings: self
                .warnings
                .iter()
                .chain(self.unusable_files.values())
                .cloned()
                .chain(self.clock_warnings(now))
                .collect(),
        }
    }

    /// What is to be said about the clocks, once for all accounts of which it holds.
    fn clock_warnings(&self, now: Moment) -> Vec<String> {
        let mut skewed: BTreeMap<(&str, &str), (i64, Vec<&str>)> = BTreeMap::new();
        let mut undated: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for view in &self.accounts {
            let skew = view.clock_skew(now).map_or(0, |skew| skew.num_seconds());
            if skew.abs() > NOTABLE_SKEW.num_seconds() {
                let direction = if skew > 0 { "ahead of" } else { "behind" };
                let (most, names) = skewed.entry((view.vendor().title, direction)).or_default();
                *most = skew.abs().max(*most);
                names.push(view.name());
            }
            let answered = |source: &&SourceView| source.up == Some(true) && source.vendor_clock.is_none();
            // A pass with nothing to ask for has seen no header.
            let asked = |source: &&SourceView| view.instruments.requests(source.source.operation) > 0;
            for source in view.sources.iter().filter(answered).filter(asked) {
                undated.entry((view.vendor().title, source.source.name)).or_default().push(view.name());
            }
        }
        let skewed = skewed.into_iter().map(|((title, direction), (most, names))| {
            let most = if names.len() > 1 { format!("up to {most}") } else { most.to_string() };
            let names = listed(&names);
            format!(
                "the clock of {title} ({names}) is {most} s {direction} this machine's: days follow the vendor's; check \
                 this machine's clock"
            )
        });
        let undated = undated.into_iter().map(|((title, source), names)| {
            let names = listed(&names);
            format!("{title} {source} ({names}) is answered without a Date header: days follow this machine's clock")
        });
        skewed.chain(undated).collect()
    }
}

/// The first names of accounts, and how many there are more.
fn listed(names: &[&str]) -> String {
    let noun = if names.len() > 1 { "accounts" } else { "account" };
    let (first, more) = names.split_at(names.len().min(MOST_NAMES));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{noun} {}{more}", first.join(", "))
}
