//! What the real Prometheus counts, with and without start timestamps, side by side, through all that happens to an exporter.
//!
//! What it counts is the sum of the rises between its samples, and its own `increase()` up to the newest of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use vendor_simulator::{NewRow, Simulator};
use wallet_exporter::clock::{Clock as _, SystemClock};
use wallet_exporter::money::Usd;
use wallet_exporter::store::FILE_NAME;

use crate::alerts::servers::{free_port, get};
use crate::dashboards::board::expression;
use crate::program::{Exporter, settings, vendors};
use crate::rig::Rig;
use crate::serving::prometheus::{binaries, run_with};
use crate::serving::tools::Background;

const PATIENCE: Duration = Duration::from_secs(120);
const STARTS: &str = "created-timestamp-zero-ingestion";
const STARTS_AND_NATIVE: &str = "created-timestamp-zero-ingestion,native-histograms";
const NATIVE: &str = crate::serving::prometheus::NATIVE;

/// A Prometheus, and whether it reads start timestamps and native histograms.
struct Reader {
    name: String,
    starts: bool,
    native: bool,
    process: Background,
    address: SocketAddr,
    folder: TempDir,
}

impl Reader {
    fn start(binary: &Path, features: &str, exporters: &[u16]) -> Reader {
        let folder = TempDir::new().unwrap();
        let classic = if features.is_empty() { "" } else { "  always_scrape_classic_histograms: true\n" };
        let targets: Vec<String> = exporters.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
        let targets = targets.join(", ");
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: wallet\n{classic}  \
             static_configs: [{{targets: [{targets}]}}]\n"
        );
        let (process, address) = run_with(binary, folder.path(), &config, features);
        let name = format!("{} {features}", binary.display());
        let (starts, native) = (features.contains(STARTS), features.contains(NATIVE));
        Reader { name, starts, native, process, address, folder }
    }

    fn ask(&self, query: &str) -> Vec<Value> {
        self.ask_with(query, "")
    }

    fn ask_with(&self, query: &str, more: &str) -> Vec<Value> {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let body = get(self.address.port(), &format!("/api/v1/query?query={encoded}{more}")).unwrap_or_default();
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    fn number(&self, query: &str) -> Option<f64> {
        number(self.ask(query).first()?)
    }

    /// The samples of what was spent from an origin, of the exporter at a port, and the time of the newest.
    fn samples(&self, origin: &str, exporter: u16) -> (Vec<f64>, f64) {
        let found = self.ask(&format!("{}[1h]", spent(origin, exporter)));
        let values = found.first().and_then(|series| series["values"].as_array().cloned()).unwrap_or_default();
        let newest = values.last().map_or(0.0, |pair| pair[0].as_f64().unwrap());
        (values.iter().map(|pair| pair[1].as_str().unwrap().parse().unwrap()).collect(), newest)
    }

    /// What this Prometheus says itself up to that moment.
    fn increase(&self, origin: &str, exporter: u16, at: f64) -> f64 {
        let query = format!("increase({}[1h])", spent(origin, exporter));
        number(&self.ask_with(&query, &format!("&time={at:.3}"))[0]).unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.process.0.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn spent(origin: &str, exporter: u16) -> String {
    format!("batchdata_wallet_origin_debit_usd_total{{origin=\"{origin}\",instance=\"127.0.0.1:{exporter}\"}}")
}

fn number(result: &Value) -> Option<f64> {
    result["value"][1].as_str()?.parse().ok()
}

/// The sum of the rises; a fall is a reset.
fn counted(samples: &[f64]) -> f64 {
    let rise = |pair: &[f64]| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] };
    let sum: f64 = samples.windows(2).map(rise).sum();
    (sum * 100.0).round() / 100.0
}

fn until(what: &str, condition: impl Fn() -> bool, said: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}\n{}", said());
        std::thread::sleep(Duration::from_millis(100));
    }
}

struct Setup {
    vendors: Simulator,
    vendor: String,
    zero_for: &'static str,
    storage: TempDir,
    replica: TempDir,
    ports: [u16; 2],
    readers: Vec<Reader>,
}

impl Setup {
    fn exporter(&self, place: usize) -> Exporter {
        let storage = if place == 0 { self.storage.path() } else { self.replica.path() };
        let listen = format!("127.0.0.1:{}", self.ports[place]);
        let mut settings = settings(storage, &self.vendor);
        settings.extend([
            ("WEB_LISTEN_ADDRESS", listen.as_str()),
            ("METRICS_START_AT_ZERO", self.zero_for),
            ("BATCHDATA_MAX_AGE", "3s"),
        ]);
        let exporter = Exporter::start(&settings);
        exporter.until_ready();
        exporter
    }

    fn spend(&self, origin: &str, cents: i64) {
        self.vendors.spend(SystemClock.now(), origin, "/api/v1/x", Usd::from_cents(cents));
    }

    /// Waits until every Prometheus has seen this value last, a few times; returns what each has counted.
    fn counted(&self, origin: &str, value: f64) -> BTreeMap<bool, Vec<f64>> {
        let mut found: BTreeMap<bool, Vec<f64>> = BTreeMap::new();
        for reader in &self.readers {
            let seen = || {
                let (samples, _) = reader.samples(origin, self.ports[0]);
                samples.len() > 2 && samples[samples.len() - 3..].iter().all(|sample| *sample == value)
            };
            until("the value is seen", seen, || {
                format!(
                    "{} {origin} {value} {:?}\n{}",
                    reader.name,
                    reader.samples(origin, self.ports[0]).0,
                    reader.log()
                )
            });
            let (samples, newest) = reader.samples(origin, self.ports[0]);
            let (rises, increase) = (counted(&samples), reader.increase(origin, self.ports[0], newest));
            // The range ends at the newest sample. Where the first one is not 0, Prometheus adds half a scrape interval.
            let more = if samples[0] == 0.0 { 0.0 } else { rises / samples.len() as f64 };
            assert!(
                increase > rises - 0.005 && increase < rises + more + 0.005,
                "{}: increase() of {origin} is {increase}, not {rises}: {samples:?}",
                reader.name
            );
            found.entry(reader.starts).or_default().push(rises);
        }
        println!(
            "{}: {origin} is {value}; with starts {:?}, without {:?}",
            self.zero_for,
            found.get(&true),
            found.get(&false)
        );
        found
    }

    /// Every Prometheus that reads start timestamps has counted `with`, every other `without`.
    fn check(&self, origin: &str, value: f64, with: f64, without: f64) {
        for (starts, counts) in self.counted(origin, value) {
            let expected = if starts { with } else { without };
            assert!(
                counts.iter().all(|count| *count == expected),
                "{origin}, starts {starts}: {counts:?}, not {expected}"
            );
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).unwrap();
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Whether a Prometheus reads start timestamps and stores native histograms.
fn is_3(binary: &Path) -> bool {
    let version = Command::new(binary).arg("--version").output().unwrap().stdout;
    let is_3 = !String::from_utf8_lossy(&version).contains("version 2.");
    if !is_3 {
        crate::deployments::tools::absent("Prometheus 3");
    }
    is_3
}

/// `seen` is the share of a first amount that a scraper without start timestamps counts: all of it where it sees the zero.
async fn story(zero_for: &'static str, seen: f64) {
    let binaries = binaries();
    let Some(newest) = binaries.last() else { return };
    let (vendors, vendor) = vendors().await;
    let (storage, replica) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let ports = [free_port(), free_port()];
    let mut story = Setup { vendors, vendor, zero_for, storage, replica, ports, readers: Vec::new() };
    story.spend("old", 100);
    let (mut exporter, _replica) = (story.exporter(0), story.exporter(1));
    story.readers.extend(binaries.iter().map(|binary| Reader::start(binary, "", &ports)));
    if is_3(newest) {
        let features = [STARTS, STARTS_AND_NATIVE, NATIVE];
        story.readers.extend(features.map(|features| Reader::start(newest, features, &ports)));
    }
    story.check("old", 0.0, 0.0, 0.0);

    // The first dollar.
    story.spend("first", 1_280);
    story.check("first", 12.8, 12.8, 12.8 * seen);

    // A restart.
    exporter.signal("-TERM");
    assert_eq!(exporter.wait(), 0);
    exporter = story.exporter(0);
    story.check("first", 12.8, 12.8, 12.8 * seen);

    // A crash before the first scrape.
    story.readers.iter().for_each(|reader| reader.signal("-STOP"));
    story.spend("crash", 500);
    exporter.until("the series is there", |exporter| exporter.get("/metrics").1.contains(r#"origin="crash""#));
    drop(exporter);
    exporter = story.exporter(0);
    story.readers.iter().for_each(|reader| reader.signal("-CONT"));
    story.check("crash", 5.0, 5.0, 5.0 * seen);

    // A lost storage: what is spent from then on counts, and nothing twice.
    drop(exporter);
    std::fs::remove_file(story.storage.path().join(FILE_NAME)).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(story.storage.path().join(format!("{FILE_NAME}{suffix}")));
    }
    exporter = story.exporter(0);
    story.check("first", 0.0, 12.8, 12.8 * seen);
    story.spend("first", 200);
    story.check("first", 2.0, 14.8, 12.8 * seen + 2.0);

    // A restored copy, older than what was served since.
    exporter.signal("-TERM");
    exporter.wait();
    let backup = TempDir::new().unwrap();
    copy(story.storage.path(), backup.path());
    exporter = story.exporter(0);
    story.spend("back", 300);
    story.spend("first", 100);
    story.check("back", 3.0, 3.0, 3.0 * seen);
    story.check("first", 3.0, 15.8, 12.8 * seen + 3.0);
    exporter.signal("-TERM");
    exporter.wait();
    std::thread::sleep(Duration::from_secs(4));
    copy(backup.path(), story.storage.path());
    exporter = story.exporter(0);
    story.check("back", 3.0, 3.0, 3.0 * seen);
    story.check("first", 3.0, 15.8, 12.8 * seen + 3.0);

    // A series that appears again after a year, to the same Prometheus and to one that has never seen it.
    exporter.signal("-TERM");
    exporter.wait();
    let file = rusqlite::Connection::open(story.storage.path().join(FILE_NAME)).unwrap();
    file.execute("UPDATE series SET started_at = '2020-01-01T00:00:00.000000Z'", []).unwrap();
    drop(file);
    let _exporter = story.exporter(0);
    story.check("first", 3.0, 15.8, 12.8 * seen + 3.0);
    // Two replicas: the other one has lost nothing, and each is counted on its own.
    for reader in &story.readers {
        let of_replica = counted(&reader.samples("first", ports[1]).0);
        let expected = if reader.starts { 15.8 } else { 12.8 * seen + 3.0 };
        assert_eq!(of_replica, expected, "{}", reader.name);
    }
    // As the dashboards ask for a quantile: of the native histogram where it is there, else of the classic one.
    for reader in &story.readers {
        let family = "wallet_exporter_vendor_request_duration_seconds";
        let native = format!("histogram_quantile(0.5, sum(increase({family}[1d]))) > -Inf");
        let classic = format!("histogram_quantile(0.5, sum by (le) (increase({family}_bucket[1d]))) >= 0");
        let either = reader.number(&format!("{native} or {classic}")).unwrap();
        assert!(either > 0.0 && either < 60.0, "{}: {either}", reader.name);
        assert_eq!(reader.number(&native).is_some(), reader.native, "{}", reader.name);
        // With start timestamps alone, Prometheus drops a histogram of which only the native part is to be scraped.
        assert!(!reader.ask(&format!("{family}_bucket")).is_empty(), "{}", reader.name);
    }
    if story.readers.iter().any(|reader| reader.starts) {
        story.readers.clear();
        story.readers.push(Reader::start(newest, STARTS_AND_NATIVE, &ports));
        story.check("first", 3.0, 0.0, 0.0);
        let log = story.readers[0].log();
        assert!(!log.contains("level=ERROR") && !log.contains("level=WARN"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_zero_that_every_scraper_misses_start_timestamps_count_the_first_dollar() {
    story("0s", 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_zero_that_every_scraper_sees_all_count_the_same() {
    story("8s", 1.0).await;
}

/// What was paid for each call, and the balance that each check found.
const PANELS: [(&str, &str, &str, f64); 2] = [
    ("spend", "Typical price", "batchdata_wallet_transaction_usd", 0.1),
    ("balance-checks", "Typical balance", "rightfoot_balance_check_balance_usd", 12.34),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_quantiles_of_the_dashboards_are_those_of_native_histograms() {
    let Some(newest) = binaries().pop().filter(|newest| is_3(newest)) else { return };
    let mut rig = Rig::new().await;
    rig.set("BATCHDATA_SOURCES", "consumption,transactions");
    rig.set("BATCHDATA_TRANSACTIONS_INTERVAL", "1m");
    let row = || NewRow { at: Some(rig.clock.now().timestamp()), ..NewRow::success("Chase", 1_234) };
    let batch = rig.vendors.new_batch(None, false, "customer_ref", vec![row(), row()]);
    rig.set("RIGHTFOOT_BATCH_IDS", &batch);
    rig.set("RIGHTFOOT_COUNT_SINCE", "2026-05-01");
    let spend = |rig: &Rig| rig.vendors.spend(rig.clock.now(), "api", "/api/v1/search", Usd::from_cents(10));
    spend(&rig);
    rig.start().await;
    rig.first_polls().await;
    let reader = Reader::start(&newest, NATIVE, &[rig.web().unwrap().port()]);
    let counted = |family: &str, count: f64| {
        let query = format!("sum(histogram_count({family}))");
        until("it is scraped", || reader.number(&query) == Some(count), || reader.log());
    };
    for (_, _, family, _) in PANELS {
        counted(family, 0.0);
    }
    for _ in 0..3 {
        spend(&rig);
    }
    rig.rest().await;
    rig.poll(&["transactions"]).await;
    for _ in 0..30 {
        rig.clock.advance(Duration::from_secs(1_800));
        rig.poll(&["batches"]).await;
    }
    for ((board, panel, family, amount), count) in PANELS.into_iter().zip([3.0, 2.0]) {
        counted(family, count);
        for letter in ["A", "B", "C"] {
            let query = ["$job", "$instance", "$account"]
                .iter()
                .fold(expression(board, panel, letter), |query, variable| query.replace(variable, ".+"));
            let (native, _classic) = query.split_once(" or histogram_quantile").unwrap();
            let whole = reader.number(&query).unwrap_or_else(|| panic!("nothing: {query}"));
            assert_eq!(Some(whole), reader.number(native), "{query}");
            // A native bucket is 9 % wide.
            assert!((whole / amount - 1.0).abs() < 0.1, "{whole}, not {amount}: {query}");
        }
    }
}
