//! When a wallet is empty, as one answer made of the spend rates of all windows.
//!
//! Flows in: balance and rates of a wallet, and the time. Flows out: state, window, hours and moment. Invariant: the window is
//! chosen as in the texts of the alerts, so that the page, the JSON and a notification name the same moment.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use super::{BurnStatus, decimal};
use crate::batchdata::consumption::burn::Window;
use crate::names::Label as _;

/// The windows whose shortest time counts. The others are used only where the day's rate is unknown and the two
/// shorter ones are 0 or unknown.
const FIRST: [Window; 3] = [Window::Hour, Window::SixHours, Window::Day];

/// How long a wallet lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TimeToEmpty {
    /// How it stands.
    pub state: EmptyState,
    /// The label `window` of the rate from which the rest follows: the one with the shortest time.
    pub window: Option<&'static str>,
    /// Hours from now, decimal text, rounded down to a tenth; 0 if the wallet is empty or should be.
    pub hours: Option<String>,
    /// The moment at which the balance is used up. In the past if it should be used up, but the last poll found some left.
    pub at: Option<DateTime<Utc>>,
}

/// Whether a wallet will be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyState {
    /// Money is spent: it will be.
    Spending,
    /// Nothing is spent.
    NotSpending,
    /// It is.
    Empty,
    /// The balance or the spend rate is unknown.
    #[default]
    Unknown,
}

impl TimeToEmpty {
    /// Of a wallet with this balance and these spend rates, at the time `now`.
    #[must_use]
    pub fn new(balance: Option<Decimal>, burn: &[BurnStatus], now: DateTime<Utc>) -> TimeToEmpty {
        let Some(balance) = balance else { return TimeToEmpty::default() };
        if balance <= Decimal::ZERO {
            return TimeToEmpty { state: EmptyState::Empty, hours: Some("0".to_owned()), ..TimeToEmpty::default() };
        }
        let (first, longer): (Vec<_>, Vec<_>) =
            burn.iter().partition(|burn| FIRST.iter().any(|window| window.as_str() == burn.window));
        let day = first.iter().find(|burn| burn.window == Window::Day.as_str() && rate(burn).is_some());
        let resting = |burn: &BurnStatus| TimeToEmpty {
            state: EmptyState::NotSpending,
            window: Some(burn.window),
            ..TimeToEmpty::default()
        };
        let spending = |burn: &BurnStatus| TimeToEmpty {
            state: EmptyState::Spending,
            window: Some(burn.window),
            hours: burn.empty_at.map(|at| hours_until(at, now).to_string()),
            at: burn.empty_at,
        };
        fastest(&first)
            .map(spending)
            .or_else(|| day.map(|burn| resting(burn)))
            .or_else(|| fastest(&longer).map(spending))
            .or_else(|| longer.iter().rev().find(|burn| rate(burn).is_some()).map(|burn| resting(burn)))
            .unwrap_or_default()
    }

    /// As a sentence.
    pub(super) fn sentence(&self, now: DateTime<Utc>) -> String {
        let window = self.window.unwrap_or_default();
        match (self.state, self.at) {
            (EmptyState::Spending, Some(at)) if at <= now => {
                format!("should be empty since {}, at the spend rate of the last {window}", clock(at))
            }
            (EmptyState::Spending, Some(at)) => {
                format!("in {}, on {}, at the spend rate of the last {window}", self.length(at - now), clock(at))
            }
            (EmptyState::Spending, None) => format!("in over 100,000 years, at the spend rate of the last {window}"),
            (EmptyState::NotSpending, _) => format!("not spending: nothing was spent in the last {window}"),
            (EmptyState::Empty, _) => "empty now".to_owned(),
            (EmptyState::Unknown, _) => "unknown".to_owned(),
        }
    }

    /// The same for a cell of a list.
    pub(super) fn brief(&self, now: DateTime<Utc>) -> String {
        let window = self.window.unwrap_or_default();
        match (self.state, self.at) {
            (EmptyState::Spending, Some(at)) => {
                let hours = match self.hours.as_deref() {
                    Some("0") | None if at > now => "< 0.1",
                    hours => hours.unwrap_or("0"),
                };
                format!("{hours} h, {}, by {window}", clock(at))
            }
            (EmptyState::Spending, None) => format!("over 100,000 years, by {window}"),
            (EmptyState::NotSpending, _) => "not spending".to_owned(),
            (EmptyState::Empty, _) => "empty now".to_owned(),
            (EmptyState::Unknown, _) => "unknown".to_owned(),
        }
    }

    /// Minutes below an hour; hours, and from two days on days, too.
    fn length(&self, left: TimeDelta) -> String {
        let hours = decimal(self.hours.as_ref()).unwrap_or_default();
        let days = (hours / Decimal::from(24)).floor();
        let minutes = left.num_minutes();
        if minutes < 1 {
            "less than a minute".to_owned()
        } else if minutes == 1 {
            "1 minute".to_owned()
        } else if minutes < 60 {
            format!("{minutes} minutes")
        } else if hours == Decimal::ONE {
            "1 hour".to_owned()
        } else if days < Decimal::TWO {
            format!("{hours} hours")
        } else {
            format!("{} hours ({days} days)", hours.floor())
        }
    }
}

/// Dollars an hour.
pub(super) fn rate(burn: &BurnStatus) -> Option<Decimal> {
    decimal(burn.usd_per_hour.as_ref())
}

/// That with the highest rate above zero; of equals the first.
fn fastest<'a>(burn: &[&'a BurnStatus]) -> Option<&'a BurnStatus> {
    let spending = burn.iter().filter(|burn| rate(burn).is_some_and(|rate| rate > Decimal::ZERO));
    spending.rev().max_by_key(|burn| rate(burn)).copied()
}

fn hours_until(at: DateTime<Utc>, now: DateTime<Utc>) -> Decimal {
    let seconds = Decimal::from((at - now).num_seconds().max(0));
    (seconds / Decimal::from(3_600)).round_dp_with_strategy(1, RoundingStrategy::ToZero).normalize()
}

/// A moment by the clock.
pub(super) fn clock(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::prelude::ToPrimitive as _;

    fn now() -> DateTime<Utc> {
        "2026-05-19T12:00:00Z".parse().unwrap()
    }

    /// Windows with their rates, `-` for unknown, and what is left after 100 dollars at each.
    fn burn(rates: &str) -> Vec<BurnStatus> {
        let windows = ["1h", "6h", "24h", "7d", "30d"];
        let rates = rates.split(' ').zip(windows);
        let status = |(text, window): (&str, &'static str)| {
            let rate = Decimal::from_str_exact(text).ok();
            let seconds = rate.filter(|rate| *rate > Decimal::ZERO).map(|rate| Decimal::from(360_000) / rate);
            let milliseconds = seconds.and_then(|seconds| (seconds * Decimal::ONE_THOUSAND).to_i64());
            let left = milliseconds.and_then(chrono::TimeDelta::try_milliseconds);
            BurnStatus {
                window,
                usd_per_hour: rate.map(|rate| rate.to_string()),
                runway_seconds: None,
                empty_at: left.and_then(|left| now().checked_add_signed(left)),
            }
        };
        rates.map(status).collect()
    }

    /// Balance, rates by window, state, window, hours, and the words of the page's row and of its list.
    const CASES: &str = "
        100 | 10 40 8 90 1 | Spending | 6h | 2.5 | in 2.5 hours, on 2026-05-19 14:30 UTC, by 6h | 2.5 h, 2026-05-19 14:30 UTC, by 6h
        100 | 8 8 8 90 1 | Spending | 1h | 12.5 | in 12.5 hours, on 2026-05-20 00:30 UTC, by 1h | 12.5 h, 2026-05-20 00:30 UTC, by 1h
        100 | 0 0 1 90 1 | Spending | 24h | 100 | in 100 hours (4 days), on 2026-05-23 16:00 UTC, by 24h | 100 h, 2026-05-23 16:00 UTC, by 24h
        100 | 0.004 0 0 0 0 | Spending | 1h | 25000 | in 25000 hours (1041 days), on 2029-03-26 04:00 UTC, by 1h | 25000 h, 2029-03-26 04:00 UTC, by 1h
        100 | 6000 8 8 90 1 | Spending | 1h | 0 | in 1 minute, on 2026-05-19 12:01 UTC, by 1h | < 0.1 h, 2026-05-19 12:01 UTC, by 1h
        100 | 7200 8 8 90 1 | Spending | 1h | 0 | in less than a minute, on 2026-05-19 12:00 UTC, by 1h | < 0.1 h, 2026-05-19 12:00 UTC, by 1h
        100 | 125 1 1 90 1 | Spending | 1h | 0.8 | in 48 minutes, on 2026-05-19 12:48 UTC, by 1h | 0.8 h, 2026-05-19 12:48 UTC, by 1h
        100 | 0.000000000001 0 0 0 0 | Spending | 1h | | in over 100,000 years, by 1h | over 100,000 years, by 1h
        100 | - - - 10 20 | Spending | 30d | 5 | in 5 hours, on 2026-05-19 17:00 UTC, by 30d | 5 h, 2026-05-19 17:00 UTC, by 30d
        100 | - - - 0 - | NotSpending | 7d | | not spending: nothing was spent in the last 7d | not spending
        100 | 0 0 0 90 1 | NotSpending | 24h | | not spending: nothing was spent in the last 24h | not spending
        100 | -1 -1 -1 - - | NotSpending | 24h | | not spending: nothing was spent in the last 24h | not spending
        100 | 0 - - - - | Unknown | | | unknown | unknown
        100 | - - - - - | Unknown | | | unknown | unknown
        - | 10 10 10 10 10 | Unknown | | | unknown | unknown
        0 | - - - - - | Empty | | 0 | empty now | empty now
        -3.75 | 10 10 10 10 10 | Empty | | 0 | empty now | empty now";

    #[test]
    fn every_case_is_told_apart_and_names_its_window() {
        for case in CASES.lines().skip(1) {
            let fields: Vec<&str> = case.split('|').map(str::trim).collect();
            let [balance, rates, state, window, hours, sentence, brief] = fields[..] else { panic!("{case}") };
            let found = TimeToEmpty::new(Decimal::from_str_exact(balance).ok(), &burn(rates), now());
            assert_eq!(format!("{:?}", found.state), state, "{case}");
            assert_eq!(found.window.unwrap_or_default(), window, "{case}");
            assert_eq!(found.hours.as_deref().unwrap_or_default(), hours, "{case}");
            assert_eq!(found.at.is_some(), state == "Spending" && !hours.is_empty(), "{case}");
            let said = found.sentence(now()).replace("at the spend rate of the last ", "by ");
            assert_eq!((said.as_str(), found.brief(now()).as_str()), (sentence, brief), "{case}");
        }
    }

    #[test]
    fn in_the_last_minutes_it_is_not_said_to_be_over() {
        let later = now() + chrono::TimeDelta::minutes(9 * 60 + 57);
        let found = TimeToEmpty::new(Some(Decimal::ONE_HUNDRED), &burn("10 5 5 5 5"), later);
        let sentence = "in 3 minutes, on 2026-05-19 22:00 UTC, at the spend rate of the last 1h";
        assert_eq!(found.sentence(later), sentence);
        assert_eq!(found.brief(later), "< 0.1 h, 2026-05-19 22:00 UTC, by 1h");
    }

    #[test]
    fn a_balance_that_should_be_used_up_says_so() {
        let later = now() + chrono::TimeDelta::hours(11);
        let found = TimeToEmpty::new(Some(Decimal::ONE_HUNDRED), &burn("10 5 5 5 5"), later);
        assert_eq!((found.state, found.hours.as_deref()), (EmptyState::Spending, Some("0")));
        assert_eq!(
            found.sentence(later),
            "should be empty since 2026-05-19 22:00 UTC, at the spend rate of the last 1h"
        );
    }
}
