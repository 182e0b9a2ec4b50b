//! Invariants of gauges, of the schedule, and of the storage's own series.

use std::collections::BTreeMap;

use chrono::NaiveTime;
use vendor_simulator::Operation;

use crate::checks::{Checks, Seen, Source};
use crate::counters::units;
use crate::pauses::{LONGEST_PAUSE_MS, passing_ms};
use crate::plan::Trouble;

/// A family that is there while its source's last success is young, the source, and which `max_age` it has.
const YOUNG: [(&str, &str, usize); 3] = [
    ("batchdata_wallet_balance_usd", "balance", 0),
    ("rightfoot_batches", "batches", 1),
    ("batchdata_wallet_period_debit_usd", "consumption", 0),
];

fn ms(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap() * 1_000
}

/// How long an attempt may wait for its turn.
fn queue_ms(budget: u32) -> i64 {
    let budget = i64::from(budget);
    5_000 + if budget >= 100 { 65_000 } else { 61_000 * (60 / budget + 2) }
}

pub fn operation(source: &str) -> Operation {
    match source {
        "balance" => Operation::Balance,
        "consumption" => Operation::ConsumptionReport,
        "card_transactions" => Operation::CreditCardTransactions,
        _ => Operation::BalancesCsv,
    }
}

impl Checks {
    /// Present while the last success is young, absent when it is old.
    pub fn gauges(&self, seen: &Seen<'_>) -> Result<(), String> {
        for (family, name, which) in YOUNG {
            let max_age = ms(seen.plan.max_age[which]);
            let source = &self.sources[name];
            let shown = seen.scrape.has_family(family);
            let by_wall = self.was_rebooted && !source.succeeded;
            match source.success {
                None if shown => return Err(format!("{family} is shown before any success")),
                Some((_, high)) if shown && !by_wall && seen.now - high > max_age => {
                    let age = seen.now - high;
                    return Err(format!("{family} is shown {age} ms after the last success; max_age is {max_age}"));
                }
                Some((low, _)) if !shown && source.succeeded && seen.now - low < max_age && which_is_whole(family) => {
                    return Err(format!("{family} is absent although the last success is young"));
                }
                _ => {}
            }
        }
        self.timestamps(seen)
    }

    /// The last success, by our clock as it goes now.
    fn timestamps(&self, seen: &Seen<'_>) -> Result<(), String> {
        let wall = seen.wall.timestamp_millis();
        for (name, source) in &self.sources {
            let labels = format!("source=\"{name}\"");
            let family = "wallet_exporter_source_last_success_timestamp_seconds";
            let shown = seen.scrape.family(family).find(|(text, _)| text.contains(&labels));
            let (Some((_, shown)), Some((low, high)), true) = (shown, source.success, source.succeeded) else {
                continue;
            };
            let age = wall - (shown * 1_000.0) as i64;
            if age < seen.now - high - 2_000 || age > seen.now - low + 2_000 {
                return Err(format!(
                    "{name}: last success {age} ms ago; by the oracle {} to {}",
                    seen.now - high,
                    seen.now - low
                ));
            }
        }
        Ok(())
    }

    /// The sums of a day are shown on that day, and are the vendor's.
    pub fn periods(&self, seen: &Seen<'_>) -> Result<(), String> {
        let source = &self.sources["consumption"];
        let vendor_now = seen.network.vendors.now();
        let midnight = vendor_now.date_naive().and_time(NaiveTime::MIN).and_utc();
        let into_day = (vendor_now - midnight).num_milliseconds();
        let slack = 2_000 + i64::try_from(seen.plan.latency_ms).unwrap();
        // The day follows the `Date` headers: where those lied, or the clock was set, the day is in dispute for a while.
        let settling = 2 * ms(seen.plan.intervals[1]) + 3_600_000;
        let disputed = seen.now - self.lied < settling || seen.now - self.vendor_clock_unheard < settling;
        // After a start with a clock that is far off, the vendor's day shows with the second answer.
        let troubled = seen.plan.has(Trouble::WallClock) || seen.plan.has(Trouble::SimulatorClock);
        let limited = seen.network.state().limited_until.get(&true).copied().unwrap_or(i64::MIN);
        let starting = troubled && seen.now - self.started < settling;
        if disputed || starting {
            return Ok(());
        }
        let shown = seen.scrape.family("batchdata_wallet_period_debit_usd");
        let shown = shown.into_iter().find(|(labels, _)| labels.contains("period=\"today\""));
        if let Some((_, value)) = shown {
            self.midnight_is_awaited(seen, 86_400_000 - into_day + slack)?;
            if into_day < slack {
                return Ok(());
            }
            let state = seen.network.state();
            let (low, _) = source.success.unwrap_or((i64::MIN, 0));
            let mut of_today =
                state.oracle.money.today.iter().filter(|(at, day, ..)| {
                    *day == vendor_now.date_naive() && (!source.succeeded || *at >= low - 100_000)
                });
            let counted = units(value);
            if !of_today.any(|(_, _, debit, _)| *debit == counted) {
                return Err(format!("today shows {counted} ten-thousandths, which the vendor has not said of today"));
            }
        } else if let Some((low, _)) = source.success
            && source.succeeded
            && seen.now - low < into_day - slack
            && seen.now - low < ms(seen.plan.max_age[0])
        {
            return Err("today is absent although a poll of this day has succeeded".to_owned());
        } else if source.succeeded
            && into_day > 62_000 + 2 * slack
            && seen.now - self.disturbed > settling
            && self.is_up("consumption")
            && limited < seen.now - into_day
            && seen.plan.budgets[0] >= 100
            && seen.now - source.success.unwrap().0 < ms(seen.plan.max_age[0])
        {
            return Err("today is absent more than a minute into the day".to_owned());
        }
        Ok(())
    }

    /// While sums of a day are shown, the next attempt comes right after that day at the latest, also after a failure.
    fn midnight_is_awaited(&self, seen: &Seen<'_>, left: i64) -> Result<(), String> {
        let mut attempts = seen.scrape.family("wallet_exporter_source_next_attempt_timestamp_seconds");
        let next = attempts.find(|(text, _)| text.contains("source=\"consumption\"")).map(|(_, value)| value);
        let limited = seen.network.state().limited_until.get(&true).is_some_and(|until| *until > seen.now + left);
        let away = next.map(|next| (next * 1_000.0) as i64 - seen.wall.timestamp_millis());
        match away {
            Some(away) if away > left + 5_000 && !limited => {
                Err(format!("consumption: the next attempt is {away} ms away, and the day ends in {left} ms"))
            }
            _ => Ok(()),
        }
    }

    fn is_up(&self, source: &str) -> bool {
        let labels = format!("source=\"{source}\"");
        let mut up = self.previous.family("wallet_exporter_source_up");
        up.any(|(text, value)| text.contains(&labels) && value > 0.5)
    }

    /// The next attempt is announced in time, and made.
    pub fn schedule(&mut self, seen: &Seen<'_>, before: &BTreeMap<&'static str, Source>) -> Result<(), String> {
        let wall = seen.wall.timestamp_millis();
        let state = seen.network.state();
        for (place, (name, which)) in
            [("balance", 0), ("consumption", 0), ("card_transactions", 0), ("batches", 1)].into_iter().enumerate()
        {
            let labels = format!("source=\"{name}\"");
            let find = |family: &str| {
                seen.scrape.family(family).find(|(text, _)| text.contains(&labels)).map(|(_, value)| value)
            };
            let limited = state.limited_until.get(&(which == 0)).copied().unwrap_or(i64::MIN);
            let polls = self.sources[name].polls;
            let was = &before[name];
            if let Some((announced, _)) = was.announced
                && polls <= was.polls
            {
                let (begun, open) = state.begun.get(&operation(name)).copied().unwrap_or((i64::MIN, 0));
                let patience =
                    if open > 0 || begun >= announced { 2_700_000 } else { queue_ms(seen.plan.budgets[which]) };
                if seen.now > announced + patience && limited < announced {
                    let late = seen.now - announced;
                    return Err(format!("{name}: the attempt that was announced was not made; it is {late} ms late"));
                }
            }
            let Some(next) = find("wallet_exporter_source_next_attempt_timestamp_seconds") else {
                // Shown after the first attempt.
                if seen.now - self.started > 3_600_000 && limited < self.started {
                    return Err(format!("{name}: no attempt in an hour since the start"));
                }
                continue;
            };
            let next = seen.now + (next * 1_000.0) as i64 - wall;
            let (begun, open) = state.begun.get(&operation(name)).copied().unwrap_or((i64::MIN, 0));
            if next < seen.now - queue_ms(seen.plan.budgets[which]) && open == 0 && begun < next {
                return Err(format!("{name}: the next attempt is shown {} ms in the past", seen.now - next));
            }
            let up = find("wallet_exporter_source_up").is_some_and(|up| up > 0.5);
            let failures = find("wallet_exporter_source_consecutive_failures").unwrap_or(0.0);
            let first_failure = failures == 1.0;
            let limited_now = seen
                .scrape
                .family("wallet_exporter_source_failing")
                .any(|(text, on)| text.contains(&labels) && text.contains("reason=\"rate_limited\"") && on > 0.5);
            let own = match () {
                () if up => ms(seen.plan.intervals[place]) * 105 / 100,
                // One stray answer is followed by a quick second try.
                () if first_failure && !limited_now => 10_000,
                () if limited_now => LONGEST_PAUSE_MS,
                () => passing_ms(&state, name, failures).unwrap_or(LONGEST_PAUSE_MS),
            };
            let most = (seen.now + own + 2_500).max(limited + 2_500);
            if next > most {
                return Err(format!("{name}: the next attempt is {} ms away, up {up}", next - seen.now));
            }
            let source = self.sources.get_mut(name).unwrap();
            source.announced = match was.announced {
                // What was announced stands until an attempt has ended; a pause may put it off.
                Some((announced, at)) if polls <= was.polls && limited < announced => Some((announced.min(next), at)),
                _ => Some((next, seen.now)),
            };
        }
        Ok(())
    }

    /// `storage_up` follows what the storage does.
    pub fn storage(&self, seen: &Seen<'_>, before: &BTreeMap<&'static str, Source>) -> Result<(), String> {
        let up = seen.scrape.get("wallet_exporter_storage_up").ok_or("storage_up is absent")?;
        // What is under way while it changes belongs to neither side.
        if self.storage_changed >= self.last - 40_000 || self.previous.values.is_empty() {
            return Ok(());
        }
        let (was, now) = (&before["balance"], &self.sources["balance"]);
        let succeeded = now.polls - now.failures > was.polls - was.failures;
        // A full disk still takes what fits into the pages that are there.
        if seen.storage_fault.is_some_and(|fault| fault.skip == 0) && succeeded && up > 0.5 {
            return Err("storage_up is 1 although a poll could not be written".to_owned());
        }
        let polled = self.sources.iter().any(|(name, source)| source.polls > before[name].polls + 1.0);
        if seen.storage_fault.is_none() && polled && up < 0.5 {
            return Err("storage_up is 0 although the storage works and a source was polled".to_owned());
        }
        Ok(())
    }
}

fn which_is_whole(family: &str) -> bool {
    // The sums of a day end with the day.
    family != "batchdata_wallet_period_debit_usd"
}
