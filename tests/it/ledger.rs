//! Counters through restarts, gaps, restatements and a storage that fails, seen at `/metrics`.

use std::path::Path;
use std::time::Duration;

use chrono::{Days, TimeDelta};
use vendor_simulator::{CardEvent, NewRow, Operation, Part};
use wallet_exporter::clock::Clock as _;
use wallet_exporter::money::Usd;
use wallet_exporter::store::{StorageFault, StorageFaultKind};

use crate::rig::{Rig, at};
use crate::serving::fixture::ask;

const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="default"}"#;
const HELD: &str = r#"batchdata_wallet_revised_down_usd{account="default",report="debit"}"#;

fn period(name: &str) -> String {
    format!(r#"batchdata_wallet_period_debit_usd{{account="default",period="{name}"}}"#)
}

fn dollars(amount: i64) -> Usd {
    Usd::from_cents(amount * 100)
}

fn spend(rig: &Rig, amount: i64) {
    rig.vendors.spend(rig.clock.now(), "api_request", "/api/v1/address/verify", dollars(amount));
}

async fn rig_at(directory: &Path) -> Rig {
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.to_str().unwrap());
    rig.set("BATCHDATA_CONSUMPTION_INTERVAL", "1m");
    rig.set("BATCHDATA_CARD_INTERVAL", "1m");
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_begins_at_the_first_poll_and_survives_restarts_while_the_vendor_is_down() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    spend(&rig, 100);
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(rig.value(DEBIT), Some(0.0), "what was there before is the base line");
    spend(&rig, 7);
    rig.poll(&["consumption"]).await;
    assert_eq!(rig.value(DEBIT), Some(7.0));
    assert_eq!(rig.value(&period("today")), Some(107.0));
    rig.stop().await;

    rig.vendors.fault(Operation::ConsumptionReport, vendor_simulator::Fault::NoReply, None);
    rig.clock.advance(Duration::from_secs(600));
    rig.start().await;
    assert_eq!(rig.value(DEBIT), Some(7.0), "at once, although the vendor is down");
    assert_eq!(rig.value(&period("today")), Some(107.0), "the last good gauge, with its true age");
    let age = rig.clock.now().timestamp() as f64 - rig.source("last_success_timestamp_seconds", "consumption").unwrap();
    assert!((599.0..700.0).contains(&age), "{age}");
    rig.clock.advance(Duration::from_secs(3_600));
    assert_eq!(rig.value(&period("today")), None, "too old");
    assert_eq!(rig.value(DEBIT), Some(7.0), "counters never disappear");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downtime_of_any_length_is_caught_up_without_loss() {
    for days in [1_u64, 40, 364, 500] {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = rig_at(directory.path()).await;
        rig.start().await;
        rig.first_polls().await;
        rig.stop().await;
        let mut total = 0;
        for day in 0..days {
            rig.clock.advance(Duration::from_secs(24 * 3_600));
            if day % 9 == 0 {
                spend(&rig, 3);
                total += 3;
            }
        }
        rig.vendors.clear_requests();
        rig.start().await;
        rig.until("the consumption report was read", |rig| rig.source("up", "consumption") == Some(1.0)).await;
        assert_eq!(rig.value(DEBIT), Some(total as f64), "{days} days");
        let requests = rig.vendors.requests();
        let reports = requests.iter().filter(|seen| seen.operation == Some(Operation::ConsumptionReport)).count();
        // After more than a year, what changed before the gap is read again, too.
        let before = u64::from(days > 365);
        assert_eq!(reports as u64, days.div_ceil(366) + before + 1, "as few as 366 days allow, and one by hour");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restated_report_is_held_back_and_never_invents_money() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.start().await;
    rig.first_polls().await;
    spend(&rig, 50);
    rig.poll(&["consumption"]).await;
    let today = rig.clock.now().date_naive();
    let everywhere = Part::Everywhere { origin: "api_request".to_owned(), path: "/api/v1/address/verify".to_owned() };
    rig.vendors.restate(today, &everywhere, -dollars(20), Usd::ZERO);
    rig.poll(&["consumption"]).await;
    assert_eq!((rig.value(DEBIT), rig.value(HELD)), (Some(50.0), Some(20.0)));
    rig.stop().await;
    rig.start().await;
    assert_eq!((rig.value(DEBIT), rig.value(HELD)), (Some(50.0), Some(20.0)), "restored");
    rig.until("the first poll after the restart", |rig| rig.source("up", "consumption") == Some(1.0)).await;
    spend(&rig, 25);
    rig.poll(&["consumption"]).await;
    rig.until("the report was read", |rig| rig.value(DEBIT) == Some(55.0)).await;
    assert_eq!(rig.value(HELD), Some(0.0));
    assert_eq!(rig.value(&period("today")), Some(55.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_storage_after_a_restatement_counts_no_money_twice() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.start().await;
    rig.first_polls().await;
    spend(&rig, 50);
    rig.poll(&["consumption"]).await;
    let today = rig.clock.now().date_naive();
    rig.vendors.restate(today, &Part::Total, -dollars(20), Usd::ZERO);
    rig.poll(&["consumption"]).await;
    rig.stop().await;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    rig.start().await;
    rig.first_polls().await;
    assert_eq!((rig.value(DEBIT), rig.value(HELD)), (Some(0.0), Some(0.0)), "a true reset");
    spend(&rig, 5);
    rig.poll(&["consumption"]).await;
    assert_eq!(rig.value(DEBIT), Some(5.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_different_count_since_is_a_fault_that_names_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.vendors.spend(at("2026-05-11T10:00:00Z"), "api_request", "/x", dollars(9));
    rig.set("BATCHDATA_COUNT_SINCE", "2026-05-10");
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(rig.value(DEBIT), Some(9.0), "history counts");
    rig.stop().await;
    rig.set("BATCHDATA_COUNT_SINCE", "2026-05-11");
    let fault = rig.try_start().await.unwrap_err();
    assert_eq!(fault.exit_code(), 64);
    assert!(
        fault.to_string().contains("BATCHDATA_COUNT_SINCE: ") && fault.to_string().contains("2026-05-10"),
        "{fault}"
    );
    rig.set("BATCHDATA_COUNT_SINCE", "2026-05-10");
    rig.start().await;
    assert_eq!(rig.value(DEBIT), Some(9.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steady_cycle_is_one_small_request_a_source_and_a_late_revision_is_found_within_a_day() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    let now = rig.clock.now();
    for day in 0..366_u64 {
        let moment = now - TimeDelta::days(day as i64);
        rig.vendors.spend(moment, "api_request", "/api/v1/address/verify", dollars(1));
    }
    // Ten thousand transactions over the year, two an hour.
    rig.clock.step_to(now - TimeDelta::days(208));
    for _ in 0..10_000 {
        rig.clock.advance(Duration::from_secs(1_797));
        rig.vendors.top_up(dollars(1));
    }
    rig.clock.step_to(now);
    rig.start().await;
    rig.first_polls().await;
    let of = |rig: &Rig, operation| {
        rig.vendors.requests().into_iter().filter(|seen| seen.operation == Some(operation)).count()
    };
    assert_eq!(of(&rig, Operation::ConsumptionReport), 2, "history in one request, the last days by hour in another");
    assert_eq!(of(&rig, Operation::CreditCardTransactions), 100, "and in full pages");
    for _ in 0..3 {
        rig.rest().await;
        rig.vendors.clear_requests();
        let polls =
            |rig: &Rig| ["consumption", "card_transactions"].map(|name| rig.source("polls_total", name).unwrap());
        let before = polls(&rig);
        rig.poll(&["consumption", "card_transactions"]).await;
        rig.rest().await;
        let after = polls(&rig);
        let each = [Operation::ConsumptionReport, Operation::CreditCardTransactions].map(|one| of(&rig, one) as f64);
        assert_eq!(each, [after[0] - before[0], after[1] - before[1]], "one request a poll");
        let bytes: u64 = rig.vendors.requests().iter().map(|seen| seen.body_bytes).sum();
        assert!(bytes < 100_000, "{bytes}");
    }
    let long_ago = now.date_naive() - Days::new(200);
    rig.vendors.restate(long_ago, &Part::Total, dollars(11), Usd::ZERO);
    assert_eq!(rig.value(DEBIT), Some(0.0));
    rig.clock.advance(Duration::from_secs(12 * 3_600 + 60));
    rig.poll(&["consumption"]).await;
    rig.poll(&["consumption"]).await;
    rig.until("the revision was found", |rig| rig.value(DEBIT) == Some(11.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_ends_at_the_vendors_midnight_and_its_figures_are_back_within_a_minute() {
    for (begin, offset) in [
        ("2026-05-19T23:58:00Z", 0),
        ("2027-12-31T23:58:00Z", 0),
        ("2028-02-28T23:58:00Z", 0),
        ("2028-02-29T23:58:00Z", 0),
        ("2026-05-31T23:58:00Z", 90),
        ("2026-05-31T23:58:00Z", -90),
    ] {
        let mut rig = Rig::new().await;
        rig.clock.pass_to(at(begin));
        rig.vendors.set_clock_offset(TimeDelta::seconds(offset));
        rig.set("BATCHDATA_CONSUMPTION_INTERVAL", "5m");
        spend(&rig, 4);
        rig.start().await;
        rig.first_polls().await;
        assert_eq!(rig.value(&period("today")), Some(4.0), "{begin}");
        let midnight = at(begin) + TimeDelta::seconds(120 - offset);
        rig.clock.pass_to(midnight - TimeDelta::seconds(2));
        assert_eq!(rig.value(&period("today")), Some(4.0), "{begin}: still the old day");
        rig.clock.pass_to(midnight + TimeDelta::milliseconds(1_500));
        rig.clock.advance(Duration::from_secs(4));
        rig.until("the new day's figures", |rig| rig.value(&period("today")) == Some(0.0)).await;
        assert_eq!(rig.value(&period("yesterday")), Some(4.0), "{begin}");
        assert_eq!(rig.value(DEBIT), Some(0.0), "{begin}: no counter moves at midnight");
    }
}

/// The day's long read needs old days from the storage. Without them it says as much as a short one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_whose_old_days_cannot_be_read_still_brings_the_last_ones() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    // No other source may find the storage broken first: then nothing long is read.
    rig.set("BATCHDATA_SOURCES", "consumption");
    rig.set("RIGHTFOOT_INTERVAL", "1d");
    rig.set("RIGHTFOOT_MAX_AGE", "2d");
    rig.start().await;
    rig.first_polls().await;
    rig.clock.pass_to(at("2026-05-20T00:30:00Z"));
    rig.poll(&["consumption"]).await;
    rig.rest().await;
    spend(&rig, 7);
    let store = rig.store();
    store.set_fault(Some(StorageFault { skip: 0, kind: StorageFaultKind::Io }));
    rig.poll(&["consumption"]).await;
    rig.rest().await;
    let report = |seen: &vendor_simulator::Seen| seen.operation == Some(Operation::ConsumptionReport);
    let reports: Vec<_> = rig.vendors.requests().into_iter().filter(report).collect();
    assert!(reports.iter().any(|seen| seen.query.iter().any(|(_, value)| value == "2025-05-20")), "it was a long one");
    assert_eq!(rig.value("wallet_exporter_storage_up"), Some(0.0));
    assert_eq!((rig.source("up", "consumption"), rig.value(&period("today"))), (Some(1.0), Some(7.0)));
    let debit = rig.value(DEBIT).unwrap();
    store.set_fault(None);
    rig.poll(&["consumption"]).await;
    rig.until("it is counted", |rig| rig.value(DEBIT) == Some(debit + 7.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_card_transactions_than_are_kept_are_too_large() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.start().await;
    rig.first_polls().await;
    rig.vendors.top_up(dollars(10));
    rig.poll(&["card_transactions"]).await;
    rig.stop().await;
    let file = rusqlite::Connection::open(directory.path().join("wallet-exporter.db")).unwrap();
    let copies = "WITH RECURSIVE copy (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM copy WHERE number < 99998)
         INSERT INTO card_transaction
         SELECT account, id + 1000000 + number, kind, status, brand, credits_usd, sales_tax_usd, processing_fee_usd,
                created_at, seen_paid, seen_failed, seen_unknown
         FROM copy, (SELECT * FROM card_transaction LIMIT 1)";
    assert_eq!(file.execute(copies, []).unwrap(), 99_998);
    drop(file);
    rig.start().await;
    let up = |rig: &Rig| rig.source("up", "card_transactions");
    for (top_ups, expected) in [(1, 1.0), (1, 0.0), (0, 0.0)] {
        (0..top_ups).for_each(|_| {
            rig.vendors.top_up(dollars(10));
        });
        rig.poll(&["card_transactions"]).await;
        rig.rest().await;
        assert_eq!(up(&rig), Some(expected));
    }
    let status = ask(rig.web().unwrap(), "GET", "/api/v1/status", &[], b"").await;
    assert!(
        status.text().contains("the listings have shown more than 100000 transactions in all"),
        "{}",
        status.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_card_is_followed_to_its_end_and_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.start().await;
    rig.first_polls().await;
    let id = rig.vendors.card(&CardEvent::pending(dollars(40)));
    let refund = rig.vendors.refund(dollars(15));
    assert_ne!(id, refund);
    rig.poll(&["card_transactions"]).await;
    let total = |rig: &Rig, kind: &str, status: &str, what: &str| -> f64 {
        let all = rig.metrics();
        let prefix = format!(r#"batchdata_card_{what}_total{{account="default",kind="{kind}",status="{status}","#);
        all.lines()
            .filter(|line| line.starts_with(&prefix))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    assert_eq!(total(&rig, "refund", "paid", "amount_usd"), 15.0);
    assert_eq!(total(&rig, "top_up", "paid", "transactions"), 0.0);
    assert!(rig.value(r#"batchdata_card_oldest_pending_timestamp_seconds{account="default"}"#).is_some());
    // Days later, with many others in between, and after a restart.
    for _ in 0..10 {
        rig.clock.advance(Duration::from_secs(12 * 3_600));
        for _ in 0..30 {
            rig.vendors.top_up(dollars(1));
        }
    }
    rig.stop().await;
    rig.start().await;
    rig.first_polls().await;
    rig.vendors.set_card_status(id, Some(1));
    for _ in 0..4 {
        rig.poll(&["card_transactions"]).await;
    }
    assert_eq!(total(&rig, "top_up", "paid", "amount_usd"), 340.0);
    rig.vendors.set_card_status(id, Some(2));
    rig.clock.advance(Duration::from_secs(24 * 3_600));
    for _ in 0..3 {
        rig.poll(&["card_transactions"]).await;
    }
    assert_eq!(total(&rig, "top_up", "failed", "transactions"), 1.0, "once under failed, too");
    assert_eq!(total(&rig, "top_up", "paid", "amount_usd"), 340.0, "leaving a state uncounts nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_settles_once_and_is_not_downloaded_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.set("RIGHTFOOT_COUNT_SINCE", "2026-05-01");
    rig.set("BATCHDATA_SOURCES", "balance");
    let batch = rig.vendors.batch(vec![NewRow::success("Chase", 12_345), NewRow::failed("Ally", "NO_MATCH")]);
    rig.set("RIGHTFOOT_BATCH_IDS", &batch);
    rig.start().await;
    rig.first_polls().await;
    let checks = |rig: &Rig| {
        rig.value(r#"rightfoot_balance_checks_total{account="default",status="success",submitted_via="api"}"#)
    };
    let batches =
        |rig: &Rig, state: &str| rig.value(&format!(r#"rightfoot_batches{{account="default",state="{state}"}}"#));
    assert_eq!((checks(&rig), batches(&rig, "open")), (Some(0.0), Some(1.0)));
    rig.stop().await;
    // A day later its rows are old, but the first look after a restart settles nothing.
    rig.clock.advance(Duration::from_secs(24 * 3_600));
    rig.start().await;
    rig.until("a look", |rig| rig.source("up", "batches") == Some(1.0)).await;
    assert_eq!((checks(&rig), batches(&rig, "open")), (Some(0.0), Some(1.0)));
    for _ in 0..40 {
        if batches(&rig, "settled") == Some(1.0) {
            break;
        }
        rig.poll(&["batches"]).await;
    }
    assert_eq!((checks(&rig), batches(&rig, "open"), batches(&rig, "settled")), (Some(1.0), Some(0.0), Some(1.0)));
    assert_eq!(rig.value(r#"rightfoot_balance_check_balance_usd_sum{account="default"}"#), Some(123.45));
    rig.vendors.clear_requests();
    rig.stop().await;
    rig.start().await;
    for _ in 0..5 {
        rig.poll(&["batches"]).await;
    }
    assert!(rig.vendors.requests().iter().all(|seen| seen.operation != Some(Operation::BalancesCsv)));
    assert_eq!((checks(&rig), batches(&rig, "settled")), (Some(1.0), Some(1.0)));
    let results = format!(r#"rightfoot_batch_results{{account="default",batch_id="{batch}",status="no_match"}}"#);
    assert_eq!(rig.value(&results), Some(1.0), "shown from the store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_and_a_read_only_one_stop_counters_and_lose_nothing() {
    for kind in [StorageFaultKind::Full, StorageFaultKind::ReadOnly] {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = rig_at(directory.path()).await;
        rig.start().await;
        rig.first_polls().await;
        spend(&rig, 10);
        rig.poll(&["consumption"]).await;
        let store = rig.store();
        store.set_fault(Some(StorageFault { skip: 0, kind }));
        for number in 0..90 {
            let path = format!("/api/v1/{number}/{}", "long".repeat(25));
            rig.vendors.spend(rig.clock.now(), &format!("origin-{number}"), &path, dollars(1));
        }
        rig.poll(&["consumption"]).await;
        assert_eq!(rig.value("wallet_exporter_storage_up"), Some(0.0), "{kind:?}");
        assert_eq!(rig.source("up", "consumption"), Some(1.0), "a storage fault fails no poll");
        assert_eq!(rig.value(DEBIT), Some(10.0), "counters do not increase");
        assert_eq!(rig.value(&period("today")), Some(100.0), "gauges go on");
        store.set_fault(None);
        drop(store);
        rig.poll(&["balance", "consumption", "card_transactions", "batches"]).await;
        assert_eq!(rig.value("wallet_exporter_storage_up"), Some(1.0));
        assert_eq!(rig.value(DEBIT), Some(100.0), "all is caught up");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_series_shows_nothing_for_the_hold_and_a_restart_inside_it_begins_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = rig_at(directory.path()).await;
    rig.set("METRICS_START_AT_ZERO", "2m");
    rig.start().await;
    rig.first_polls().await;
    rig.clock.advance(Duration::from_secs(200));
    rig.poll(&["consumption"]).await;
    spend(&rig, 3);
    rig.poll(&["consumption"]).await;
    let path = r#"batchdata_wallet_api_path_debit_usd_total{account="default",api_path="/api/v1/address/verify"}"#;
    rig.until("the total is old enough", |rig| rig.value(DEBIT) == Some(3.0)).await;
    assert_eq!(rig.value(path), Some(0.0), "the series begins");
    rig.stop().await;
    rig.clock.advance(Duration::from_secs(100));
    rig.start().await;
    assert_eq!((rig.value(DEBIT), rig.value(path)), (Some(3.0), Some(0.0)), "begun again");
    rig.clock.advance(Duration::from_secs(119));
    rig.rest().await;
    assert_eq!(rig.value(path), Some(0.0));
    rig.clock.advance(Duration::from_secs(2));
    rig.until("the wait is over", |rig| rig.value(path) == Some(3.0)).await;
    rig.stop().await;
    rig.start().await;
    assert_eq!(rig.value(path), Some(3.0), "restored series show their values at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_leave_the_list_keep_what_they_counted_and_return_as_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("ids");
    let mut rig = rig_at(directory.path()).await;
    rig.set("BATCHDATA_SOURCES", "balance");
    rig.set("RIGHTFOOT_COUNT_SINCE", "2026-05-01");
    rig.set("RIGHTFOOT_BATCH_IDS_FILE", list.to_str().unwrap());
    let ids: Vec<String> = (0..300).map(|_| rig.vendors.batch(vec![NewRow::success("Chase", 100)])).collect();
    std::fs::write(&list, ids.join("\n")).unwrap();
    rig.clock.advance(Duration::from_secs(24 * 3_600));
    rig.start().await;
    rig.first_polls().await;
    let checks = r#"rightfoot_balance_checks_total{account="default",status="success",submitted_via="api"}"#;
    let state =
        |rig: &Rig, state: &str| rig.value(&format!(r#"rightfoot_batches{{account="default",state="{state}"}}"#));
    for _ in 0..30 {
        if state(&rig, "settled") == Some(300.0) {
            break;
        }
        rig.poll(&["batches"]).await;
    }
    assert_eq!((rig.value(checks), state(&rig, "settled")), (Some(300.0), Some(300.0)));
    // An open one leaves and returns, too; a line that is no id costs that line alone.
    let open = rig.vendors.batch(Vec::new());
    std::fs::write(&list, format!("not an id\n{open}\n")).unwrap();
    rig.clock.advance(Duration::from_secs(6));
    rig.until("the new list is taken up", |rig| state(rig, "open") == Some(1.0)).await;
    assert_eq!(rig.value(checks), Some(300.0), "what has left keeps what it counted");
    std::fs::write(&list, ids.join("\n")).unwrap();
    rig.clock.advance(Duration::from_secs(6));
    rig.until("the old list is taken up", |rig| state(rig, "open") == Some(0.0)).await;
    rig.vendors.clear_requests();
    rig.stop().await;
    rig.start().await;
    for _ in 0..3 {
        rig.poll(&["batches"]).await;
    }
    assert_eq!((rig.value(checks), state(&rig, "settled")), (Some(300.0), Some(300.0)), "the same batches");
    assert!(
        rig.vendors.requests().iter().all(|seen| seen.operation != Some(Operation::BalancesCsv)),
        "hundreds of settled batches cost a pass nothing"
    );
    let shown =
        rig.metrics().lines().filter(|line| line.starts_with("rightfoot_batch_last_result_timestamp_seconds{")).count();
    assert_eq!(shown, 20);
}
