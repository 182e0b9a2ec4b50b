//! The end of a world: all trouble ends, everything is read, and what was counted is compared with the oracle.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use rusqlite::{Connection, OpenFlags};
use wallet_exporter::clock::Clock as _;

use crate::checks::Seen;
use crate::counters::{key_of, sums, units};
use crate::network::Conditions;
use crate::oracle::Book;
use crate::plan::Trouble;
use crate::tallies::{Sums, by_report, counted_as_rejected, shown_by_report};
use crate::text::Scrape;
use crate::world::World;

impl World {
    pub async fn finish(&mut self) -> Result<(), String> {
        self.say(|| "all trouble ends".to_owned());
        self.calm();
        // Longest: a Retry-After of an hour, then a full read on the second poll of a new day that was not put off.
        self.until_everything_is_read().await?;
        self.look()?;
        self.money_at_the_end()?;
        self.compared_at_the_end()?;
        self.reports_at_the_end()?;
        self.cards_at_the_end()?;
        self.batches_at_the_end()?;
        self.sizes()
    }

    fn calm(&mut self) {
        self.vendors.clear_faults(None);
        for operation in vendor_simulator::Operation::ALL {
            self.vendors.set_permission(operation, true);
        }
        let ids: Vec<String> = self.network.state().oracle.batches.keys().cloned().collect();
        for id in ids {
            self.vendors.refuse_batch(&id, None);
        }
        self.network.pay(|_| true);
        let mut state = self.network.state();
        state.conditions = Conditions::calm();
        state.crash_after = None;
        (state.webhooks, state.announced) = (false, None);
        drop(state);
        if self.storage_fault.take().is_some() {
            if let Some(exporter) = &self.exporter {
                exporter.set_fault(None);
            }
            self.checks.storage_changed(self.time.ms());
        }
        self.checks.disturbed(self.time.ms());
    }

    /// Until all sources have succeeded again and the oracle's days were all given; at most for so long as the longest
    /// pauses and the way to the next full read take.
    async fn until_everything_is_read(&mut self) -> Result<(), String> {
        let seconds = self.plan.intervals.map(|interval| i64::try_from(interval).unwrap());
        let longest = seconds.iter().max().copied().unwrap();
        let settle = i64::try_from(self.plan.settle_after).unwrap();
        let start = self.time.now();
        let vendor_ahead = self.vendors.now() - self.time.now();
        let least = start + TimeDelta::seconds(longest * 3 + 120);
        let at_most = least + TimeDelta::seconds(2 * 3_600 + 90_000.max(longest * 4) + settle * 2 + longest * 4);
        let stride = Duration::from_secs(u64::try_from((longest / 3).clamp(20, 3_600)).unwrap());
        let before: BTreeMap<&str, f64> =
            self.checks.sources.iter().map(|(name, source)| (*name, source.polls - source.failures)).collect();
        let began = self.checks.started;
        loop {
            self.step(stride).await?;
            let sources = &self.checks.sources;
            let restarted = self.checks.started != began;
            let polled = sources.iter().all(|(name, source)| {
                if *name == "batches" && !self.has_answered_batch() {
                    return true;
                }
                source.polls - source.failures >= if restarted { 2.0 } else { before[name] + 2.0 }
            });
            // A clock that stepped far back leaves days ahead of it that the vendor does not answer for yet.
            let given = self.network.state().oracle.money.all_given() || vendor_ahead.num_seconds().abs() > 2;
            let settled = self.growing.is_empty() && self.batches_missing().is_empty();
            if self.time.now() > least && polled && given && settled {
                // The last report was answered; its poll must end, and new series show their values.
                return self.step(Duration::from_secs(120.max(self.plan.hold + 30))).await;
            }
            if self.time.now() > at_most {
                let missing = self.batches_missing();
                return Err(format!("not read at the end: polled {polled}, report whole {given}, batches {missing:?}"));
            }
        }
    }

    fn compared_at_the_end(&self) -> Result<(), String> {
        if !self.network.state().oracle.money.all_given() {
            return Ok(());
        }
        let seen = Seen {
            scrape: &self.checks.previous,
            plan: &self.plan,
            network: &self.network,
            now: self.time.ms(),
            wall: self.clock.now(),
            clock_error_ms: self.clock.error_ms(),
            storage_fault: None,
        };
        self.checks.difference_at_the_end(&seen)?;
        self.checks.burn_at_the_end(&seen)?;
        self.checks.budgets_at_the_end(&seen)
    }

    fn money_at_the_end(&self) -> Result<(), String> {
        let state = self.network.state();
        let money = &state.oracle.money;
        if !money.all_given() {
            return Ok(());
        }
        for (series, value) in &self.checks.previous.values {
            let Some(key) = key_of(series) else { continue };
            // Where names were folded, a part's own series may not exist or hold less.
            let part = key.contains('/');
            if money.lowered.contains(&key) || (part && self.plan.has(Trouble::ManyNames)) || key.ends_with("/other") {
                continue;
            }
            let total = money.expected.get(&key).copied().unwrap_or(0);
            let bases: Vec<i64> = match self.checks.since {
                Some(_) => vec![0],
                None => self.checks.marks.money_base.iter().map(|book| book.get(&key).copied().unwrap_or(0)).collect(),
            };
            let counted = units(*value);
            if !bases.iter().any(|base| total - base == counted) {
                let due: Vec<i64> = bases.iter().map(|base| total - base).collect();
                return Err(format!("at the end {series} is {counted} ten-thousandths and should be one of {due:?}"));
            }
        }
        Ok(())
    }

    /// What the counters of a report show, less what they hold back, is what the report says now.
    fn reports_at_the_end(&self) -> Result<(), String> {
        let state = self.network.state();
        let money = &state.oracle.money;
        if !money.all_given() {
            return Ok(());
        }
        let sums = |book: &Book| by_report(book.iter().map(|(key, amount)| (key.as_str(), *amount)));
        let expected = sums(&money.expected);
        let bases: Vec<BTreeMap<String, i64>> = match self.checks.since {
            Some(_) => vec![BTreeMap::new()],
            None => self.checks.marks.money_base.iter().map(sums).collect(),
        };
        let shown = shown_by_report(&self.checks.previous);
        for (labels, held) in self.checks.previous.family("batchdata_wallet_revised_down_usd") {
            let report = Scrape::label(labels, "report");
            let of = |book: &BTreeMap<String, i64>| book.get(report).copied().unwrap_or(0);
            let (reported, due) = (of(&shown) - units(held), bases.iter().map(|base| of(&expected) - of(base)));
            if !due.clone().any(|due| due == reported) {
                let due: Vec<i64> = due.collect();
                return Err(format!(
                    "at the end {report} less what is held back is {reported} and should be of {due:?}"
                ));
            }
        }
        Ok(())
    }

    fn cards_at_the_end(&self) -> Result<(), String> {
        if self.checks.cards_vanished || self.checks.storage_was_ever_lost {
            return Ok(());
        }
        let counted = sums(&self.checks.previous, "batchdata_card_transactions_total", "status");
        let since = self.checks.since;
        for status in ["paid", "failed", "unknown"] {
            let in_a_base = |id: i64| {
                self.checks.marks.cards_base.iter().any(|listing| {
                    listing
                        .get(&id)
                        .is_some_and(|(known, day)| *known == status && since.is_none_or(|since| *day < since))
                })
            };
            let now = self.standing.cards.iter();
            let due = now.filter(|card| {
                !card.changed_late && crate::oracle::status_name(card.status) == status && !in_a_base(card.id)
            });
            let due = due.count() as u64;
            let events = counted.get(status).copied().unwrap_or(0);
            if events < due {
                return Err(format!("at the end {events} card events are {status}, and at least {due} happened"));
            }
        }
        Ok(())
    }

    /// Whether any listed id is one that the vendor answers for. If it refuses all, the source has failed.
    fn has_answered_batch(&self) -> bool {
        let state = self.network.state();
        self.standing.listed.iter().any(|id| state.oracle.batches.contains_key(id))
    }

    /// What certain batches have and is not counted.
    fn batches_missing(&self) -> Vec<String> {
        let scrape = &self.checks.previous;
        let Some((_, since)) = scrape.family("rightfoot_count_since_timestamp_seconds").next() else {
            let due = self.has_answered_batch();
            return due.then(|| "count_since".to_owned()).into_iter().collect();
        };
        let state = self.network.state();
        let certain = || state.oracle.batches.values().filter(|batch| batch.listed && !batch.uncertain);
        let rows = certain().flat_map(|batch| &batch.rows).filter(|row| row.at as f64 >= since.ceil());
        let mut missing = Sums::of(rows).more_than(&Sums::counted(scrape));
        // An export whose every row is rejected is not an answer: such a batch is failing instead.
        let (failing, answered): (Vec<_>, Vec<_>) =
            certain().filter(|batch| !batch.rows.is_empty()).partition(|batch| batch.rows.iter().all(|row| row.broken));
        let broken = answered.iter().flat_map(|batch| &batch.rows).filter(|row| row.broken).count() as u64;
        let counted = counted_as_rejected(scrape);
        if counted < broken {
            missing.push(format!("rejected: {broken}, not {counted}"));
        }
        let states = scrape.family("rightfoot_batches");
        let shown: f64 =
            states.filter(|(labels, _)| Scrape::label(labels, "state") == "failing").map(|found| found.1).sum();
        if shown < failing.len() as f64 {
            missing.push(format!("failing batches: {}, not {shown}", failing.len()));
        }
        missing
    }

    fn batches_at_the_end(&self) -> Result<(), String> {
        match self.batches_missing().as_slice() {
            [] => Ok(()),
            missing => Err(format!("at the end fewer checks are counted than {missing:?}")),
        }
    }

    /// Rows and bytes stay within what the world's own size explains.
    fn sizes(&mut self) -> Result<(), String> {
        let path = self.directory.join(wallet_exporter::store::FILE_NAME);
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let rows = |table: &str| -> i64 {
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        let days = self.time.elapsed().as_secs() as i64 / 86_400 + 110;
        // Ids that name no batch are forgotten 400 days after they were seen, by a clock that may be a week off.
        let remembered = self.time.ms() - 415 * 86_400_000;
        let unknown = self.standing.unknown.iter().filter(|(_, seen)| *seen > remembered).count();
        let listed = self.standing.unknown.iter().filter(|(id, _)| self.standing.listed.contains(id)).count();
        let batches = self.network.state().oracle.batches.len() + unknown + listed + 400;
        // An endless listing invents as many as it has pages for.
        let invented = if self.plan.has(Trouble::Drift) { 100_000 } else { 0 };
        let cards = i64::from(self.standing.new_cards) + invented;
        let bounds = [
            ("batch", i64::try_from(batches).unwrap()),
            ("card_transaction", cards),
            ("card_pending", cards),
            ("card_latest", 12),
            ("card_counter", 160),
            ("check_counter", 16),
            ("check_institution", 80),
            ("probe", 0),
            ("consumption_day", days * 320),
            ("series", 700),
            ("label", 420),
            ("consumption_counter", 320),
            ("source", 4),
            // An hour of polls, in the world that polls most often.
            ("balance_poll", 4_300),
            ("reconciliation", 1),
            ("account", 2),
        ];
        for (table, most) in bounds {
            let found = rows(table);
            if found > most {
                return Err(format!("table {table} has {found} rows, more than {most}"));
            }
        }
        let bytes = std::fs::metadata(&path).unwrap().len();
        if bytes > 64 * 1024 * 1024 {
            return Err(format!("the database has {bytes} bytes"));
        }
        self.bytes = bytes;
        Ok(())
    }
}
