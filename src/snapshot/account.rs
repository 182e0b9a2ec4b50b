//! An account of a vendor.
//!
//! Flows in: the ends of polls, and what they learnt. Flows out: how its sources stand, and the vendor's own [`Facts`].
//! Invariant: this room knows no vendor; large parts are shared, so that a new snapshot costs little.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::source::SourceView;
use super::status::{AccountStatus, Details};
use crate::clock::{BootTime, Moment};
use crate::counting::zero_start::{ZeroStarts, dated};
use crate::instruments::account::AccountInstruments;
use crate::money::Usd;
use crate::names::{Source, Vendor};

/// What is known of an account beside its sources, in its vendor's own terms.
pub trait Facts: Any + fmt::Debug + Send + Sync {
    /// What the page and `/api/v1/status` show of it.
    fn details(&self, account: &AccountView, now: Moment) -> Details;
    /// Distinct label values that were counted under `other`, by metric.
    fn overflow(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
    /// The next moment after `now` at which something in it ends that no source's age ends, such as a day.
    fn expires(&self, now: BootTime) -> Option<BootTime> {
        let _ = now;
        None
    }
    /// What is left, of an account that is paid in advance.
    fn prepaid(&self) -> Option<Prepaid> {
        None
    }
}

/// The money of an account that is paid in advance.
#[derive(Clone, Copy, Debug)]
pub struct Prepaid {
    /// The source that polls the balance.
    pub source: Source,
    /// The last good balance, however old.
    pub balance: Option<Usd>,
}

/// Why it cannot be told which account is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountError {
    /// There is no such account.
    Unknown,
    /// None is named, and there are several.
    Several,
}

impl AccountError {
    /// The only one of those that are meant.
    ///
    /// # Errors
    /// If there is none, or another.
    pub fn unless_one<T>(mut meant: impl Iterator<Item = T>) -> Result<T, AccountError> {
        let first = meant.next().ok_or(AccountError::Unknown)?;
        if meant.next().is_some() { Err(AccountError::Several) } else { Ok(first) }
    }
}

/// What is known of an account and its sources.
#[derive(Clone, Debug)]
pub struct AccountView {
    /// Its sources, enabled ones only.
    pub sources: Vec<SourceView>,
    /// Which of its series still show zero.
    pub zero_starts: Arc<ZeroStarts>,
    /// What this process did for it.
    pub instruments: Arc<AccountInstruments>,
    /// What its operator says of it.
    pub labels: Arc<BTreeMap<String, String>>,
    facts: Arc<dyn Facts>,
}

impl AccountView {
    /// An account without sources.
    #[must_use]
    pub fn new(
        instruments: Arc<AccountInstruments>,
        labels: BTreeMap<String, String>,
        zero_starts: Arc<ZeroStarts>,
        facts: impl Facts,
    ) -> AccountView {
        let (labels, facts) = (Arc::new(labels), Arc::new(facts));
        AccountView { sources: Vec::new(), zero_starts, instruments, labels, facts }
    }

    /// Whose it is.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        self.instruments.vendor
    }

    /// The label `account`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.instruments.account
    }

    /// A source, if it is enabled.
    #[must_use]
    pub fn source(&self, source: Source) -> Option<&SourceView> {
        self.sources.iter().find(|view| view.source == source)
    }

    /// A source whose last good values are young enough to be shown.
    #[must_use]
    pub fn fresh(&self, source: Source, now: BootTime) -> Option<&SourceView> {
        self.source(source).filter(|view| view.is_fresh(now))
    }

    /// Whether a source's counters may be shown: not before a poll has restored what an old storage lacks.
    #[must_use]
    pub fn is_counted(&self, source: Source) -> bool {
        self.source(source).is_none_or(|view| !view.stale_at_start)
    }

    /// What a series shows of its value, which is zero at first, and from when on it counts.
    #[must_use]
    pub fn shown<V: Default>(&self, key: &str, value: V, now: Moment) -> (V, Option<DateTime<Utc>>) {
        let (value, start) = self.zero_starts.shown(key, value);
        (value, start.map(|start| dated(start, now)))
    }

    /// The vendor's facts, if they are of this type.
    #[must_use]
    pub fn facts<F: Facts>(&self) -> Option<&F> {
        let facts: &dyn Any = self.facts.as_ref();
        facts.downcast_ref()
    }

    /// Changes the vendor's facts, if they are of this type.
    pub fn update_facts<F: Facts + Clone>(&mut self, change: impl FnOnce(&mut F)) {
        if let Some(mut facts) = self.facts::<F>().cloned() {
            change(&mut facts);
            self.facts = Arc::new(facts);
        }
    }

    /// What is left, if it is paid in advance.
    #[must_use]
    pub fn prepaid(&self) -> Option<Prepaid> {
        self.facts.prepaid()
    }

    /// Distinct label values that were counted under `other`, by metric.
    #[must_use]
    pub fn overflow(&self) -> Vec<(&'static str, u64)> {
        self.facts.overflow()
    }

    /// The next moment after `now` at which something in it ends.
    #[must_use]
    pub fn expires(&self, now: BootTime) -> Option<BootTime> {
        let ages = self.sources.iter().filter_map(SourceView::expires);
        ages.chain(self.facts.expires(now)).filter(|moment| *moment > now).min()
    }

    /// The vendor's clock minus this machine's, where `Date` headers have shown it.
    #[must_use]
    pub fn clock_skew(&self, now: Moment) -> Option<TimeDelta> {
        let clocks = self.sources.iter().filter_map(|view| view.vendor_clock);
        let clock = clocks.max_by_key(|clock| clock.boot)?;
        Some(clock.wall + now.boot.minus(clock.boot) - now.wall)
    }

    /// What the page and `/api/v1/status` show.
    #[must_use]
    pub fn status(&self, now: Moment) -> AccountStatus {
        AccountStatus {
            vendor: self.vendor().name.to_owned(),
            title: self.vendor().title.to_owned(),
            account: self.name().to_owned(),
            details: self.facts.details(self, now),
            sources: self.sources.iter().map(|view| view.status(now)).collect(),
        }
    }
}
