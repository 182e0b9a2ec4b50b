//! How much memory the largest and most varied valid answers take: each source alone, then all at once, in a process of
//! its own with an empty storage; and an export of a day of very many transactions. Prints the resident size at rest, its
//! peak, and what is left after the bodies. Fails if they take more than they may.
#![allow(clippy::disallowed_methods, reason = "the bans are for the program")]

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::get;
use chrono::{DateTime, Days, NaiveDate, SecondsFormat, TimeDelta, Utc};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wallet-exporter");
/// The largest JSON body that is read.
const JSON: usize = 12 * 1024 * 1024;
/// Open batches.
const BATCHES: usize = 500;
const SOURCES: [&str; 5] = ["balance", "consumption", "card_transactions", "transactions", "batches"];
/// The bytes of the day that is exported.
const LARGE_DAY: usize = 200 * 1024 * 1024;
/// What the answers may take above rest, and an export of a large day in all, in MiB.
const MOST: f64 = 48.0;

fn filled(start: String, end: &str) -> String {
    let space = JSON - start.len() - end.len() - 64;
    format!("{start},\"filler\":\"{}\"{end}", "x".repeat(space))
}

fn balance() -> String {
    filled(r#"{"results":{"balance":1,"currency":"USD","asOf":"2026-05-19T18:43:21+00:00""#.to_owned(), "}}")
}

/// As many origins and paths as are taken, 10,000 of them different, with names that fill the body.
fn consumption(from: NaiveDate, to: NaiveDate, by_hour: bool) -> String {
    let days = usize::try_from((to - from).num_days()).unwrap() + 1;
    let hours = if by_hour { 24 } else { 1 };
    let names = 100_000 / (days * 2) / if by_hour { 20 } else { 1 };
    let length = (JSON / (days * hours * names * 2)).clamp(40, 128) - 30;
    let mut periods = Vec::new();
    for day in 0..days {
        let date = from + Days::new(day as u64);
        for hour in 0..hours {
            let (mut origins, mut paths) = (String::new(), String::new());
            for name in 0..names {
                let number = (day * names + name) % 5_000;
                let _ = write!(origins, r#","o{number:0length$}":{{"debit":1}}"#);
                let _ = write!(paths, r#","p{number:0length$}":1"#);
            }
            let period = if by_hour { format!("{date}T{hour:02}:00:00") } else { date.to_string() };
            periods.push(format!(
                r#"{{"period":"{period}","debit":1,"credit":0,"by_origin":{{{}}},"by_endpoint":{{{}}}}}"#,
                &origins[1..],
                &paths[1..]
            ));
        }
    }
    let total = periods.len();
    let body = format!(
        r#"{{"results":{{"summary":{{"total_debit":{total},"total_credit":0}},"data":[{}]}}}}"#,
        periods.join(",")
    );
    assert!(body.len() <= JSON, "{} bytes", body.len());
    body
}

/// Twenty pages of 1,000 transactions, which is as many as are taken, none of them ended.
fn cards(page: usize, day: NaiveDate) -> String {
    let rows = (0..1_000).map(|row| {
        let (id, brand) = ((page - 1) * 1_000 + row + 1, "b".repeat(100));
        format!(
            r#"{{"id":{id},"credits":1,"card_brand":"{brand}{}","status":0,"created_at":"{day}T00:00:00Z"}}"#,
            id % 50
        )
    });
    let rows = rows.collect::<Vec<_>>().join(",");
    format!(r#"{{"results":{{"data":[{rows}],"meta":{{"current_page":{page},"last_page":20,"total":20000}}}}}}"#)
}

/// As many kinds of rows as are taken of one day, all amounts different, of as many endpoints, with names that are as long as
/// is kept, in letters of four bytes. Or the first of them again and again, until the day is large.
fn transactions(day: NaiveDate, large: bool) -> Body {
    let head = "Date,Type,Amount,Balance After,Origin,Reference ID,Endpoint,Description\n";
    let row = move |number: usize| {
        let (thousands, rest) = (number / 10_000 + 1, number % 10_000);
        let endpoint = format!("{}{rest:05}", "\u{1f600}".repeat(123));
        format!("{day} 12:00:00,Debit,{thousands}.{rest:04},1,api_request,,{endpoint},\n")
    };
    let rows = if large { LARGE_DAY / row(0).len() } else { 50_000 };
    let chunks = (0..rows / 100).map(move |chunk| {
        let rows = (0..100).map(|place| row(if large { place } else { chunk * 100 + place }));
        rows.collect::<String>()
    });
    let chunks = std::iter::once(head.to_owned()).chain(chunks).map(Ok::<_, Infallible>);
    Body::from_stream(futures_util::stream::iter(chunks))
}

/// A thousand institutions for each batch, as many different ones as are taken, each with many batches: all that can be
/// kept for open batches.
fn export(ids: &[String]) -> String {
    let mut body = "Institution,Zip,Phone,Balance,Status,Creator,Authorizer ID,Batch ID,Timestamp\n".to_owned();
    // Rows from before the first poll would not be counted.
    let time = (Utc::now() + TimeDelta::seconds(30)).to_rfc3339_opts(SecondsFormat::Secs, true);
    for id in ids {
        let first = id[24..].parse::<usize>().unwrap() % 10 * 1_000;
        for number in first..first + 1_000 {
            let name = format!("{number:0128}");
            let _ = writeln!(body, "{name},,,1.00,SUCCESS,,,{id},{time}");
        }
    }
    body
}

/// Answers with the largest that is taken; or, for an export, with small reports and a large day of transactions.
async fn vendors(for_export: bool) -> SocketAddr {
    let json = |body: String| ([(CONTENT_TYPE, "application/json")], body).into_response();
    let balance = Arc::new(balance());
    let router = Router::new()
        .route("/api/v1/wallet/balance", get(async move || json(balance.to_string())))
        .route(
            "/api/v1/wallet/consumption-report",
            get(async move |Query(query): Query<std::collections::HashMap<String, String>>| {
                let day = |name: &str| query[name].parse().unwrap();
                if query.get("format").is_some_and(|format| format == "csv") {
                    return ([(CONTENT_TYPE, "text/csv")], transactions(day("start_date"), for_export)).into_response();
                }
                if for_export {
                    let nothing = r#"{"results":{"summary":{"total_debit":0,"total_credit":0},"data":[]}}"#;
                    return json(nothing.to_owned());
                }
                json(consumption(day("start_date"), day("end_date"), query["group_by"] == "hour"))
            }),
        )
        .route(
            "/api/v1/wallet/credit-card-transactions",
            get(async move |Query(query): Query<std::collections::HashMap<String, String>>| {
                json(cards(query["page"].parse().unwrap(), Utc::now().date_naive()))
            }),
        )
        .route(
            "/v1/balances/csv",
            get(async |Query(query): Query<Vec<(String, String)>>| {
                let ids: Vec<String> = query.into_iter().map(|(_, id)| id).collect();
                ([(CONTENT_TYPE, "text/csv")], export(&ids))
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// A line of `/proc/<pid>/status`, in MiB, while the process runs.
fn memory(child: &Child, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_matches(|letter: char| !letter.is_ascii_digit()).parse::<f64>().unwrap() / 1024.0)
}

/// The program in an environment of its own.
fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .env("MALLOC_ARENA_MAX", "2")
        .env("MALLOC_MMAP_THRESHOLD_", "65536")
        .env("MALLOC_TRIM_THRESHOLD_", "131072")
        .stdout(Stdio::null());
    command
}

async fn scrape(address: &str) -> Option<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    Some(text)
}

/// The peak, in MiB.
async fn measure(vendors: SocketAddr, sources: &[&str]) -> f64 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let storage = tempfile::tempdir().unwrap();
    let ids: Vec<String> = (0..BATCHES).map(|number| format!("00000000-0000-4000-8000-{number:012}")).collect();
    let url = format!("http://{vendors}");
    let mut command = program();
    command.env("WEB_LISTEN_ADDRESS", &free).env("STORAGE_PATH", storage.path()).env("LOG_LEVEL", "error");
    let wallet: Vec<&str> = sources.iter().copied().filter(|source| *source != "batches").collect();
    if !wallet.is_empty() || sources.is_empty() {
        command.env("BATCHDATA_API_TOKEN", "bench").env("BATCHDATA_BASE_URL", &url);
        // At rest: a source whose answer is small.
        command.env("BATCHDATA_SOURCES", if wallet.is_empty() { "balance".to_owned() } else { wallet.join(",") });
    }
    if sources.contains(&"batches") {
        command.env("RIGHTFOOT_API_KEY", "bench").env("RIGHTFOOT_BASE_URL", &url);
        command.env("RIGHTFOOT_BATCH_IDS", ids.join(","));
    }
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(300);
    let count = |text: &str, line: &str| text.lines().filter(|found| found.starts_with(line)).count();
    loop {
        assert!(Instant::now() < deadline, "{sources:?}: {}", scrape(&free).await.unwrap_or_default());
        let text = scrape(&free).await.unwrap_or_default();
        let tried = count(&text, "wallet_exporter_source_up{");
        if tried == sources.len().max(1) {
            let up = text.lines().filter(|line| line.starts_with("wallet_exporter_source_up{") && line.ends_with(" 1"));
            assert_eq!(up.count(), tried, "{sources:?}: {text}");
            if sources.contains(&"batches") {
                let open = text.lines().filter(|line| line.starts_with("rightfoot_open_balance_checks{"));
                let rows: f64 = open.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
                assert_eq!(rows, BATCHES as f64 * 1_000.0, "every row is taken");
            }
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let peak = memory(&child, "VmHWM:").unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = memory(&child, "VmRSS:").unwrap();
    let file: u64 =
        std::fs::read_dir(storage.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    let _ = child.kill();
    let _ = child.wait();
    let name = if sources.is_empty() { "small answers".to_owned() } else { sources.join(", ") };
    println!("{name:<50} peak {peak:>6.1} MiB, after {after:>6.1} MiB, storage {:>6.1} MiB", file as f64 / 1048576.0);
    peak
}

/// Exports the series of one large day.
async fn measure_export(vendors: SocketAddr) {
    let out = tempfile::tempdir().unwrap();
    let yesterday = (Utc::now().date_naive() - Days::new(1)).to_string();
    let mut command = program();
    command.env("STORAGE_PATH", "none").env("BATCHDATA_API_TOKEN", "bench");
    command.env("BATCHDATA_BASE_URL", format!("http://{vendors}"));
    command.args(["export", "--format", "openmetrics", "--from", &yesterday, "--to", &yesterday, "--out"]);
    let mut child = command.arg(out.path()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0.0;
    let (began, deadline) = (Instant::now(), Instant::now() + Duration::from_secs(300));
    let status = loop {
        peak = memory(&child, "VmHWM:").unwrap_or(peak);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "the export does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let name = format!("export of a day of {} MiB", LARGE_DAY / 1024 / 1024);
    println!("{name:<50} peak {peak:>6.1} MiB, {:.1} s", began.elapsed().as_secs_f64());
    assert!(status.success() && peak < MOST, "{status}, more than {MOST} MiB");
}

#[tokio::main]
async fn main() {
    let began: DateTime<Utc> = Utc::now();
    println!("{began}: largest valid answers, release build unless said otherwise");
    let address = vendors(false).await;
    let rest = measure(address, &[]).await;
    for sources in SOURCES.chunks(1).chain([&SOURCES[..]]) {
        let above = measure(address, sources).await - rest;
        assert!(above < MOST, "{sources:?} take {above:.1} MiB above rest, more than {MOST}");
    }
    measure_export(vendors(true).await).await;
}
