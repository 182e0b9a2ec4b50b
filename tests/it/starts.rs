//! Start timestamps: from when on each counter counts, over restarts, losses and wrong clocks.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use vendor_simulator::{Fault, NewRow, Operation};
use wallet_exporter::clock::Clock as _;
use wallet_exporter::exposition::Format;
use wallet_exporter::money::Usd;
use wallet_exporter::store::{StorageFault, StorageFaultKind};

use crate::rig::{Rig, copy_of};
use crate::serving::fixture::{ask, get};
use crate::serving::readers;

const SPENT: &str = r#"batchdata_wallet_debit_usd_total{account="default"}"#;
const FIRST: &str = r#"batchdata_wallet_origin_debit_usd_total{account="default",origin="first"}"#;
const LATER: &str = r#"batchdata_wallet_origin_debit_usd_total{account="default",origin="later"}"#;
const BRAND: &str = r#"batchdata_card_sales_tax_usd_total{account="default",card_brand="visa"}"#;
const CHECKS: &str = r#"rightfoot_balance_checks_total{account="default",status="success",submitted_via="api"}"#;
const BANK: &str =
    r#"rightfoot_balance_checks_by_institution_total{account="default",institution="Chase",status="success"}"#;
const BALANCES: &str = r#"rightfoot_balance_check_balance_usd{account="default"}"#;
const REQUESTS: &str = r#"wallet_exporter_vendor_request_duration_seconds{account="default",vendor="batchdata",operation="consumption_report"}"#;
const CALLS: &str = r#"batchdata_wallet_transactions_total{account="default",type="debit",endpoint_name="late"}"#;
const PRICES: &str = r#"batchdata_wallet_transaction_usd{account="default",endpoint_name="late"}"#;

type Starts = BTreeMap<String, Option<DateTime<Utc>>>;

fn read(rig: &Rig) -> Starts {
    let exposition = rig.exposition();
    let mut bytes = exposition.rendered(Format::Protobuf).plain().to_vec();
    bytes.extend(exposition.gathered(Format::Protobuf));
    readers::starts(&bytes)
}

fn of(starts: &Starts, series: &str) -> DateTime<Utc> {
    starts.get(series).unwrap_or_else(|| panic!("no {series} in {starts:#?}")).expect("a start")
}

fn last_success(rig: &Rig, source: &str) -> DateTime<Utc> {
    let sources = rig.snapshot();
    let view = sources.sources().find(|view| view.source.name == source).unwrap();
    // As precise as what is served.
    view.last_success.unwrap().wall.trunc_subsecs(6)
}

/// Starts, and waits until each source was polled. The clock stands still.
async fn start(rig: &mut Rig) {
    rig.start().await;
    rig.until("all is polled", |rig| rig.snapshot().sources().all(|view| view.up.is_some())).await;
}

fn spend(rig: &Rig, origin: &str, cents: i64) {
    rig.vendors.spend(rig.clock.now(), origin, "/api/v1/x", Usd::from_cents(cents));
}

async fn prepared(directory: &tempfile::TempDir) -> Rig {
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.set("METRICS_START_AT_ZERO", "2m");
    let row = NewRow { at: Some(rig.clock.now().timestamp()), ..NewRow::success("Chase", 1_234) };
    let batch = rig.vendors.new_batch(None, false, "customer_ref", vec![row]);
    rig.set("RIGHTFOOT_BATCH_IDS", &batch);
    rig.set("RIGHTFOOT_COUNT_SINCE", "2026-05-01");
    spend(&rig, "first", 100);
    rig
}

async fn rig(directory: &tempfile::TempDir) -> Rig {
    let mut rig = prepared(directory).await;
    start(&mut rig).await;
    rig
}

/// Those that survive a restart.
fn stored(starts: &Starts) -> Starts {
    let stored = |series: &str| series.starts_with("batchdata_") || series.starts_with("rightfoot_balance_check");
    starts.iter().filter(|(series, _)| stored(series)).map(|(series, start)| (series.clone(), *start)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_starts_at_the_last_poll_before_it_was_known_and_a_restart_moves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig(&directory).await;
    let began = rig.clock.now();
    let at_first = read(&rig);
    for (series, start) in &at_first {
        assert_eq!(*start, Some(began), "{series}");
    }
    for series in [SPENT, FIRST, CHECKS, REQUESTS, "process_cpu_seconds_total"] {
        of(&at_first, series);
    }
    rig.poll(&["consumption"]).await;
    rig.rest().await;
    let before = last_success(&rig, "consumption");
    assert!(before > began);
    spend(&rig, "later", 1_280);
    rig.poll(&["consumption"]).await;
    let known = read(&rig);
    assert_eq!(of(&known, LATER), before);
    assert_eq!(of(&known, FIRST), began);
    // It still shows 0, and then its value, from the same start.
    assert_eq!(rig.value(LATER), Some(0.0));
    rig.clock.advance(Duration::from_secs(120));
    rig.until("it is shown", |rig| rig.value(LATER) == Some(12.8)).await;
    assert_eq!(of(&read(&rig), LATER), before);

    // A card is seen, and a batch settles.
    rig.rest().await;
    let before = last_success(&rig, "card_transactions");
    rig.vendors.top_up(Usd::from_cents(10_000));
    rig.poll(&["card_transactions"]).await;
    assert_eq!(of(&read(&rig), BRAND), before);
    let mut settled = None;
    for _ in 0..30 {
        let before = last_success(&rig, "batches");
        rig.clock.advance(Duration::from_secs(1_800));
        rig.poll(&["batches"]).await;
        settled = settled.or_else(|| read(&rig).contains_key(BANK).then(|| (before, rig.clock.now())));
    }
    let (before, after) = settled.expect("it has settled");
    let counted = read(&rig);
    assert!((before..after).contains(&of(&counted, BANK)), "{before} to {after}: {}", of(&counted, BANK));
    assert_eq!(of(&counted, CHECKS), began);

    rig.stop().await;
    rig.clock.advance(Duration::from_secs(7 * 86_400));
    start(&mut rig).await;
    let restored = read(&rig);
    for series in [SPENT, FIRST, LATER, BRAND, CHECKS, BANK, BALANCES] {
        assert_eq!(of(&restored, series), of(&counted, series), "{series}");
    }
    assert_eq!(of(&restored, REQUESTS), rig.clock.now().trunc_subsecs(6), "what the process counts begins with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_start_at_the_last_poll_before_they_were_known() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = prepared(&directory).await;
    rig.set("BATCHDATA_SOURCES", "transactions");
    rig.set("BATCHDATA_TRANSACTIONS_INTERVAL", "1m");
    start(&mut rig).await;
    rig.poll(&["transactions"]).await;
    rig.rest().await;
    let before = last_success(&rig, "transactions");
    rig.vendors.spend(rig.clock.now(), "first", "/api/v1/late", Usd::from_cents(1_280));
    rig.poll(&["transactions"]).await;
    let known = read(&rig);
    for series in [CALLS, PRICES] {
        assert_eq!(of(&known, series), before, "{series}");
    }
    let transactions = |series: &&String| series.starts_with("batchdata_wallet_transaction");
    assert!(known.keys().filter(transactions).all(|series| known[series].is_some()), "{known:#?}");
    rig.clock.advance(Duration::from_secs(120));
    rig.until("it is shown", |rig| rig.value(CALLS) == Some(1.0)).await;
    rig.stop().await;
    rig.clock.advance(Duration::from_secs(2 * 3_600));
    start(&mut rig).await;
    let restored = read(&rig);
    for series in [CALLS, PRICES] {
        assert_eq!(of(&restored, series), before, "{series}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_lies_at_most_half_an_hour_back_and_moves_when_the_memory_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig(&directory).await;
    rig.stop().await;
    // The last poll was long ago when the series is first seen.
    rig.clock.advance(Duration::from_secs(50 * 60));
    spend(&rig, "later", 1_280);
    start(&mut rig).await;
    let half_an_hour = TimeDelta::minutes(30);
    assert_eq!(of(&read(&rig), LATER), rig.clock.now() - half_an_hour);
    // It ends before anybody has seen the series, and is back later.
    rig.stop().await;
    rig.clock.advance(Duration::from_secs(50 * 60));
    start(&mut rig).await;
    let known = of(&read(&rig), LATER);
    assert_eq!(known, rig.clock.now() - half_an_hour);
    rig.clock.advance(Duration::from_secs(120));
    rig.until("it is shown", |rig| rig.value(LATER) == Some(12.8)).await;
    for _ in 0..2 {
        rig.stop().await;
        rig.clock.advance(Duration::from_secs(50 * 60));
        start(&mut rig).await;
        assert_eq!(of(&read(&rig), LATER), known);
    }

    rig.stop().await;
    std::fs::remove_dir_all(directory.path()).unwrap();
    start(&mut rig).await;
    let lost = read(&rig);
    for series in [SPENT, LATER, CHECKS] {
        assert_eq!(of(&lost, series), rig.clock.now(), "{series}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_on_a_disk_that_is_full_at_first_starts_no_series_in_this_run() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig(&directory).await;
    rig.stop().await;
    let copy = copy_of(directory.path());
    start(&mut rig).await;
    spend(&rig, "later", 1_280);
    for _ in 0..4 {
        rig.clock.advance(Duration::from_secs(3_600));
        rig.poll(&["consumption"]).await;
    }
    assert_eq!(rig.value(LATER), Some(12.8));
    rig.stop().await;
    rig.set("STORAGE_PATH", copy.path().to_str().unwrap());
    // The report comes while nothing can be written, and again when it can.
    rig.vendors.fault(Operation::ConsumptionReport, Fault::status(503), None);
    start(&mut rig).await;
    let store = rig.store();
    store.set_fault(Some(StorageFault { skip: 0, kind: StorageFaultKind::Full }));
    rig.vendors.clear_faults(None);
    rig.clock.advance(Duration::from_secs(60));
    rig.poll(&["consumption"]).await;
    assert_eq!(rig.value("wallet_exporter_storage_up"), Some(0.0));
    store.set_fault(None);
    drop(store);
    // One pass finds that it can be written again, the next reads all that the copy lacks.
    for _ in 0..2 {
        rig.clock.advance(Duration::from_secs(60));
        rig.poll(&["consumption"]).await;
    }
    rig.until("it is back", |rig| rig.value(LATER) == Some(12.8)).await;
    // It was served for hours before: a start in this run would count it twice.
    assert_eq!(read(&rig)[LATER], None);
}

/// A copy of the storage from before a series was made must not date it after what was served: a scraper would take a later
/// start for a reset, and count the money twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_storage_never_starts_a_series_after_it_was_served() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig(&directory).await;
    rig.stop().await;
    let copy = copy_of(directory.path());
    start(&mut rig).await;
    let copied = last_success(&rig, "consumption");
    rig.clock.advance(Duration::from_secs(60));
    spend(&rig, "later", 1_280);
    rig.poll(&["consumption"]).await;
    let served_from = rig.clock.now();
    rig.clock.advance(Duration::from_secs(120));
    rig.until("it is shown", |rig| rig.value(LATER) == Some(12.8)).await;
    // Served for hours, until minutes ago.
    for _ in 0..4 {
        rig.clock.advance(Duration::from_secs(3_600));
        rig.poll(&["consumption"]).await;
    }
    rig.stop().await;
    rig.set("STORAGE_PATH", copy.path().to_str().unwrap());
    start(&mut rig).await;
    rig.until("it is back", |rig| rig.value(LATER) == Some(12.8)).await;
    let start = of(&read(&rig), LATER);
    assert!(start < served_from, "{start} is after {served_from}");
    assert!(start <= copied, "{start} is after the copy of {copied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_ahead_leaves_no_start_in_the_future() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig(&directory).await;
    let wrong = rig.clock.now();
    let right = wrong - TimeDelta::days(1);
    rig.clock.step_to(right);
    // What began when the clock was wrong is dated by the right one.
    assert_eq!(of(&read(&rig), SPENT), right);
    rig.stop().await;
    // Across a restart only the stored time is left, and it cannot be right.
    start(&mut rig).await;
    assert_eq!(read(&rig)[SPENT], None);
    rig.clock.advance(Duration::from_secs(2 * 86_400));
    rig.poll(&["consumption"]).await;
    assert_eq!(read(&rig)[SPENT], None, "a start that appears later would be a reset");
    rig.stop().await;
    start(&mut rig).await;
    assert_eq!(read(&rig)[SPENT], None, "nor does it come back with a restart");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_forward_after_a_restart_moves_no_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = prepared(&directory).await;
    rig.set("RIGHTFOOT_WEBHOOK_SECRET", crate::webhook::SECRET);
    start(&mut rig).await;
    let began = rig.clock.now();
    spend(&rig, "first", 150);
    rig.clock.advance(Duration::from_secs(3_600));
    rig.poll(&["consumption"]).await;
    rig.until("it is shown", |rig| rig.value(FIRST) == Some(1.5)).await;
    rig.stop().await;
    // The machine was off for half a day, and its clock stood still until it is set.
    start(&mut rig).await;
    let (before, of_account, of_process) = (read(&rig), sliced(&rig, "default"), sliced(&rig, ""));
    rig.clock.step_to(rig.clock.now() + TimeDelta::hours(12));
    let starts = read(&rig);
    for series in [SPENT, FIRST] {
        assert_eq!(of(&starts, series), began, "{series} was served since then");
    }
    for series in [
        REQUESTS,
        r#"wallet_exporter_vendor_response_bytes_total{account="default",vendor="batchdata",operation="consumption_report"}"#,
        r#"wallet_exporter_series_overflow_total{account="default",metric="batchdata_wallet_origin_debit_usd_total"}"#,
        r#"rightfoot_webhook_events_total{account="default",result="accepted"}"#,
        "wallet_exporter_webhook_unmatched_total",
        "wallet_exporter_http_panics_total",
        "process_cpu_seconds_total",
    ] {
        of(&starts, series);
    }
    assert_eq!(starts, before);
    assert_eq!((sliced(&rig, "default"), sliced(&rig, "")), (of_account, of_process));
}

fn sliced(rig: &Rig, account: &str) -> Starts {
    readers::starts(&rig.exposition().slice(Format::Protobuf, &[account]).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_soon_after_the_first_report_moves_no_start() {
    for (source, series) in [("consumption", FIRST), ("card_transactions", BRAND)] {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = prepared(&directory).await;
        // No other source succeeds later.
        rig.set("BATCHDATA_SOURCES", source);
        rig.vendors.top_up(Usd::from_cents(10_000));
        rig.clock.tick(Duration::from_micros(1));
        start(&mut rig).await;
        let first = stored(&read(&rig));
        assert!(of(&first, series) <= last_success(&rig, source));
        rig.stop().await;
        rig.clock.advance(Duration::from_secs(4));
        start(&mut rig).await;
        assert_eq!(stored(&read(&rig)), first);
    }
}

/// What the account's other sources did long before says nothing of the clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_enabled_while_the_vendor_is_down_keeps_its_starts() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = prepared(&directory).await;
    rig.set("METRICS_START_AT_ZERO", "0s");
    rig.set("BATCHDATA_SOURCES", "balance");
    start(&mut rig).await;
    rig.stop().await;
    rig.clock.advance(Duration::from_secs(5 * 3_600));
    rig.set("BATCHDATA_SOURCES", "balance,consumption");
    for operation in [Operation::Balance, Operation::ConsumptionReport] {
        rig.vendors.fault(operation, Fault::status(503), None);
    }
    start(&mut rig).await;
    of(&read(&rig), SPENT);
    rig.stop().await;
    rig.clock.advance(Duration::from_secs(600));
    start(&mut rig).await;
    // Nothing was counted yet: it starts anew.
    assert_eq!(of(&read(&rig), SPENT), rig.clock.now());
    rig.vendors.clear_faults(None);
    rig.poll(&["consumption"]).await;
    let known = stored(&read(&rig));
    for series in [SPENT, FIRST] {
        of(&known, series);
    }
    rig.stop().await;
    rig.clock.advance(Duration::from_secs(600));
    start(&mut rig).await;
    assert_eq!(stored(&read(&rig)), known);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_code_that_comes_late_starts_half_an_hour_before_it_is_first_served() {
    let directory = tempfile::tempdir().unwrap();
    let rig = rig(&directory).await;
    let began = rig.clock.now();
    let requests =
        |handler, code| format!("wallet_exporter_http_requests_total{{handler=\"{handler}\",code=\"{code}\"}}");
    for (handler, code) in [("gate", 400), ("gate", 404), ("gate", 409), ("poll", 502), ("reload", 500)] {
        let before = get(rig.web().unwrap(), "/metrics").await.text();
        assert!(before.contains(&format!("{} 0\n", requests(handler, code))), "{handler} {code}");
    }
    rig.clock.advance(Duration::from_secs(600));
    let post = ask(rig.web().unwrap(), "POST", "/", &[], b"").await;
    assert_eq!(post.code, 405);
    assert_eq!(of(&read(&rig), &requests("page", 405)), began, "the process is younger than half an hour");
    rig.clock.advance(Duration::from_secs(2 * 3_600));
    rig.rest().await;
    rig.vendors.fault(Operation::Balance, Fault::status(418), None);
    rig.poll(&["balance"]).await;
    assert_eq!(get(rig.web().unwrap(), "/metrics?account=nobody").await.code, 404);
    let vendor =
        r#"wallet_exporter_vendor_requests_total{account="default",vendor="batchdata",operation="balance",code="418"}"#;
    let late = [requests("metrics", 404), vendor.to_owned()];
    let served = rig.clock.now().trunc_subsecs(6);
    let starts = read(&rig);
    for series in &late {
        assert_eq!(of(&starts, series), served - TimeDelta::minutes(30), "{series}");
    }
    assert_eq!(of(&starts, &requests("gate", 409)), began);
    rig.clock.advance(Duration::from_secs(3_600));
    let later = read(&rig);
    for series in late.iter().chain([&requests("page", 405)]) {
        assert_eq!(of(&later, series), of(&starts, series), "{series}");
    }
}
