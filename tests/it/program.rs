//! The built program as a process, over a simulator in this one.
//!
//! Flows in: settings, signals, changes at the simulator. Flows out: answers, logs, exit codes. Invariant: its environment
//! is what the test gives it, and it ends with the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use vendor_simulator::{Options, Simulator};
use wallet_exporter::app::SimulatorClock;
use wallet_exporter::clock::SystemClock;

/// How long a condition may take to come true before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A started exporter. Dropping it is SIGKILL.
pub struct Exporter {
    pub child: Child,
    pub address: SocketAddr,
    /// What it logged until it listened.
    pub start: String,
    /// What it logged after its start, once it has ended.
    pub log: Arc<Mutex<String>>,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, with these variables and no other. `WALLET_EXPORTER_PROGRAM` names another build of it.
pub fn command(settings: &[(&str, &str)]) -> Command {
    let program = std::env::var_os("WALLET_EXPORTER_PROGRAM");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_wallet-exporter").into()));
    command
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::null());
    command
}

impl Exporter {
    pub fn start(settings: &[(&str, &str)]) -> Exporter {
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
        Exporter { child, address, start: seen, log }
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask("GET", path);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The whole answer, head and body.
    pub fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks until the condition holds.
    pub fn until(&self, what: &str, condition: impl Fn(&Exporter) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "in vain: {what}\n{}", self.get("/metrics").1);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn until_ready(&self) {
        self.until("it is ready", |exporter| exporter.get("/-/ready").0 == 200);
    }

    /// Waits for a text in the log. The log is whole soon after the end.
    pub fn until_logged(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log.lock().unwrap().contains(text) {
            assert!(Instant::now() < deadline, "{text:?} was not logged:\n{}", self.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// All counters of the ledger.
    pub fn counters(&self) -> std::collections::BTreeMap<String, f64> {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200);
        body.lines()
            .filter(|line| line.starts_with("batchdata_") && line.contains("_usd_total{"))
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
            .collect()
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> i32 {
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

/// A quiet simulator and its address.
pub async fn vendors() -> (Simulator, String) {
    let vendors = Simulator::new(Options::quiet(Arc::new(SimulatorClock(SystemClock::shared()))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(vendors.clone().serve(listener, std::future::pending()));
    (vendors, address)
}

/// BatchData at this address, polled every second.
pub fn settings<'a>(storage: &'a Path, address: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
        ("STORAGE_PATH", storage.to_str().unwrap()),
        ("METRICS_START_AT_ZERO", "0s"),
        ("BATCHDATA_API_TOKEN", "sim-batchdata-token"),
        ("BATCHDATA_BASE_URL", address),
        ("BATCHDATA_CONSUMPTION_INTERVAL", "1s"),
        ("BATCHDATA_CARD_INTERVAL", "1s"),
        ("BATCHDATA_BALANCE_INTERVAL", "1s"),
        ("BATCHDATA_REQUESTS_PER_MINUTE", "10000"),
    ]
}

/// Runs to its end; exit code, standard output, standard error.
pub fn run(arguments: &[&str], settings: &[(&str, &str)]) -> (i32, String, String) {
    let output = command(settings).args(arguments).stdout(Stdio::piped()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}
