//! A file for each UTC day.
//!
//! Flows in: the report by day, and the transactions of those days that are new or restated. Flows out: files. Invariant:
//! a day is downloaded again only if the report says something else of it than before, if it was not over, or if its
//! transactions were not what the report says; a run that was killed goes on where it was.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDate;
use sha2::{Digest as _, Sha256};

use super::day_file::{DayFile, Remembered};
use super::day_format::{DayFormat, KnownDay};
use super::rows::Include;
use super::sums::Sums;
use super::{History, HistoryError, Out, days, range};
use crate::batchdata::transactions::{Transaction, TransactionSink};
use crate::batchdata::{CardStatus, CardTransaction, DayConsumption};
use crate::money::{Usd, dollars};
use crate::store::Lock;

/// What is exported.
pub struct DayExport {
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub to: Option<NaiveDate>,
    /// The personal fields.
    pub include: Include,
    /// A new format for each day.
    pub format: fn(Include) -> Box<dyn DayFormat>,
}

/// Writes a day's rows as they come.
struct DaySink<W> {
    format: Box<dyn DayFormat>,
    out: W,
    sums: Sums,
    outcome: io::Result<()>,
}

impl<W: Write + Send> TransactionSink for DaySink<W> {
    fn row(&mut self, row: &Transaction<'_>) {
        self.sums.add(row);
        if self.outcome.is_ok() {
            self.outcome = self.format.row(row, &mut self.out);
        }
    }
}

impl<W: Write> DaySink<W> {
    fn new(export: &DayExport, out: W) -> DaySink<W> {
        DaySink { format: (export.format)(export.include), out, sums: Sums::default(), outcome: Ok(()) }
    }

    fn finish(mut self, day: NaiveDate, known: &KnownDays, account: &str) -> io::Result<(W, Sums)> {
        self.outcome?;
        let nothing = DayConsumption::default();
        let known = KnownDay {
            account,
            date: day,
            report: known.report.get(&day).unwrap_or(&nothing),
            cards: known.cards.get(&day).map_or(&[], Vec::as_slice),
            sums: &self.sums,
        };
        self.format.end(&known, &mut self.out)?;
        Ok((self.out, self.sums))
    }
}

/// What is known of the days before their transactions are read.
struct KnownDays {
    report: BTreeMap<NaiveDate, DayConsumption>,
    cards: BTreeMap<NaiveDate, Vec<CardTransaction>>,
}

impl KnownDays {
    /// A digest of all that a day's file is made of beside the transactions.
    fn digest(&self, day: NaiveDate) -> String {
        let mut digest = Sha256::new();
        let nothing = DayConsumption::default();
        let report = self.report.get(&day).unwrap_or(&nothing);
        digest.update(format!("{report:?}{:?}", self.cards.get(&day)));
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What a day's file is made of, by what people call it.
    fn amounts(&self, day: NaiveDate, sums: &Sums, needs_cards: bool) -> BTreeMap<String, String> {
        let mut amounts = vec![("debits", sums.total.debit), ("credits", sums.total.credit)];
        if needs_cards {
            let total = self.report.get(&day).map(|report| report.total).unwrap_or_default();
            let charged = self.cards.get(&day).into_iter().flatten();
            let charged = charged.map(|card| card.credits.unwrap_or_default() + card.processing_fee + card.sales_tax);
            amounts.extend([
                ("debits in the report", total.debit),
                ("credits in the report", total.credit),
                ("charged to the card", charged.sum()),
            ]);
        }
        amounts.into_iter().map(|(name, amount)| (name.to_owned(), amount.to_string())).collect()
    }
}

impl History<'_> {
    /// Writes the days. Returns how many files are new or other ones than before.
    ///
    /// # Errors
    /// See [`HistoryError`]. What was written before stays.
    pub async fn export_days(&self, export: &DayExport, out: Out<'_>) -> Result<usize, HistoryError> {
        let today = self.today().await?;
        let (from, to) = range(export.from, export.to, today)?;
        self.warn_of_old_days(from, today);
        let mut known = KnownDays { report: self.by_day(from, to).await?, cards: BTreeMap::new() };
        if (export.format)(export.include).needs_cards() {
            for card in self.cards(from, to).await?.into_iter().filter(|card| card.status == CardStatus::Paid) {
                known.cards.entry(card.created_at.date_naive()).or_default().push(card);
            }
        }
        match out {
            Out::Stream(out) => self.stream_days(export, (from, to), today, &known, out).await,
            Out::Directory(directory) => {
                let _lock = lock(&directory)?;
                let (mut changed, of) = (0, days(from, to).count());
                for (done, day) in days(from, to).enumerate() {
                    self.progress.step(done, of);
                    changed += usize::from(self.one_day(export, day, today, &known, &directory).await?);
                }
                self.progress.step(of, of);
                Ok(changed)
            }
        }
    }

    /// All days, one after the other. What has gone out cannot be taken back: a day that fails within is the end.
    async fn stream_days(
        &self,
        export: &DayExport,
        (from, to): (NaiveDate, NaiveDate),
        today: NaiveDate,
        known: &KnownDays,
        out: &mut (dyn Write + Send),
    ) -> Result<usize, HistoryError> {
        let broken = || HistoryError::output("cannot write the output");
        (export.format)(export.include).head(out).map_err(broken())?;
        let (of, shared) = (days(from, to).count(), Mutex::new((out, 0)));
        for (done, day) in days(from, to).enumerate() {
            self.progress.step(done, of);
            let written = || shared.lock().map_or(0, |shared| shared.1);
            let before = written();
            let sink = || {
                if written() != before {
                    let words = format!("the output ends within {day}");
                    return Err(HistoryError::output(words)(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(DaySink::new(export, SharedOutput(&shared)))
            };
            let (sink, _) = self.transactions((day, day), sink).await?;
            let (_, sums) = sink.finish(day, known, self.account).map_err(broken())?;
            self.compare(day, today, &sums, &known.report);
        }
        self.progress.step(of, of);
        SharedOutput(&shared).flush().map_err(broken())?;
        Ok(of)
    }

    /// One day into its file. Returns whether the file is new or another one.
    async fn one_day(
        &self,
        export: &DayExport,
        day: NaiveDate,
        today: NaiveDate,
        known: &KnownDays,
        directory: &Path,
    ) -> Result<bool, HistoryError> {
        let name = (export.format)(export.include).file_name();
        let file = DayFile::new(directory, self.account, day, name, export.include.any());
        let (before, report) = (file.remembered(), known.digest(day));
        let is_intact = before.as_ref().is_some_and(|before| file.is_intact(before));
        let unchanged = |before: &Remembered| {
            before.over && before.complete && before.report == report && before.include == export.include
        };
        if is_intact && before.as_ref().is_some_and(unchanged) {
            return Ok(false);
        }
        let broken = || HistoryError::output(format!("cannot write {}", file.path().display()));
        let sink = || {
            let mut sink = DaySink::new(export, file.begin().map_err(broken())?);
            sink.format.head(&mut sink.out).map_err(broken())?;
            Ok(sink)
        };
        let (sink, summary) = self.transactions((day, day), sink).await?;
        let (out, sums) = sink.finish(day, known, self.account).map_err(broken())?;
        let written = file.written(out).map_err(broken())?;
        self.compare(day, today, &sums, &known.report);
        let state = Remembered {
            report,
            include: export.include,
            over: day < today,
            complete: sums.is_total(known.report.get(&day)) && summary.rejected == 0,
            rows: sums.rows,
            amounts: known.amounts(day, &sums, (export.format)(export.include).needs_cards()),
            bytes: written.bytes,
        };
        // Before the file is replaced: a run that is killed in between says it again.
        if let Some(before) = before.filter(|before| before.over) {
            let changes = changes(&before, &state);
            let other_rows = is_intact && !written.is_same && before.include == state.include;
            if other_rows || !changes.is_empty() {
                let words = format!("{day}: the vendor has restated it, and it is written again{changes}");
                self.progress.note(&words);
            }
        }
        file.replace(&written).and_then(|()| file.remember(&state)).map_err(broken())?;
        Ok(!written.is_same)
    }

    /// Says where transactions and report differ. From the day `open` on, the two were asked at different moments.
    pub(super) fn compare(
        &self,
        day: NaiveDate,
        open: NaiveDate,
        sums: &Sums,
        report: &BTreeMap<NaiveDate, DayConsumption>,
    ) {
        let nothing = DayConsumption::default();
        if day < open {
            let found = sums.differences(day, report.get(&day).unwrap_or(&nothing));
            found.iter().for_each(|difference| self.progress.note(difference));
        }
    }
}

/// One output for one sink after the other, and how much has gone out.
struct SharedOutput<'a, 'o>(&'a Mutex<(&'o mut (dyn Write + Send), u64)>);

impl Write for SharedOutput<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.1 += bytes.len() as u64;
        shared.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.flush()
    }
}

/// What has changed of a day, each after a comma.
fn changes(before: &Remembered, after: &Remembered) -> String {
    let change = |(what, after): (&String, &String)| {
        let (before, after) = (Usd::stored(before.amounts.get(what)?)?, Usd::stored(after)?);
        let by = (after - before).decimal();
        let sign = if by.is_sign_negative() { "" } else { "+" };
        let amounts = (dollars(before.decimal()), dollars(after.decimal()));
        (!by.is_zero()).then(|| format!(", {what} {} -> {} ({sign}{})", amounts.0, amounts.1, dollars(by)))
    };
    let mut changes: String = after.amounts.iter().filter_map(change).collect();
    if before.rows != after.rows {
        changes.push_str(&format!(", transactions {} -> {}", before.rows, after.rows));
    }
    changes
}

/// Keeps a second export out of the same directory.
pub(super) fn lock(directory: &Path) -> Result<Lock, HistoryError> {
    let path: PathBuf = directory.join(".wallet-exporter.lock");
    let broken = || HistoryError::output(format!("cannot write {}", directory.display()));
    std::fs::create_dir_all(directory).map_err(broken())?;
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(broken())?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(std::fs::TryLockError::WouldBlock) => {
            let held = io::Error::new(io::ErrorKind::ResourceBusy, "another export is writing there");
            Err(broken()(held))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(broken()(error)),
    }
}
