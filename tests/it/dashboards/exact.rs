//! Figures computed by hand from what the simulator was told, and the same figures by the panels' own queries.
//!
//! Flows in: a day and a half with an outage over midnight, and the dashboards. Flows out: a panel whose figure is not the
//! one computed. Always holds: what is expected was added up here, in cents, from the orders, and from nothing that the
//! exporter said.
//!
//! Needs promtool and prometheus, in each version that is there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::Value;
use vendor_simulator::{CardEvent, Options};
use wallet_exporter::clock::ManualClock;
use wallet_exporter::money::Usd;

use super::board::expression;
use super::history::Replica;
use super::recorder::Recorder;
use super::text;
use crate::alerts::servers::{free_port, get};
use crate::alerts::tools::{run, versions};
use crate::program::vendors;
use crate::rig::{Rig, at, vendor_clock};

const BEGIN: &str = "2026-05-17T22:00:00Z";
const END: &str = "2026-05-19T12:00:00Z";
/// Between two scrapes, as nearly every look at a dashboard is: there `increase()` tells more than was counted.
const LOOKED: &str = "2026-05-19T12:04:00Z";
const STOPS: &str = "2026-05-18T23:30:00Z";
const STARTS_AGAIN: &str = "2026-05-19T00:20:00Z";
const STEP: TimeDelta = TimeDelta::minutes(10);
const PATIENCE: Duration = Duration::from_secs(60);

const SEARCH: &str = "/api/v1/property/search";
const VERIFY: &str = "/api/v1/address/verify";
const DNC: &str = "/api/v1/phone/dnc";

/// When, origin, path, cents.
const SPENT: [(&str, &str, &str, i64); 5] = [
    ("2026-05-18T03:05:00Z", "api_request", SEARCH, 1_010),
    ("2026-05-18T20:05:00Z", "api_request", VERIFY, 2_025),
    // While the exporter is down.
    ("2026-05-18T23:45:00Z", "api_request", SEARCH, 777),
    ("2026-05-19T05:05:00Z", "list_builder_ui", DNC, 330),
    ("2026-05-19T11:25:00Z", "api_request", VERIFY, 600),
];

const BALANCE_AT_FIRST: i64 = 10_000;
/// When, cents, paid or not.
const CARD: [(&str, i64, bool); 3] = [
    ("2026-05-18T09:05:00Z", 50_000, true),
    ("2026-05-19T08:05:00Z", 25_000, true),
    ("2026-05-19T08:35:00Z", 4_000, false),
];

/// A panel's figure.
struct Figure {
    board: &'static str,
    panel: &'static str,
    query: &'static str,
    /// What the series has to bear, of several.
    labels: &'static [(&'static str, &'static str)],
    expected: f64,
    /// Where it is no sum of cents.
    tolerance: f64,
}

fn spent(from: &str, to: &str, chosen: impl Fn(&str, &str) -> bool) -> i64 {
    let inside = SPENT.iter().filter(|(time, origin, path, _)| *time > from && *time <= to && chosen(origin, path));
    inside.map(|(_, _, _, cents)| cents).sum()
}

fn dollars(cents: i64) -> f64 {
    let cents = i32::try_from(cents).expect("a small amount");
    f64::from(cents) / 100.0
}

/// What the panels must show at [`LOOKED`] with the 24 hours before it chosen.
fn figures() -> Vec<Figure> {
    let (yesterday, range, today) = ("2026-05-18T00:00:00Z", "2026-05-18T12:00:00Z", "2026-05-19T00:00:00Z");
    let every = |_: &str, _: &str| true;
    let all_spent = spent(BEGIN, END, every);
    let in_range = spent(range, END, every);
    let paid: i64 = CARD.iter().filter(|(_, _, paid)| *paid).map(|(_, cents, _)| cents).sum();
    let balance = BALANCE_AT_FIRST + paid - all_spent;
    let hourly = dollars(in_range) / 24.0;
    // At the highest spend rate of the last hour, 6 hours and 24 hours.
    let since = [("2026-05-19T11:00:00Z", 1.0), ("2026-05-19T06:00:00Z", 6.0), (range, 24.0)];
    let fastest = since.map(|(begin, hours)| dollars(spent(begin, END, every)) / hours).into_iter().fold(0.0, f64::max);
    let until_empty = dollars(balance) / fastest / 24.0;
    // Nothing was spent four weeks ago: as the elapsed share of the month, at noon of the 19th.
    let month = dollars(all_spent) * 31.0 / 18.5;
    let figure = |board, panel, expected| Figure { board, panel, query: "A", labels: &[], expected, tolerance: 1e-6 };
    vec![
        figure("wallet", "Balance", dollars(balance)),
        figure("wallet", "Spend rate, last hour", dollars(spent("2026-05-19T11:00:00Z", END, every))),
        Figure { labels: &[("window", "24h")], ..figure("wallet", "Runway now", hourly) },
        Figure { query: "B", tolerance: 0.02, ..figure("wallet", "Runway", until_empty) },
        figure("wallet", "Spent this month", dollars(all_spent)),
        Figure { tolerance: 1e-4, ..figure("wallet", "Month-end projection", month) },
        Figure {
            query: "C",
            labels: &[("period", "month")],
            tolerance: 1e-4,
            ..figure("wallet", "Budgets of the running periods", month)
        },
        Figure {
            query: "B",
            labels: &[("period", "month")],
            ..figure("spend", "Budgets of the running periods", dollars(all_spent))
        },
        Figure {
            query: "B",
            labels: &[("kind", "top_up"), ("status", "paid")],
            ..figure("wallet", "Card transactions in range", dollars(25_000))
        },
        figure("spend", "Spent in range", dollars(in_range)),
        figure("spend", "Average per hour", hourly),
        figure("spend", "Spent today", dollars(spent(today, END, every))),
        figure("spend", "Spent yesterday", dollars(spent(yesterday, today, every))),
        figure("spend", "Credited in range", dollars(25_000)),
        Figure {
            labels: &[("api_path", VERIFY)],
            ..figure("spend", "By endpoint", dollars(spent(range, END, |_, path| path == VERIFY)))
        },
        Figure {
            labels: &[("api_path", SEARCH)],
            ..figure("spend", "By endpoint", dollars(spent(range, END, |_, path| path == SEARCH)))
        },
        Figure {
            labels: &[("origin", "list_builder_ui")],
            ..figure("spend", "By origin", dollars(spent(range, END, |origin, _| origin == "list_builder_ui")))
        },
    ]
}

/// Lives through the day and a half; writes what Prometheus would have recorded.
async fn record(file: &Path, folder: &Path) {
    let (_of_process, vendor) = vendors().await;
    let clock = ManualClock::new(at(BEGIN));
    let rig = Rig::with(clock.clone(), Options::quiet(vendor_clock(&clock))).await;
    let vendors = rig.vendors.clone();
    vendors.set_balance(Usd::from_cents(BALANCE_AT_FIRST));
    let ids = folder.join("batch-ids");
    std::fs::write(&ids, "# none\n").unwrap();
    let mut exporter = Replica::new(rig, "wallet-exporter-0:10700", &folder.join("state"), &ids, &vendor);
    exporter.start(false).await;
    let mut recorder = Recorder::default();
    let (mut before, mut now) = (at(BEGIN), at(BEGIN));
    while now <= at(END) {
        clock.pass_to(now);
        let comes = |time: &str| before < at(time) && at(time) <= now;
        for (time, origin, path, cents) in SPENT.iter().filter(|(time, ..)| comes(time)) {
            vendors.spend(at(time), origin, path, Usd::from_cents(*cents));
        }
        for (_, cents, paid) in CARD.iter().filter(|(time, ..)| comes(time)) {
            let amount = Usd::from_cents(*cents);
            vendors.card(&if *paid { CardEvent::paid(amount) } else { CardEvent::failed(amount) });
        }
        if comes(STOPS) {
            exporter.rig.stop().await;
        }
        if comes(STARTS_AGAIN) {
            exporter.start(false).await;
        }
        recorder.at(now.timestamp());
        exporter.settle_and_record(&mut recorder).await;
        before = now;
        now += STEP;
    }
    recorder.write(file).unwrap();
}

/// A Prometheus that ends with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    async fn start(program: &PathBuf, data: &Path) -> Server {
        let port = free_port();
        let configuration = data.join("prometheus.yml");
        std::fs::write(&configuration, "scrape_configs: []\n").unwrap();
        let process = Command::new(program)
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .args(["--storage.tsdb.retention.time=3650d", "--query.lookback-delta=11m"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server { process, port };
        let began = Instant::now();
        while get(port, "/-/ready").is_none() {
            assert!(began.elapsed() < PATIENCE, "{} is not ready", program.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    fn ask(&self, expression: &str, time: &str) -> Vec<Value> {
        let plain = ["$job", "$instance", "$account"]
            .iter()
            .fold(expression.to_owned(), |text, variable| text.replace(variable, ".+"))
            .replace("$__range_s", "86400")
            .replace("$__range", "86400s");
        let encoded: String = plain.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(self.port, &format!("/api/v1/query?time={}&query={encoded}", at(time).timestamp()));
        let answer: Value = serde_json::from_str(&answer.unwrap_or_else(|| panic!("refused: {plain}"))).unwrap();
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }
}

fn value(series: &Value) -> f64 {
    text(&series["value"][1]).parse().unwrap()
}

/// The one series with these labels.
fn only(found: &[Value], labels: &[(&str, &str)], place: &str) -> f64 {
    let fits = |series: &&Value| labels.iter().all(|(name, wanted)| series["metric"][*name] == *wanted);
    let fitting: Vec<&Value> = found.iter().filter(fits).collect();
    assert_eq!(fitting.len(), 1, "{place} {labels:?}: {found:?}");
    value(fitting[0])
}

fn is(place: &str, shown: f64, expected: f64, tolerance: f64) {
    assert!((shown - expected).abs() <= tolerance, "{place} shows {shown}, and by hand it is {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_computed_by_hand() {
    let (promtools, servers) = (versions("promtool"), versions("prometheus"));
    let Some(promtool) = promtools.first() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.om");
    record(&file, folder.path()).await;
    for (number, program) in servers.iter().enumerate() {
        let data = folder.path().join(format!("data-{number}"));
        std::fs::create_dir(&data).unwrap();
        let (from, to) = (file.to_string_lossy(), data.to_string_lossy());
        run(promtool, &["tsdb", "create-blocks-from", "openmetrics", &from, &to, "--max-block-duration=336h"]);
        let server = Server::start(program, &data).await;
        for figure in figures() {
            let place = format!("{}/{}/{}", figure.board, figure.panel, figure.query);
            let found = server.ask(&expression(figure.board, figure.panel, figure.query), LOOKED);
            is(&place, only(&found, figure.labels, &place), figure.expected, figure.tolerance);
        }
        // The bar of a day stands at its own date, and holds what was spent while nobody watched.
        let daily = expression("spend", "Spend by day", "A");
        let every = |_: &str, _: &str| true;
        for (day, next) in [("2026-05-18T00:00:00Z", "2026-05-19T00:00:00Z"), ("2026-05-19T00:00:00Z", END)] {
            let shown = only(&server.ask(&daily, day), &[], day);
            is(&format!("the bar of {day}"), shown, dollars(spent(day, next, every)), 1e-6);
        }
        // The parts add up to what stands above them: here the vendor's parts do.
        let total = only(&server.ask(&expression("spend", "Spent in range", "A"), LOOKED), &[], "total");
        for (panel, query) in [("By endpoint", "A"), ("By origin", "A")] {
            let parts: f64 = server.ask(&expression("spend", panel, query), LOOKED).iter().map(value).sum();
            is(&format!("the sum of {panel}"), parts, total, 1e-6);
        }
        // Balance and status are of what is configured: 400 and 100 dollars.
        let status = only(&server.ask(&expression("wallet", "Balance status", "A"), LOOKED), &[], "status");
        is("the balance is above its thresholds", status, 0.0, 0.0);
    }
}
