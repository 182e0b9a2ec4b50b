//! One poll's work on the ledger, on disk: a ledger of one day beside one of five years, in turns.
//!
//! Prints: time of plan and commit of a steady report, the file's size, and the time to read the ledger at a start.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "a bench")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveDate};
use wallet_exporter::app::SCHEMA;
use wallet_exporter::batchdata;
use wallet_exporter::batchdata::consumption::ledger::{BaseLine, ConsumptionLedger};
use wallet_exporter::batchdata::consumption::table::ConsumptionCommit;
use wallet_exporter::batchdata::{ConsumptionReport, DayConsumption, Flow};
use wallet_exporter::money::Usd;
use wallet_exporter::store::{AccountId, Store, Success};

const POLLS: u32 = 200;

fn report(from: NaiveDate, to: NaiveDate, step: i64) -> ConsumptionReport {
    let mut days = std::collections::BTreeMap::new();
    let mut date = from;
    while date <= to {
        let amount = Usd::from_ten_thousandths(1_000_000 + step);
        let flow = Flow { debit: amount, credit: Usd::ZERO };
        let by_origin = (0..5).map(|origin| (format!("origin_{origin}").into(), flow)).collect();
        let by_path = (0..10).map(|path| (format!("/api/v1/path/{path}").into(), amount)).collect();
        days.insert(date, DayConsumption { total: flow, by_origin, by_path });
        date = date + Days::new(1);
    }
    ConsumptionReport { from, to, days, hourly: None }
}

struct Case {
    directory: tempfile::TempDir,
    store: Store,
    account: AccountId,
    ledger: ConsumptionLedger,
    spent: Duration,
}

impl Case {
    fn new(days: u64, today: NaiveDate) -> Case {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(Some(directory.path()), DateTime::UNIX_EPOCH, SCHEMA).unwrap();
        let account = store.account(batchdata::VENDOR, "default").unwrap();
        let mut case = Case {
            directory,
            store,
            account,
            ledger: ConsumptionLedger::new(BaseLine::FirstReport, &[]),
            spent: Duration::ZERO,
        };
        let mut date = today - Days::new(days - 1);
        while date <= today {
            let end = (date + Days::new(300)).min(today);
            case.poll(&report(date, end, 0));
            date = end + Days::new(1);
        }
        case.spent = Duration::ZERO;
        case
    }

    fn poll(&mut self, report: &ConsumptionReport) {
        let begun = Instant::now();
        let changes = self.ledger.plan(report);
        let success = Success {
            account: self.account,
            source: batchdata::CONSUMPTION,
            at: None,
            boot_id: String::new(),
            count_since: DateTime::UNIX_EPOCH,
            configured_since: None,
            answer: None,
        };
        let commit = ConsumptionCommit {
            success: &success,
            reported_at: DateTime::UNIX_EPOCH,
            changes: &changes,
            new_series: &[],
            full_read_on: None,
        };
        self.store.commit_consumption(&commit).unwrap();
        self.ledger.commit(changes);
        self.spent += begun.elapsed();
    }
}

/// From the start of the program to a `/metrics` with the ledger's counters, the vendor being down. The least of ten.
fn start_up(directory: &Path) -> Duration {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let once = || {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_wallet-exporter"))
            .env_clear()
            .envs([("BATCHDATA_API_TOKEN", "x"), ("BATCHDATA_BASE_URL", "http://127.0.0.1:9")])
            .envs([("WEB_LISTEN_ADDRESS", address.as_str()), ("STORAGE_PATH", directory.to_str().unwrap())])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let took = loop {
            if let Ok(mut stream) = TcpStream::connect(&address) {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                assert!(
                    answer.contains("batchdata_wallet_api_path_debit_usd_total{"),
                    "the ledger's counters are shown"
                );
                break begun.elapsed();
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        child.kill().unwrap();
        child.wait().unwrap();
        took
    };
    (0..10).map(|_| once()).min().unwrap()
}

fn main() {
    let today: NaiveDate = "2026-05-19".parse().unwrap();
    let mut cases = [("1 day", Case::new(1, today)), ("5 years", Case::new(5 * 365 + 1, today))];
    for step in 1..=POLLS {
        for (_, case) in &mut cases {
            let (from, to) = case.ledger.wanted(today, false);
            case.poll(&report(from, to, i64::from(step)));
        }
    }
    println!(
        "{:<10} {:>16} {:>14} {:>16} {:>24}",
        "ledger", "a poll", "file", "read at start", "process to full /metrics"
    );
    for (name, case) in cases {
        let begun = Instant::now();
        let restored = case.store.ledger(case.account, BaseLine::FirstReport, &[]).unwrap();
        let read = begun.elapsed();
        assert!(restored.is_some());
        let Case { directory, store, spent, .. } = case;
        // Closing writes the log back into the file.
        drop(store);
        let start = start_up(directory.path());
        let size = std::fs::metadata(directory.path().join("wallet-exporter.db")).unwrap().len();
        let poll = spent.as_secs_f64() * 1e3 / f64::from(POLLS);
        let (file, read, start) = (size as f64 / 1e6, read.as_secs_f64() * 1e3, start.as_secs_f64() * 1e3);
        println!("{name:<10} {poll:>13.3} ms {file:>11.2} MB {read:>13.2} ms {start:>21.1} ms");
    }
}
