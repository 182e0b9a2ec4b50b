//! The source `transactions`: each counted once, through restarts, restatements and gaps, within its budget.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use vendor_simulator::{CANARIES, CsvChange, Fault, Operation, Seen};
use wallet_exporter::clock::Clock as _;
use wallet_exporter::exposition::Format;
use wallet_exporter::money::Usd;
use wallet_exporter::store::{StorageFault, StorageFaultKind};

use crate::rig::{Log, Rig, at};
use crate::serving::readers::messages;

const HEADER: &str = "Date,Type,Amount,Balance After,Origin,Reference ID,Endpoint,Description";
const ALL: &str = "balance,consumption,card_transactions,transactions";

/// A counter's value.
fn count(rig: &Rig, kind: &str, endpoint: &str) -> Option<f64> {
    let labels = format!(r#"account="default",type="{kind}",endpoint_name="{endpoint}""#);
    rig.value(&format!("batchdata_wallet_transactions_total{{{labels}}}"))
}

type Debits = (f64, f64, f64);

/// Debits of an endpoint, how many of them the histogram has, and its sum.
fn debits(rig: &Rig, endpoint: &str) -> Debits {
    let amount = |what: &str| {
        let labels = format!(r#"account="default",endpoint_name="{endpoint}""#);
        rig.value(&format!("batchdata_wallet_transaction_usd_{what}{{{labels}}}")).unwrap_or(-1.0)
    };
    (count(rig, "debit", endpoint).unwrap_or(-1.0), amount("count"), amount("sum"))
}

fn spend(rig: &Rig, at: DateTime<Utc>, name: &str, cents: i64) {
    rig.vendors.spend(at, "api_request", &format!("/api/v1/{name}"), Usd::from_cents(cents));
}

/// A CSV with these rows: time, type, amount, endpoint.
fn csv(rows: &[(&str, &str, &str, &str)]) -> Fault {
    let mut text = format!("{HEADER}\n");
    for (time, kind, amount, endpoint) in rows {
        text.push_str(&format!("{time},{kind},{amount},,api_request,req_1,{endpoint},Somebody\n"));
    }
    Fault::Body { content_type: "text/csv; charset=utf-8".to_owned(), text }
}

/// From now on the vendor shows these rows.
fn show(rig: &Rig, rows: &[(&str, &str, &str, &str)]) {
    rig.vendors.clear_faults(None);
    rig.vendors.fault(Operation::ConsumptionCsv, csv(rows), None);
}

async fn rig_at(directory: &Path) -> Rig {
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.to_str().unwrap());
    rig.set("BATCHDATA_SOURCES", "transactions");
    rig.set("BATCHDATA_TRANSACTIONS_INTERVAL", "1m");
    rig
}

async fn poll(rig: &Rig) {
    rig.rest().await;
    rig.poll_within(&["transactions"], Duration::from_secs(48 * 3_600)).await;
    rig.rest().await;
}

fn downloads(rig: &Rig) -> Vec<Seen> {
    let csv = |seen: &Seen| seen.operation == Some(Operation::ConsumptionCsv);
    rig.vendors.requests().into_iter().filter(csv).collect()
}

fn day_of(seen: &Seen, name: &str) -> String {
    seen.query.iter().find(|(found, _)| found == name).unwrap().1.clone()
}

/// What a crash at this moment would leave.
fn left(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".db") || name.ends_with(".db-wal") {
            std::fs::copy(&path, copy.path().join(name)).unwrap();
        }
    }
    // The directory is known as ours by its lock file.
    std::fs::write(copy.path().join("wallet-exporter.lock"), "").unwrap();
    copy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_by_default_nothing_is_asked_and_no_family_is_there() {
    let mut rig = Rig::new().await;
    spend(&rig, rig.clock.now(), "search", 10);
    rig.start().await;
    rig.first_polls().await;
    rig.poll(&["consumption"]).await;
    assert!(downloads(&rig).is_empty());
    let metrics = rig.metrics();
    assert!(!metrics.contains("batchdata_wallet_transaction") && !metrics.contains("consumption_csv"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_rows_count_each_and_once_through_restarts_and_crashes() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    let now = rig.clock.now();
    spend(&rig, now, "search", 10);
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(debits(&rig, "search"), (0.0, 0.0, 0.0), "what was there before is the base line");
    spend(&rig, now, "search", 10);
    spend(&rig, now, "search", 10);
    rig.vendors.credit(now, "wallet_card_top_up", Usd::from_cents(5_000));
    poll(&rig).await;
    assert_eq!(debits(&rig, "search"), (2.0, 2.0, 0.2));
    assert_eq!(count(&rig, "credit", "unknown"), Some(1.0));
    // It crashes, and the next life reads the same rows again.
    let mut after = rig.beside();
    let crashed = left(directory.path());
    after.settings = rig.settings.clone();
    after.set("STORAGE_PATH", crashed.path().to_str().unwrap());
    rig.stop().await;
    after.start().await;
    assert_eq!(debits(&after, "search"), (2.0, 2.0, 0.2), "at once");
    poll(&after).await;
    assert_eq!(debits(&after, "search"), (2.0, 2.0, 0.2));
    after.stop().await;
    spend(&after, now, "search", 10);
    after.start().await;
    poll(&after).await;
    assert_eq!(debits(&after, "search"), (3.0, 3.0, 0.3), "what was spent meanwhile is caught up");
    let families = messages(after.exposition().rendered(Format::Protobuf).plain());
    let family = families.iter().find(|family| family.name == "batchdata_wallet_transaction_usd").unwrap();
    let histogram = family.metric[0].histogram.as_ref().unwrap();
    // 2^(-26/8) is 0.105, 2^(-27/8) is 0.096.
    assert_eq!((histogram.schema, histogram.positive_span[0].offset, histogram.positive_delta[0]), (3, -26, 3));
    assert_eq!(histogram.bucket.iter().find(|bucket| bucket.upper_bound == 0.1).unwrap().cumulative_count, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_restated_today_is_held_and_never_counted_twice() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    let debit = |amount: &'static str| ("2026-05-19 11:00:00", "Debit", amount, "search");
    show(&rig, &[]);
    rig.start().await;
    rig.first_polls().await;
    let steps: [(&[&'static str], Debits); 6] = [
        (&["5", "-1"], (2.0, 1.0, 5.0)),
        (&["-1"], (2.0, 1.0, 5.0)),
        (&["-1", "1"], (2.0, 1.0, 5.0)),
        // What was taken back is there again.
        (&["-1", "1", "5"], (3.0, 2.0, 6.0)),
        // One is repriced while another comes.
        (&["-1", "1", "4", "7"], (4.0, 3.0, 10.0)),
        (&["-1", "1", "4", "7", "7"], (5.0, 4.0, 17.0)),
    ];
    for (amounts, expected) in steps {
        show(&rig, &amounts.iter().map(|amount| debit(amount)).collect::<Vec<_>>());
        poll(&rig).await;
        assert_eq!(debits(&rig, "search"), expected, "{amounts:?}");
        // A restart changes nothing.
        rig.stop().await;
        rig.start().await;
        assert_eq!(debits(&rig, "search"), expected, "{amounts:?}");
    }
    show(&rig, &[("2026-05-19 11:00:00", "Adjustment", "3", " "), debit("7")]);
    poll(&rig).await;
    assert_eq!(count(&rig, "other", "unknown"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yesterday_counts_until_an_hour_after_its_end_and_a_row_may_move_over_midnight() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.set("BATCHDATA_TRANSACTIONS_INTERVAL", "10m");
    let a = ("2026-05-19 11:00:00", "Debit", "1", "search");
    let (b, moved) = (("2026-05-19 22:30:00", "Debit", "2", "search"), ("2026-05-20 00:00:05", "Debit", "2", "search"));
    let c = ("2026-05-20 00:10:00", "Debit", "3", "search");
    let late = |amount| ("2026-05-19 23:59:59", "Debit", amount, "search");
    show(&rig, &[a]);
    rig.start().await;
    rig.first_polls().await;
    let counted = |rig: &Rig| debits(rig, "search").2;
    for (time, rows, sum) in [
        ("2026-05-19T23:00:00Z", vec![a, b], 2.0),
        ("2026-05-20T00:15:00Z", vec![a, moved, c], 5.0),
        ("2026-05-20T00:30:00Z", vec![a, b, c, late("4")], 9.0),
        ("2026-05-20T01:15:00Z", vec![a, moved, c, late("4"), late("5")], 14.0),
        ("2026-05-20T02:00:00Z", vec![moved, c, late("6")], 14.0),
    ] {
        show(&rig, &rows);
        rig.clock.pass_to(at(time) - TimeDelta::minutes(9));
        poll(&rig).await;
        while rig.clock.now() < at(time) {
            poll(&rig).await;
        }
        assert_eq!(counted(&rig), sum, "{time}");
        rig.stop().await;
        rig.start().await;
        assert_eq!(counted(&rig), sum, "{time}: after a restart");
    }
    let days: Vec<(String, String)> =
        downloads(&rig).iter().map(|seen| (day_of(seen, "start_date"), day_of(seen, "end_date"))).collect();
    let day = |start: &str, end: &str| (format!("2026-05-{start}"), format!("2026-05-{end}"));
    assert!(days.contains(&day("19", "20")) && days.last() == Some(&day("20", "20")), "{days:?}");
    let file = rusqlite::Connection::open(directory.path().join("wallet-exporter.db")).unwrap();
    let kept: String =
        file.query_row("SELECT group_concat(DISTINCT day) FROM transaction_day", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, "2026-05-20", "of a closed day only totals remain");
}

/// Thousands of rows on each of several days, about half a megabyte a day.
fn busy_days(rig: &Rig, days: std::ops::RangeInclusive<u32>) {
    for day in days {
        for number in 0..4_000 {
            let at = at(&format!("2026-05-{day:02}T10:00:00Z")) + TimeDelta::seconds(number % 600);
            spend(rig, at, "search", 10);
        }
    }
}

/// No hour has more than the budget and one file.
fn assert_within_budget(rig: &Rig, budget: u64) {
    let seen = downloads(rig);
    let largest = seen.iter().map(|seen| seen.body_bytes).max().unwrap();
    for first in &seen {
        let hour = seen.iter().filter(|seen| seen.at >= first.at && seen.at - first.at <= TimeDelta::hours(1));
        let bytes: u64 = hour.map(|seen| seen.body_bytes).sum();
        assert!(bytes <= budget + largest, "{bytes} in an hour from {}", first.at);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_read_day_by_day_within_the_budget_through_a_restart_and_a_pause() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.set("BATCHDATA_COUNT_SINCE", "2026-05-16");
    rig.set("BATCHDATA_TRANSACTIONS_MB_PER_HOUR", "1");
    busy_days(&rig, 15..=18);
    spend(&rig, rig.clock.now(), "search", 30);
    rig.start().await;
    rig.first_polls().await;
    rig.rest().await;
    assert_eq!(debits(&rig, "search"), (4_000.0, 4_000.0, 400.0), "the first day, and not the one before");
    let wait =
        rig.source("next_attempt_timestamp_seconds", "transactions").unwrap() - rig.clock.now().timestamp() as f64;
    let bytes = downloads(&rig)[0].body_bytes;
    assert!((wait - bytes as f64 * 0.0036).abs() < 1.5, "{wait} s after {bytes} bytes");
    // A restart neither forgets it nor asks before the budget has paid for it.
    rig.stop().await;
    rig.clock.advance(Duration::from_secs(60));
    rig.start().await;
    assert_eq!(debits(&rig, "search").0, 4_000.0);
    rig.rest().await;
    assert_eq!(downloads(&rig).len(), 1);
    // The vendor refuses the third day for a while: what was read stays.
    poll(&rig).await;
    assert_eq!(debits(&rig, "search").0, 8_000.0);
    rig.vendors.fault(Operation::ConsumptionCsv, Fault::throttled(Some("90")), Some(1));
    poll(&rig).await;
    assert_eq!(rig.source("failing=rate_limited", "transactions"), Some(1.0));
    assert_eq!(debits(&rig, "search").0, 8_000.0);
    while debits(&rig, "search").0 < 12_001.0 {
        poll(&rig).await;
    }
    assert_eq!(debits(&rig, "search"), (12_001.0, 12_001.0, 1_200.3));
    let mut asked: BTreeMap<String, u32> = BTreeMap::new();
    for seen in downloads(&rig).iter().filter(|seen| seen.status == Some(200)) {
        *asked.entry(day_of(seen, "start_date")).or_default() += 1;
    }
    assert!(downloads(&rig).iter().all(|seen| day_of(seen, "start_date") == day_of(seen, "end_date")));
    let closed: Vec<u32> = ["16", "17", "18"].map(|day| asked[&format!("2026-05-{day}")]).to_vec();
    assert_eq!(closed, [1, 1, 1], "{asked:?}");
    assert_within_budget(&rig, 1_000_000);
}

/// When the next attempt is, in seconds from now.
fn wait(rig: &Rig) -> f64 {
    rig.source("next_attempt_timestamp_seconds", "transactions").unwrap() - rig.clock.now().timestamp() as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_that_failed_or_did_not_end_is_paid_for_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.set("BATCHDATA_TRANSACTIONS_MB_PER_HOUR", "1");
    for number in 0..15_000 {
        spend(&rig, at("2026-05-19T10:00:00Z") + TimeDelta::seconds(number % 600), "search", 10);
    }
    // Nothing was ever read when the first downloads fail.
    rig.vendors.fault(Operation::ConsumptionCsv, Fault::AbortedChunk, None);
    rig.start().await;
    rig.first_polls().await;
    rig.rest().await;
    let failed = downloads(&rig).len();
    let read = r#"wallet_exporter_vendor_response_bytes_total{account="default",vendor="batchdata",operation="consumption_csv"}"#;
    let bytes = rig.value(read);
    assert!(failed == 1 && bytes.is_some_and(|bytes| bytes > 100_000.0), "{failed} downloads of {bytes:?} bytes");
    for _ in 0..3 {
        rig.stop().await;
        rig.clock.advance(Duration::from_secs(10));
        rig.start().await;
        rig.rest().await;
    }
    assert_eq!(downloads(&rig).len(), failed);
    rig.vendors.clear_faults(None);
    poll(&rig).await;
    assert_eq!(rig.source("up", "transactions"), Some(1.0));
    assert_within_budget(&rig, 1_000_000);

    // One that failed without a body has cost nothing.
    rig.vendors.fault(Operation::ConsumptionCsv, Fault::status(503), None);
    poll(&rig).await;
    assert_eq!(rig.source("up", "transactions"), Some(0.0));
    rig.stop().await;
    rig.start().await;
    rig.rest().await;
    assert!(wait(&rig) < 900.0, "{}", wait(&rig));
    rig.vendors.clear_faults(None);
    poll(&rig).await;
    assert_eq!(rig.source("up", "transactions"), Some(1.0));

    // A crash in the middle of one.
    let ended = downloads(&rig).len();
    rig.vendors.fault(Operation::ConsumptionCsv, Fault::Hang, None);
    rig.clock.advance(Duration::from_secs(12 * 3_600));
    rig.until("the vendor is asked", |rig| downloads(rig).len() > ended).await;
    let crashed = left(directory.path());
    rig.stop().await;
    rig.vendors.clear_faults(None);
    rig.set("STORAGE_PATH", crashed.path().to_str().unwrap());
    rig.start().await;
    rig.rest().await;
    assert_eq!(downloads(&rig).len(), ended + 1);
    assert!(wait(&rig) > 3_500.0, "{}", wait(&rig));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_read_as_often_as_the_budget_allows_and_is_not_stale_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.set("BATCHDATA_SOURCES", ALL);
    rig.set("BATCHDATA_TRANSACTIONS_MB_PER_HOUR", "1");
    for number in 0..15_000 {
        spend(&rig, at("2026-05-19T10:00:00Z") + TimeDelta::seconds(number % 600), "search", 10);
    }
    rig.start().await;
    rig.first_polls().await;
    let bytes = downloads(&rig)[0].body_bytes;
    let wait = bytes as f64 * 0.0036;
    assert!(wait > 5_000.0, "{wait}");
    let shown = |rig: &Rig, name: &str| (rig.source(name, "transactions").unwrap() / wait * 100.0).round() / 100.0;
    assert_eq!((shown(&rig, "interval_seconds"), shown(&rig, "max_age_seconds")), (1.0, 3.0));
    for _ in 0..3 {
        spend(&rig, rig.clock.now(), "search", 10);
        poll(&rig).await;
    }
    assert_eq!(debits(&rig, "search").0, 3.0);
    assert_within_budget(&rig, 1_000_000);
    // A refusal in between is no smaller file: the last success is hours old, and must not be too old now.
    rig.vendors.fault(Operation::ConsumptionCsv, Fault::status(503), None);
    poll(&rig).await;
    assert_eq!(rig.source("up", "transactions"), Some(0.0));
    assert_eq!((shown(&rig, "interval_seconds"), shown(&rig, "max_age_seconds")), (1.0, 3.0));
    rig.vendors.clear_faults(None);
    poll(&rig).await;
    // A restart in the middle shows what is known, at once.
    rig.clock.advance(Duration::from_secs(5_000));
    rig.stop().await;
    rig.start().await;
    assert_eq!(debits(&rig, "search").0, 3.0);
    assert_eq!((shown(&rig, "interval_seconds"), shown(&rig, "max_age_seconds")), (1.0, 3.0));
    // What was counted as downloaded is what the vendor sent.
    rig.first_polls().await;
    poll(&rig).await;
    let sent = |operation| {
        let of = |seen: &&Seen| seen.operation == Some(operation);
        rig.vendors.requests().iter().filter(of).map(|seen| seen.body_bytes).sum::<u64>() as f64
    };
    rig.vendors.clear_requests();
    let read = |name: &str| {
        let labels = format!(r#"account="default",vendor="batchdata",operation="{name}""#);
        rig.value(&format!("wallet_exporter_vendor_response_bytes_total{{{labels}}}")).unwrap()
    };
    let before = (read("consumption_csv"), read("balance"));
    poll(&rig).await;
    rig.rest().await;
    let after = (read("consumption_csv"), read("balance"));
    assert_eq!(after.0 - before.0, sent(Operation::ConsumptionCsv));
    assert_eq!(after.1 - before.1, sent(Operation::Balance));
    assert!(after.0 > before.0 && after.1 > before.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downtime_is_caught_up_and_a_lost_storage_begins_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.start().await;
    rig.first_polls().await;
    rig.stop().await;
    for day in 19..=23 {
        spend(&rig, at(&format!("2026-05-{day}T20:00:00Z")), "search", 10);
    }
    rig.clock.pass_to(at("2026-05-23T21:00:00Z"));
    rig.vendors.clear_requests();
    rig.start().await;
    rig.first_polls().await;
    rig.catch_up().await;
    assert_eq!(debits(&rig, "search"), (5.0, 5.0, 0.5));
    let days: Vec<String> = downloads(&rig).iter().map(|seen| day_of(seen, "start_date")).collect();
    let expected = [19, 21, 22, 23].map(|day| format!("2026-05-{day}"));
    assert_eq!(days, expected, "each once: the 20th with the 19th, which was read before");
    rig.stop().await;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(debits(&rig, "search"), (0.0, 0.0, 0.0), "a true reset");
    spend(&rig, rig.clock.now(), "search", 10);
    poll(&rig).await;
    assert_eq!(debits(&rig, "search"), (1.0, 1.0, 0.1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_storage_is_served_once_it_has_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.start().await;
    rig.first_polls().await;
    spend(&rig, rig.clock.now(), "search", 10);
    poll(&rig).await;
    let copy = left(directory.path());
    for day in 19..=22 {
        spend(&rig, at(&format!("2026-05-{day}T20:00:00Z")), "search", 10);
    }
    rig.clock.pass_to(at("2026-05-22T21:00:00Z"));
    while debits(&rig, "search").0 < 5.0 {
        poll(&rig).await;
    }
    rig.stop().await;
    rig.set("STORAGE_PATH", copy.path().to_str().unwrap());
    rig.start().await;
    let mut passes = 0;
    while count(&rig, "debit", "search").is_none() {
        passes += 1;
        poll(&rig).await;
    }
    assert_eq!(debits(&rig, "search"), (5.0, 5.0, 0.5), "never less than was served");
    assert!(passes > 1, "it takes a pass for each day that it lacks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_the_counters_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.start().await;
    rig.first_polls().await;
    spend(&rig, rig.clock.now(), "search", 10);
    poll(&rig).await;
    let store = rig.store();
    store.set_fault(Some(StorageFault { skip: 0, kind: StorageFaultKind::Full }));
    spend(&rig, rig.clock.now(), "search", 10);
    spend(&rig, rig.clock.now(), "verify", 10);
    poll(&rig).await;
    assert_eq!(rig.value("wallet_exporter_storage_up"), Some(0.0));
    assert_eq!(rig.source("up", "transactions"), Some(1.0), "a storage fault fails no poll");
    assert_eq!((debits(&rig, "search").0, count(&rig, "debit", "verify")), (1.0, None));
    store.set_fault(None);
    drop(store);
    poll(&rig).await;
    assert_eq!((debits(&rig, "search"), debits(&rig, "verify")), ((2.0, 2.0, 0.2), (1.0, 1.0, 0.1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_endpoints_have_series_and_the_rest_is_other() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.start().await;
    rig.first_polls().await;
    for number in 0..103 {
        spend(&rig, rig.clock.now() - TimeDelta::minutes(number), &format!("e{number:03}"), 10);
    }
    poll(&rig).await;
    assert_eq!(debits(&rig, "other"), (3.0, 3.0, 0.3), "the last to come, whatever the order of the rows");
    assert_eq!((count(&rig, "debit", "e102"), count(&rig, "debit", "e000")), (Some(1.0), None));
    let overflow =
        r#"wallet_exporter_series_overflow_total{account="default",metric="batchdata_wallet_transactions_total"}"#;
    assert_eq!(rig.value(overflow), Some(3.0));
    rig.stop().await;
    rig.start().await;
    spend(&rig, rig.clock.now(), "e000", 10);
    poll(&rig).await;
    assert_eq!(debits(&rig, "other"), (4.0, 4.0, 0.4), "the same after a restart");
    // The hundred keep their places when their day is closed.
    rig.clock.pass_to(at("2026-05-20T02:00:00Z"));
    poll(&rig).await;
    poll(&rig).await;
    spend(&rig, rig.clock.now(), "f000", 10);
    poll(&rig).await;
    assert_eq!((count(&rig, "debit", "f000"), debits(&rig, "other")), (None, (5.0, 5.0, 0.5)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_with_too_many_kinds_of_rows_is_too_large_and_says_which() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.start().await;
    rig.first_polls().await;
    let amounts: Vec<String> = (0..50_001).map(|number| format!("0.{number:05}")).collect();
    let rows: Vec<_> = amounts.iter().map(|amount| ("2026-05-19 10:00:00", "Debit", amount.as_str(), "e")).collect();
    show(&rig, &rows);
    poll(&rig).await;
    assert_eq!(rig.source("failing=too_large", "transactions"), Some(1.0));
    let failure = rig.snapshot().sources().next().unwrap().last_failure.clone().unwrap().message;
    assert!(failure.contains("2026-05-19 has more than 50000 different combinations"), "{failure}");
    show(&rig, &rows[1..]);
    poll(&rig).await;
    assert_eq!(debits(&rig, "e").0, 50_000.0, "the bound itself is not too many");
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_left_out_and_logged_without_their_contents() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::begin();
    let mut rig = rig_at(directory.path()).await;
    rig.start().await;
    rig.first_polls().await;
    for _ in 0..3 {
        spend(&rig, rig.clock.now(), "search", 10);
    }
    let change = CsvChange::SetInRow(1, "Amount".to_owned(), "a-secret-amount".to_owned());
    rig.vendors.fault(Operation::ConsumptionCsv, Fault::csv(change), None);
    poll(&rig).await;
    poll(&rig).await;
    assert_eq!(rig.source("up", "transactions"), Some(1.0));
    assert_eq!(debits(&rig, "search").0, 2.0);
    let lines = log.lines("transactions cannot be read");
    assert!(lines.len() == 1 && lines[0].contains("rejected=1"), "{lines:?}");
    for text in log.lines("").iter().chain([&rig.metrics()]) {
        assert!(!text.contains("a-secret-amount") && CANARIES.iter().all(|canary| !text.contains(canary)), "{text}");
    }
    rig.vendors.clear_faults(None);
    poll(&rig).await;
    assert_eq!(debits(&rig, "search").0, 3.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_starts_on_another_day_counts_nothing_that_was_spent_before() {
    for days in [2, -2] {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = rig_at(directory.path()).await;
        rig.vendors.set_clock_offset(TimeDelta::days(days));
        for hours in 0..72 {
            spend(&rig, rig.vendors.now() - TimeDelta::hours(hours), "search", 10);
        }
        rig.start().await;
        rig.first_polls().await;
        assert_eq!((rig.source("up", "transactions"), count(&rig, "debit", "search")), (Some(0.0), None), "{days}");
        while rig.source("up", "transactions") != Some(1.0) {
            poll(&rig).await;
        }
        poll(&rig).await;
        assert_eq!(debits(&rig, "search"), (0.0, 0.0, 0.0), "{days}");
        spend(&rig, rig.vendors.now(), "search", 10);
        poll(&rig).await;
        assert_eq!(debits(&rig, "search"), (1.0, 1.0, 0.1), "{days}");
    }
}
