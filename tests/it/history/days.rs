//! A file for each day.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vendor_simulator::{CANARIES, CANARY_DESCRIPTION, CANARY_REFERENCE, Fault, Operation, Part};
use wallet_exporter::batchdata::history::Out;
use wallet_exporter::batchdata::history::days::DayExport;
use wallet_exporter::batchdata::history::rows::{Csv, Include, JsonLines};
use wallet_exporter::money::Usd;

use super::{Past, day};
use crate::rig::at;

fn file(directory: &Path, day: &str, name: &str) -> PathBuf {
    let parts: Vec<&str> = day.split('-').collect();
    directory.join(format!("account=default/year={}/month={}/day={}/{name}", parts[0], parts[1], parts[2]))
}

fn read(directory: &Path, day: &str, name: &str) -> String {
    std::fs::read_to_string(file(directory, day, name)).unwrap()
}

fn csv_requests(past: &Past) -> usize {
    let asked = past.rig.vendors.requests();
    past.rig.vendors.clear_requests();
    asked.iter().filter(|seen| seen.operation == Some(Operation::ConsumptionCsv)).count()
}

async fn small() -> Past {
    let past = Past::of_days(0).await;
    past.rig.vendors.set_balance(Usd::from_cents(10_000));
    past.rig.vendors.spend(at("2026-05-01T14:00:00Z"), "api_request", "/api/v1/address/verify", Usd::from_cents(45));
    past.rig.vendors.credit(at("2026-05-01T15:00:00Z"), "admin_adjustment", Usd::from_cents(1_000));
    past.rig.vendors.spend(at("2026-05-02T00:00:00Z"), "=1+1", "/api/v1/@a, \"b\"", Usd::from_ten_thousandths(7));
    past
}

#[tokio::test]
async fn rows_are_exact_and_personal_fields_stay_out() {
    let past = small().await;
    let folder = tempfile::tempdir().unwrap();
    let out = || Out::Directory(folder.path().to_owned());
    assert_eq!(past.csv(("2026-05-01", "2026-05-03"), out()).await.unwrap(), 3);
    assert_eq!(past.notes.take(), [""; 0]);
    let header = "date,type,amount_usd,balance_after_usd,origin,endpoint_name\n";
    let first = "2026-05-01T14:00:00Z,debit,0.45,99.55,api_request,address-verify\n\
                 2026-05-01T15:00:00Z,credit,10,109.55,admin_adjustment,\n";
    assert_eq!(read(folder.path(), "2026-05-01", "transactions.csv"), format!("{header}{first}"));
    // What a spreadsheet would run is text.
    let second = "2026-05-02T00:00:00Z,debit,0.0007,109.5493,'=1+1,\"'@a, \"\"b\"\"\"\n";
    assert_eq!(read(folder.path(), "2026-05-02", "transactions.csv"), format!("{header}{second}"));
    assert_eq!(read(folder.path(), "2026-05-03", "transactions.csv"), header, "a day without transactions");

    past.days(("2026-05-01", "2026-05-02"), |include| Box::new(JsonLines(include)), out()).await.unwrap();
    assert_eq!(
        read(folder.path(), "2026-05-01", "transactions.jsonl").lines().next().unwrap(),
        r#"{"date":"2026-05-01T14:00:00Z","type":"debit","amount_usd":0.45,"balance_after_usd":99.55,"origin":"api_request","endpoint_name":"address-verify"}"#
    );
    let odd = read(folder.path(), "2026-05-02", "transactions.jsonl");
    let odd: serde_json::Value = serde_json::from_str(&odd).unwrap();
    assert_eq!((&odd["origin"], &odd["endpoint_name"]), (&"=1+1".into(), &"@a, \"b\"".into()));

    let all: Vec<PathBuf> = walk(folder.path());
    assert!(all.len() > 5);
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(CANARIES.iter().all(|canary| !text.contains(canary)), "{}", path.display());
    }

    // Named fields are written, for the owner alone, although the day's report is as it was.
    let include = Include { reference_id: true, description: true };
    let format = |include| Box::new(Csv(include)) as _;
    let export = DayExport { from: Some(day("2026-05-01")), to: Some(day("2026-05-01")), include, format };
    assert_eq!(past.history().export_days(&export, out()).await.unwrap(), 1);
    let text = read(folder.path(), "2026-05-01", "transactions.csv");
    assert!(text.starts_with("date,type,amount_usd,balance_after_usd,origin,endpoint_name,reference_id,description\n"));
    assert!(text.contains(CANARY_REFERENCE) && text.contains(CANARY_DESCRIPTION), "{text}");
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file(folder.path(), "2026-05-01", "transactions.csv")), 0o600);
    assert_ne!(mode(file(folder.path(), "2026-05-02", "transactions.csv")) & 0o044, 0);
    // The same again is not written, but a file that others may read by now is closed to them.
    let place = file(folder.path(), "2026-05-01", "transactions.csv");
    let written = std::fs::metadata(&place).unwrap().modified().unwrap();
    std::fs::remove_file(place.with_file_name(".transactions.csv.state")).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(past.history().export_days(&export, out()).await.unwrap(), 0);
    assert_eq!(std::fs::metadata(&place).unwrap().modified().unwrap(), written);
    assert_eq!(mode(place), 0o600);
    // And without them again, they are gone.
    past.csv(("2026-05-01", "2026-05-01"), out()).await.unwrap();
    assert_eq!(read(folder.path(), "2026-05-01", "transactions.csv"), format!("{header}{first}"));
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn days_that_the_vendor_may_no_longer_have_are_said() {
    let past = small().await;
    let folder = tempfile::tempdir().unwrap();
    let out = || Out::Directory(folder.path().to_owned());
    past.csv(("2025-05-19", "2025-05-19"), out()).await.unwrap();
    assert_eq!(past.notes.take(), [""; 0]);
    past.csv(("2025-05-18", "2025-05-19"), out()).await.unwrap();
    assert_eq!(
        past.notes.take(),
        [
            "the vendor's report covers the last 365 days: what is before 2025-05-19 may be empty although money was spent"
        ]
    );
}

#[tokio::test]
async fn a_day_is_written_again_only_when_it_was_restated_and_that_is_said() {
    let past = small().await;
    let folder = tempfile::tempdir().unwrap();
    let out = || Out::Directory(folder.path().to_owned());
    let days = ("2026-05-01", "2026-05-19");
    past.csv(days, out()).await.unwrap();
    assert_eq!(csv_requests(&past), 19);
    let before = std::fs::metadata(file(folder.path(), "2026-05-01", "transactions.csv")).unwrap();
    assert_eq!(past.csv(days, out()).await.unwrap(), 0);
    assert_eq!(csv_requests(&past), 1, "only the day that is not over");

    // A transaction that the vendor adds later, and one that is in the report alone.
    past.rig.vendors.spend(at("2026-05-02T08:00:00Z"), "api_request", "/api/v1/address/verify", Usd::from_cents(1_280));
    let everywhere = Part::Everywhere { origin: "api_request".into(), path: "/api/v1/address/verify".into() };
    past.rig.vendors.restate(day("2026-05-01"), &everywhere, Usd::from_cents(5), Usd::ZERO);
    assert_eq!(past.csv(days, out()).await.unwrap(), 1);
    assert_eq!(csv_requests(&past), 3);
    let notes = past.notes.take();
    let expected = [
        "2026-05-01: debits: the transactions add up to $0.45, the report says $0.50",
        "2026-05-01: debits with an endpoint: the transactions add up to $0.45, the report says $0.50",
        "2026-05-01: debits of api_request: the transactions add up to $0.45, the report says $0.50",
        "2026-05-02: the vendor has restated it, and it is written again, debits $0.0007 -> $12.8007 (+$12.80), \
         transactions 1 -> 2",
    ];
    assert_eq!(notes, expected);
    let after = std::fs::metadata(file(folder.path(), "2026-05-01", "transactions.csv")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap(), "the same rows are not written again");

    // What does not add up is read each time until it does, although the report says the same of it.
    past.rig.vendors.clear_requests();
    assert_eq!(past.csv(days, out()).await.unwrap(), 0);
    assert_eq!(csv_requests(&past), 2);
    assert_eq!(past.notes.take(), expected[..3]);
    past.rig.vendors.spend(at("2026-05-01T16:00:00Z"), "api_request", "/api/v1/address/verify", Usd::from_cents(5));
    past.rig.vendors.restate(day("2026-05-01"), &everywhere, -Usd::from_cents(5), Usd::ZERO);
    assert_eq!(past.csv(days, out()).await.unwrap(), 1);
    let words = "2026-05-01: the vendor has restated it, and it is written again, debits $0.45 -> $0.50 (+$0.05), \
                 transactions 2 -> 3";
    assert_eq!(past.notes.take(), [words]);
    past.rig.vendors.clear_requests();
    past.csv(days, out()).await.unwrap();
    assert_eq!(csv_requests(&past), 1);

    // A file that somebody changed or removed is written again.
    std::fs::write(file(folder.path(), "2026-05-03", "transactions.csv"), "x").unwrap();
    std::fs::remove_file(file(folder.path(), "2026-05-04", "transactions.csv")).unwrap();
    assert_eq!(past.csv(days, out()).await.unwrap(), 2);
    assert_eq!(past.notes.take(), [""; 0], "that was not the vendor");
    // Parts of the report need not cover all: that is said once, and no reason to read the day each time.
    let path = Part::Path("/api/v1/address/verify".into());
    past.rig.vendors.restate(day("2026-05-02"), &path, Usd::from_cents(7), Usd::ZERO);
    past.csv(days, out()).await.unwrap();
    assert_eq!(past.notes.take().len(), 1);
    past.rig.vendors.clear_requests();
    past.csv(days, out()).await.unwrap();
    assert_eq!(csv_requests(&past), 1);
    assert!(walk(folder.path()).iter().all(|path| path.extension().is_none_or(|end| end != "tmp")));
}

#[tokio::test]
async fn a_failed_day_leaves_the_days_before_it_and_nothing_half() {
    let past = small().await;
    let folder = tempfile::tempdir().unwrap();
    let out = || Out::Directory(folder.path().to_owned());
    past.rig.vendors.fault(Operation::ConsumptionCsv, Fault::status(401), None);
    let error = past.csv(("2026-05-01", "2026-05-02"), out()).await.unwrap_err();
    assert!(error.to_string().contains("unauthorized"), "{error}");
    assert!(!file(folder.path(), "2026-05-01", "transactions.csv").exists());
    past.rig.vendors.clear_faults(None);

    // What may succeed later is asked again: the clock has to move for that.
    past.rig.vendors.fault(Operation::ConsumptionCsv, Fault::AbortedChunk, Some(2));
    let export = past.csv(("2026-05-01", "2026-05-02"), out());
    let clock = past.rig.clock.clone();
    let moving = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            clock.advance(Duration::from_secs(1));
        }
    };
    let exported = tokio::select! { exported = export => exported.unwrap(), () = moving => unreachable!() };
    assert_eq!(exported, 2);
    assert_eq!(past.notes.take().len(), 2);
    let text = read(folder.path(), "2026-05-01", "transactions.csv");
    assert_eq!(text.lines().count(), 3, "rows of a try that failed are gone: {text}");

    // A stream cannot be taken back.
    for _ in 0..100 {
        let moment = at("2026-05-01T16:00:00Z");
        past.rig.vendors.spend(moment, "api_request", "/api/v1/address/verify", Usd::from_cents(45));
    }
    past.rig.vendors.fault(Operation::ConsumptionCsv, Fault::AbortedChunk, Some(1));
    let clock = past.rig.clock.clone();
    let moving = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            clock.advance(Duration::from_secs(1));
        }
    };
    let mut text = Vec::new();
    let export = past.csv(("2026-05-01", "2026-05-02"), Out::Stream(&mut text));
    let error = tokio::select! { exported = export => exported.unwrap_err(), () = moving => unreachable!() };
    assert!(error.to_string().starts_with("the output ends within 2026-05-01"), "{error}");
}

#[tokio::test]
async fn a_midnight_that_passes_meanwhile_changes_no_day_and_is_no_failure() {
    let past = small().await;
    let (vendors, clock) = (&past.rig.vendors, &past.rig.clock);
    let folder = tempfile::tempdir().unwrap();
    let out = || Out::Directory(folder.path().to_owned());
    let spend = |moment: &str| vendors.spend(at(moment), "api_request", "/api/v1/address/verify", Usd::from_cents(45));
    clock.pass_to(at("2026-05-19T23:59:50Z"));
    spend("2026-05-19T23:59:40Z");
    // The transactions are asked for a second time, on the next day.
    vendors.fault(Operation::ConsumptionCsv, Fault::status(503), Some(1));
    let export = past.csv(("2026-05-18", "2026-05-19"), out());
    let passing = async {
        let asked = || vendors.requests().iter().any(|seen| seen.operation == Some(Operation::ConsumptionCsv));
        while !asked() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        spend("2026-05-19T23:59:55Z");
        clock.pass_to(at("2026-05-20T00:00:30Z"));
        spend("2026-05-20T00:00:10Z");
        loop {
            // The second try waits by the clock.
            tokio::time::sleep(Duration::from_millis(5)).await;
            clock.advance(Duration::from_millis(100));
        }
    };
    let exported = tokio::select! { exported = export => exported.unwrap(), () = passing => unreachable!() };
    assert_eq!(exported, 2);
    let notes = past.notes.take();
    assert!(notes.len() == 1 && notes[0].contains("trying again"), "{notes:?}");
    let rows = |day: &str| read(folder.path(), day, "transactions.csv").lines().skip(1).count();
    assert_eq!((rows("2026-05-18"), rows("2026-05-19")), (0, 2));
    assert!(!file(folder.path(), "2026-05-20", "transactions.csv").exists());

    // The day was not over when the export began: it is read again, and what came late is in it.
    spend("2026-05-19T23:59:59Z");
    assert_eq!(past.csv(("2026-05-18", "2026-05-20"), out()).await.unwrap(), 2);
    assert_eq!(["2026-05-18", "2026-05-19", "2026-05-20"].map(rows), [0, 3, 1]);
    assert_eq!(past.notes.take(), [""; 0], "that is no restatement");
    csv_requests(&past);
    past.csv(("2026-05-18", "2026-05-19"), out()).await.unwrap();
    assert_eq!(csv_requests(&past), 0, "now it was over");
}

#[tokio::test]
async fn two_exports_into_one_directory_do_not_meet() {
    let past = small().await;
    let folder = tempfile::tempdir().unwrap();
    let lock = std::fs::File::create(folder.path().join(".wallet-exporter.lock")).unwrap();
    lock.lock().unwrap();
    let error = past.csv(("2026-05-01", "2026-05-01"), Out::Directory(folder.path().to_owned())).await.unwrap_err();
    assert!(error.to_string().ends_with("another export is writing there"), "{error}");
    drop(lock);
    past.csv(("2026-05-01", "2026-05-01"), Out::Directory(folder.path().to_owned())).await.unwrap();
}

#[tokio::test]
async fn a_year_of_transactions_adds_up_to_the_books() {
    let past = Past::of_days(366).await;
    let mut text = Vec::new();
    past.csv(("2025-05-19", "2026-05-19"), Out::Stream(&mut text)).await.unwrap();
    assert_eq!(past.notes.take(), [""; 0], "transactions and report agree on every day");
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let mut sums = std::collections::BTreeMap::<chrono::NaiveDate, (Usd, Usd)>::new();
    let mut rows = 0;
    for record in reader.records().map(Result::unwrap) {
        rows += 1;
        let sum = sums.entry(day(&record[0][..10])).or_default();
        let amount = Usd::parse(&record[2]).unwrap();
        if &record[1] == "debit" { sum.0 += amount } else { sum.1 += amount }
    }
    assert!(rows > 100_000, "{rows}");
    let expected = past.rig.vendors.expected();
    for (day, flow) in expected.by_day.range(day("2025-05-19")..) {
        let (debit, credit) = sums.get(day).copied().unwrap_or_default();
        assert_eq!((debit.decimal(), credit.decimal()), (flow.debit, flow.credit), "{day}");
    }
}
