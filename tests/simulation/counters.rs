//! Invariants of what is counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::checks::{Checks, Seen, Source};
use crate::plan::Trouble;
use crate::tallies::{Sums, rejected};
use crate::text::Scrape;

/// Counters that survive a restart, by the source that they wait for.
const SURVIVING: [(&str, &str); 3] =
    [("batchdata_wallet_", "consumption"), ("batchdata_card_", "card_transactions"), ("rightfoot_balance_", "batches")];

/// Troubles in which the vendor answered and the ledger did not learn it.
const LOSES_REPORTS: [Trouble; 6] =
    [Trouble::Storage, Trouble::Crashes, Trouble::Restarts, Trouble::OldCopy, Trouble::LostStorage, Trouble::Faults];

pub fn source_of(series: &str) -> Option<&'static str> {
    SURVIVING.iter().find(|(prefix, _)| series.starts_with(prefix)).map(|(_, source)| *source)
}

/// Dollars as ten-thousandths.
pub fn units(value: f64) -> i64 {
    (value * 10_000.0).round() as i64
}

/// The oracle's name of a money counter.
pub fn key_of(series: &str) -> Option<String> {
    let (family, labels) = series.split_once('{')?;
    let origin = Scrape::label(labels, "origin");
    Some(match family {
        "batchdata_wallet_debit_usd_total" => "debit".to_owned(),
        "batchdata_wallet_credit_usd_total" => "credit".to_owned(),
        "batchdata_wallet_origin_debit_usd_total" => format!("origin_debit/{origin}"),
        "batchdata_wallet_origin_credit_usd_total" => format!("origin_credit/{origin}"),
        "batchdata_wallet_api_path_debit_usd_total" => format!("path/{}", Scrape::label(labels, "api_path")),
        _ => return None,
    })
}

impl Checks {
    /// None falls, none vanishes, a new one begins at zero.
    pub fn counters(&mut self, seen: &Seen<'_>, before: &BTreeMap<&'static str, Source>) -> Result<(), String> {
        let fresh_process = self.previous.values.is_empty();
        for (series, before) in &self.previous.values {
            let surviving = source_of(series).is_some();
            if self.previous.is_counter(series) && !surviving {
                let now = seen.scrape.get(series).ok_or_else(|| format!("{series} has vanished"))?;
                if now < *before {
                    return Err(format!("{series} fell from {before} to {now}"));
                }
            }
        }
        for (series, floor) in &self.marks.floor {
            let source = source_of(series).and_then(|name| self.sources.get(name)).cloned().unwrap_or_default();
            match seen.scrape.get(series) {
                Some(now) if now < *floor => return Err(format!("{series} fell from {floor} to {now}")),
                // What may have been restored from an older copy is shown once a report of all days was written.
                None if source.written > 2 => return Err(format!("{series} has vanished")),
                None if !self.may_be_stale(seen, source_of(series).unwrap_or_default(), source.restored) => {
                    return Err(format!("{series} is absent after a restart although its last success is young"));
                }
                _ => {}
            }
        }
        let served = self.previous.values.keys().filter(|series| self.previous.is_counter(series));
        let served: BTreeSet<&str> = served.filter_map(|series| source_of(series)).collect();
        let gap = seen.now - self.last;
        let held = i64::try_from(seen.plan.hold).unwrap() * 1_000;
        for (series, value) in &seen.scrape.values {
            let Some(source) = source_of(series).filter(|_| seen.scrape.is_counter(series)) else { continue };
            let known = self.marks.floor.insert(series.clone(), *value);
            // What the first success after a long gap brings was perhaps shown before: it does not begin again. Nor do the
            // counters of a storage that was old at the start, which are not served before one is kept.
            let begins = before[source].succeeded && served.contains(source) && !fresh_process && gap < held;
            if known.is_none() && *value > 0.0 && begins {
                return Err(format!("{series} began with {value} and not with 0"));
            }
        }
        Ok(())
    }

    /// Whether the stored success may be taken as too old after a restart.
    pub fn may_be_stale(&self, seen: &Seen<'_>, source: &str, stored: Option<i64>) -> bool {
        let max_age = seen.plan.max_age[usize::from(source == "batches")];
        let max_age = i64::try_from(max_age).unwrap() * 1_000;
        let old = stored.is_none_or(|stored| self.started - stored > max_age - 2_000);
        old || (self.started_rebooted && seen.plan.has(crate::plan::Trouble::WallClock))
    }

    /// The totals are at most what was spent since counting began, the parts at most what the vendor ever gave them.
    pub fn amounts(&self, seen: &Seen<'_>) -> Result<(), String> {
        let state = seen.network.state();
        let money = &state.oracle.money;
        for (series, value) in &seen.scrape.values {
            let Some(key) = key_of(series) else { continue };
            let counted = units(*value);
            if self.marks.money_base.is_empty() && counted != 0 {
                return Err(format!("{series} is {value} before counting has begun"));
            }
            if key.ends_with("/other") || counted == 0 {
                continue;
            }
            let base = match self.since {
                Some(_) => 0,
                None => {
                    self.marks.money_base.iter().map(|book| book.get(&key).copied().unwrap_or(0)).min().unwrap_or(0)
                }
            };
            // Where a report could be lost on its way to the ledger, one day may be known as it was before it was restated
            // down, and another as it was after.
            let highest = match money.lowered.contains(&key) && LOSES_REPORTS.iter().any(|kind| seen.plan.has(*kind)) {
                true => money.ceilings.get(&key),
                false => money.peaks.get(&key),
            };
            let most = highest.copied().unwrap_or(0) - base;
            if counted > most {
                return Err(format!("{series} is {counted} ten-thousandths, and the vendor gave at most {most} since"));
            }
        }
        Ok(())
    }

    /// Each (id, state) is an event once, but for those of the base line, listed or not.
    pub fn cards(&self, seen: &Seen<'_>) -> Result<(), String> {
        let state = seen.network.state();
        let cards = &state.oracle.cards;
        let counted = sums(seen.scrape, "batchdata_card_transactions_total", "status");
        if self.marks.cards_base.is_empty() {
            return match counted.values().any(|events| *events > 0) && !self.sources["card_transactions"].succeeded {
                true => Err("card events are counted before the first listing".to_owned()),
                false => Ok(()),
            };
        }
        for (status, events) in counted {
            let in_base = |id: i64| {
                self.marks.cards_base.iter().all(|listing| {
                    listing
                        .get(&id)
                        .is_some_and(|(known, day)| *known == status && self.since.is_none_or(|since| *day < since))
                })
            };
            let most = cards.seen.iter().filter(|(key, day)| {
                let before = cards.ended_before.contains(key) && self.since.is_none_or(|since| **day < since);
                key.1 == status && !before && !in_base(key.0)
            });
            let most = most.count();
            if events > most as u64 {
                return Err(format!("{events} card events are {status}, and at most {most} were seen"));
            }
        }
        Ok(())
    }

    /// At most the rows that the batches have.
    pub fn batches(&self, seen: &Seen<'_>) -> Result<(), String> {
        let since = seen.scrape.family("rightfoot_count_since_timestamp_seconds").next();
        let state = seen.network.state();
        rejected(seen, &state.oracle)?;
        let counted = Sums::counted(seen.scrape);
        if counted.is_empty() {
            return Ok(());
        }
        let (_, since) = since.ok_or("checks are counted before it is known since when")?;
        // After a reboot with a wrong clock nobody can tell when a pass was that asked for nothing.
        let lost = self.ever_rebooted && seen.plan.has(Trouble::WallClock);
        let never_troubled = self.vendor_clock_changed < 0 && !seen.plan.has(Trouble::Dates) && !lost;
        if let (Some((first, last)), None, true) = (self.marks.checks_first, seen.plan.checks_since, never_troubled) {
            let (low, high) = (first.timestamp() as f64 - 62.0, last.timestamp() as f64 + 62.0);
            if since < low || since > high {
                return Err(format!("checks count since {since}, and the first poll was between {low} and {high}"));
            }
        }
        let rows = state.oracle.batches.values().flat_map(|batch| &batch.rows);
        let most = Sums::of(rows.filter(|row| row.at as f64 >= since.floor()));
        match counted.more_than(&most).as_slice() {
            [] => Ok(()),
            more => Err(format!("more checks are counted than the batches have: {more:?}")),
        }
    }
}

/// The label under which a row is counted.
pub fn check_status(status: &str) -> String {
    let known = vendor_simulator::STATUSES.contains(&status);
    if known { status.to_ascii_lowercase() } else { "unknown".to_owned() }
}

/// Sums of a family by one label.
pub fn sums(scrape: &Scrape, family: &str, label: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (labels, value) in scrape.family(family) {
        *sums.entry(Scrape::label(labels, label).to_owned()).or_default() += value as u64;
    }
    sums
}
