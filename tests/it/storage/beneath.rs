//! Every call on a file that a start and a poll make, failed one after the other beneath SQLite, in the real program.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vendor_simulator::Simulator;
use wallet_exporter::app::SCHEMA;
use wallet_exporter::clock::{Clock as _, SystemClock};
use wallet_exporter::money::Usd;
use wallet_exporter::store::FILE_NAME;

use super::{ask, sqlite, user_version};
use crate::program::{Exporter, PATIENCE, command, settings, vendors};
use crate::rig::copy_of;

const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="default"}"#;

/// How a call fails: the shim's word, and whether all later ones fail, too.
const KINDS: [(&str, bool); 6] =
    [("EIO", false), ("ENOSPC", true), ("KILL", false), ("EIO", true), ("TORN", false), ("ENOSPC", false)];

/// What the program finds.
#[derive(Clone, Copy, Debug)]
enum Found {
    Nothing,
    Version1,
    Newest,
}

struct Sweep {
    found: Found,
    /// A storage directory as the program finds it.
    template: tempfile::TempDir,
    /// What was served of it.
    served: f64,
    vendors: Simulator,
    address: String,
    since: String,
}

/// A started program that may end at any moment.
struct Fragile {
    child: Child,
    address: Option<SocketAddr>,
    log: Arc<Mutex<String>>,
}

impl Drop for Fragile {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Fragile {
    fn start(settings: &[(&str, &str)]) -> Fragile {
        let mut child = command(settings).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let mut address = None;
        let mut line = String::new();
        while address.is_none() && lines.read_line(&mut line).unwrap() > 0 {
            address =
                line.split("address=").nth(1).map(|rest| rest.split_whitespace().next().unwrap().parse().unwrap());
            log.lock().unwrap().push_str(&std::mem::take(&mut line));
        }
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Fragile { child, address, log }
    }

    /// The body of an answer, while it answers.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address?).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.split_once("\r\n\r\n")?.1.to_owned())
    }

    /// The debit counter, and whether every source has been polled.
    fn served(&self) -> Option<(f64, bool)> {
        let body = self.get("/metrics")?;
        let debit = body.lines().find_map(|line| line.strip_prefix(DEBIT)?.trim().parse().ok())?;
        let polls = body.lines().filter(|line| line.starts_with("wallet_exporter_source_polls_total{"));
        Some((debit, polls.filter(|line| !line.ends_with(" 0")).count() == 3))
    }

    /// Code and signal.
    fn wait(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn terminate(&self) {
        let _ = std::process::Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
    }
}

/// Writes what a file of the newest version and one of version 1 have in common into one of version 1.
fn to_version_1(path: &Path) {
    let newest = path.with_extension("newest");
    std::fs::rename(path, &newest).unwrap();
    let old = sqlite(path);
    old.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
    for part in SCHEMA.0[0] {
        old.execute_batch(part).unwrap();
    }
    old.execute_batch("PRAGMA application_id = 0x574c5458; PRAGMA user_version = 1").unwrap();
    old.execute("ATTACH ?1 AS newest", [newest.to_str().unwrap()]).unwrap();
    let list = |query: &str| -> Vec<String> {
        let mut statement = old.prepare(query).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for table in list("SELECT name FROM main.sqlite_schema WHERE type = 'table' ORDER BY rowid") {
        let columns = list(&format!("SELECT name FROM pragma_table_info('{table}', 'main')")).join(", ");
        let (columns, newest) = match table.as_str() {
            "webhook_event" => continue,
            "birth" => ("account, key, started_at, shown", "series"),
            "label" => ("account, label, value, allowed_at", "label"),
            table => (columns.as_str(), table),
        };
        old.execute(&format!("INSERT INTO main.{table} SELECT {columns} FROM newest.{newest}"), []).unwrap();
    }
    old.close().unwrap();
    std::fs::remove_file(newest).unwrap();
}

impl Sweep {
    async fn new(found: Found) -> Sweep {
        let template = tempfile::tempdir().unwrap();
        let (vendors, address) = vendors().await;
        // All that is ever spent here is counted.
        let since = (SystemClock.now() - chrono::TimeDelta::days(1)).date_naive().to_string();
        let mut sweep = Sweep { found, template, served: 0.0, vendors, address, since };
        if !matches!(found, Found::Nothing) {
            sweep.spend(1_234);
            let settings = sweep.settings(sweep.template.path());
            let mut exporter = Exporter::start(&borrowed(&settings));
            exporter.until("all is counted", |exporter| exporter.counters().get(DEBIT) == Some(&12.34));
            exporter.until_ready();
            exporter.signal("-TERM");
            assert_eq!(exporter.wait(), 0);
            sweep.served = 12.34;
        }
        if matches!(found, Found::Version1) {
            to_version_1(&sweep.template.path().join(FILE_NAME));
        }
        sweep.spend(567);
        sweep
    }

    fn spend(&self, cents: i64) {
        self.vendors.spend(SystemClock.now(), "api_request", "/api/v1/x", Usd::from_cents(cents));
        self.vendors.top_up(Usd::from_cents(cents));
    }

    fn spent(&self) -> f64 {
        self.vendors.expected().total.debit.to_string().parse().unwrap()
    }

    fn settings(&self, directory: &Path) -> Vec<(String, String)> {
        let mut settings = settings(directory, &self.address);
        settings.push(("BATCHDATA_COUNT_SINCE", &self.since));
        settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Starts the program, lets it poll every source once and ends it, while one call fails; gives how many calls it
    /// made. Then starts it without faults.
    fn run(&self, at: Option<u64>, kind: &str, sticky: bool) -> u64 {
        let case = format!("{:?}, call {at:?}, {kind}, all later ones: {sticky}", self.found);
        let directory = copy_of(self.template.path());
        let count = tempfile::NamedTempFile::new().unwrap();
        let mut settings = self.settings(directory.path());
        let mut set = |name: &str, value: &str| settings.push((name.to_owned(), value.to_owned()));
        set("LD_PRELOAD", super::shim::library().to_str().unwrap());
        set("STORAGE_FAULT_DIRECTORY", directory.path().canonicalize().unwrap().to_str().unwrap());
        set("STORAGE_FAULT_COUNT", count.path().to_str().unwrap());
        if let Some(at) = at {
            set("STORAGE_FAULT_AT", &at.to_string());
            set("STORAGE_FAULT_KIND", kind);
        }
        if sticky {
            set("STORAGE_FAULT_STICKY", "yes");
        }
        let spent = self.spent();
        let mut served = self.served;
        let mut fragile = Fragile::start(&borrowed(&settings));
        let killed = |status: std::process::ExitStatus| status.code().is_none() && ["KILL", "TORN"].contains(&kind);
        let deadline = Instant::now() + PATIENCE;
        let ended = loop {
            if let Some((debit, polled)) = fragile.served() {
                assert!(debit >= served && debit <= spent, "{case}: {served}, then {debit}, of {spent}");
                served = debit;
                if polled {
                    break None;
                }
            }
            if let Some(status) = fragile.child.try_wait().unwrap() {
                break Some(status);
            }
            assert!(Instant::now() < deadline, "{case}: it does not poll:\n{}", fragile.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(2));
        };
        let status = ended.unwrap_or_else(|| {
            fragile.terminate();
            fragile.wait()
        });
        let log = fragile.log.lock().unwrap().clone();
        // It serves until it is told to stop; only a first start, with nothing to serve, may be refused with a reason.
        let refused = matches!(self.found, Found::Nothing)
            && fragile.address.is_none()
            && status.code() == Some(1)
            && log.contains("--storage.path");
        assert!(status.success() || refused || killed(status), "{case}: {status}\n{log}");
        assert!(at.is_some() || (status.success() && served == spent), "{case}: {served} of {spent}\n{log}");
        drop(fragile);

        let path = directory.path().join(FILE_NAME);
        let looked_at = copy_of(directory.path());
        if path.exists() {
            let file = sqlite(looked_at.path().join(FILE_NAME));
            assert_eq!(ask(&file, "SELECT integrity_check FROM pragma_integrity_check"), "ok", "{case}");
            assert_eq!(ask(&file, "SELECT count(*) FROM pragma_foreign_key_check"), "0", "{case}");
        }
        let settings = self.settings(directory.path());
        let mut exporter = Exporter::start(&borrowed(&settings));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let debit = exporter.counters().get(DEBIT).copied().unwrap_or_default();
            assert!(debit >= served && debit <= spent, "{case}: {served}, after it {debit}, of {spent}\n{log}");
            served = debit;
            if debit == spent {
                break;
            }
            assert!(Instant::now() < deadline, "{case}: it does not catch up: {debit} of {spent}");
            std::thread::sleep(Duration::from_millis(5));
        }
        exporter.signal("-TERM");
        assert_eq!(exporter.wait(), 0, "{case}");
        assert_eq!(user_version(&path), SCHEMA.version(), "{case}");
        let names: Vec<PathBuf> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!names.iter().any(|name| name.to_str().unwrap().contains(".damaged-")), "{case}: {names:?}");
        std::fs::read(count.path()).unwrap().try_into().map_or(0, u64::from_ne_bytes)
    }
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// A few calls, or every call in every way where WALLET_EXPORTER_LONG is set.
async fn sweep(found: Found, seed: u64) {
    let sweep = Sweep::new(found).await;
    let calls = sweep.run(None, "", false);
    assert!(calls > 20, "the shim is not called: {calls}");
    let mut cases: Vec<(u64, (&str, bool))> = Vec::new();
    if std::env::var_os("WALLET_EXPORTER_LONG").is_some() {
        cases.extend((1..=calls).flat_map(|at| KINDS.map(|kind| (at, kind))));
        println!("{found:?}: {calls} calls, {} runs", cases.len());
    } else {
        let mut random = fastrand::Rng::with_seed(seed);
        cases
            .extend((0..6).map(|part| (1 + calls * part / 6 + random.u64(0..calls.div_ceil(6)), KINDS[part as usize])));
    }
    let next = Mutex::new(cases.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((at, (kind, sticky))) = next.lock().unwrap().next() else { return };
                    sweep.run(Some(at), kind, sticky);
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_in_a_first_start_loses_nothing() {
    sweep(Found::Nothing, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_in_a_migration_loses_nothing() {
    sweep(Found::Version1, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_in_a_start_and_a_poll_loses_nothing() {
    sweep(Found::Newest, 2).await;
}
