//! The consumption report.
//!
//! Flows in: the days that can still change, once a day all days in reach. Flows out: counters, once they are durable,
//! and sums over periods. Invariant: a steady pass is one short request; what a gap missed is asked for by the next.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use super::keeper::{Keeper, midnight_after};
use super::source::Poller;
use crate::clock::delta;
use crate::domain::consumption::{BaseLine, Changes, Ledger, REACH, Series};
use crate::domain::periods::Period;
use crate::snapshot::{ConsumptionView, Periods};
use crate::store::{ConsumptionCommit, StoreError, Success};
use crate::vendor::{BatchData, ConsumptionReport, Fault, Source};

/// A long read that failed is tried again this much later; short reads go on meanwhile.
const FULL_RETRY: Duration = Duration::from_secs(3_600);
/// After midnight the sums are gone until the first success: the pass for it comes this soon.
const AFTER_MIDNIGHT: Duration = Duration::from_secs(2);

/// Where the vendor still shows the old day after its midnight, the next pass comes this soon.
const OLD_DAY_RETRY: Duration = Duration::from_secs(20);

/// Polls the consumption report.
pub struct ConsumptionPoller {
    client: Arc<BatchData>,
    keeper: Arc<Keeper>,
    ledger: Ledger,
    configured_since: Option<NaiveDate>,
    count_since: Option<DateTime<Utc>>,
    full_read_on: Option<NaiveDate>,
    full_not_before: DateTime<Utc>,
    last_day: Option<NaiveDate>,
    midnight: Option<DateTime<Utc>>,
}

impl ConsumptionPoller {
    /// Restores the ledger of an earlier life.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn restore(
        client: Arc<BatchData>,
        keeper: Arc<Keeper>,
        configured_since: Option<NaiveDate>,
    ) -> Result<ConsumptionPoller, StoreError> {
        let stored = keeper.store().source(keeper.account, Source::Consumption)?;
        let since = match &stored {
            Some(stored) => stored.configured_since.as_deref().and_then(|day| day.parse().ok()),
            None => configured_since,
        };
        let base = since.map_or(BaseLine::FirstReport, BaseLine::Day);
        let restored = if stored.is_some() { keeper.store().ledger(keeper.account, base)? } else { None };
        let (ledger, full_read_on) = restored.unwrap_or_else(|| (Ledger::new(base), None));
        let now = keeper.clock.now();
        Ok(ConsumptionPoller {
            client,
            ledger,
            configured_since: since,
            count_since: stored.map(|stored| stored.count_since),
            full_read_on,
            full_not_before: now,
            last_day: None,
            midnight: None,
            keeper,
        })
    }

    /// What is known before the first pass of this life.
    #[must_use]
    pub fn view(&self) -> ConsumptionView {
        let today = self.ledger.covered().map(|(_, last)| last);
        let now = self.keeper.clock.now();
        // Without an answer yet, the vendor's clock is taken to be ours.
        let periods = today.and_then(|day| self.periods(day, midnight_after(day, now, now)?, None));
        self.view_with(periods)
    }

    /// The series that exist from the start.
    #[must_use]
    pub fn known_series() -> [String; 2] {
        [Series::Debit.key(), Series::Credit.key()]
    }

    fn view_with(&self, periods: Option<Periods>) -> ConsumptionView {
        let (overflowing_origins, overflowing_paths) = self.ledger.overflow();
        ConsumptionView {
            counters: self.ledger.counters().clone(),
            count_since: self.count_since,
            periods,
            overflowing_origins,
            overflowing_paths,
        }
    }

    fn periods(&self, day: NaiveDate, valid_until: DateTime<Utc>, changes: Option<&Changes>) -> Option<Periods> {
        let sums =
            Period::ALL.into_iter().filter_map(|period| Some((period, self.ledger.period(period, day, changes)?)));
        let sums: Vec<_> = sums.collect();
        (!sums.is_empty()).then_some(Periods { day, valid_until, sums })
    }

    async fn read(&self, today: NaiveDate, full: bool) -> Result<ConsumptionReport, Fault> {
        let (from, to) = self.ledger.wanted(today, full);
        match self.fetch(from, to).await {
            Err(fault) if fault.status == Some(422) => {
                // The vendor judges dates by its own clock, which its answer has just shown.
                let vendor_today = fault.server_time.map(|time| time.date_naive());
                match vendor_today {
                    Some(day) if day != today => {
                        let (from, to) = self.ledger.wanted(day, full);
                        self.fetch(from, to).await
                    }
                    _ => Err(fault),
                }
            }
            other => other,
        }
    }

    /// Asks for a range in as few requests as the vendor's 366 days allow.
    async fn fetch(&self, from: NaiveDate, to: NaiveDate) -> Result<ConsumptionReport, Fault> {
        let mut whole = ConsumptionReport { from, to, days: std::collections::BTreeMap::new() };
        let mut start = from;
        loop {
            let end = start.checked_add_days(Days::new(REACH)).unwrap_or(to).min(to);
            whole.days.extend(self.client.consumption(start, end).await?.days);
            match end.succ_opt() {
                Some(next) if next <= to => start = next,
                _ => return Ok(whole),
            }
        }
    }

    async fn keep(&mut self, changes: Changes, at: DateTime<Utc>, full_read_on: Option<NaiveDate>) -> Option<Changes> {
        let count_since = self.count_since.unwrap_or_else(|| match self.configured_since {
            Some(day) => day.and_time(NaiveTime::MIN).and_utc(),
            None => at,
        });
        let success = Success {
            account: self.keeper.account,
            source: Source::Consumption,
            at,
            count_since,
            configured_since: self.configured_since.map(|day| day.to_string()),
            answer: None,
        };
        let born = self.keeper.newborn(changes.counters.keys().map(Series::key));
        let (written, rows) = (changes.clone(), born.clone());
        let kept = self.keeper.work("consumption", move |store| {
            store.commit_consumption(&ConsumptionCommit {
                success: &success,
                changes: &written,
                born: &rows,
                full_read_on,
            })
        });
        if kept.await.is_none() {
            self.ledger.note_overflow(&changes);
            return Some(changes);
        }
        self.ledger.commit(changes);
        self.keeper.born(&born);
        self.count_since = Some(count_since);
        self.full_read_on = full_read_on;
        None
    }
}

#[async_trait]
impl Poller for ConsumptionPoller {
    fn source(&self) -> Source {
        Source::Consumption
    }

    fn account(&self) -> &str {
        &self.keeper.name
    }

    async fn pass(&mut self) -> Result<(), Fault> {
        let today = self.client.now().date_naive();
        let first = self.ledger.covered().is_none();
        // The day's first pass is a short one: it brings the sums back soon after midnight.
        let due = self.full_read_on != Some(today) && self.last_day == Some(today);
        let full = first || (due && self.keeper.clock.now() >= self.full_not_before);
        let report = match self.read(today, full).await {
            Ok(report) => report,
            Err(fault) => {
                if full && !first {
                    self.full_not_before = self.keeper.clock.now() + delta(FULL_RETRY);
                }
                return Err(fault);
            }
        };
        let day = report.to;
        let (now, vendor_now) = (self.keeper.clock.now(), self.client.now());
        let changes = self.ledger.plan(&report);
        let full_read_on = if full { Some(day) } else { self.full_read_on };
        let unkept = self.keep(changes, now, full_read_on).await;
        self.last_day = Some(day);
        self.midnight = midnight_after(day, vendor_now, now);
        let periods = self.midnight.and_then(|midnight| self.periods(day, midnight, unkept.as_ref()));
        let view = Arc::new(self.view_with(periods));
        self.keeper.board.update(|snapshot| {
            if let Some(wallet) = snapshot.wallet_mut(&self.keeper.name) {
                wallet.consumption = Some(view);
            }
        });
        Ok(())
    }

    fn wish(&self) -> Option<DateTime<Utc>> {
        let (midnight, now) = (self.midnight?, self.keeper.clock.now());
        // A vendor whose clock still shows the old day is asked again soon, not at once.
        Some(if midnight > now { midnight + delta(AFTER_MIDNIGHT) } else { now + delta(OLD_DAY_RETRY) })
    }

    fn pause(&self, until: DateTime<Utc>) {
        self.client.pause(until);
    }
}
