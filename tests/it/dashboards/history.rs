//! Fourteen days as a Prometheus would have recorded them, up to this moment, made in less than a minute.
//!
//! Flows in: the simulator's everyday scenario and what [`story`](super::story) adds to it. Flows out: one OpenMetrics
//! file with timestamps, for `promtool tsdb create-blocks-from openmetrics`. Always holds: every value was served over
//! HTTP by an exporter that had polled the simulator; at each scrape both exporters have finished what was due.
//!
//! Two things run on real time: how long requests and scrapes take, and the process's own figures (`process_*`). Those
//! are of the built program, which runs once beside each exporter.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vendor_simulator::{Options, Scenario};
use wallet_exporter::clock::{Clock as _, ManualClock, SystemClock};
use wallet_exporter::upstream::{Reason, RequestLimits};

use super::families;
use super::recorder::{Recorder, Target};
use super::story::{SECOND_JOINS, Story, WEBHOOK_SECRET};
use crate::program::{Exporter, settings, vendors};
use crate::rig::{Rig, vendor_clock};

const DAYS: TimeDelta = TimeDelta::days(14);
/// Ten minutes keep the file small; the Prometheus that reads it looks back a little further than that.
const COARSE: TimeDelta = TimeDelta::minutes(10);
/// The shipped configuration's pace, for the panels of the last hours.
const FINE: TimeDelta = TimeDelta::seconds(30);
const FINE_FOR: TimeDelta = TimeDelta::minutes(390);

/// One of the two exporters.
pub struct Replica {
    pub rig: Rig,
    target: Target,
    /// Where it listened last.
    address: Option<SocketAddr>,
    started: DateTime<Utc>,
    /// Whose `process_*` are recorded.
    process: Exporter,
    process_storage: TempDir,
    vendor: String,
}

impl Replica {
    /// `vendor` is the address of a simulator for the process.
    pub fn new(mut rig: Rig, instance: &'static str, storage: &Path, ids: &Path, vendor: &str) -> Replica {
        for (name, value) in [
            ("STORAGE_PATH", storage.to_str().unwrap()),
            ("RIGHTFOOT_BATCH_IDS_FILE", ids.to_str().unwrap()),
            ("RIGHTFOOT_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:0"),
            ("METRICS_START_AT_ZERO", "2m"),
            ("BATCHDATA_SOURCES", "balance,consumption,card_transactions,transactions"),
            ("BATCHDATA_WARNING_BALANCE_USD", "400"),
            ("BATCHDATA_CRITICAL_BALANCE_USD", "100"),
            ("BATCHDATA_BUDGET_DAY_USD", "1800"),
            ("BATCHDATA_BUDGET_MONTH_USD", "52000"),
        ] {
            rig.set(name, value);
        }
        rig.limits = RequestLimits::default();
        let started = rig.clock.now();
        let process_storage = tempfile::tempdir().unwrap();
        let process = Exporter::start(&settings(process_storage.path(), vendor));
        let target = Target { job: "wallet-exporter", instance };
        Replica { rig, target, address: None, started, process, process_storage, vendor: vendor.to_owned() }
    }

    /// Starts it, and has the vendor's webhook point to it if it is the one that the vendor knows.
    pub async fn start(&mut self, known_to_vendor: bool) {
        self.rig.start().await;
        self.started = self.rig.clock.now();
        self.process.signal("-TERM");
        self.process.wait();
        self.process = Exporter::start(&settings(self.process_storage.path(), &self.vendor));
        self.address = self.rig.web();
        if let (true, Some(address)) = (known_to_vendor, self.rig.webhook()) {
            self.rig.vendors.set_webhook(Some(&format!("http://{address}/webhooks/rightfoot/{WEBHOOK_SECRET}")));
        }
    }

    /// Waits until nothing is due any more.
    async fn settle(&self) {
        let now = self.rig.clock.boot();
        let done = |rig: &Rig| {
            let snapshot = rig.snapshot();
            let sources: Vec<_> = snapshot.sources().collect();
            sources.iter().all(|view| {
                // After a 429 all sources of the credential wait together.
                let paused = sources.iter().any(|other| {
                    other.source.vendor == view.source.vendor
                        && other.up == Some(false)
                        && other.last_failure.as_ref().is_some_and(|failure| failure.reason == Reason::RateLimited)
                        && other.next_attempt.is_some_and(|next| next.boot > now)
                });
                paused || view.next_attempt.is_some_and(|next| next.boot > now)
            })
        };
        self.rig.until("everything that is due has been done", done).await;
    }

    /// What it serves at this moment, and how long it took to ask.
    async fn ask(&self) -> Option<(String, Duration)> {
        self.rig.web()?;
        let began = Instant::now();
        let served = request(self.address?, "GET /metrics", "").await.expect("the exporter answers");
        Some((served, began.elapsed()))
    }

    /// Scrapes it.
    async fn record(&self, recorder: &mut Recorder) {
        match self.ask().await {
            Some((text, took)) => {
                recorder.scraped(&self.target, &text, &self.process.get("/metrics").1, self.started.timestamp());
                recorder.told_by_prometheus(&self.target, true, took.as_secs_f64());
            }
            None => {
                let began = Instant::now();
                let address = self.address.expect("it has run before");
                assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it is down");
                recorder.told_by_prometheus(&self.target, false, began.elapsed().as_secs_f64());
            }
        }
    }
}

/// The body of the answer to an HTTP request of method, path and body, whatever its status.
pub async fn request(address: SocketAddr, line: &str, body: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    // HTTP/1.0: the body ends with the connection, in no chunks.
    let text = format!(
        "{line} HTTP/1.0\r\nHost: wallet-exporter\r\nAccept: application/openmetrics-text\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// Writes the file. Its last sample is of the moment in which this ends.
pub async fn write(path: &Path) {
    let began = Instant::now();
    let end = whole_minute(SystemClock.now());
    let begin = end - DAYS;
    let clock = ManualClock::new(begin);
    let options = Options { history_days: 60, scenario: Scenario::Everyday, ..Options::quiet(vendor_clock(&clock)) };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    let rig = Rig::with(clock.clone(), options).await;
    let other = rig.beside();
    let mut story = Story::new(rig.vendors.clone(), at("batch-ids"), end);
    story.list_batches(begin);
    let (_vendors, vendor) = vendors().await;
    let mut first = Replica::new(rig, "wallet-exporter-0:10700", &at("0"), &at("batch-ids"), &vendor);
    let mut second = Replica::new(other, "wallet-exporter-1:10700", &at("1"), &at("batch-ids"), &vendor);
    first.start(true).await;

    let mut recorder = Recorder::default();
    let mut now = begin;
    // The machine's clock goes on meanwhile: the last scrapes catch up with it.
    while now <= SystemClock.now() {
        clock.pass_to(now);
        story.go_on(now, &mut first).await;
        recorder.at(now.timestamp());
        first.settle_and_record(&mut recorder).await;
        if now >= end - SECOND_JOINS {
            if second.address.is_none() {
                second.start(false).await;
            }
            second.settle_and_record(&mut recorder).await;
        }
        now += if now < end - FINE_FOR { COARSE } else { FINE };
    }
    let recorded = recorder.families();
    // These exporters are no shards.
    let expected = families().into_iter().map(|(name, _)| name).filter(|name| *name != "wallet_exporter_shard_info");
    let missing: Vec<&str> = expected.filter(|name| !recorded.iter().any(|one| one == name)).collect();
    assert!(missing.is_empty(), "the fortnight has nothing of {missing:?}");
    let samples = recorder.write(path).unwrap();
    eprintln!("14 days, {samples} samples: {:.1} s", began.elapsed().as_secs_f32());
}

impl Replica {
    /// Scrapes it once it has done what is due.
    pub async fn settle_and_record(&self, recorder: &mut Recorder) {
        if self.rig.web().is_some() {
            self.settle().await;
        }
        self.record(recorder).await;
    }
}

fn whole_minute(time: DateTime<Utc>) -> DateTime<Utc> {
    time - TimeDelta::nanoseconds(i64::from(time.timestamp_subsec_nanos())) - TimeDelta::seconds(time.timestamp() % 60)
}
