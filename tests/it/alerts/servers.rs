//! The real programs: the built exporter, Prometheus, Alertmanager, each with the shipped files.
//!
//! Flows in: ports and the sink. Flows out: running processes. Invariants: what is shipped is changed only in addresses
//! and in how long things take; every process ends with the test, also with one that panics.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::sink::Sink;
use super::{read, shipped};

/// Ends its process when dropped.
pub struct ServerProcess(Child);

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port for a server that starts soon. It lies below those that the system hands out, and each process and each call
/// has its own: nothing else takes it meanwhile.
pub fn free_port() -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    loop {
        let place = std::process::id() * 16 + CALLS.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(20_000 + place % 10_000).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The body of a GET; none if nobody answers, or with other than 200.
pub fn get(port: u16, path: &str) -> Option<String> {
    request(port, &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"))
}

/// Posts JSON; whether the answer is 200.
pub fn post(port: u16, path: &str, json: &str) -> bool {
    let length = json.len();
    let head = format!("POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}");
    request(port, &format!("{head}\r\n\r\n{json}")).is_some()
}

fn request(port: u16, text: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    // HTTP/1.0: the body ends with the connection, in no chunks.
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200").then(|| body.to_owned())
}

fn start(command: &mut Command, log: &Path) -> ServerProcess {
    let file = std::fs::File::create(log).expect("a log");
    let errors = file.try_clone().expect("a log");
    ServerProcess(command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn().expect("the program starts"))
}

/// The file of batch ids that the exporter reads.
pub fn batch_ids(folder: &Path) -> PathBuf {
    folder.join("batch-ids")
}

/// The exporter, polling every second. It forgets after twelve what it knows of the wallet: polls that a busy machine
/// delays do not make it stale.
pub fn exporter(folder: &Path, port: u16, vendor: u16, token: &Path) -> ServerProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wallet-exporter"));
    command
        .arg("serve")
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--storage.path={}", folder.join("state").display()))
        .arg("--metrics.start-at-zero=10s")
        .env_clear()
        .env("BATCHDATA_API_TOKEN_FILE", token)
        .env("BATCHDATA_BASE_URL", format!("http://127.0.0.1:{vendor}"))
        .env("BATCHDATA_BALANCE_INTERVAL", "1s")
        .env("BATCHDATA_CONSUMPTION_INTERVAL", "1s")
        .env("BATCHDATA_CARD_INTERVAL", "1s")
        .env("BATCHDATA_MAX_AGE", "12s")
        .env("BATCHDATA_WARNING_BALANCE_USD", "150")
        .env("BATCHDATA_CRITICAL_BALANCE_USD", "50")
        .env("BATCHDATA_BUDGET_MONTH_USD", "35000")
        .env("BATCHDATA_REQUESTS_PER_MINUTE", "3000")
        .env("RIGHTFOOT_API_KEY", "rf_live_simulator")
        .env("RIGHTFOOT_BASE_URL", format!("http://127.0.0.1:{vendor}"))
        .env("RIGHTFOOT_BATCH_IDS_FILE", batch_ids(folder))
        .env("RIGHTFOOT_COUNT_SINCE", "2020-01-01")
        .env("RIGHTFOOT_INTERVAL", "1s")
        .env("RIGHTFOOT_SETTLE_AFTER", "10s")
        .env("RIGHTFOOT_WEBHOOK_SECRET", "0123456789abcdef0123456789abcdef")
        .env("WEBHOOK_LISTEN_ADDRESS", format!("127.0.0.1:{}", free_port()));
    start(&mut command, &folder.join("exporter.log"))
}

/// Everything that waits, waits for seconds. Conditions, windows that are part of a meaning, labels and texts stay.
fn hastened(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let key = line.trim_start().split(':').next().unwrap_or_default();
        let indent = &line[..line.len() - line.trim_start().len()];
        let wait = match key {
            "for" => "2s",
            "keep_firing_for" | "scrape_interval" | "evaluation_interval" | "group_wait" | "group_interval" => "1s",
            _ => "",
        };
        let line = if wait.is_empty() { line.to_owned() } else { format!("{indent}{key}: {wait}") };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// Replaces what must be there.
fn replaced(text: &str, what: &str, by: &str) -> String {
    assert!(text.contains(what), "the shipped file no longer holds {what}");
    text.replace(what, by)
}

pub fn prometheus(program: &PathBuf, folder: &Path, port: u16, exporter: u16, alertmanager: u16) -> ServerProcess {
    for file in ["wallet-recording.rules.yml", "wallet-alerts.rules.yml"] {
        let rules = hastened(&read(&format!("deploy/prometheus/{file}")));
        std::fs::write(folder.join(file), rules).expect("a file is written");
    }
    let config = hastened(&read("deploy/prometheus/prometheus.yml"));
    let config = replaced(&config, "127.0.0.1:10700", &format!("127.0.0.1:{exporter}"));
    let config = replaced(&config, "127.0.0.1:9093", &format!("127.0.0.1:{alertmanager}"));
    std::fs::write(folder.join("prometheus.yml"), config).expect("a file is written");
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    start(&mut command, &folder.join("prometheus.log"))
}

pub fn alertmanager(program: &PathBuf, folder: &Path, port: u16, sink: &Sink) -> ServerProcess {
    let config = hastened(&read("deploy/alertmanager/alertmanager.yml"));
    let config = replaced(&config, "http://127.0.0.1:9099/", &format!("http://127.0.0.1:{}/", sink.http));
    let slack = folder.join("slack-url");
    std::fs::write(&slack, format!("http://127.0.0.1:{}/chat", sink.http)).expect("a file is written");
    let config = replaced(&config, "/etc/alertmanager/slack-url", &slack.to_string_lossy());
    let config = replaced(&config, "localhost:25", &format!("127.0.0.1:{}", sink.smtp));
    let templates = shipped("deploy/alertmanager/templates/*.tmpl");
    let config = replaced(&config, "templates/*.tmpl", &templates.to_string_lossy());
    std::fs::write(folder.join("alertmanager.yml"), config).expect("a file is written");
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", folder.join("alertmanager.yml").display()))
        .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=");
    start(&mut command, &folder.join("alertmanager.log"))
}
