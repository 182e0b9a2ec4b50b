//! The real Prometheus and VictoriaMetrics import a year, and both find what was spent on each day.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;
use serde_json::Value;
use wallet_exporter::batchdata::history::openmetrics::{SeriesExport, label};

use super::{Past, day, everything, midnight};
use crate::alerts::servers::get;
use crate::alerts::tools;
use crate::dashboards::board::expression;
use crate::program::PATIENCE;
use crate::serving::fixture::ask;
use crate::serving::tools::Background;

/// A query over the days, at each midnight: what was spent on the day before.
const GAINED: &str = "batchdata_wallet_debit_usd_total - batchdata_wallet_debit_usd_total offset 1d";
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub fn json(server: SocketAddr, path: &str) -> Option<Value> {
    serde_json::from_str(&get(server.port(), path)?).ok()
}

/// At each step, the sum of all series that the query finds.
async fn range(server: SocketAddr, query: &str, (from, to): (NaiveDate, NaiveDate), step: i64) -> Vec<(i64, Decimal)> {
    let (from, to) = (midnight(from).timestamp(), midnight(to).timestamp());
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/api/v1/query_range?query={query}&start={from}&end={to}&step={step}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = json(server, &path);
        let series =
            answer.as_ref().and_then(|json| json["data"]["result"].as_array()).filter(|found| !found.is_empty());
        if let Some(series) = series {
            let mut sums: BTreeMap<i64, Decimal> = BTreeMap::new();
            for value in series.iter().flat_map(|series| series["values"].as_array().unwrap()) {
                // Written by Go: some values in scientific notation.
                let text = value[1].as_str().unwrap();
                let amount = Decimal::from_scientific(text).or(text.parse()).unwrap();
                *sums.entry(value[0].as_f64().unwrap() as i64).or_default() += amount;
            }
            return sums.into_iter().collect();
        }
        assert!(Instant::now() < deadline, "no answer: {answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The stream in a file, and what was spent on each day.
async fn exported(folder: &Path) -> (PathBuf, Vec<(i64, Decimal)>) {
    let past = Past::of_days(366).await;
    let labels = [label("job=wallet-exporter").unwrap(), label("instance=exporter:10700").unwrap()];
    let export = SeriesExport { to: Some(day("2026-05-18")), labels: &labels, ..everything() };
    let file = folder.join("history.openmetrics");
    std::fs::write(&file, past.series(export).await.unwrap()).unwrap();
    let by_day = past.rig.vendors.expected().by_day;
    let days = by_day.range(day("2025-05-19")..=day("2026-05-18"));
    let spent = days.map(|(date, flow)| (midnight(*date + Days::new(1)).timestamp(), flow.debit));
    (file, spent.collect())
}

/// On every one of the days, what was gained is what was spent, to a hundredth of a cent: servers compute in floats, and
/// half a cent may be rounded either way.
fn compare(found: Vec<(i64, Decimal)>, spent: &[(i64, Decimal)], server: &str) {
    assert_eq!((found.len(), spent.len()), (365, 365), "{server}");
    for (found, spent) in found.iter().zip(spent) {
        let near = (found.1 - spent.1).abs() < Decimal::new(1, 4);
        assert!(found.0 == spent.0 && near, "{server}: {found:?} is not {spent:?}");
    }
}

const WHOLE: (&str, &str) = ("2025-05-20", "2026-05-19");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_imports_a_year() {
    let promtools = tools::versions("promtool");
    if promtools.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, spent) = exported(folder.path()).await;
    for promtool in promtools {
        let data = tempfile::tempdir().unwrap();
        let arguments =
            ["tsdb", "create-blocks-from", "openmetrics", file.to_str().unwrap(), data.path().to_str().unwrap()];
        let begun = Instant::now();
        tools::run(&promtool, &[&arguments[..], &["--max-block-duration=4374h", "--quiet"]].concat());
        println!("{}: {} s for a year", promtool.display(), begun.elapsed().as_secs());
        let config = data.path().join("none.yml");
        std::fs::write(&config, "{}\n").unwrap();
        let address = free();
        let server = Command::new(promtool.with_file_name("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--storage.tsdb.retention.time=10y", "--log.level=error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _server = Background(server);
        let days = (day(WHOLE.0), day(WHOLE.1));
        compare(range(address, GAINED, days, DAY).await, &spent, &promtool.display().to_string());
        let resets = "resets(batchdata_wallet_debit_usd_total[366d])";
        let resets = range(address, resets, (days.1, days.1), DAY).await;
        assert_eq!(resets.iter().map(|(_, resets)| *resets).collect::<Vec<_>>(), [Decimal::ZERO]);
        let labels = json(address, "/api/v1/labels").unwrap();
        for label in ["account", "origin", "api_path", "job", "instance"] {
            assert!(labels["data"].as_array().unwrap().contains(&label.into()), "{labels}");
        }
        dashboards_are_filled(address, &spent, &promtool.display().to_string()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victoria_metrics_imports_a_year() {
    let found = tools::find("victoria-metrics").or_else(|| {
        let versions = tools::versions("promtool");
        versions.into_iter().map(|promtool| promtool.with_file_name("victoria-metrics")).find(|file| file.is_file())
    });
    let Some(program) = found else {
        eprintln!("SKIPPED: victoria-metrics is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (file, spent) = exported(folder.path()).await;
    let address = free();
    let server = Command::new(program)
        .arg(format!("-storageDataPath={}", folder.path().join("data").display()))
        .arg(format!("-httpListenAddr={address}"))
        .arg("-retentionPeriod=10y")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _server = Background(server);
    let deadline = Instant::now() + PATIENCE;
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < deadline, "it does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Its own importer reads the text format with times in milliseconds; OpenMetrics has seconds.
    let body = milliseconds(&std::fs::read_to_string(&file).unwrap());
    for part in body.chunks(200_000) {
        let answer = ask(address, "POST", "/api/v1/import/prometheus", &[], part.concat().as_bytes()).await;
        assert_eq!(answer.code, 204);
    }
    ask(address, "GET", "/internal/force_flush", &[], b"").await;
    compare(range(address, GAINED, (day(WHOLE.0), day(WHOLE.1)), DAY).await, &spent, "VictoriaMetrics");
    dashboards_are_filled(address, &spent, "VictoriaMetrics").await;
}

/// The charts show the year that was imported, to the cent, although no exporter was ever scraped.
async fn dashboards_are_filled(address: SocketAddr, spent: &[(i64, Decimal)], server: &str) {
    let shown = async |board: &str, panel: &str, days: (NaiveDate, NaiveDate), step: i64| {
        let query = ["$job", "$instance", "$account"]
            .iter()
            .fold(expression(board, panel, "A"), |text, variable| text.replace(variable, ".+"));
        range(address, &query, days, step).await
    };
    // A bar stands at its day's beginning; `spent` has the day's end.
    let days = (day(WHOLE.0) - Days::new(1), day(WHOLE.1) - Days::new(1));
    let bars = shown("spend", "Spend by day", days, DAY).await;
    compare(bars.into_iter().map(|(at, amount)| (at + DAY, amount)).collect(), spent, &format!("{server}, by day"));
    for (board, panel, counter) in [
        ("wallet", "Spend rate, against yesterday and last week", "batchdata_wallet_debit_usd_total"),
        ("spend", "Spend rate by endpoint", "batchdata_wallet_api_path_debit_usd_total"),
        ("spend", "Spend rate by origin", "batchdata_wallet_origin_debit_usd_total"),
    ] {
        let mut by_day: BTreeMap<i64, Decimal> = BTreeMap::new();
        for (at, amount) in shown(board, panel, (days.0, day(WHOLE.1)), HOUR).await {
            // Each is the spend of the hour before it.
            *by_day.entry((at + DAY - 1).div_euclid(DAY) * DAY).or_default() += amount;
        }
        let whole = by_day.into_iter().filter(|(at, _)| *at >= spent[0].0).collect();
        // The parts that the vendor gives need not add up to the total.
        let gained = format!("sum({counter} - {counter} offset 1d)");
        let gained = range(address, &gained, (day(WHOLE.0), day(WHOLE.1)), DAY).await;
        compare(whole, &gained, &format!("{server}, {panel}"));
    }
    let balance = shown("wallet", "Balance, thresholds and top-ups", (days.0, day(WHOLE.1)), HOUR).await;
    assert_eq!(balance.len(), 365 * 24 + 1, "{server}: a balance at each hour");
}

/// The documented `sed`: the last field, a time in seconds, in milliseconds.
fn milliseconds(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}000\n")).collect()
}
