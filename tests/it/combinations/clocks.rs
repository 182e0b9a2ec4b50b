//! Clocks that are wrong, set, or disagree.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use vendor_simulator::{CardEvent, Fault, NewRow, Operation};
use wallet_exporter::clock::Clock as _;
use wallet_exporter::money::Usd;

use super::{step, until_up};
use crate::rig::{Rig, at};

const DEBIT: &str = r#"batchdata_wallet_debit_usd_total{account="default"}"#;
const TODAY: &str = r#"batchdata_wallet_period_debit_usd{account="default",period="today"}"#;

fn dollars(amount: i64) -> Usd {
    Usd::from_cents(amount * 100)
}

/// Spends at the vendor's time, so long ago.
fn spend(rig: &Rig, ago: TimeDelta, amount: i64) {
    rig.vendors.spend(rig.vendors.now() - ago, "api_request", "/api/v1/address/verify", dollars(amount));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_starts_two_days_behind_counts_nothing_that_was_spent_before() {
    let mut rig = Rig::new().await;
    rig.vendors.set_clock_offset(TimeDelta::days(2));
    for hours in 0..72 {
        spend(&rig, TimeDelta::hours(hours), 17);
    }
    rig.start().await;
    rig.first_polls().await;
    until_up(&rig, "consumption", 20).await;
    assert_eq!(rig.value(DEBIT), Some(0.0));
    // NTP corrects the machine.
    step(&rig, TimeDelta::days(2), TimeDelta::zero());
    for _ in 0..3 {
        rig.poll(&["consumption"]).await;
    }
    assert_eq!(rig.value(DEBIT), Some(0.0), "what was spent before the first poll is the base line");
    spend(&rig, TimeDelta::zero(), 5);
    rig.poll(&["consumption"]).await;
    assert_eq!(rig.value(DEBIT), Some(5.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_top_up_of_a_year_ago_is_not_new_because_the_clock_was_ahead_at_the_first_listing() {
    let mut rig = Rig::new().await;
    rig.vendors.set_clock_offset(TimeDelta::days(-5));
    let year_ago = rig.vendors.now() - TimeDelta::days(363);
    rig.vendors.card(&CardEvent { at: Some(year_ago), ..CardEvent::paid(dollars(500)) });
    rig.vendors.top_up(dollars(20));
    rig.start().await;
    rig.first_polls().await;
    step(&rig, TimeDelta::days(-5), TimeDelta::zero());
    let paid = r#"batchdata_card_transactions_total{account="default",kind="top_up",status="paid",card_brand="visa"}"#;
    // The second listing of a day reaches back a year.
    for _ in 0..4 {
        rig.poll(&["card_transactions"]).await;
    }
    assert_eq!(rig.value(paid), Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_whose_day_has_moved_and_that_answers_one_request_a_pass_shows_its_own_day() {
    let mut rig = Rig::new().await;
    rig.set("BATCHDATA_SOURCES", "consumption");
    rig.start().await;
    rig.first_polls().await;
    rig.vendors.set_clock_offset(TimeDelta::hours(25));
    spend(&rig, TimeDelta::zero(), 5);
    let today = r#"batchdata_wallet_period_debit_usd{account="default",period="today"}"#;
    for _ in 0..8 {
        if rig.value(today) == Some(5.0) {
            return;
        }
        rig.vendors.clear_faults(None);
        rig.vendors.fault(Operation::ConsumptionReport, Fault::Edit { members: Vec::new() }, Some(1));
        rig.vendors.fault(Operation::ConsumptionReport, Fault::throttled(None), None);
        rig.poll(&["consumption"]).await;
    }
    assert_eq!(rig.value(today), Some(5.0), "the vendor's day is asked for first once two answers agree on it");
}

/// Answers every request with the same `Date`, as a cache in between does, and each report with what its last day cost:
/// as many dollars as the day of the month. It is 19 May: later days are refused.
async fn frozen_dates(date: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4_096];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let mut status = "200 OK";
            let results = match head.split_once("end_date=") {
                Some((_, rest)) => {
                    let (day, debit) = (&rest[..10], &rest[8..10]);
                    if day > "2026-05-19" {
                        status = "422 Unprocessable Content";
                    }
                    let debit: u32 = debit.parse().unwrap();
                    let hour = if head.contains("group_by=hour") { "T00:00:00" } else { "" };
                    let period = format!(
                        r#"{{"period":"{day}{hour}","debit":{debit},"credit":0,"by_origin":{{}},"by_endpoint":{{}}}}"#
                    );
                    format!(r#"{{"summary":{{"total_debit":{debit},"total_credit":0}},"data":[{period}]}}"#)
                }
                None => r#"{"balance":12.5,"currency":"USD","asOf":"2026-05-19T12:00:00+00:00"}"#.to_owned(),
            };
            let body = format!(r#"{{"results":{results}}}"#);
            let head = format!("Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
            let answer = format!("HTTP/1.1 {status}\r\nDate: {date}\r\n{head}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

async fn behind_a_cache() -> Rig {
    let mut rig = Rig::new().await;
    for name in ["RIGHTFOOT_API_KEY", "RIGHTFOOT_BASE_URL"] {
        rig.settings.remove(name);
    }
    rig.set("BATCHDATA_BASE_URL", &frozen_dates("Sun, 17 May 2026 12:00:00 GMT").await);
    rig.set("BATCHDATA_SOURCES", "balance,consumption");
    rig.set("BATCHDATA_BALANCE_INTERVAL", "70s");
    rig.set("BATCHDATA_CONSUMPTION_INTERVAL", "200s");
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_counting_begins_on_a_day_that_is_over_although_both_clocks_tell_it() {
    let mut rig = behind_a_cache().await;
    let right = rig.clock.now();
    rig.clock.step_to(at("2026-05-17T22:00:00Z"));
    rig.start().await;
    rig.first_polls().await;
    for _ in 0..5 {
        rig.poll(&["balance", "consumption"]).await;
        assert_eq!(rig.source("failing=implausible", "consumption"), Some(1.0));
        assert_eq!(rig.value(TODAY), None);
    }
    rig.clock.step_to(right);
    until_up(&rig, "consumption", 20).await;
    assert_eq!(rig.value(DEBIT), Some(0.0));
    assert_eq!(rig.value(TODAY), Some(19.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_repeats_an_old_date_does_not_set_the_day_back() {
    let mut rig = behind_a_cache().await;
    rig.start().await;
    rig.first_polls().await;
    for _ in 0..8 {
        rig.poll(&["balance"]).await;
        let today = rig.value(r#"batchdata_wallet_period_debit_usd{account="default",period="today"}"#);
        assert_eq!(today, Some(19.0));
        rig.poll(&["consumption"]).await;
    }
    assert_eq!(rig.value(r#"batchdata_wallet_period_debit_usd{account="default",period="today"}"#), Some(19.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_before_the_first_start_do_not_count_because_the_clock_was_wrong_then_and_right_after_a_restart() {
    for days in [2, -2] {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = Rig::new().await;
        let ids = directory.path().join("ids");
        std::fs::write(&ids, "").unwrap();
        rig.set("RIGHTFOOT_BATCH_IDS_FILE", ids.to_str().unwrap());
        rig.set("STORAGE_PATH", directory.path().join("data").to_str().unwrap());
        rig.set("BATCHDATA_SOURCES", "balance");
        rig.vendors.set_clock_offset(TimeDelta::days(days));
        let earlier = rig.vendors.batch(vec![NewRow::success("Chase", 100), NewRow::success("Chase", 100)]);
        rig.clock.advance(Duration::from_secs(600));
        rig.start().await;
        rig.first_polls().await;
        rig.stop().await;
        step(&rig, TimeDelta::days(days), TimeDelta::zero());
        rig.clock.advance(Duration::from_secs(600));
        let later = rig.vendors.batch(vec![NewRow::success("Chase", 100)]);
        std::fs::write(&ids, format!("{earlier}\n{later}\n")).unwrap();
        rig.clock.advance(Duration::from_secs(60));
        rig.start().await;
        let settled = r#"rightfoot_batches{account="default",state="settled"}"#;
        for _ in 0..60 {
            if rig.value(settled) == Some(2.0) {
                break;
            }
            rig.clock.advance(Duration::from_secs(900));
            rig.poll(&["batches"]).await;
        }
        assert_eq!(rig.value(settled), Some(2.0));
        let success = r#"rightfoot_balance_checks_total{account="default",status="success",submitted_via="api"}"#;
        assert_eq!(rig.value(success), Some(1.0), "{days} days off");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_five_hours_stops_no_poll_and_hides_no_age() {
    let mut rig = Rig::new().await;
    rig.set("BATCHDATA_SOURCES", "balance");
    rig.start().await;
    rig.first_polls().await;
    step(&rig, TimeDelta::hours(-5), TimeDelta::hours(5));
    for source in ["balance", "batches"] {
        let before = rig.source("polls_total", source);
        let boot = rig.clock.boot();
        rig.poll(&[source]).await;
        assert!(rig.source("polls_total", source) > before);
        assert!(rig.clock.boot().since(boot) <= Duration::from_secs(64), "{source} keeps its interval");
    }
    // With the vendor gone, too, the age still shows.
    rig.vendors.fault(Operation::Balance, Fault::NoReply, None);
    rig.poll(&["balance"]).await;
    step(&rig, TimeDelta::hours(-5), TimeDelta::hours(10));
    rig.clock.advance(Duration::from_secs(600));
    let age = rig.clock.now().timestamp() as f64 - rig.source("last_success_timestamp_seconds", "balance").unwrap();
    assert!((600.0..800.0).contains(&age), "{age}");
    rig.clock.advance(Duration::from_secs(3_000));
    assert_eq!(rig.value(r#"batchdata_wallet_balance_usd{account="default"}"#), None, "older than max_age");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn today_is_the_vendors_day_however_wrong_our_clock_is_and_midnight_costs_one_poll() {
    let mut rig = Rig::new().await;
    rig.clock.pass_to(at("2026-05-19T21:00:00Z"));
    rig.vendors.set_clock_offset(TimeDelta::days(3));
    spend(&rig, TimeDelta::days(1), 1_193);
    spend(&rig, TimeDelta::zero(), 107);
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(rig.value(TODAY), None, "not known yet, so not another day's");
    until_up(&rig, "consumption", 20).await;
    assert_eq!(rig.value(TODAY), Some(107.0));
    rig.vendors.clear_requests();
    let begin = rig.clock.boot();
    while rig.clock.boot().since(begin) < Duration::from_secs(4 * 3_600) {
        rig.poll(&["consumption"]).await;
    }
    let requests = rig.vendors.requests();
    let reports = requests.iter().filter(|seen| seen.operation == Some(Operation::ConsumptionReport)).count();
    assert!(reports <= 56, "{reports} reports in four hours at an interval of five minutes");
    assert_eq!(rig.value(TODAY), Some(0.0), "the new day");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_was_in_2028_for_an_hour_freezes_no_counter() {
    let mut rig = Rig::new().await;
    spend(&rig, TimeDelta::days(20), 40);
    rig.start().await;
    rig.first_polls().await;
    rig.vendors.set_clock_offset(TimeDelta::days(800));
    for _ in 0..3 {
        rig.poll(&["consumption"]).await;
    }
    spend(&rig, TimeDelta::zero(), 3);
    rig.poll(&["consumption"]).await;
    assert_eq!(rig.value(DEBIT), Some(3.0), "the vendor took that day as the end of a report, twice");
    rig.vendors.set_clock_offset(TimeDelta::zero());
    for _ in 0..5 {
        rig.poll(&["consumption"]).await;
    }
    spend(&rig, TimeDelta::zero(), 4);
    for _ in 0..2 {
        rig.poll(&["consumption"]).await;
    }
    assert_eq!(rig.value(DEBIT), Some(7.0));
    assert_eq!(rig.value(TODAY), Some(4.0), "{}", rig.metrics());
    let month = r#"batchdata_wallet_period_debit_usd{account="default",period="last_30_days"}"#;
    assert_eq!(rig.value(month), Some(40.0), "nothing was forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_poll_the_new_days_figures_still_come_within_a_minute() {
    let mut rig = Rig::new().await;
    rig.clock.pass_to(at("2026-05-19T22:00:00Z"));
    rig.start().await;
    rig.first_polls().await;
    rig.vendors.fault(Operation::ConsumptionReport, Fault::status(503), None);
    while rig.clock.now() < at("2026-05-19T23:30:00Z") {
        rig.poll(&["consumption"]).await;
    }
    // The longest back-off is fifteen minutes, and reaches over midnight.
    while rig.clock.now() < at("2026-05-19T23:58:30Z") {
        rig.clock.advance(Duration::from_secs(30));
        rig.until("what is due was polled", |rig| {
            let source = rig.snapshot().sources().find(|view| view.source.name == "consumption").cloned();
            source.unwrap().next_attempt.unwrap().boot > rig.clock.boot()
        })
        .await;
    }
    rig.vendors.clear_faults(None);
    rig.clock.pass_to(at("2026-05-20T00:00:30Z"));
    rig.until("the new day's figures", |rig| rig.value(TODAY) == Some(0.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_was_put_back_is_not_served_below_what_was_shown_before() {
    let directory = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let mut rig = Rig::new().await;
    rig.set("STORAGE_PATH", directory.path().to_str().unwrap());
    rig.start().await;
    rig.first_polls().await;
    rig.stop().await;
    let file = "wallet-exporter.db";
    std::fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
    rig.start().await;
    rig.first_polls().await;
    spend(&rig, TimeDelta::zero(), 12);
    rig.vendors.restate(
        rig.clock.now().date_naive() - TimeDelta::days(90),
        &vendor_simulator::Part::Total,
        dollars(8),
        Usd::ZERO,
    );
    // Old days are read again on the next day.
    rig.clock.advance(Duration::from_secs(24 * 3_600));
    for _ in 0..3 {
        rig.poll(&["consumption"]).await;
    }
    assert_eq!(rig.value(DEBIT), Some(20.0));
    rig.stop().await;
    rig.clock.advance(Duration::from_secs(2 * 3_600));
    std::fs::copy(copy.path().join(file), directory.path().join(file)).unwrap();
    rig.vendors.fault(Operation::ConsumptionReport, Fault::status(503), Some(1));
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(rig.value(DEBIT), None, "an old ledger is served once the vendor has answered");
    until_up(&rig, "consumption", 5).await;
    assert_eq!(rig.value(DEBIT), Some(20.0));
}
