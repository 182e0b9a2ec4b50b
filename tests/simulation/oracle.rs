//! What is true of the wallet, in integers.
//!
//! Flows in: what was changed at the vendor, and which days and cards its answers held. Flows out: bounds for what
//! may be counted. Invariant: amounts are ten-thousandths of a dollar, and nothing here knows the exporter's own rules.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::budgets::Tracked;
use crate::money::Movements;

/// The wallet's total, or a part of it: `debit`, `origin_debit/api_request`.
pub type Key = String;
pub type Book = BTreeMap<Key, i64>;

/// The money.
#[derive(Default)]
pub struct Money {
    /// Only days from here on count, if it was configured.
    since: Option<NaiveDate>,
    /// What was reported of budgets.
    pub tracked: Tracked,
    days: BTreeMap<NaiveDate, Book>,
    given: BTreeMap<NaiveDate, Book>,
    dirty: BTreeSet<NaiveDate>,
    /// The sums of the days that count, as last given.
    pub totals: Book,
    /// The sums of the days that count, as they are.
    pub expected: Book,
    /// The highest of `totals` ever.
    pub peaks: Book,
    /// The sums of the highest that each day ever was.
    pub ceilings: Book,
    day_peaks: BTreeMap<NaiveDate, Book>,
    /// What was ever restated down.
    pub lowered: BTreeSet<Key>,
    /// `totals` after each report since nobody asked for them.
    pub reports: Vec<(i64, Book)>,
    /// Whether `reports` are wanted: while a base line is looked for.
    pub recording: bool,
    /// Milliseconds, day, debit and credit of the vendor's day in each report of late.
    pub today: Vec<(i64, NaiveDate, i64, i64)>,
}

impl Money {
    pub fn new(since: Option<NaiveDate>) -> Money {
        Money { since, recording: true, ..Money::default() }
    }

    pub fn change(&mut self, day: NaiveDate, key: &str, amount: i64) {
        if amount == 0 {
            return;
        }
        if amount < 0 {
            self.lowered.insert(key.to_owned());
        }
        *self.days.entry(day).or_default().entry(key.to_owned()).or_default() += amount;
        if self.since.is_none_or(|since| day >= since) {
            *self.expected.entry(key.to_owned()).or_default() += amount;
        }
        self.dirty.insert(day);
    }

    /// A report of these days was answered; `day` is the vendor's own.
    pub fn report(&mut self, ms: i64, from: NaiveDate, to: NaiveDate, day: NaiveDate) {
        let dirty: Vec<NaiveDate> = self.dirty.range(from..=to.max(from)).copied().collect();
        let mut moved = BTreeSet::new();
        for date in dirty {
            self.dirty.remove(&date);
            let now = self.days.get(&date).cloned().unwrap_or_default();
            let before = self.given.insert(date, now.clone()).unwrap_or_default();
            for key in now.keys() {
                self.tracked.given(date, key, (before.get(key).copied().unwrap_or(0), now[key]));
            }
            if self.since.is_some_and(|since| date < since) {
                continue;
            }
            for key in now.keys().chain(before.keys()).cloned().collect::<BTreeSet<_>>() {
                let change = now.get(&key).unwrap_or(&0) - before.get(&key).unwrap_or(&0);
                *self.totals.entry(key.clone()).or_default() += change;
                let amount = now.get(&key).copied().unwrap_or(0);
                let peak = self.day_peaks.entry(date).or_default().entry(key.clone()).or_default();
                if amount > *peak {
                    *self.ceilings.entry(key.clone()).or_default() += amount - *peak;
                    *peak = amount;
                }
                moved.insert(key);
            }
        }
        for key in moved {
            let total = self.totals[&key];
            let peak = self.peaks.entry(key).or_insert(total);
            *peak = (*peak).max(total);
        }
        if self.recording {
            // What is dated after the vendor's own day is not in its answer; its clock was ahead when that was spent.
            let mut totals = self.totals.clone();
            for (date, book) in self.given.range(day.succ_opt().unwrap()..) {
                if self.since.is_none_or(|since| *date >= since) {
                    for (key, amount) in book {
                        *totals.entry(key.clone()).or_default() -= amount;
                    }
                }
            }
            self.reports.push((ms, totals));
        }
        let amount = |key: &str| self.days.get(&day).and_then(|book| book.get(key)).copied().unwrap_or(0);
        self.today.push((ms, day, amount("debit"), amount("credit")));
        if self.today.len() > 64 {
            self.today.remove(0);
        }
    }

    /// The vendor's clock was set: what is dated after its day is not in its answers, and may not have been written before.
    pub fn day_set(&mut self, day: NaiveDate) {
        self.dirty.extend(self.days.range(day.succ_opt().unwrap()..).map(|(date, _)| *date));
    }

    /// A change of a total and its parts; a part without a name is none.
    pub fn change_all(&mut self, day: NaiveDate, keys: &[(&str, &str)], amount: i64) {
        for (family, name) in keys {
            let key = match (*family, *name) {
                ("debit" | "credit", _) => (*family).to_owned(),
                (_, "") => continue,
                (family, name) => format!("{family}/{name}"),
            };
            self.change(day, &key, amount);
        }
    }

    /// The days as they were last given.
    pub fn all_days_given(&self) -> &BTreeMap<NaiveDate, Book> {
        &self.given
    }

    pub fn days(&self) -> &BTreeMap<NaiveDate, Book> {
        &self.days
    }

    /// Whether the last reports hold everything.
    pub fn all_given(&self) -> bool {
        self.dirty.is_empty()
    }
}

/// Cards by id: their status, and the day they were made on.
pub type Listing = BTreeMap<i64, (&'static str, NaiveDate)>;

/// What the vendor listed of the cards.
#[derive(Default)]
pub struct Cards {
    /// Each state in which an id was ever listed: `paid`, `failed`, `unknown`; with the day it was made on.
    pub seen: BTreeMap<(i64, &'static str), NaiveDate>,
    /// What had ended before the exporter first ran, by the state in which it did.
    pub ended_before: BTreeSet<(i64, &'static str)>,
    /// Complete listings: when, and what they held.
    pub listings: Vec<(i64, Listing)>,
    open: Listing,
    pub recording: bool,
}

pub fn status_name(status: Option<i64>) -> &'static str {
    match status {
        Some(0) => "pending",
        Some(1) => "paid",
        Some(2) => "failed",
        _ => "unknown",
    }
}

impl Cards {
    /// A page was answered.
    pub fn page(&mut self, ms: i64, body: &[u8]) {
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else { return };
        let Some(rows) = json["results"]["data"].as_array() else { return };
        let meta = &json["results"]["meta"];
        if meta["current_page"] == 1 {
            self.open.clear();
        }
        for row in rows {
            let Some(id) = row["id"].as_i64() else { continue };
            let day = row["created_at"].as_str().and_then(|text| text[..10].parse().ok()).unwrap_or_default();
            let status = status_name(row["status"].as_i64());
            if status != "pending" {
                self.seen.insert((id, status), day);
            }
            self.open.insert(id, (status, day));
        }
        if self.recording && meta["current_page"] == meta["last_page"] {
            self.listings.push((ms, self.open.clone()));
        }
    }
}

/// A row of a batch.
#[derive(Clone, Debug)]
pub struct Row {
    pub status: String,
    pub institution: String,
    /// Of a successful check.
    pub balance_cents: Option<i64>,
    /// With a column too many.
    pub broken: bool,
    /// Seconds since 1970.
    pub at: i64,
}

/// A batch as it is at the vendor.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub rows: Vec<Row>,
    /// Milliseconds when it began, and when it got its last row.
    pub begun: i64,
    pub last_row: i64,
    /// It may settle before it got all rows, or only in part: only upper bounds hold.
    pub uncertain: bool,
    pub listed: bool,
    /// What this process was last told of it.
    pub answered: Option<Answered>,
}

/// A good answer about a batch.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// How many rows it held.
    pub rows: usize,
    /// How many polls had ended in the first scrape after it.
    pub polls: Option<f64>,
}

/// Everything that is true.
pub struct Oracle {
    pub money: Money,
    pub movements: Movements,
    pub cards: Cards,
    pub batches: BTreeMap<String, Batch>,
}

impl Oracle {
    pub fn new(since: Option<NaiveDate>) -> Oracle {
        Oracle {
            money: Money::new(since),
            movements: Movements::default(),
            cards: Cards { recording: true, ..Cards::default() },
            batches: BTreeMap::new(),
        }
    }
}
