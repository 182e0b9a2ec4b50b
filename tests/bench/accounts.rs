//! A thousand accounts in one process beside one, each with 400 days in its ledger, at the default intervals: memory, CPU,
//! the time of a scrape, the start from a warm ledger, and the requests of the vendor beside what the intervals say.
//! Both run at once. Takes about 15 minutes. `-- 100` for another number of accounts.
#![allow(clippy::disallowed_methods, reason = "the bans are for the program")]

#[path = "../it/many_accounts/wallets.rs"]
mod wallets;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::Utc;
use tempfile::TempDir;
use wallets::Wallets;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wallet-exporter");
/// For so long it is watched, once every source was polled.
const WATCHED: Duration = Duration::from_secs(300);
const SCRAPE: Duration = Duration::from_secs(30);
/// Origins and paths, so that an account has about 250 series.
const PARTS: (usize, usize) = (8, 24);

struct Exporter(Child, SocketAddr);

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

impl Exporter {
    /// Started, and how long until it was ready.
    fn start(directory: &Path, vendor: SocketAddr, interval: Option<&str>) -> (Exporter, Duration) {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(PROGRAM);
        if let Some(interval) = interval {
            command.env("BATCHDATA_CONSUMPTION_INTERVAL", interval);
        }
        let child = command
            .env("CONFIG_FILE", directory.join("accounts.yml"))
            .env("STORAGE_PATH", directory.join("storage"))
            .env("BATCHDATA_BASE_URL", format!("http://{vendor}"))
            .env("WEB_LISTEN_ADDRESS", address.to_string())
            .env("LOG_LEVEL", "error")
            // As the unit and the image set it.
            .envs([
                ("MALLOC_ARENA_MAX", "2"),
                ("MALLOC_MMAP_THRESHOLD_", "65536"),
                ("MALLOC_TRIM_THRESHOLD_", "131072"),
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (began, exporter) = (Instant::now(), Exporter(child, address));
        while exporter.get("/-/ready").is_none_or(|(answer, _)| !answer.starts_with("HTTP/1.1 200")) {
            assert!(began.elapsed() < Duration::from_secs(1_200), "it does not become ready");
            sleep(Duration::from_millis(20));
        }
        (exporter, began.elapsed())
    }

    /// An answer with its head, and how long it took.
    fn get(&self, path: &str) -> Option<(String, Duration)> {
        let began = Instant::now();
        let mut stream = TcpStream::connect(self.1).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        Some((String::from_utf8_lossy(&answer).into_owned(), began.elapsed()))
    }

    /// Peak of the resident size, in MiB.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// CPU seconds so far.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse().unwrap())
            .collect();
        (fields[0] + fields[1]) / 100.0
    }
}

fn accounts(directory: &Path, count: usize) {
    let mut file = "defaults: {batchdata: {count_since: 2025-11-01}}\naccounts:\n".to_owned();
    for number in 0..count {
        let name = format!("wallet-{number}");
        std::fs::write(directory.join(&name), &name).unwrap();
        file += &format!("  - {{account: {name}, vendor: batchdata, api_token_file: {name}}}\n");
    }
    std::fs::write(directory.join("accounts.yml"), file.replace("2025-11-01", &since())).unwrap();
}

/// 400 days ago.
fn since() -> String {
    (Utc::now().date_naive() - chrono::Days::new(400)).to_string()
}

fn watch(count: usize) -> String {
    let mut said = String::new();
    let directory = TempDir::new().unwrap();
    accounts(directory.path(), count);
    let wallets =
        Wallets { spent: 0.into(), requests: std::sync::Mutex::default(), parts: PARTS, now: Box::new(Utc::now) };
    let wallets = Arc::new(wallets);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let vendor = runtime.block_on(wallets.serve());
    let (first, cold) = Exporter::start(directory.path(), vendor, None);
    let _ = writeln!(
        said,
        "{count} accounts: first start, until each was polled and its past read: {:.0} s, {:.0} MiB",
        cold.as_secs_f64(),
        first.memory()
    );
    drop(first);
    let (exporter, ready) = Exporter::start(directory.path(), vendor, None);
    let _ = writeln!(said, "  start from a warm ledger until ready: {:.2} s", ready.as_secs_f64());
    // The first polls are spread over the interval; what follows is the steady state.
    sleep(Duration::from_secs(310));
    let requests = || wallets.requests.lock().unwrap().values().sum::<usize>();
    let (asked, cpu, began) = (requests(), exporter.cpu(), Instant::now());
    let (mut scrapes, mut series, mut memory) = (Vec::new(), 0, 0.0_f64);
    while began.elapsed() < WATCHED {
        wallets.spent.fetch_add(1, Ordering::Relaxed);
        let (answer, took) = exporter.get("/metrics").unwrap();
        series = answer.lines().filter(|line| line.contains('{')).count();
        scrapes.push(took.as_secs_f64());
        memory = memory.max(exporter.memory());
        sleep(SCRAPE.saturating_sub(took));
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), exporter.cpu() - cpu);
    scrapes.sort_by(f64::total_cmp);
    let (slowest, median) = (scrapes[scrapes.len() - 1], scrapes[scrapes.len() / 2]);
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    let (asked, expected) = ((requests() - asked) as f64, count as f64 * seconds * (1.0 / 60.0 + 2.0 / 300.0));
    let _ = writeln!(
        said,
        "  {series} series, memory at most {memory:.0} MiB, CPU {:.1} % of a core",
        100.0 * cpu / seconds
    );
    let _ = writeln!(said, "  /metrics each 30 s: median {median:.3} s, slowest of {} {slowest:.3} s", scrapes.len());
    let _ = writeln!(
        said,
        "  vendor requests {asked:.0} beside {expected:.0} by the intervals ({:+.1} %)",
        100.0 * (asked / expected - 1.0)
    );
    said
}

fn main() {
    // `cargo bench` adds `--bench`; `cargo test` does not, and builds only.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let count = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(1_000);
    std::thread::scope(|scope| {
        let one = scope.spawn(|| watch(1));
        let many = watch(count);
        print!("{}{many}", one.join().unwrap());
    });
}
