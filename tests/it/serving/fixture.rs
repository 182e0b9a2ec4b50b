//! A server with a made-up site, and a client that sees every byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use wallet_exporter::batchdata::{self, BurnStatus, TimeToEmpty, WalletStatus};
use wallet_exporter::catalog::{FamilySpec, MetricType};
use wallet_exporter::clock::{Clock as _, SystemClock};
use wallet_exporter::exposition::{Encoder, Format, HistogramValue, Rendered, end, process, write_instruments};
use wallet_exporter::http::{Options, Server, Site, Web};
use wallet_exporter::instruments::ProcessInstruments;
use wallet_exporter::poll::attempts::PollOutcome;
use wallet_exporter::rightfoot::{self, BatchesStatus};
use wallet_exporter::snapshot::*;

pub static BALANCE: FamilySpec =
    FamilySpec { name: "test_balance_usd", kind: MetricType::Gauge, labels: &["account"], help: "The balance." };
pub static SPENT: FamilySpec = FamilySpec {
    name: "test_spent_usd_total",
    kind: MetricType::Counter,
    labels: &["account", "origin"],
    help: "What was \"spent\", a backslash \\ and\na line end.",
};
pub static CHECKS: FamilySpec =
    FamilySpec { name: "test_check_balance_usd", kind: MetricType::Histogram, labels: &["account"], help: "Balances." };
pub static MANY: FamilySpec =
    FamilySpec { name: "test_many_total", kind: MetricType::Counter, labels: &["account", "number"], help: "Many." };

/// A few families of each kind, with everything in them that needs escaping.
pub fn small(format: Format) -> Encoder {
    let mut out = Encoder::new(format);
    out.family(&BALANCE).sample(&["default"], 42.5);
    let mut spent = out.family(&SPENT);
    spent.counter(&["default", "api_request"], (12.0, Some(ago(60))));
    spent.counter(&["default", "quote \" backslash \\ line\nend"], (0.1, None));
    let buckets = &[(0.0, 1), (0.5, 1), (100.0, 3)];
    let value = HistogramValue { buckets, count: 6, sum: 1234.5, native: None, start: Some(ago(61)) };
    out.family(&CHECKS).histogram(&["default"], &value);
    out
}

/// The small families and a large one.
pub fn large(series: u32, format: Format) -> Encoder {
    let mut out = small(format);
    let mut many = out.family(&MANY);
    for number in 0..series {
        many.counter(&["default", &format!("value-{number:07}")], (f64::from(number) * 1.25, Some(ago(60))));
    }
    out
}

/// A site that shows what the test puts in.
pub struct FakeSite {
    /// By format.
    pub rendered: Mutex<BTreeMap<Format, Arc<Rendered>>>,
    pub process: Arc<ProcessInstruments>,
    pub status: Mutex<Status>,
    pub ready: AtomicBool,
    pub reloads: AtomicU64,
    pub reload_fault: Mutex<Option<String>>,
    pub poll_takes: Mutex<Duration>,
    pub panics: AtomicBool,
    pub web: Mutex<Option<Web>>,
}

pub const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

/// What `content` writes, in every format.
pub fn every(content: impl Fn(Format) -> Encoder) -> BTreeMap<Format, Arc<Rendered>> {
    FORMATS.map(|format| (format, Arc::new(Rendered::new(content(format).into_bytes())))).into()
}

impl FakeSite {
    pub fn new(content: impl Fn(Format) -> Encoder) -> Arc<FakeSite> {
        Arc::new(FakeSite {
            rendered: Mutex::new(every(content)),
            process: Arc::default(),
            status: Mutex::new(status(now())),
            ready: AtomicBool::new(true),
            reloads: AtomicU64::new(0),
            reload_fault: Mutex::new(None),
            poll_takes: Mutex::default(),
            panics: AtomicBool::new(false),
            web: Mutex::new(None),
        })
    }
}

#[async_trait]
impl Site for FakeSite {
    fn rendered(&self, format: Format) -> Arc<Rendered> {
        Arc::clone(&self.rendered.lock().unwrap()[&format])
    }

    fn slice(&self, format: Format, names: &[&str]) -> Option<Vec<u8>> {
        (names == ["NAME"]).then(|| small(format).into_bytes())
    }

    fn account_names(&self) -> std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>> {
        Default::default()
    }

    fn gathered(&self, format: Format) -> Vec<u8> {
        let (mut out, now) = (Encoder::new(format), SystemClock.moment());
        write_instruments(&mut out, Some((&self.process, now)), &[], now);
        process::write(&mut out, now.wall);
        [&out.into_bytes(), end(format).as_bytes()].concat()
    }

    fn status(&self) -> Status {
        assert!(!self.panics.load(Ordering::Relaxed), "a planted defect");
        self.status.lock().unwrap().clone()
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn gate(&self, question: &GateQuestion) -> Result<Gate, AccountError> {
        Ok(Gate {
            open: true,
            reason: GateReason::Sufficient,
            message: "account default: the balance $60.00 is at least $50.00".to_owned(),
            account: "default".to_owned(),
            balance_usd: Some("60".to_owned()),
            min_usd: question.min.to_string(),
            cost_usd: question.cost.to_string(),
            age_seconds: Some(1.5),
            max_age_seconds: Some(180.0),
        })
    }

    async fn poll(&self, _: Option<&str>, _: &str) -> Result<PollOutcome, AccountError> {
        let takes = *self.poll_takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        Ok(PollOutcome::Ended(Ok(())))
    }

    fn reload(&self) -> Result<(), String> {
        self.reloads.fetch_add(1, Ordering::Relaxed);
        if let Some(fault) = self.reload_fault.lock().unwrap().clone() {
            return Err(fault);
        }
        self.web.lock().unwrap().as_ref().map_or(Ok(()), |web| web.reload().map_err(|fault| fault.to_string()))
    }
}

/// A server that runs.
pub struct RunningServer {
    pub address: SocketAddr,
    pub site: Arc<FakeSite>,
    pub stop: CancellationToken,
    pub task: tokio::task::JoinHandle<()>,
}

pub fn options() -> Options {
    Options { listen: "127.0.0.1:0".to_owned(), ..Options::default() }
}

pub async fn serve(options: Options, site: Arc<FakeSite>) -> RunningServer {
    let server = Server::bind(options).await.expect("the server starts");
    let address = server.local_addr();
    *site.web.lock().unwrap() = Some(server.web());
    let stop = CancellationToken::new();
    let process = Arc::clone(&site.process);
    let task = tokio::spawn(server.run(Arc::clone(&site) as Arc<dyn Site>, process, stop.clone()));
    RunningServer { address, site, stop, task }
}

pub async fn start() -> RunningServer {
    serve(options(), FakeSite::new(small)).await
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the answer is text")
    }

    pub fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the answer has a head");
        let head = std::str::from_utf8(&bytes[..end]).expect("the head is text");
        let mut lines = head.lines();
        let code = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Answer { code, headers: headers.collect(), body: bytes[end + 4..].to_vec() }
    }
}

/// Sends bytes, returns all that comes back until the server closes.
pub async fn raw(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(request).await.expect("the server reads");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("the answer comes in time");
    // A reset after the answer is the end of the connection, too.
    let _ = read;
    answer
}

/// One request on a connection of its own.
pub async fn ask(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += "\r\n";
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    Answer::parse(&raw(address, &request).await)
}

pub async fn get(address: SocketAddr, target: &str) -> Answer {
    ask(address, "GET", target, &[], b"").await
}

/// Far longer than anything takes, so that only a defect runs into it.
pub const LONG: Duration = Duration::from_secs(30);

/// Asks until the condition holds.
pub async fn until<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let deadline = Instant::now() + LONG;
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The value of a series in an exposition.
pub fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

pub fn now() -> DateTime<Utc> {
    "2026-05-19T12:00:00Z".parse().unwrap()
}

pub fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

/// A healthy wallet.
pub fn wallet() -> WalletStatus {
    WalletStatus {
        budgets: Vec::new(),
        balance_usd: Some("142.5000".to_owned()),
        balance_as_of: Some(ago(50)),
        warning_balance_usd: Some("100".to_owned()),
        critical_balance_usd: Some("25".to_owned()),
        unreconciled_usd: Some("-12.8".to_owned()),
        unreconciled_unknown: None,
        same_wallet_as: None,
        reconciled_at: Some(ago(180)),
        spend_today_usd: Some("31.4".to_owned()),
        spend_yesterday_usd: None,
        time_to_empty: Default::default(),
        burn: vec![
            BurnStatus {
                window: "1h",
                usd_per_hour: Some("12.345678".to_owned()),
                runway_seconds: Some(41_554.0),
                empty_at: Some(now() + TimeDelta::seconds(41_504)),
            },
            BurnStatus { window: "30d", usd_per_hour: None, runway_seconds: None, empty_at: None },
        ],
    }
}

/// Batches that need nothing.
pub fn batches() -> BatchesStatus {
    BatchesStatus { open: 2, settled: 17, ..BatchesStatus::default() }
}

/// A wallet with its time to empty, as it follows from its balance and its spend rates.
pub fn wallet_details(wallet: &WalletStatus, count_since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Details {
    let balance = wallet.balance_usd.as_ref().and_then(|usd| usd.parse().ok());
    let time_to_empty = TimeToEmpty::new(balance, &wallet.burn, now);
    batchdata::details(&WalletStatus { time_to_empty, ..wallet.clone() }, count_since, now)
}

/// A healthy state.
pub fn status(now: DateTime<Utc>) -> Status {
    let source = |name: &str| SourceStatus {
        source: name.to_owned(),
        state: SourceState::Ok,
        last_success: Some(ago(42)),
        last_attempt: Some(ago(42)),
        next_attempt: Some(ago(-18)),
        paused_until: None,
        interval_seconds: 60.0,
        max_age_seconds: 3600.0,
        consecutive_failures: 0,
        last_failure: None,
    };
    Status {
        version: "0.1.0".to_owned(),
        revision: "abcdef123456".to_owned(),
        started_at: ago(7300),
        now,
        ready: true,
        storage: StorageStatus { durable: true, up: true, last_error: None },
        accounts: vec![
            AccountStatus {
                vendor: "batchdata".to_owned(),
                title: "BatchData".to_owned(),
                account: "default".to_owned(),
                details: wallet_details(&wallet(), Some(ago(86_400 * 30)), now),
                sources: vec![source("balance"), source("consumption"), source("card_transactions")],
            },
            AccountStatus {
                vendor: "rightfoot".to_owned(),
                title: "Rightfoot".to_owned(),
                account: "default".to_owned(),
                details: rightfoot::details(batches(), Vec::new(), None),
                sources: vec![source("batches")],
            },
        ],
        warnings: vec![],
    }
}
