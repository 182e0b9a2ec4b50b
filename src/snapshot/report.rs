//! A snapshot as the page and `/api/v1/status` show it.

use chrono::TimeDelta;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::source::SourceView;
use super::status::{
    AccountStatus, BatchStatus, BatchesStatus, BurnStatus, FailureStatus, SourceState, SourceStatus, Status,
    StorageStatus, WalletStatus,
};
use super::views::{BurnView, ChecksView, Snapshot, WalletView};
use crate::clock::Moment;
use crate::domain::batches::BatchState;
use crate::domain::periods::Period;
use crate::vendor::{Source, Vendor};

/// A smaller difference between clocks is not worth a warning.
const NOTABLE_SKEW: TimeDelta = TimeDelta::minutes(1);

impl Snapshot {
    /// The whole state at `now`.
    #[must_use]
    pub fn status(&self, now: Moment) -> Status {
        let wallets = self.wallets.iter().map(|wallet| AccountStatus {
            vendor: Vendor::BatchData.as_str().to_owned(),
            account: wallet.account.clone(),
            count_since: wallet.consumption.as_ref().and_then(|view| view.count_since),
            wallet: Some(self.wallet_status(wallet, now)),
            batches: None,
            sources: self.source_statuses(&wallet.account, Vendor::BatchData, now),
        });
        let rightfoots = self.rightfoots.iter().map(|view| AccountStatus {
            vendor: Vendor::Rightfoot.as_str().to_owned(),
            account: view.account.clone(),
            count_since: view.checks.count_since,
            wallet: None,
            batches: Some(batches_status(&view.checks, now)),
            sources: self.source_statuses(&view.account, Vendor::Rightfoot, now),
        });
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
            accounts: wallets.chain(rightfoots).collect(),
            warnings: self.warnings.iter().cloned().chain(self.clock_warnings(now)).collect(),
        }
    }

    /// What is to be said about the clocks, once for each credential.
    fn clock_warnings(&self, now: Moment) -> Vec<String> {
        let mut warnings = Vec::new();
        for (account, vendor, skew) in self.clock_skews(now) {
            let skew = skew.num_seconds();
            if skew.abs() > NOTABLE_SKEW.num_seconds() {
                let direction = if skew > 0 { "ahead of" } else { "behind" };
                let seconds = skew.abs();
                warnings.push(format!(
                    "the clock of {} (account {account}) is {seconds} s {direction} this machine's: days follow the \
                     vendor's; check this machine's clock",
                    vendor.title()
                ));
            }
        }
        for view in self.sources.iter().filter(|view| view.up == Some(true) && view.vendor_clock.is_none()) {
            // A pass of batches with nothing due has asked nothing.
            if view.source != Source::Batches {
                warnings.push(format!(
                    "{} {} (account {}) is answered without a Date header: days follow this machine's clock",
                    view.source.vendor().title(),
                    view.source.as_str(),
                    view.account
                ));
            }
        }
        warnings
    }

    /// The vendors' clocks minus this machine's, where `Date` headers have shown them.
    pub(crate) fn clock_skews(&self, now: Moment) -> Vec<(&str, Vendor, TimeDelta)> {
        let mut skews: Vec<(&str, Vendor, Moment)> = Vec::new();
        for view in &self.sources {
            let Some(clock) = view.vendor_clock else { continue };
            let (account, vendor) = (view.account.as_str(), view.source.vendor());
            match skews.iter_mut().find(|(name, of, _)| *name == account && *of == vendor) {
                Some((_, _, known)) if known.boot >= clock.boot => {}
                Some((_, _, known)) => *known = clock,
                None => skews.push((account, vendor, clock)),
            }
        }
        let skew = |clock: Moment| clock.wall + now.boot.minus(clock.boot) - now.wall;
        skews.into_iter().map(|(account, vendor, clock)| (account, vendor, skew(clock))).collect()
    }

    fn wallet_status(&self, wallet: &WalletView, now: Moment) -> WalletStatus {
        let fresh = self.source(&wallet.account, Source::Balance).is_some_and(|source| source.is_fresh(now.boot));
        let balance = wallet.balance.filter(|_| fresh);
        let reported =
            self.source(&wallet.account, Source::Consumption).is_some_and(|source| source.is_fresh(now.boot));
        let periods = wallet.consumption.as_ref().filter(|_| reported).and_then(|view| view.periods.as_ref());
        let periods = periods.filter(|periods| now.boot < periods.valid_until);
        let spend = |period| {
            let (_, sum) = periods?.sums.iter().find(|(found, _)| *found == period)?;
            Some(sum.debit.to_string())
        };
        WalletStatus {
            spend_today_usd: spend(Period::Today),
            spend_yesterday_usd: spend(Period::Yesterday),
            balance_usd: balance.map(|balance| balance.amount.to_string()),
            balance_as_of: balance.map(|balance| balance.as_of),
            warning_balance_usd: wallet.warning_balance.map(|amount| amount.to_string()),
            critical_balance_usd: wallet.critical_balance.map(|amount| amount.to_string()),
            burn: self.burn(wallet, now.boot).iter().map(|view| burn_status(view, now)).collect(),
        }
    }

    fn source_statuses(&self, account: &str, vendor: Vendor, now: Moment) -> Vec<SourceStatus> {
        let mine = |view: &&SourceView| view.account == account && view.source.vendor() == vendor;
        self.sources.iter().filter(mine).map(|view| source_status(view, now)).collect()
    }
}

fn burn_status(view: &BurnView, now: Moment) -> BurnStatus {
    let seconds = view.runway.and_then(|(runway, _)| runway.to_f64());
    let empty_at = view.runway.and_then(|(runway, polled)| {
        let runway = TimeDelta::try_milliseconds((runway * Decimal::ONE_THOUSAND).to_i64()?)?;
        polled.by_clock_of(now).checked_add_signed(runway)
    });
    BurnStatus {
        window: view.window.as_str().to_owned(),
        usd_per_hour: view.burn.map(|burn| burn.normalize().to_string()),
        runway_seconds: seconds,
        empty_at,
    }
}

fn source_status(view: &SourceView, now: Moment) -> SourceStatus {
    let state = match view.up {
        None => SourceState::Waiting,
        Some(true) => SourceState::Ok,
        Some(false) if view.last_success.is_some() && !view.is_fresh(now.boot) => SourceState::Stale,
        Some(false) => SourceState::Failing,
    };
    SourceStatus {
        source: view.source.as_str().to_owned(),
        state,
        last_success: view.last_success.map(|at| at.by_clock_of(now)),
        last_attempt: view.last_attempt.map(|at| at.by_clock_of(now)),
        next_attempt: view.next_attempt.map(|at| at.by_clock_of(now)),
        paused_until: view.paused.filter(|until| *until > now.boot).map(|until| now.at_boot(until).wall),
        interval_seconds: view.interval.as_secs_f64(),
        max_age_seconds: view.max_age.as_secs_f64(),
        consecutive_failures: view.consecutive_failures,
        last_failure: view.last_failure.as_ref().map(|failure| FailureStatus {
            at: failure.at.by_clock_of(now),
            reason: failure.reason.as_str().to_owned(),
            message: failure.message.clone(),
            advice: failure.advice.clone(),
        }),
    }
}

fn batches_status(view: &ChecksView, now: Moment) -> BatchesStatus {
    let count = |state| view.states.get(&state).copied().unwrap_or_default();
    let needing_attention = view.needing_attention.iter().map(|(id, state, first_seen)| BatchStatus {
        batch_id: id.to_string(),
        state: state.as_str().to_owned(),
        first_seen: first_seen.by_clock_of(now),
        advice: state.advice().to_owned(),
    });
    BatchesStatus {
        open: count(BatchState::Open),
        failing: count(BatchState::Failing),
        unavailable: count(BatchState::Unavailable),
        abandoned: count(BatchState::Abandoned),
        settled: count(BatchState::Settled),
        needing_attention: needing_attention.collect(),
    }
}
