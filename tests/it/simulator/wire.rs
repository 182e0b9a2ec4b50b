//! A client that shows an answer's bytes as they came, also those that a library would refuse.

use crate::rig::vendor_clock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vendor_simulator::{Options, Simulator};
use wallet_exporter::clock::ManualClock;

/// A moment of the vendor's documents.
pub fn moment(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A running simulator.
pub struct RunningSimulator {
    pub simulator: Simulator,
    pub clock: ManualClock,
    pub address: String,
}

/// An answer, and how it ended.
#[derive(Debug, PartialEq)]
pub struct Raw {
    pub status: u16,
    pub head: String,
    /// Without chunk marks, if it was chunked.
    pub body: Vec<u8>,
    /// The body ended where its framing said; always false without framing.
    pub complete: bool,
    /// The connection was reset.
    pub reset: bool,
}

impl Raw {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Starts a simulator in which nothing happens by itself.
pub async fn quiet(now: &str) -> RunningSimulator {
    start(now, |_| ()).await
}

/// Starts one with other options.
pub async fn start(now: &str, change: impl FnOnce(&mut Options)) -> RunningSimulator {
    let clock = ManualClock::new(moment(now));
    let mut options = Options::quiet(vendor_clock(&clock));
    change(&mut options);
    let simulator = Simulator::new(options);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(simulator.clone().serve(listener, std::future::pending()));
    RunningSimulator { simulator, clock, address }
}

impl RunningSimulator {
    /// The wallet's token with it.
    pub async fn wallet(&self, target: &str) -> Raw {
        self.send("GET", target, Some("sim-batchdata-token"), "").await
    }

    /// The key of the balance checks with it.
    pub async fn checks(&self, target: &str) -> Raw {
        self.send("GET", target, Some("rf_live_simulator"), "").await
    }

    pub async fn control(&self, command: &str, body: &str) -> Raw {
        let method = if body.is_empty() { "GET" } else { "POST" };
        self.send(method, &format!("/_simulator/{command}"), None, body).await
    }

    pub async fn send(&self, method: &str, target: &str, token: Option<&str>, body: &str) -> Raw {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: sim\r\n{authorization}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
        parse(&bytes, read.expect("the answer ends").is_err())
    }
}

fn parse(bytes: &[u8], reset: bool) -> Raw {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Raw { status: 0, head: String::new(), body: Vec::new(), complete: false, reset };
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut raw = Raw { status, head, body: bytes[end + 4..].to_vec(), complete: false, reset };
    if raw.header("transfer-encoding") == Some("chunked") {
        (raw.body, raw.complete) = unchunk(&raw.body);
    } else if let Some(length) = raw.header("content-length") {
        raw.complete = length.parse() == Ok(raw.body.len());
    }
    raw
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    (body, false)
}
