//! The control interface over HTTP, the webhook, and the connections themselves.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vendor_simulator::Options;
use wallet_exporter::money::Usd;

use super::wire::{RunningSimulator, quiet, start};

const NOW: &str = "2026-05-19T18:00:00Z";

async fn controlled(running: &RunningSimulator, command: &str, body: &str) -> serde_json::Value {
    let answer = running.control(command, body).await;
    assert_eq!(answer.status, 200, "{command} {body}: {}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_driver_in_another_process_can_order_everything() {
    let running = quiet(NOW).await;
    controlled(&running, "balance", r#"{"balance": "42.50"}"#).await;
    controlled(
        &running,
        "spend",
        r#"{"amount": 0.45, "origin": "api_request", "path": "/api/v1/phone/dnc", "at": "2026-05-01T14:00:00Z"}"#,
    )
    .await;
    controlled(&running, "credit", r#"{"amount": "5", "origin": "admin_adjustment"}"#).await;
    controlled(&running, "restate", r#"{"day": "2026-05-01", "part": "total", "debit": "-0.05"}"#).await;
    let card = controlled(&running, "top_up", r#"{"credits": "100", "status": 0, "card_brand": "amex"}"#).await;
    controlled(&running, "card_status", &format!(r#"{{"id": {}, "status": 1}}"#, card["id"])).await;
    controlled(&running, "refund", r#"{"credits": "25"}"#).await;
    let id = "8ac1f4a6-1234-4abc-9d3e-001122334455";
    controlled(&running, "batch", &format!(r#"{{"id": "{id}", "fill": 10}}"#)).await;
    let row = r#"{"institution": "Chase", "balance": "12.34", "by_dashboard": true}"#;
    controlled(&running, "rows", &format!(r#"{{"id": "{id}", "rows": [{row}]}}"#)).await;
    controlled(&running, "complete", &format!(r#"{{"id": "{id}"}}"#)).await;

    let expected = controlled(&running, "expected", "").await;
    assert_eq!(expected["balance"], "122.0500");
    assert_eq!(expected["total"], serde_json::json!({"debit": "0.4000", "credit": "105.0000"}));
    assert_eq!(expected["by_origin"]["wallet_card_top_up"]["credit"], "100.0000");
    assert_eq!(expected["by_path"]["/api/v1/phone/dnc"], "0.4500");
    assert_eq!(expected["cards"][0]["kind"], "refund");
    assert_eq!(expected["cards"][1]["card_brand"], "amex");
    assert_eq!((&expected["batches"][0]["rows"], &expected["batches"][0]["complete"]), (&11.into(), &true.into()));
    assert_eq!(controlled(&running, "batches", "").await, serde_json::json!([id]));
    assert_eq!(controlled(&running, "now", "").await, NOW);
}

#[tokio::test]
async fn a_driver_in_another_process_can_order_trouble() {
    let running = quiet(NOW).await;
    let status = async || running.wallet("/api/v1/wallet/balance").await.status;
    let fault = r#"{"operation": "balance", "fault": {"status": {"code": 429, "retry_after": "30"}}, "times": 1}"#;
    controlled(&running, "fault", fault).await;
    assert_eq!((status().await, status().await), (429, 200));
    controlled(&running, "fault", r#"{"operation": "balance", "fault": "empty_body"}"#).await;
    assert_eq!(running.wallet("/api/v1/wallet/balance").await.body.len(), 0);
    controlled(&running, "clear", "{}").await;
    controlled(&running, "permissions", r#"{"operation": "balance", "granted": false}"#).await;
    assert_eq!(status().await, 403);
    controlled(&running, "token", r#"{"batchdata": "another"}"#).await;
    assert_eq!(status().await, 401);
    controlled(&running, "clock_offset", r#"{"seconds": -3600}"#).await;
    assert_eq!(running.control("now", "").await.header("date"), Some("Tue, 19 May 2026 17:00:00 GMT"));

    let requests = controlled(&running, "requests", "").await;
    let statuses: Vec<u64> = requests.as_array().unwrap().iter().map(|seen| seen["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [429, 200, 200, 403, 401]);
    assert_eq!(requests[2]["fault"], "empty_body");
    assert!(requests[1]["body_bytes"].as_u64().unwrap() > 50);
    let all = running.control("requests", "").await.text().to_owned();
    assert!(!all.contains("sim-batchdata-token"), "a credential is never kept");
    controlled(&running, "clear_requests", "{}").await;
    assert_eq!(controlled(&running, "requests", "").await, serde_json::json!([]));
}

#[tokio::test]
async fn a_wrong_order_says_what_to_write_instead() {
    let running = quiet(NOW).await;
    for (command, body, status, hint) in [
        ("spend", "{}", 400, "missing field `amount`"),
        ("spend", "not json", 400, r#"for example {"amount": "0.45""#),
        ("spend", r#"{"amount": "ten"}"#, 400, "ten is not a decimal number"),
        ("spend", r#"{"amount": "1", "pth": "x"}"#, 400, "unknown field `pth`"),
        ("restate", r#"{"day": "2026-05-01", "part": "origin"}"#, 400, "origin (with origin)"),
        ("card_status", r#"{"id": 1, "status": 1}"#, 400, "no card transaction has the id 1"),
        ("complete", r#"{"id": "x"}"#, 400, "no batch has the id x"),
        ("fault", r#"{"operation": "balance", "fault": "explode"}"#, 400, "unknown variant `explode`"),
        ("fault", r#"{"operation": "wallet", "fault": "hang"}"#, 400, "expected one of `balance`"),
        ("clock_offset", r#"{"seconds": 9000000000}"#, 400, "ten years"),
        ("spend", "", 405, "POST /_simulator/spend"),
        ("expected", "{}", 405, "GET /_simulator/expected"),
        ("dance", "{}", 404, "POST spend, credit"),
        ("webhook", r#"{"url": "http://198.51.100.7/"}"#, 400, "loopback address"),
        ("webhook", r#"{"url": "http://localhost.example/"}"#, 400, "loopback address"),
    ] {
        let answer = running.control(command, body).await;
        assert_eq!(answer.status, status, "{command} {body}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(hint), "{command} {body}: {error}");
    }
}

/// Answers each webhook with the next status and returns what was posted.
async fn receiver(statuses: &'static [u16]) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/rightfoot/secret", listener.local_addr().unwrap());
    let (sender, posted) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\"}") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            sender.send(String::from_utf8(request).unwrap()).unwrap();
        }
    });
    (url, posted)
}

#[tokio::test]
async fn a_completed_batch_is_told_until_it_is_received() {
    let (url, mut posted) = receiver(&[500, 500, 200, 200]).await;
    let running = start(NOW, |options: &mut Options| options.webhook = Some(url)).await;
    let mut ids = running.simulator.watch_batch_ids();
    let id = running.simulator.batch(Vec::new());
    assert_eq!(*ids.borrow_and_update(), std::slice::from_ref(&id));
    assert!(running.simulator.complete(&id));
    let first = posted.recv().await.unwrap();
    assert!(first.starts_with("POST /webhooks/rightfoot/secret HTTP/1.1\r\n"), "{first}");
    let body: serde_json::Value = serde_json::from_str(first.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((&body["type"], &body["batch_id"]), (&"BALANCE_BATCH_COMPLETED".into(), &id.as_str().into()));
    assert_eq!(body["event_uuid"].as_str().unwrap().len(), 36);
    // Again at once, and then a minute later.
    assert_eq!(posted.recv().await.unwrap(), first);
    running.clock.advance(Duration::from_secs(61));
    assert_eq!(posted.recv().await.unwrap(), first);
    // Another completion is another event.
    running.clock.advance(Duration::from_secs(1));
    running.simulator.complete(&id);
    assert_ne!(posted.recv().await.unwrap(), first);
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let running = quiet(NOW).await;
    let id = running.simulator.batch(Vec::new());
    let mut stream = TcpStream::connect(&running.address).await.unwrap();
    let balance = "GET /api/v1/wallet/balance HTTP/1.1\r\nAuthorization: Bearer sim-batchdata-token\r\n";
    let csv =
        format!("GET /v1/balances/csv?batch_ids={id} HTTP/1.1\r\nAuthorization: Bearer rf_live_simulator\r\n\r\n");
    let all = format!("{balance}\r\n{csv}{balance}Connection: close\r\n\r\n");
    stream.write_all(all.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(answers.matches("Connection: close").count(), 1);
    assert!(answers.contains("0\r\n\r\nHTTP/1.1 200 OK"), "the stream ends before the next answer begins");
}

#[tokio::test]
async fn the_end_of_the_simulator_ends_its_connections() {
    let running = quiet(NOW).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(running.simulator.clone().serve(listener, async {
        let _ = stopped.await;
    }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /_simulator/now HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(stream.read_u8().await.is_ok());
    stop.send(()).unwrap();
    serving.await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_same_answers_come_over_tls() {
    let running = quiet(NOW).await;
    running.simulator.set_balance(Usd::parse("42.5").unwrap());
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(running.simulator.clone().serve_tls(listener, Arc::new(server), std::future::pending()));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let request =
        "GET /api/v1/wallet/balance HTTP/1.1\r\nAuthorization: Bearer sim-batchdata-token\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""balance":42.5000"#), "{answer}");
}

#[tokio::test]
async fn a_page_in_a_browser_commands_nothing() {
    let running = start(NOW, |options: &mut Options| options.webhook = Some("http://hooks.example/x".to_owned())).await;
    let post = async |command: &str, headers: &str, body: &str| {
        let mut stream = TcpStream::connect(&running.address).await.unwrap();
        let length = body.len();
        let head = format!("POST /_simulator/{command} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        String::from_utf8_lossy(&status[9..]).into_owned()
    };
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    let balance = r#"{"balance": "1"}"#;
    assert_eq!(post("balance", "Content-Type: text/plain\r\n", balance).await, "415");
    assert_eq!(post("balance", "", balance).await, "415");
    assert_eq!(post("balance", &format!("{json}Origin: https://evil.example\r\n"), balance).await, "415");
    for (site, status) in [("cross-site", "415"), ("same-site", "415"), ("same-origin", "200"), ("none", "200")] {
        assert_eq!(post("balance", &format!("{json}Sec-Fetch-Site: {site}\r\n"), balance).await, status, "{site}");
    }
    assert_eq!(post("balance", json, balance).await, "200");
    let webhook = |host: &str| format!(r#"{{"url": "http://{host}/webhooks/rightfoot/secret"}}"#);
    for (host, status) in [("hooks.example", "200"), ("[::1]:80", "200"), ("127.9.9.9", "200"), ("192.0.2.1", "400")] {
        assert_eq!(post("webhook", json, &webhook(host)).await, status, "{host}");
    }
}
