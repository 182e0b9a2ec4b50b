//! The real Prometheus scrapes the running exporter, beside the imported past of the same series.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use rust_decimal::Decimal;
use vendor_simulator::Simulator;
use wallet_exporter::clock::SystemClock;
use wallet_exporter::money::Usd;

use super::program::vendors;
use super::servers::json;
use crate::alerts::tools;
use crate::program::{Exporter, PATIENCE, run, settings};
use crate::serving::prometheus;

const DEBIT: &str = "batchdata_wallet_debit_usd_total";
/// What was spent in the day before.
const OF_A_DAY: &str = "batchdata_wallet_debit_usd_total - batchdata_wallet_debit_usd_total offset 1d";

/// Spends twice on each of the last eight days, in hours that are far from this one. Returns when and how much.
fn spend_for_days(vendors: &Simulator, hour: DateTime<Utc>) -> Vec<(DateTime<Utc>, Usd)> {
    let mut spent = Vec::new();
    for day in 1..=8 {
        for (later, path) in [(3, "/api/v1/address/verify"), (12, "/api/v1/property/search")] {
            let at = hour - TimeDelta::days(day) + TimeDelta::hours(later) + TimeDelta::minutes(30);
            let amount = Usd::from_cents(100 * day + later);
            vendors.spend(at, "api_request", path, amount);
            spent.push((at, amount));
        }
    }
    spent
}

/// The only series that a query finds at this moment, once it finds one.
async fn only(server: SocketAddr, query: &str, at: DateTime<Utc>) -> Decimal {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/api/v1/query?query={encoded}&time={}", at.timestamp());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = json(server, &path);
        if let Some([series, more @ ..]) =
            answer.as_ref().and_then(|json| json["data"]["result"].as_array()).map(|v| &**v)
        {
            assert!(more.is_empty(), "{query}: {answer:?}");
            let text = series["value"][1].as_str().unwrap();
            return Decimal::from_scientific(text).or(text.parse()).unwrap();
        }
        assert!(Instant::now() < deadline, "{query}: no answer: {answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What was spent in the day before each of the last hours up to this one, which were imported, and before now.
async fn assert_exact(server: SocketAddr, (hour, now): (DateTime<Utc>, DateTime<Utc>), spent: &[(DateTime<Utc>, Usd)]) {
    let hours = (0..7 * 24).map(|hours| hour - TimeDelta::hours(hours));
    for at in hours.chain([now]) {
        let of_a_day = spent.iter().filter(|(spent_at, _)| *spent_at <= at && *spent_at > at - TimeDelta::days(1));
        let expected = of_a_day.map(|(_, amount)| *amount).sum::<Usd>().decimal();
        let found = only(server, OF_A_DAY, at).await;
        assert!((found - expected).abs() < Decimal::new(1, 4), "{at}: {found} is not {expected}");
    }
}

/// The past in a Prometheus that has not begun.
fn import(promtool: &Path, file: &Path, data: &Path) {
    let (file, data) = (file.to_str().unwrap(), data.to_str().unwrap());
    let arguments = ["tsdb", "create-blocks-from", "openmetrics", file, data, "--max-block-duration=4374h", "--quiet"];
    tools::run(&promtool.to_owned(), &arguments);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_live_exporter_serves_continues_what_was_imported() {
    let promtools = tools::versions("promtool");
    if promtools.is_empty() {
        return;
    }
    let (vendors, address) = vendors(0).await;
    let clock = SystemClock::shared();
    let hour = clock.now().duration_trunc(TimeDelta::hours(1)).unwrap();
    let mut spent = spend_for_days(&vendors, hour);
    let folder = tempfile::tempdir().unwrap();
    let since = (hour - TimeDelta::days(9)).date_naive().to_string();
    let settings = [&settings(folder.path(), &address)[..], &[("BATCHDATA_COUNT_SINCE", &*since)]].concat();
    let exporter = Exporter::start(&settings);
    exporter.until_ready();
    let (instance, out) = (format!("instance={}", exporter.address), folder.path().join("out"));
    let labels = ["--label", "job=wallet-exporter", "--label", &instance];
    let export = ["export", "--format", "openmetrics", "--out", out.to_str().unwrap()];
    let (code, _, said) = run(&[&export[..], &labels].concat(), &settings);
    assert_eq!(code, 0, "{said}");
    for promtool in promtools {
        let place = tempfile::tempdir().unwrap();
        import(&promtool, &out.join("account=default/history.openmetrics"), &place.path().join("data"));
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n\
             - {{job_name: wallet-exporter, static_configs: [{{targets: ['{}']}}]}}\n",
            exporter.address
        );
        let (_server, server) = prometheus::run(&promtool.with_file_name("prometheus"), place.path(), &config);
        // Only the running exporter can tell of this.
        spent.push((clock.now(), Usd::from_cents(777)));
        vendors.spend(clock.now(), "api_request", "/api/v1/address/verify", Usd::from_cents(777));
        let total = spent.iter().map(|(_, amount)| *amount).sum::<Usd>().decimal();
        let deadline = Instant::now() + PATIENCE;
        while only(server, DEBIT, clock.now()).await != total {
            assert!(Instant::now() < deadline, "{}: it is not scraped", promtool.display());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let now = clock.now();
        assert_exact(server, (hour, now), &spent).await;
        for (name, series) in [
            (DEBIT, 1),
            ("batchdata_wallet_origin_debit_usd_total", 1),
            ("batchdata_wallet_api_path_debit_usd_total", 2),
            ("batchdata_wallet_balance_usd", 1),
        ] {
            let found = only(server, &format!("count(count_over_time({name}[10d]))"), now).await;
            assert_eq!(found, series.into(), "{}: series of {name}, old and new ones", promtool.display());
            if name.ends_with("_total") {
                let resets = only(server, &format!("sum(resets({name}[10d]))"), now).await;
                assert_eq!(resets, Decimal::ZERO, "{}: {name}", promtool.display());
            }
        }
    }
}
