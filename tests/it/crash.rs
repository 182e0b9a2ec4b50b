//! The real binary, killed and ended, over the simulator.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use wallet_exporter::clock::{Clock as _, SystemClock};
use wallet_exporter::money::Usd;
use wallet_exporter::simulator::{Options, Simulator};

const PATIENCE: Duration = Duration::from_secs(60);

struct Exporter {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wallet-exporter"));
    command
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::null());
    command
}

impl Exporter {
    fn start(settings: &[(&str, &str)]) -> Exporter {
        let mut child = command(settings).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let mut seen = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended: {seen}");
            seen.push_str(&line);
            if let Some(rest) = line.split("address=").nth(1) {
                break rest.split_whitespace().next().unwrap().parse().unwrap();
            }
        };
        let copy = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut rest = String::new();
            let _ = lines.read_to_string(&mut rest);
            copy.lock().unwrap().push_str(&rest);
        });
        Exporter { child, address, log }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// All counters of the ledger.
    fn counters(&self) -> std::collections::BTreeMap<String, f64> {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200);
        body.lines()
            .filter(|line| line.starts_with("batchdata_") && line.contains("_usd_total{"))
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
            .collect()
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn wait(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn vendors() -> (Simulator, String) {
    let vendors = Simulator::new(Options::quiet(SystemClock::shared()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(vendors.clone().serve(listener, std::future::pending()));
    (vendors, address)
}

fn settings<'a>(storage: &'a Path, address: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
        ("STORAGE_PATH", storage.to_str().unwrap()),
        ("METRICS_BIRTH_HOLD", "0s"),
        ("BATCHDATA_API_TOKEN", "sim-batchdata-token"),
        ("BATCHDATA_BASE_URL", address),
        ("BATCHDATA_CONSUMPTION_INTERVAL", "1s"),
        ("BATCHDATA_CARD_INTERVAL", "1s"),
        ("BATCHDATA_BALANCE_INTERVAL", "1s"),
        ("BATCHDATA_REQUESTS_PER_MINUTE", "10000"),
    ]
}

const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="default"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_never_shows_less_than_before_nor_more_than_was_spent() {
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    let settings = settings(directory.path(), &address);
    let mut random = fastrand::Rng::with_seed(11);
    let spend = |cents: i64| {
        let path = format!("/api/v1/{}", cents % 5);
        vendors.spend(SystemClock.now(), "api_request", &path, Usd::from_cents(cents));
        vendors.top_up(Usd::from_cents(cents));
    };
    // The base line is empty, so what is counted is what was spent.
    let first = Exporter::start(&settings);
    let deadline = Instant::now() + PATIENCE;
    while !first.get("/-/ready").0.eq(&200) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(first);
    let mut shown = std::collections::BTreeMap::new();
    let spent = || vendors.truth().total.debit.to_string().parse::<f64>().unwrap();
    let mut risen = 0;
    for round in 0..25 {
        let exporter = Exporter::start(&settings);
        let end = Instant::now() + Duration::from_millis(random.u64(1..250));
        loop {
            spend(random.i64(1..50));
            let counters = exporter.counters();
            let truth = spent();
            for (series, before) in &shown {
                assert!(
                    counters.get(series).is_some_and(|now| now >= before),
                    "round {round}: {series} fell from {before}"
                );
            }
            assert!(counters[DEBIT] <= truth, "round {round}: more than was spent");
            risen += usize::from(shown.get(DEBIT).is_some_and(|before| counters[DEBIT] > *before));
            shown = counters;
            if Instant::now() >= end {
                break;
            }
        }
        // Dropping it is SIGKILL.
        drop(exporter);
    }
    assert!(risen > 10, "the kills fell between {risen} writes only");
    let exporter = Exporter::start(&settings);
    let deadline = Instant::now() + PATIENCE;
    while (exporter.counters()[DEBIT] - spent()).abs() > 1e-9 {
        assert!(Instant::now() < deadline, "{} of {}", exporter.counters()[DEBIT], spent());
        std::thread::sleep(Duration::from_millis(20));
    }
    let paid = r#"batchdata_card_credits_usd_total{account="default",kind="top_up",status="paid",card_brand="visa"}"#;
    let deadline = Instant::now() + PATIENCE;
    while (exporter.counters().get(paid).copied().unwrap_or_default() - spent()).abs() > 1e-9 {
        assert!(Instant::now() < deadline, "{:?} of {}", exporter.counters().get(paid), spent());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_and_sigint_end_it_in_order() {
    for name in ["-TERM", "-INT"] {
        let directory = tempfile::tempdir().unwrap();
        let (vendors, address) = vendors().await;
        // A vendor that hangs must not hold up the end.
        vendors.fault(wallet_exporter::simulator::Operation::Balance, wallet_exporter::simulator::Fault::Hang, None);
        let mut exporter = Exporter::start(&settings(directory.path(), &address));
        assert_eq!(exporter.get("/-/healthy").0, 200);
        exporter.signal(name);
        assert_eq!(exporter.wait(), 0, "{name}");
        let deadline = Instant::now() + PATIENCE;
        while !exporter.log.lock().unwrap().contains("stopped") {
            assert!(Instant::now() < deadline, "{}", exporter.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_once_every_source_was_tried_or_restored() {
    use wallet_exporter::simulator::{Fault, Operation};
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    let settings = settings(directory.path(), &address);
    let until_ready = |exporter: &Exporter| {
        let deadline = Instant::now() + PATIENCE;
        while exporter.get("/-/ready").0 != 200 {
            assert!(Instant::now() < deadline, "never ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    // One source hangs: the others have answered, and still it is not ready.
    vendors.fault(Operation::Balance, Fault::Hang, None);
    let mut exporter = Exporter::start(&settings);
    let deadline = Instant::now() + PATIENCE;
    while exporter.get("/metrics").1.matches("\nwallet_exporter_source_up{").count() < 2 {
        assert!(Instant::now() < deadline, "the other two sources are not up");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(exporter.get("/-/ready").0, 503);
    exporter.signal("-TERM");
    assert_eq!(exporter.wait(), 0);

    vendors.clear_faults(None);
    let mut exporter = Exporter::start(&settings);
    until_ready(&exporter);
    exporter.signal("-TERM");
    assert_eq!(exporter.wait(), 0);

    // Nothing answers any more, but everything is remembered.
    for operation in [Operation::Balance, Operation::ConsumptionReport, Operation::CreditCardTransactions] {
        vendors.fault(operation, Fault::Hang, None);
    }
    until_ready(&Exporter::start(&settings));
}

/// Runs to its end; exit code, standard output, standard error.
fn run(arguments: &[&str], settings: &[(&str, &str)]) -> (i32, String, String) {
    let output = command(settings).args(arguments).stdout(Stdio::piped()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_is_not_to_be_touched_is_refused_and_left_as_it_is() {
    let (_vendors, address) = vendors().await;
    let file = "wallet-exporter.db";
    let sqlite = |path: &Path, sql: &str| {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    type Make<'a> = Box<dyn Fn(&Path) + 'a>;
    let cases: [(&str, Make<'_>, &str); 3] = [
        (
            "a text file",
            Box::new(|path| std::fs::write(path, "shopping list\n").unwrap()),
            "not written by this program",
        ),
        (
            "another program's database",
            Box::new(|path| sqlite(path, "CREATE TABLE t (x)")),
            "not written by this program",
        ),
        (
            "a newer version's",
            Box::new(|path| {
                sqlite(path, "PRAGMA application_id = 0x574c5458; PRAGMA user_version = 99; CREATE TABLE t (x)")
            }),
            "schema version 99",
        ),
    ];
    for (name, make, words) in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file);
        make(&path);
        let before = std::fs::read(&path).unwrap();
        let (code, _, errors) = run(&[], &settings(directory.path(), &address));
        assert_eq!(code, 1, "{name}: {errors}");
        assert!(errors.contains(words) && errors.contains("--storage.path"), "{name}: {errors}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{name} is untouched");
    }
    let (code, _, errors) = run(&[], &settings(Path::new("/proc/nowhere"), &address));
    assert_eq!(code, 1);
    assert!(errors.contains("--storage.path") && errors.contains("/proc/nowhere"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_storage_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_vendors, address) = vendors().await;
    let settings = settings(directory.path(), &address);
    let _first = Exporter::start(&settings);
    let (code, _, errors) = run(&[], &settings);
    assert_eq!(code, 1);
    assert!(errors.contains("in use by another process"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_moved_aside_loudly() {
    for damage in ["middle", "header", "cut"] {
        let directory = tempfile::tempdir().unwrap();
        let (_vendors, address) = vendors().await;
        let settings = settings(directory.path(), &address);
        let mut exporter = Exporter::start(&settings);
        exporter.signal("-TERM");
        assert_eq!(exporter.wait(), 0);
        let path = directory.path().join("wallet-exporter.db");
        let mut bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() > 20_000);
        match damage {
            "middle" => bytes[5_000..15_000].fill(0xa5),
            "header" => bytes[..100].fill(0xa5),
            _ => bytes.truncate(9_000),
        }
        std::fs::write(&path, &bytes).unwrap();
        let exporter = Exporter::start(&settings);
        let aside: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("wallet-exporter.db.damaged-"))
            .collect();
        assert_eq!(aside.len(), 1, "{damage}: {aside:?}");
        assert_eq!(std::fs::read(directory.path().join(&aside[0])).unwrap(), bytes, "{damage}: nothing is lost");
        assert_eq!(exporter.counters()[DEBIT], 0.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_end_with_their_codes() {
    let (vendors, address) = vendors().await;
    vendors.set_balance(Usd::from_cents(4_250));
    let nowhere = tempfile::tempdir().unwrap();
    let storage = nowhere.path().join("data");
    let mut settings = settings(&storage, &address);
    let (code, out, errors) = run(&["check", "--online"], &settings);
    assert_eq!(code, 0, "{out}{errors}");
    assert!(out.contains("batchdata balance") && out.contains("ok"), "{out}");
    let (code, out, _) = run(&["dump"], &settings);
    assert_eq!(code, 0);
    assert!(out.contains("batchdata_wallet_balance_usd{account=\"default\"} 42.5\n"), "{out}");
    assert!(!storage.exists(), "check and dump write nothing");

    vendors.set_permission(wallet_exporter::simulator::Operation::Balance, false);
    let (code, out, _) = run(&["check", "--online"], &settings);
    assert_eq!(code, 1);
    assert!(out.contains("wallet-balance") && out.contains("forbidden"), "{out}");
    assert_eq!(run(&["dump"], &settings).0, 1);
    settings.push(("BATCHDATA_TYPO", "x"));
    let (code, _, errors) = run(&["check"], &settings);
    assert_eq!(code, 64);
    assert!(errors.contains("BATCHDATA_TYPO"), "{errors}");
    assert_eq!(run(&["--no-such-flag"], &[]).0, 64);
    let (code, out, _) = run(&["--version"], &[]);
    assert_eq!(code, 0);
    assert!(out.starts_with("wallet-exporter ") && out.contains("revision "), "{out}");
    assert_eq!(run(&["--help"], &[]).0, 0);
}

/// Both names, in a second process for each, as a process's environment is its own.
#[test]
fn a_proxy_is_asked_for_a_tunnel_unless_the_vendor_is_excepted() {
    for (excepted, asked) in [("elsewhere.invalid", true), ("vendor.invalid", false)] {
        let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", proxy.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in proxy.incoming() {
                let mut stream = stream.unwrap();
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).unwrap_or(0);
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&head[..read]));
                let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let settings = [
            ("BATCHDATA_API_TOKEN", "a-token-for-the-vendor-alone"),
            ("BATCHDATA_BASE_URL", "https://vendor.invalid"),
            ("HTTPS_PROXY", address.as_str()),
            ("NO_PROXY", excepted),
        ];
        let (code, out, errors) = run(&["check", "--online"], &settings);
        assert_eq!(code, 1, "{out}{errors}");
        assert!(out.contains("connect"), "{out}");
        let heads = heads.lock().unwrap().clone();
        assert_eq!(heads.starts_with("CONNECT vendor.invalid:443 HTTP/1.1\r\n"), asked, "{heads:?}");
        assert_eq!(heads.is_empty(), !asked, "{heads:?}");
        // The token travels inside the tunnel only.
        assert!(!heads.contains("a-token"), "{heads}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_is_logged_once_and_once_again_when_it_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    let balance = wallet_exporter::simulator::Operation::Balance;
    vendors.fault(balance, wallet_exporter::simulator::Fault::status(500), Some(3));
    let mut settings = settings(directory.path(), &address);
    settings.push(("LOG_FORMAT", "json"));
    settings.push(("BATCHDATA_SOURCES", "balance"));
    // In JSON the address is a field of its own.
    let mut child = command(&settings).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    let (mut failed, mut recovered) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).expect("each line is one JSON object");
        match line["message"].as_str() {
            Some("source fails") => failed.push(line),
            Some("source has recovered") => {
                recovered.push(line);
                break;
            }
            _ => {}
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((failed.len(), recovered.len()), (1, 1), "three failures, one line");
    assert_eq!((failed[0]["source"].as_str(), failed[0]["reason"].as_str()), (Some("balance"), Some("server_error")));
    assert!(failed[0]["error"].as_str().unwrap().starts_with("BatchData balance: server_error: "));
    assert!(recovered[0]["outage_seconds"].is_u64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_every_family_that_its_data_can_produce() {
    let settings = [("WEB_LISTEN_ADDRESS", "127.0.0.1:0"), ("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:0")];
    let deadline = Instant::now() + PATIENCE;
    let mut child = command(&settings).arg("demo").spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended: {seen}");
        seen.push_str(&line);
        if let Some(rest) = line.split("address=").nth(1) {
            break rest.split_whitespace().next().unwrap().parse().unwrap();
        }
    };
    let demo = Exporter { child, address, log: Arc::default() };
    // Some are there only while a card is pending or a batch is open, so what was once seen counts.
    let excused = ["batchdata_card_oldest_pending_timestamp_seconds"];
    let mut missing: Vec<&str> = wallet_exporter::metrics::catalog::ALL.iter().map(|family| family.name).collect();
    missing.retain(|name| !excused.contains(name));
    loop {
        let metrics = demo.get("/metrics").1;
        missing.retain(|name| !metrics.contains(&format!("# TYPE {name} ")));
        let counts = |series: &str| metrics.lines().any(|line| line.starts_with(series) && !line.ends_with(" 0"));
        let alive = [
            "batchdata_wallet_debit_usd_total{",
            "rightfoot_balance_checks_total{",
            "batchdata_card_transactions_total{",
        ]
        .iter()
        .all(|series| counts(series));
        let up = metrics
            .lines()
            .filter(|line| line.starts_with("wallet_exporter_source_up{") && line.ends_with(" 1"))
            .count();
        if missing.is_empty() && alive && up == 4 {
            return;
        }
        assert!(Instant::now() < deadline, "missing {missing:?}, alive {alive}, up {up}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readmes_queries_work_on_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    vendors.spend(SystemClock.now(), "api_request", "/x", Usd::from_cents(125));
    let exporter = Exporter::start(&settings(directory.path(), &address));
    let deadline = Instant::now() + PATIENCE;
    while exporter.get("/-/ready").0 != 200 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    let readme = include_str!("../../README.md");
    let queries: Vec<String> = readme
        .split("sqlite3 -readonly data/wallet-exporter.db \"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(queries.len(), 2);
    let file = directory.path().join("wallet-exporter.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(file, flags).unwrap();
    for query in queries {
        let mut statement = connection.prepare(&query).unwrap();
        assert!(statement.query([]).unwrap().next().unwrap().is_some(), "{query} finds nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded_through_a_gigabyte_and_through_two_hundred_full_batches() {
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    let ids: Vec<String> = (0..200)
        .map(|_| {
            let id = vendors.new_batch(None, false, "customer_ref", Vec::new());
            vendors.fill(&id, 5_000);
            id
        })
        .collect();
    let ids = ids.join(",");
    let mut settings = settings(directory.path(), &address);
    settings.extend([
        ("RIGHTFOOT_API_KEY", "rf_live_simulator"),
        ("RIGHTFOOT_BASE_URL", &address),
        ("RIGHTFOOT_BATCH_IDS", &ids),
    ]);
    let csv = wallet_exporter::simulator::Operation::BalancesCsv;
    vendors.fault(csv, wallet_exporter::simulator::Fault::Repeat { bytes: 1 << 30 }, Some(1));
    let flood = wallet_exporter::simulator::Fault::Flood { bytes: 1 << 30 };
    vendors.fault(wallet_exporter::simulator::Operation::Balance, flood, Some(2));
    let mut exporter = Exporter::start(&settings);
    let deadline = Instant::now() + 5 * PATIENCE;
    let value = |metrics: &str, series: &str| -> Option<f64> {
        metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    };
    let mut highest = 0.0_f64;
    loop {
        let metrics = exporter.get("/metrics").1;
        highest = highest.max(value(&metrics, "process_resident_memory_bytes").unwrap());
        let open: f64 = metrics
            .lines()
            .filter(|line| line.starts_with("rightfoot_open_balance_checks{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        let balance =
            value(&metrics, r#"wallet_exporter_source_up{account="default",vendor="batchdata",source="balance"}"#);
        if open >= 1_000_000.0 && balance == Some(1.0) {
            break;
        }
        assert!(Instant::now() < deadline, "open {open}, balance {balance:?}\n{}", exporter.log.lock().unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(highest < 48.0 * 1024.0 * 1024.0, "{highest} bytes");
    // Everything that has left this process, after good answers and broken ones.
    let left =
        [exporter.get("/metrics").1, exporter.get("/").1, exporter.get("/api/v1/status").1, exporter.get("/nowhere").1];
    exporter.child.kill().unwrap();
    let log = exporter.log.lock().unwrap().clone();
    let secrets = ["sim-batchdata-token", "rf_live_simulator"];
    for needle in wallet_exporter::simulator::CANARIES.iter().copied().chain(secrets) {
        assert!(left.iter().chain([&log]).all(|text| !text.contains(needle)), "{needle} has left the process");
    }
}
