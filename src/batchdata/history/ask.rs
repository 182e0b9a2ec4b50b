//! Requests for the past: of what may succeed later, several tries.
//!
//! Invariant: the credential's budget and pauses hold as for polls; nothing is asked again that somebody has to change
//! first.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{Days, NaiveDate};

use super::{History, HistoryError};
use crate::batchdata::consumption::ledger::REACH;
use crate::batchdata::transactions::TransactionSink;
use crate::batchdata::{CardTransaction, DayConsumption, Grain};
use crate::upstream::table::TableSummary;
use crate::upstream::{Reason, RequestError};

/// Tries of one request.
const TRIES: u32 = 5;

/// The second try comes after this, each further one after twice the time before; after a 429 as the vendor asks.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// Days that are asked for by hour at once: 168 periods, each with its origins and paths.
const DAYS_BY_HOUR: u64 = 7;

fn may_succeed_later(error: &RequestError) -> bool {
    matches!(
        error.reason,
        Reason::RateLimited | Reason::ServerError | Reason::Timeout | Reason::Connect | Reason::Truncated
    )
}

impl History<'_> {
    /// Asks until there is an answer, or none to be expected.
    async fn patiently<T>(&self, mut ask: impl AsyncFnMut() -> Result<T, HistoryError>) -> Result<T, HistoryError> {
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            match ask().await {
                Err(HistoryError::Vendor(error)) if may_succeed_later(&error) => {
                    let wait_now = error.retry_after.unwrap_or(wait);
                    self.progress.note(&format!("{error}; trying again in {} s", wait_now.as_secs()));
                    self.clock.sleep_until(self.clock.boot() + wait_now).await;
                    wait *= 2;
                }
                other => return other,
            }
        }
        ask().await
    }

    /// The vendor's today, by the `Date` of an answer to a small question.
    pub(super) async fn today(&self) -> Result<NaiveDate, HistoryError> {
        let today = self.client.credential().now().date_naive();
        let asked = self.patiently(async || Ok(self.client.consumption(today, today, Grain::Day).await?)).await;
        let shown = self.client.credential().now().date_naive();
        match asked {
            // Its day is another.
            Err(HistoryError::Vendor(error)) if error.status == Some(422) && shown != today => Ok(shown),
            Err(error) => Err(error),
            Ok(_) => Ok(shown.max(today)),
        }
    }

    /// The report by day; a day that is missing is the vendor's "nothing".
    pub(super) async fn by_day(
        &self,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<BTreeMap<NaiveDate, DayConsumption>, HistoryError> {
        let mut days = BTreeMap::new();
        for (from, to) in parts(from, to, REACH) {
            let report = self.patiently(async || Ok(self.client.consumption(from, to, Grain::Day).await?)).await?;
            days.extend(report.days);
        }
        Ok(days)
    }

    /// The report by hour, handed on in the order of time.
    pub(super) async fn by_hour(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        mut take: impl FnMut(i64, &DayConsumption),
    ) -> Result<(), HistoryError> {
        for (from, to) in parts(from, to, DAYS_BY_HOUR - 1) {
            match self.hours(from, to).await {
                Err(HistoryError::Vendor(error)) if error.reason == Reason::TooLarge => {
                    for day in super::days(from, to) {
                        let hours = self.hours(day, day).await?;
                        hours.iter().for_each(|(hour, amounts)| take(*hour, amounts));
                    }
                }
                hours => hours?.iter().for_each(|(hour, amounts)| take(*hour, amounts)),
            }
        }
        Ok(())
    }

    async fn hours(&self, from: NaiveDate, to: NaiveDate) -> Result<BTreeMap<i64, DayConsumption>, HistoryError> {
        self.patiently(async || Ok(self.client.consumption_hours(from, to).await?)).await
    }

    /// The transactions of some days. Each try begins with a sink of its own.
    pub(super) async fn transactions<S: TransactionSink>(
        &self,
        (from, to): (NaiveDate, NaiveDate),
        mut sink: impl FnMut() -> Result<S, HistoryError>,
    ) -> Result<(S, TableSummary), HistoryError> {
        let asked = async || {
            let mut sink = sink()?;
            let summary = self.client.transactions(from, to, &mut sink).await?;
            Ok((sink, summary))
        };
        let (sink, summary) = self.patiently(asked).await?;
        if summary.rejected > 0 {
            let days = if from == to { from.to_string() } else { format!("{from} to {to}") };
            let words = format!("{days}: {} of the vendor's rows cannot be read and are left out", summary.rejected);
            self.progress.note(&words);
        }
        Ok((sink, summary))
    }

    /// The card transactions made on some days.
    pub(super) async fn cards(&self, from: NaiveDate, to: NaiveDate) -> Result<Vec<CardTransaction>, HistoryError> {
        self.patiently(async || Ok(self.client.card_transactions(Some(from), Some(to)).await?)).await
    }
}

/// A range in parts whose last day is at most `reach` days after their first.
fn parts(from: NaiveDate, to: NaiveDate, reach: u64) -> impl Iterator<Item = (NaiveDate, NaiveDate)> {
    let mut next = Some(from);
    std::iter::from_fn(move || {
        let from = next.filter(|from| *from <= to)?;
        let end = from.checked_add_days(Days::new(reach)).unwrap_or(to).min(to);
        next = end.succ_opt();
        Some((from, end))
    })
}
