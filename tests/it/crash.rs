//! The real program, killed, on damaged or foreign storage, and flooded: nothing counted is lost, and memory is bounded.

use std::path::Path;
use std::time::{Duration, Instant};

use wallet_exporter::clock::{Clock as _, SystemClock};
use wallet_exporter::money::Usd;

use crate::program::{Exporter, PATIENCE, run, settings, vendors};

const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="default"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_never_shows_less_than_before_nor_more_than_was_spent() {
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    let settings = settings(directory.path(), &address);
    let mut random = fastrand::Rng::with_seed(11);
    let spend = |cents: i64| {
        let path = format!("/api/v1/{}", cents % 5);
        vendors.spend(SystemClock.now(), "api_request", &path, Usd::from_cents(cents));
        vendors.top_up(Usd::from_cents(cents));
    };
    // The base line is empty, so what is counted is what was spent.
    let first = Exporter::start(&settings);
    first.until_ready();
    drop(first);
    let mut shown = std::collections::BTreeMap::new();
    let spent = || vendors.expected().total.debit.to_string().parse::<f64>().unwrap();
    let mut risen = 0;
    for round in 0..25 {
        let exporter = Exporter::start(&settings);
        let end = Instant::now() + Duration::from_millis(random.u64(1..250));
        loop {
            spend(random.i64(1..50));
            let counters = exporter.counters();
            let expected = spent();
            for (series, before) in &shown {
                assert!(
                    counters.get(series).is_some_and(|now| now >= before),
                    "round {round}: {series} fell from {before}"
                );
            }
            assert!(counters[DEBIT] <= expected, "round {round}: more than was spent");
            risen += usize::from(shown.get(DEBIT).is_some_and(|before| counters[DEBIT] > *before));
            shown = counters;
            if Instant::now() >= end {
                break;
            }
        }
        // Dropping it is SIGKILL.
        drop(exporter);
    }
    assert!(risen > 10, "the kills fell between {risen} writes only");
    let exporter = Exporter::start(&settings);
    exporter.until("the debit is what was spent", |exporter| (exporter.counters()[DEBIT] - spent()).abs() < 1e-9);
    let paid = r#"batchdata_card_amount_usd_total{account="default",kind="top_up",status="paid",card_brand="visa"}"#;
    exporter.until("the card's credits are what was spent", |exporter| {
        (exporter.counters().get(paid).copied().unwrap_or_default() - spent()).abs() < 1e-9
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_is_not_to_be_touched_is_refused_and_left_as_it_is() {
    let (_vendors, address) = vendors().await;
    let file = "wallet-exporter.db";
    let sqlite = |path: &Path, sql: &str| {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    type Make<'a> = Box<dyn Fn(&Path) + 'a>;
    let cases: [(&str, Make<'_>, &str); 3] = [
        (
            "a text file",
            Box::new(|path| std::fs::write(path, "shopping list\n").unwrap()),
            "not written by this program",
        ),
        (
            "another program's database",
            Box::new(|path| sqlite(path, "CREATE TABLE t (x)")),
            "not written by this program",
        ),
        (
            "a newer version's",
            Box::new(|path| {
                sqlite(path, "PRAGMA application_id = 0x574c5458; PRAGMA user_version = 99; CREATE TABLE t (x)")
            }),
            "schema version 99",
        ),
    ];
    for (name, make, words) in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file);
        make(&path);
        let before = std::fs::read(&path).unwrap();
        let (code, _, errors) = run(&[], &settings(directory.path(), &address));
        assert_eq!(code, 64, "{name}: {errors}");
        assert!(errors.contains(words) && errors.contains("--storage.path"), "{name}: {errors}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{name} is untouched");
    }
    let (code, _, errors) = run(&[], &settings(Path::new("/proc/nowhere"), &address));
    assert_eq!(code, 1);
    assert!(errors.contains("--storage.path") && errors.contains("/proc/nowhere"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_storage_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_vendors, address) = vendors().await;
    let settings = settings(directory.path(), &address);
    let _first = Exporter::start(&settings);
    let (code, _, errors) = run(&[], &settings);
    assert_eq!(code, 1);
    assert!(errors.contains("in use by another process"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupt_file_is_renamed_and_said() {
    for damage in ["middle", "header", "cut"] {
        let directory = tempfile::tempdir().unwrap();
        let (_vendors, address) = vendors().await;
        let settings = settings(directory.path(), &address);
        let mut exporter = Exporter::start(&settings);
        exporter.signal("-TERM");
        assert_eq!(exporter.wait(), 0);
        let path = directory.path().join("wallet-exporter.db");
        let mut bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() > 20_000);
        match damage {
            "middle" => bytes[5_000..15_000].fill(0xa5),
            "header" => bytes[..100].fill(0xa5),
            _ => bytes.truncate(9_000),
        }
        std::fs::write(&path, &bytes).unwrap();
        let exporter = Exporter::start(&settings);
        let aside: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("wallet-exporter.db.damaged-"))
            .collect();
        assert_eq!(aside.len(), 1, "{damage}: {aside:?}");
        assert_eq!(std::fs::read(directory.path().join(&aside[0])).unwrap(), bytes, "{damage}: nothing is lost");
        assert_eq!(exporter.counters()[DEBIT], 0.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded_through_a_gigabyte_and_through_two_hundred_full_batches() {
    let directory = tempfile::tempdir().unwrap();
    let (vendors, address) = vendors().await;
    let ids: Vec<String> = (0..200)
        .map(|_| {
            let id = vendors.new_batch(None, false, "customer_ref", Vec::new());
            vendors.fill(&id, 5_000);
            id
        })
        .collect();
    let ids = ids.join(",");
    let mut settings = settings(directory.path(), &address);
    settings.extend([
        ("RIGHTFOOT_API_KEY", "rf_live_simulator"),
        ("RIGHTFOOT_BASE_URL", &address),
        ("RIGHTFOOT_BATCH_IDS", &ids),
    ]);
    let csv = vendor_simulator::Operation::BalancesCsv;
    vendors.fault(csv, vendor_simulator::Fault::Repeat { bytes: 1 << 30 }, Some(1));
    let flood = vendor_simulator::Fault::Flood { bytes: 1 << 30 };
    vendors.fault(vendor_simulator::Operation::Balance, flood, Some(2));
    let mut exporter = Exporter::start(&settings);
    let deadline = Instant::now() + 5 * PATIENCE;
    let value = |metrics: &str, series: &str| -> Option<f64> {
        metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    };
    let mut highest = 0.0_f64;
    loop {
        let metrics = exporter.get("/metrics").1;
        highest = highest.max(value(&metrics, "process_resident_memory_bytes").unwrap());
        let open: f64 = metrics
            .lines()
            .filter(|line| line.starts_with("rightfoot_open_balance_checks{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        let balance =
            value(&metrics, r#"wallet_exporter_source_up{account="default",vendor="batchdata",source="balance"}"#);
        if open >= 1_000_000.0 && balance == Some(1.0) {
            break;
        }
        assert!(Instant::now() < deadline, "open {open}, balance {balance:?}\n{}", exporter.log.lock().unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(highest < 48.0 * 1024.0 * 1024.0, "{highest} bytes");
    // Everything that has left this process, after good answers and broken ones.
    let left =
        [exporter.get("/metrics").1, exporter.get("/").1, exporter.get("/api/v1/status").1, exporter.get("/nowhere").1];
    exporter.child.kill().unwrap();
    let log = exporter.log.lock().unwrap().clone();
    let secrets = ["sim-batchdata-token", "rf_live_simulator"];
    for needle in vendor_simulator::CANARIES.iter().copied().chain(secrets) {
        assert!(left.iter().chain([&log]).all(|text| !text.contains(needle)), "{needle} has left the process");
    }
}
