//! The wallet's history as files: what `export` and `report` do.
//!
//! ```text
//!  ask          requests that are tried again, and the vendor's today
//!  recorded     what the exporter's own ledger knows, read beside a running one
//!  sums         what a day's transactions add up to, against the report
//!  days         a file for each day: rows (csv, jsonl), focus
//!  openmetrics  series for Prometheus (amounts: by hour, balances: out of transactions)
//!  statement    a month
//! ```
//!
//! Flows in: a client, days, a format. Flows out: files, or one stream; notes for people. Invariant: amounts stay exact;
//! of the two personal fields nothing is written but what was named; nothing of the ledger is changed.

pub mod amounts;
pub mod ask;
pub mod balances;
mod day_file;
pub mod day_format;
pub mod days;
pub mod focus;
pub mod openmetrics;
pub mod recorded;
pub mod rows;
pub mod statement;
pub mod sums;

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use super::Client;
use super::consumption::ledger::REACH;
use crate::clock::SharedClock;
use crate::store::OpenError;
use crate::upstream::RequestError;

/// The origin of what a card paid in.
const TOP_UP: &str = "wallet_card_top_up";

/// Why there is no file, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// What was asked for makes no sense; in words.
    #[error("{0}")]
    Usage(String),
    /// The vendor did not answer, or refused.
    #[error("{0}")]
    Vendor(#[from] RequestError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// The files.
    #[error("{what}: {source}")]
    Output {
        /// Which.
        what: String,
        /// What the system says.
        source: io::Error,
    },
}

impl HistoryError {
    pub(super) fn output(what: impl fmt::Display) -> impl FnOnce(io::Error) -> HistoryError {
        move |source| HistoryError::Output { what: what.to_string(), source }
    }
}

/// Where files go.
pub enum Out<'a> {
    /// Below this directory.
    Directory(PathBuf),
    /// One after the other into this.
    Stream(&'a mut (dyn io::Write + Send)),
}

/// Tells people how it goes on.
pub trait Progress: Send + Sync {
    /// Something that they should know.
    fn note(&self, text: &str);
    /// So many of so many steps are done.
    fn step(&self, done: usize, of: usize);
}

/// Whose history, and how to get it.
pub struct History<'a> {
    /// The wallet's client.
    pub client: &'a Client,
    /// Time.
    pub clock: SharedClock,
    /// The label `account`.
    pub account: &'a str,
    /// Who is told.
    pub progress: &'a dyn Progress,
}

impl History<'_> {
    /// Says that days may be empty because the vendor no longer has them.
    fn warn_of_old_days(&self, from: NaiveDate, today: NaiveDate) {
        let covered = reach(today);
        if from < covered {
            let words = "the vendor's report covers the last 365 days";
            self.progress.note(&format!("{words}: what is before {covered} may be empty although money was spent"));
        }
    }
}

/// Writes a file below a directory that is there as a whole or not at all.
///
/// # Errors
/// What writing it returns, or if it cannot be put in its place.
pub async fn write_whole<T>(
    directory: &Path,
    path: &Path,
    write: impl AsyncFnOnce(&mut BufWriter<File>) -> Result<T, HistoryError>,
) -> Result<T, HistoryError> {
    let broken = || HistoryError::output(format!("cannot write {}", path.display()));
    let _lock = days::lock(directory)?;
    let temporary = day_file::hidden(path, "tmp");
    let outcome = async {
        std::fs::create_dir_all(path.parent().unwrap_or(directory)).map_err(broken())?;
        let mut out = BufWriter::new(day_file::create(&temporary, false).map_err(broken())?);
        let written = write(&mut out).await.map_err(|error| match error {
            HistoryError::Output { source, .. } => broken()(source),
            other => other,
        })?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error).map_err(broken())?;
        file.sync_all().and_then(|()| std::fs::rename(&temporary, path)).map_err(broken())?;
        Ok(written)
    };
    let outcome = outcome.await;
    if outcome.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    outcome
}

/// The days of a range, both ends included.
fn days(from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    from.iter_days().take_while(move |day| *day <= to)
}

/// A UTC day's first moment.
fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The first day that the vendor's report covers for sure. Whether it has older ones is not known.
pub(super) fn reach(today: NaiveDate) -> NaiveDate {
    today.checked_sub_days(Days::new(REACH)).unwrap_or(today)
}

/// The days that were asked for; by default those that the vendor answers for, up to its today.
fn range(
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    today: NaiveDate,
) -> Result<(NaiveDate, NaiveDate), HistoryError> {
    let to = to.unwrap_or(today);
    if to > today {
        return Err(HistoryError::Usage(format!("--to: {to} is in the future: it is {today} at the vendor")));
    }
    let from = from.unwrap_or_else(|| reach(today).min(to));
    if from > to {
        return Err(HistoryError::Usage(format!("--from: {from} is after --to, {to}")));
    }
    Ok((from, to))
}
