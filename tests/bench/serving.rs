//! Processor time of a server for one scrape over loopback, ours beside its rivals, in one run, taking turns.
//!
//! Before that, how long the gate and a scrape take at 10,000 calls a second.
//!
//! One keep-alive connection asks in a loop. Needs `wrk` and `curl`; node exporter and pushgateway join where they are
//! installed. Resident memory is read before and after the load.
#![allow(clippy::disallowed_methods, reason = "the bans are for the program")]

mod pace;
mod rivals;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{Encoder as _, GaugeVec, Opts, Registry, TextEncoder};
use rivals::{Rival, need};
use tokio_util::sync::CancellationToken;
use wallet_exporter::batchdata::{self, BALANCE, Balance, WalletView};
use wallet_exporter::catalog::{FamilySpec, MetricType};
use wallet_exporter::clock::{Clock as _, SystemClock};
use wallet_exporter::exposition::{Encoder, Format, Rendered, process};
use wallet_exporter::http::{Options, Server, Site};
use wallet_exporter::instruments::account::AccountInstruments;
use wallet_exporter::money::Usd;
use wallet_exporter::poll::attempts::PollOutcome;
use wallet_exporter::snapshot::*;

static SERIES: FamilySpec = FamilySpec {
    name: "bench_wallet_api_path_debit_usd",
    kind: MetricType::Gauge,
    labels: &["account", "api_path", "number"],
    help: "Money.",
};

fn path(number: u32) -> String {
    format!("/api/v1/property/search/{}", number % 97)
}

fn amount(number: u32) -> f64 {
    f64::from(number) * 1.2345
}

fn rendered(series: u32) -> Rendered {
    let mut out = Encoder::new(Format::Text);
    let mut family = out.family(&SERIES);
    for number in 0..series {
        family.sample(&["default", &path(number), &number.to_string()], amount(number));
    }
    Rendered::new(out.into_bytes())
}

fn registry(series: u32) -> Registry {
    let registry = Registry::new();
    let gauge = GaugeVec::new(Opts::new(SERIES.name, SERIES.help), SERIES.labels).unwrap();
    registry.register(Box::new(gauge.clone())).unwrap();
    for number in 0..series {
        gauge.with_label_values(&["default", &path(number), &number.to_string()]).set(amount(number));
    }
    registry
}

struct Bench(Arc<Rendered>, Snapshot);

/// A hundred wallets, each with a balance.
fn wallets() -> Snapshot {
    let now = SystemClock.moment();
    let mut snapshot = Snapshot::new(now, false);
    for number in 0..100 {
        let instruments = AccountInstruments::new(&format!("team-{number}"), batchdata::VENDOR, [BALANCE], now);
        let balance = Balance { amount: Usd::from_cents(6_000), as_of: now.wall };
        let wallet = WalletView { balance: Some(balance), ..WalletView::default() };
        let mut account = AccountView::new(Arc::new(instruments), BTreeMap::new(), Arc::default(), wallet);
        let day = Duration::from_secs(86_400);
        account.sources.push(SourceView::new(BALANCE, day, day, true, Some(now), now.boot));
        snapshot.accounts.push(Arc::new(account));
    }
    snapshot
}

#[async_trait::async_trait]
impl Site for Bench {
    fn rendered(&self, _: Format) -> Arc<Rendered> {
        Arc::clone(&self.0)
    }
    fn slice(&self, _: Format, _: &[&str]) -> Option<Vec<u8>> {
        None
    }

    fn account_names(&self) -> std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>> {
        Default::default()
    }

    fn gathered(&self, format: Format) -> Vec<u8> {
        let (mut out, now) = (Encoder::new(format), SystemClock.moment());
        process::write(&mut out, now.wall);
        out.into_bytes()
    }
    fn status(&self) -> Status {
        Status {
            version: String::new(),
            revision: String::new(),
            started_at: chrono::DateTime::UNIX_EPOCH,
            now: chrono::DateTime::UNIX_EPOCH,
            ready: true,
            storage: StorageStatus { durable: false, up: true, last_error: None },
            accounts: vec![],
            warnings: vec![],
        }
    }
    fn gate(&self, question: &GateQuestion) -> Result<Gate, AccountError> {
        self.1.gate(question, SystemClock.boot())
    }
    fn ready(&self) -> bool {
        true
    }
    async fn poll(&self, _: Option<&str>, _: &str) -> Result<PollOutcome, AccountError> {
        Err(AccountError::Unknown)
    }
    fn reload(&self) -> Result<(), String> {
        Ok(())
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Serves for ever, after printing the address.
async fn serve(kind: &str, series: u32) {
    use axum::response::IntoResponse;
    let wants_gzip =
        |headers: &axum::http::HeaderMap| headers.get("accept-encoding").is_some_and(|value| value == "gzip");
    if kind == "ours" {
        let options = Options { listen: "127.0.0.1:0".to_owned(), ..Options::default() };
        let server = Server::bind(options).await.unwrap();
        println!("{}", server.local_addr());
        let site = Bench(Arc::new(rendered(series)), wallets());
        server.run(Arc::new(site), Arc::default(), CancellationToken::new()).await;
        return;
    }
    let router = if kind == "bare" {
        // The kept part of what ours sends.
        let whole = |zipped: bool| bytes::Bytes::from(rendered(series).body(zipped, Vec::new()).concat());
        let (plain, zipped) = (whole(false), whole(true));
        let answer = move |headers: axum::http::HeaderMap| {
            let (plain, zipped) = (plain.clone(), zipped.clone());
            async move {
                let kind = ("content-type", "text/plain; version=0.0.4");
                if wants_gzip(&headers) {
                    ([kind, ("content-encoding", "gzip")], zipped).into_response()
                } else {
                    ([kind], plain).into_response()
                }
            }
        };
        axum::Router::new().route("/metrics", axum::routing::get(answer))
    } else {
        let registry = registry(series);
        let answer = move |headers: axum::http::HeaderMap| {
            let registry = registry.clone();
            async move {
                let mut plain = Vec::new();
                TextEncoder::new().encode(&registry.gather(), &mut plain).unwrap();
                if wants_gzip(&headers) {
                    ([("content-encoding", "gzip")], gzip(&plain)).into_response()
                } else {
                    plain.into_response()
                }
            }
        };
        axum::Router::new().route("/metrics", axum::routing::get(answer))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, verb, kind, series] = arguments.as_slice()
        && verb == "serve"
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(serve(kind, series.parse().unwrap()));
        return;
    }
    let own = |series: u32| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Rival::announced("ours", command.args(["serve", "ours", &series.to_string()]))
    };
    let [scrape, gate] =
        pace::compare(own(90).address, ["/metrics", "/api/v1/gate?account=team-99&min_usd=50&cost_usd=9.99"]);
    assert!(gate <= scrape * 2, "the gate's 99th percentile is more than twice that of a scrape");
    need("wrk");
    need("curl");
    println!(
        "{:<26} {:>8} {:>6} {:>10} {:>10} {:>16}",
        "server", "series", "gzip", "bytes", "us/answer", "MiB, then after"
    );
    for series in [90, 10_000, 100_000] {
        let mut rivals: Vec<Rival> = ["ours", "bare", "registry"]
            .map(|kind| {
                let mut command = Command::new(std::env::current_exe().unwrap());
                Rival::announced(kind, command.args(["serve", kind, &series.to_string()]))
            })
            .into();
        if series == 10_000
            && let Some(gateway) = Rival::package("prometheus-pushgateway")
        {
            gateway.push(std::str::from_utf8(rendered(series).plain()).unwrap());
            rivals.push(gateway);
        }
        if series == 90 {
            rivals.extend(Rival::package("prometheus-node-exporter"));
        }
        for gzip in [false, true] {
            let sizes: Vec<u64> = rivals.iter().map(|rival| rival.size(gzip)).collect();
            let before: Vec<f64> = rivals.iter().map(Rival::resident).collect();
            // The least of several turns: what other work on the machine adds is never negative.
            let mut least = vec![Duration::MAX; rivals.len()];
            for _ in 0..5 {
                for (rival, least) in rivals.iter().zip(&mut least) {
                    *least = (*least).min(rival.measure(gzip, 1));
                }
            }
            for (((rival, cpu), size), before) in rivals.iter().zip(least).zip(sizes).zip(before) {
                println!(
                    "{:<26} {series:>8} {gzip:>6} {size:>10} {:>10.1} {before:>9.1} {:>6.1}",
                    rival.name,
                    cpu.as_secs_f64() * 1e6,
                    rival.resident()
                );
            }
        }
    }
}
