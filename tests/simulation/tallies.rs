//! Invariants of what the rows of settled batches add up to, and of sums that the exposition itself must agree on.
//!
//! Invariant: the oracle adds up what happened at the vendor; a fault that changes rows leaves no upper bound for what
//! is rejected.

use std::collections::BTreeMap;

use crate::checks::Seen;
use crate::counters::{check_status, key_of, units};
use crate::oracle::{Oracle, Row};
use crate::plan::Trouble;
use crate::text::Scrape;

/// What rows add up to: by status, by institution and status, successful checks with a balance, and those in cents.
#[derive(Debug, Default)]
pub struct Sums {
    parts: BTreeMap<String, u64>,
    balances: u64,
    cents: i64,
    names_broken: bool,
}

impl Sums {
    pub fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Sums {
        let mut sums = Sums::default();
        for row in rows.filter(|row| !row.broken) {
            let status = check_status(&row.status);
            *sums.parts.entry(format!("{}/{status}", row.institution)).or_default() += 1;
            *sums.parts.entry(status).or_default() += 1;
            if let Some(cents) = row.balance_cents {
                sums.balances += 1;
                sums.cents += cents.max(0);
            }
        }
        sums
    }

    pub fn counted(scrape: &Scrape) -> Sums {
        let mut sums = Sums::default();
        for (labels, value) in scrape.family("rightfoot_balance_checks_total") {
            *sums.parts.entry(Scrape::label(labels, "status").to_owned()).or_default() += value as u64;
        }
        for (labels, value) in scrape.family("rightfoot_balance_checks_by_institution_total") {
            // A fault has broken a name: whose rows those are nobody can tell.
            sums.names_broken |= Scrape::label(labels, "institution").contains(char::REPLACEMENT_CHARACTER);
            let key = format!("{}/{}", Scrape::label(labels, "institution"), Scrape::label(labels, "status"));
            *sums.parts.entry(key).or_default() += value as u64;
        }
        let one = |family: &str| scrape.family(family).map(|(_, value)| value).sum::<f64>();
        sums.balances = one("rightfoot_balance_check_balance_usd_count") as u64;
        sums.cents = (one("rightfoot_balance_check_balance_usd_sum") * 100.0).round() as i64;
        sums
    }

    pub fn is_empty(&self) -> bool {
        self.parts.values().all(|rows| *rows == 0)
    }

    /// What of `self` is more than there is in `other`.
    pub fn more_than(&self, other: &Sums) -> Vec<String> {
        let of_other = |key: &String| other.parts.get(key).copied().unwrap_or(0);
        let told = |key: &String| !key.contains('/') || !(self.names_broken || other.names_broken);
        let parts = self.parts.iter().filter(|(key, rows)| told(key) && **rows > of_other(key));
        let mut more: Vec<String> = parts.map(|(key, rows)| format!("{key}: {rows}, not {}", of_other(key))).collect();
        if self.balances > other.balances {
            more.push(format!("balances: {}, not {}", self.balances, other.balances));
        }
        if self.cents > other.cents {
            more.push(format!("cents: {}, not {}", self.cents, other.cents));
        }
        more
    }
}

/// Rows with a column too many are rejected, each once.
pub fn rejected(seen: &Seen<'_>, oracle: &Oracle) -> Result<(), String> {
    if seen.plan.has(Trouble::Faults) {
        return Ok(());
    }
    let counted = counted_as_rejected(seen.scrape);
    let most = oracle.batches.values().flat_map(|batch| &batch.rows).filter(|row| row.broken).count() as u64;
    if counted > most {
        return Err(format!("{counted} rows are counted as rejected, and the batches have {most}"));
    }
    Ok(())
}

pub fn counted_as_rejected(scrape: &Scrape) -> u64 {
    scrape.family("rightfoot_balance_check_rows_rejected_total").map(|(_, rows)| rows as u64).sum()
}

/// The report that a counter belongs to, as the label `report` names it.
fn report_of(key: &str) -> &str {
    match key.split_once('/').map_or(key, |(family, _)| family) {
        "path" => "api_path_debit",
        family => family,
    }
}

/// Sums over all series of a report.
pub fn by_report<'a>(book: impl Iterator<Item = (&'a str, i64)>) -> BTreeMap<String, i64> {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for (key, amount) in book {
        *sums.entry(report_of(key).to_owned()).or_default() += amount;
    }
    sums
}

/// What the counters of each report show.
pub fn shown_by_report(scrape: &Scrape) -> BTreeMap<String, i64> {
    let keys: Vec<(String, i64)> =
        scrape.values.iter().filter_map(|(series, value)| Some((key_of(series)?, units(*value)))).collect();
    by_report(keys.iter().map(|(key, amount)| (key.as_str(), *amount)))
}

/// What no part accounts for is the difference of what is shown.
pub fn unattributed(seen: &Seen<'_>) -> Result<(), String> {
    let shown = shown_by_report(seen.scrape);
    let of = |report: &str| shown.get(report).copied().unwrap_or(0);
    for (labels, value) in seen.scrape.family("batchdata_wallet_unattributed_usd") {
        let parts = Scrape::label(labels, "report");
        let total = if parts == "origin_credit" { "credit" } else { "debit" };
        let due = of(total) - of(parts);
        if units(value) != due {
            return Err(format!("unattributed {parts} is {value}; the series differ by {due} ten-thousandths"));
        }
    }
    Ok(())
}

/// Whatever ended a pass: the batches that it has answers about are open with their rows, or counted.
pub fn answers_are_kept(seen: &Seen<'_>, polls: f64) -> Result<(), String> {
    seen.network.note_read();
    let mut state = seen.network.state();
    for answered in state.oracle.batches.values_mut().filter_map(|batch| batch.answered.as_mut()) {
        answered.polls.get_or_insert(polls);
    }
    let scrape = seen.scrape;
    let (Some((_, since)), true) = (
        scrape.family("rightfoot_count_since_timestamp_seconds").next(),
        scrape.has_family("rightfoot_open_balance_checks"),
    ) else {
        return Ok(());
    };
    let rows = |family: &str| scrape.family(family).map(|(_, rows)| rows as usize).sum::<usize>();
    let (open, counted) = (rows("rightfoot_open_balance_checks"), rows("rightfoot_balance_checks_total"));
    let mut states = scrape.family("rightfoot_batches");
    let settled = states.any(|(labels, batches)| labels.contains("state=\"settled\"") && batches > 0.0);
    // The first checks that are counted show as zero for a while.
    if counted == 0 && settled {
        return Ok(());
    }
    let mut due = 0;
    for batch in state.oracle.batches.values().filter(|batch| batch.listed && !batch.uncertain) {
        // The pass in which the answer came has ended since.
        if let Some(answered) = batch.answered.filter(|answered| answered.polls.is_some_and(|before| before < polls)) {
            let known = batch.rows.iter().take(answered.rows);
            due += known.filter(|row| !row.broken && row.at as f64 >= since.ceil()).count();
        }
    }
    if open + counted < due {
        return Err(format!("{open} checks are open and {counted} counted, and answers held {due}"));
    }
    Ok(())
}
