//! The history as files: what `export` and `report` write, against the simulator's books.

mod days;
mod focus;
mod live;
mod output;
mod program;
mod series;
mod servers;
mod statement;

use std::io::Write;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use vendor_simulator::Options;
use wallet_exporter::batchdata::Client;
use wallet_exporter::batchdata::history::day_format::DayFormat;
use wallet_exporter::batchdata::history::days::DayExport;
use wallet_exporter::batchdata::history::openmetrics::SeriesExport;
use wallet_exporter::batchdata::history::recorded::Recorded;
use wallet_exporter::batchdata::history::rows::{Csv, Include};
use wallet_exporter::batchdata::history::{History, HistoryError, Out, Progress};
use wallet_exporter::clock::ManualClock;

use crate::rig::{Rig, at, vendor_clock};

/// Writes down what people are told.
#[derive(Default)]
pub struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn step(&self, done: usize, of: usize) {
        assert!(done <= of);
    }
}

impl Notes {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A wallet with a past, and who exports it.
pub struct Past {
    pub rig: Rig,
    pub client: Client,
    pub notes: Notes,
}

/// Now, in these tests.
pub const NOW: &str = "2026-05-19T12:34:56Z";

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

impl Past {
    /// With so many days of the simulator's own history.
    pub async fn of_days(history_days: u32) -> Past {
        let clock = ManualClock::new(at(NOW));
        let options = Options { history_days, ..Options::quiet(vendor_clock(&clock)) };
        let mut rig = Rig::with(clock, options).await;
        rig.set("BATCHDATA_REQUESTS_PER_MINUTE", "3000");
        Past::in_rig(rig)
    }

    pub fn in_rig(rig: Rig) -> Past {
        let client = rig.wallet();
        Past { rig, client, notes: Notes::default() }
    }

    pub fn history(&self) -> History<'_> {
        let clock = Arc::new(self.rig.clock.clone());
        History { client: &self.client, clock, account: "default", progress: &self.notes }
    }

    pub async fn days(
        &self,
        (from, to): (&str, &str),
        format: fn(Include) -> Box<dyn DayFormat>,
        out: Out<'_>,
    ) -> Result<usize, HistoryError> {
        let include = Include::default();
        let export = DayExport { from: Some(day(from)), to: Some(day(to)), include, format };
        self.history().export_days(&export, out).await
    }

    pub async fn csv(&self, days: (&str, &str), out: Out<'_>) -> Result<usize, HistoryError> {
        self.days(days, |include| Box::new(Csv(include)), out).await
    }

    pub async fn series(&self, export: SeriesExport<'_>) -> Result<String, HistoryError> {
        let mut out = Vec::new();
        self.history().export_series(export, &mut out as &mut (dyn Write + Send)).await?;
        Ok(String::from_utf8(out).unwrap())
    }
}

/// Everything by default.
pub fn everything<'a>() -> SeriesExport<'a> {
    SeriesExport { from: None, to: None, count_since: None, recorded: Recorded::default(), labels: &[] }
}
