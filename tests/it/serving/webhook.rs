//! The webhook's address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wallet_exporter::config::secret::Secret;
use wallet_exporter::http::{WebhookOptions, WebhookServer};
use wallet_exporter::poll::inbox::{Inbox, NotDurable, Received};

use super::fixture::ask;

const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
const EVENT: &str = r#"{"event_uuid":"f47ac10b-58cc-4372-a567-0e02b2c3d479","type":"BALANCE_BATCH_COMPLETED","batch_id":"5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83"}"#;
const ALERT: &str = r#"{"type":"BALANCE_THRESHOLD_ALERT","batch_id":"5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83","schedule_id":"s","alerts":[],"timestamp":"2026-05-19T00:00:00Z"}"#;

#[derive(Debug)]
struct FakeInbox {
    answer: Mutex<Result<Received, NotDurable>>,
    heard: Mutex<Vec<String>>,
}

impl FakeInbox {
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    fn hear(&self, what: String) {
        self.heard.lock().unwrap().push(what);
    }
}

#[async_trait]
impl Inbox for FakeInbox {
    async fn completed(&self, event: Uuid, batch: Uuid) -> Result<Received, NotDurable> {
        self.hear(format!("completed {event} {batch}"));
        *self.answer.lock().unwrap()
    }
    fn ignored(&self) {
        self.hear("ignored".to_owned());
    }
    fn malformed(&self) {
        self.hear("malformed".to_owned());
    }
    fn unmatched(&self) {
        self.hear("unmatched".to_owned());
    }
}

async fn start() -> (SocketAddr, Arc<FakeInbox>) {
    let inbox = Arc::new(FakeInbox { answer: Mutex::new(Ok(Received::Accepted)), heard: Mutex::default() });
    let secret = Secret::fixed(SecretString::from(SECRET.to_owned()));
    let server = WebhookServer::bind(WebhookOptions::new("127.0.0.1:0".to_owned(), secret)).await.unwrap();
    let address = server.local_addr();
    tokio::spawn(server.run(Arc::clone(&inbox) as Arc<dyn Inbox>, Arc::default(), CancellationToken::new()));
    (address, inbox)
}

fn path() -> String {
    format!("/webhooks/rightfoot/{SECRET}")
}

#[tokio::test]
async fn an_event_is_acknowledged_once_it_is_durable() {
    let (address, inbox) = start().await;
    for (result, code) in [
        (Ok(Received::Accepted), 200),
        (Ok(Received::Duplicate), 200),
        (Ok(Received::Full), 503),
        (Err(NotDurable), 503),
    ] {
        *inbox.answer.lock().unwrap() = result;
        // The content type is the vendor's affair.
        let answer = ask(address, "POST", &path(), &[("Content-Type", "text/html")], EVENT.as_bytes()).await;
        assert_eq!(answer.code, code, "{result:?}");
        if code == 200 {
            assert_eq!(answer.text(), r#"{"status":"received"}"#);
            assert_eq!(answer.header("content-type"), "application/json");
        }
        let heard = "completed f47ac10b-58cc-4372-a567-0e02b2c3d479 5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83";
        assert_eq!(inbox.heard(), [heard]);
    }
}

#[tokio::test]
async fn other_events_are_ignored_and_nonsense_is_refused() {
    let (address, inbox) = start().await;
    let other_batch = EVENT.replace("5d3c6bbb-fc1a-46a4-93da-1ce4a54b0d83", "not-a-uuid");
    let without_batch = r#"{"type":"BALANCE_BATCH_COMPLETED"}"#;
    for (body, code, heard) in [
        (ALERT, 200, "ignored"),
        ("", 400, "malformed"),
        ("{", 400, "malformed"),
        ("[]", 400, "malformed"),
        (r#"{"type":7}"#, 400, "malformed"),
        (without_batch, 400, "malformed"),
        (other_batch.as_str(), 400, "malformed"),
    ] {
        let answer = ask(address, "POST", &path(), &[], body.as_bytes()).await;
        assert_eq!((answer.code, inbox.heard()), (code, vec![heard.to_owned()]), "{body}");
    }
}

#[tokio::test]
async fn without_the_secret_everything_is_the_same_404() {
    let (address, inbox) = start().await;
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
        assert_eq!(inbox.heard(), ["unmatched"], "{method} {target}");
        answer.headers.remove("date");
        answers.push((answer.headers, answer.body));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let answer = ask(address, "GET", &right, &[], b"").await;
    assert_eq!((answer.code, answer.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn large_events_are_refused() {
    let (address, inbox) = start().await;
    let padded = format!("{}{}", EVENT, " ".repeat(64 * 1024 - EVENT.len()));
    assert_eq!(ask(address, "POST", &path(), &[], padded.as_bytes()).await.code, 200);
    assert_eq!(inbox.heard().len(), 1);
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
    assert!(inbox.heard().is_empty());
}

#[tokio::test]
async fn the_secret_is_in_no_answer_and_no_debug_output() {
    let (address, _) = start().await;
    for method in ["POST", "GET", "DELETE"] {
        let answer = ask(address, method, &path(), &[], b"{").await;
        assert!(!answer.text().contains(SECRET));
    }
    let options = WebhookOptions::new("127.0.0.1:0".to_owned(), Secret::fixed(SecretString::from(SECRET.to_owned())));
    assert!(!format!("{options:?}").contains(SECRET));
}
