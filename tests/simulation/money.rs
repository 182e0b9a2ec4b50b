//! What the balance and the report say of each other.
//!
//! Flows in: each scrape, and what was changed at the vendor. Flows out: the first figure that is not as it should be.
//! Invariant: amounts are ten-thousandths of a dollar; nothing here knows ranges, or how the exporter compares.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate};
use rust_decimal::Decimal;
use wallet_exporter::snapshot::{Gate, GateReason};

use crate::checks::{Checks, Seen};
use crate::counters::units;
use crate::oracle::{Book, Money};
use crate::plan::{Plan, Trouble};
use crate::text::Scrape;

/// How long the balance of some moment has to do with a report: the hour, a poll on each side, and one between scrapes.
const REACH: i64 = 90 * 60_000;

/// Every movement that the balance or the report made.
#[derive(Default)]
pub struct Movements(Vec<Movement>);

struct Movement {
    ms: i64,
    day: NaiveDate,
    /// Of the balance, and of the report's debits less credits.
    balance: i64,
    net: i64,
    /// Only a report of all days shows it.
    late: bool,
    /// The other half of it comes within the hour that a report may lag, or came.
    awaited: bool,
}

impl Movements {
    /// The balance moved by `balance`, and the report's debits less credits of a day by `net`; `today` is the vendor's day.
    pub fn add(&mut self, ms: i64, (day, today): (NaiveDate, NaiveDate), balance: i64, net: i64) {
        self.0.push(Movement { ms, day, balance, net, late: day + Days::new(1) < today, awaited: false });
    }

    /// The balance moved, and the report will show it `soon`, which is within an hour, or later.
    pub fn awaited(&mut self, ms: i64, day: NaiveDate, balance: i64, soon: bool) {
        self.0.push(Movement { ms, day, balance, net: 0, late: false, awaited: soon });
    }

    /// The report shows now what the balance showed before.
    pub fn reported(&mut self, (ms, today): (i64, NaiveDate), day: NaiveDate, net: i64) {
        self.0.push(Movement { ms, day, balance: 0, net, late: day + Days::new(1) < today, awaited: true });
    }

    /// Movements of the balance, and of the report alone, in the time before `until`, all added up.
    fn around(&self, from: i64, until: i64) -> i64 {
        let within = self.0.iter().filter(|it| it.ms >= from && it.ms <= until);
        within.map(|it| it.balance.abs().max(it.net.abs())).sum()
    }

    /// What the report does not explain since `ms`, of days from `base` on.
    fn unexplained(&self, ms: i64, base: NaiveDate) -> i64 {
        let since = self.0.iter().filter(|it| it.ms > ms);
        since.map(|it| it.balance + if it.day >= base { it.net } else { 0 }).sum()
    }

    /// What was changed of days so long ago that a report may have missed it when the comparing began.
    fn missed(&self, ms: i64) -> i64 {
        self.0.iter().filter(|it| it.late && it.ms <= ms).map(|it| it.net.abs()).sum()
    }

    /// By how much the value may be off because credits and debits came between the same two polls: a credit is only told
    /// from debits where it is at least twice as much.
    fn blurred(&self) -> i64 {
        let near = |one: &Movement, other: &Movement| (one.ms - other.ms).abs() <= 11 * 60_000;
        let off = |credit: &Movement| {
            let debits = self.0.iter().filter(|it| it.balance < 0 && near(credit, it));
            let debits: i64 = debits.map(|it| -it.balance).sum();
            if credit.balance < 2 * debits { debits.min(credit.balance) } else { 0 }
        };
        self.0.iter().filter(|it| it.balance > 0).map(off).sum()
    }

    /// Whether something was changed since then that only a report of all days shows.
    fn late(&self, since: i64) -> bool {
        self.0.iter().any(|it| it.late && it.ms >= since)
    }

    /// Whether all that moved was in the next report, or in one within the hour that a report may lag.
    fn agree(&self, since: i64) -> bool {
        self.0.iter().filter(|it| it.ms >= since).all(|it| (it.balance + it.net == 0 || it.awaited) && !it.late)
    }
}

const UNRECONCILED: &str = "batchdata_wallet_unreconciled_usd";
const RECONCILED: &str = "batchdata_wallet_reconciled_timestamp_seconds";

const BURN: &str = "batchdata_wallet_burn_usd_per_hour";
const RUNWAY: &str = "batchdata_wallet_runway_seconds";

const HOUR: i64 = 3_600;

/// The label `window`, hours of it, and seconds of the periods that it is made of.
const WINDOWS: [(&str, i64, i64); 5] =
    [("1h", 1, HOUR), ("6h", 6, HOUR), ("24h", 24, HOUR), ("7d", 168, 24 * HOUR), ("30d", 720, 24 * HOUR)];

/// Dollars an hour over `long` hours before `at`: the last period as it stands, of the oldest the part that lies inside.
fn spend_rate(hours: &BTreeMap<i64, Decimal>, at: i64, long: i64, period: i64) -> f64 {
    let begin = at - long * HOUR;
    let weight = |hour: i64| {
        let end_of_period = (hour * HOUR).div_euclid(period) * period + period;
        (end_of_period - begin).clamp(0, period) as f64 / period as f64
    };
    let dollars = |amount: &Decimal| f64::try_from(*amount).unwrap();
    // What is dated after it is not in a report that was made then.
    let last = at.div_euclid(period) * period + period;
    let inside = hours.iter().filter(|(hour, _)| *hour * HOUR < last);
    inside.map(|(hour, amount)| dollars(amount) * weight(*hour)).sum::<f64>() / long as f64
}

/// Where the vendor's day is in doubt, so is which days are compared.
fn is_certain(seen: &Seen<'_>) -> bool {
    !seen.plan.has(Trouble::SimulatorClock) && !seen.plan.has(Trouble::Dates)
}

impl Checks {
    /// The gate of the scrape before is open at the balance that is shown and closed a ten-thousandth above it, but only
    /// while a poll succeeded within three intervals.
    pub fn gate(&self, plan: &Plan, ask: impl Fn(i64) -> Gate) -> Result<(), String> {
        let shown = self.previous.family("batchdata_wallet_balance_usd").next().map(|(_, value)| units(value));
        let at = shown.unwrap_or_default();
        let max_age = i64::try_from(plan.intervals[0]).unwrap() * 3_000;
        // The youngest and the oldest that the balance may be.
        let success = self.sources["balance"].success;
        let ages = success.map(|(from, until)| (self.last - until, self.last - from));
        // After a reboot its age is told by the wall clock, until it is polled again.
        let by_wall = self.was_rebooted && !self.sources["balance"].succeeded;
        let young = by_wall || ages.is_some_and(|(young, _)| young <= max_age);
        // The gate goes by its own age: one that is too old to be shown may be young enough for it.
        let shows_until = i64::try_from(plan.max_age[0]).unwrap() * 1_000;
        let hidden = shown.is_none() && ages.is_some_and(|(_, old)| old > shows_until);
        // What an earlier run polled may be lost, and an older balance be stored.
        let stored = success.is_none_or(|(from, _)| from < self.started);
        for (units, enough) in [(at, true), (at + 1, false)] {
            let gate = ask(units);
            let may = match gate.reason {
                GateReason::Sufficient | GateReason::Insufficient if hidden => young,
                GateReason::Sufficient => shown.is_some() && enough && young,
                GateReason::Insufficient => shown.is_some() && !enough && young,
                GateReason::Stale => stored || ages.is_some_and(|(_, old)| old > max_age),
                GateReason::Unknown => shown.is_none(),
            };
            if !may || gate.open != (gate.reason == GateReason::Sufficient) {
                return Err(format!("{shown:?} is shown, {ages:?} ms old, and the gate at {units} says {gate:?}"));
            }
        }
        Ok(())
    }

    /// Follows when comparing began, and holds that nothing differs where nothing may.
    pub fn reconciled(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let shown = seen.scrape.family(UNRECONCILED).next().map(|(_, value)| units(value));
        let compared = seen.scrape.has_family(RECONCILED);
        if shown.is_some() && !compared {
            return Err(format!("{UNRECONCILED} is shown before anything was compared"));
        }
        if !compared {
            // What could not be written is forgotten with the process.
            self.marks.compared = None;
            return Ok(());
        }
        let (from, until) = *self.marks.compared.get_or_insert((self.last - REACH, seen.now));
        let state = seen.network.state();
        let movements = &state.oracle.movements;
        let Some(shown) = shown else { return Ok(()) };
        if !is_certain(seen) {
            return Ok(());
        }
        let since = from.min(until - 2 * 86_400_000);
        if !movements.agree(since) {
            let late = movements.late(since);
            drop(state);
            // What only a report of all days shows may come a day later.
            return if late { Ok(()) } else { self.difference_is_shown(seen) };
        }
        self.compared += 1;
        if shown != 0 && shown.abs() > movements.blurred() {
            return Err(format!("{UNRECONCILED} is {shown} ten-thousandths although balance and report agree"));
        }
        Ok(())
    }

    /// What is shown is what the report does not explain, as far as nothing moved in the hour before it or in the first hour
    /// of comparing: after a quiet hour a difference shows in full, and one that was only late has healed.
    fn difference_is_shown(&self, seen: &Seen<'_>) -> Result<(), String> {
        let shown = seen.scrape.family(UNRECONCILED).next().map(|(_, value)| units(value));
        let since = seen.scrape.family("batchdata_wallet_count_since_timestamp_seconds").next();
        let (Some(shown), Some((_, since)), Some((from, until))) = (shown, since, self.marks.compared) else {
            return Ok(());
        };
        let newest = seen.scrape.family(RECONCILED).next().map_or(0, |(_, value)| (value * 1_000.0) as i64);
        let age = seen.wall.timestamp_millis() - newest;
        // One of an earlier run may be dated by a clock that was wrong.
        if !is_certain(seen) || age > 20 * 60_000 || seen.now - age < self.started {
            return Ok(());
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
        let base = DateTime::from_timestamp(since as i64, 0).unwrap().date_naive();
        let state = seen.network.state();
        let movements = &state.oracle.movements;
        let unexplained = movements.unexplained(until, base);
        let known = movements.around(from, until) + movements.around(seen.now - REACH, seen.now);
        let mut unsure = 2 * known + movements.missed(until);
        if (shown - unexplained).abs() > unsure {
            unsure += movements.blurred();
        }
        if (shown - unexplained).abs() > unsure {
            return Err(format!(
                "{UNRECONCILED} is {shown} ten-thousandths; {unexplained} is due, give or take {unsure}"
            ));
        }
        Ok(())
    }

    /// At the end nothing is late any more.
    pub fn difference_at_the_end(&self, seen: &Seen<'_>) -> Result<(), String> {
        self.difference_is_shown(seen).map_err(|why| format!("at the end {why}"))
    }

    /// At all times the runway is the balance at the spend rate that is shown beside it.
    pub fn runway(&self, seen: &Seen<'_>) -> Result<(), String> {
        let balance = seen.scrape.family("batchdata_wallet_balance_usd").next().map(|(_, value)| value);
        for (window, ..) in WINDOWS {
            let of = |family: &'static str| {
                seen.scrape.family(family).find(|(labels, _)| Scrape::label(labels, "window") == window)
            };
            let (burn, runway) = (of(BURN).map(|found| found.1), of(RUNWAY).map(|found| found.1));
            let due = match (balance, burn) {
                (Some(balance), _) if balance <= 0.0 => Some(0.0),
                (Some(balance), Some(burn)) if burn > 0.0 => Some(balance * 3_600.0 / burn),
                _ => None,
            };
            let agree = match (runway, due) {
                (Some(runway), Some(due)) => (runway - due).abs() <= 0.001 + due * 1e-6,
                (runway, due) => runway == due,
            };
            if !agree {
                return Err(format!(
                    "the runway by {window} is {runway:?} s and should be {due:?}: {balance:?}, {burn:?}"
                ));
            }
        }
        Ok(())
    }

    /// At the end each spend rate is that of the vendor's hours and days in the window that ends at the last report.
    pub fn burn_at_the_end(&self, seen: &Seen<'_>) -> Result<(), String> {
        let (true, Some((from, until))) = (is_certain(seen), self.sources["consumption"].success) else {
            return Ok(());
        };
        let hours = seen.network.vendors.debits_by_hour();
        let vendor_now = seen.network.vendors.now().timestamp();
        // A poll is several requests, and an answer takes its time.
        let (first, last) = (vendor_now - (seen.now - from) / 1_000 - 100, vendor_now - (seen.now - until) / 1_000 + 1);
        // Between the turns of hours a rate moves evenly, so that it is highest and lowest at their ends.
        let turns = (first / HOUR + 1..=last / HOUR).flat_map(|hour| [hour * HOUR - 1, hour * HOUR]);
        let moments: Vec<i64> = [first, last].into_iter().chain(turns).collect();
        for (window, long, period) in WINDOWS {
            let mut shown = seen.scrape.family(BURN).filter(|(labels, _)| Scrape::label(labels, "window") == window);
            let Some((_, shown)) = shown.next() else {
                if period == HOUR && seen.scrape.has_family("batchdata_wallet_period_debit_usd") {
                    return Err(format!("at the end there is no spend rate over {window}"));
                }
                continue;
            };
            let due: Vec<f64> = moments.iter().map(|at| spend_rate(&hours, *at, long, period)).collect();
            if !due.iter().any(|due| *due >= shown - 1e-6) || !due.iter().any(|due| *due <= shown + 1e-6) {
                return Err(format!("at the end the spend rate over {window} is {shown}, and should be of {due:?}"));
            }
        }
        Ok(())
    }
}

impl Money {
    /// What the vendor says of a total or a part from one day to another.
    pub fn sum(&self, key: &str, from: NaiveDate, to: NaiveDate) -> i64 {
        let amount = |book: &Book| book.get(key).copied().unwrap_or(0);
        self.days().range(from..=to).map(|(_, book)| amount(book)).sum()
    }
}
