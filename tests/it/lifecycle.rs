//! The real program from its start to its end: readiness, reloads, signals, commands, logs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wallet_exporter::clock::{Clock as _, SystemClock};
use wallet_exporter::money::Usd;

use crate::program::{Exporter, PATIENCE, command, run, settings, vendors};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_and_sigint_end_it_in_order() {
    for name in ["-TERM", "-INT"] {
        let directory = tempfile::tempdir().unwrap();
        let (vendors, address) = vendors().await;
        // A vendor that hangs must not hold up the end.
        vendors.fault(vendor_simulator::Operation::Balance, vendor_simulator::Fault::Hang, None);
        let mut exporter = Exporter::start(&settings(directory.path(), &address));
        assert_eq!(exporter.get("/-/healthy").0, 200);
        exporter.signal(name);
        assert_eq!(exporter.wait(), 0, "{name}");
        exporter.until_logged("stopped");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_once_every_source_was_tried_or_restored() {
    use vendor_simulator::{Fault, Operation};
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    let settings = settings(directory.path(), &address);
    // One source hangs: the others have answered, and still it is not ready.
    vendors.fault(Operation::Balance, Fault::Hang, None);
    let mut exporter = Exporter::start(&settings);
    exporter.until("the other two sources are up", |exporter| {
        exporter.get("/metrics").1.matches("\nwallet_exporter_source_up{").count() == 2
    });
    assert_eq!(exporter.get("/-/ready").0, 503);
    exporter.signal("-TERM");
    assert_eq!(exporter.wait(), 0);

    vendors.clear_faults(None);
    let mut exporter = Exporter::start(&settings);
    exporter.until_ready();
    exporter.signal("-TERM");
    assert_eq!(exporter.wait(), 0);

    // Nothing answers any more, but everything is remembered.
    for operation in [Operation::Balance, Operation::ConsumptionReport, Operation::CreditCardTransactions] {
        vendors.fault(operation, Fault::Hang, None);
    }
    Exporter::start(&settings).until_ready();
}

/// The file is read at a reload and at no other time, so what changes shows that there was one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_or_a_request_reloads_and_a_bad_file_keeps_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let (_vendors, address) = vendors().await;
    let web = directory.path().join("web.yml");
    let frame = |value: &str| {
        let text = format!("http_server_config:\n  headers:\n    X-Frame-Options: {value}\n");
        std::fs::write(&web, text).unwrap();
    };
    frame("first");
    let storage = directory.path().join("data");
    let mut settings = settings(&storage, &address);
    settings.extend([("WEB_CONFIG_FILE", web.to_str().unwrap()), ("WEB_ENABLE_LIFECYCLE", "true")]);
    let mut exporter = Exporter::start(&settings);
    let shows = |exporter: &Exporter, value: &str| {
        exporter.ask("GET", "/").contains(&format!("\r\nx-frame-options: {value}\r\n"))
    };
    let value = |exporter: &Exporter, name: &str| -> f64 {
        let metrics = exporter.get("/metrics").1;
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).expect("the family is served");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    const SUCCESSFUL: &str = "wallet_exporter_config_last_reload_successful";
    const TIME: &str = "wallet_exporter_config_last_reload_success_timestamp_seconds";
    assert!(shows(&exporter, "first"));
    let started = value(&exporter, TIME);
    assert_eq!(value(&exporter, SUCCESSFUL), 1.0);

    frame("second");
    exporter.signal("-HUP");
    exporter.until("the signal reloads", |exporter| shows(exporter, "second"));
    exporter.until("the time of it is served", |exporter| value(exporter, TIME) > started);
    let reloaded = value(&exporter, TIME);

    std::fs::write(&web, "basic_auth_user: {}\n").unwrap();
    exporter.signal("-HUP");
    exporter.until("the failure is served", |exporter| value(exporter, SUCCESSFUL) == 0.0);
    assert!(shows(&exporter, "second"), "what was there before stays");
    assert_eq!(value(&exporter, TIME), reloaded);
    let answer = exporter.ask("POST", "/-/reload");
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("basic_auth_user"), "{answer}");

    frame("third");
    assert!(exporter.ask("POST", "/-/reload").starts_with("HTTP/1.1 200 "));
    assert!(shows(&exporter, "third"));
    exporter.until("the success is served", |exporter| value(exporter, SUCCESSFUL) == 1.0);
    exporter.signal("-TERM");
    exporter.wait();
    exporter.until_logged("reload failed: parts with errors keep their previous configuration");
    exporter.until_logged("basic_auth_user");
}

#[test]
fn a_reload_with_several_errors_is_logged_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let (token, file) = (directory.path().join("token"), directory.path().join("accounts.yml"));
    std::fs::write(&token, "x").unwrap();
    let account = |more: &str| {
        let text = format!("accounts: [{{account: a, vendor: batchdata, api_token_file: token{more}}}]\n");
        std::fs::write(&file, text).unwrap();
    };
    account("");
    let mut exporter = Exporter::start(&[
        ("CONFIG_FILE", file.to_str().unwrap()),
        ("BATCHDATA_BASE_URL", "http://127.0.0.1:9"),
        ("STORAGE_PATH", "none"),
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
        ("WEB_ENABLE_LIFECYCLE", "true"),
    ]);
    account(", max_age: x, sources: y");
    let answer = exporter.ask("POST", "/-/reload");
    assert!(answer.contains("the configuration has 2 errors:\n  "), "{answer}");
    exporter.signal("-TERM");
    exporter.wait();
    exporter.until_logged("reload failed: ");
    let log = exporter.log.lock().unwrap();
    let line = log.lines().find(|line| line.contains("reload failed: ")).unwrap();
    let place = file.display();
    assert!(line.contains(&format!(" error=\"the configuration has 2 errors: {place}:1: ")), "{line}");
    assert!(line.contains(&format!("; {place}:1: ")) && !line.contains("\\n"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_secret_that_is_none_is_refused_while_running_with_one_warning() {
    let directory = tempfile::tempdir().unwrap();
    let (_vendors, address) = vendors().await;
    let file = directory.path().join("secret");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef").unwrap();
    let storage = directory.path().join("data");
    let mut settings = settings(&storage, &address);
    settings.extend([
        ("RIGHTFOOT_API_KEY", "rf_live_simulator"),
        ("RIGHTFOOT_BASE_URL", address.as_str()),
        ("RIGHTFOOT_WEBHOOK_SECRET_FILE", file.to_str().unwrap()),
        ("WEBHOOK_LISTEN_ADDRESS", "127.0.0.1:0"),
        ("WEB_ENABLE_LIFECYCLE", "true"),
    ]);
    let mut exporter = Exporter::start(&settings);
    std::fs::write(&file, "x").unwrap();
    for _ in 0..3 {
        let answer = exporter.ask("POST", "/-/reload");
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("RIGHTFOOT_WEBHOOK_SECRET_FILE"), "{answer}");
    }
    std::fs::write(&file, "fedcba9876543210fedcba9876543210").unwrap();
    assert!(exporter.ask("POST", "/-/reload").starts_with("HTTP/1.1 200 "));
    exporter.signal("-TERM");
    exporter.wait();
    exporter.until_logged("stopped");
    let log = exporter.log.lock().unwrap();
    assert_eq!(log.matches("32 to 128 of A-Z").count(), 1, "{log}");
    assert!(log.contains("the secret has changed"), "{log}");
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

    vendors.set_permission(vendor_simulator::Operation::Balance, false);
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
    let balance = vendor_simulator::Operation::Balance;
    vendors.fault(balance, vendor_simulator::Fault::status(500), Some(3));
    let mut settings = settings(directory.path(), &address);
    settings.push(("LOG_FORMAT", "json"));
    settings.push(("BATCHDATA_SOURCES", "balance,consumption"));
    // In JSON the address is a field of its own.
    let mut child = command(&settings).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    let (mut first, mut failed, mut recovered) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).expect("each line is one JSON object");
        match line["message"].as_str() {
            Some("the first poll succeeded") => first.push(line["source"].as_str().unwrap().to_owned()),
            Some("poll failed") => failed.push(line),
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
    assert_eq!(first, ["consumption"]);
    assert_eq!((failed[0]["source"].as_str(), failed[0]["reason"].as_str()), (Some("balance"), Some("server_error")));
    // What has a field of its own is not repeated.
    assert_eq!((failed[0]["operation"].as_str(), failed[0]["error"].as_str()), (Some("balance"), Some("HTTP 500")));
    assert!(recovered[0]["outage_seconds"].is_u64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_token_is_logged_once_and_not_for_each_source() {
    use vendor_simulator::{Fault, Operation};
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    for operation in [Operation::Balance, Operation::ConsumptionReport, Operation::CreditCardTransactions] {
        vendors.fault(operation, Fault::status(500), None);
    }
    let mut exporter = Exporter::start(&settings(directory.path(), &address));
    let failing = |exporter: &Exporter, reason: &str| {
        let status: serde_json::Value = serde_json::from_str(&exporter.get("/api/v1/status").1).unwrap();
        let sources = status["accounts"][0]["sources"].as_array().unwrap();
        sources.iter().filter(|source| source["last_failure"]["reason"] == reason).count()
    };
    exporter.until("all sources fail", |exporter| failing(exporter, "server_error") == 3);
    // The token is rejected while they fail for another reason.
    vendors.set_batchdata_token("another");
    vendors.clear_faults(None);
    exporter.signal("-HUP");
    exporter.until("all sources are rejected", |exporter| failing(exporter, "unauthorized") == 3);
    exporter.signal("-TERM");
    exporter.wait();
    exporter.until_logged("stopped");
    let log = exporter.log.lock().unwrap();
    let failed =
        |reason: &str| log.lines().filter(|line| line.contains("poll failed") && line.contains(reason)).count();
    assert_eq!((failed("reason=server_error"), failed("reason=unauthorized")), (3, 1), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_one_endpoint_alone_rejects_is_logged_once() {
    use vendor_simulator::{Fault, Operation};
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    vendors.fault(Operation::ConsumptionReport, Fault::status(401), None);
    let mut settings = settings(directory.path(), &address);
    settings.push(("WEB_ENABLE_LIFECYCLE", "true"));
    let mut exporter = Exporter::start(&settings);
    for (source, status) in ["balance", "consumption", "balance", "consumption"].into_iter().zip([200, 502, 200, 502]) {
        let answer = exporter.ask("POST", &format!("/-/poll?source={source}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{source}: {answer}");
    }
    exporter.signal("-TERM");
    exporter.wait();
    exporter.until_logged("stopped");
    let log = exporter.log.lock().unwrap();
    let failed = log.lines().filter(|line| line.contains("poll failed")).count();
    assert_eq!(failed, 1, "{log}");
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
    let demo = Exporter { child, address, start: String::new(), log: Arc::default() };
    // Some are there only while a card is pending or a batch is open, so what was once seen counts.
    // The demo has no shards.
    let excused = ["batchdata_card_oldest_pending_timestamp_seconds", "wallet_exporter_shard_info"];
    let mut missing: Vec<&str> = wallet_exporter::app::families().map(|family| family.name).collect();
    missing.retain(|name| !excused.contains(name));
    loop {
        let metrics = demo.get("/metrics").1;
        missing.retain(|name| !metrics.contains(&format!("# TYPE {name} ")));
        let counts = |series: &str| metrics.lines().any(|line| line.starts_with(series) && !line.ends_with(" 0"));
        let alive = [
            "batchdata_wallet_debit_usd_total{",
            "rightfoot_balance_checks_total{",
            "batchdata_card_transactions_total{",
            "batchdata_wallet_transactions_total{",
        ]
        .iter()
        .all(|series| counts(series));
        let up = metrics
            .lines()
            .filter(|line| line.starts_with("wallet_exporter_source_up{") && line.ends_with(" 1"))
            .count();
        if missing.is_empty() && alive && up == 5 {
            return;
        }
        assert!(Instant::now() < deadline, "missing {missing:?}, alive {alive}, up {up}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_queries_work_on_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    vendors.spend(SystemClock.now(), "api_request", "/x", Usd::from_cents(125));
    let exporter = Exporter::start(&settings(directory.path(), &address));
    exporter.until_ready();
    let document = include_str!("../../docs/storage.md");
    let queries: Vec<String> = document
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
async fn a_reload_polls_a_failing_source_at_once() {
    use vendor_simulator::Operation;

    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    let storage = directory.path().join("data");
    let mut settings = settings(&storage, &address);
    settings.push(("WEB_ENABLE_LIFECYCLE", "true"));
    vendors.set_permission(Operation::Balance, false);
    let mut exporter = Exporter::start(&settings);
    let up = |value: u8| {
        let line = format!(
            "wallet_exporter_source_up{{account=\"default\",vendor=\"batchdata\",source=\"balance\"}} {value}\n"
        );
        move |exporter: &Exporter| exporter.get("/metrics").1.contains(&line)
    };
    exporter.until("the permission is missed", up(0));
    // Its quick second try, after which it would wait for minutes.
    let asked = || vendors.requests().iter().filter(|seen| seen.operation == Some(Operation::Balance)).count();
    exporter.until("it was asked twice", |_| asked() >= 2);
    vendors.set_permission(Operation::Balance, true);
    assert!(exporter.ask("POST", "/-/reload").starts_with("HTTP/1.1 200 "));
    exporter.until("the balance is polled", up(1));
    exporter.signal("-TERM");
    assert_eq!(exporter.wait(), 0);
}
