//! How fast a wallet is spent, and how long its balance lasts.
//!
//! Flows in: debits by UTC hour and by UTC day, as one report gave them. Flows out: dollars an hour over windows that end
//! at that report. Invariant: whole periods count whole, the current one as it stands, the oldest by the share of it that
//! lies inside the window; a window of which a period is not covered has no rate.

use std::collections::BTreeMap;
use strum::{EnumString, IntoStaticStr, VariantArray};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;

use crate::batchdata::HourlyDebits;
use crate::money::Usd;

/// A window that ends at the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Window {
    /// One hour.
    #[strum(serialize = "1h")]
    Hour,
    /// Six hours.
    #[strum(serialize = "6h")]
    SixHours,
    /// 24 hours.
    #[strum(serialize = "24h")]
    Day,
    /// Seven days.
    #[strum(serialize = "7d")]
    Week,
    /// 30 days.
    #[strum(serialize = "30d")]
    Month,
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

impl Window {
    /// How many periods it is long, and how many seconds a period is.
    fn periods(self) -> (i64, i64) {
        match self {
            Window::Hour => (1, HOUR),
            Window::SixHours => (6, HOUR),
            Window::Day => (24, HOUR),
            Window::Week => (7, DAY),
            Window::Month => (30, DAY),
        }
    }
}

/// US dollars an hour by window; windows that are not covered are absent.
pub type Burn = BTreeMap<Window, Decimal>;

/// Decimals of a rate, as many as an amount has.
const RATE_SCALE: u32 = 12;
/// Decimals of seconds.
const SECONDS_SCALE: u32 = 3;

/// What a report says about the last days by hour, and when it said so by the vendor's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The vendor's time of the report.
    pub at: DateTime<Utc>,
    /// Debits by hour, where they were asked for.
    pub hourly: Option<HourlyDebits>,
}

impl Reported {
    /// A report of days up to `day`. Its time lies on that day, whatever the clock shows a moment later.
    #[must_use]
    pub fn new(day: NaiveDate, now: DateTime<Utc>, hourly: Option<HourlyDebits>) -> Reported {
        let start = day.and_time(NaiveTime::MIN).and_utc();
        let end = day.succ_opt().map_or(start, |next| next.and_time(NaiveTime::MIN).and_utc());
        Reported { at: now.max(start).min(end), hourly }
    }

    /// The rates; `debit` is what was spent on a UTC day, `None` if that is not known.
    pub fn burn(&self, debit: impl Fn(NaiveDate) -> Option<Usd>) -> Burn {
        let hour = |hour: i64| self.hourly.as_ref()?.of(hour);
        let day = |day: i64| debit(DateTime::from_timestamp(day * DAY, 0)?.date_naive());
        let rate = |window: Window| {
            let (count, length) = window.periods();
            let sum = if length == HOUR { self.sum(count, length, hour) } else { self.sum(count, length, day) }?;
            Some((sum / Decimal::from(count * length / HOUR)).round_dp(RATE_SCALE))
        };
        Window::VARIANTS.iter().copied().filter_map(|window| Some((window, rate(window)?))).collect()
    }

    /// What was spent in the last `count` times `length` seconds.
    fn sum(&self, count: i64, length: i64, debit: impl Fn(i64) -> Option<Usd>) -> Option<Decimal> {
        let (current, elapsed) = (self.at.timestamp().div_euclid(length), self.at.timestamp().rem_euclid(length));
        let mut sum = match elapsed {
            // It begins at this moment: it may lie behind the end of the report.
            0 => debit(current).unwrap_or_default(),
            _ => debit(current)?,
        };
        for period in current - count + 1..current {
            sum += debit(period)?;
        }
        let oldest = debit(current - count)?.decimal() * Decimal::from(length - elapsed) / Decimal::from(length);
        Some(sum.decimal() + oldest)
    }

    /// As text, for the storage.
    #[must_use]
    pub fn written(&self) -> String {
        let mut text = self.at.to_rfc3339();
        if let Some(hourly) = &self.hourly {
            text += &format!(" {} {}", hourly.from, hourly.to);
            for (hour, debit) in &hourly.debits {
                text += &format!(" {hour}={debit}");
            }
        }
        text
    }

    /// Reads back what [`Reported::written`] wrote.
    #[must_use]
    pub fn restored(text: &str) -> Option<Reported> {
        let mut words = text.split(' ');
        let at = DateTime::parse_from_rfc3339(words.next()?).ok()?.with_timezone(&Utc);
        let Some(from) = words.next() else { return Some(Reported { at, hourly: None }) };
        let (from, to) = (from.parse().ok()?, words.next()?.parse().ok()?);
        let debit = |word: &str| {
            let (hour, debit) = word.split_once('=')?;
            Some((hour.parse().ok()?, Usd::stored(debit)?))
        };
        let debits = words.map(debit).collect::<Option<_>>()?;
        Some(Reported { at, hourly: Some(HourlyDebits { from, to, debits }) })
    }
}

impl HourlyDebits {
    /// The debit of an hour since 1970; `None` if it is not covered.
    fn of(&self, hour: i64) -> Option<Usd> {
        let day = DateTime::from_timestamp(hour * HOUR, 0)?.date_naive();
        (self.from <= day && day <= self.to).then(|| self.debits.get(&hour).copied().unwrap_or_default())
    }
}

/// Seconds until a balance is used up at a rate in dollars an hour; `None` if it is never, or the rate is unknown.
#[must_use]
pub fn runway_seconds(balance: Usd, burn: Option<Decimal>) -> Option<Decimal> {
    if balance <= Usd::ZERO {
        return Some(Decimal::ZERO);
    }
    let burn = burn.filter(|burn| *burn > Decimal::ZERO)?;
    let seconds = (balance.decimal() * Decimal::from(HOUR)).checked_div(burn)?;
    Some(seconds.round_dp(SECONDS_SCALE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Label;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Debits in ten-thousandths of a dollar, by hour since 1970, over 33 days: the simplest vendor.
    struct Vendor(BTreeMap<i64, i64>);

    impl Vendor {
        fn reported(&self, now: DateTime<Utc>) -> Reported {
            let (from, to) = (now.date_naive().pred_opt().unwrap(), now.date_naive());
            let inside = |hour: &i64| DateTime::from_timestamp(hour * HOUR, 0).unwrap().date_naive() >= from;
            let hours = self.0.iter().filter(|(hour, _)| inside(hour));
            let debits = hours.map(|(hour, units)| (*hour, Usd::from_ten_thousandths(*units))).collect();
            Reported::new(to, now, Some(HourlyDebits { from, to, debits }))
        }

        fn debit(&self, day: NaiveDate) -> Option<Usd> {
            let first = day.and_time(NaiveTime::MIN).and_utc().timestamp() / HOUR;
            Some(Usd::from_ten_thousandths(self.0.range(first..first + 24).map(|(_, units)| units).sum()))
        }

        /// The sum times the seconds of a period, as an integer.
        fn oracle(&self, now: i64, seconds: i64, length: i64) -> i128 {
            let begin = now - seconds;
            let periods = (begin.div_euclid(length)..=now.div_euclid(length)).map(|period| {
                let hours = period * length / HOUR..(period + 1) * length / HOUR;
                let units: i64 = self.0.range(hours).map(|(_, units)| units).sum();
                let inside = (((period + 1) * length).max(begin) - (period * length).max(begin)).min(length);
                i128::from(units) * i128::from(if period == now.div_euclid(length) { length } else { inside })
            });
            periods.sum()
        }
    }

    #[test]
    fn what_is_spent_in_the_first_second_of_an_hour_counts() {
        let now = at("2026-05-19T13:00:00Z");
        let vendor = Vendor([(now.timestamp() / HOUR, 20_000), (now.timestamp() / HOUR - 1, 10_000)].into());
        let burn = vendor.reported(now).burn(|day| vendor.debit(day));
        assert_eq!(burn[&Window::Hour].normalize().to_string(), "3");
    }

    proptest! {
        #[test]
        fn every_window_agrees_with_an_oracle_of_whole_seconds(
            spend in prop::collection::btree_map(0_i64..33 * 24, -50_000_i64..500_000, 0..300),
            offset in 0_i64..86_400 * 400,
            second in 0_i64..2 * 86_400,
        ) {
            let now = at("2027-12-25T00:00:00Z").timestamp() + offset / DAY * DAY + second;
            let last = now.div_euclid(HOUR);
            let vendor = Vendor(spend.into_iter().map(|(back, units)| (last - back, units)).collect());
            let now = DateTime::from_timestamp(now, 0).unwrap();
            let burn = vendor.reported(now).burn(|day| vendor.debit(day));
            for (window, hours, length) in [
                (Window::Hour, 1, HOUR), (Window::SixHours, 6, HOUR), (Window::Day, 24, HOUR),
                (Window::Week, 7 * 24, DAY), (Window::Month, 30 * 24, DAY),
            ] {
                let sum = vendor.oracle(now.timestamp(), hours * HOUR, length);
                // Dollars an hour times 10^12, rounded to the nearest: 10^8 of the oracle's units.
                let (scaled, whole) = (sum * 100_000_000, i128::from(length * hours));
                let found = (burn[&window] * Decimal::from(1_000_000_000_000_i64)).normalize().to_string();
                let found: i128 = found.parse().unwrap();
                prop_assert!((found * whole - scaled).abs() * 2 <= whole + 2, "{window:?}: {found} of {scaled}/{whole}");
            }
            let reported = vendor.reported(now);
            prop_assert_eq!(Reported::restored(&reported.written()), Some(reported));
        }
    }

    fn one_hour(now: &str, to: &str) -> Option<Decimal> {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let debits = BTreeMap::from([(at("2026-05-02T23:00:00Z").timestamp() / HOUR, Usd::from_cents(600))]);
        let hourly = HourlyDebits { from: day("2026-05-01"), to: day("2026-05-02"), debits };
        Reported::new(day(to), at(now), Some(hourly)).burn(|_| None).get(&Window::Hour).copied()
    }

    #[test]
    fn a_report_of_the_day_that_has_just_ended_is_about_its_end() {
        assert_eq!(one_hour("2026-05-02T23:30:00Z", "2026-05-02"), Some(Decimal::from(6)));
        assert_eq!(one_hour("2026-05-03T00:00:02Z", "2026-05-02"), Some(Decimal::from(6)));
        assert_eq!(one_hour("2026-05-01T10:00:00Z", "2026-05-02"), Some(Decimal::ZERO), "the day had begun");
        assert_eq!(one_hour("2026-05-03T00:00:02Z", "2026-05-03"), None, "not covered");
    }

    #[test]
    fn what_is_not_covered_has_no_rate() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let hourly = HourlyDebits { from: day("2026-05-02"), to: day("2026-05-02"), debits: BTreeMap::new() };
        let known = |first: NaiveDate| move |date: NaiveDate| (date >= first).then_some(Usd::ZERO);
        let windows = |hourly: Option<&HourlyDebits>, first: &str| {
            let reported = Reported::new(day("2026-05-02"), at("2026-05-02T12:00:01Z"), hourly.cloned());
            reported.burn(known(day(first))).into_keys().map(Label::as_str).collect::<Vec<_>>()
        };
        assert_eq!(windows(Some(&hourly), "2026-04-02"), ["1h", "6h", "7d", "30d"]);
        assert_eq!(windows(Some(&hourly), "2026-04-03"), ["1h", "6h", "7d"]);
        assert_eq!(windows(None, "2026-04-26"), Vec::<&str>::new());
    }

    #[test]
    fn the_runway_ends_at_nothing_and_is_endless_without_spend() {
        let cents = Usd::from_cents;
        assert_eq!(runway_seconds(cents(40_000), Some(Decimal::from(200))), Some(Decimal::from(7_200)));
        assert_eq!(runway_seconds(cents(1), Some(Decimal::ZERO)), None);
        assert_eq!(runway_seconds(cents(1), Some(Decimal::from(-1))), None);
        assert_eq!(runway_seconds(cents(1), None), None);
        for burn in [None, Some(Decimal::from(-1)), Some(Decimal::ONE)] {
            assert_eq!(runway_seconds(cents(0), burn), Some(Decimal::ZERO));
            assert_eq!(runway_seconds(cents(-1), burn), Some(Decimal::ZERO));
        }
        assert_eq!(runway_seconds(cents(100_000_000_000_000), Some(Decimal::new(1, 12))).map(|_| ()), Some(()));
    }
}
