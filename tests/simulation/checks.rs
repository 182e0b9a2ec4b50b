//! The invariants, checked on what a scraper reads.
//!
//! Flows in: each scrape, and word of what was done to the world. Flows out: the first invariant that does not hold.
//! Invariant: a bound is as tight as what the harness knows for sure, and never tighter.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use vendor_simulator::{CANARIES, Operation};
use wallet_exporter::clock::Clock as _;

use crate::clock::MachineClock;
use wallet_exporter::store::StorageFault;

use crate::counters::source_of;
use crate::exporter::files;
use crate::network::{Dates, Network};
use crate::oracle::{Book, Listing};
use crate::pauses::only_lost_twice;
use crate::plan::{Plan, SOURCES, Trouble};
use crate::reload::WALLET;
use crate::tallies::{answers_are_kept, unattributed};
use crate::text::Scrape;

/// What is known of one source.
#[derive(Clone, Debug, Default)]
pub struct Source {
    pub polls: f64,
    pub failures: f64,
    /// Between these two milliseconds the last success came.
    pub success: Option<(i64, i64)>,
    /// Before this none was stored later; and the same when this process started.
    pub stored: Option<i64>,
    pub restored: Option<i64>,
    /// It has succeeded since this process started.
    pub succeeded: bool,
    /// In how many scrapes since this process started it had succeeded while the storage worked.
    pub written: u32,
    /// The announced attempt, in milliseconds of true time, and in which scrape it was read.
    pub announced: Option<(i64, i64)>,
}

/// What holds as long as the storage is kept.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    pub at: i64,
    /// The highest value that was shown of each counter that survives.
    pub floor: BTreeMap<String, f64>,
    /// What the totals may have been when counting began; empty while they are not known to count.
    pub money_base: Vec<Book>,
    /// The same for the cards.
    pub cards_base: Vec<Listing>,
    pub checks_tried: Option<DateTime<Utc>>,
    /// Between which milliseconds the balance that a report was first compared with may have been polled.
    pub compared: Option<(i64, i64)>,
    /// Between which two moments of the vendor's clock the batches were first polled with success.
    pub checks_first: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

#[derive(Default)]
pub struct Checks {
    pub marks: Marks,
    /// When each counter was last seen, and its value.
    pub served: BTreeMap<String, (DateTime<Utc>, f64)>,
    /// The exporter's clock was ahead since the storage is kept.
    pub clock_was_ahead: bool,
    pub sources: BTreeMap<&'static str, Source>,
    pub hash: u64,
    pub scrapes: u64,
    /// In how many scrapes the balance had to agree with the report, and was compared with it.
    pub compared: u64,
    /// When the last scrape was, and when this process started.
    pub last: i64,
    pub last_vendor: DateTime<Utc>,
    pub started: i64,
    pub wall_set: bool,
    pub was_rebooted: bool,
    /// The machine was started again at some time.
    pub ever_rebooted: bool,
    /// The machine was started again before this process.
    pub started_rebooted: bool,
    /// An older copy was put back and a card was lost or left a state: what is counted of cards may differ.
    pub cards_vanished: bool,
    pub vendor_clock_changed: i64,
    /// When no report was known yet to have come since then.
    pub vendor_clock_unheard: i64,
    pub lied: i64,
    pub disturbed: i64,
    pub storage_changed: i64,
    pub storage_was_ever_lost: bool,
    /// A report that was answered may not have come to the ledger.
    pub reports_may_be_lost: bool,
    pub since: Option<NaiveDate>,
    pub previous: Scrape,
}

/// What one scrape is checked with.
pub struct Seen<'a> {
    pub scrape: &'a Scrape,
    pub plan: &'a Plan,
    pub network: &'a Network,
    pub now: i64,
    pub wall: DateTime<Utc>,
    /// How far that is from the true time.
    pub clock_error_ms: i64,
    pub storage_fault: Option<StorageFault>,
}

/// Long ago.
const NEVER: i64 = i64::MIN / 4;

impl Checks {
    pub fn new(plan: &Plan) -> Checks {
        Checks {
            sources: SOURCES.into_iter().map(|source| (source, Source::default())).collect(),
            hash: 0xcbf2_9ce4_8422_2325,
            since: plan.wallet_since,
            last_vendor: plan.start,
            vendor_clock_changed: NEVER,
            vendor_clock_unheard: NEVER,
            lied: NEVER,
            disturbed: NEVER,
            storage_changed: NEVER,
            ..Checks::default()
        }
    }

    pub fn started(&mut self, ms: i64) {
        self.started = ms;
        self.started_rebooted = self.was_rebooted;
        self.last = ms;
        self.disturbed = ms;
        self.previous = Scrape::default();
        for source in self.sources.values_mut() {
            let (success, stored) = (source.success, source.stored);
            *source = Source { success, stored, restored: stored, ..Source::default() };
        }
    }

    /// The process ends. What it learnt since the last scrape, nobody saw.
    pub fn ended(&mut self, ms: i64, network: &Network) {
        self.reports_may_be_lost = true;
        network.note_read();
        network.state().oracle.batches.values_mut().for_each(|batch| batch.answered = None);
        network.state().lost_twice.clear();
        if self.marks.checks_tried.is_none() {
            self.marks.checks_tried = Some(network.vendors.now() - TimeDelta::milliseconds(ms - self.started));
        }
        for source in self.sources.values_mut() {
            let low = source.success.map_or(NEVER, |(low, _)| low);
            source.success = Some((low, ms));
        }
    }

    /// The wallet's polls ended and began again with the same process.
    pub fn wallet_restarted(&mut self, ms: i64, network: &Network) {
        self.reports_may_be_lost = true;
        network.state().lost_twice.retain(|operation, _| *operation == Operation::BalancesCsv);
        if self.marks.checks_tried.is_none() {
            self.marks.checks_tried = Some(network.vendors.now() - TimeDelta::milliseconds(ms - self.started));
        }
        self.started = ms;
        self.started_rebooted = self.was_rebooted;
        self.disturbed = ms;
        let account = format!("account=\"{WALLET}\"");
        self.previous.values.retain(|series, _| !series.contains(&account));
        for (_, source) in self.sources.iter_mut().filter(|(name, _)| **name != "batches") {
            let (success, stored) = (source.success.map(|(low, _)| (low, ms)), source.stored);
            *source = Source { success, stored, restored: stored, ..Source::default() };
        }
    }

    pub fn rebooted(&mut self) {
        self.was_rebooted = true;
        self.ever_rebooted = true;
    }

    pub fn wall_clock_set(&mut self) {
        self.wall_set = true;
    }

    pub fn vendor_clock_set(&mut self, ms: i64) {
        self.vendor_clock_changed = ms;
        self.vendor_clock_unheard = ms;
    }

    pub fn disturbed(&mut self, ms: i64) {
        self.disturbed = ms;
    }

    pub fn storage_changed(&mut self, ms: i64) {
        self.reports_may_be_lost = true;
        self.storage_changed = ms;
    }

    pub fn marks(&self) -> Marks {
        Marks { at: self.last, ..self.marks.clone() }
    }

    pub fn storage_lost(&mut self, network: &Network) {
        self.marks = Marks::default();
        self.served.clear();
        self.clock_was_ahead = false;
        self.storage_was_ever_lost = true;
        for source in self.sources.values_mut() {
            (source.success, source.stored) = (None, None);
        }
        let mut state = network.state();
        state.oracle.money.reports.clear();
        state.oracle.money.recording = true;
        state.oracle.cards.listings.clear();
        state.oracle.cards.recording = true;
    }

    /// An older copy: the report restores what was counted of the spend, nothing restores the rest.
    pub fn put_back(&mut self, old: &Marks, plan: &Plan, network: &Network) {
        let kept: BTreeMap<String, f64> = std::mem::take(&mut self.marks.floor);
        self.marks = old.clone();
        let mut state = network.state();
        // A copy from before anything was counted begins anew. Which names are folded depends on the order in which they
        // came.
        let counts = !self.marks.money_base.is_empty();
        if counts && state.oracle.money.lowered.is_empty() && !plan.has(Trouble::ManyNames) {
            self.marks.floor.extend(kept.into_iter().filter(|(series, _)| series.starts_with("batchdata_wallet_")));
        }
        if self.marks.money_base.is_empty() {
            state.oracle.money.reports.clear();
            state.oracle.money.recording = true;
        }
        if self.marks.cards_base.is_empty() {
            state.oracle.cards.listings.clear();
            state.oracle.cards.recording = true;
        }
        self.cards_vanished = true;
        let cards = !self.marks.cards_base.is_empty();
        self.served.retain(|series, _| match source_of(series) {
            Some("consumption") => counts,
            Some("card_transactions") => cards,
            // What has settled since then counts anew.
            _ => false,
        });
        for source in self.sources.values_mut() {
            source.stored = None;
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a scrape and all that is around it")]
    pub fn look(
        &mut self,
        (text, messages): (&str, &[u8]),
        status: &str,
        plan: &Plan,
        network: &Network,
        clock: &MachineClock,
        directory: &Path,
        storage_fault: Option<StorageFault>,
    ) -> Result<(), String> {
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.scrapes += 1;
        let scrape = Scrape::read(text)?;
        canaries("the exposition", text.as_bytes())?;
        canaries("the status", status.as_bytes())?;
        if self.scrapes.is_multiple_of(64) {
            for file in files(directory) {
                canaries(&file.display().to_string(), &std::fs::read(&file).unwrap())?;
            }
        }
        let now = network.time.ms();
        let (wall, clock_error_ms) = (clock.now(), clock.error_ms());
        let seen = Seen { scrape: &scrape, plan, network, now, wall, clock_error_ms, storage_fault };
        if network.state().conditions.wallet_dates != Dates::Honest {
            self.lied = now;
        }
        let before = self.sources.clone();
        self.follow(&seen);
        let changed = self.vendor_clock_changed;
        if changed > NEVER && self.sources["consumption"].success.is_none_or(|(low, _)| low <= changed) {
            self.vendor_clock_unheard = now;
        }
        self.base_lines(&seen);
        self.counters(&seen, &before)?;
        self.starts(messages, &seen)?;
        self.amounts(&seen)?;
        self.cards(&seen)?;
        self.batches(&seen)?;
        unattributed(&seen)?;
        answers_are_kept(&seen, self.sources["batches"].polls)?;
        self.gauges(&seen)?;
        self.periods(&seen)?;
        self.budgets(&seen)?;
        self.budget_of_today(&seen)?;
        self.reconciled(&seen)?;
        self.runway(&seen)?;
        self.schedule(&seen, &before)?;
        only_lost_twice(&seen)?;
        self.storage(&seen, &before)?;
        self.last = now;
        self.last_vendor = network.vendors.now();
        self.previous = scrape;
        Ok(())
    }

    /// Which sources have succeeded since the last scrape.
    fn follow(&mut self, seen: &Seen<'_>) {
        let written = seen.storage_fault.is_none() && self.storage_changed < self.last;
        // A run that began with an old storage may need a report of all days before a success counts at the next start.
        let began_old = |(name, source): (&&'static str, &Source)| {
            (*name, source.restored.is_some() && self.may_be_stale(seen, name, source.restored))
        };
        let began_old: BTreeMap<&'static str, bool> = self.sources.iter().map(began_old).collect();
        for (name, source) in &mut self.sources {
            let of = |family: &str| -> f64 {
                let labels = format!("source=\"{name}\"");
                seen.scrape.family(family).filter(|(text, _)| text.contains(&labels)).map(|(_, value)| value).sum()
            };
            let (polls, failures) =
                (of("wallet_exporter_source_polls_total"), of("wallet_exporter_source_failures_total"));
            if polls - failures > source.polls - source.failures {
                source.success = Some((self.last, seen.now));
                source.succeeded = true;
                if written {
                    source.written += 1;
                    if source.written > 2 || !began_old[name] {
                        source.stored = Some(self.last);
                    }
                }
            }
            (source.polls, source.failures) = (polls, failures);
        }
        if self.sources.values().all(|source| source.succeeded) {
            self.was_rebooted = false;
            self.wall_set = false;
        }
    }

    /// When counting is seen to have begun, what was known before is the base line.
    fn base_lines(&mut self, seen: &Seen<'_>) {
        let mut state = seen.network.state();
        let oracle = &mut state.oracle;
        if self.marks.money_base.is_empty() {
            if seen.scrape.has_family("batchdata_wallet_count_since_timestamp_seconds") {
                self.marks.money_base = oracle.money.reports.iter().map(|(_, totals)| totals.clone()).collect();
                oracle.money.recording = false;
            } else {
                // Whatever was answered longer ago than a request may take was not counted.
                oracle.money.reports.retain(|(ms, _)| *ms < self.started || seen.now - ms < 90_000);
            }
        }
        // A pass that brought only some answers begins it, too.
        if self.sources["batches"].polls > 0.0 && self.marks.checks_tried.is_none() {
            let process = TimeDelta::milliseconds(seen.now - self.started);
            self.marks.checks_tried = Some(seen.network.vendors.now() - process);
        }
        let written = seen.storage_fault.is_none() && self.storage_changed < self.last;
        if self.sources["batches"].succeeded && written && self.marks.checks_first.is_none() {
            let tried = self.marks.checks_tried.unwrap_or(self.last_vendor);
            self.marks.checks_first = Some((tried, seen.network.vendors.now()));
        }
        if self.marks.cards_base.is_empty() {
            // A listing that could not be written is no base line.
            let success = self.sources["card_transactions"].success;
            // No fault outlives its process.
            let kept = |low| self.storage_changed <= self.started || low > self.storage_changed;
            let written = seen.storage_fault.is_none() && success.is_some_and(|(low, _)| kept(low));
            if self.sources["card_transactions"].succeeded && written {
                self.marks.cards_base = oracle.cards.listings.iter().map(|(_, listing)| listing.clone()).collect();
                oracle.cards.recording = false;
            } else if seen.storage_fault.is_none() {
                let kept = self.storage_changed.max(self.started);
                oracle.cards.listings.retain(|(ms, _)| *ms < kept || seen.now - ms < 90_000);
            }
        }
    }
}

fn canaries(place: &str, bytes: &[u8]) -> Result<(), String> {
    for canary in CANARIES {
        if memchr::memmem::find(bytes, canary.as_bytes()).is_some() {
            return Err(format!("{canary} appears in {place}"));
        }
    }
    Ok(())
}
