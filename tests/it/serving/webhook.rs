//! The webhook's address.

use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use wallet_exporter::config::secret::Secret;
use wallet_exporter::http::{ConnectionLimits, Web, WebhookOptions, WebhookServer};
use wallet_exporter::names::Vendor;
use wallet_exporter::poll::builder::Webhook;
use wallet_exporter::poll::webhook_sink::{Received, WebhookSink};
use wallet_exporter::rightfoot::{self, Event};

use rcgen::ExtendedKeyUsagePurpose;

use super::fixture::{LONG, ask};
use super::tools;
use super::web_config::{Authority, TLS};

const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
const EVENT: &str = r#"{"event_uuid":"f47ac10b-58cc-4372-a567-0e02b2c3d479","type":"BALANCE_BATCH_COMPLETED","batch_id":"5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83"}"#;
const ALERT: &str = r#"{"type":"BALANCE_THRESHOLD_ALERT","batch_id":"5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83","schedule_id":"s","alerts":[],"timestamp":"2026-05-19T00:00:00Z"}"#;

struct FakeSink {
    answer: Mutex<Received>,
    events: Mutex<Vec<String>>,
}

impl FakeSink {
    fn new() -> Arc<FakeSink> {
        Arc::new(FakeSink { answer: Mutex::new(Received::Done), events: Mutex::default() })
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock().unwrap())
    }

    fn record(&self, what: String) {
        self.events.lock().unwrap().push(what);
    }
}

#[async_trait]
impl WebhookSink for FakeSink {
    fn vendor(&self) -> Vendor {
        rightfoot::VENDOR
    }

    async fn receive(&self, body: &[u8]) -> Received {
        match Event::read(body) {
            Some(Event::Completed { event, batch }) => {
                self.record(format!("completed {event} {batch}"));
                *self.answer.lock().unwrap()
            }
            Some(Event::Other) => {
                self.record("ignored".to_owned());
                Received::Done
            }
            None => {
                self.record("malformed".to_owned());
                Received::Malformed
            }
        }
    }
}

/// Serves one webhook with these secrets.
async fn serve(options: WebhookOptions, secrets: &[&str]) -> (SocketAddr, Arc<FakeSink>) {
    let sink = FakeSink::new();
    let server = WebhookServer::bind(options).await.unwrap();
    let address = server.local_addr();
    let secrets = secrets.iter().map(|secret| Secret::fixed(SecretString::from((*secret).to_owned()))).collect();
    let webhook = Webhook { sink: Arc::clone(&sink) as Arc<dyn WebhookSink>, secrets };
    let unmatched = {
        let sink = Arc::clone(&sink);
        Box::new(move || sink.record("unmatched".to_owned()))
    };
    tokio::spawn(server.run(
        Arc::new(ArcSwap::from_pointee(vec![webhook])),
        unmatched,
        Arc::default(),
        CancellationToken::new(),
    ));
    (address, sink)
}

async fn start() -> (SocketAddr, Arc<FakeSink>) {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut ConnectionLimits)) -> (SocketAddr, Arc<FakeSink>) {
    let mut options = WebhookOptions::new("127.0.0.1:0".to_owned());
    change(&mut options.limits);
    serve(options, &[SECRET]).await
}

fn path() -> String {
    format!("/webhooks/rightfoot/{SECRET}")
}

#[tokio::test]
async fn an_event_is_acknowledged_once_it_is_durable() {
    let (address, sink) = start().await;
    for (result, code) in [(Received::Done, 200), (Received::Later("The event could not be stored.\n"), 503)] {
        *sink.answer.lock().unwrap() = result;
        // The content type is the vendor's affair.
        let answer = ask(address, "POST", &path(), &[("Content-Type", "text/html")], EVENT.as_bytes()).await;
        assert_eq!(answer.code, code, "{result:?}");
        if code == 200 {
            assert_eq!(answer.text(), r#"{"status":"received"}"#);
            assert_eq!(answer.header("content-type"), "application/json");
        }
        let events = "completed f47ac10b-58cc-4372-a567-0e02b2c3d479 5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83";
        assert_eq!(sink.events(), [events]);
    }
}

#[tokio::test]
async fn other_events_are_ignored_and_nonsense_is_refused() {
    let (address, sink) = start().await;
    let other_batch = EVENT.replace("5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83", "not-a-uuid");
    let without_batch = r#"{"type":"BALANCE_BATCH_COMPLETED"}"#;
    for (body, code, events) in [
        (ALERT, 200, "ignored"),
        ("", 400, "malformed"),
        ("{", 400, "malformed"),
        ("[]", 400, "malformed"),
        (r#"{"type":7}"#, 400, "malformed"),
        (without_batch, 400, "malformed"),
        (other_batch.as_str(), 400, "malformed"),
    ] {
        let answer = ask(address, "POST", &path(), &[], body.as_bytes()).await;
        assert_eq!((answer.code, sink.events()), (code, vec![events.to_owned()]), "{body}");
    }
}

#[tokio::test]
async fn without_the_secret_everything_is_the_same_404() {
    let (address, sink) = start().await;
    let right = path();
    let longer = format!("{right}x");
    let shorter = &right[..right.len() - 1];
    let mut answers = Vec::new();
    for (method, target) in [
        ("POST", longer.as_str()),
        ("POST", shorter),
        ("GET", shorter),
        ("POST", "/webhooks/rightfoot/"),
        ("GET", "/metrics"),
        ("GET", "/"),
        ("GET", "/-/healthy"),
        ("POST", "/-/reload"),
    ] {
        let mut answer = ask(address, method, target, &[], b"").await;
        assert_eq!(answer.code, 404, "{method} {target}");
        assert_eq!(sink.events(), ["unmatched"], "{method} {target}");
        answer.headers.remove("date");
        answers.push((answer.headers, answer.body));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let answer = ask(address, "GET", &right, &[], b"").await;
    assert_eq!((answer.code, answer.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn large_events_are_refused() {
    let (address, sink) = start().await;
    let padded = format!("{}{}", EVENT, " ".repeat(64 * 1024 - EVENT.len()));
    assert_eq!(ask(address, "POST", &path(), &[], padded.as_bytes()).await.code, 200);
    assert_eq!(sink.events().len(), 1);
    let announced = [("Content-Length", "65537")];
    assert_eq!(ask(address, "POST", &path(), &announced, b"").await.code, 413);
    // Without an announcement the size shows on the way.
    let chunks = format!("{:x}\r\n{}\r\n0\r\n\r\n", 65_537, "x".repeat(65_537));
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}",
        path()
    );
    let answer = super::fixture::raw(address, request.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    assert!(sink.events().is_empty());
}

/// What is left on a connection until the server ends it.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.expect("the server ends the connection");
    rest
}

#[tokio::test]
async fn heads_are_bounded_in_time_and_size() {
    let (address, sink) = start_with(|limits| limits.headers = Duration::from_millis(200)).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"POST /webhooks/rightfoot/").await.unwrap();
    assert!(rest(silent).await.is_empty());
    assert!(rest(half).await.is_empty());
    let long = format!("POST {} HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", path(), "x".repeat(64 * 1024));
    let many = format!("POST {} HTTP/1.1\r\nHost: t\r\n{}\r\n", path(), "X: y\r\n".repeat(100));
    for head in [long, many] {
        assert!(super::fixture::raw(address, head.as_bytes()).await.starts_with(b"HTTP/1.1 431 "));
    }
    assert!(sink.events().is_empty());
}

#[tokio::test]
async fn a_body_that_stops_on_the_way_ends_the_connection() {
    let (address, sink) = start_with(|limits| limits.stalled = Duration::from_millis(200)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", path(), EVENT.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&EVENT.as_bytes()[..20]).await.unwrap();
    assert!(!rest(stream).await.starts_with(b"HTTP/1.1 200"));
    assert!(!sink.events().iter().any(|events| events.starts_with("completed")));
}

#[tokio::test]
async fn at_its_limit_of_128_the_longest_idle_connection_goes_first() {
    let usual = WebhookOptions::new(String::new()).limits;
    assert_eq!((usual.connections, usual.idle), (128, Duration::from_secs(30)));
    let (address, sink) = start().await;
    let request = format!("POST {} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{EVENT}", path(), EVENT.len());
    let mut connections = Vec::new();
    for _ in 0..129 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        connections.push(stream);
    }
    // The first one is ended, and nothing of the others is lost.
    rest(connections.remove(0)).await;
    assert_eq!(sink.events().len(), 129);
    let mut buffer = [0; 1_024];
    for stream in &mut connections {
        let _ = stream.read(&mut buffer).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn the_secret_is_in_no_answer_and_no_debug_output() {
    let (address, _) = start().await;
    for method in ["POST", "GET", "DELETE"] {
        let answer = ask(address, method, &path(), &[], b"{").await;
        assert!(!answer.text().contains(SECRET));
    }
    let secret = Secret::fixed(SecretString::from(SECRET.to_owned()));
    assert!(!format!("{secret:?}").contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_secrets_open_it_during_a_rotation_and_tls_hides_them_on_the_way() {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    let old = SECRET.to_uppercase();
    let mut options = WebhookOptions::new("127.0.0.1:0".to_owned());
    options.web_config = Some(authority.config(TLS));
    let (address, _) = serve(options, &[SECRET, &old]).await;
    let Some(curl) = tools::find("curl") else { return };
    let ca = authority.path("ca.crt");
    for (secret, code) in [(SECRET, "200"), (&old, "200"), (&SECRET[1..], "404")] {
        let url = format!("https://localhost:{}/webhooks/rightfoot/{secret}", address.port());
        let shown = ["-sS", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code}"];
        let sent = ["--cacert", ca.to_str().unwrap(), "--data", EVENT, &url];
        let output = tools::run(curl.clone(), &[&shown[..], &sent[..]].concat());
        assert_eq!(output.out(), code, "{secret}: {}", output.err());
    }
}

#[tokio::test]
async fn its_configuration_is_for_tls_alone() {
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    for (more, fits) in [("", true), ("rate_limit: {interval: 1s, burst: 2}\n", false)] {
        let mut options = WebhookOptions::new("127.0.0.1:0".to_owned());
        options.web_config = Some(authority.config(&format!("{TLS}{more}")));
        match WebhookServer::bind(options).await {
            Ok(_) => assert!(fits, "{more}"),
            Err(error) => assert!(!fits && error.to_string().contains("only tls_server_config"), "{error}"),
        }
    }
    let file = authority.config(TLS);
    let web = Web::load_for_webhook(Some(&file)).unwrap();
    authority.config(&format!("{TLS}rate_limit: {{interval: 1s}}\n"));
    assert!(web.reload().unwrap_err().to_string().contains("only tls_server_config"), "at a reload, too");
}
