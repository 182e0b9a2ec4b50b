//! Answers that make the exporter wait, and those that must not.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use vendor_simulator::{ErrorBody, Fault, NewRow, Operation};
use wallet_exporter::clock::Clock as _;
use wallet_exporter::rightfoot::RightfootView;

use super::until_up;
use crate::rig::Rig;

fn single(code: u16) -> Fault {
    match code {
        302 => Fault::Redirect { code, location: "http://127.0.0.1:9/".to_owned() },
        _ => Fault::Status { code, body: ErrorBody::Json, retry_after: None },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stray_answer_costs_seconds_and_not_a_quarter_of_an_hour() {
    let mut rig = Rig::new().await;
    rig.start().await;
    rig.first_polls().await;
    for code in [302, 400, 401, 403, 404, 408, 409, 422, 425] {
        rig.vendors.fault(Operation::Balance, single(code), Some(1));
        while rig.source("up", "balance") == Some(1.0) {
            rig.poll(&["balance"]).await;
        }
        let failed = rig.clock.boot();
        until_up(&rig, "balance", 3).await;
        let outage = rig.clock.boot().since(failed);
        assert!(outage <= Duration::from_secs(15), "{code}: {outage:?}");
    }
    // 408 and 425 ask for another try, and then for another.
    rig.vendors.fault(Operation::Balance, single(408), Some(2));
    rig.poll(&["balance"]).await;
    let failed = rig.clock.boot();
    until_up(&rig, "balance", 4).await;
    assert!(rig.clock.boot().since(failed) <= Duration::from_secs(25));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_server_closed_is_no_failed_poll() {
    let mut rig = Rig::new().await;
    rig.start().await;
    rig.first_polls().await;
    rig.vendors.fault(Operation::Balance, Fault::NoReply, Some(1));
    rig.poll(&["balance"]).await;
    assert_eq!(rig.source("up", "balance"), Some(1.0));
    assert_eq!(rig.source("failures_total=truncated", "balance"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_source_of_a_paused_credential_shows_its_true_next_attempt_and_why() {
    let mut rig = Rig::new().await;
    rig.start().await;
    rig.first_polls().await;
    rig.vendors.fault(Operation::Balance, Fault::throttled(Some("1800")), Some(1));
    rig.poll(&["balance"]).await;
    let paused = rig.clock.now() + TimeDelta::seconds(1_800);
    rig.clock.advance(Duration::from_secs(400));
    for source in ["balance", "consumption", "card_transactions"] {
        let shown = |rig: &Rig| {
            let next = rig.source("next_attempt_timestamp_seconds", source)?;
            Some((next - paused.timestamp() as f64).abs() < 5.0)
        };
        rig.until("the next attempt is the end of the pause", |rig| shown(rig) == Some(true)).await;
    }
    let status = rig.snapshot().status(rig.clock.moment());
    let of_wallet = status.accounts.iter().find(|account| account.vendor == "batchdata").unwrap();
    assert!(of_wallet.sources.iter().all(|source| source.paused_until.is_some()), "and the page can say why");
    rig.vendors.clear_requests();
    rig.clock.advance(Duration::from_secs(1_410));
    rig.until("all go on", |rig| {
        ["balance", "consumption", "card_transactions"]
            .iter()
            .all(|source| rig.source("last_success_timestamp_seconds", source) > Some(paused.timestamp() as f64))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_token_ends_a_pause_although_the_clock_was_set_in_it() {
    for hours in [-5, 5] {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = Rig::new().await;
        let file = directory.path().join("token");
        std::fs::write(&file, rig.settings.remove("BATCHDATA_API_TOKEN").unwrap()).unwrap();
        rig.set("BATCHDATA_API_TOKEN_FILE", file.to_str().unwrap());
        rig.start().await;
        rig.first_polls().await;
        rig.vendors.fault(Operation::Balance, Fault::throttled(Some("3000")), Some(1));
        rig.poll(&["balance"]).await;
        super::step(&rig, TimeDelta::hours(hours), TimeDelta::hours(-hours));
        rig.clock.advance(Duration::from_secs(60));
        let polls = rig.source("polls_total", "consumption");
        rig.vendors.set_batchdata_token("another-token");
        std::fs::write(&file, "another-token").unwrap();
        let goes_on = |rig: &Rig| {
            ["balance", "consumption", "card_transactions"].iter().all(|source| rig.source("up", source) == Some(1.0))
                && rig.source("polls_total", "consumption") > polls
        };
        // The file may be read just before it is written; it is read again five seconds later.
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !goes_on(&rig) {
            assert!(std::time::Instant::now() < deadline, "no source goes on: {}", rig.metrics());
            rig.clock.advance(Duration::from_secs(6));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let now = rig.clock.now().timestamp() as f64;
        let success = rig.source("last_success_timestamp_seconds", "balance").unwrap();
        assert!((now - success).abs() < 120.0, "{hours} h: dated by the clock as it goes now");
    }
}

/// A vendor that withholds its first answer about the balance, which is a 429, until `release` is notified.
async fn slow_refusal(release: Arc<Notify>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut first = true;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4_096];
            let read = stream.read(&mut head).await.unwrap();
            let balance = String::from_utf8_lossy(&head[..read]).starts_with("GET /api/v1/wallet/balance ");
            let release = (balance && std::mem::take(&mut first)).then(|| Arc::clone(&release));
            tokio::spawn(async move {
                let body = r#"{"results":{"balance":12.5,"currency":"USD","asOf":"2026-05-19T12:00:00+00:00"}}"#;
                let status = match (&release, balance) {
                    (Some(_), _) => "429 Too Many Requests\r\nRetry-After: 3000",
                    (None, true) => "200 OK\r\nContent-Type: application/json",
                    (None, false) => "500 Internal Server Error",
                };
                if let Some(release) = release {
                    release.notified().await;
                }
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_refusal_of_the_old_token_does_not_pause_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "old-token").unwrap();
    let release = Arc::new(Notify::new());
    let mut rig = Rig::new().await;
    rig.settings.remove("BATCHDATA_API_TOKEN");
    rig.settings.remove("RIGHTFOOT_API_KEY");
    rig.settings.remove("RIGHTFOOT_BASE_URL");
    rig.set("BATCHDATA_API_TOKEN_FILE", file.to_str().unwrap());
    rig.set("BATCHDATA_BASE_URL", &slow_refusal(Arc::clone(&release)).await);
    rig.set("BATCHDATA_SOURCES", "balance,consumption");
    rig.start().await;
    let polls = |rig: &Rig| rig.source("polls_total", "consumption").unwrap_or_default();
    rig.until("the other source is polled", |rig| polls(rig) >= 1.0).await;
    let before = polls(&rig);
    std::fs::write(&file, "new-token").unwrap();
    rig.clock.advance(Duration::from_secs(6));
    rig.until("the new token is in use", |rig| polls(rig) > before).await;
    release.notify_one();
    rig.until("the balance is polled with the new token", |rig| rig.source("up", "balance") == Some(1.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_below_the_requests_of_a_pass_slows_it_and_loses_nothing() {
    let mut rig = Rig::new().await;
    let mut ids = Vec::new();
    for number in 0..250 {
        ids.push(rig.vendors.batch(vec![NewRow::success("Chase", 100 + number)]));
    }
    rig.set("RIGHTFOOT_BATCH_IDS", &ids.join(","));
    rig.set("BATCHDATA_SOURCES", "balance");
    let open = r#"rightfoot_open_balance_checks{account="default",status="success",submitted_via="api"}"#;
    // One answer, then the vendor has had enough: three requests are needed for all.
    let good = Fault::Csv { changes: Vec::new() };
    for _ in 0..3 {
        rig.vendors.fault(Operation::BalancesCsv, good.clone(), Some(1));
        rig.vendors.fault(Operation::BalancesCsv, Fault::throttled(None), Some(1));
    }
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(rig.source("failing=rate_limited", "batches"), Some(1.0));
    let answered =
        rig.snapshot().with_facts::<RightfootView>().next().unwrap().1.checks.open_rows.values().sum::<u64>();
    assert_eq!(answered, 100, "what came before the 429 is kept");
    until_up(&rig, "batches", 10).await;
    assert_eq!(rig.value(open), Some(250.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_of_every_endpoint_does_not_wait_for_the_end_of_a_pause() {
    let rig = Rig::new().await;
    rig.vendors.fault(Operation::Balance, Fault::throttled(Some("3600")), Some(1));
    let (table, fine) = rig.check_online().await;
    assert!(!fine);
    assert_eq!(table.matches("rate_limited").count(), 3, "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_in_the_middle_of_a_long_read_is_a_pause_although_the_read_succeeds() {
    let mut rig = Rig::new().await;
    rig.set("BATCHDATA_SOURCES", "balance,consumption");
    rig.vendors.fault(Operation::ConsumptionReport, Fault::Edit { members: Vec::new() }, Some(1));
    rig.vendors.fault(Operation::ConsumptionReport, Fault::throttled(Some("600")), Some(1));
    rig.start().await;
    rig.first_polls().await;
    assert_eq!(rig.source("up", "consumption"), Some(1.0), "the days were answered");
    let burn = |window: &str| {
        rig.value(&format!(r#"batchdata_wallet_burn_usd_per_hour{{account="default",window="{window}"}}"#))
    };
    assert_eq!((burn("1h"), burn("7d")), (None, Some(0.0)), "the hours were not");
    rig.rest().await;
    rig.vendors.clear_requests();
    rig.clock.advance(Duration::from_secs(590));
    rig.rest().await;
    assert!(
        rig.vendors.requests().iter().all(|seen| seen.operation == Some(Operation::BalancesCsv)),
        "the token rests"
    );
    rig.poll(&["balance", "consumption"]).await;
    rig.rest().await;
    assert_eq!(rig.value(r#"batchdata_wallet_burn_usd_per_hour{account="default",window="1h"}"#), Some(0.0));
}
