//! What goes wrong in a world: the vendors, the network, the clocks, the storage, the machine, the id list, the webhook.
//!
//! Invariant: each kind of trouble comes only in worlds that drew it, and all of it can end.

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use vendor_simulator::{CsvChange, Fault, Operation};

use crate::checks::Marks;
use wallet_exporter::store::{StorageFault, StorageFaultKind};

use crate::exporter::copy_storage;
use crate::network::{Conditions, Dates};
use crate::plan::{Trouble, draw_error};
use crate::world::World;

/// An older copy of the storage, and what had been shown when it was made.
pub struct Saved {
    directory: PathBuf,
    marks: Marks,
}

const LONG_RETRY: [Option<&str>; 4] = [None, Some("7"), Some("240"), Some("9000")];

impl World {
    fn happens(&mut self, trouble: Trouble, one_in: u32) -> bool {
        self.plan.has(trouble) && self.rng.u32(..one_in) == 0
    }

    pub async fn trouble(&mut self) -> Result<(), String> {
        if self.happens(Trouble::Faults, 8) {
            self.vendor_fault();
        }
        if self.plan.has(Trouble::Faults) && self.rng.u32(..4) == 0 {
            self.vendors.clear_faults(None);
            for operation in Operation::ALL {
                self.vendors.set_permission(operation, true);
            }
        }
        self.conditions();
        if self.happens(Trouble::WallClock, 10) {
            let error = if self.rng.u32(..3) == 0 { 0 } else { draw_error(&mut self.rng) };
            self.say(|| format!("the wall clock is set to {} s off", error / 1_000));
            self.clock.set_error_ms(error);
            self.checks.wall_clock_set();
        }
        if self.happens(Trouble::SimulatorClock, 20) {
            let offset =
                if self.rng.u32(..3) == 0 { 0 } else { draw_error(&mut self.rng).clamp(-90_000_000, 90_000_000) };
            self.say(|| format!("the vendor's clock is set to {} s off", offset / 1_000));
            self.vendors.set_clock_offset(TimeDelta::milliseconds(offset));
            self.network.state().oracle.money.day_set(self.vendors.now().date_naive());
            self.doubt_batches();
            self.checks.vendor_clock_set(self.time.ms());
        }
        if self.storage_fault.is_none() && self.happens(Trouble::Storage, 10) {
            let kinds =
                [StorageFaultKind::Full, StorageFaultKind::ReadOnly, StorageFaultKind::Io, StorageFaultKind::Locked];
            let skip = if self.rng.bool() { 0 } else { self.rng.u32(..20) };
            self.storage_fault = Some(StorageFault { skip, kind: kinds[self.rng.usize(..4)] });
            self.say(|| format!("the storage fails: {:?}", self.storage_fault));
            self.set_storage_fault();
        } else if self.storage_fault.is_some() && self.rng.u32(..4) == 0 {
            self.storage_fault = None;
            self.say(|| "the storage works again".to_owned());
            self.set_storage_fault();
        }
        if self.plan.has(Trouble::ListEdits) {
            self.edit_list();
        }
        if self.plan.has(Trouble::Webhooks) {
            self.webhook().await;
        }
        self.ends().await
    }

    fn set_storage_fault(&mut self) {
        if let Some(exporter) = &self.exporter {
            exporter.set_fault(self.storage_fault);
        }
        self.checks.storage_changed(self.time.ms());
    }

    fn vendor_fault(&mut self) {
        let operation = Operation::ALL[self.rng.usize(..4)];
        if self.rng.u32(..8) == 0 {
            self.vendors.set_permission(operation, false);
            self.say(|| format!("{operation:?}: permission lost"));
            return self.checks.disturbed(self.time.ms());
        }
        let retry = LONG_RETRY[self.rng.usize(..4)];
        let amount = self.rng.usize(..3);
        let fault = match self.rng.u32(..26) {
            0 => Fault::Hang,
            1 => Fault::NoReply,
            2 => Fault::ResetAtOnce,
            3 => Fault::Drip { every_ms: self.rng.u64(1..100) },
            4 => Fault::ResetMidBody,
            5 => Fault::ShortContentLength,
            6 => Fault::AbortedChunk,
            7 => Fault::CutInRecord,
            8 => Fault::CutAtLineEnd,
            9 => Fault::Unframed,
            10 => Fault::status([400, 401, 403, 404, 422, 500, 503][self.rng.usize(..7)]),
            11 => Fault::throttled(retry),
            12 => Fault::Redirect { code: 302, location: "https://elsewhere.example/".to_owned() },
            13 => Fault::Envelope { code: 500 },
            14 => Fault::Html,
            15 => Fault::EmptyBody,
            16 => Fault::MalformedJson,
            17 => Fault::AmountsAsStrings,
            18 => Fault::amounts(["null", "\"NaN\"", "1e400"][amount]),
            19 => Fault::missing(["results", "results.data", "results.balance"][amount]),
            20 => {
                Fault::replaced(["results.summary.total_debit", "results.currency", "results.meta.total"][amount], "7")
            }
            21 => Fault::Flood { bytes: 200_000 },
            22 if self.plan.has(Trouble::Drift) => Fault::EndlessPages,
            23 if self.plan.has(Trouble::Drift) => Fault::PageDrift { remove: self.rng.bool() },
            24 | 25 => self.csv_fault(),
            _ => Fault::html(502),
        };
        if matches!(fault, Fault::PageDrift { remove: true }) {
            self.checks.cards_vanished = true;
        }
        let operation = match fault {
            Fault::Csv { .. } => Operation::BalancesCsv,
            Fault::EndlessPages | Fault::PageDrift { .. } => Operation::CreditCardTransactions,
            _ => operation,
        };
        let times = [Some(1), Some(3), Some(20), None][self.rng.usize(..4)];
        // Each answer adds a card: without an end there would be more of them than a listing may hold.
        let times = if matches!(fault, Fault::PageDrift { .. }) { times.or(Some(20)) } else { times };
        self.say(|| format!("{operation:?}: {fault:?} for {times:?}"));
        self.checks.reports_may_be_lost |= operation == Operation::ConsumptionReport;
        self.vendors.fault(operation, fault, times);
        self.checks.disturbed(self.time.ms());
    }

    /// The report is not answered, perhaps beyond midnight.
    pub fn fail_before_midnight(&mut self) {
        let fault = Fault::status([401, 404, 500, 503][self.rng.usize(..4)]);
        let times = Some(self.rng.u32(1..12));
        self.say(|| format!("before midnight: {fault:?} for {times:?}"));
        self.vendors.fault(Operation::ConsumptionReport, fault, times);
        self.checks.disturbed(self.time.ms());
        if let Some(exporter) = &self.exporter {
            drop(exporter.poll_now("consumption"));
        }
    }

    /// Some change nothing that counts; under the others only upper bounds hold for what is open.
    fn csv_fault(&mut self) -> Fault {
        let column = |name: &str| name.to_owned();
        let change = match self.rng.u32(..14) {
            0 => CsvChange::Bom,
            1 => CsvChange::Crlf,
            2 => CsvChange::Reverse,
            3 => CsvChange::Extra(column("Plan")),
            4 => CsvChange::NoFinalNewline,
            5 => CsvChange::Drop(column("Status")),
            6 => CsvChange::NotUtf8(column("Institution")),
            other => {
                self.doubt_batches();
                match other {
                    7 => CsvChange::SetInRow(0, column("Balance"), "abc".to_owned()),
                    8 => CsvChange::SetInRow(1, column("Timestamp"), "yesterday".to_owned()),
                    9 => CsvChange::RaggedShort(1),
                    10 => CsvChange::RaggedLong(0),
                    11 => CsvChange::ForeignRows(2),
                    12 => CsvChange::HeaderOnly,
                    _ => CsvChange::OpenQuote(2),
                }
            }
        };
        Fault::csv(change)
    }

    /// What is open now may settle as what it is not.
    fn doubt_batches(&mut self) {
        for batch in self.network.state().oracle.batches.values_mut() {
            batch.uncertain = true;
        }
    }

    fn conditions(&mut self) {
        let ms = self.time.ms();
        let mut conditions = self.network.state().conditions.clone();
        let before = format!("{conditions:?}");
        if self.rng.u32(..5) == 0 {
            conditions = Conditions { latency_ms: conditions.latency_ms, ..Conditions::calm() };
        }
        if self.happens(Trouble::RequestLimits, 12) {
            let retry = LONG_RETRY[self.rng.usize(..4)].map(str::to_owned);
            let limit = Some((self.rng.u32(1..6), retry));
            match self.rng.bool() {
                true => conditions.wallet_limit = limit,
                false => conditions.checks_limit = limit,
            }
        }
        if self.happens(Trouble::Strays, 10) {
            conditions.stray = self.rng.u32(0..200);
            conditions.lost = self.rng.u32(0..200);
        }
        if self.happens(Trouble::Dates, 10) {
            let now = self.vendors.now() - TimeDelta::days(self.rng.i64(0..4));
            let dates = match self.rng.u32(..4) {
                0 => Dates::Missing,
                1 => Dates::Frozen(now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
                _ => Dates::Off(draw_error(&mut self.rng) / 1_000 * [1, 40][self.rng.usize(..2)]),
            };
            if self.rng.bool() {
                conditions.wallet_dates = dates;
            } else {
                conditions.checks_dates = dates;
                self.doubt_batches();
            }
        }
        let after = format!("{conditions:?}");
        if after != before {
            self.say(|| after);
            self.network.state().conditions = conditions;
            self.checks.disturbed(ms);
        }
    }

    /// Ends of the process, the machine, or the storage.
    async fn ends(&mut self) -> Result<(), String> {
        if self.happens(Trouble::Crashes, 10) {
            self.network.state().crash_after = Some(self.rng.u32(1..8));
        }
        if self.happens(Trouble::Restarts, 20) {
            self.stop_exporter().await;
            self.storage_fault = None;
            let down = self.rng.u64(0..[10, 600, 9_000, 90_000, 90_000][self.plan.scale]);
            self.say(|| format!("restart; down for {down} s"));
            tokio::time::sleep(Duration::from_secs(down)).await;
            if self.rng.u32(..3) == 0 {
                self.reboot();
            }
            self.start_exporter()?;
        }
        if self.plan.in_file && self.storage_fault.is_none() && self.happens(Trouble::Reloads, 15) {
            self.reload().await?;
        }
        if self.happens(Trouble::LostStorage, 30) {
            self.say(|| "the storage is lost".to_owned());
            self.stop_exporter().await;
            self.storage_fault = None;
            self.directory = self.fresh_directory();
            self.standing.saved = None;
            self.checks.storage_lost(&self.network);
            self.start_exporter()?;
        }
        if self.plan.has(Trouble::OldCopy) {
            self.old_copy().await?;
        }
        Ok(())
    }

    async fn old_copy(&mut self) -> Result<(), String> {
        if self.standing.saved.is_none() && self.rng.u32(..20) == 0 {
            let directory = self.fresh_directory();
            copy_storage(&self.directory, &directory);
            self.say(|| "a copy of the storage is made".to_owned());
            self.standing.saved = Some(Saved { directory, marks: self.checks.marks() });
        } else if self.rng.u32(..20) == 0 {
            let age = self.standing.saved.as_ref().map(|saved| self.time.ms() - saved.marks.at);
            let longest = self.plan.max_age.iter().max().unwrap() * 1_000;
            if age.is_some_and(|age| age > i64::try_from(longest).unwrap() + 60_000)
                && let Some(saved) = self.standing.saved.take()
            {
                self.say(|| "an older copy of the storage is put back".to_owned());
                self.checks.put_back(&saved.marks, &self.plan, &self.network);
                self.crash(Some(saved.directory)).await?;
            }
        }
        Ok(())
    }
}
